"""The table of values in the chart's README, made of values.yaml's comments. `make chart` writes it."""

import json
from collections.abc import Iterator

from tests.helm.values import CHART, Value, read_values

README = CHART / "README.md"
BEGIN = "<!-- values: `make chart` writes this table -->"
END = "<!-- end of values -->"
_SHOWN = 60


def values_table(values: tuple[Value, ...]) -> str:
    rows = [row for value in values for row in _rows(value)]
    return "\n".join(["| value | default | what it is |", "|---|---|---|", *rows])


def _rows(value: Value) -> Iterator[str]:
    """A mapping has a row of its own: the texts of what is in it speak of it."""
    if not value.children:
        yield _row(value)
        return
    yield f"| **`{'.'.join(value.path)}`** | | {_cell(value.text)} |"
    for child in value.children:
        yield from _rows(child)


def _row(value: Value) -> str:
    default = json.dumps(value.default, ensure_ascii=False)
    shown = f"`{default}`" if len(default) <= _SHOWN else "see values.yaml"
    choices = (
        "" if "enum" not in value.said else " One of " + ", ".join(f"`{each}`" for each in value.said["enum"]) + "."
    )
    return f"| `{'.'.join(value.path)}` | {shown} | {_cell(value.text)}{choices} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def with_table(readme: str) -> str:
    """`readme` with the table between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{values_table(read_values())}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
