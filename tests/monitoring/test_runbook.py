"""Every alert has its section and every section its alert; what sections name exists; every failure of the README is there."""

import re

import click
import pytest

from extproc.cli.main import main
from tests.monitoring.metric_names import known_names, names_in
from tests.monitoring.rules import CHART, ROOT, alerts

TEXT = (CHART / "RUNBOOK.md").read_text("utf-8")
PARTS = ["Means", "Clients see", "Look", "Mend", "Wake somebody"]
SECTIONS = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL))
SPANS = [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", TEXT)]
FOLLOW = (CHART / "OBSERVABILITY.md").read_text("utf-8")
COMMANDS = sorted(
    {span for span in SPANS if span.startswith("extproc ")}
    | set(re.findall(r" -- (extproc .+)$", FOLLOW, re.MULTILINE))
)


def table(text: str) -> list[list[str]]:
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return rows[1:]


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert sorted(SECTIONS) == sorted(alerts())


def test_a_section_is_found_by_the_alerts_link() -> None:
    anchors = {name.lower() for name in SECTIONS}
    links = {rule["annotations"]["runbook_url"].partition("#")[2] for rule in alerts().values()}
    assert links == anchors


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_section_says_the_five_things(name: str) -> None:
    said = re.findall(r"^\*\*([^*]+)\.\*\* (.+)$", SECTIONS[name], re.MULTILINE)
    assert [part for part, _ in said] == PARTS


def test_a_section_of_a_critical_alert_says_whom_to_wake() -> None:
    graded = {name: rule["labels"]["severity"] for name, rule in alerts().items()}
    never = {name for name, text in SECTIONS.items() if re.search(r"\*\*Wake somebody\.\*\* Never\.", text)}
    assert {graded[name] for name in never} <= {"info", "warning"}


def test_every_failure_of_the_readme_has_an_alert_or_a_reason() -> None:
    readme = (ROOT / "README.md").read_text("utf-8").split("## When something fails")[1].split("\n## ")[0]
    covered = table(TEXT.split("# Which failure has which alert")[1])
    assert [row[0] for row in covered] == [row[0] for row in table(readme)]
    for _, how in covered:
        named = re.findall(r"\bExtproc\w+", how)
        assert set(named) <= set(alerts())
        assert named or how.startswith("no alert: ")


def test_every_command_of_the_runbook_exists() -> None:
    assert COMMANDS
    for line in COMMANDS:
        check_command(line)


def check_command(line: str) -> None:
    command: click.Command = main
    words = line.split()[1:]
    while words and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, line
        command = found
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, line
    assert not words or not isinstance(command, click.Group), line


def test_what_the_page_for_following_a_request_names_exists() -> None:
    """Ports, values and the attributes of spans."""
    values = (CHART / "values.yaml").read_text("utf-8")
    spans = (ROOT / "extproc" / "edge" / "span_attributes.py").read_text("utf-8")
    for name in re.findall(r"`monitoring\.(\w+)\.enabled`", FOLLOW):
        assert f"\n  {name}:\n" in values
    for name in re.findall(r"`(extproc\.[a-z_]+)`", FOLLOW):
        assert f'"{name}"' in spans, name
    assert {name for span in re.findall(r"`([^`]+)`", FOLLOW) for name in names_in(span)} <= known_names()


def test_every_metric_that_the_runbook_names_is_one_of_ours_or_envoys() -> None:
    named = {name for span in SPANS for name in names_in(span)}
    assert {"extproc_audit_lag_seconds", "extproc_refusals_total"} <= named
    assert named <= known_names()
