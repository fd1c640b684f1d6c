"""How a request is held: why it is asked for, who goes on at once, and what a key or a window attaches to."""

from dataclasses import replace

import pytest

from extproc.core import events as ev
from extproc.core.actions import ClaimGrant, ForwardRequest, OpenApproval, Respond, StoreRecord, WithdrawApproval
from extproc.core.approval import Approval, ApprovalRequest, ApprovalState, open_approval
from extproc.core.exchange import Exchange
from extproc.core.headers import Headers
from extproc.core.hold import Hold
from extproc.core.identity import Principal
from extproc.core.policy import HoldTerms
from extproc.core.reasons import Malformed, Reason
from tests.approvals.votes import granted
from tests.core.exchange.conftest import HOLD, PRINCIPAL, RULES, Play, make_snapshot

BULK = {"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "Hello"}]}
ON_CALL = replace(PRINCIPAL, groups=("analysts", "on-call"), aliases=("anna@example.org",), tenant="north")
WINDOW = replace(HOLD, window_seconds=3600.0, window_uses=5)
EMERGENCY = replace(HOLD, emergency_groups=("on-call",))


def play(monkeypatch: pytest.MonkeyPatch, terms: HoldTerms, person: Principal = PRINCIPAL, **headers: str) -> Play:
    """A request that is held on `terms`."""
    made = Play()
    snapshot = make_snapshot(rules=tuple(replace(rule, hold=terms) if rule.hold else rule for rule in RULES))
    began = {"started_unix": made.started_unix, "started_at": made.at}
    made.exchange = Exchange("ex-1", snapshot, accepting=True, **began)
    made.request_headers(**headers)
    made.verified(person)
    made.body(BULK)
    return made


def asked(made: Play) -> ApprovalRequest:
    (action,) = [action for action in made.actions if isinstance(action, OpenApproval)]
    return action.request


def codes(made: Play) -> list[str]:
    return [entry.record.event_code.value for entry in made.stored if isinstance(entry, StoreRecord)]


def seen(made: Play, approval: Approval) -> list[object]:
    return list(made.feed(ev.ApprovalSeen(approval, made.tick())))


def refused(made: Play) -> int:
    (answer,) = [action for action in made.actions if isinstance(action, Respond)]
    return answer.status


def test_an_approver_is_told_who_asks_why_and_for_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(play(monkeypatch, HOLD, ON_CALL, x_extproc_reason="report for 4111111111111111"))
    assert request.request_reason.startswith("report for ")
    assert "4111" not in request.request_reason
    assert (request.requester_aliases, request.tenant) == (("anna@example.org",), "north")
    assert dict(request.limits)["max_tokens"] == 4000


@pytest.mark.parametrize("said", [{}, {"x_extproc_reason": "  "}, {"x_extproc_reason": "x" * 1001}])
def test_a_rule_that_wants_a_reason_asks_nobody_without(monkeypatch: pytest.MonkeyPatch, said: dict[str, str]) -> None:
    made = play(monkeypatch, replace(HOLD, reason_required=True), **said)
    assert refused(made) == 400
    assert not [action for action in made.actions if isinstance(action, OpenApproval)]


def test_an_emergency_is_recorded_then_in_the_store_then_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, EMERGENCY, ON_CALL, x_extproc_emergency="the plant is down")
    assert codes(made) == ["approval.emergency"]
    request = asked(made)
    assert (request.emergency, request.request_reason) == (True, "the plant is down")
    assert not [action for action in made.actions if isinstance(action, ForwardRequest)]
    seen(made, open_approval(request))
    assert codes(made) == ["approval.emergency", "approval.use", "inference.request"]
    assert [action for action in made.actions if isinstance(action, ForwardRequest)]


def test_an_emergency_that_the_store_does_not_keep_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, EMERGENCY, ON_CALL, x_extproc_emergency="the plant is down")
    made.feed(ev.ApprovalsFailed(made.tick()))
    assert refused(made) == 503
    assert not [action for action in made.actions if isinstance(action, ForwardRequest)]


def test_who_is_not_of_the_groups_waits_like_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, EMERGENCY, PRINCIPAL, x_extproc_emergency="the plant is down")
    assert codes(made) == ["approval.open"]
    assert not asked(made).emergency


def test_an_emergency_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(play(monkeypatch, EMERGENCY, ON_CALL, x_extproc_emergency=" ")) == 400


def test_the_ticket_of_an_emergency_serves_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    first = asked(play(monkeypatch, EMERGENCY, ON_CALL, x_extproc_emergency="the plant is down"))
    again = play(monkeypatch, EMERGENCY, ON_CALL, x_extproc_approval=first.approval_id)
    seen(again, open_approval(first))
    assert refused(again) == 403


def other(request: ApprovalRequest, **more: object) -> Approval:
    """An approval that was there before; one that is granted was voted on."""
    made = replace(open_approval(request), approval_id="apr-before", **more)  # type: ignore[arg-type]
    is_granted = made.state is ApprovalState.GRANTED
    return granted(replace(made, state=ApprovalState.PENDING)) if is_granted else made


def test_the_same_key_with_the_same_body_attaches(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, HOLD, idempotency_key="k-1")
    request = asked(made)
    assert request.idempotency
    assert "k-1" not in request.idempotency
    seen(made, other(request, state=ApprovalState.GRANTED))
    assert codes(made) == ["approval.open", "approval.attach"]
    assert made.actions[-1] == ClaimGrant("apr-before", request.request_digest)


@pytest.mark.parametrize(("headers", "withdrawn"), [({}, 1), ({"idempotency_key": "k-1"}, 0)], ids=["none", "a key"])
def test_a_client_with_a_key_that_leaves_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], withdrawn: int
) -> None:
    """Another request of theirs may wait on the same approval, and they can come back to it."""
    made = play(monkeypatch, HOLD, **headers)
    seen(made, open_approval(asked(made)))
    made.feed(ev.Disconnected(made.tick()))
    assert len([action for action in made.actions if isinstance(action, WithdrawApproval)]) == withdrawn


def told(made: Play, code: str) -> list[tuple[str, dict[str, object]]]:
    records = [entry.record for entry in made.stored if isinstance(entry, StoreRecord)]
    return [(record.status.value, dict(record.detail)) for record in records if record.event_code.value == code]


def withdrawn(made: Play) -> list[str]:
    return [action.approval_id for action in made.actions if isinstance(action, WithdrawApproval)]


def test_what_was_recorded_as_opened_and_never_came_to_be_is_named_by_what_it_is_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = play(monkeypatch, HOLD, idempotency_key="k-1")
    seen(made, other(asked(made)))
    assert told(made, "approval.open") == [("held", {"approval_id": "apr-ex-1"})]
    assert told(made, "approval.attach") == [("succeeded", {"instead_of": "apr-ex-1"})]
    misfit = play(monkeypatch, WINDOW)
    seen(misfit, other(asked(misfit), state=ApprovalState.GRANTED, connection="another"))
    assert told(misfit, "approval.attach") == [("failed", {"instead_of": "apr-ex-1"})]


ENDINGS = [ev.Disconnected, ev.Drained, ev.DeadlinePassed]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)
def test_an_opening_that_comes_too_late_is_withdrawn_when_it_is_there(
    monkeypatch: pytest.MonkeyPatch, ending: type
) -> None:
    made = play(monkeypatch, HOLD)
    made.feed(ending(made.tick()))
    assert (withdrawn(made), told(made, "approval.withdraw")) == ([], [])
    seen(made, open_approval(asked(made)))
    assert withdrawn(made) == ["apr-ex-1"]
    assert told(made, "approval.withdraw") == [("succeeded", {"approval_id": "apr-ex-1"})]
    seen(made, open_approval(asked(made)))
    assert withdrawn(made) == ["apr-ex-1"]


def test_an_opening_that_comes_too_late_and_is_another_approval_withdraws_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = play(monkeypatch, WINDOW)
    made.feed(ev.Disconnected(made.tick()))
    seen(made, other(asked(made), state=ApprovalState.GRANTED))
    assert withdrawn(made) == []
    assert told(made, "approval.withdraw") == [
        ("abandoned", {"approval_id": "apr-before", "instead_of": "apr-ex-1"}),
    ]


def test_what_the_store_may_have_opened_before_it_failed_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for ending in ([ev.ApprovalsFailed], [ev.Disconnected, ev.ApprovalsFailed]):
        made = play(monkeypatch, HOLD)
        for event in ending:
            made.feed(event(made.tick()))
        assert withdrawn(made) == ["apr-ex-1"]


def test_what_could_not_be_withdrawn_is_recorded_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, HOLD)
    seen(made, open_approval(asked(made)))
    made.feed(ev.Disconnected(made.tick()))
    made.feed(ev.WithdrawalFailed(made.tick()))
    assert [status for status, _ in told(made, "approval.withdraw")] == ["succeeded", "failed"]


@pytest.mark.parametrize(("headers", "taken_back"), [({}, 1), ({"idempotency_key": "k-1"}, 0)], ids=["none", "a key"])
def test_a_session_that_breaks_takes_back_what_nobody_waits_on_any_more(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], taken_back: int
) -> None:
    made = play(monkeypatch, HOLD, **headers)
    seen(made, open_approval(asked(made)))
    made._take(list(made.exchange.fail(Reason.INTERNAL, "", made.tick())))
    assert len(withdrawn(made)) == taken_back
    assert codes(made) == ["approval.open", *["approval.withdraw"] * taken_back, "request.refuse"]
    assert made.aborted


def test_an_emergency_whose_client_left_meanwhile_is_used_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, EMERGENCY, ON_CALL, x_extproc_emergency="the plant is down")
    made.feed(ev.Disconnected(made.tick()))
    seen(made, open_approval(asked(made)))
    assert (withdrawn(made), told(made, "approval.use")) == ([], [("abandoned", {})])
    assert not [action for action in made.actions if isinstance(action, ForwardRequest)]


def test_an_approval_of_another_key_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, HOLD, idempotency_key="k-1")
    seen(made, other(asked(made), state=ApprovalState.GRANTED, idempotency="another"))
    assert refused(made) == 500


def test_a_key_is_bound_to_person_and_body(monkeypatch: pytest.MonkeyPatch) -> None:
    one = asked(play(monkeypatch, HOLD, idempotency_key="k-1")).idempotency
    assert asked(play(monkeypatch, HOLD, idempotency_key="k-1")).idempotency == one
    assert asked(play(monkeypatch, HOLD, idempotency_key="k-2")).idempotency != one
    stranger = replace(PRINCIPAL, subject="other")
    assert asked(play(monkeypatch, HOLD, stranger, idempotency_key="k-1")).idempotency != one
    monkeypatch.setitem(BULK, "max_tokens", 4001)
    assert asked(play(monkeypatch, HOLD, idempotency_key="k-1")).idempotency != one


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 0),
        ({"requester_uid": "https://issuer|other"}, 403),
        ({"rule": "another"}, 403),
        ({"policy_digest": "sha256:other"}, 403),
        ({"connection": "another"}, 403),
        ({"state": ApprovalState.PENDING}, 403),
        ({"state": ApprovalState.REVOKED}, 403),
    ],
)
def test_a_window_serves_other_bodies_of_the_same_person_rule_policy_and_connection(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object], status: int
) -> None:
    made = play(monkeypatch, WINDOW)
    request = asked(made)
    fields = {"state": ApprovalState.GRANTED, "request_digest": "of another body"} | change
    seen(made, other(request, **fields))
    claims = [action for action in made.actions if isinstance(action, ClaimGrant)]
    assert bool(claims) is (status == 0)
    if status:
        assert refused(made) == status


@pytest.mark.parametrize(
    "terms",
    [
        {"quorum": 2},
        {"each_of": ("approvers",)},
        {"approver_groups": ("others",)},
        {"escalation_groups": ("others",), "escalate_after_seconds": 60.0},
    ],
    ids=lambda terms: next(iter(terms)),
)
def test_a_grant_by_other_people_than_are_asked_now_is_none(
    monkeypatch: pytest.MonkeyPatch, terms: dict[str, object]
) -> None:
    """As where a budget has reached a step that asks more: its rule and the policy are the same."""
    first = asked(play(monkeypatch, WINDOW, idempotency_key="k-1"))
    made = play(monkeypatch, replace(WINDOW, **terms), x_extproc_approval="apr-before")  # type: ignore[arg-type]
    seen(made, other(first, state=ApprovalState.GRANTED))
    assert refused(made) == 403
    by_key = asked(play(monkeypatch, replace(WINDOW, **terms), idempotency_key="k-1"))  # type: ignore[arg-type]
    assert by_key.idempotency != first.idempotency


@pytest.mark.parametrize("state", [state for state in ApprovalState if state is not ApprovalState.USED])
def test_an_emergency_goes_on_by_nothing_but_its_own_use(monkeypatch: pytest.MonkeyPatch, state: ApprovalState) -> None:
    made = play(monkeypatch, EMERGENCY, ON_CALL, x_extproc_emergency="the plant is down")
    written = replace(open_approval(asked(made)), state=ApprovalState.PENDING, uses=0)
    seen(made, granted(written) if state is ApprovalState.GRANTED else replace(written, state=state))
    assert refused(made) == 403
    assert not [action for action in made.actions if isinstance(action, ForwardRequest)]


def test_an_emergency_goes_on_by_no_use_of_what_was_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, EMERGENCY, ON_CALL, x_extproc_emergency="the plant is down")
    seen(made, replace(open_approval(asked(made)), emergency=False))
    assert refused(made) == 403
    assert not [action for action in made.actions if isinstance(action, ForwardRequest)]


@pytest.mark.parametrize("brought", [{"x_extproc_approval": "apr-mine"}, {}], ids=["a ticket", "its own"])
def test_only_what_is_opened_anew_is_given_another_approval(
    monkeypatch: pytest.MonkeyPatch, brought: dict[str, str]
) -> None:
    """Whoever waits on one approval goes on by that one, or not."""
    request = asked(play(monkeypatch, WINDOW))
    made = play(monkeypatch, WINDOW, **brought)
    if not brought:
        seen(made, open_approval(asked(made)))
    seen(made, other(request, state=ApprovalState.GRANTED))
    assert refused(made) >= 400
    assert not [action for action in made.actions if isinstance(action, ClaimGrant)]


def test_an_approval_that_has_ended_is_not_withdrawn_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    made = play(monkeypatch, HOLD)
    seen(made, replace(open_approval(asked(made)), state=ApprovalState.REFUSED))
    assert refused(made) == 403
    assert withdrawn(made) == []
    assert "approval.withdraw" not in codes(made)


def test_a_window_serves_nobody_once_the_rule_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(play(monkeypatch, WINDOW))
    made = play(monkeypatch, HOLD)
    seen(made, other(request, state=ApprovalState.GRANTED, request_digest="of another body"))
    assert refused(made) == 403


def test_a_reason_is_read_as_utf_8() -> None:
    headers = Headers((("x-extproc-reason", "Größe".encode()),))
    assert Hold(HOLD, headers, PRINCIPAL, "ex-1").reason == "Größe"
    with pytest.raises(Malformed) as refused_reason:
        Hold(HOLD, Headers((("x-extproc-reason", b"a\x1bb"),)), PRINCIPAL, "ex-1")
    assert refused_reason.value.reason is Reason.APPROVAL_REASON_MISSING
