"""Values of the chart: every one is explained, and a wrong one is refused with words that help."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helm import values_schema, values_table
from tests.helm.values import Undocumented, read_values


def test_the_schema_is_that_of_the_comments() -> None:
    """`make chart` writes it."""
    assert values_schema.SCHEMA.read_text("utf-8") == values_schema.text()


def test_the_table_is_that_of_the_comments() -> None:
    """`make chart` writes it."""
    readme = values_table.README.read_text("utf-8")
    assert readme == values_table.with_table(readme)


def test_the_schema_is_closed() -> None:
    """Open are what the API server checks and helm's own `global`; and of a policy the bodies of its cases."""
    schema = json.loads(values_schema.text())
    own = {name: schema["definitions"][name] for name in ("config", "strings")} | {"values": schema["properties"]}
    assert _open(own, ()) == sorted(OPEN)


OPEN = [
    "values.anchor.properties.extraVolumes.items",
    "values.console.properties.extraVolumes.items",
    "values.gateway.properties.autoscaling.properties.behavior",
    "values.gateway.properties.autoscaling.properties.metrics.items",
    "values.gateway.properties.extraVolumes.items",
    "values.global",
    "values.networkPolicy.properties.egress.properties.extra.items",
    "values.sidecar.properties.pod",
]


def _open(node: Any, path: tuple[str, ...]) -> list[str]:
    if isinstance(node, list):
        return [place for index, each in enumerate(node) for place in _open(each, (*path, str(index)))]
    if not isinstance(node, dict):
        return []
    found = [place for key, each in node.items() for place in _open(each, (*path, key))]
    if node.get("type") == "object" and node.get("additionalProperties", True) is True:
        found.append(".".join(path))
    return sorted(found)


@pytest.mark.parametrize(
    "text", ["a: 1\n", "# a\na: 1\n", "# -- a\na:\n  b: 1\n", "# -- a\na: {}\n", "# -- a\na: []\n"]
)
def test_a_value_without_a_text_or_a_type_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(text)
    with pytest.raises(Undocumented):
        read_values(path)


def test_what_is_said_of_a_type_stands_in_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("# -- How many,\n# of them.\n# @schema {minimum: 1}\na: 2\n")
    schema = values_schema.values_schema(read_values(path))
    assert schema["properties"]["a"] == {"type": "integer", "description": "How many, of them.", "minimum": 1}
