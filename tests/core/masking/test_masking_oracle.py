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
from extproc.core.masking.walk import Found

TABLE = tomllib.loads(Path(iin.__file__).with_name("iin.toml").read_text("ascii"))
SCANNER = Scanner(MaskingSettings())
GAP = re.compile(r"[ \xa0\-./_\n\u2060\u2215\u2044]{1,8}")
# What is read between digits, and what it is read as: nothing, a list's punctuation, or a blank.
HIDDEN, LISTED, CELL = "\u2060", "\u2215", "\u2044"
READ = {
    **dict.fromkeys(["**", "`", '"', "<b>", "</b>", "<span class=x>"], HIDDEN),
    **dict.fromkeys([",", ";", ":"], LISTED),
    "%20": " ",
    "&nbsp;": "\xa0",
    "\\n": "\n",
    **dict.fromkeys(["|", "</td>", "<td>"], CELL),
}
DIGITS = {**{f"&#{48 + n};": str(n) for n in range(10)}, **{f"%3{n}": str(n) for n in range(10)}, "\u00b9": "1"}
LETTERS = {"l": "1", "O": "0"}
EXAMPLES = max(500, settings.default.max_examples if settings.default else 0)


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


def listed(gaps: list[str]) -> bool:
    return any(LISTED in gap or CELL in gap for gap in gaps)


def written(lens: list[int], gaps: list[str]) -> bool:
    """Whether people write one number like this."""
    if listed(gaps):
        even = lens[0] <= 2 and set(lens[:-1]) == {lens[0]} and lens[-1] <= lens[0]
        row = CELL in gaps[0] and set(lens[:-1]) == {4} and lens[-1] <= 4
        return len(set(gaps)) == 1 and (lens in ([4] * 4, [4] * 4 + [3], [4, 6, 5], [4, 6, 4]) or even or row)
    soft = all(re.fullmatch(r"[ \xa0]*-?[ \xa0]*", gap) for gap in gaps)
    if len(lens) == 1 or (printed(lens) and (soft or max(lens) <= 6)):
        return True
    if len(set(gaps)) > 1:
        return False
    if len(set(lens[:-1])) == 1 and lens[0] <= 2 and lens[-1] <= lens[0]:
        return lens[0] == 1 or "\n" not in gaps[0]
    if not soft or min(lens[:-1]) < 3:
        return False
    few = ([8, 8], [4, 12], [12, 4], [4, 4, 8], [4, 8, 4], [8, 4, 4], [5, 5, 6], [6, 4, 6], [6, 6, 4], [4, 6, 6])
    if len(lens) <= 3:
        return lens in few
    return max(lens) < 5 or max(lens) > min(lens) + 1


class Text:
    """The groups of digits of a text, and where PANs in it can stand."""

    def __init__(self, text: str, letters: set[int] = frozenset()) -> None:
        """`letters` are the places of digits that are letters in truth."""
        self.text = text
        self.letters = letters
        self.groups = [match.span() for match in re.finditer(r"\d+", text)]

    def candidates(self, first: int) -> list[int]:
        """Last groups of the numbers that look like a PAN and begin with the group `first`, the longest first."""
        found = []
        for last in range(first, len(self.groups)):
            number, lens, gaps = self.parts(first, last)
            before = self.text[self.groups[last - 1][1] : self.groups[last][0]] if last > first else " "
            if len(number) > 19 or not GAP.fullmatch(before):
                break
            tier = tiers(number)
            folded = len([at for at in self.letters if self.groups[first][0] <= at < self.groups[last][1]])
            if folded and (len(number) - folded < 12 or not (len(lens) == 1 or printed(lens))):
                continue
            sure = tier - {"weak"} or (tier and len(lens) > 1 and printed(lens))
            if sure and checks(number) and written(lens, gaps):
                found.append(last)
        return found[::-1]

    def parts(self, first: int, last: int) -> tuple[str, list[int], list[str]]:
        spans = self.groups[first : last + 1]
        lens, gaps = [spans[0][1] - spans[0][0]], []
        for (_, stop), (start, end) in pairwise(spans):
            if gap := self.shown(stop, start):
                gaps.append(gap)
                lens.append(0)
            lens[-1] += end - start
        return "".join(self.text[a:b] for a, b in spans), lens, gaps

    def words(self, first: int, last: int) -> list[str]:
        return [self.text[start:stop] for start, stop in self.groups[first : last + 1]]

    def shown(self, stop: int, start: int) -> str:
        return self.text[stop:start].replace(HIDDEN, "")

    def coincidence(self, first: int, last: int, masked: int) -> bool:
        """Whether something speaks against the candidate. What is masked already up to `masked` does not count."""
        number, lens, gaps = self.parts(first, last)
        start = self.groups[first][0]
        on_card = len(lens) > 1 and printed(lens) and max(lens) <= 6
        if not on_card or any("." in gap for gap in gaps):
            integer = re.search(r"(?<!\d)\d{1,5}\.\Z", self.text[:start])
            if integer is not None and start - 1 > masked:
                return True
        if len(lens) > 1 and all(len(word) == 4 and word[:2] in ("19", "20") for word in self.words(first, last)):
            return True
        if not on_card:
            if self.text[:start].endswith("+") and len(number) <= 15:
                return True
            rest = self.text[self.groups[last][1] :]
            if re.match(r"[eE][+-]?\d{1,3}(?![0-9A-Za-z])", rest) or (len(lens) > 1 and re.match(r"\.\d", rest)):
                return True
        if any(
            uuid.start() <= start and self.groups[last][1] <= uuid.end()
            for uuid in re.finditer(r"(?<![\w-])\d{8}(-\d{4}){3}-\d{12}(?![\w-])", self.text)
        ):
            return True
        if len(lens) == 1:
            return False
        if len(set(gaps)) == 1 and (re.search(r"[^\S ]|  ", gaps[0]) or listed(gaps)):
            label = re.search(r"[A-Za-z]([^A-Za-z0-9]+)\Z", self.text[:start])
            if label is not None and re.sub("[,;:]", LISTED, label[1].replace(HIDDEN, "")) == gaps[0]:
                return True
        row = listed(gaps)
        like = range(1 if row else max(1, min(lens[:-1]) - 1), max(lens[:-1]) + 2)
        if (
            max(lens) >= 5
            and max(lens) <= min(lens) + 1
            and self.in_row(first, last, range(5, like.stop), (1, 1), masked)
        ):
            return True
        enough = (1, 1) if row and max(lens) <= 2 else (3, 4) if printed(lens) and not row else (2, 2)
        return self.in_row(first, last, like, enough, masked)

    def in_row(self, first: int, last: int, like: range, enough: tuple[int, int], masked: int) -> bool:
        """Whether so many groups like these stand on one side, or on both, in the same spacing."""
        gaps = self.parts(first, last)[2]
        one_side, both = enough
        before = 0
        for at in range(first - 1, max(first - 4, -1), -1):
            a, b = self.groups[at]
            if b <= masked or b - a not in like or self.shown(b, self.groups[at + 1][0]) not in gaps:
                break
            before += 1
        if before >= one_side:
            return True
        wanted = min(one_side, both - before)
        for at in range(last + 1, last + 1 + wanted):
            if at == len(self.groups):
                return False
            a, b = self.groups[at]
            if b - a not in like or self.shown(self.groups[at - 1][1], a) not in gaps:
                return False
            if before <= 1 and not listed(gaps) and self.candidates(at):
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


def seen(text: str) -> tuple[str, list[int], set[int]]:
    """What a reader sees, where each of its characters begins in the text, and which are letters read as digits."""
    view, places, letters = "", [], set()
    at, gap = 0, 9
    while at < len(text):
        token = next((t for t in [*DIGITS, *(READ if gap <= 8 else ())] if text.startswith(t, at)), text[at])
        char = DIGITS.get(token) or (READ.get(token) if gap <= 8 else None) or token[0]
        word = re.match(r"[0-9lO]{0,19}(?![A-Za-z0-9])", text[at:])
        if char in LETTERS and gap <= 8 and word and (gap == 0 or re.search("[0-9]", word.group())):
            letters.add(len(view))
            char = LETTERS[char]
        gap = 0 if char.isdecimal() else gap + 1 if GAP.fullmatch(char) else 9
        view, places, at = view + char, [*places, at], at + len(token)
    return view, [*places, at], letters


def pans_beside(look: Text, others: dict[int, int]) -> list[tuple[int, int]]:
    """The PANs of one look, which knows of those `others` only that stand behind a PAN of its own."""
    known: dict[int, int] = {}
    while True:
        found = look.pans(known)
        more = {a: b for a, b in others.items() if any(0 <= a - stop <= 24 for _, stop in [*found, *known.items()])}
        if more.keys() <= known.keys():
            return found
        known |= more


def expected(text: str, others: dict[int, int]) -> list[tuple[int, int]]:
    """What stands in the text and what is seen in it, each stretch once."""
    view, places, letters = seen(text)
    inside = {places.index(a): places.index(b) for a, b in others.items() if a in places and b in places}
    found = pans_beside(Text(text), others)
    found += [(places[a], places[b]) for a, b in pans_beside(Text(view, letters), inside)]
    apart: list[tuple[int, int]] = []
    covered = 0
    for start, stop in sorted([*found, *others.items()], key=lambda span: (span[0], -span[1])):
        if stop > covered:
            apart.append((max(start, covered), stop))
            covered = stop
    return apart


def digits_of(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans from their first digit on: of what overlaps, the rest may begin with a gap."""
    return [(start + len(re.split(r"[\w&%\u00b9]", text[start:end], maxsplit=1)[0]), end) for start, end in spans]


def with_check_digit(body: str) -> str:
    return next(body + digit for digit in "0123456789" if checks(body + digit))


gaps = st.sampled_from(
    [
        "",
        " ",
        "-",
        " - ",
        ".",
        "/",
        "_",
        "  ",
        "\n",
        "x",
        "x, ",
        "x\n",
        ", ",
        "+",
        " " * 8,
        " " * 9,
        *READ,
        *DIGITS,
        *LETTERS,
    ]
)


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
@example("000000000000%204000000000006 000 0 97 92 00 00 00 00 00 03&#48;")
@example("12.4111111111111111 +4111111111111 12345678-8123-4123-8123-411111111111")
def test_the_scanner_and_the_oracle_find_the_same_cards(text: str) -> None:
    found = SCANNER.find(text)
    others = {one.start: one.end for one in found if one.kind is not Kind.PAN}
    assert digits_of(text, [(one.start, one.end) for one in found]) == digits_of(text, expected(text, others))
    for one in found:
        if one.kind is not Kind.PAN:
            assert_beside_a_card(text, one, found)


BESIDE = {Kind.SECURITY_CODE: range(3, 5), Kind.EXPIRY: range(2, 7)}
"""What else is found among digits, and how many of them it has."""


def assert_beside_a_card(text: str, one: Found, found: list[Found]) -> None:
    """The oracle takes such a find as given, so it must be too short for a PAN, and stand behind what is named one."""
    digits = re.findall(r"\d", seen(text[one.start : one.end])[0])
    assert len(digits) in BESIDE.get(one.kind, ()) or (one.rest and len(digits) < 7)
    assert any(card.kind is Kind.PAN and card.end <= one.start for card in found)
