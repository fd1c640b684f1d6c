"""How often ordinary numbers are taken for cards: measured on seeded samples, with the limits written here."""

import random
import uuid
from collections.abc import Callable

import pytest

from extproc.core.masking.masker import Masker

RNG = random.Random(20260702)


def sample(make: Callable[[], str], count: int) -> str:
    return "".join(f"id={make()};\n" for _ in range(count))


def iban(gap: str) -> str:
    """A German IBAN with right check digits (ISO 13616)."""
    account = str(RNG.randrange(10**18)).zfill(18)
    whole = f"DE{98 - int(account + '131400') % 97:02d}{account}"
    return gap.join(whole[at : at + 4] for at in range(0, len(whole), 4))


KINDS: dict[str, tuple[Callable[[], str], int]] = {
    "milliseconds": (lambda: str(RNG.randrange(1_500_000_000_000, 1_900_000_000_000)), 0),
    "microseconds": (lambda: str(RNG.randrange(1_500_000_000_000_000, 1_900_000_000_000_000)), 0),
    "nanoseconds": (lambda: str(RNG.randrange(1_500_000_000_000_000_000, 1_900_000_000_000_000_000)), 0),
    "imei": (lambda: "35" + str(RNG.randrange(10**13)).zfill(13), 0),
    "iccid": (lambda: "89" + str(RNG.randrange(10**17)).zfill(17), 0),
    "facebook ids": (lambda: "1000" + str(RNG.randrange(10**11)).zfill(11), 0),
    "floats": (lambda: repr(RNG.random()), 0),
    "negative floats": (lambda: repr(-RNG.random() * 100), 0),
    "uuid": (lambda: str(uuid.UUID(int=RNG.getrandbits(128), version=4)), 0),
    "numeric uuid": (lambda: "-".join(str(RNG.randrange(10**n)).zfill(n) for n in (8, 4, 4, 4, 12)), 0),
    "sha1": (lambda: f"{RNG.getrandbits(160):040x}", 0),
    "phone": (lambda: "+49" + str(RNG.randrange(10**11)).zfill(11), 0),
    "line ends and begins with a number": (
        lambda: f"{RNG.randrange(10**4)}\n{RNG.randrange(1_500_000_000_000, 1_900_000_000_000)}",
        0,
    ),
    "value and time": (lambda: f"{RNG.randrange(10**6)} {RNG.randrange(1_500_000_000, 1_900_000_000)}", 0),
    "two floats": (lambda: f"{RNG.uniform(0, 10)} {RNG.uniform(0, 10):.2f}", 0),
    "large floats": (lambda: repr(RNG.uniform(0, 10**12)), 8),
    "exponents": (lambda: f"{RNG.randrange(10**15, 10**16)}e-{RNG.randrange(10, 300)}", 0),
    "tab-separated pairs": (lambda: "\t".join(str(RNG.randrange(10, 100)) for _ in range(7)), 0),
    "ports": (lambda: " ".join(str(RNG.randrange(32768, 65536)) for _ in range(3)), 0),
    "three ports": (lambda: " ".join(str(RNG.randrange(1024, 65536)) for _ in range(3)), 2),
    "four ports": (lambda: " ".join(str(RNG.randrange(1024, 65536)) for _ in range(4)), 1),
    "fractions beside each other": (lambda: f"{RNG.uniform(10**7, 10**8):.8f} {RNG.uniform(10**7, 10**8):.8f}", 0),
    "capital exponents": (lambda: f"{RNG.randrange(10**15, 10**16)}E{RNG.randrange(10, 300)}", 0),
    "pairs in a list": (lambda: ", ".join(str(n) for n in range(RNG.randrange(30, 40), 50)), 0),
    "constants in fives": (lambda: "3." + " ".join(str(RNG.randrange(10**4, 10**5)) for _ in range(4)), 0),
    "path data": (lambda: "".join(f".{RNG.randrange(100, 1000)}" for _ in range(6)), 0),
    "hex literals": (lambda: f"0x{RNG.getrandbits(60) | 0xA << 60:016x}", 0),
    "hex after a letter": (lambda: f"0x{RNG.randrange(10**15):015d}a", 0),
    "rows of four-digit columns": (lambda: ",".join(str(RNG.randrange(1000, 10_000)) for _ in range(12)), 0),
    "rows of columns": (lambda: ",".join(str(RNG.randrange(10_000)) for _ in range(12)), 0),
    "table cells": (lambda: "</td>\n<td>".join(str(RNG.randrange(10_000)) for _ in range(9)), 0),
    "ibans in fours": (lambda: iban(" "), 0),
    "ibans in one piece": (lambda: iban(""), 0),
    "accounts of 12 digits": (lambda: str(RNG.randrange(10**12)).zfill(12), 8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_numbers_stay(kind: str, label: Callable[[], Masker]) -> None:
    make, most = KINDS[kind]
    masker = label()
    masker.mask_text(sample(make, 2000))
    assert masker.findings.get("pan", 0) <= most


def test_a_number_of_16_digits_is_rarely_a_card(label: Callable[[], Masker]) -> None:
    """What the issuer ranges leave of one in ten that the check digit lets pass. Samples of their own, always the same."""
    rng = random.Random(20260702)
    masker = label()
    for _ in range(25):
        masker.renew()
        masker.mask_text("".join(f"id={rng.randrange(10**16):016d};\n" for _ in range(2000)))
    assert masker.findings["pan"] <= 50_000 * 0.032


@pytest.mark.parametrize(("top", "most"), [(10, 0), (100, 0), (1000, 12), (10_000, 120), (1_000_000, 20)])
def test_tables_of_numbers_stay_nearly_whole(top: int, most: int, label: Callable[[], Masker]) -> None:
    rng = random.Random(1)
    lines = "\n".join(" ".join(str(rng.randrange(top)) for _ in range(12)) for _ in range(3000))
    masker = label()
    masker.mask_text(lines)
    assert masker.findings.get("pan", 0) <= most


@pytest.mark.parametrize(
    "text", ["ICCV 2023", "TCVN 5712", "tcvn5712", "CID123e4567", "in 6cc228697243069103c", "ACID 1234"]
)
def test_words_that_end_like_those_for_a_code_announce_nothing(text: str, label: Callable[[], Masker]) -> None:
    assert label().mask_text(text) == text
