"""The model servers' credentials: read at start, read again when their files change. What is none is not taken."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.core.snapshot import Connection
from extproc.core.trust import Secret
from extproc.edge.identity_control import Note, Signal
from extproc.edge.settings import ConnectionSettings
from extproc.edge.settings_file import SettingsInvalid, read_credential

CONTROL = "credentials"
POLL_SECONDS = 0.3
"""A change is seen twice before it counts, and in force within a second."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file held at one look: a credential, or why it is none. Compared by `key`."""

    key: str
    secret: Secret | None = field(default=None, repr=False, compare=False)
    failure: str = field(default="", compare=False)


class CredentialFiles:
    """Watches the files of all connections, whatever way they are replaced: a Secret's symlink swap, a rename, a write.

    A change counts once two looks in a row saw the same credential. A file that is gone, empty or no credential leaves
    the last good one in force, and is a recorded failure of the control `credentials` until it is one again. That a
    credential was replaced is recorded, by its connection and nothing of itself.
    """

    def __init__(self, connections: tuple[ConnectionSettings, ...]) -> None:
        self._connections = connections
        self._files = _files_of(connections)
        self._judged: dict[str, _Look] = {}
        self._good: dict[str, Secret] = {}
        self._noted: frozenset[str] = frozenset()
        self._unrecorded: frozenset[str] = frozenset()
        """Connections whose credential was replaced, once or more often, while nothing could be recorded."""

    @property
    def failing(self) -> frozenset[str]:
        """The connections whose files hold no credential now."""
        return frozenset(name for name, look in self._judged.items() if look.secret is None)

    def load(self) -> tuple[Connection, ...]:
        """The connections with their credentials. Raises `SettingsInvalid`, which quotes nothing of them."""
        self._good = {name: read_credential(path) for name, path in self._files.items()}
        self._judged = {name: _look_of(secret) for name, secret in self._good.items()}
        return self._served()

    def read_new(self, connections: tuple[ConnectionSettings, ...]) -> Mapping[str, Secret]:
        """The credentials of those of other connections whose files are not watched yet. Blocks.

        Raises `SettingsInvalid`, which quotes nothing of them.
        """
        files = _files_of(connections)
        return {name: read_credential(path) for name, path in files.items() if self._files.get(name) != path}

    def take(self, connections: tuple[ConnectionSettings, ...], new: Mapping[str, Secret]) -> tuple[Connection, ...]:
        """Watch the files of other connections from now on; `new` is what `read_new` found of them."""
        self._connections, self._files = connections, _files_of(connections)
        known = {name: secret for name, secret in self._good.items() if name not in new}
        other = {name for name, secret in new.items() if name in self._good and self._good[name].value != secret.value}
        self._unrecorded |= other
        self._good = {name: {**known, **new}[name] for name in self._files}
        looks = {**self._judged, **{name: _look_of(secret) for name, secret in new.items()}}
        self._judged = {name: looks[name] for name in self._files}
        return self._served()

    async def run(self, on_change: Callable[[tuple[Connection, ...]], None], note: Note, signal: Signal) -> None:
        """Watch until cancelled. `on_change` gets all connections whenever one has another credential."""
        files, before = self._files, self._judged
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if files is not self._files:
                files, before = self._files, self._judged
            # In a thread: a file system that hangs must not stop the exchanges.
            seen = await asyncio.to_thread(_look_at, files)
            if files is not self._files:
                continue  # other connections were taken over meanwhile
            fresh = {name: look for name, look in seen.items() if look == before[name] and look != self._judged[name]}
            before = seen
            self._judged = {**self._judged, **fresh}
            good = {name: look.secret for name, look in fresh.items() if look.secret is not None}
            replaced = sorted(name for name, secret in good.items() if secret.value != self._good[name].value)
            if replaced:
                self._good = {**self._good, **good}
                on_change(self._served())
                _log.info("credentials replaced", extra={"connections": replaced})
            self._unrecorded |= frozenset(replaced)
            self._record_replaced(note)
            self._tell(note, signal)

    def _record_replaced(self, note: Note) -> None:
        """What cannot be recorded now is tried again at the next look; meanwhile no exchange begins either."""
        for name in sorted(self._unrecorded):
            try:
                note(EventCode.ADMIN_CREDENTIAL_CHANGE, Outcome.SUCCEEDED, connection=name)
            except Unavailable:
                _log.error("a replaced credential could not be recorded yet", extra={"connection": name})
                return
            self._unrecorded -= {name}

    def _tell(self, note: Note, signal: Signal) -> None:
        """Record what fails and what no longer does. What cannot be recorded now is tried again at the next look."""
        for name in sorted(self.failing ^ self._noted):
            down = name in self.failing
            code = EventCode.CONTROL_FAILURE if down else EventCode.CONTROL_RESTORED
            try:
                note(code, Outcome.FAILED if down else Outcome.SUCCEEDED, control=CONTROL, connection=name)
            except Unavailable:
                _log.error("the state of a credential could not be recorded", extra={"event_code": code.value})
                continue
            before, self._noted = self._noted, self._noted ^ {name}
            if down:
                failure = {"connection": name, "problem": self._judged[name].failure}
                _log.error("a credential is not taken; the last good one stays", extra=failure)
            if bool(before) != bool(self._noted):
                signal.control_failure(CONTROL, failing=bool(self._noted))

    def _served(self) -> tuple[Connection, ...]:
        return tuple(each.served(self._good.get(each.name)) for each in self._connections)


def _files_of(connections: tuple[ConnectionSettings, ...]) -> Mapping[str, Path]:
    return {each.name: each.credential_file for each in connections if each.credential_file}


def _look_at(files: Mapping[str, Path]) -> dict[str, _Look]:
    return {name: _look(path) for name, path in files.items()}


def _look(path: Path) -> _Look:
    try:
        return _look_of(read_credential(path))
    except SettingsInvalid as error:
        failure = error.problems[0].message
        return _Look(key=f"failure:{failure}", failure=failure)


def _look_of(secret: Secret) -> _Look:
    return _Look(key=hashlib.sha256(secret.value.encode()).hexdigest(), secret=secret)
