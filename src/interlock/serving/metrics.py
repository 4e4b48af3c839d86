"""The metrics of this process in Prometheus' format: OpenTelemetry metrics of workflows, and the process's own."""

import functools

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider

from ..tracing import telemetry


@functools.cache
def collect() -> None:
    """Collect the workflows' metrics for `/metrics`, once per process.

    Only the owner of the process should call this, as `interlock serve` does, because measuring slows every step of every workflow. An
    existing meter provider is kept: a Prometheus reader in it fills `/metrics` too.
    """
    if isinstance(metrics.get_meter_provider(), MeterProvider):
        return
    telemetry.use(meter_provider=MeterProvider(metric_readers=[PrometheusMetricReader()]))


__all__ = ["collect"]
