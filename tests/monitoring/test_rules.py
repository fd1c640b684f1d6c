"""Every alert fires when it should and not just before, as promtool sees it, and says what a person needs to read."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring import alert_cases, traffic_cases
from tests.monitoring.alert_case import Case
from tests.monitoring.metric_names import known_names, names_in
from tests.monitoring.rules import FILES, alerts, all_rules, promtool

CASES = {case.alert: case for case in (*alert_cases.CASES, *traffic_cases.CASES)}
SEVERITIES = {"critical", "warning", "info"}


def test_the_rules_are_sound() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", *map(str, FILES))


def test_every_alert_has_a_case_and_every_case_an_alert() -> None:
    assert sorted(CASES) == sorted(alerts())
    assert len(CASES) == len(alert_cases.CASES) + len(traffic_cases.CASES)


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_says_how_grave_it_is_and_where_to_read_on(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"RUNBOOK.md#{name.lower()}"
    assert rule["annotations"]["summary"].endswith(".")


def file_of(alert: str) -> Path:
    (file,) = [each for each in FILES if f"alert: {alert}\n" in each.read_text("utf-8")]
    return file


def expected(case: Case) -> dict[str, Any]:
    rule = alerts()[case.alert]
    assert ("{{" in rule["annotations"]["description"]) is bool(case.description), case.alert
    said = {**rule["annotations"], "summary": case.summary}
    if case.description:
        said["description"] = case.description
    return {"exp_labels": {**case.labels, **rule["labels"]}, "exp_annotations": said}


def looks(case: Case) -> list[dict[str, Any]]:
    """Series that make it fire, beside series of another namespace that are just under: opening a database takes longest."""
    early: dict[int, list[dict[str, Any]]] = {} if case.early is None else {case.early: []}
    calm = {name.replace('namespace="llm"', 'namespace="calm"'): values for name, values in case.calm.items()}
    if any('namespace="calm"' not in name for name in calm) or not case.labels:
        return [
            look(case, case.fires, {**early, case.minutes: [expected(case)]}),
            look(case, case.calm, {**early, case.minutes: []}),
        ]
    return [look(case, {**case.fires, **calm}, {**early, case.minutes: [expected(case)]})]


def look(case: Case, series: dict[str, str], times: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "interval": f"{case.step}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minutes}m", "alertname": case.alert, "exp_alerts": found}
            for minutes, found in times.items()
        ],
    }


RUNS = sorted({(file_of(case.alert).name, case.step) for case in CASES.values()})


@pytest.mark.parametrize(("file", "step"), RUNS)
def test_alerts_fire_and_not_just_under(file: str, step: int, tmp_path: Path) -> None:
    """One run of promtool for all that one file says: a process an alert would take five times as long."""
    cases = [case for case in CASES.values() if (file_of(case.alert).name, case.step) == (file, step)]
    document = {
        "rule_files": [str(file_of(cases[0].alert))],
        "evaluation_interval": f"{step}m",
        "tests": [look for case in cases for look in looks(case)],
    }
    path = tmp_path / "cases.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    promtool("test", "rules", str(path))


def test_windows_of_an_objective_differ_by_the_window_only() -> None:
    recorded = [rule for rule in all_rules() if "record" in rule]
    assert len(recorded) == 14
    for indicator, rules in itertools.groupby(recorded, lambda rule: rule["record"].rpartition("_rate")[0]):
        shapes = set()
        for rule in rules:
            window = rule["record"].rpartition("_rate")[2]
            assert set(re.findall(r"\[(\w+)\]", rule["expr"])) == {window}
            shapes.add(rule["expr"].replace(f"[{window}]", "[]"))
        assert len(shapes) == 1, indicator


def test_every_metric_that_a_rule_reads_exists() -> None:
    read = {name for rule in all_rules() for name in names_in(rule["expr"])}
    assert len(read) > 30
    assert read - known_names() == set()
