"""The store on both engines: what it keeps, what it refuses to change, and what it says when the database fails."""

import sqlite3
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from extproc.approvals.rows import SHOWN
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalQuery, ApprovalStore, open_store
from extproc.approvals.tables import METADATA
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.core.approval import Approval, ApprovalRequest, ApprovalState, open_approval
from extproc.core.identity import Principal
from extproc.core.reasons import Malformed, Reason, Unavailable
from tests.approvals.votes import decide

Ask = Callable[..., ApprovalRequest]
OpenAt = Callable[[str], ApprovalStore]
REQUESTER = "https://idp.test|analyst"
PENDING = ApprovalQuery((ApprovalState.PENDING,), limit=3)


def _granted(store: ApprovalStore, request: ApprovalRequest, approver: Principal) -> Approval:
    granted = decide(store.open(request), approver, True, "quarterly report", 1010.0)
    assert store.vote(granted)
    found = store.find(request.approval_id, 1010.0)
    assert found == replace(granted, revision=granted.revision + 1)
    return found


def test_every_field_comes_back(store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    request = ask("apr-1")
    pending = store.open(request)
    assert pending == replace(open_approval(request), revision=1)
    assert store.find("apr-1", 1001.0) == pending
    granted = decide(pending, approver, True, "Größe ✓", 1010.25)
    assert store.vote(granted)
    assert store.find("apr-1", 1011.0) == replace(granted, revision=2)
    assert store.find("apr-2", 1011.0) is None
    assert {*(column.name for column in SHOWN), "votes"} == {field.name for field in fields(Approval)}


def test_reopening_sees_everything(database: str, open_at: OpenAt, ask: Ask, approver: Principal) -> None:
    first = open_at(database)
    granted = _granted(first, ask("apr-1", b"[PAN]"), approver)
    pending = first.open(ask("apr-2"))
    first.close()
    again = open_at(database)
    assert again.find("apr-1", 1012.0) == granted
    assert again.find("apr-2", 1012.0) == pending
    assert again.read_preview("apr-1") == b"[PAN]"
    assert again.claim("apr-1", "digest-apr-1", REQUESTER, 1013.0)


def test_a_grant_is_used_once_by_its_requester_for_its_request_in_time(
    store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    pending = store.open(ask("apr-1"))
    assert not store.claim("apr-1", "digest-apr-1", REQUESTER, 1005.0), "pending"
    assert store.vote(decide(pending, approver, True, "fine", 1010.0))
    assert not store.claim("apr-1", "digest-apr-2", REQUESTER, 1020.0)
    assert not store.claim("apr-1", "digest-apr-1", "https://idp.test|other", 1020.0)
    assert store.claim("apr-1", "digest-apr-1", REQUESTER, 1020.0)
    assert not store.claim("apr-1", "digest-apr-1", REQUESTER, 1020.0)
    _granted(store, ask("apr-2"), approver)
    assert not store.claim("apr-2", "digest-apr-2", REQUESTER, 1100.0)
    assert not store.claim("apr-2", "digest-apr-2", REQUESTER, 1020.0), "a clock that was set back revives nothing"


def test_a_window_serves_what_the_same_people_decide_on(
    sqlite_store: ApprovalStore, ask: Ask, approver: Principal
) -> None:
    def asked(approval_id: str, quorum: int = 1) -> ApprovalRequest:
        return replace(ask(approval_id), window_seconds=600.0, window_uses=3, quorum=quorum)

    _granted(sqlite_store, asked("apr-1"), approver)
    assert sqlite_store.open(asked("apr-2")).approval_id == "apr-1"
    assert sqlite_store.open(asked("apr-3", quorum=2)).approval_id == "apr-3"


def test_the_requester_cannot_decide_even_past_the_rules(store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    pending = store.open(ask("apr-1"))
    granted = decide(pending, approver, True, "fine", 1010.0)
    own = replace(granted.votes[0], uid=REQUESTER)
    assert not store.vote(replace(granted, votes=(own,), decided_by_uid=REQUESTER))
    assert not store.vote(replace(granted, votes=()))
    assert store.find("apr-1", 1011.0) == pending


def test_what_is_due_is_expired_on_sight(store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    opened = store.open(ask("apr-0"))
    late = decide(opened, approver, True, "late", 1100.0 - 1e-3)
    granted = _granted(store, ask("apr-1"), approver)
    used = _granted(store, ask("apr-2"), approver)
    assert store.claim("apr-2", "digest-apr-2", REQUESTER, 1020.0)
    store.open(ask("apr-3", expires_at=2000.0))
    found = store.find_all(["apr-0", "apr-1", "apr-2", "apr-3"], 1100.0)
    assert [found[key].state.value for key in sorted(found)] == ["expired", "expired", "used", "pending"]
    assert found["apr-1"] == replace(granted, state=ApprovalState.EXPIRED, revision=found["apr-1"].revision)
    assert found["apr-2"] == replace(used, state=ApprovalState.USED, uses=1, revision=used.revision + 1)
    assert not store.vote(late), "expiry is final, whatever another clock says"
    assert store.find("apr-0", 1050.0) == found["apr-0"]
    assert not store.vote(replace(late, revision=found["apr-0"].revision))


def test_a_decision_at_or_after_expiry_does_not_count(store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    granted = decide(store.open(ask("apr-1")), approver, True, "late", 1010.0)
    assert not store.vote(replace(granted, votes=(replace(granted.votes[0], at=1100.0),)))


def test_withdrawing_ends_pending_and_granted_only(store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    pending = store.open(ask("apr-1"))
    assert store.withdraw("apr-1")
    assert not store.withdraw("apr-1")
    assert not store.vote(decide(pending, approver, True, "too late", 1010.0)), "withdrawn while somebody decided"
    _granted(store, ask("apr-2"), approver)
    assert store.withdraw("apr-2")
    assert not store.claim("apr-2", "digest-apr-2", REQUESTER, 1020.0)
    assert store.vote(decide(store.open(ask("apr-3")), approver, False, "no", 1010.0))
    assert not store.withdraw("apr-3")
    assert not store.withdraw("apr-4")


def test_search_shows_the_newest_first_within_its_limit(store: ApprovalStore, ask: Ask) -> None:
    for index in range(5):
        store.open(ask(f"apr-{index}", created_at=1000.0 + index, expires_at=1050.0 if index == 4 else 1100.0))
    assert [a.approval_id for a in store.search(PENDING, 1060.0)] == ["apr-3", "apr-2", "apr-1"]
    assert [a.approval_id for a in store.search(ApprovalQuery((ApprovalState.EXPIRED,)), 1060.0)] == ["apr-4"]


def test_more_ids_than_fit_one_statement(store: ApprovalStore, ask: Ask) -> None:
    store.open(ask("apr-1200"))
    assert set(store.find_all([f"apr-{index}" for index in range(1201)], 1001.0)) == {"apr-1200"}


def test_an_id_is_never_taken_twice(store: ApprovalStore, ask: Ask) -> None:
    first = store.open(ask("apr-1"))
    with pytest.raises(Unavailable):
        store.open(ask("apr-1", created_at=1001.0))
    assert store.find("apr-1", 1002.0) == first


def test_a_value_that_cannot_be_stored_is_an_error_without_the_value(store: ApprovalStore, ask: Ask) -> None:
    with pytest.raises(Unavailable) as error:
        store.open(replace(ask("apr-1"), requester_name="lone \ud800 surrogate"))
    assert "surrogate" not in repr(error.value)
    assert error.value.__cause__ is None
    assert store.find("apr-1", 1001.0) is None


def test_the_migrations_make_the_tables_that_the_code_uses(store: ApprovalStore) -> None:
    with store._database.transaction() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == "0006"


# -- the preview -------------------------------------------------------------------------------------------------------


def test_the_preview_is_never_in_clear_in_the_files(tmp_path: Path, open_at: OpenAt, ask: Ask) -> None:
    """Which the store itself has made."""
    secret = b"the masked prompt asks for the board minutes"
    store = open_at(f"sqlite:///{tmp_path}/approvals.db")
    for index in range(20):
        store.open(ask(f"apr-{index}", secret * 200))
    assert store.read_preview("apr-7") == secret * 200
    files = list(tmp_path.glob("approvals.db*"))
    assert {"approvals.db", "approvals.db-wal"} <= {file.name for file in files}
    assert all(secret[:16] not in file.read_bytes() for file in files)
    store.close()
    assert secret[:16] not in (tmp_path / "approvals.db").read_bytes()
    assert all(file.stat().st_mode & 0o077 == 0 for file in files if file.exists())


def test_a_preview_opens_under_its_own_id_only(store: ApprovalStore, ask: Ask) -> None:
    store.open(ask("apr-1", b"one"))
    store.open(ask("apr-2", b"two"))
    with store._database.transaction() as connection:
        connection.exec_driver_sql(
            "UPDATE approvals SET sealed_preview = (SELECT b.sealed_preview FROM approvals b"
            " WHERE b.approval_id = 'apr-2') WHERE approval_id = 'apr-1'"
        )
    with pytest.raises(Malformed):
        store.read_preview("apr-1")
    assert store.read_preview("apr-3") is None


# -- failures ----------------------------------------------------------------------------------------------------------


def _everything_fails(store: ApprovalStore, ask: Ask) -> None:
    pending = open_approval(ask("apr-1"))
    calls: list[Callable[[], object]] = [
        lambda: store.open(ask("apr-9")),
        lambda: store.find("apr-1", 1001.0),
        lambda: store.search(ApprovalQuery(), 1001.0),
        lambda: store.read_preview("apr-1"),
        lambda: store.vote(replace(pending, state=ApprovalState.GRANTED, decided_at=1001.0)),
        lambda: store.claim("apr-1", "digest-apr-1", REQUESTER, 1001.0),
        lambda: store.withdraw("apr-1"),
    ]
    for call in calls:
        with pytest.raises(Unavailable) as error:
            call()
        assert error.value.reason is Reason.APPROVALS_UNAVAILABLE


def test_a_removed_database_is_unavailable_and_not_made_anew(
    tmp_path: Path, sqlite_store: ApprovalStore, ask: Ask
) -> None:
    sqlite_store.open(ask("apr-1"))
    (tmp_path / "approvals.db").unlink()
    _everything_fails(sqlite_store, ask)
    assert not (tmp_path / "approvals.db").exists()


def test_a_replaced_database_is_unavailable(tmp_path: Path, sqlite_store: ApprovalStore, ask: Ask) -> None:
    path = tmp_path / "approvals.db"
    other = tmp_path / "other.db"
    other.write_bytes(path.read_bytes())
    other.replace(path)
    _everything_fails(sqlite_store, ask)


def test_a_lost_table_is_unavailable(store: ApprovalStore, ask: Ask) -> None:
    with store._database.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE approvals")
    _everything_fails(store, ask)


def test_a_locked_database_is_unavailable_within_its_deadline(
    tmp_path: Path, sqlite_store: ApprovalStore, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extproc.approvals.database.BUSY_MILLISECONDS", 100)
    store = open_store(ApprovalSettings(f"sqlite:///{tmp_path}/approvals.db"), lambda _, d: d, lambda _, d: d)
    store.open(ask("apr-1"))
    blocker = sqlite3.connect(tmp_path / "approvals.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        store.claim("apr-1", "digest-apr-1", REQUESTER, 1001.0)
    assert store.find("apr-1", 1001.0) is not None, "readers do not wait for a writer"
    blocker.execute("ROLLBACK")
    blocker.close()
    assert store.withdraw("apr-1")
    store.close()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////dev/null/approvals.db",
        "mysql://app@127.0.0.1/approvals",
        "postgresql+psycopg://app@127.0.0.1:9/approvals",
    ],
)
def test_an_address_that_cannot_be_opened(address: str, postgres: str) -> None:
    with pytest.raises(Unavailable):
        open_store(ApprovalSettings(address), lambda _, data: data, lambda _, data: data)


def test_something_else_in_the_place_of_the_database(tmp_path: Path) -> None:
    (tmp_path / "approvals.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(Unavailable):
        open_store(ApprovalSettings(f"sqlite:///{tmp_path}/approvals.db"), lambda _, d: d, lambda _, d: d)


def test_a_database_of_a_newer_version_is_refused(database: str, open_at: OpenAt) -> None:
    store = open_at(database)
    with store._database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable):
        open_at(database)


def test_a_row_that_this_version_never_wrote_is_unavailable(store: ApprovalStore, ask: Ask) -> None:
    store.open(ask("apr-1"))
    with store._database.transaction() as connection:
        connection.exec_driver_sql("UPDATE approvals SET state = 'nodded'")
    with pytest.raises(Unavailable):
        store.find("apr-1", 1001.0)


def test_a_failed_seal_stores_nothing(tmp_path: Path, ask: Ask, keys: AuditKeys) -> None:
    def broken(_context: bytes, _data: bytes) -> bytes:
        raise Malformed(Reason.AUDIT_UNAVAILABLE)

    store = open_store(ApprovalSettings(f"sqlite:///{tmp_path}/approvals.db"), broken, broken)
    with pytest.raises(Malformed):
        store.open(ask("apr-1"))
    assert store.find("apr-1", 1001.0) is None
    store.close()


def test_an_erased_preview_is_in_no_file_of_the_database(tmp_path: Path, keys: AuditKeys, ask: Ask) -> None:
    """Neither in a page nor in the write-ahead log, also beside a process that has the database open."""
    sealed: list[bytes] = []

    def seal(context: bytes, data: bytes) -> bytes:
        sealed.append(seal_bytes(keys, context, data))
        return sealed[-1]

    settings = ApprovalSettings(f"sqlite:///{tmp_path}/approvals.db")
    store = open_store(settings, seal, lambda context, data: open_bytes(keys, context, data))
    other = open_store(settings, seal, lambda context, data: open_bytes(keys, context, data))
    for name in ("apr-1", "apr-2", "apr-3"):
        store.open(ask(name, name.encode() + b" wants to know" * 400))
    assert other.find("apr-1", 0.0)

    def held() -> list[bool]:
        files = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("approvals.db*")))
        return [any(piece in files for piece in (one[:40], one[3000:3040], one[-40:])) for one in sealed]

    assert held() == [True, True, True]
    assert store.erase_previews(["apr-1", "apr-9"]) == 1
    assert store.erase_previews(["apr-1"]) == 0
    assert store.erase_previews([]) == 0
    assert held() == [False, True, True]
    assert store.read_preview("apr-1") == b"[shredded]"
    assert other.read_preview("apr-2") is not None
    assert store.erase_previews_before(ask("any").created_at + 1) == 2
    assert held() == [False, False, False]
    store.close()
    other.close()


def test_previews_are_erased_on_each_engine(open_at: OpenAt, database: str, ask: Ask) -> None:
    store = open_at(database)
    store.open(ask("apr-1", b"one"))
    store.open(ask("apr-2", b"two"))
    assert store.erase_previews(["apr-2"]) == 1
    assert (store.read_preview("apr-1"), store.read_preview("apr-2")) == (b"one", b"[shredded]")
