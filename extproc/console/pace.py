"""How often one session may read content: a person reads some pages a minute, a program that copies reads all."""

import hashlib
from collections import OrderedDict
from typing import Final

MAX_READS: Final = 60
"""Of one session in `WINDOW_SECONDS`: one a second."""
WINDOW_SECONDS: Final = 60.0
MAX_SESSIONS: Final = 4096
"""Remembered at once; the one whose window began longest ago goes first."""


class TooMany(Exception):
    """Too much was read for now. Says after how many seconds the session may go on."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__("too many reads")
        self.wait_seconds = wait_seconds


class Pace:
    """Counts per session. For one event loop."""

    def __init__(self, most: int = MAX_READS) -> None:
        self._most = most
        self._counts: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def spend(self, secret: str, now: float) -> None:
        """One more read by the session of this secret. Raises `TooMany`."""
        name = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        begun, count = self._counts.get(name, (now, 0))
        if not 0 <= now - begun < WINDOW_SECONDS:
            self._counts.pop(name, None)
            begun, count = now, 0
        if count >= self._most:
            raise TooMany(max(1, int(begun + WINDOW_SECONDS - now)))
        self._counts[name] = begun, count + 1
        if len(self._counts) > MAX_SESSIONS:
            self._counts.popitem(last=False)
