"""What the chart promises about itself: no value without a use, no template without a case, no address of a registry."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.helm.rendering import CASES, CHART
from tests.helm.values import Value, read_values

TEMPLATES = sorted(path for path in (CHART / "templates").rglob("*") if path.suffix in (".yaml", ".tpl", ".txt"))
TEXT = "\n".join(path.read_text("utf-8") for path in TEMPLATES)
ELSEWHERE = {"templates/monitoring/dashboards.yaml"}
"""Rendered in `tests/monitoring`: its objects are the files of `dashboards/` once more, 140 kB of them."""
OPEN = {"config", "global"}
"""What stands in them is not the chart's to name."""


def test_every_value_is_used_by_a_template() -> None:
    """By its own name, or a mapping above it is handed over whole."""
    unused = [".".join(value.path) for top in read_values() for value in top.leaves() if not _used(value)]
    assert unused == []


def _used(value: Value) -> bool:
    if re.search(rf"(?<![\w-]){re.escape(value.key)}(?![\w-])", TEXT):
        return True
    return any(re.search(rf"\.{re.escape(above)}(?![\w.-])", TEXT) for above in value.path[1:-1])


def test_every_value_that_a_template_uses_is_declared() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    used = {match.rstrip(".") for match in re.findall(r"\.Values\.([A-Za-z][A-Za-z0-9.]*)", TEXT)}
    assert used
    assert sorted(path for path in used if not _declared(values, path.split("."))) == []


def _declared(values: Any, path: list[str]) -> bool:
    if not path or (isinstance(values, dict) and not values):
        return True
    if path[0] in OPEN:
        return path[0] in values
    return isinstance(values, dict) and path[0] in values and _declared(values[path[0]], path[1:])


def test_every_template_of_objects_is_rendered_by_a_case() -> None:
    said = "\n".join(path.read_text("utf-8") for path in CASES.glob("*.out.yaml"))
    rendered = set(re.findall(r"^# Source: extproc/(\S+)$", said, re.MULTILINE))
    objects = {str(path.relative_to(CHART)) for path in TEMPLATES if path.suffix == ".yaml"}
    assert objects - rendered == ELSEWHERE


def test_every_template_of_words_is_used() -> None:
    defined = set(re.findall(r'define "([^"]+)"', TEXT))
    used = set(re.findall(r'(?:include|template) "([^"]+)"', TEXT + _examples()))
    assert sorted(used - defined) == []
    assert sorted(name for name in defined - used if not name.startswith("extproc.sidecar")) == []


def _examples() -> str:
    return "\n".join(
        path.read_text("utf-8") for path in CHART.rglob("*") if path.is_file() and path.suffix in (".md", ".yaml")
    )


def test_no_registry_is_named() -> None:
    """Whose images are run is said by whoever installs; the model servers of examples have the names that their projects give."""
    hosts = re.compile(
        r"\b(docker\.io|ghcr\.io|quay\.io|gcr\.io|registry\.k8s\.io|mcr\.microsoft\.com|public\.ecr\.aws)\b"
    )
    named = [
        path.name
        for path in [*TEMPLATES, CHART / "values.yaml", Path(CHART / "Chart.yaml")]
        if hosts.search(path.read_text("utf-8"))
    ]
    assert named == []
