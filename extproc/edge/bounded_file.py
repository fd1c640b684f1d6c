"""Reads small files whole: configuration, policy and key files, none of which may grow without bound."""

import os
from pathlib import Path

MAX_FILE_BYTES = 2 * 1024 * 1024
"""Above every limit of what such a file may hold, so that the reader of its bytes says what is too large."""


def read_bounded(path: Path) -> bytes:
    """The file's bytes, at most `MAX_FILE_BYTES`. Raises `OSError`; never waits for a writer as a named pipe would."""
    with open(path, "rb", opener=_open_at_once) as file:
        return file.read(MAX_FILE_BYTES) or b""


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_failure(error: OSError) -> str:
    """Why a file cannot be read, in words that hold nothing of it."""
    return f"the file cannot be read: {(error.strerror or 'unknown error').lower()}"
