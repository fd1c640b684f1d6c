"""A real Prometheus reads the real service, evaluates the chart's rules and answers what the dashboards ask."""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.local.ports import free_port
from tests.helm.rendering import render
from tests.monitoring.dashboards import DASHBOARDS
from tests.monitoring.metric_names import ENVOY, names_in, our_names
from tests.monitoring.panels import Panel
from tests.monitoring.picture import page
from tests.monitoring.prometheus import Prometheus, Scrape, hurried, run_prometheus
from tests.monitoring.rules import all_rules, promtool

PAN = "4111 1111 1111 1111"
WORD = "quokka"
LABELS = {"namespace": "inference", "deployment": "payments-chat"}
"""Those of the rendered case: here Prometheus puts them on, there the ServiceMonitor."""
SOMETIMES = {
    "extproc_audit_shipping_failures_total": "the store takes everything, until the last test here",
    "extproc_budget_logged_total": "no budget in this policy: tests/edge/telemetry",
    "extproc_console_events_total": "nobody logs in: tests/console/test_console_metrics.py",
    "extproc_notifications_total": "no channel is configured: tests/console/test_console_metrics.py",
}
"""Metrics that are there only once something happened, and which test has it happen."""
KUBERNETES = "kube_"
_CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]%b}\n\n'
_SAID = b'{"index":0,"delta":{"content":"word "},"finish_reason":null}'
_USAGE = b',"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}'
ROUNDS = 4
"""Of `use`, each about 2 s for its hold: a rate needs two scrapes with something between them."""
COUNTED = [*[_CHUNK % (_SAID, b"")] * 4, _CHUNK % (b"", _USAGE), b"data: [DONE]\n\n"]
"""A streamed answer that says how many tokens it has."""


@dataclass(frozen=True, slots=True)
class Seen:
    world: Any
    prometheus: Prometheus
    pages: dict[str, str]
    """What each process shows, by its job."""


def use(world: Any) -> None:
    """Exchanges of every kind: allowed, masked both ways, streamed, denied, held, without a token, malformed, withheld."""
    url = world.guard.url
    headers = world.headers(content_type="application/json")
    world.chat(f"{WORD} {PAN} cvv 737")
    world.stream_text(WORD, ["ok ", "card 4111 1111 1111", " 1111 ok"], pause=0.02)
    httpx.post(f"{url}/v1/load_lora_adapter", json={}, headers=headers, timeout=30)
    httpx.post(f"{url}/v1/chat/completions", content=b"{broken", headers=headers, timeout=30)
    httpx.get(f"{url}/v1/models", timeout=30)
    world.chat(WORD, model="brief-1")
    world.upstream.answer = lambda handler, _: handler.chunks(200, "text/event-stream", COUNTED, 0.02)
    world.chat(WORD, stream=True)
    world.upstream.answer = lambda handler, _: handler.whole(200, "image/png", b"\x89PNG")
    world.chat(WORD)
    world.upstream.answer = lambda handler, _: handler.whole(500, "application/json", b'{"error":{"message":"no"}}')
    world.chat(WORD)
    world.upstream.answer = None


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, make_world: Any) -> Iterator[Seen]:
    directory = tmp_path_factory.mktemp("scraped")
    workers, console, supervisor, status = free_port(), free_port(), free_port(), free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        patch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        world, stop = make_world(
            directory / "guard",
            workers=1,
            console_port=free_port(),
            otlp_endpoint="http://127.0.0.1:9",
            metrics_port=workers,
            overrides={
                "telemetry": {"supervisor_metrics_port": supervisor},
                "envoy": {"status_address": "127.0.0.1", "status_port": status},
                "console": {"metrics_port": console},
            },
        )
    try:
        scrapes = (
            Scrape("worker", (f"127.0.0.1:{workers}",)),
            Scrape("supervisor", (f"127.0.0.1:{supervisor}",)),
            Scrape("console", (f"127.0.0.1:{console}",)),
            Scrape("envoy", (f"127.0.0.1:{status}",), "/stats/prometheus"),
        )
        (rule,) = [each for each in render("monitoring").documents if each["kind"] == "PrometheusRule"]
        with run_prometheus(directory / "prometheus", scrapes, hurried([rule["spec"]]), **LABELS) as prometheus:
            prometheus.wait(
                lambda: len(prometheus.query("max_over_time(up[1m]) == 1")) == len(scrapes), "every port answers", 60
            )
            for _ in range(ROUNDS):
                use(world)
            time.sleep(2.5)
            pages = {each.job: httpx.get(f"http://{each.targets[0]}{each.path}", timeout=10).text for each in scrapes}
            yield Seen(world, prometheus, pages)
    finally:
        stop()


@pytest.mark.parametrize("job", ["worker", "supervisor", "console"])
def test_promtool_finds_no_fault_with_what_a_process_shows(seen: Seen, job: str) -> None:
    assert "\nextproc_" in seen.pages[job]
    assert promtool("check", "metrics", stdin=seen.pages[job]) == ""


def test_every_metric_that_rules_and_dashboards_read_is_there(seen: Seen) -> None:
    asked = {name for rule in all_rules() for name in names_in(rule["expr"])}
    asked |= {
        name
        for board in DASHBOARDS
        for panel in board.panels
        for target in panel.targets
        for name in names_in(target.expr)
    }
    found = seen.prometheus.names()
    missing = {name for name in asked if name not in found and not name.startswith(KUBERNETES)}
    assert missing == set(SOMETIMES) & asked


def test_the_table_of_metrics_is_what_the_processes_show(seen: Seen) -> None:
    shown = {name for name in seen.prometheus.names() if name.startswith(("extproc_", "gen_ai_"))}
    assert shown - our_names() == set()
    assert seen.prometheus.names() >= ENVOY


def test_every_rule_is_evaluated_without_an_error(seen: Seen) -> None:
    groups = seen.prometheus.ask("rules")["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
    assert {each["name"] for group in groups for each in group["rules"]} > {
        "ExtprocAuditLag",
        "extproc:failed:ratio_rate1h",
    }


def test_what_holds_fires_and_what_does_not_is_silent(seen: Seen) -> None:
    """The collector of this world is down, its model server errs, and answers are withheld; nothing else is wrong but what refusing them costs."""
    seen.prometheus.wait(lambda: "ExtprocTelemetryDropped" in seen.prometheus.firing(), "dropped spans fire")
    firing = seen.prometheus.firing()
    assert firing <= {
        "ExtprocTelemetryDropped",
        "ExtprocAnswersWithheld",
        "ExtprocModelServerErrors",
        "ExtprocLatencyBurnsFast",
        "ExtprocLatencyBurnsSlowly",
    }


def filled(expression: str) -> str:
    for variable, value in {"$namespace": ".*", "$deployment": ".*", "$model": ".*", "$__rate_interval": "20s"}.items():
        expression = expression.replace(variable, value)
    return expression


def values_of(seen: Seen, expression: str) -> list[dict[str, Any]]:
    return [each for each in seen.prometheus.query(filled(expression)) if each["value"][1] != "NaN"]


PANELS = [(board.name, panel) for board in DASHBOARDS for panel in board.panels]
QUIET = {
    ("audit", "Passes that left something behind"),
    ("decisions", "Budgets: steps `log` met"),
    ("holds", "Attempts to tell"),
    ("holds", "The console's records"),
    ("overview", "First certificate to end"),
}
"""Panels of what does not happen here: `SOMETIMES`, and this Envoy has no certificate."""


@pytest.mark.parametrize(
    ("board", "panel"), PANELS, ids=[f"{name}-{panel.title}-{panel.kind}" for name, panel in PANELS]
)
def test_a_panel_shows_something(seen: Seen, board: str, panel: Panel) -> None:
    shown = [bool(values_of(seen, target.expr)) for target in panel.targets]
    assert any(shown) is ((board, panel.title) not in QUIET)


def test_the_dashboards_can_be_drawn(seen: Seen, tmp_path: Path) -> None:
    """`PICTURES=folder` keeps them, to be looked at; the panels without a line are those of `QUIET`."""
    folder = Path(os.environ.get("PICTURES") or tmp_path)
    now = time.time()

    def ask(expression: str) -> list[dict[str, Any]]:
        asked = filled(expression)
        found = seen.prometheus.ask("query_range", query=asked, start=str(now - 60), end=str(now), step="2")
        return list(found["result"])

    for board in DASHBOARDS:
        text = page(board, ask)
        (folder / f"{board.name}.html").write_text(text, "utf-8")
        assert text.count("No data") == len([title for name, title in QUIET if name == board.name]), board.name


def test_a_percentile_leads_to_a_trace(seen: Seen) -> None:
    now = time.time()
    for metric in ("extproc_exchange_duration_seconds_bucket", "extproc_added_duration_seconds_bucket"):
        found = seen.prometheus.ask("query_exemplars", query=metric, start=str(now - 60), end=str(now))
        ids = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}
        assert ids
        assert all(len(each) == 32 and int(each, 16) for each in ids)


def test_nothing_that_was_said_is_in_what_was_scraped(seen: Seen) -> None:
    told = json.dumps(seen.prometheus.ask("series", **{"match[]": '{__name__!=""}'})) + "".join(seen.pages.values())
    for secret in (WORD, PAN, "4111111111111111", seen.world.token().split(".")[2], "model-key-of-ours", "no-such"):
        assert secret not in told


def test_a_dead_worker_fires_its_alert(seen: Seen) -> None:
    assert "ExtprocWorkerRestarted" not in seen.prometheus.firing()
    os.kill(seen.world.worker_pids()[0], signal.SIGKILL)
    seen.prometheus.wait(lambda: "ExtprocWorkerRestarted" in seen.prometheus.firing(), "a dead worker fires")
    (alert,) = [
        each
        for each in seen.prometheus.ask("alerts")["alerts"]
        if each["labels"]["alertname"] == "ExtprocWorkerRestarted"
    ]
    assert alert["labels"]["severity"] == "warning"
    assert alert["annotations"]["summary"].startswith("A worker died and was started again (payments-chat, 127.0.0.1:")
    seen.prometheus.wait(lambda: bool(seen.prometheus.query('up{job="worker"} == 1')), "the next worker answers")


def test_an_audit_store_that_takes_nothing_fires_its_alert_and_is_quiet_when_it_is_back(seen: Seen) -> None:
    store = seen.world.guard.settings.audit.store.directory
    away = store.with_name("store-away")
    store.rename(away)
    store.write_bytes(b"no directory")
    try:
        seen.world.chat("one more record")
        seen.prometheus.wait(lambda: "ExtprocAuditStoreFails" in seen.prometheus.firing(), "a store that is away fires")
    finally:
        store.unlink()
        away.rename(store)
    seen.prometheus.wait(lambda: "ExtprocAuditStoreFails" not in seen.prometheus.firing(), "it is quiet again")
