"""What several looks at one text found, as one list of finds that do not overlap."""

import re
from dataclasses import replace

from extproc.core.masking.alphabet import SEPARATOR_CLASS
from extproc.core.masking.mask import LABELS
from extproc.core.masking.settings import Kind
from extproc.core.masking.walk import Found

_match_gap = re.compile(f"[{SEPARATOR_CLASS}]*").match


def merged(
    text: str, found: list[Found], base: int = 0, covered: int = 0, decided: int | None = None, *, after: str = ""
) -> list[Found]:
    """The finds that begin before `decided`, in order and without overlaps; `text` begins at the offset `base`.

    What was found twice is found once, and of the rest what is left of it, of a card from its next digit on. What ends
    before `covered` was found already. A find that a rule swallows piece by piece goes on before anything else that
    begins in it. What begins in a track is part of it: its data are digits of any kind. `after` is the kind of what
    ends at `covered`.
    """
    apart: list[Found] = []
    named = _unnamed_over_cards(found)
    going_on = {one.start: one for one in found if one.rest and one.kind not in LABELS}
    for one in sorted(named, key=_order):
        if decided is not None and one.start >= decided:
            break
        while covered in going_on and going_on[covered].kind == after:
            apart.append(going_on.pop(covered))
            covered = apart[-1].end
        if one.rest and one.kind not in LABELS and (one.start > covered or one.kind != after):
            continue  # of what is not masked itself
        if one.end > covered and not (after == Kind.TRACK and one.start < covered):
            if one.start < covered:
                start = _first_digit(one, text, base, covered) if after in LABELS else covered
                one = one.between(start, one.end, rest=True)  # noqa: PLW2901
            apart.append(one)
            covered, after = one.end, one.kind
    while covered in going_on and going_on[covered].kind == after:
        apart.append(going_on.pop(covered))
        covered = apart[-1].end
    return apart


def _first_digit(one: Found, text: str, base: int, covered: int) -> int:
    """Where a card goes on behind another that covers its beginning."""
    gap = _match_gap(text, covered - base) if covered >= base else None
    start = max(gap.end() + base, covered) if gap else covered
    return start if start < one.end else covered


def _unnamed_over_cards(found: list[Found]) -> list[Found]:
    """The finds; those of rules that hold card data, or a part of it, lose their names: nothing stands for these."""
    cards = [one for one in found if one.kind in LABELS]
    if not cards or len(cards) == len(found):
        return found
    return [
        replace(one, unnamed=True)
        if one.kind not in LABELS and any(card.start < one.end and one.start < card.end for card in cards)
        else one
        for one in found
    ]


def _order(one: Found) -> tuple[int, int, bool, str]:
    """What is longer comes first, then cards, then any order that does not depend on who was quicker."""
    return one.start, -one.end, one.kind not in LABELS, one.kind
