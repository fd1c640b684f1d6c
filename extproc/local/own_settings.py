"""What a person wants otherwise than `extproc run` writes it: a file beside `config.yaml` that no start touches."""

import hashlib
from itertools import count
from pathlib import Path
from typing import Any, Final

from extproc.core.document_reader import parse_document
from extproc.local.service_process import NotStarted

OWN_NAME: Final = "config.own.yaml"
_DIGEST: Final = "# sha256:"
NOTICE: Final = (
    f"# Written anew at every start on this machine. What is to stay belongs in {OWN_NAME} beside it: the same keys,\n"
    "# and each that stands there replaces the one below. Copy this file for a deployment of your own.\n"
)


def marked(text: str) -> str:
    """`text` as a file that says of itself whether it was edited since."""
    return f"{NOTICE}{_DIGEST}{_digest(text)}\n{text}"


def read_own(directory: Path) -> dict[str, Any]:
    """The keys of the person's own file; none without one. Raises `NotStarted` for one that cannot be read."""
    path = directory / OWN_NAME
    try:
        report = parse_document(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise NotStarted(f"{path} cannot be read: {error.strerror}") from None
    if report.problems:
        raise NotStarted(f"{path}:{report.problems[0]}")
    if report.value is None:
        return {}
    if not isinstance(report.value, dict):
        raise NotStarted(f"{path} must be a mapping with keys of config.yaml")
    return report.value


def keep_edited(path: Path) -> Path | None:
    """A copy of the file at `path`, which is about to be written anew; None where nobody has edited it."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError):
        return None
    lines = text.removeprefix(NOTICE).partition("\n")
    if lines[0] == f"{_DIGEST}{_digest(lines[2])}" and text.startswith(NOTICE):
        return None
    for number in count(1):
        copy = path.with_name(f"{path.stem}.edited-{number}{path.suffix}")
        if not copy.exists():
            copy.write_text(text, "utf-8")
        if copy.read_text("utf-8") == text:
            return copy
    raise AssertionError("numbers do not end")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
