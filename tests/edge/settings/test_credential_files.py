"""Credentials: seen whatever way their files change, never replaced by what is none, the same for a whole exchange."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.core.snapshot import Connection
from extproc.core.trust import Secret
from extproc.edge import credential_files
from extproc.edge.credential_files import CONTROL, CredentialFiles
from extproc.edge.settings import ConnectionSettings
from extproc.edge.settings_file import SettingsInvalid

REPLACED = (EventCode.ADMIN_CREDENTIAL_CHANGE, Outcome.SUCCEEDED, {"connection": "gpu"})


class Watched:
    """Two connections, one with a credential, and what was told of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("first-key")
        settings = (
            ConnectionSettings("gpu", "http://127.0.0.1:1", credential_file=path),
            ConnectionSettings("free", "http://127.0.0.1:2", "/free"),
        )
        self.files = CredentialFiles(settings)
        self.served = self.files.load()
        self.notes: list[tuple[EventCode, Outcome, dict[str, Any]]] = []
        self.signals: list[bool] = []
        self.recordable = True

    def control_failure(self, control: str, failing: bool) -> None:
        assert control == CONTROL
        self.signals.append(failing)

    def _change(self, connections: tuple[Connection, ...]) -> None:
        self.served = connections

    def _note(self, code: EventCode, status: Outcome, **detail: Any) -> None:
        if not self.recordable:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        self.notes.append((code, status, detail))

    @property
    def key(self) -> str:
        first, second = self.served
        assert second.credential is None
        return first.credential.value if first.credential else ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.files.run(self._change, self._note, self))
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(credential_files, "POLL_SECONDS", 0.005)
    return Watched(tmp_path / "model.key")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def rename(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def swap_symlink(path: Path, text: str) -> None:
    """As kubelet does with a Secret: a new folder, and `..data` renamed over the old link."""
    target = path.parent / f"..{time.monotonic_ns()}"
    target.mkdir()
    (target / path.name).write_text(text)
    link = path.parent / "..data_tmp"
    link.symlink_to(target.name)
    link.replace(path.parent / "..data")
    if not path.is_symlink():
        path.unlink()
        path.symlink_to(Path("..data") / path.name)


@pytest.mark.parametrize("replace", [write_in_place, rename, swap_symlink])
async def test_a_new_credential_is_taken_over(watched: Watched, replace: Callable[[Path, str], None]) -> None:
    async with watched.running():
        for key in ("second-key", "third-key\n", "fourth-key"):
            replace(watched.path, key)
            await until(lambda key=key: watched.key == key.strip())  # type: ignore[misc]
    assert watched.notes == [REPLACED] * 3


async def test_a_replaced_credential_that_cannot_be_recorded_is_recorded_later(watched: Watched) -> None:
    watched.recordable = False
    async with watched.running():
        rename(watched.path, "second-key")
        await until(lambda: watched.key == "second-key")
        assert watched.notes == []
        watched.recordable = True
        await until(lambda: bool(watched.notes))
    assert watched.notes == [REPLACED]


def spoil_empty(path: Path) -> None:
    path.write_text("")


def spoil_two_lines(path: Path) -> None:
    path.write_text("one\ntwo\n")


@pytest.mark.parametrize("spoil", [Path.unlink, spoil_empty, spoil_two_lines])
async def test_what_is_no_credential_leaves_the_last_good_one(watched: Watched, spoil: Callable[[Path], None]) -> None:
    """Recorded once, by the connection's name, and once more when it is good again, changed or not."""
    detail = {"control": CONTROL, "connection": "gpu"}
    async with watched.running():
        for key in ("first-key", "second-key"):
            spoil(watched.path)
            await until(lambda: watched.files.failing == {"gpu"})
            assert watched.key == "first-key"
            rename(watched.path, key)
            await until(lambda: not watched.files.failing and watched.signals[-1:] == [False])
            assert watched.key == key
    failed = (EventCode.CONTROL_FAILURE, Outcome.FAILED, detail)
    restored = (EventCode.CONTROL_RESTORED, Outcome.SUCCEEDED, detail)
    assert watched.notes == [failed, restored, failed, REPLACED, restored]
    assert watched.signals == [True, False] * 2
    assert "key" not in str(watched.notes)


async def test_what_cannot_be_recorded_is_recorded_later(watched: Watched) -> None:
    watched.recordable = False
    async with watched.running():
        watched.path.unlink()
        await until(lambda: watched.files.failing == {"gpu"})
        assert (watched.notes, watched.signals) == ([], [])
        watched.recordable = True
        await until(lambda: watched.signals == [True])
    assert len(watched.notes) == 1


async def test_a_credential_that_is_being_written_is_not_taken(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look sees other bytes until the last one, which two see."""
    seen: list[str] = []

    def look(path: Path) -> Any:
        seen.append(f"key-{min(len(seen), 6)}")
        return credential_files._look_of(Secret(seen[-1]))

    taken: list[str] = []
    monkeypatch.setattr(credential_files, "_look", look)
    change = watched._change
    monkeypatch.setattr(watched, "_change", lambda connections: (change(connections), taken.append(watched.key)))
    async with watched.running():
        await until(lambda: len(seen) > 9)
    assert taken == ["key-6"]


def test_a_service_does_not_start_without_its_credential(tmp_path: Path) -> None:
    settings = ConnectionSettings("gpu", "http://127.0.0.1:1", credential_file=tmp_path / "none")
    with pytest.raises(SettingsInvalid):
        CredentialFiles((settings,)).load()
