"""Histograms with exemplars that cost less than a microsecond a value: the SDK's own cost 10 us, and more a reader.

They leave as the SDK's do: by OTLP, cumulative, and by the scrape, whose OpenMetrics format shows the exemplars. The
SDK's own Prometheus reader drops those.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as ScrapedExemplar

from extproc.edge import metric_table

MAX_SERIES: Final = 2000
"""Combinations of labels of one histogram. Labels are bounded each; this bounds what they make together."""


class Example(NamedTuple):
    """A span that a value belongs to: ids in hexadecimal."""

    trace_id: str
    span_id: str
    unix: float


class _Series:
    __slots__ = ("counts", "examples", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.examples: list[tuple[float, Example] | None] = [None] * buckets
        self.sum = 0.0


class Distribution:
    """One histogram. `record` is for one thread; it is read by others."""

    def __init__(self, metric: metric_table.Metric, bounds: Sequence[float]) -> None:
        self.metric = metric
        self.bounds = tuple(bounds)
        self._series: dict[tuple[str, ...], _Series] = {}
        self._since_ns = time.time_ns()

    def record(self, value: float, example: Example | None, labels: tuple[str, ...]) -> None:
        """`labels` in the order of the table; an empty one is left out."""
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= MAX_SERIES:
                return
            series = self._series[labels] = _Series(len(self.bounds) + 1)
        bucket = bisect_left(self.bounds, value)
        series.counts[bucket] += 1
        series.sum += value
        if example is not None:
            series.examples[bucket] = (value, example)

    def exported(self, now_ns: int) -> Metric:
        """For OTLP."""
        points = [
            HistogramDataPoint(
                attributes=self._labels(labels),
                start_time_unix_nano=self._since_ns,
                time_unix_nano=now_ns,
                count=sum(counts := list(series.counts)),
                sum=series.sum,
                bucket_counts=counts,
                explicit_bounds=self.bounds,
                min=None,  # type: ignore[arg-type] # optional in OTLP, and not worth its time
                max=None,  # type: ignore[arg-type]
                exemplars=[
                    Exemplar({}, value, int(of.unix * 1e9), int(of.span_id, 16), int(of.trace_id, 16))
                    for value, of in filter(None, list(series.examples))
                ],
            )
            for labels, series in list(self._series.items())
        ]
        data = Histogram(points, AggregationTemporality.CUMULATIVE)
        return Metric(self.metric.name, self.metric.description, self.metric.unit, data)

    def scraped(self) -> HistogramMetricFamily:
        """For Prometheus."""
        named = [name.replace(".", "_") for name in self.metric.labels]
        family = HistogramMetricFamily(self.metric.scraped, self.metric.description, labels=named)
        for labels, series in list(self._series.items()):
            total, buckets = 0, list[Any]()
            for bound, count, example in zip((*self.bounds, None), series.counts, series.examples, strict=True):
                total += count
                shown = "+Inf" if bound is None else str(float(bound))
                buckets.append((shown, total, None if example is None else _scraped(*example)))
            family.add_metric(labels, buckets, series.sum)
        return family

    def _labels(self, values: tuple[str, ...]) -> dict[str, str]:
        return {name: value for name, value in zip(self.metric.labels, values, strict=True) if value}


def _scraped(value: float, example: Example) -> ScrapedExemplar:
    return ScrapedExemplar({"trace_id": example.trace_id, "span_id": example.span_id}, value, example.unix)


class ScrapedDistributions(Collector):
    """What a registry asks at each scrape."""

    def __init__(self, distributions: Sequence[Distribution]) -> None:
        """`distributions` may still grow."""
        self._distributions = distributions

    def collect(self) -> Iterator[HistogramMetricFamily]:
        for distribution in self._distributions:
            yield distribution.scraped()


class WithDistributions(MetricExporter):
    """An exporter of the SDK's metrics that sends ours along."""

    def __init__(
        self,
        exporter: MetricExporter,
        distributions: Sequence[Distribution],
        resource: Resource,
        scope: InstrumentationScope,
    ) -> None:
        """`distributions` may still grow."""
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001 - to be the same
        self._exporter = exporter
        self._distributions = distributions
        self._resource = resource
        self._scope = scope

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        now = time.time_ns()
        exported = [distribution.exported(now) for distribution in self._distributions]
        metrics = [metric for metric in exported if metric.data.data_points]
        scopes = [scope for resource in metrics_data.resource_metrics for scope in resource.scope_metrics]
        for scope in scopes:
            metrics += scope.metrics
        # The encoder keeps one entry a resource and a scope: the last.
        schema = self._scope.schema_url or ""
        one = ScopeMetrics(self._scope, metrics, schema)
        both = MetricsData([ResourceMetrics(self._resource, [one], schema)])
        return self._exporter.export(both, timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._exporter.shutdown(timeout_millis, **kwargs)
