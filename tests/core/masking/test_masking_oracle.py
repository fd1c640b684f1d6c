"""An independent oracle: every start and every length of a text of digits is tried, by the rules as they are documented.

It shares the table of issuer ranges with the scanner, which is data, and no code. `make fuzz` asks it more often.
"""

import re
import tomllib
from itertools import accumulate, pairwise
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from extproc.core.masking import iin
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Kind, MaskingSettings

TABLE = tomllib.loads(Path(iin.__file__).with_name("iin.toml").read_text("ascii"))
SCANNER = Scanner(MaskingSettings())
GAP = re.compile(r"[ \-./_\n]{1,8}")
EXAMPLES = max(1000, settings.default.max_examples if settings.default else 0)


def tiers(number: str) -> set[str]:
    """The tiers of the brands that issue such numbers."""
    found = set()
    for brand in TABLE["brands"]:
        for prefix in brand["prefixes"]:
            low, _, high = prefix.partition("-")
            if len(number) in brand["lengths"] and low <= number[: len(low)] <= (high or low):
                found.add(brand["tier"])
    return found


def checks(number: str) -> bool:
    """The mod 10 check by the book."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(sum(map(int, str(value))) for value in doubled) % 10 == 0


def printed(lens: list[int]) -> bool:
    forms = [form for brand in TABLE["brands"] for form in brand.get("groupings", ())] + TABLE["announced"]["groupings"]
    return "-".join(map(str, lens)) in forms or (set(lens[:-1]) <= {4} and lens[-1] <= 4)


def written(lens: list[int], gaps: list[str]) -> bool:
    """Whether people write one number like this."""
    if len(lens) == 1 or printed(lens):
        return True
    if len(set(gaps)) > 1:
        return False
    soft = re.fullmatch(r"[ \n]*-?[ \n]*", gaps[0]) is not None
    return (len(set(lens[:-1])) == 1 and lens[-1] <= lens[0]) or (min(lens[:-1]) >= 3 and soft)


class Text:
    """The groups of digits of a text, and where PANs in it can stand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.groups = [match.span() for match in re.finditer(r"\d+", text)]

    def candidates(self, first: int) -> list[int]:
        """Last groups of the numbers that look like a PAN and begin with the group `first`, the longest first."""
        found = []
        for last in range(first, len(self.groups)):
            number, lens, gaps = self.parts(first, last)
            if len(number) > 19 or not all(GAP.fullmatch(gap) for gap in gaps):
                break
            tier = tiers(number)
            if checks(number) and (
                (tier - {"weak"} and written(lens, gaps)) or ("weak" in tier and len(lens) > 1 and printed(lens))
            ):
                found.append(last)
        return found[::-1]

    def parts(self, first: int, last: int) -> tuple[str, list[int], list[str]]:
        spans = self.groups[first : last + 1]
        gaps = [self.text[a[1] : b[0]] for a, b in pairwise(spans)]
        return "".join(self.text[a:b] for a, b in spans), [b - a for a, b in spans], gaps

    def coincidence(self, first: int, last: int, masked: int) -> bool:
        """Whether something speaks against the candidate. What is masked already up to `masked` does not count."""
        number, lens, gaps = self.parts(first, last)
        start = self.groups[first][0]
        if len(lens) == 1:
            integer = re.search(r"(?<!\d)\d{1,5}\.\Z", self.text[:start])
            if integer is not None and start - 1 > masked:
                return True
        if self.text[:start].endswith("+") and len(number) <= 15 and (len(lens) == 1 or not printed(lens)):
            return True
        if any(
            uuid.start() <= start and self.groups[last][1] <= uuid.end()
            for uuid in re.finditer(r"(?<![\w-])\d{8}(-\d{4}){3}-\d{12}(?![\w-])", self.text)
        ):
            return True
        if len(lens) == 1:
            return False
        like = range(max(1, min(lens[:-1]) - 1), max(lens[:-1]) + 2)
        one_side, both = (3, 4) if printed(lens) else (2, 2)
        before = 0
        for at in range(first - 1, max(first - 4, -1), -1):
            a, b = self.groups[at]
            if b <= masked or b - a not in like or self.text[b : self.groups[at + 1][0]] not in gaps:
                break
            before += 1
        if before >= one_side:
            return True
        wanted = min(one_side, both - before)
        for at in range(last + 1, last + 1 + wanted):
            if at == len(self.groups):
                return False
            a, b = self.groups[at]
            if b - a not in like or self.text[self.groups[at - 1][1] : a] not in gaps:
                return False
            if before <= 1 and self.candidates(at):
                return False
        return True

    def pans(self, others: dict[int, int]) -> list[tuple[int, int]]:
        """Every PAN, from and to. `others` are the stretches that are masked as something else: their ends by start."""
        found: list[tuple[int, int]] = []
        masked = row = -1

        def end(at: int) -> int | None:
            return next(
                (self.groups[last][1] for last in self.candidates(at) if not self.coincidence(at, last, masked)), None
            )

        for at, (start, _) in enumerate(self.groups):
            masked = max([masked, *(stop for begin, stop in others.items() if begin < start)])
            if start < row:
                continue
            stop = end(at)
            if stop is None or stop <= masked:
                continue
            if start < masked:
                rest = next(i for i, group in enumerate(self.groups) if group[0] >= masked)
                if end(rest) is not None:
                    row = masked
                    continue
                found.append((self.groups[rest][0], stop))
            else:
                found.append((start, stop))
            masked = stop
        return found


def with_check_digit(body: str) -> str:
    return next(body + digit for digit in "0123456789" if checks(body + digit))


gaps = st.sampled_from(["", " ", "-", " - ", ".", "/", "_", "  ", "\n", "x", ", ", "+", " " * 8, " " * 9])


@st.composite
def written_cards(draw: st.DrawFn) -> tuple[list[str], str]:
    """The groups of a card and what stands between them."""
    brand = draw(st.sampled_from(TABLE["brands"]))
    prefix = draw(st.sampled_from(brand["prefixes"])).partition("-")[0]
    length = draw(st.sampled_from(brand["lengths"]))
    rest = length - len(prefix) - 1
    number = with_check_digit(prefix + draw(st.text("0123456789", min_size=rest, max_size=rest)))
    forms = [[length], [4] * 5, [1] * 19, [2] * 10, [3] * 7, [5] * 4]
    forms += [list(map(int, form.split("-"))) for form in brand.get("groupings", ())]
    cuts = list(accumulate(draw(st.sampled_from(forms) | st.lists(st.integers(1, 8), min_size=1, max_size=6))))
    pieces = [number[a:b] for a, b in zip([0, *cuts], [*cuts, length], strict=True)]
    return [piece for piece in pieces if piece], draw(gaps)


@st.composite
def rows(draw: st.DrawFn) -> str:
    """A card in a row of numbers that are spaced as it is."""
    groups, gap = draw(written_cards())
    sizes = st.integers(max(1, len(groups[0]) - 2), len(groups[0]) + 2)
    like = st.lists(sizes.flatmap(lambda size: st.text("0123456789", min_size=size, max_size=size)), max_size=4)
    return gap.join([*draw(like), *groups, *draw(like)])


cards = written_cards().map(lambda card: card[1].join(card[0]))
numbers = st.integers(0, 10**7).map(str) | st.text("0123456789", min_size=1, max_size=20)
soups = st.lists(
    st.tuples(cards | rows() | numbers | st.sampled_from(["4111", "1111", "4", "41"]), gaps), max_size=9
).map(lambda parts: "".join(a + b for a, b in parts))


@settings(max_examples=EXAMPLES)
@given(soups)
@example("4008 4111 1111 1111 1111")
@example("2026 4111 1111 1111 1111 5555 5555 5555 4444")
@example("1234 2345 4111 1111 1111 1111 3456 4567")
@example("9792000000000003 1-40 00 00 00 00 00 6")
@example("12.4111111111111111 +4111111111111 12345678-8123-4123-8123-411111111111")
def test_the_scanner_and_the_oracle_find_the_same_cards(text: str) -> None:
    found = SCANNER.find(text)
    others = {one.start: one.end for one in found if one.kind is not Kind.PAN}
    assert [(one.start, one.end) for one in found if one.kind is Kind.PAN] == Text(text).pans(others)
