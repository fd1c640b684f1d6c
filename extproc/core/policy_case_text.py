"""What of a policy's cases a person may see, whatever the policy masks: printable, bounded, without card data."""

import functools

from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.printable import printable_line
from extproc.core.reasons import ExchangeError

NOTHING = "(nothing)"
_MAX_TOLD = 300
"""Characters told of one value."""


@functools.cache
def _strict() -> Scanner:
    return Scanner(MaskingSettings())


def shown(text: str) -> str:
    """As a person may see it, whatever the policy masks: printable, bounded, without card data."""
    return _cut(_safe(text), 0)


def _safe(text: str) -> str:
    try:
        return printable_line(str(_strict().masker().mask_text(text)))
    except ExchangeError:
        return "(text that cannot be shown)"


def _cut(text: str, begin: int) -> str:
    """From `begin` on; masked before, so that no part of a card number is left."""
    lead = "…" if begin else ""
    rest = text[begin:]
    return lead + (rest if len(rest) <= _MAX_TOLD else rest[: _MAX_TOLD - 1] + "…") or NOTHING


def shown_apart(expected: str, actual: str) -> tuple[str, str]:
    """Both, of long texts from a little before where they part."""
    one, other = _safe(expected), _safe(actual)
    if one == other:
        return _cut(one, 0), "different in card data that is not shown"
    apart = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    begin = max(0, apart - 60) if max(len(one), len(other)) > _MAX_TOLD else 0
    return _cut(one, begin), _cut(other, begin)
