"""Real processes race for the same approvals: each has exactly one winner."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from extproc.approvals.store import ApprovalStore
from extproc.core.approval import ApprovalRequest, ApprovalState
from extproc.core.identity import Principal
from tests.approvals.votes import decide

Ask = Callable[..., ApprovalRequest]
COUNT = 24
IDS = [f"apr-{index}" for index in range(COUNT)]


def _grant_all(store: ApprovalStore, ask: Ask, approver: Principal) -> None:
    for approval_id in IDS:
        store.vote(decide(store.open(ask(approval_id)), approver, True, "fine", 1010.0))


def test_a_grant_is_claimed_by_exactly_one_process(
    database: str, store: ApprovalStore, ask: Ask, approver: Principal, racers: Any
) -> None:
    _grant_all(store, ask, approver)
    results = racers.race(database, ["claim"] * 4, COUNT)
    assert Counter(approval_id for result in results for approval_id in result) == Counter(IDS)
    assert {a.state for a in store.find_all(IDS, 1020.0).values()} == {ApprovalState.USED}


def test_of_two_granting_and_two_refusing_exactly_one_decides(
    database: str, store: ApprovalStore, ask: Ask, racers: Any
) -> None:
    for approval_id in IDS:
        store.open(ask(approval_id))
    actions = ["granted", "refused", "granted", "refused"]
    results = racers.race(database, actions, COUNT)
    assert Counter(approval_id for result in results for approval_id in result) == Counter(IDS)
    found = store.find_all(IDS, 1020.0)
    for number, (action, result) in enumerate(zip(actions, results, strict=True)):
        for approval_id in result:
            assert found[approval_id].state is ApprovalState(action)
            assert found[approval_id].decided_by_uid == f"https://idp.test|approver-{number}"


@pytest.mark.parametrize("end", ["withdraw", "expire"])
def test_a_claim_against_the_end_of_the_hold_has_one_winner(  # noqa: PLR0917 - fixtures
    store: ApprovalStore, ask: Ask, approver: Principal, database: str, racers: Any, end: str
) -> None:
    _grant_all(store, ask, approver)
    claimed, ended = racers.race(database, ["claim", end], COUNT)
    assert Counter(claimed + ended) == Counter(IDS)
    found = store.find_all(IDS, 1020.0)
    assert {found[approval_id].state.value for approval_id in claimed} <= {"used"}
    assert {found[approval_id].state.value for approval_id in ended} <= {"withdrawn", "expired"}


def test_withdrawn_while_deciding_has_one_winner(database: str, store: ApprovalStore, ask: Ask, racers: Any) -> None:
    for approval_id in IDS:
        store.open(ask(approval_id))
    granted, withdrawn = racers.race(database, ["granted", "withdraw"], COUNT)
    # A withdrawal also ends what was granted and is not used; a grant never revives what was withdrawn.
    found = store.find_all(IDS, 1020.0)
    assert {found[approval_id].state for approval_id in withdrawn} <= {ApprovalState.WITHDRAWN}
    assert set(withdrawn) == set(IDS)
    assert all(found[approval_id].decided_by_uid for approval_id in granted)


def test_a_window_is_used_as_often_as_it_has_uses(
    database: str, store: ApprovalStore, ask: Ask, approver: Principal, racers: Any
) -> None:
    opened = store.open(replace(ask("apr-0"), window_uses=3, window_seconds=60.0))
    assert store.vote(decide(opened, approver, True, "fine", 1010.0))
    results = racers.race(database, ["claim"] * 4, 1)
    assert [each for result in results for each in result] == ["apr-0"] * 3


def test_processes_that_start_at_once_migrate_once(
    first_database: str, open_at: Callable[[str], ApprovalStore], ask: Ask, racers: Any
) -> None:
    assert racers.race(first_database, ["open"] * 4, 0) == [["open"]] * 4
    store = open_at(first_database)
    assert store.open(ask("apr-1")) == store.find("apr-1", 1001.0)
