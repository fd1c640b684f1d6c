"""The table of metrics is what each process offers; names, units and schema are the conventions' own."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import opentelemetry.semconv as installed
import pytest
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.schemas import Schemas

from extproc.console.metrics import ConsoleMetrics
from extproc.core import conventions
from extproc.edge import metric_table, telemetry_page
from extproc.edge.instruments import Tally
from extproc.edge.metric_table import CONSOLE, SUPERVISOR, TABLE, WORKER
from extproc.edge.metrics import Metrics
from extproc.edge.names import Names
from extproc.edge.settings_file import load_settings
from extproc.edge.supervisor_facts import SupervisorFacts
from extproc.edge.supervisor_metrics import SupervisorMetrics
from extproc.local.guard import Wanted, write_config


class Meter(NoOpMeter):
    """Notes what is made of it."""

    def __init__(self) -> None:
        super().__init__("tests")
        self.made: set[tuple[str, str, str]] = set()

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        self.made.add((name, unit, description))
        return super().create_counter(name, unit, description)

    def create_observable_counter(self, name: str, callbacks: Any = None, unit: str = "", description: str = "") -> Any:
        self.made.add((name, unit, description))

    def create_observable_gauge(self, name: str, callbacks: Any = None, unit: str = "", description: str = "") -> Any:
        self.made.add((name, unit, description))


def offered(process: str, folder: Path) -> set[tuple[str, str, str]]:
    meter = Meter()
    Tally(meter, metric_table.DROPPED)  # every process's pipeline has it
    match process:
        case "worker":
            metrics = Metrics(meter, Names())
            meter.made |= {(m.name, m.unit, m.description) for m in (d.metric for d in metrics.distributions)}
        case "supervisor":
            config = write_config(Wanted(folder, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9)
            SupervisorMetrics(meter, load_settings(config), SupervisorFacts())
        case "console":
            ConsoleMetrics(meter, lambda _: None)
    return meter.made


@pytest.mark.parametrize("process", [WORKER, SUPERVISOR, CONSOLE])
def test_a_process_offers_what_the_table_says_and_no_more(process: str, tmp_path: Path) -> None:
    table = {(metric.name, metric.unit, metric.description) for metric in TABLE if process in metric.of}
    assert offered(process, tmp_path) == table


def test_the_page_is_generated() -> None:
    """`python -m extproc.edge.telemetry_page` writes it anew."""
    assert telemetry_page.PAGE.read_text("utf-8") == telemetry_page.rendered()


def test_every_name_is_the_conventions_or_begins_with_ours() -> None:
    package = {
        value
        for where in ("attributes", "_incubating/attributes")
        for module in pkgutil.iter_modules([str(Path(installed.__path__[0], where))])
        for name, value in vars(
            importlib.import_module(f"opentelemetry.semconv.{where.replace('/', '.')}.{module.name}")
        ).items()
        if name.isupper() and isinstance(value, str)
    }
    assert conventions.CONVENTION_NAMES - package == set()
    labels = {label for metric in TABLE if not metric.name.startswith(conventions.OURS) for label in metric.labels}
    assert labels - package == set()
    assert {metric.name for metric in TABLE if not metric.name.startswith(conventions.OURS)} == set(
        conventions.CONVENTION_METRICS
    )


def test_metrics_of_the_conventions_have_their_units() -> None:
    package = {value: name for name, value in vars(gen_ai_metrics).items() if isinstance(value, str) and name.isupper()}
    for metric in TABLE:
        if metric.name in conventions.CONVENTION_METRICS:
            reader = InMemoryMetricReader()
            create = getattr(gen_ai_metrics, f"create_{package[metric.name].lower()}")
            create(MeterProvider([reader]).get_meter("tests")).record(1)
            data = reader.get_metrics_data()
            assert data is not None
            (found,) = data.resource_metrics[0].scope_metrics[0].metrics
            assert (found.name, found.unit) == (metric.name, metric.unit)


def test_the_schema_is_that_of_the_installed_conventions() -> None:
    assert list(Schemas)[-1].value == conventions.SCHEMA_URL


def test_shipping_and_workers_are_told(tmp_path: Path) -> None:
    config = write_config(Wanted(tmp_path, "http://127.0.0.1:9", workers=2), "http://127.0.0.1:9", 9)
    facts = SupervisorFacts(workers_wanted=2, workers_live=1)
    facts.deaths[1] += 1
    facts.shipping_failures["unreachable"] += 3
    facts.fail(frozenset({"audit_store"}), of=frozenset({"audit_store"}))
    reader = InMemoryMetricReader()
    SupervisorMetrics(MeterProvider([reader]).get_meter("tests"), load_settings(config), facts)
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        metric.name: {tuple((point.attributes or {}).values()): point.value for point in metric.data.data_points}  # type: ignore[union-attr]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert found["extproc.workers"] == {("wanted",): 2, ("live",): 1}
    assert found["extproc.worker.deaths"] == {("0",): 0, ("1",): 1}
    assert found["extproc.audit.shipping.failures"] == {("unreachable",): 3}
    assert found["extproc.control.failing"] == {
        ("audit_store",): 1, ("store_clock",): 0, ("configuration",): 0, ("audit_adoption",): 0,
    }  # fmt: skip
    assert found["extproc.control.failures"] == {("audit_store",): 1, ("store_clock",): 0, ("configuration",): 0}
    assert "extproc.audit.shipping.last_success" not in found
