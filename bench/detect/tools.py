"""What is compared: our scanner in this process, the peers in theirs."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from bench.detect.layouts import Span
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings

OURS = "extproc"
PEERS = {"presidio": "presidio-analyzer", "litellm": "litellm"}
"""Names of the peers, and of their packages."""
UNBOUNDED_STEPS = 10**15
"""The guard's bound on effort is lifted where it is not what is measured."""
ENVIRONMENT = Path(__file__).parents[2] / ".bench-env"
_CHILD = Path(__file__).with_name("peer_child.py")


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that finds cards: spans in characters, in the order of the text."""

    name: str
    version: str
    find: Callable[[str], list[Span]]


def ours() -> Tool:
    scanner = Scanner(MaskingSettings(), UNBOUNDED_STEPS)
    return Tool(OURS, "", lambda text: [(one.start, one.end) for one in scanner.find(text)])


@contextmanager
def peer(name: str, environment: Path = ENVIRONMENT) -> Iterator[Tool]:
    """A peer in its own interpreter, until the block ends. Raises `RuntimeError` when it does not start."""
    command = [str(environment / "bin" / "python"), str(_CHILD), name]
    log = environment / f"{name}.log"
    with (
        log.open("w") as sink,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, text=True) as child,
    ):
        questions, answers = child.stdin, child.stdout
        if questions is None or answers is None or answers.readline() == "":
            raise RuntimeError(f"{name} did not start; see {log}")

        def find(text: str) -> list[Span]:
            questions.write(json.dumps(text) + "\n")
            questions.flush()
            return [(start, end) for start, end in json.loads(answers.readline())]

        yield Tool(name, version_of(PEERS[name], environment), find)


def site_packages(environment: Path) -> Path:
    """Where an environment keeps what is installed in it. Raises `RuntimeError` when there is none."""
    found = next(environment.glob("lib/python3.*/site-packages"), None)
    if found is None:
        raise RuntimeError(f"nothing is installed in {environment.name}")
    return found


def version_of(package: str, environment: Path) -> str:
    found = distributions(name=package, path=[str(site_packages(environment))])
    return next((one.version for one in found), "unknown")
