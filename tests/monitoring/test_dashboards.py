"""The dashboards are as described, hold together, and ask for what there is."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.dashboards import DASHBOARDS, path_of, written
from tests.monitoring.metric_names import known_names, names_in
from tests.monitoring.panels import SCHEMA_VERSION, WIDE
from tests.monitoring.rules import CHART, alerts, promtool

LOADED: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((CHART / "dashboards").glob("*.json"))
}
UNITS = {"reqps", "percentunit", "s", "ms", "short", "bytes", "ops", "cps", "bool_yes_no", "d"}
VARIABLES = {"$namespace": ".*", "$deployment": ".*", "$model": ".*", "$__rate_interval": "5m"}


def panels(name: str) -> list[dict[str, Any]]:
    """All but rows."""
    return [panel for panel in LOADED[name]["panels"] if panel["type"] != "row"]


def asked(expression: str) -> str:
    """What Prometheus gets to see."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def expressions() -> list[str]:
    return [target["expr"] for name in LOADED for panel in panels(name) for target in panel["targets"]]


def test_the_files_are_what_the_description_says() -> None:
    assert {path_of(each): written(each) for each in DASHBOARDS} == {
        path: path.read_text("utf-8") for path in (CHART / "dashboards").iterdir()
    }


def test_each_dashboard_has_an_address_and_a_title_of_its_own() -> None:
    assert {name: board["uid"] for name, board in LOADED.items()} == {name: f"extproc-{name}" for name in LOADED}
    assert len({board["title"] for board in LOADED.values()}) == len(LOADED) == 6


@pytest.mark.parametrize("name", LOADED)
def test_a_dashboard_holds_together(name: str) -> None:
    board = LOADED[name]
    assert board["schemaVersion"] == SCHEMA_VERSION
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    for one, other in itertools.combinations([panel["gridPos"] for panel in board["panels"]], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= WIDE for p in board["panels"])
    titles = [(panel["title"], panel["type"]) for panel in panels(name)]
    assert len(set(titles)) == len(titles)
    assert all(panel["title"] and panel["description"].endswith(".") for panel in panels(name))


@pytest.mark.parametrize("name", LOADED)
def test_a_dashboard_reads_the_data_source_that_is_chosen(name: str) -> None:
    board = LOADED[name]
    variables = {each["name"]: each for each in board["templating"]["list"]}
    assert {"datasource", "namespace", "deployment"} <= set(variables)
    sources = {
        json.dumps(each)
        for panel in panels(name)
        for each in (panel["datasource"], *(t["datasource"] for t in panel["targets"]))
    }
    assert sources == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}
    for panel in panels(name):
        for target in panel["targets"]:
            used = set(re.findall(r"\$(?!__)(\w+)", target["expr"]))
            assert {"namespace", "deployment"} <= used <= set(variables), panel["title"]


@pytest.mark.parametrize("name", LOADED)
def test_every_panel_has_a_unit(name: str) -> None:
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in panels(name)} <= UNITS


def test_every_expression_parses(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{at}", "expr": asked(each)} for at, each in enumerate(expressions())]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    assert f"{len(rules)} rules found" in promtool("check", "rules", "--lint=none", str(path))


def test_every_metric_that_a_panel_asks_for_exists() -> None:
    assert {name for each in expressions() for name in names_in(each)} - known_names() == set()


def test_percentiles_of_our_own_lead_to_their_traces() -> None:
    """By exemplars: Envoy's histograms have none."""
    for name in LOADED:
        for panel in panels(name):
            first = panel["targets"][0]
            timed = (
                panel["type"] in {"timeseries", "heatmap"}
                and "_bucket" in first["expr"]
                and "envoy_" not in first["expr"]
            )
            assert all(target["exemplar"] is timed for target in panel["targets"]), panel["title"]


def test_links_to_the_runbook_lead_to_sections() -> None:
    links = [link["url"] for name in LOADED for panel in panels(name) for link in panel.get("links", ())]
    assert len(links) > 20
    assert set(links) <= {rule["annotations"]["runbook_url"] for rule in alerts().values()}


def test_an_alert_that_wakes_somebody_has_a_panel() -> None:
    """Where it can be seen how it came about; pods are on the dashboards that every cluster has."""
    text = json.dumps(list(LOADED.values()))
    for name, rule in alerts().items():
        if rule["labels"]["severity"] == "critical" and "kube_" not in rule["expr"]:
            read = {each.removesuffix("_bucket") for each in names_in(rule["expr"]) if not each.startswith("extproc:")}
            assert not read or any(each in text for each in read), name
