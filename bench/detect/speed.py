"""How fast the scanner is, in CPU time of this process: bodies, streamed deltas, hostile texts of twice the length."""

import random
import re
import time
from collections.abc import Callable, Iterable
from typing import Final

from bench.detect.goals import Goal
from bench.detect.tools import UNBOUNDED_STEPS
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings

BODY_CHARACTERS = 2_000_000
DELTAS = 40_000
ROUNDS = 5
HOSTILE: Final = (
    "4 ",
    "4111 ",
    "4",
    "[4",
    "[[",
    "4\u200b",
    "cvv 12 ",
    "36 ",
    "4111111111111112, ",
    "2 2 2 2 2 2 2 2 2 2 2 x ",
)
HOSTILE_CHARACTERS = 40_000
MOST_GROWTH = 2.6
"""Twice the text may take twice the time, and a noisy clock a little more; four times would be quadratic."""

_SENTENCES: Final = (
    "The harbour office keeps old tables, and each morning someone copies heights onto a slate.",
    "They walked for two hours along the river until the lights of the town appeared.",
    "A good answer names its sources, says what it does not know, and stops when it is done.",
    "If the parser meets a bracket that nothing closes, it returns None and the caller decides.",
    "She had never liked the house, but the garden behind it was worth the journey.",
    "Most of the heat is lost through the roof, which is why the attic is the place to begin.",
    "In 2026 nobody asked for more than 15 % of it, so the plan of 3 May was kept.",
    "Version 2.4 reads `a[0]` twice; call me at 9:30, bring two chairs, and read chapter 12 first.",
)
"""About one delta in twenty holds a digit."""


def prose(characters: int) -> str:
    rng = random.Random(7)
    text: list[str] = []
    while characters > 0:
        text.append(rng.choice(_SENTENCES))
        characters -= len(text[-1]) + 1
    return " ".join(text)


def table(characters: int) -> str:
    """CSV of numbers and nothing else."""
    rng = random.Random(8)
    rows: list[str] = []
    while characters > 0:
        rows.append(f"{rng.randrange(10**6)},{rng.random():.6f},{rng.randrange(100)},{rng.gauss(0, 99):.3f},2026-11-27")
        characters -= len(rows[-1]) + 1
    return "\n".join(rows)


def deltas(text: str, count: int) -> list[str]:
    """Pieces as a model streams them: a word or a part of one with the space before it."""
    return re.findall(r" ?[A-Za-z]{1,6}|\d{1,3}|[^A-Za-z\d]", text)[:count]


def seconds(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The best of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        run()
        best = min(best, time.process_time() - began)
    return best


def growth(run: Callable[[str], object], unit: str, characters: int = HOSTILE_CHARACTERS) -> float:
    """How many times as long twice the text takes."""
    once, twice = unit * (characters // len(unit)), unit * (2 * characters // len(unit))
    return seconds(lambda: run(twice)) / seconds(lambda: run(once))


def stream(scanner: Scanner, pieces: Iterable[str]) -> None:
    masker = scanner.masker()
    channel = masker.channel()
    for piece in pieces:
        channel.feed(piece)
    channel.finish()


def measure_speed() -> list[Goal]:
    scanner = Scanner(MaskingSettings(), UNBOUNDED_STEPS)
    pieces = deltas(prose(DELTAS * 8), DELTAS)
    each = seconds(lambda: stream(scanner, pieces)) / len(pieces) * 1e6
    return [
        Goal("whole body, prose", "MB/s", _throughput(scanner, prose(BODY_CHARACTERS)), 100.0, True),
        Goal("whole body, CSV of numbers", "MB/s", _throughput(scanner, table(BODY_CHARACTERS)), 20.0, True),
        Goal("streamed delta, prose", "us", each, 2.0, False),
        *(_growth_goal(f"twice the text of {unit!a}", scanner.find, unit, 1) for unit in HOSTILE),
        *(
            _growth_goal(f"twice the stream of {unit!a}", lambda text: streamed(scanner, text), unit, 4)
            for unit in HOSTILE
        ),
    ]


def _throughput(scanner: Scanner, text: str) -> float:
    return len(text.encode()) / 1e6 / seconds(lambda: scanner.find(text))


def _growth_goal(measure: str, run: Callable[[str], object], unit: str, part: int) -> Goal:
    return Goal(measure, "x", growth(run, unit, HOSTILE_CHARACTERS // part), MOST_GROWTH, False)


def streamed(scanner: Scanner, text: str) -> None:
    stream(scanner, deltas(text, len(text)))
