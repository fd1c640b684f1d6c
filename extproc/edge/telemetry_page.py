"""`python -m extproc.edge.telemetry_page` writes the table of metrics into TELEMETRY.md; a test compares."""

import re
from pathlib import Path
from typing import Final

from extproc.edge.metric_table import TABLE, Metric

PAGE: Final = Path(__file__).with_name("TELEMETRY.md")
_TABLE: Final = re.compile(r"(?<=<!-- metrics -->\n).*?(?=<!-- /metrics -->)", re.DOTALL)
_HEAD: Final = "| metric | kind, unit | labels | of | what it says |\n|---|---|---|---|---|\n"


def rendered() -> str:
    """The page with the table that it is to have."""
    return _TABLE.sub(lambda _: _HEAD + "".join(map(_row, TABLE)), PAGE.read_text("utf-8"))


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    of = ", ".join(metric.of)
    return f"| `{metric.scraped}` | {metric.kind.value}, {metric.unit} | {labels} | {of} | {metric.description} |\n"


if __name__ == "__main__":
    PAGE.write_text(rendered(), "utf-8")
