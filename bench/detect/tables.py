"""The tables that `run` prints."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from rich.table import Table

from bench.detect.goals import Goal
from bench.detect.precision import FalseShare, RealText
from bench.detect.recall import Recall

PLACES_SHOWN: Final = 5
"""Of one file; `bench/out/detect.json` has them all."""


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table


def recall_table(title: str, recall: Recall, tools: Sequence[str]) -> Table:
    """How many of the cards of each row were found, by tool."""
    table = _table(title, title.rsplit(" by ", maxsplit=1)[-1], "cards", *tools)
    for row, asked in recall.asked.items():
        table.add_row(row, str(asked), *(_share(recall, row, tool) for tool in tools))
    table.add_section()
    total = recall.asked.total()
    sums = [sum(recall.found[row, tool] for row in recall.asked) for tool in tools]
    table.add_row("all", str(total), *(f"{100 * found / total:.1f} %" if total else "-" for found in sums))
    return table


def _share(recall: Recall, row: str, tool: str) -> str:
    found, asked = recall.found[row, tool], recall.asked[row]
    return "100 %" if found == asked else f"{found} = {recall.share(row, tool):.1f} %"


def negatives_table(shares: Iterable[FalseShare], tools: Sequence[str]) -> Table:
    """The share of samples of each kind in which something was masked, by tool."""
    table = _table("false masks by kind of number", "kind", "samples", *tools, "goal")
    for share in shares:
        most = share.negative.most
        goal = "-" if most is None else f"<= {100 * most:g} %"
        table.add_row(
            share.negative.name,
            str(share.samples),
            *(f"{share.percent(tool):.2f} %" if share.masked[tool] else "0" for tool in tools),
            goal,
        )
    return table


def real_text_table(result: RealText, tools: Sequence[str]) -> Table:
    """False masks in real text, and how many per megabyte, by tool."""
    table = _table("false masks in real text", "source", "MB", *tools)
    for source, megabytes in result.megabytes.items():
        cells = (f"{result.false[source, tool]} = {result.per_megabyte(source, tool):.2f}/MB" for tool in tools)
        table.add_row(source, f"{megabytes:.1f}", *cells)
    return table


def places_table(result: RealText) -> Table:
    """The places in real text that ours masks, and why: of each file and kind the first few. No digit of them."""
    table = _table("what ours masks in real text", "source", "path", "offset", "kind", "judged")
    rows = [(one, "UNEXPLAINED") for one in result.unexplained]
    rows += [(one, f"{'card' if why.card else 'no card'}: {why.reason}") for one, why in result.explained]
    for _, group in groupby(rows, lambda row: (row[0].source, row[0].path, row[0].kind, row[1])):
        same = list(group)
        for one, why in same[:PLACES_SHOWN]:
            table.add_row(one.source, one.path, str(one.offset), one.kind.value, why)
        if len(same) > PLACES_SHOWN:
            one, why = same[0]
            table.add_row(one.source, one.path, f"{len(same) - PLACES_SHOWN} more", one.kind.value, why)
    return table


def goals_table(goals: Iterable[Goal]) -> Table:
    table = _table("goals", "measure", "unit", "value", "goal", "")
    for goal in goals:
        table.add_row(*goal.as_row())
    return table
