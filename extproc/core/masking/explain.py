"""Says in words why digits were masked, or why they were not. It asks the judges; no digit and no text is in the words.

What was masked is told by the engine. Of a number that stays this says which of the judge's conditions it fails; tests
hold the two against each other.
"""

from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from typing import Final

from extproc.core.masking.alphabet import DIGITS
from extproc.core.masking.context import (
    CARD_EXPIRY_WORDS,
    EXPIRY_PART_WORDS,
    EXPIRY_WORDS,
    PAN_WORDS,
    PIN_WORDS,
    Announcement,
)
from extproc.core.masking.effort import MAX_STEPS, Effort
from extproc.core.masking.iin import BRANDS, MAX_PAN_DIGITS, MIN_PAN_DIGITS, Brand, Tier, passes_luhn
from extproc.core.masking.neighbours import in_list
from extproc.core.masking.note import Note
from extproc.core.masking.pan import MIN_ANNOUNCED_DIGITS, Pan, Place, find_shapes, run_lengths
from extproc.core.masking.reader import Reader
from extproc.core.masking.run import Run, ends_truncated, is_brand_layout, is_layout, is_printed, read_run
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Kind
from extproc.core.masking.tape import MAX_HELD
from extproc.core.masking.tokens import goes_on, in_hex_token, in_iban

LOOK_BACK: Final = 256
"""Characters before a group of digits that its explanation may read; a judge reads fewer."""
LOOK_AHEAD: Final = 2 * MAX_HELD
"""Characters after it; a judge reads fewer."""

TOO_LONG: Final = f"part of a number of more than {MAX_PAN_DIGITS} digits"
NO_IIN: Final = "no issuer range begins so"
IN_A_LIST: Final = "in a list of numbers that are spaced and grouped alike"
IN_A_TOKEN: Final = "inside a UUID or a hexadecimal token"  # noqa: S105 - words, not a token
A_DECIMAL: Final = "the fraction of a decimal number"
A_FLOAT: Final = "goes on as a float does, with a fraction or an exponent"
AN_IBAN: Final = "inside an IBAN"
A_PHONE: Final = "a telephone number, after a plus sign"
TRUNCATED: Final = "beside the asterisks of a truncated PAN"
BY_KEY: Final = "its key, or the words before it, say so"
BESIDE: Final = "it stands beside a PAN"
STRIPE: Final = "magnetic stripe data"
BY_RULE: Final = "a rule of the policy"
SEEN: Final = "as a reader sees it, without escapes and markup"
REST: Final = "the rest of a PAN that shares digits with the one before"
# What a candidate is suppressed for when this character stands before it.
_SIGNS: Final = {".": A_DECIMAL, "+": A_PHONE}


class Explainer:
    """Explains what one scanner finds."""

    __slots__ = ("_judge", "_read", "_words")

    def __init__(self, scanner: Scanner) -> None:
        self._judge = scanner.judge
        self._read = tuple(brand for brand in BRANDS if brand.prefixes[0] in scanner.judge.table.prefixes)
        self._words = scanner.words

    def explain(
        self, text: str, masked: list[Note], *, start: int = 0, stop: int | None = None, primer: str = ""
    ) -> list[Note]:
        """Notes on what begins in `start..stop`: all of `masked`, and every number that could be a PAN and stays.

        That is a group of digits that begins a run of at least 12, no part of which is in `masked`. `masked` holds
        what was masked in `text`, in order. `primer` is what the key says under which `text` stands, as in `KeyRule`.
        """
        stop = len(text) if stop is None else stop
        ahead = len(primer)
        whole = primer + text
        shifted = [note.moved(ahead) for note in masked]
        notes: list[Note] = []
        masked_end = -1
        for note in shifted:
            if start + ahead <= note.start < stop + ahead:
                notes.append(replace(note, why=self._why(whole, note, ahead, masked_end)))
            masked_end = max(masked_end, note.end)
        notes += self._kept(whole, shifted, start + ahead, stop + ahead)
        notes.sort(key=lambda note: (note.start, note.end))
        return [note.moved(-ahead) for note in notes]

    def _kept(self, text: str, masked: list[Note], start: int, stop: int) -> list[Note]:
        notes: list[Note] = []
        ends = iter([*masked, Note(len(text) + 1, len(text) + 1, "")])
        coming = next(ends)
        masked_end = -1
        at = start
        while (group := DIGITS.search(text, at)) is not None and group.start() < stop:
            first, at = group.span()
            while coming.start < at and coming.start < first:
                masked_end = max(masked_end, coming.end)
                coming = next(ends)
            inside = first < masked_end or coming.start < at or (first > 0 and text[first - 1].isdecimal())
            if not inside and (note := self._stays(text, first, at, masked_end)):
                notes.append(note)
        return notes

    def _stays(self, text: str, first: int, group_end: int, masked_end: int) -> Note | None:
        """Why no PAN begins at `first`; `None` where too few digits stand for one."""
        if group_end - first > MAX_PAN_DIGITS:
            return Note(first, first + MAX_PAN_DIGITS + 1, "", TOO_LONG)
        run = read_run(text, first, final=True)
        if len(run.digits) < MIN_PAN_DIGITS:
            return None
        last, why = self.refusal(Place(text, first, masked_end, final=True), run)
        return Note(first, run.ends[last], "", why)

    def refusal(self, place: Place, run: Run) -> tuple[int, str]:
        """The group with which the best candidate ends, and which of the judge's conditions it fails."""
        text, first = place.text, place.start
        longest = run_lengths(run)[0][0]
        announced = self._words.pan_announced(text, first)
        if ends_truncated(text, first) and run.lens[0] == 4:
            return longest, TRUNCATED
        strong, weak = self._judge.table.lengths(run.digits)
        if not announced:
            if not strong | weak or not self._judge.may_begin(text, first):
                return longest, self._unread(run.digits) or NO_IIN
            if in_list(text, first, place.masked_end):
                return longest, IN_A_LIST
            for last, count in find_shapes(run, strong, weak):
                return last, f"{self._named(run, last, count)}, but {self._against(place, run, last)}"
        fails = [self._fails(run, last, count, strong, weak) for last, count in run_lengths(run)]
        _, last, why = max(fails, key=lambda failed: failed[0])
        return (
            last,
            f"announced, but not written as a number of {MIN_ANNOUNCED_DIGITS} digits or more" if announced else why,
        )

    def _fails(self, run: Run, last: int, count: int, strong: int, weak: int) -> tuple[int, int, str]:
        """How far it comes, the group with which it ends, and what it fails."""
        bit = 1 << count
        if not (strong | weak) & bit:
            names = ", ".join(brand.name for brand in self._read if run.digits.startswith(brand.prefixes))
            return 0, last, f"{count} digits: not a length of {names}" if names else f"{count} digits: {NO_IIN}"
        names = _names(self._brands(run.digits, count))
        if not passes_luhn(run.digits[:count]):
            return 1, last, f"{count} digits as of {names}: the check digit is wrong"
        lens, gaps = run.layout(last)
        if strong & bit or (len(lens) > 1 and is_layout(lens, gaps) and not is_brand_layout(lens)):
            return 2, last, f"{count} digits as of {names}: cards are not grouped {_layout(lens)} with such gaps"
        return 2, last, f"{count} digits as of {names}: of the tier weak, and neither printed as a card nor announced"

    def _against(self, place: Place, run: Run, last: int) -> str:
        """Which of the reasons to suppress a candidate holds."""
        lens, gaps = run.layout(last)
        end = run.ends[last]
        sign = place.text[place.start - 1 : place.start]
        if sign in _SIGNS and not self._judge.suppressed(*_without_sign(place, end), lens, gaps):
            return _SIGNS[sign]
        if not is_printed(lens) and goes_on(place.text, end, len(lens) > 1, final=True):
            return A_FLOAT
        if in_iban(place.text, place.start, end, final=True):
            return AN_IBAN
        return IN_A_TOKEN if in_hex_token(place.text, place.start, end, final=True) else IN_A_LIST

    def _why(self, text: str, note: Note, ahead: int, masked_end: int) -> str:
        match note.kind:
            case Kind.PAN:
                return self._why_pan(text, note, ahead, masked_end)
            case Kind.SECURITY_CODE:
                return _announcing(text, note.start, ahead, self._words.code) or BESIDE
            case Kind.PIN:
                return _announcing(text, note.start, ahead, PIN_WORDS) or BESIDE
            case Kind.EXPIRY:
                return (
                    _announcing(text, note.start, ahead, EXPIRY_WORDS, CARD_EXPIRY_WORDS, EXPIRY_PART_WORDS) or BESIDE
                )
            case Kind.TRACK:
                return STRIPE
            case Kind.PIN_BLOCK | Kind.CARDHOLDER:
                return BY_KEY
            case _:
                return BY_RULE

    def _why_pan(self, text: str, note: Note, ahead: int, masked_end: int) -> str:
        pan = self._judge.judge(text, note.start, masked_end, final=True)
        if not isinstance(pan, Pan) or pan.end != note.end:
            return self._why_seen(text, note, ahead) or REST
        run = read_run(text, note.start, final=True)
        last = run.ends.index(pan.end)
        count = len(pan.digits)
        if any(shape == (last, count) for shape in find_shapes(run, *self._judge.table.lengths(run.digits))):
            return self._named(run, last, count)
        announced = _announcing(text, note.start, ahead, PAN_WORDS)
        return f"{announced}; {count} digits, written {_layout(run.layout(last)[0])}"

    def _why_seen(self, text: str, note: Note, ahead: int) -> str:
        """Why it is a PAN where escapes and markup are read; empty when it is none by itself."""
        begin = max(0, note.start - LOOK_BACK)
        chars, sizes = Reader(Effort(MAX_STEPS)).read(text[begin : note.end + LOOK_AHEAD], final=True)
        places = list(accumulate(sizes, initial=begin))
        if note.start not in places or note.end not in places or chars == text[begin : note.end + LOOK_AHEAD]:
            return ""
        seen = Note(places.index(note.start), places.index(note.end), note.kind)
        pan = self._judge.judge(chars, seen.start, -1, final=True)
        if not isinstance(pan, Pan) or pan.end != seen.end:
            return ""
        return f"{SEEN}; {self._why_pan(chars, seen, max(0, ahead - begin), -1)}"

    def _named(self, run: Run, last: int, count: int) -> str:
        brands = self._brands(run.digits, count)
        tiers = ", ".join(sorted({brand.tier for brand in brands}))
        layout = _layout(run.layout(last)[0])
        return f"{_names(brands)}: {count} digits, tier {tiers}, right check digit, written {layout}"

    def _brands(self, digits: str, count: int) -> list[Brand]:
        """The brands that issue such numbers; weak ones only where there is no other."""
        found = [b for b in self._read if count in b.lengths and digits.startswith(b.prefixes)]
        return [brand for brand in found if brand.tier is not Tier.WEAK] or found

    def _unread(self, digits: str) -> str:
        """Names the brands that only another profile reads, where none begins so that this one reads."""
        names = [brand.name for brand in BRANDS if digits.startswith(brand.prefixes)]
        return f"begins as of {', '.join(names)}, which this profile does not read" if names else ""


def _without_sign(place: Place, end: int) -> tuple[Place, int]:
    """The candidate and its end, with a space in the place of the character before it, in as much text as is judged."""
    begin = max(0, place.start - LOOK_BACK)
    before = place.text[begin : place.start - 1]
    text = f"{before} {place.text[place.start : end + LOOK_AHEAD]}"
    return Place(text, place.start - begin, place.masked_end - begin, final=True), end - begin


def _names(brands: list[Brand]) -> str:
    return ", ".join(brand.name for brand in brands)


def _layout(lens: list[int]) -> str:
    return "-".join(map(str, lens)) if len(lens) > 1 else "in one group"


def _announcing(text: str, start: int, ahead: int, *announcements: Announcement) -> str:
    """Which word stands before the digits at `start`. The first `ahead` characters are what a key says."""
    for announcement in announcements:
        if not announcement.stands_before(text, start):
            continue
        begin = max(ahead, start - LOOK_BACK)
        if ahead and not announcement.stands_before(text[begin:start], start - begin):
            return BY_KEY
        alone = (one for one in _alone(announcement) if one.stands_before(text, start))
        words = [word for one in alone for word in (*one.sure, *one.bounded, *one.apart, *one.signed)]
        return f"after the word `{max(words, key=len)}`"
    return ""


@lru_cache(maxsize=16)
def _alone(announcement: Announcement) -> tuple[Announcement, ...]:
    """The announcement, taken apart into its words."""
    links, distance = announcement.links, announcement.distance
    return (
        *(Announcement.of((word,), (), links, distance) for word in announcement.sure),
        *(Announcement.of((), (word,), links, distance) for word in announcement.bounded),
        *(Announcement.of((), (), links, distance, apart=(word,)) for word in announcement.apart),
        *(Announcement.of((), (), links, distance, signed=(word,)) for word in announcement.signed),
    )
