"""Which of many matches hold for a request, at a cost that hardly grows with their number.

A set of matches is an integer with a bit for each. Every field of a match is a table from what a request says to the
set of matches that accept it; the sets of all fields are intersected.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import lru_cache

from extproc.core.policy.decision import DecisionInput
from extproc.core.policy.matching import asks, is_within, matches_glob
from extproc.core.policy.terms import AtLeast, Match, Operation

_REMEMBERED = 1024
"""Names of models whose set is kept; they are chosen by who sends requests."""


class MatchIndex:
    """Built once for `matches`, whose positions are the bits."""

    def __init__(self, matches: Sequence[Match]) -> None:
        self._matches = tuple(matches)
        self._operations = {each: self._where(_asking(each)) for each in Operation}
        self._groups = _Table(self._matches, lambda m: m.groups)
        self._subjects = _Table(self._matches, lambda m: m.subjects)
        self._kinds = _Table(self._matches, lambda m: m.kinds)
        self._connections = lru_cache(_REMEMBERED)(_Globs(self._matches, lambda m: m.connections).accepting)
        self._models = lru_cache(_REMEMBERED)(_Models(self._matches).accepting)
        self._any_listing = self._where(lambda m: Operation.MODEL_LIST in m.operations)
        self._thresholds = tuple(
            steps for each in fields(AtLeast) if (steps := _Steps(self._matches, each.name)).thresholds
        )
        self._timed = self._where(lambda m: bool(m.times))

    def holding(self, given: DecisionInput) -> int:
        """The set of matches that hold, as `matches` says it of each."""
        principal, facts = given.principal, given.facts
        found = self._operations[given.operation]
        found &= self._groups.accepting(principal.groups)
        # A subject with a `|` in it could otherwise pass for another issuer's `uid`.
        named = (principal.uid,) if "|" in principal.subject else (principal.uid, principal.subject)
        found &= self._subjects.accepting(named)
        found &= self._kinds.accepting((principal.kind,))
        found &= self._connections(given.connection)
        models = self._models(facts.model)
        if not facts.model and given.operation is Operation.MODEL_LIST:
            models |= self._any_listing
        found &= models
        for steps in self._thresholds:
            found &= steps.reached(given)
        late = found & self._timed
        for at in bits(late):
            if not any(is_within(span, given.now_unix) for span in self._matches[at].times):
                found ^= 1 << at
        return found

    def _where(self, accepts: Callable[[Match], bool]) -> int:
        return sum(1 << at for at, match in enumerate(self._matches) if accepts(match))


def bits(found: int) -> Iterator[int]:
    """The positions in a set, rising."""
    while found:
        lowest = found & -found
        yield lowest.bit_length() - 1
        found ^= lowest


def _asking(operation: Operation) -> Callable[[Match], bool]:
    return lambda match: asks(match, operation)


class _Table:
    """Matches by exact names; those that name none accept any."""

    def __init__(self, matches: Sequence[Match], names: Callable[[Match], Sequence[str]]) -> None:
        self._free = 0
        self._by_name: dict[str, int] = {}
        for at, match in enumerate(matches):
            for name in names(match):
                self._by_name[name] = self._by_name.get(name, 0) | 1 << at
            self._free |= 0 if names(match) else 1 << at

    def accepting(self, names: Sequence[str]) -> int:
        found = self._free
        if self._by_name:
            for name in names:
                found |= self._by_name.get(name, 0)
        return found


class _Globs:
    """Matches by globs; those that name none accept any."""

    def __init__(self, matches: Sequence[Match], globs: Callable[[Match], Sequence[str]]) -> None:
        self._free = 0
        self._exact: dict[str, int] = {}
        self._patterns: dict[str, int] = {}
        for at, match in enumerate(matches):
            for glob in globs(match):
                table = self._patterns if "*" in glob or "?" in glob else self._exact
                table[glob] = table.get(glob, 0) | 1 << at
            self._free |= 0 if globs(match) else 1 << at

    def accepting(self, name: str) -> int:
        found = self._free | self._exact.get(name, 0)
        for glob, having in self._patterns.items():
            if matches_glob(glob, name):
                found |= having
        return found


class _Models:
    """Matches by names of models, as they are written and, where a match says so, in any case."""

    def __init__(self, matches: Sequence[Match]) -> None:
        self._written = _Globs(matches, lambda m: m.models)
        self._folded = _Globs(matches, lambda m: tuple(map(str.casefold, m.models)))
        self._any_case = sum(1 << at for at, match in enumerate(matches) if match.any_case)

    def accepting(self, name: str) -> int:
        found = self._written.accepting(name)
        return found | (self._folded.accepting(name.casefold()) & self._any_case) if self._any_case else found


class _Steps:
    """Matches by one threshold of `at_least`: each count reaches all up to it."""

    def __init__(self, matches: Sequence[Match], name: str) -> None:
        self._name = name
        found = [getattr(match.at_least, name) for match in matches]
        self.thresholds = sorted({each for each in found if each is not None})
        self._sets = [
            sum(1 << at for at, each in enumerate(found) if each is None or (reached is not None and each <= reached))
            for reached in (None, *self.thresholds)
        ]

    def reached(self, given: DecisionInput) -> int:
        count = sum(given.findings.values()) if self._name == "findings" else getattr(given.facts, self._name)
        return self._sets[bisect_right(self.thresholds, count)]
