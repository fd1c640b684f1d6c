"""The policy's file: read at start, then watched. A good change is taken over, a bad one leaves the last good one."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from extproc.core.document import Problem
from extproc.core.policy import Policy
from extproc.core.policy_cases import failing_cases
from extproc.core.policy_document import MAX_WAIT_SECONDS, PolicyInvalid, parse_policy
from extproc.edge.bounded_file import read_bounded, read_failure
from extproc.edge.settings import Settings

SHORTER_SECONDS = 3.0
"""How long a file that was written in place, and is shorter than before, stays so until it counts: it may be half."""
MAX_PLACES = 20
POLL_SECONDS = 0.2
"""A change is seen twice before it counts, and in force within a second."""
MAX_FIRST_LOOKS = 50
"""A file that is written for longer than this many looks, ten seconds, is none to start with."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What the file held at one look: its bytes, or why they could not be read. Compared by `key`."""

    key: str
    data: bytes = field(repr=False, compare=False)
    failure: str = ""
    inode: int = field(default=0, compare=False)

    def may_be_half_of(self, before: "_Content | None") -> bool:
        """Whether it may be what a writer has written so far into the same file."""
        if before is None or self.failure or before.failure:
            return False
        return self.inode == before.inode and len(self.data) < len(before.data)


@dataclass(frozen=True, slots=True)
class Fitness:
    """What a deployment can do for a policy: one that asks for more is refused."""

    max_wait_seconds: float = MAX_WAIT_SECONDS
    """No hold waits longer on an open connection."""
    has_mask_key: bool = True
    """Tokens can be made."""
    connections: frozenset[str] = frozenset()
    """The names of the configured connections; empty where no configuration is at hand."""

    @classmethod
    def of(cls, settings: Settings) -> "Fitness":
        return cls(
            settings.envoy.max_hold_seconds,
            bool(settings.mask_keys),
            frozenset(connection.name for connection in settings.connections),
        )

    def parse(self, data: bytes, today: date = date.min) -> Policy:
        """The policy that `data` says, if this deployment can do what it asks. Raises `PolicyInvalid`.

        The service does not say `today`: a shadow that is over is a failing control there, and refuses no start.
        """
        return parse_policy(
            data,
            max_wait_seconds=self.max_wait_seconds,
            has_mask_key=self.has_mask_key,
            connections=self.connections,
            today=today,
        )


@dataclass(frozen=True, slots=True)
class Suited:
    """What is in force once the deployment can do something else: what was, or `policy`, which the file holds."""

    before: _Content | None
    content: _Content | None = None
    policy: Policy | None = None


def places_of(problems: tuple[Problem, ...]) -> tuple[str, ...]:
    """The first problems as one line each, for logs and events; `policy check` and `policy test` show all."""
    return tuple(str(each) for each in problems[:MAX_PLACES])


def load_policy(path: Path, fitness: Fitness) -> Policy:
    """The policy in the file now, of one look: for commands, and what looks again before it serves.

    Raises `PolicyInvalid`, also when there is no file.
    """
    return PolicyFile(path, on_change=lambda _: None, on_failure=lambda _: None, fitness=fitness).load_once()


class PolicyFile:
    """Watches one path, whatever way it is replaced: a ConfigMap's symlink swap, a rename, a write in place.

    A policy of which a test of its own fails is as bad as one that does not parse.

    What it holds counts once two looks in a row saw the same bytes, at the start and at a change, so that a file cut
    short by a write under way, which may lack the denying rules at its end, is not taken for a policy. `on_change` gets
    each new good policy, and the last good one again when its file returns after a failure. `on_failure` gets the
    problems of a bad content, once.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_change: Callable[[Policy], None],
        on_failure: Callable[[tuple[Problem, ...]], None],
        fitness: Fitness = Fitness(),
    ) -> None:
        self._path = path
        self._on_change = on_change
        self._on_failure = on_failure
        self._fitness = fitness
        self._judged: _Content | None = None
        self._in_force: _Content | None = None
        self._failing = False
        self.looked_unix = 0.0
        """When the file was looked at last."""
        self.problems: tuple[Problem, ...] = ()
        """Of the file as it is now; none while it is the policy in force."""
        self.refused_digest = ""
        """`sha256:…` of what the file holds where that was refused; empty where it is in force or cannot be read."""

    @property
    def failing(self) -> bool:
        """The file as it is now is not the policy in force."""
        return self._failing

    def load(self) -> Policy:
        """The first load, of what two looks saw, for which it waits. Blocks.

        Raises `PolicyInvalid` and calls nobody; `run` then waits for a good one.
        """
        before = None
        for _ in range(MAX_FIRST_LOOKS):
            content = self._look()
            if content == before:
                return self._first(content)
            before = content
            time.sleep(POLL_SECONDS)
        return self._first(_Content(key="", data=b"", failure="the file does not cease to change"))

    def load_once(self) -> Policy:
        """As `load`, of what one look sees."""
        return self._first(self._look())

    def suited(self, fitness: Fitness) -> Suited:
        """The policy that fits: the one in force, or else the one in the file, of two looks. Blocks.

        Raises `PolicyInvalid` where neither does: a rule for a connection that has another name now guards nothing.
        """
        before = self._in_force
        if before is None or fitness == self._fitness or _fits(before.data, fitness):
            return Suited(before)
        content = self._look()
        time.sleep(SHORTER_SECONDS if content.may_be_half_of(before) else POLL_SECONDS)
        if self._look() != content:
            raise PolicyInvalid((Problem("(document)", 1, 1, "the file does not cease to change"),))
        return Suited(before, content, self._parse(content, fitness))

    def may_suit(self, suited: Suited) -> bool:
        """Whether the policy in force is still the one that `suited` was found for."""
        return suited.before == self._in_force

    def suit(self, fitness: Fitness, suited: Suited | None = None) -> None:
        """The deployment can do something else from now on, and has the policy that fits; what was refused before is
        judged again."""
        self._fitness = fitness
        if suited is not None and suited.policy is not None:
            self._take_over(suited.content, suited.policy)
        elif self._failing:
            self._judged = None

    def _first(self, content: _Content) -> Policy:
        self._judged = content
        self.looked_unix = time.time()
        self._failing = True
        policy = self._parse(content)
        self._in_force, self._failing = content, False
        return policy

    async def run(self) -> None:
        """Watch until cancelled."""
        before, changed = self._judged, time.monotonic()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            # In a thread: a file system that hangs must not stop the exchanges.
            content = await asyncio.to_thread(self._look)
            self.looked_unix = time.time()
            if content != before:
                changed = time.monotonic()
            elif content != self._judged:
                await self._take(content, time.monotonic() - changed)
            before = content

    async def _take(self, content: _Content, quiet_seconds: float) -> None:
        """Judge what has not changed for `quiet_seconds`."""
        fitness = self._fitness
        try:
            policy = await asyncio.to_thread(self._parse, content)
        except PolicyInvalid as invalid:
            if fitness is not self._fitness:
                return  # the deployment can do something else by now: the next look judges again
            self._judged, self._failing, self.problems = content, True, invalid.problems
            self.refused_digest = "" if content.failure else f"sha256:{content.key}"
            self._on_failure(invalid.problems)
        else:
            if fitness is not self._fitness:
                return
            if content.may_be_half_of(self._in_force) and quiet_seconds < SHORTER_SECONDS:
                return
            self._take_over(content, policy)

    def _take_over(self, content: _Content | None, policy: Policy) -> None:
        self._judged, self._in_force, self._failing, self.problems = content, content, False, ()
        self.refused_digest = ""
        self._on_change(policy)

    def _look(self) -> _Content:
        try:
            data, inode = read_bounded(self._path), self._path.stat().st_ino
        except OSError as error:
            return _Content(key=f"errno:{error.errno}", data=b"", failure=read_failure(error))
        return _Content(key=hashlib.sha256(data).hexdigest(), data=data, inode=inode)

    def _parse(self, content: _Content, fitness: Fitness | None = None) -> Policy:
        if content.failure:
            raise PolicyInvalid((Problem("(document)", 1, 1, content.failure),))
        policy = (fitness or self._fitness).parse(content.data)
        if failing := failing_cases(policy):
            raise PolicyInvalid(failing)
        return policy


def _fits(data: bytes, fitness: Fitness) -> bool:
    try:
        fitness.parse(data)
    except PolicyInvalid:
        return False
    return True
