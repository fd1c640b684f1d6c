"""`python -m tests.fuzz.drive TARGET SECONDS`: libFuzzer, by atheris, drives one target and stops at its first failure.

It begins with the committed corpus, keeps what it finds in `.fuzz/TARGET/`, and writes the input that failed beside it.
"""

import sys
from pathlib import Path

import atheris

MAX_BYTES = 1024
HERE = Path(__file__).parent
FOUND = HERE.parents[1] / ".fuzz"

with atheris.instrument_imports(include=["extproc.core"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target, seconds, *more = sys.argv[1:]
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        str(found),
        str(HERE / "corpus" / target),
        f"-dict={HERE / 'tokens.dict'}",
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={FOUND / target}-",
        "-timeout=10",
        "-print_final_stats=1",
        *more,
    ]
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
