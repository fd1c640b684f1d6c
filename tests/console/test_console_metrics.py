"""What the console counts, and that nothing of a person is in it."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from extproc.console.client_address import Client
from extproc.console.metrics import ConsoleMetrics
from extproc.console.records import Act
from extproc.core.record import Actor, EventCode


def read(reader: InMemoryMetricReader) -> dict[str, dict[tuple[str, ...], float]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: {tuple(str(v) for v in (p.attributes or {}).values()): p.value for p in metric.data.data_points}  # type: ignore[union-attr]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }


def test_records_are_counted_by_event_and_code_and_controls_are_shown() -> None:
    reader = InMemoryMetricReader()
    metrics = ConsoleMetrics(MeterProvider([reader]).get_meter("tests"), lambda _: None)
    act = Act("saml.login", "POST", Client("192.0.2.7", "192.0.2.7:1"))
    for _ in range(2):
        metrics.count(act.refused("replayed", 403, Actor(uid="i|anna")))
    metrics.count(act.done(EventCode.AUTH_LOGIN, Actor(uid="i|anna"), 303))
    for failing in (True, True, False, True):
        metrics.control_failure("saml-metadata", failing=failing)
    found = read(reader)
    assert found["extproc.console.events"] == {("auth.fail", "replayed"): 2, ("auth.login", ""): 1}
    assert found["extproc.control.failures"] == {("saml-metadata",): 2}
    assert found["extproc.control.failing"] == {("saml-metadata",): 1}
    metrics.stop()


def test_attempts_to_tell_people_are_counted_and_what_is_untold_is_shown() -> None:
    reader = InMemoryMetricReader()
    metrics = ConsoleMetrics(MeterProvider([reader]).get_meter("tests"), lambda _: None)
    for outcome in ("failed", "sent", "sent"):
        metrics.told("slack", outcome)
    metrics.untold(3, 1)
    found = read(reader)
    assert found["extproc.notifications"] == {("slack", "failed"): 1, ("slack", "sent"): 2}
    assert found["extproc.notifications.untold"] == {("waiting",): 3, ("dead",): 1}
    metrics.stop()
