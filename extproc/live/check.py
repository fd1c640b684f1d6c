"""What a question to a live installation came to."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """`WARN`: it works, and somebody should look. `LEFT`: it could not be asked with what was given: no failure."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    LEFT = "-"


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `said` holds no card number, no token and nothing of a body; `mend` says what to do."""

    name: str
    state: State
    said: str
    mend: str = ""

    def line(self) -> str:
        """For people."""
        mend = f" ({self.mend})" if self.mend and self.state in (State.FAIL, State.WARN) else ""
        return f"{self.state:<4} {self.name}: {self.said}{mend}"


def passed(name: str, said: str) -> Check:
    return Check(name, State.OK, said)


def warned(name: str, said: str, mend: str = "") -> Check:
    return Check(name, State.WARN, said, mend)


def failed(name: str, said: str, mend: str = "") -> Check:
    return Check(name, State.FAIL, said, mend)


def left(name: str, said: str) -> Check:
    return Check(name, State.LEFT, said)
