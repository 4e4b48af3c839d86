"""A process that serves a desk with an open approval, for the fuzzer: prints where, the instance and the approval."""

from __future__ import annotations

import sys

import uvicorn

from interlock import SQLCheckpointer
from interlock.serving import service
from tests.serving.desk import KIM, Desk, by_header


def main(url: str) -> None:
    graph = Desk().workflow().compile(SQLCheckpointer(url))
    begun = graph.instances.start(principal=KIM)
    asked = graph.instances.propose(
        begun.workflow_id, "order.refund", {"orderId": "W-7", "amount": "4.00"}, principal=KIM, key="k-1"
    )
    assert asked.ok is None
    config = uvicorn.Config(service(graph, principal=by_header), log_level="error", port=0)
    listening = config.bind_socket()
    port = listening.getsockname()[1]
    print(f"http://127.0.0.1:{port} {begun.workflow_id} {asked.pending.proposal_id}", flush=True)
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main(sys.argv[1])
