"""A key that the console makes by itself is in the log, sooner or later, once."""

from pathlib import Path

from extproc.console.key_tending import KeyTending
from extproc.console.token_keys import TokenKeys
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import Record, missing_fields
from tests.console.test_token_keys import SETTINGS


def test_each_key_that_is_made_by_itself_is_recorded_once(tmp_path: Path) -> None:
    keys, records = TokenKeys(tmp_path / "keys", SETTINGS), list[Record]()
    tending = KeyTending(keys)
    for now in (0.0, 1.0, 9_000.0, 9_001.0):
        tending.tend(now)
        tending.record_owed(records.append)
    made = [(each.event_code, each.detail["token key"], each.detail["signs_from"]) for each in records]
    assert made == [("admin.key_rotate", key.kid, key.signs_from) for key in keys.published(9_001.0)]
    assert len(made) == 2
    assert not any(missing_fields(each) for each in records)


def test_a_key_that_could_not_be_recorded_is_recorded_later(tmp_path: Path) -> None:
    def refuse(_: Record) -> None:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)

    records = list[Record]()
    tending = KeyTending(TokenKeys(tmp_path / "keys", SETTINGS))
    tending.tend(0.0)
    tending.record_owed(refuse)
    tending.tend(60.0)
    tending.record_owed(records.append)
    tending.record_owed(records.append)
    assert len(records) == 1


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    KeyTending(TokenKeys(tmp_path / "keys", SETTINGS)).tend(0.0)
