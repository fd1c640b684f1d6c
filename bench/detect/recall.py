"""Which cards are found: every brand and length of the table in every layout."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.detect.cards import Card
from bench.detect.layouts import LAYOUTS, Layout
from bench.detect.tools import Tool
from extproc.core.masking.iin import Tier

Key = tuple[str, str]


@dataclass(slots=True)
class Recall:
    """Counts by row and tool; `asked` by row. Rows of one table are told apart by their first word."""

    asked: Counter[str] = field(default_factory=Counter)
    found: Counter[Key] = field(default_factory=Counter)

    def note(self, row: str, tool: str, found: bool) -> None:
        self.found[row, tool] += found

    def share(self, row: str, tool: str) -> float:
        """The share found, in percent; of no question, nothing was missed."""
        return 100.0 * self.found[row, tool] / self.asked[row] if self.asked[row] else 100.0


@dataclass(slots=True)
class RecallTables:
    """Strong and national cards count in all three tables; those of the weak tier in rows of their own."""

    brand: Recall = field(default_factory=Recall)
    length: Recall = field(default_factory=Recall)
    layout: Recall = field(default_factory=Recall)
    weak: Recall = field(default_factory=Recall)

    def rows(self, card: Card, layout: Layout) -> list[tuple[Recall, str]]:
        if card.tier is Tier.WEAK:
            how = "in printed groups" if layout.printed else "otherwise"
            return [(self.weak, f"{card.brand}, {how}")]
        return [(self.brand, card.brand), (self.length, str(len(card.digits))), (self.layout, layout.name)]


def measure_recall(cards: Iterable[Card], tools: Sequence[Tool], layouts: Sequence[Layout] = LAYOUTS) -> RecallTables:
    """Asks every tool about every card in every layout."""
    tables = RecallTables()
    for card in cards:
        for layout in layouts:
            written = layout.write(card)
            rows = tables.rows(card, layout)
            for table, row in rows:
                table.asked[row] += 1
            for tool in tools:
                found = written.found(tool.find(written.text))
                for table, row in rows:
                    table.note(row, tool.name, found)
    return tables
