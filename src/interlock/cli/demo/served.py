"""The demo's cases in the console: each is played until it waits for its customer, who decides in the browser."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...checkpointing.store import AuditRecord, Instance
from ...checkpointing.store.audit import Broken
from ...graphs import WorkflowGraph
from ...tools.canonical import JsonObject
from ...tools.principal import Principal
from .cases import CASES, Case
from .desk import Desk, open_desk
from .playing import Play, Teller

STAFF = (
    Principal("operator", roles=frozenset({"operator", "supervisor"})),
    Principal("supervisor", roles=frozenset({"supervisor"})),
)


@dataclass(frozen=True)
class Demo:
    """What is served, and who there is to be."""

    graph: WorkflowGraph
    people: tuple[Principal, ...]


@contextmanager
def open_demo(url: str) -> Iterator[Demo]:
    """Open the demo's desk and start its cases; cases that were started before continue in their state.

    Raises:
        InputError: The database holds a shop that is not the demo's.
    """
    with open_desk(url, fresh=False) as desk:
        for case in CASES:
            Play(desk, case, _Quiet(), None).run()
        yield Demo(desk.graph, (*STAFF, *(case.principal for case in CASES)))


class _Quiet(Teller):
    """Says nothing: the console shows it."""

    def case(self, number: int, total: int, case: Case) -> None:
        pass

    def resumed(self, instance: Instance) -> None:
        pass

    def customer(self, case: Case, text: str) -> None:
        pass

    def desk(self, text: str) -> None:
        pass

    def offered(self, state: str, tools: list[str]) -> None:
        pass

    def proposed(self, tool: str, arguments: Mapping[str, Any]) -> None:
        pass

    def asked(self, request: JsonObject) -> None:
        pass

    def decided(self, request: JsonObject, answer: JsonObject, by: str) -> None:
        pass

    def outcome(self, event: JsonObject) -> None:
        pass

    def trail(self, case: Case, instance: Instance, records: list[AuditRecord], broken: list[Broken]) -> None:
        pass

    def end(self, desk: Desk) -> None:
        pass


__all__ = ["Demo", "open_demo"]
