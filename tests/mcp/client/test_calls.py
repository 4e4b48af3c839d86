"""A call and what comes back, in sync and async graphs: results, content blocks, the server's own no, and what is no answer at all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from interlock import SQLCheckpointer, WorkflowGraph
from interlock.tools.context import ToolContext
from interlock.tools.errors import AnswerLost, InvalidOutput, Refused
from interlock.tools.ids import AuditRef, IdempotencyKey, TraceId, WorkflowId
from interlock.tools.kinds import ToolKind
from interlock.tools.trace_reference import current_trace
from tests.mcp.client.support import ADA, SAID, Bank, changed, graph_of, thread

Run = Callable[[WorkflowGraph], Awaitable[dict[str, Any]]]


async def synchronous(graph: WorkflowGraph) -> dict[str, Any]:
    result: dict[str, Any] = graph.invoke(SAID, thread(), context=ADA)["last_result"]
    return result


async def asynchronous(graph: WorkflowGraph) -> dict[str, Any]:
    result: dict[str, Any] = (await graph.ainvoke(SAID, thread(), context=ADA))["last_result"]
    return result


@pytest.fixture(params=[synchronous, asynchronous], ids=["invoke", "ainvoke"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


def context() -> ToolContext:
    """Of an attempt outside of any graph."""
    return ToolContext(
        kind=ToolKind.COMMAND,
        workflow_id=WorkflowId("wf_1"),
        state="open",
        revision=1,
        trace_id=TraceId("trace_1"),
        audit_ref=AuditRef("audit_1"),
        idempotency_key=IdempotencyKey("key_1"),
    )


class TestInAWorkflow:
    async def test_a_structured_result_is_the_output(self, bank: Bank, saver: SQLCheckpointer, run: Run) -> None:
        contract = bank.tools().contract("transfer")

        result = await run(graph_of(contract, {"amount": 3}, saver=saver))

        assert (result["ok"], result["output"]) == (True, {"left": 97})
        assert bank.charged == [3]

    async def test_a_call_carries_its_key_and_where_it_is_on_record(
        self, bank: Bank, saver: SQLCheckpointer, run: Run
    ) -> None:
        graph = graph_of(bank.tools().contract("transfer"), {"amount": 3}, saver=saver)

        result = await run(graph)

        meta = bank.calls[0]["_meta"]
        assert meta["io.github.langgraph-interlock/workflowId"] == result["workflowId"]
        assert meta["io.github.langgraph-interlock/auditRef"] == result["auditRef"]
        assert meta["io.github.langgraph-interlock/idempotencyKey"] == bank.read("ledger")[0]["key"]

    async def test_output_that_does_not_fit_its_schema_is_told_as_what_happened(
        self, bank: Bank, saver: SQLCheckpointer, run: Run
    ) -> None:
        bank.behave(on={"transfer": {"result": {"content": [], "structuredContent": {"left": "all of it"}}}})

        result = await run(graph_of(bank.tools().contract("transfer"), {"amount": 3}, saver=saver))

        assert (result["ok"], result["error"]["code"]) == (False, "invalid_output")
        assert result["error"]["details"]["happened"] is True
        assert bank.charged == [3]

    async def test_a_read_whose_output_does_not_fit_is_an_error(
        self, open_bank: Callable[..., Bank], saver: SQLCheckpointer, run: Run
    ) -> None:
        bank = open_bank(tools=changed("get-balance", outputSchema={"type": "object", "required": ["balance"]}))

        result = await run(graph_of(bank.tools().contract("get-balance"), {"account": "a"}, saver=saver))

        assert (result["ok"], result["error"]["code"]) == (False, "invalid_output")

    async def test_the_servers_own_no_is_a_refusal(self, bank: Bank, saver: SQLCheckpointer, run: Run) -> None:
        no = {"isError": True, "content": [{"type": "text", "text": "Not enough money."}]}
        bank.behave(on={"transfer": {"result": {**no, "structuredContent": {"code": "poor"}}}})

        result = await run(graph_of(bank.tools().contract("transfer"), {"amount": 3}, saver=saver))

        assert result["error"]["code"] == "refused"
        assert result["error"]["message"] == "Not enough money."
        assert result["error"]["details"]["reason"] == "poor"

    async def test_arguments_that_do_not_fit_never_reach_the_server(
        self, bank: Bank, saver: SQLCheckpointer, run: Run
    ) -> None:
        result = await run(graph_of(bank.tools().contract("transfer"), {"amount": 0}, saver=saver))

        assert result["error"]["code"] == "invalid_arguments"
        assert bank.calls == []

    async def test_the_traceparent_of_the_run_goes_along(self, bank: Bank) -> None:
        token = current_trace.set({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})
        try:
            bank.tools().contract("transfer").call({"amount": 1}, context())
        finally:
            current_trace.reset(token)

        assert bank.calls[0]["_meta"]["traceparent"].startswith("00-" + "a" * 32)


class TestContent:
    def output(self, bank: Bank, *blocks: dict[str, Any]) -> tuple[Any, Any]:
        bank.behave(on={"get-balance": {"result": {"content": [*blocks]}}})
        contract, ctx = bank.tools().contract("get-balance"), context()
        return contract.dump_output(contract.call({}, ctx)), ctx.artifact

    def test_one_text_is_the_output(self, bank: Bank) -> None:
        assert self.output(bank, {"type": "text", "text": "7"}) == ("7", None)

    def test_several_blocks_are_a_list(self, bank: Bank) -> None:
        blocks = [{"type": "text", "text": "7"}, {"type": "resource_link", "uri": "a://b", "name": "b"}]

        assert self.output(bank, *blocks) == (blocks, None)

    @pytest.mark.parametrize("kind", ["image", "audio"])
    def test_what_is_binary_is_recorded_by_size_and_digest_and_given_whole_to_the_application(
        self, kind: str, bank: Bank
    ) -> None:
        raw = b"\x89PNG"
        block = {"type": kind, "data": base64.b64encode(raw).decode(), "mimeType": "x/y"}

        output, artifact = self.output(bank, block)

        assert output == [
            {"type": kind, "mimeType": "x/y", "size": 4, "sha256": hashlib.sha256(raw).hexdigest()},
        ]
        assert artifact == [block]

    def test_an_embedded_file_is_recorded_so_too(self, bank: Bank) -> None:
        resource = {"uri": "a://b", "blob": base64.b64encode(b"abc").decode()}

        ((block,), artifact) = self.output(bank, {"type": "resource", "resource": resource})

        assert block["resource"] == {"uri": "a://b", "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
        assert artifact is not None

    def test_nothing_is_an_empty_list(self, bank: Bank) -> None:
        assert self.output(bank) == ([], None)

    def test_a_promised_result_that_is_not_structured_is_none(self, bank: Bank) -> None:
        bank.behave(on={"transfer": {"result": {"content": [{"type": "text", "text": '{"left": 1}'}]}}})
        contract = bank.tools().contract("transfer")

        with pytest.raises(InvalidOutput):
            contract.dump_output(contract.call({"amount": 1}))


class TestErrors:
    @pytest.mark.parametrize(("code", "reason"), [(-32602, "invalid_params"), (-32601, "unknown_tool")])
    def test_a_call_that_the_server_does_not_understand_is_refused(self, code: int, reason: str, bank: Bank) -> None:
        bank.behave(on={"transfer": {"error": {"code": code, "message": "No such thing."}}})

        with pytest.raises(Refused, match="No such thing") as raised:
            bank.tools().contract("transfer").call({"amount": 1})

        assert raised.value.reason == reason

    @pytest.mark.parametrize("code", [-32603, -32700, -32042, 1, -32001])
    def test_after_any_other_error_it_is_not_known_what_happened(self, code: int, bank: Bank) -> None:
        bank.behave(on={"transfer": {"error": {"code": code, "message": "Well."}}})

        with pytest.raises((AnswerLost, TimeoutError)):
            bank.tools().contract("transfer").call({"amount": 1})

    @pytest.mark.parametrize("unknown_when", [["maybe"], lambda result: result["structuredContent"]["code"] == "maybe"])
    def test_the_application_says_which_errors_leave_it_open(self, unknown_when: Any, bank: Bank) -> None:
        for code, error in (("maybe", AnswerLost), ("no", Refused)):
            result = {"isError": True, "content": [], "structuredContent": {"code": code}}
            bank.behave(on={"transfer": {"result": result}})
            with pytest.raises(error):
                bank.tools(unknown_when=unknown_when).contract("transfer").call({"amount": 1})

    def test_an_error_without_a_word_is_a_refusal_all_the_same(self, bank: Bank) -> None:
        bank.behave(on={"transfer": {"result": {"isError": True, "content": []}}})

        with pytest.raises(Refused, match="did not say which"):
            bank.tools().contract("transfer").call({"amount": 1})

    def test_a_server_that_asks_for_input_in_mid_call_gets_none(self, bank: Bank) -> None:
        asks = {
            "resultType": "input_required",
            "inputRequests": {
                "q": {
                    "method": "elicitation/create",
                    "params": {
                        "mode": "form",
                        "message": "Approve?",
                        "requestedSchema": {"type": "object", "properties": {}},
                    },
                }
            },
        }
        bank.behave(on={"transfer": {"result": asks}})

        with pytest.raises(Refused) as raised:
            bank.tools().contract("transfer").call({"amount": 1})

        assert raised.value.reason == "input_required"

    @pytest.mark.parametrize("result", [{"content": "none"}, {"content": [{"type": "text"}]}, {"nothing": 1}])
    def test_what_is_no_result_leaves_it_open(self, result: dict[str, Any], bank: Bank) -> None:
        bank.behave(on={"transfer": {"result": result}})

        with pytest.raises(AnswerLost, match="not a result of the protocol"):
            bank.tools().contract("transfer").call({"amount": 1})

    def test_a_handshake_of_the_older_era_does_as_well(self, open_bank: Callable[..., Bank]) -> None:
        bank = open_bank(legacy=True)

        assert bank.tools().contract("transfer").call({"amount": 1}) == {"left": 99}
        assert "initialize" in [entry["method"] for entry in bank.read("requests")]

    def test_in_a_plain_agent_a_contract_is_a_tool(self, bank: Bank) -> None:
        tool = bank.tools().contract("get-balance").as_tool()

        assert tool.invoke({"account": "a"}) == '{"account": "a"}'
