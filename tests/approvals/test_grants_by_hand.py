"""What somebody writes into the store by hand lets no request go on: the exchange counts the votes itself."""

from typing import Any

import pytest
from sqlalchemy import delete, update

from extproc.approvals.store import ApprovalStore
from extproc.approvals.tables import APPROVAL_VOTES, APPROVALS
from extproc.core import events as ev
from extproc.core.actions import ClaimGrant, ForwardRequest, OpenApproval, WithdrawApproval
from extproc.core.approval import Approval, ApprovalState, revoke
from extproc.core.reasons import Unavailable
from tests.approvals.votes import APPROVER, decide
from tests.core.exchange.conftest import PRINCIPAL, Play

BULK = {"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "Hello"}]}


def held(store: ApprovalStore) -> tuple[Play, Approval]:
    """A request that waits on an approval of the store."""
    play = Play()
    play.forwarded(BULK)
    (asked,) = play.of(OpenApproval)
    opened = store.open(asked.request)
    play.feed(ev.ApprovalSeen(opened, play.tick()))
    return play, opened


def vote(store: ApprovalStore, pending: Approval) -> None:
    assert store.vote(decide(pending, APPROVER, True, "It fits.", pending.created_at))


def look(play: Play, store: ApprovalStore, opened: Approval) -> None:
    found = store.find(opened.approval_id, opened.created_at)
    assert found is not None
    assert found.state is ApprovalState.GRANTED
    play.feed(ev.ApprovalSeen(found, play.tick()))


def write(store: ApprovalStore, *statements: Any) -> None:
    with store._database.writing() as connection:
        for statement in statements:
            connection.execute(statement)


def grant_by_hand(opened: Approval) -> Any:
    decided = {"decided_by_uid": APPROVER.uid, "decided_by_name": "Approver", "granted_until": opened.expires_at}
    return update(APPROVALS).values(state="granted", decided_at=opened.created_at, **decided)


def assert_refused(play: Play) -> None:
    (answer,) = play.answers
    assert (answer.status, b"approval_not_voted" in answer.body) == (403, True)
    assert not play.of(ClaimGrant)
    assert not play.of(ForwardRequest)
    assert play.of(WithdrawApproval)
    (refusal,) = [record for record in play.records if record.status_detail]
    assert (refusal.status_detail, refusal.approval.state) == ("approval_not_voted", "granted")


def test_a_vote_lets_it_go_on(store: ApprovalStore) -> None:
    play, opened = held(store)
    vote(store, opened)
    look(play, store, opened)
    assert play.of(ClaimGrant)


def test_a_grant_that_nobody_voted_for_goes_nowhere(store: ApprovalStore) -> None:
    play, opened = held(store)
    write(store, grant_by_hand(opened))
    look(play, store, opened)
    assert_refused(play)


@pytest.mark.parametrize("change", ["a vote is gone", "another view", "the requester's vote"])
def test_votes_that_somebody_changed_are_none(sqlite_store: ApprovalStore, change: str) -> None:
    play, opened = held(sqlite_store)
    vote(sqlite_store, opened)
    own = update(APPROVAL_VOTES).values(voter_uid=PRINCIPAL.uid)
    changes: dict[str, tuple[Any, ...]] = {
        "a vote is gone": (delete(APPROVAL_VOTES),),
        "another view": (update(APPROVAL_VOTES).values(seen="0" * 64),),
        "the requester's vote": (own, update(APPROVALS).values(decided_by_uid=PRINCIPAL.uid)),
    }
    write(sqlite_store, *changes[change])
    look(play, sqlite_store, opened)
    assert_refused(play)


@pytest.mark.parametrize("end", ["used", "revoked"])
def test_what_has_ended_is_not_granted_once_more(store: ApprovalStore, end: str) -> None:
    play, opened = held(store)
    vote(store, opened)
    now = opened.created_at + 1.0
    granted = store.find(opened.approval_id, now)
    assert granted is not None
    if end == "used":
        assert store.claim(opened.approval_id, opened.request_digest, opened.requester_uid, now)
    else:
        assert store.revoke(revoke(granted, APPROVER, "Not now.", now))
    write(store, update(APPROVALS).values(state="granted"))
    look(play, store, opened)
    assert_refused(play)


def test_a_grant_lasts_as_long_as_people_let_it(store: ApprovalStore) -> None:
    play, opened = held(store)
    vote(store, opened)
    write(store, update(APPROVALS).values(granted_until=opened.expires_at + 1e9))
    play.at += opened.expires_at - opened.created_at
    look(play, store, opened)
    (answer,) = play.answers
    assert b"approval_expired" in answer.body
    assert not play.of(ClaimGrant)


@pytest.mark.parametrize("written", ["{", "1", "[" * 100_000], ids=["no JSON", "a number", "deep"])
def test_a_row_that_cannot_be_read_is_a_store_that_is_unavailable(sqlite_store: ApprovalStore, written: str) -> None:
    _, opened = held(sqlite_store)
    write(sqlite_store, update(APPROVALS).values(approver_groups=written))
    with pytest.raises(Unavailable):
        sqlite_store.find(opened.approval_id, opened.created_at)
