"""Every card of every listed brand is found, checked against tables and arithmetic of the test's own."""

import random
import re
from collections.abc import Callable, Iterator

import pytest

from extproc.core.masking.iin import IinTable, Tier, passes_luhn
from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings

# Written down from the schemes' public ranges, not derived from the table under test: edges in, edges out.
INSIDE = {
    "4": (13, 16, 18, 19), "51": (16,), "55": (16,), "2221": (16,), "2720": (16,), "34": (15,), "37": (15,),
    "6011": (16, 17, 18, 19), "644": (16, 19), "649": (16, 19), "65": (16, 19), "622126": (16, 19), "622925": (16, 19),
    "300": (14, 16, 19), "305": (14, 16), "3095": (14, 16), "36": (14, 16, 19), "38": (14, 16), "39": (14, 16),
    "3528": (16, 19), "3589": (16, 19), "62": (14, 16, 17, 18, 19), "8100": (16, 19), "8171": (16, 19),
    "5018": (12, 13, 16, 19), "6304": (12, 16, 19), "6759": (12, 16, 19), "676770": (12, 16, 19), "6799": (12, 19),
    "2200": (16, 19), "2204": (16, 19), "508": (16,), "60": (16,), "82": (16,), "353": (16,), "9792": (16,),
    "506099": (16, 18, 19), "507964": (16, 18, 19), "636368": (16,), "606282": (13, 16, 19), "637095": (16,),
    "589562": (16,), "5019": (16,), "600722": (16,), "8600": (16,), "9860": (16,), "9704": (16, 19), "1946": (16, 19),
    "2131": (15,), "1800": (15,), "31": (19,), "2205": (16,),
}  # fmt: skip
OUTSIDE = {
    "2220": 16, "2721": 16, "3527": 16, "3590": 16, "306": 14, "35": 14, "8172": 19, "9793": 16, "2206": 16, "70": 16,
    "9": 16, "0": 16, "33": 15, "1": 15, "4": 14, "51": 15, "34": 16, "37": 14, "36": 13, "62": 13, "5018": 11,
}  # fmt: skip


def luhn_sum(number: str) -> int:
    """The mod 10 sum by the book: from the right, every second digit doubled, digits added."""
    return sum(
        sum(map(int, str(int(digit) * 2))) if index % 2 else int(digit) for index, digit in enumerate(reversed(number))
    )


def made(prefix: str, length: int, rng: random.Random) -> str:
    body = prefix + "".join(rng.choice("0123456789") for _ in range(length - len(prefix) - 1))
    return body + str(-luhn_sum(body + "0") % 10)


def layouts(number: str) -> Iterator[str]:
    yield number
    fours = re.findall(r"\d{1,4}", number)
    printed = {15: (4, 6, 5), 14: (4, 6, 4)}.get(len(number))
    groups = [fours]
    if printed:
        a, b, _ = printed
        groups.append([number[:a], number[a : a + b], number[a + b :]])
    for group in groups:
        yield " ".join(group)
        yield "-".join(group)


@pytest.mark.parametrize("prefix", INSIDE, ids=str)
def test_every_brand_is_found_in_every_plain_layout(prefix: str, label: Callable[[], Masker]) -> None:
    rng = random.Random(prefix)
    for length in INSIDE[prefix]:
        for _ in range(5):
            for text in layouts(made(prefix, length, rng)):
                for before, after in (("", ""), ("pay ", " now"), ("(", ")"), ("2026 ", ", ok"), ("x", "\n")):
                    assert label().mask_text(before + text + after) == before + "[PAN]" + after


@pytest.mark.parametrize(("prefix", "length"), OUTSIDE.items(), ids=str)
def test_what_no_brand_issues_stays(prefix: str, length: int, label: Callable[[], Masker]) -> None:
    rng = random.Random(prefix)
    for _ in range(5):
        number = made(prefix, length, rng)
        while any(number.startswith(p) and len(number) in lengths for p, lengths in INSIDE.items()):
            number = made(prefix, length, rng)
        text = f"order {number} shipped"
        assert label().mask_text(text) is text


def test_a_wrong_check_digit_is_not_a_card(label: Callable[[], Masker]) -> None:
    rng = random.Random(5)
    for prefix in INSIDE:
        number = made(prefix, INSIDE[prefix][0], rng)
        wrong = number[:-1] + str((int(number[-1]) + 1 + rng.randrange(8)) % 10)
        if wrong != number:
            assert label().mask_text(f"order {wrong} shipped") == f"order {wrong} shipped"


def test_brute_force_finds_no_card_that_the_scanner_missed(label: Callable[[], Masker]) -> None:
    """Every window of whole groups, in plain, spaced and hyphenated texts, by prefixes of the test's own."""
    rng = random.Random(11)
    joint = {16: [4, 4, 4, 4], 15: [4, 6, 5], 14: [4, 6, 4], 19: [4, 4, 4, 4, 3]}
    for _ in range(1500):
        parts: list[str] = []
        for _ in range(rng.randrange(1, 6)):
            kind = rng.randrange(4)
            if kind == 0:
                prefix = rng.choice(list(INSIDE))
                number = made(prefix, rng.choice(INSIDE[prefix]), rng)
                separator, at, groups = rng.choice(["", " ", "-"]), 0, []
                for size in joint.get(len(number), [len(number)]):
                    groups.append(number[at : at + size])
                    at += size
                parts.append(separator.join(groups))
            elif kind == 1:
                parts.append(str(rng.randrange(10 ** rng.randrange(1, 8))))
            else:
                parts.append(rng.choice(["and", "see:", "x", "total", "(ref)", "EUR"]))
        text = "; ".join(parts)
        masked = label().mask_text(text)
        for run in re.findall(r"\d+(?:[ -]\d+)*", masked):
            number = re.sub(r"[ -]", "", run)
            hit = [p for p, lengths in INSIDE.items() if number.startswith(p) and len(number) in lengths]
            groups = [len(group) for group in re.split(r"[ -]", run)]
            printed = len(groups) == 1 or groups == joint.get(len(number))
            assert not (hit and printed and luhn_sum(number) % 10 == 0), text


def test_luhn_agrees_with_the_book() -> None:
    rng = random.Random(3)
    for _ in range(2000):
        number = "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 20)))
        assert passes_luhn(number) == (luhn_sum(number) % 10 == 0)


def test_a_growing_prefix_never_gains_lengths() -> None:
    """What makes early release safe: once a prefix is out of the table, no digit brings it back."""
    table = IinTable(Tier)
    rng = random.Random(9)
    for _ in range(3000):
        number = "".join(rng.choice("0123456789") for _ in range(19))
        strong, weak = table.lengths(number[:1])
        for cut in range(2, 20):
            now_strong, now_weak = table.lengths(number[:cut])
            assert now_strong & ~strong == 0
            assert now_weak & ~weak == 0
            strong, weak = now_strong, now_weak


def test_weak_ranges_need_grouping_or_context(label: Callable[[], Masker]) -> None:
    number = made("5700", 16, random.Random(1))
    spaced = " ".join(re.findall("....", number))
    assert label().mask_text(f"order {number}") == f"order {number}"
    assert label().mask_text(f"order {spaced}") == "order [PAN]"
    assert label().mask_text(f"visa {number}") == "visa [PAN]"


def test_the_balanced_profile_leaves_national_ranges_and_ambiguous_words() -> None:
    scanner = Scanner(MaskingSettings(profile="balanced"))
    number = made("9860", 16, random.Random(1))
    text = f"order {number}, cid 1234, "
    assert scanner.masker().mask_text(text) is text
    assert scanner.masker().mask_text("4111111111111111 cvv 123") == "[PAN] cvv [CVV]"


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="profile must be one of pci-strict, balanced"):
        Scanner(MaskingSettings(profile="off"))
