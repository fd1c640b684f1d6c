"""Credentials of other connections: read with them, watched from then on; what is watched already stays watched."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.core.record import EventCode, Outcome
from extproc.core.trust import Secret
from extproc.edge import credential_files
from extproc.edge.settings import ConnectionSettings
from extproc.edge.settings_file import SettingsInvalid
from tests.edge.settings.test_credential_files import REPLACED, Watched, rename, until


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(credential_files, "POLL_SECONDS", 0.005)
    return Watched(tmp_path / "model.key")


def take(watched: Watched, *connections: ConnectionSettings) -> dict[str, Secret | None]:
    served = watched.files.take(connections, watched.files.read_new(connections))
    return {each.name: each.credential for each in served}


def gpu(watched: Watched, name: str = "gpu") -> ConnectionSettings:
    return ConnectionSettings(name, "http://127.0.0.1:1", credential_file=watched.path)


async def test_a_new_connections_file_is_read_and_watched(watched: Watched) -> None:
    path = watched.path.with_name("new.key")
    path.write_text("new-key")
    new = ConnectionSettings("new", "http://127.0.0.1:3", "/new", path)
    async with watched.running():
        await asyncio.sleep(0)  # the watch has begun
        assert take(watched, gpu(watched), new) == {"gpu": Secret("first-key"), "new": Secret("new-key")}
        rename(path, "newer-key")
        await until(lambda: watched.served[1].credential == Secret("newer-key"))
        rename(watched.path, "second-key")
        await until(lambda: watched.served[0].credential == Secret("second-key"))
    changed = [(code, detail["connection"]) for code, _, detail in watched.notes]
    assert changed == [(EventCode.ADMIN_CREDENTIAL_CHANGE, "new"), (EventCode.ADMIN_CREDENTIAL_CHANGE, "gpu")]


async def test_a_file_that_fails_meanwhile_keeps_its_last_good_credential(watched: Watched) -> None:
    """And is good again when it is: what is watched is not read anew for other connections."""
    async with watched.running():
        watched.path.unlink()
        await until(lambda: watched.files.failing == {"gpu"})
        moved = replace(gpu(watched), upstream="http://127.0.0.1:4")
        assert take(watched, moved) == {"gpu": Secret("first-key")}
        assert watched.files.failing == {"gpu"}
        watched.path.write_text("second-key")
        await until(lambda: watched.served[0].credential == Secret("second-key"))
        await until(lambda: watched.signals == [True, False])


async def test_another_file_of_a_connection_is_read_and_recorded_where_it_holds_another_credential(
    watched: Watched,
) -> None:
    same, another = (watched.path.with_name(name) for name in ("same.key", "another.key"))
    same.write_text("first-key")
    another.write_text("second-key")
    async with watched.running():
        take(watched, replace(gpu(watched), credential_file=same))
        assert take(watched, replace(gpu(watched), credential_file=another)) == {"gpu": Secret("second-key")}
        await until(lambda: bool(watched.notes))
    assert watched.notes == [REPLACED]


async def test_the_file_of_a_connection_that_went_fails_no_more(watched: Watched) -> None:
    other = ConnectionSettings("other", "http://127.0.0.1:2", credential_file=watched.path.with_name("other.key"))
    assert other.credential_file is not None
    other.credential_file.write_text("other-key")
    async with watched.running():
        watched.path.unlink()
        await until(lambda: watched.signals == [True])
        assert take(watched, other) == {"other": Secret("other-key")}
        await until(lambda: watched.signals == [True, False])
    assert watched.notes[-1][:2] == (EventCode.CONTROL_RESTORED, Outcome.SUCCEEDED)


async def test_nothing_changes_where_one_new_file_holds_no_credential(watched: Watched) -> None:
    gone = ConnectionSettings("gone", "http://127.0.0.1:2", credential_file=watched.path.with_name("gone.key"))
    with pytest.raises(SettingsInvalid):
        take(watched, gpu(watched), gone)
    async with watched.running():
        rename(watched.path, "second-key")
        await until(lambda: watched.key == "second-key")


async def test_connections_that_come_during_a_look_are_looked_at_by_the_next(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What that look saw is of the connections before: the same name may stand for another file."""
    another = watched.path.with_name("another.key")
    another.write_text("another-key")
    look, taken = credential_files._look_at, False

    def overtaken(files: dict[str, Path]) -> object:
        nonlocal taken
        seen = look(files)
        if not taken:
            taken = True
            take(watched, replace(gpu(watched), credential_file=another))
        return seen

    keys: list[Secret | None] = []
    monkeypatch.setattr(watched, "_change", lambda served: keys.append(served[0].credential))
    monkeypatch.setattr(credential_files, "_look_at", overtaken)
    async with watched.running():
        await until(lambda: taken)
        rename(another, "newer-key")
        await until(lambda: bool(keys))
    assert keys == [Secret("newer-key")]
    assert watched.files.failing == frozenset()
