"""Spans and metrics, read back through an OpenTelemetry SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.types import Command
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from interlock import WorkflowGraph
from interlock.events import InProcessBus, Relay
from interlock.testing import ScriptedChatModel, call
from interlock.tracing import records_of, reference_in, telemetry
from tests.tracing.support import ADA, BEN, PLANTED, Shop, config, edit_of, script
from tests.tracing.test_across_the_bus import carrier_flow


@dataclass
class Telemetry:
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def points(self, metric: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        found = {}
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for one in scope.metrics:
                    if one.name == metric:
                        for point in one.data.data_points:
                            labels = tuple(sorted((point.attributes or {}).items()))
                            found[labels] = point.value if hasattr(point, "value") else point
        return found


@pytest.fixture
def otel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    monkeypatch.setattr(telemetry, "_instruments", None)
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    meter_provider = MeterProvider([reader], shutdown_on_exit=False)
    telemetry.use(tracer_provider=tracer_provider, meter_provider=meter_provider)
    yield Telemetry(exporter, reader)
    tracer_provider.shutdown()
    meter_provider.shutdown()


def _story(way: str = "invoke") -> tuple[WorkflowGraph, Shop]:
    shop = Shop(down=1)
    graph = shop.flow(script()).compile()
    for given, by in (
        ({"messages": [("user", "send W1")]}, ADA),
        (Command(resume=edit_of(orderId="W1", amount="40", card=PLANTED)), BEN),
    ):
        if way == "invoke":
            graph.invoke(given, config(), context=by)
        else:
            asyncio.run(graph.ainvoke(given, config(), context=by))
    return graph, shop


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_spans_are_the_runs_and_their_steps(otel: Telemetry, way: str) -> None:
    _story(way)
    first, second = otel.named("invoke_workflow shop")
    below = [span.name for span in otel.spans if span.parent and span.parent.span_id == first.context.span_id]

    assert below == [
        "state open",
        "execute_tool order.get",
        "state open",
        "state open",
        "state open",
        "approval order.charge",
    ]
    assert [span.name for span in otel.spans if span.parent and span.parent.span_id == second.context.span_id] == [
        "approval order.charge",
        "execute_tool order.charge",
        "state paid",
        "execute_tool order.send",
        "state sent",
    ]
    assert first.attributes is not None
    assert first.attributes["gen_ai.conversation.id"] == "t-1"
    assert first.attributes["gen_ai.operation.name"] == "invoke_workflow"


def test_no_span_stays_open_across_an_interrupt_and_the_resume_links_to_it(otel: Telemetry) -> None:
    graph, _ = _story()
    first, second = otel.named("invoke_workflow shop")
    asked, answered = otel.named("approval order.charge")

    assert first.end_time is not None
    assert second.start_time is not None
    assert first.end_time <= second.start_time
    assert first.status.status_code is not StatusCode.ERROR
    assert asked.status.status_code is not StatusCode.ERROR
    assert first.attributes is not None
    assert first.attributes["interlock.outcome"] == "interrupted"
    assert [link.context.span_id for link in second.links] == [asked.context.span_id]
    # What is about a proposal links to where it was proposed.
    proposing = otel.named("state open")[-1]
    assert [link.context.span_id for link in answered.links] == [proposing.context.span_id]
    trace = f"{first.context.trace_id:032x}"
    kinds = {record.kind for record in records_of(graph.engine.store, trace)}
    assert {"read", "denial", "approval"} <= kinds


def test_every_record_names_its_span(otel: Telemetry) -> None:
    graph, _ = _story()
    spans = {f"{span.context.span_id:016x}" for span in otel.spans}

    for record in graph.instances.audit(config()):
        where = reference_in(record)
        assert where is not None, record
        assert str(where.traceparent).split("-")[2] in spans


def test_metrics_count_what_happened(otel: Telemetry) -> None:
    _story()

    assert otel.points("interlock.denials") == {
        (("code", "guard_failed"), ("tool", "order.send"), ("workflow", "shop")): 1
    }
    executions = {
        (dict(labels)["tool"], dict(labels)["outcome"]): count
        for labels, count in otel.points("interlock.tool.executions").items()
    }
    assert executions == {
        ("order.get", "done"): 1,
        ("order.send", "denied"): 1,
        ("order.charge", "done"): 1,
        ("order.send", "done"): 1,
    }
    assert otel.points("interlock.retries") == {(("tool", "order.send"), ("workflow", "shop")): 1}
    labels = (("decision", "edit"), ("tool", "order.charge"), ("workflow", "shop"))
    assert otel.points("interlock.approvals") == {labels: 1}
    assert otel.points("interlock.overrides") == {labels: 1}
    (waited,) = otel.points("interlock.approval.wait").values()
    assert waited.count == 1
    runs = {
        (dict(labels)["outcome"], dict(labels)["resumed"]): count
        for labels, count in otel.points("interlock.workflow.runs").items()
    }
    assert runs == {("interrupted", False): 1, ("completed", True): 1}
    assert sum(point.count for point in otel.points("interlock.tool.duration").values()) == 3


def test_labels_are_names_that_prometheus_takes_and_few(otel: Telemetry) -> None:
    import re

    model = ScriptedChatModel([call(f"made.up_{number}") for number in range(4)], forever="done")
    graph = Shop().flow(model).compile()
    graph.invoke({"messages": [("user", "go")]}, config(), context=ADA)

    assert [dict(labels)["tool"] for labels in otel.points("interlock.denials")] == ["unknown"]
    data = otel.reader.get_metrics_data()
    assert data is not None
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                assert re.fullmatch(r"interlock(\.[a-z]+)+", metric.name)
                for point in metric.data.data_points:
                    assert set(point.attributes or {}) <= {"workflow", "tool", "outcome", "resumed", "code", "decision"}


def test_a_failed_run_is_an_error_without_the_text_of_the_exception(otel: Telemetry) -> None:
    graph = Shop().flow(ScriptedChatModel([RuntimeError(PLANTED)])).compile()
    with pytest.raises(RuntimeError):
        graph.invoke({"messages": [("user", "go")]}, config(), context=ADA)

    (run,) = otel.named("invoke_workflow shop")
    assert run.status.status_code is StatusCode.ERROR
    assert run.attributes is not None
    assert run.attributes["error.type"] == "RuntimeError"
    assert PLANTED not in "".join(span.to_json() for span in otel.spans)


def test_a_stream_that_is_left_ends_its_span(otel: Telemetry) -> None:
    graph = Shop().flow(script()).compile()
    stream = graph.stream({"messages": [("user", "go")]}, config(), context=ADA)
    next(stream)
    stream.close()

    (run,) = otel.named("invoke_workflow shop")
    assert run.attributes is not None
    assert run.attributes["interlock.outcome"] == "abandoned"


def test_the_lag_of_the_outbox_is_measured(otel: Telemetry) -> None:
    graph = carrier_flow().compile()
    graph.invoke({"messages": [("user", "collect W1")]}, config(), context=ADA)
    asyncio.run(Relay(graph.engine.store, InProcessBus()).drain())

    (lag,) = otel.points("interlock.outbox.lag").values()
    assert lag.count == 1
    assert lag.sum >= 0


def test_without_a_provider_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_instruments", None)

    assert telemetry.listens() is False
