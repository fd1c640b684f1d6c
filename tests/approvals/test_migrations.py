"""A database of an earlier or a later version: what is in it is read, and nothing is done to it that was not wanted."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, insert, table, text
from sqlalchemy import column as named

from extproc.approvals import database as databases
from extproc.approvals import revisions
from extproc.approvals.database import open_database, read_revision
from extproc.approvals.revisions import NEWEST, Unusable
from extproc.approvals.settings import Migrate
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import ApprovalRequest, ApprovalState, votes_grant
from extproc.core.identity import Principal
from extproc.core.reasons import Unavailable
from tests.approvals.conftest import ROOT

MIGRATIONS = ROOT / "extproc" / "approvals" / "migrations"
STATES = ("pending", "granted", "refused", "used", "expired")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def changing(address: str) -> Iterator[Connection]:
    engine = create_engine(address)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def at_0003(address: str) -> None:
    """A database as the version before quorums left it, with an approval of every state."""
    with changing(address) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for number, state in enumerate(STATES):
            row: dict[str, Any] = {
                "approval_id": f"apr-{state}", "exchange_id": f"x-{number}", "state": state,
                "requester_uid": "https://idp.test|analyst", "requester_name": "Analyst", "rule": "bulk",
                "rule_text": "", "policy_digest": "sha256:00", "request_digest": f"digest-apr-{state}",
                "connection": "main", "operation": "chat", "model": "small", "findings": '[["pan", 2]]',
                "approver_groups": '["approvers"]', "created_at": 1000.0, "expires_at": 1100.0,
                "decided_at": 0.0 if state in {"pending", "expired"} else 1010.0,
                "decided_by_uid": "", "decided_by_name": "", "decision_reason": "", "sealed_preview": b"",
            }  # fmt: skip
            connection.execute(insert(table("approvals", *map(named, row))).values(row))


@pytest.fixture
def database(first_database: str) -> str:
    """One that nobody has opened yet."""
    return first_database


def test_what_is_newest_is_what_the_migrations_lead_to() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == NEWEST


def test_what_was_held_and_decided_before_quorums_is_read_and_goes_on(
    database: str, open_at: Callable[[str], ApprovalStore]
) -> None:
    at_0003(database)
    store = open_at(database)
    found = store.find_all([f"apr-{state}" for state in STATES], 1020.0)
    assert all(found[f"apr-{state}"].state is ApprovalState(state) for state in STATES)
    assert {(each.quorum, each.window_uses, each.votes, each.findings) for each in found.values()} == {
        (1, 0, (), (("pan", 2),))
    }
    assert (found["apr-granted"].granted_until, found["apr-used"].uses) == (1100.0, 1)
    analyst = Principal("https://idp.test", "analyst", "Analyst", ("analysts",))
    assert not votes_grant(found["apr-granted"], analyst)  # of which nobody's vote was kept: it is asked for anew
    assert store.claim("apr-granted", "digest-apr-granted", "https://idp.test|analyst", 1020.0)
    assert not store.claim("apr-used", "digest-apr-used", "https://idp.test|analyst", 1020.0)
    assert [each.approval_id for each in store.expire_due(1100.0)] == ["apr-pending"]


def test_where_nobody_may_migrate_an_older_database_is_left_as_it_is(database: str) -> None:
    at_0003(database)
    with pytest.raises(Unusable) as refused:
        open_database(database, Migrate.MANUAL)
    assert refused.value.sentence == (
        f"The approval database is at revision 0003 and {NEWEST} is needed: run `extproc approvals migrate`."
    )
    assert read_revision(database) == "0003"
    open_database(database).close()
    assert read_revision(database) == NEWEST
    open_database(database, Migrate.MANUAL).close()


def test_where_nobody_may_migrate_a_first_database_is_made(database: str) -> None:
    assert read_revision(database) == ""
    open_database(database, Migrate.MANUAL).close()
    assert read_revision(database) == NEWEST


@pytest.mark.parametrize("migrate", Migrate)
def test_a_newer_database_is_left_to_those_who_know_it(database: str, migrate: Migrate) -> None:
    open_database(database).close()
    with changing(database) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unusable, match="approvals_unavailable") as refused:
        open_database(database, migrate)
    assert "at revision 9999, and this version knows" in refused.value.sentence
    assert read_revision(database) == "9999"


def test_a_migration_that_breaks_off_has_done_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_0003(database)
    upgrade = revisions._upgrade

    def broken(connection: Connection) -> None:
        upgrade(connection)
        raise OSError

    monkeypatch.setattr(revisions, "_upgrade", broken)
    with pytest.raises(Unavailable):
        open_database(database)
    assert read_revision(database) == "0003"
    with changing(database) as connection, pytest.raises(Exception, match="quorum"):
        connection.execute(text("SELECT quorum FROM approvals"))
    monkeypatch.undo()
    open_database(database).close()
    assert read_revision(database) == NEWEST


def test_a_migration_that_pauses_longer_than_any_other_may_is_carried_out(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a slow machine, which imports the migrations for seconds."""
    upgrade = revisions._upgrade

    def slow(connection: Connection) -> None:
        time.sleep(0.2)
        upgrade(connection)

    monkeypatch.setattr(revisions, "_upgrade", slow)
    monkeypatch.setitem(databases._POSTGRES_CONNECT, "options", "-c idle_in_transaction_session_timeout=50")
    open_database(database).close()
    assert read_revision(database) == NEWEST


def test_a_driver_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(Unusable) as refused:
        open_database("postgresql+pg8000://app@127.0.0.1:1/approvals")
    assert refused.value.sentence.startswith("The driver for `postgresql+pg8000` is not installed.")


def test_a_database_at_the_newest_revision_is_opened_without_the_migrations(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/approvals.db"
    open_database(address).close()
    opening = (
        "import sys; from extproc.approvals.database import open_database; "
        "open_database(sys.argv[1]).close(); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", opening, address], check=True, timeout=60)


def test_the_turn_of_changes_survives_a_restart(
    database: str, open_at: Callable[[str], ApprovalStore], ask: Callable[..., ApprovalRequest]
) -> None:
    first = open_at(database)
    for name in ("apr-1", "apr-2"):
        first.open(replace(ask(name), idempotency=name))
    first.close()
    again = open_at(database)
    assert again.revision() == 2
    assert [each.revision for each in again.changed_since(1, 9)] == [2]
