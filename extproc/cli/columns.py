"""Rows of text as aligned lines that no terminal's width breaks: what stands there is copied from."""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

_GAP = "  "


def align(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """A line for each row; columns are as wide as their widest cell. Cells hold no control characters."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield _GAP.join(cells).rstrip()
