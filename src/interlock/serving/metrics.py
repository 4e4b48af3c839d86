"""The metrics of this process in Prometheus' format: those of OpenTelemetry that workflows record, with the process's own."""

import functools

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider

from ..tracing import telemetry


@functools.cache
def collect() -> None:
    """Let the workflows' metrics be collected for `/metrics`, once in a process.

    For whoever owns the process, as `interlock serve` does: measuring costs every step of every workflow in it. Where there is a meter
    provider already, that one is left alone: a Prometheus reader in it fills `/metrics` as well.
    """
    if isinstance(metrics.get_meter_provider(), MeterProvider):
        return
    telemetry.use(meter_provider=MeterProvider(metric_readers=[PrometheusMetricReader()]))


__all__ = ["collect"]
