"""What may be used once, and sessions: on both engines, in several threads at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from extproc.approvals.sessions import LiveSession, Sessions
from extproc.approvals.single_use import SingleUse, UsedAlready
from extproc.approvals.store import ApprovalStore


def test_of_all_who_use_it_at_once_one_does(store: ApprovalStore) -> None:
    single_use = SingleUse(store._database)

    def use(_: int) -> bool:
        try:
            single_use.use("assertion", "idp\n_a1", until=1100.0, now=1000.0)
        except UsedAlready:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(8))) == 1


def test_it_is_used_until_its_time_for_its_purpose(store: ApprovalStore) -> None:
    single_use = SingleUse(store._database)
    single_use.use("assertion", "a", until=1100.0, now=1000.0)
    single_use.use("other", "a", until=1100.0, now=1000.0)
    with pytest.raises(UsedAlready) as used:
        single_use.use("assertion", "a", until=1200.0, now=1099.0)
    assert used.value.__cause__ is None
    single_use.use("assertion", "a", until=1300.0, now=1100.0)


def test_a_session_lasts_until_its_end_whatever_is_done_in_it(store: ApprovalStore) -> None:
    sessions = Sessions(store._database, idle_seconds=60)
    sessions.begin("secret", '{"a":1}', ends_at=1100.0, now=1000.0)
    assert sessions.find("other", 1000.0) is None
    for now in (1050.0, 1099.0):
        assert sessions.find("secret", now) == '{"a":1}'
    assert sessions.find("secret", 1100.0) is None


def test_a_session_that_nobody_uses_is_over(store: ApprovalStore) -> None:
    sessions = Sessions(store._database, idle_seconds=60)
    sessions.begin("secret", "{}", ends_at=9000.0, now=1000.0)
    for now in (1059.0, 1118.0, 1177.0):
        assert sessions.find("secret", now) == "{}"
    assert sessions.find("secret", 1237.0) is None


def test_a_session_that_was_ended_is_over(store: ApprovalStore) -> None:
    sessions = Sessions(store._database, idle_seconds=60)
    sessions.begin("secret", "{}", ends_at=1100.0, now=1000.0)
    assert sessions.end("secret")
    assert not sessions.end("secret")
    assert sessions.find("secret", 1000.0) is None


def test_live_sessions_are_listed_without_what_finds_them(store: ApprovalStore) -> None:
    sessions = Sessions(store._database, idle_seconds=60)
    for secret, begun in (("one", 1000.0), ("two", 1020.0), ("three", 930.0)):
        sessions.begin(secret, f'"{secret}-person"', ends_at=9000.0, now=begun)
    assert sessions.live(1030.0, 9) == [
        LiveSession('"two-person"', used_at=1020.0, ends_at=9000.0),
        LiveSession('"one-person"', used_at=1000.0, ends_at=9000.0),
    ]
    assert [each.used_at for each in sessions.live(1030.0, 1)] == [1020.0]
    assert "two-person" not in repr(sessions.live(1030.0, 1))
    assert sessions.live(1081.0, 9) == []


def test_the_secret_of_a_session_is_nowhere_in_the_database(store: ApprovalStore) -> None:
    Sessions(store._database, 60).begin("the-secret", "{}", ends_at=1100.0, now=1000.0)
    with store._database.transaction() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM sessions").all()
    assert len(rows) == 1
    assert "the-secret" not in str(rows)
