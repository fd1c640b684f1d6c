"""Numbers that are no cards, by kind: seeded samples with the most that may be masked of ours."""

import base64
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.detect.cards import check_digit

SEED = 20260702
Make = Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class Negative:
    """`most`: the share of samples of which something may be masked; None where chance alone says, or nothing can."""

    name: str
    make: Make
    most: float | None = 0.0


def _number(low: float, high: float) -> Make:
    return lambda rng: str(rng.randrange(int(low), int(high)))


def _digits(count: int, head: str = "") -> Make:
    return lambda rng: head + "".join(rng.choices("0123456789", k=count - len(head)))


def _checked(count: int, head: str) -> Make:
    """With the check digit that cards have too."""

    def make(rng: random.Random) -> str:
        body = _digits(count - 1, head)(rng)
        return body + check_digit(body)

    return make


def _ean(count: int, head: str = "") -> Make:
    """GS1's check digit: threes and ones."""

    def make(rng: random.Random) -> str:
        body = _digits(count - 1, head)(rng)
        total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
        return body + str(-total % 10)

    return make


def _isbn(rng: random.Random) -> str:
    number = _ean(13, "978")(rng)
    return f"{number[:3]}-{number[3]}-{number[4:6]}-{number[6:12]}-{number[12]}"


def _iban(rng: random.Random) -> str:
    """A German one, with its check digits (ISO 13616), as it is printed."""
    account = _digits(18)(rng)
    number = f"{98 - int(account + '131400') % 97:02}{account}"
    return "DE" + " ".join([number[:2], *(number[at : at + 4] for at in range(2, 20, 4))])


def _hex(bits: int) -> Make:
    return lambda rng: f"{rng.getrandbits(bits):0{bits // 4}x}"


def _numbers(count: int, top: int, gap: str) -> Make:
    return lambda rng: gap.join(str(rng.randrange(top)) for _ in range(count))


def _floats(count: int, gap: str, scale: float) -> Make:
    return lambda rng: gap.join(repr(rng.uniform(-scale, scale)) for _ in range(count))


def _snowflake(rng: random.Random) -> str:
    """Milliseconds since 2015 in the upper bits, as the public formats have it."""
    return str(rng.randrange(30_000_000_000, 360_000_000_000) << 22 | rng.getrandbits(22))


def _numeric_uuid(rng: random.Random) -> str:
    return "-".join(_digits(size)(rng) for size in (8, 4, 4, 4, 12))


def _dump(rng: random.Random) -> str:
    return " ".join(f"{byte:02x}" for byte in rng.randbytes(16))


def _log(rng: random.Random) -> str:
    day = f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    hour = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(10**6):06}"
    return f"{day} {hour} [{rng.randrange(10**5)}] took {rng.random() * 50:.3f} ms, {rng.randrange(10**6)} bytes"


def _rows(rng: random.Random) -> str:
    """CSV: milliseconds, a float, a count."""
    start = rng.randrange(1_600_000_000_000, 1_900_000_000_000)
    return "\n".join(f"{start + at * 250},{rng.gauss(20, 5):.3f},{rng.randrange(4096)}" for at in range(8))


def _pi(rng: random.Random) -> str:
    """The digits of a constant as papers print them: a long fraction, in groups of five or as one."""
    fraction = _digits(50)(rng)
    groups = " ".join(fraction[at : at + 5] for at in range(0, 50, 5))
    return rng.choice((f"$\\pi = 3.{fraction}$", f"3.{groups}", f"$e \\approx 2.{fraction[:18]}$"))


def _coordinates(rng: random.Random) -> str:
    return f"{rng.uniform(-90, 90):.7f}, {rng.uniform(-180, 180):.7f}"


NEGATIVES: Final = (
    Negative("timestamps, ms", _number(1.4e12, 1.9e12)),
    Negative("timestamps, us", _number(1.4e15, 1.9e15)),
    Negative("timestamps, ns", _number(1.4e18, 1.9e18)),
    Negative("time as a float", lambda rng: repr(rng.uniform(1.4e9, 1.9e9))),
    Negative("IMEI", _checked(15, "35")),
    Negative("ICCID", _checked(19, "8944")),
    Negative("floats, 0 to 1", lambda rng: repr(rng.random())),
    Negative("floats, to 100 000", lambda rng: repr(rng.uniform(-1e5, 1e5))),
    Negative("floats, to 1e12", lambda rng: repr(rng.uniform(-1e12, 1e12))),
    Negative("floats with exponents", lambda rng: f"{_digits(16)(rng)}e-{rng.randrange(10, 300)}"),
    Negative("lists of floats, commas", _floats(8, ", ", 1000)),
    Negative("lists of floats, spaces", _floats(8, " ", 1000)),
    Negative("rows that end and begin with numbers", _rows),
    Negative("UUIDs", lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4))),
    Negative("UUIDs without letters", _numeric_uuid),
    Negative("SHA-1", _hex(160)),
    Negative("SHA-256", _hex(256)),
    Negative("git, short", _hex(40)),
    Negative("hex literals, 64 bits", lambda rng: f"0x{rng.getrandbits(64):016x}"),
    Negative("hex dumps", _dump),
    Negative("base64", lambda rng: base64.b64encode(rng.randbytes(96)).decode()),
    # One in a hundred of any 18 or 19 digits is right by chance: issuer range and check digit.
    Negative("snowflakes", _snowflake, 0.02),
    Negative("ISBN", _isbn),
    # Those that begin with 4, a tenth of all, look like a card of 13 digits, and a tenth of these check.
    Negative("EAN-13", _ean(13), 0.015),
    Negative("GTIN-14", _ean(14, "1")),
    Negative("phone numbers", lambda rng: f"+{rng.choice(('49151', '44', '1', '33', '3725'))}{_digits(9)(rng)}"),
    # A tenth of what the issuer ranges of a length hold is right by chance: of 12 digits 0.1 %, of 15 digits 0.7 %.
    Negative("FedEx, 12 digits", _digits(12), 0.004),
    Negative("FedEx, 15 digits", _digits(15), 0.01),
    # Where its six letters and digits are all digits, sixteen stand in a row.
    Negative("UPS", lambda rng: f"1Z{_hex(24)(rng).upper()}{_digits(10)(rng)}", 0.006),
    Negative("acquirer reference numbers", _digits(23, "7")),
    Negative("AWS accounts", lambda rng: f"arn:aws:iam::{_digits(12)(rng)}:role/x", 0.004),
    Negative("ids of 16 digits", _digits(16), 0.032),
    Negative("IBAN", _iban),
    Negative("numbers to 100, spaces", _numbers(12, 100, " ")),
    Negative("numbers to 1000, spaces", _numbers(12, 1000, " "), 0.004),
    Negative("numbers to 10 000, spaces", _numbers(12, 10_000, " "), 0.04),
    Negative("numbers to 1 000 000, spaces", _numbers(12, 10**6, " "), 0.01),
    Negative("numbers to 10 000, commas", _numbers(12, 10_000, ",")),
    Negative("numbers to 10 000, a line each", _numbers(12, 10_000, "\n"), 0.04),
    Negative("matrix", lambda rng: "\n".join(_numbers(8, 100, "\t")(rng) for _ in range(6))),
    # Of those that happen to have four digits each: three as Maestro, four as any brand. One in ten thousand.
    Negative("ports", lambda rng: " ".join(str(rng.randrange(1024, 65536)) for _ in range(4)), 0.001),
    Negative("years", lambda rng: " ".join(str(rng.randrange(1900, 2100)) for _ in range(5)), 0.001),
    Negative("digits of constants", _pi),
    Negative("coordinates", _coordinates),
    Negative("IP addresses", lambda rng: ".".join(str(byte) for byte in rng.randbytes(4))),
    Negative("versions", lambda rng: ".".join(str(rng.randrange(2000)) for _ in range(4)), 0.001),
    Negative("log lines", _log),
    Negative("path data", lambda rng: "".join(f".{rng.randrange(1000)}" for _ in range(8))),
)


def samples(negative: Negative, count: int) -> list[str]:
    """The same texts each time, each in a sentence of its own."""
    rng = random.Random(f"{SEED} {negative.name}")
    return [f"id={negative.make(rng)};" for _ in range(count)]
