"""RE2 over views: the leftmost match, and there the longest, in linear time.

RE2 that runs out of memory for its automata goes on without them, more slowly; it never says "no match" for that.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import re2

MAX_MEMORY: Final = 2 * 1024 * 1024
"""Bytes that one compiled pattern and its automata may take."""
MAX_BACKWARD_MEMORY: Final = 2 * MAX_MEMORY
"""The same for a pattern that is run backwards, which may use a third of it. With half of it, text that is full of
beginnings makes some automata start over at every search, which then takes milliseconds."""
MAX_SOURCE_MEMORY: Final = 1024 * 1024
"""Bytes within which RE2 must be able to compile a rule as it is written."""
MAX_PROGRAM: Final = 5_000
"""Instructions of one pattern: beyond, RE2 has no room for an automaton and takes microseconds for every byte."""

Span: TypeAlias = tuple[int, int]
NOWHERE: Final[Span] = (-1, -1)

_UNANCHORED: Final[Any] = re2._Anchor.UNANCHORED  # noqa: SLF001 - as below
_BOTH: Final[Any] = re2._Anchor.ANCHOR_BOTH  # noqa: SLF001


class Engine:
    """One pattern. What stands before and after the stretch that is searched is looked at by `\\b`."""

    __slots__ = ("_match",)

    def __init__(
        self, pattern: str, *, grouped: bool = False, max_memory: int = MAX_MEMORY, max_program: int = MAX_PROGRAM
    ) -> None:
        """Raises `ValueError` where RE2 does not take the pattern, or not within the memory and the instructions."""
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.longest_match = True
        options.log_errors = False
        options.never_capture = not grouped
        options.max_mem = max_memory
        try:
            compiled = re2.compile(pattern.encode("ascii"), options)
        except re2.error as error:
            raise ValueError("RE2 does not take the pattern") from error
        if compiled.programsize > max_program:
            raise ValueError("RE2 makes too large a program of the pattern")
        # The public method makes a generator and an object for each call, which doubles its cost.
        self._match: Callable[[Any, bytes, int, int], list[Span]] = compiled._regexp.Match  # noqa: SLF001

    def search(self, view: bytes, start: int, stop: int) -> Span:
        """The first match in a stretch, or `NOWHERE`. `\\z` is the end of the view, not of the stretch."""
        return self._match(_UNANCHORED, view, start, stop)[0]

    def spans(self, view: bytes, start: int, stop: int) -> list[Span]:
        """The match that is all of a stretch, and its groups; `NOWHERE` for what took no part."""
        return self._match(_BOTH, view, start, stop)
