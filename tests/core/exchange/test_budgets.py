"""Budgets as an exchange meets them: counted with the request, charged before it goes on, settled when it has ended."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.approvals.budgets import BudgetStore
from extproc.approvals.consumption import find_consumption
from extproc.approvals.database import open_database
from extproc.core import events as ev
from extproc.core.actions import (
    ChargeBudgets,
    ClaimGrant,
    ForwardRequest,
    OpenApproval,
    ReadBudgets,
    Respond,
    SettleBudgets,
)
from extproc.core.approval import ApprovalState
from extproc.core.budget_charge import BUCKETS, Counted, bucket_at
from extproc.core.identity import Principal
from extproc.core.policy import Budget, BudgetCount, BudgetScope, BudgetStep, HoldTerms, Match, Operation, StepAction
from extproc.core.reasons import REFUSALS, Reason
from extproc.core.record import EventCode, Outcome
from extproc.core.trust import Secret
from tests.approvals.prepared import sqlite_at_newest

DAY = 86400.0
NOW = 1_700_000_000.0
TERMS = HoldTerms(approver_groups=("approvers",), wait_seconds=30.0, expire_seconds=3600.0, detach=False)
ANNA = Principal(issuer="i", subject="anna", name="Anna", groups=("analysts",), tenant="north")
BERTA = Principal(issuer="i", subject="berta", name="Berta", groups=("analysts",), tenant="north")
Serve = Callable[..., Any]


def log(at: int) -> BudgetStep:
    return BudgetStep(at, StepAction.LOG, "", None)


def hold(at: int) -> BudgetStep:
    return BudgetStep(at, StepAction.HOLD, "Ask first.", TERMS)


def deny(at: int) -> BudgetStep:
    return BudgetStep(at, StepAction.DENY, "Enough for today.", None)


def budget(count: BudgetCount, *steps: BudgetStep, name: str = "b", match: Match | None = None, **more: Any) -> Budget:
    return Budget(name, match or Match(), count, more.get("per", BudgetScope.PERSON), DAY, steps)


def pan(number: int) -> str:
    """Of the test range, with its check digit."""
    body = f"411111{number:09d}"
    total = sum(sum(divmod(int(c) * (2 - i % 2), 10)) for i, c in enumerate(body))
    return body + str(-total % 10)


def chat(*cards: int, **more: Any) -> dict[str, Any]:
    text = "hello " + ", ".join(f"card {pan(card)}" for card in cards)
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def answer(*cards: int, tokens: int = 0) -> bytes:
    document: dict[str, Any] = {"choices": [{"message": {"content": "; ".join(f"card {pan(card)}" for card in cards)}}]}
    if tokens:
        document["usage"] = {"prompt_tokens": tokens - 1, "completion_tokens": 1}
    return json.dumps(document).encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BudgetStore]:
    database = open_database(sqlite_at_newest(tmp_path / "approvals.db"))
    yield BudgetStore(database, Secret("k" * 32))
    database.close()


class Counter:
    """Carries what exchanges ask for to a store."""

    def __init__(self, play: Any, store: BudgetStore, *budgets: Budget) -> None:
        self._play, self._store, self._budgets = play, store, budgets

    def begin(
        self, document: dict[str, Any], principal: Principal = ANNA, now: float = NOW, *, approval: str = ""
    ) -> Any:
        play = self._play(budgets=self._budgets, started_unix=now)
        play.request_headers(**({"x_extproc_approval": approval} if approval else {}))
        play.verified(principal)
        play.body(document)
        self.serve(play)
        return play

    def serve(self, play: Any) -> None:
        """Answer what the exchange has asked and was not answered."""
        served = getattr(play, "served", 0)
        play.served = len(play.actions)
        for action in play.actions[served:]:
            match action:
                case ReadBudgets():
                    play.feed(ev.BudgetsRead(self._store.count_with(action.charges, action.now_unix), play.tick()))
                    self.serve(play)
                case ChargeBudgets():
                    play.feed(ev.BudgetsRead(self._store.charge(action.charges, action.now_unix), play.tick()))
                    self.serve(play)
                case SettleBudgets():
                    self._store.charge(action.charges, action.now_unix)

    def end(self, play: Any, data: bytes) -> None:
        play.response_headers("application/json")
        play.response_body(data, eos=True)
        self.serve(play)

    def whole(self, document: dict[str, Any], data: bytes = b"", **more: Any) -> Any:
        play = self.begin(document, **more)
        if play.forwards:
            self.end(play, data or answer())
        return play

    def used(self, now: float = NOW) -> dict[str, int]:
        return {one.budget: one.count for one in find_consumption(self._store._database, now)}


def refused(play: Any) -> tuple[int, str, str]:
    (respond,) = play.answers
    error = json.loads(respond.body)["error"]
    return respond.status, error["code"], error["rule"]


def test_the_request_that_reaches_a_step_meets_it(play: Any, store: BudgetStore) -> None:
    """`log` goes on and is recorded, `deny` refuses with the operator's text; what was refused has used nothing."""
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, log(2), deny(4), name="calls"))
    plays = [counter.whole(chat()) for _ in range(5)]
    assert [bool(p.forwards) for p in plays] == [True] * 3 + [False] * 2
    intents = [p.records[0].decision for p in plays[:3]]
    assert [one.budgets for one in intents] == [{"calls": 1}, {"calls": 2}, {"calls": 3}]
    assert [one.logging for one in intents] == [(), ("budget:calls",), ("budget:calls",)]
    assert refused(plays[3]) == (429, "budget_spent", "budget:calls")
    assert json.loads(plays[3].answers[0].body)["error"]["message"] == "Enough for today."
    (record,) = plays[3].records
    assert (record.event_code, record.status, record.status_detail) == (
        EventCode.POLICY_DENY,
        Outcome.REFUSED,
        "budget_spent",
    )
    assert (record.policy.effect, record.policy.rule, record.decision.budgets) == ("deny", "budget:calls", {"calls": 4})
    assert counter.used() == {"calls": 3}


def test_one_request_with_more_cards_than_the_budget_is_refused(play: Any, store: BudgetStore) -> None:
    counter = Counter(play, store, budget(BudgetCount.DISTINCT_CARDS, deny(4)))
    bulk = counter.whole(chat(1, 2, 3, 4))
    assert refused(bulk) == (403, "budget_of_cards_spent", "budget:b")
    assert "retry-after" not in dict(bulk.answers[0].headers)
    assert counter.used() == {}
    assert counter.whole(chat(1, 2, 3, 1, 2)).forwards
    assert counter.whole(chat(3, 2)).forwards
    assert refused(counter.whole(chat(4)))[0] == 403
    assert counter.used() == {"b": 3}


def test_the_refused_are_told_when_to_come_back(play: Any, store: BudgetStore) -> None:
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, deny(2)))
    counter.whole(chat())
    seconds = int(dict(counter.whole(chat(), now=NOW + 3600).answers[0].headers)["retry-after"])
    assert DAY - 3600 <= seconds <= DAY
    assert not counter.whole(chat(), now=NOW + 3600 + seconds - 2).forwards
    assert counter.whole(chat(), now=NOW + 3600 + seconds).forwards


def test_a_held_request_is_charged_when_it_is_granted(play: Any, store: BudgetStore) -> None:
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, hold(1), deny(3)))
    held = counter.begin(chat())
    (opened,) = held.of(OpenApproval)
    assert (opened.request.rule, opened.request.rule_text) == ("budget:b", "Ask first.")
    assert opened.request.approver_groups == ("approvers",)
    assert counter.used() == {}
    held.feed(ev.ApprovalSeen(held.approval(ApprovalState.GRANTED), held.tick()))
    assert held.of(ClaimGrant) == [], "not before it is charged"
    counter.serve(held)
    assert counter.used() == {"b": 1}
    assert len(held.of(ClaimGrant)) == 1
    held.feed(ev.GrantClaimed(held.tick()))
    counter.end(held, answer())
    assert len(held.forwards) == 1
    assert held.ended_cleanly


def test_a_grant_does_not_lift_the_last_step_and_stays_to_be_used(play: Any, store: BudgetStore) -> None:
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, hold(2), deny(3)))
    counter.whole(chat())
    held, other = counter.begin(chat()), counter.begin(chat())
    for one in (held, other):
        one.feed(ev.ApprovalSeen(one.approval(ApprovalState.GRANTED), one.tick()))
        counter.serve(one)
    assert (len(held.of(ClaimGrant)), len(other.of(ClaimGrant))) == (1, 0)
    assert refused(other) == (429, "budget_spent", "budget:b")
    assert dict(other.answers[0].headers)["x-extproc-approval"].startswith(b"apr-")
    assert counter.used() == {"b": 2}


RISK = replace(TERMS, approver_groups=("risk",))
TWO = replace(TERMS, quorum=2)
EASIER = replace(TERMS, approver_groups=("approvers", "risk"), wait_seconds=5.0)


@pytest.mark.parametrize("later", [RISK, TWO], ids=["others", "more"])
def test_a_grant_does_not_reach_a_step_on_which_others_decide(play: Any, store: BudgetStore, later: HoldTerms) -> None:
    """The first request brings the count, while the other waits, to a step whose people nobody has asked."""
    steps = (hold(1), BudgetStep(2, StepAction.HOLD, "Ask further.", later))
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, *steps))
    first, other = counter.begin(chat()), counter.begin(chat())
    for one in (first, other):
        one.feed(ev.ApprovalSeen(one.approval(ApprovalState.GRANTED), one.tick()))
        counter.serve(one)
    assert (len(first.of(ClaimGrant)), len(other.of(ClaimGrant))) == (1, 0)
    assert (other.answers[0].status, other.records[-1].status_detail) == (403, "approval_mismatch")
    assert other.records[-1].decision.budgets == {"b": 2}
    assert counter.used() == {"b": 1}, "nor is it charged"


@pytest.mark.parametrize("later", [TERMS, EASIER], ids=["the same", "easier"])
def test_a_grant_reaches_a_step_that_it_meets(play: Any, store: BudgetStore, later: HoldTerms) -> None:
    steps = (hold(1), BudgetStep(2, StepAction.HOLD, "Ask further.", later))
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, *steps))
    first, other = counter.begin(chat()), counter.begin(chat())
    for one in (first, other):
        one.feed(ev.ApprovalSeen(one.approval(ApprovalState.GRANTED), one.tick()))
        counter.serve(one)
    assert (len(first.of(ClaimGrant)), len(other.of(ClaimGrant))) == (1, 1)
    assert counter.used() == {"b": 2}


def test_a_request_that_a_rule_holds_is_charged_when_it_is_granted(play: Any, store: BudgetStore) -> None:
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, deny(2)))
    held = counter.begin(chat(max_tokens=4000))
    assert held.of(OpenApproval)[0].request.rule == "hold-bulk"
    assert counter.used() == {}
    held.feed(ev.ApprovalSeen(held.approval(ApprovalState.GRANTED), held.tick()))
    counter.serve(held)
    assert counter.used() == {"b": 1}


@pytest.mark.parametrize("granted", [False, True], ids=["at first", "once granted"])
def test_without_the_store_a_request_with_a_budget_does_not_go_on(play: Any, store: BudgetStore, granted: bool) -> None:
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, hold(1) if granted else deny(9)))
    if granted:
        p = counter.begin(chat())
        p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick()))
    else:
        p = play(budgets=counter._budgets)
        p.forwarded(chat())
    p.feed(ev.BudgetsFailed(p.tick()))
    assert p.forwards == p.of(ClaimGrant) == []
    assert p.answers[0].status == REFUSALS[Reason.BUDGETS_UNAVAILABLE].status == 503
    assert p.records[-1].status_detail == "budgets_unavailable"


def test_only_what_a_budget_matches_asks_the_store(play: Any, store: BudgetStore) -> None:
    embeddings = Match(operations=(Operation.EMBEDDINGS,))
    p = play(budgets=(budget(BudgetCount.EXCHANGES, deny(1), match=embeddings),))
    p.forwarded(chat())
    assert p.forwards
    assert p.of(ReadBudgets) == p.of(ChargeBudgets) == []
    denied = play(budgets=(budget(BudgetCount.EXCHANGES, deny(1)),))
    denied.request_headers()
    denied.verified(replace(ANNA, groups=()))
    denied.body(chat())
    assert refused(denied) == (403, "policy_denied", "default-deny")
    assert denied.of(ReadBudgets) == denied.of(ChargeBudgets) == []


def test_nothing_is_forwarded_before_it_is_charged(play: Any) -> None:
    p = play(budgets=(budget(BudgetCount.EXCHANGES, deny(9)),))
    p.forwarded(chat())
    assert not p.forwards
    assert p.records == []
    assert [type(action) for action in p.of(ChargeBudgets)] == [ChargeBudgets]


def test_no_more_cards_are_looked_up_than_a_step_needs(play: Any, store: BudgetStore) -> None:
    """A body of many is refused at the price of a few; what a person lets go on is charged whole."""
    counter = Counter(play, store, budget(BudgetCount.DISTINCT_CARDS, hold(2), deny(4)))
    p = counter.begin(chat(*range(9)))
    assert len(p.of(ChargeBudgets)[0].charges[0].cards) == 4
    assert refused(p)[0] == 403
    counter = Counter(play, store, budget(BudgetCount.DISTINCT_CARDS, hold(2)))
    held = counter.begin(chat(*range(9)))
    held.feed(ev.ApprovalSeen(held.approval(ApprovalState.GRANTED), held.tick()))
    counter.serve(held)
    assert counter.used() == {"b": 9}


def test_what_is_not_charged_does_not_go_on(play: Any) -> None:
    """Whatever the counts say: a store that has stopped a charge has not made it."""
    p = play(budgets=(budget(BudgetCount.EXCHANGES, deny(9)),))
    p.forwarded(chat())
    p.feed(ev.BudgetsRead((Counted("b", 1, stopped=True),), p.tick()))
    assert not p.forwards
    assert p.answers[0].status == 500


def test_a_granted_request_that_is_not_charged_does_not_go_on(play: Any, store: BudgetStore) -> None:
    """Nor does one that a step holds, and a person has let go on; its grant stays to be used."""
    p = Counter(play, store, budget(BudgetCount.EXCHANGES, hold(1), deny(3))).begin(chat())
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick()))
    p.feed(ev.BudgetsRead((Counted("b", 2, stopped=True),), p.tick()))
    assert p.of(ClaimGrant) == p.forwards == []
    assert p.answers[0].status == 500
    assert dict(p.answers[0].headers)["x-extproc-approval"].startswith(b"apr-")
    assert p.records[-1].status_detail == Reason.INTERNAL.value


COUNTS: dict[str, tuple[Counted, ...]] = {
    "none": (),
    "one of two": (Counted("b", 1),),
    "the other of two": (Counted("c", 1),),
    "another": (Counted("b", 1), Counted("d", 1)),
    "one twice": (Counted("b", 1), Counted("b", 1)),
}


@pytest.mark.parametrize("missing", COUNTS)
@pytest.mark.parametrize("granted", [False, True], ids=["at first", "once granted"])
def test_a_count_that_is_missing_is_no_count_of_nothing(play: Any, missing: str, granted: bool) -> None:
    p = play(budgets=(budget(BudgetCount.EXCHANGES, deny(9)), budget(BudgetCount.EXCHANGES, deny(9), name="c")))
    p.forwarded(chat(max_tokens=4000) if granted else chat())
    if granted:
        p.feed(ev.BudgetsRead((Counted("b", 1), Counted("c", 1)), p.tick()))
        p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick()))
    p.feed(ev.BudgetsRead(COUNTS[missing], p.tick()))
    assert p.of(ClaimGrant) == p.forwards == []
    assert p.answers[0].status == 500
    assert p.records[-1].status_detail == Reason.INTERNAL.value


def held_path(p: Any) -> list[Callable[[], Any]]:
    """The longest legal path of a request with a budget, up to the model server."""
    return [
        lambda: p.request_headers(),
        lambda: p.verified(),
        lambda: p.body(chat(max_tokens=4000)),
        lambda: p.feed(ev.BudgetsRead((Counted("b", 1),), p.tick())),
        lambda: p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick())),
        lambda: p.feed(ev.BudgetsRead((Counted("b", 1),), p.tick())),
        lambda: p.feed(ev.GrantClaimed(p.tick())),
    ]


ENDS = (
    ev.StoreFailed,
    ev.ApprovalsFailed,
    ev.BudgetsFailed,
    ev.Disconnected,
    ev.Drained,
    ev.GrantLost,
    ev.ApprovalMissing,
)
LATE = {
    ev.BudgetsFailed: (4, 6),
    ev.ApprovalsFailed: (1, 2, 3, 5),
    ev.GrantLost: (1, 2, 3, 4, 5),
    ev.ApprovalMissing: (1, 2, 3, 5, 6),
}
"""Where an event has come too late, or too early, to matter: after so many steps."""


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("point", range(3, 7))
def test_a_failure_at_any_point_lets_nothing_go_on(play: Any, end: Any, point: int) -> None:
    """And nothing that comes after it does; what does not matter there changes nothing."""
    p = play(budgets=(budget(BudgetCount.EXCHANGES, deny(9)),))
    path = held_path(p)
    for step in path[:point]:
        step()
    p.feed(end(p.tick()))
    harmless = point in LATE.get(end, ())
    assert p.exchange.over is not harmless
    for step in path[point:]:
        with contextlib.suppress(StopIteration):  # no approval was opened
            step()
    assert len(p.forwards) == int(harmless)


def test_what_an_exchange_asks_for_holds_no_card(play: Any) -> None:
    """Neither what it says nor what it prints."""
    p = play(budgets=(budget(BudgetCount.DISTINCT_CARDS, deny(9)),))
    p.forwarded(chat(1, 2))
    (asked,) = p.of(ChargeBudgets)
    (charge,) = asked.charges
    assert {len(card) for card in charge.cards} == {32}
    assert not any(pan(card).encode() in one for one in charge.cards for card in (1, 2))
    assert "cards" not in repr(charge).replace("distinct_cards", "")


def test_the_answer_costs_its_findings_cards_and_tokens(play: Any, store: BudgetStore) -> None:
    counts = (BudgetCount.FINDINGS, BudgetCount.DISTINCT_CARDS, BudgetCount.TOKENS, BudgetCount.EXCHANGES)
    counter = Counter(play, store, *(budget(count, deny(1000), name=count.value) for count in counts))
    p = counter.begin(chat(1, 2))
    assert counter.used() == {"findings": 2, "distinct_cards": 2, "exchanges": 1}
    counter.end(p, answer(2, 3, 3, tokens=40))
    assert counter.used() == {"findings": 5, "distinct_cards": 3, "exchanges": 1, "tokens": 40}


def test_tokens_that_nobody_reports_are_estimated(play: Any, store: BudgetStore) -> None:
    counter = Counter(play, store, budget(BudgetCount.TOKENS, deny(30)))
    document = {"model": "m", "messages": [{"role": "user", "content": "x" * 40}]}
    data = json.dumps({"choices": [{"message": {"content": "y" * 400}}]}).encode()
    counter.whole(document, data)
    used = counter.used()["b"]
    assert 10 + len(data) // 4 <= used <= 12 + len(data) // 4
    assert refused(counter.whole(document)) == (429, "budget_spent", "budget:b")


def test_a_client_that_leaves_early_pays_for_what_came(play: Any, store: BudgetStore) -> None:
    """Anthropic's stream says at its beginning that one token came, and the whole number at its end."""
    counter = Counter(play, store, budget(BudgetCount.TOKENS, deny(1000)))
    p = counter.begin(chat())
    p.response_headers()
    usage = {"input_tokens": 12, "output_tokens": 1}
    p.response_body(b"data: " + json.dumps({"type": "message_start", "message": {"usage": usage}}).encode() + b"\n\n")
    for _ in range(50):
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a "}}
        p.response_body(b"data: " + json.dumps(delta).encode() + b"\n\n")
    p.feed(ev.Disconnected(p.tick()))
    counter.serve(p)
    assert counter.used()["b"] >= 12 + 50


@pytest.mark.parametrize("usage", [None, 3])
def test_a_stream_of_few_large_events_costs_its_text(play: Any, store: BudgetStore, usage: int | None) -> None:
    """A server with `stream_interval` says many tokens at once; what it reports of the whole answer is what counts."""
    counter = Counter(play, store, budget(BudgetCount.TOKENS, deny(10_000)))
    p = counter.begin({"model": "m", "messages": [{"role": "user", "content": "x" * 40}]})
    p.response_headers()
    for text in ("apple " * 100, "cherry " * 100, "!"):
        event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        p.response_body(b"data: " + json.dumps(event).encode() + b"\n\n")
    end: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if usage:
        end["usage"] = {"prompt_tokens": 4, "completion_tokens": usage}
    p.response_body(b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n", eos=True)
    counter.serve(p)
    assert counter.used()["b"] == (4 + usage if usage else 10 + 1301 // 4 + 1)


def test_a_client_that_leaves_before_the_answer_pays_for_the_prompt(play: Any, store: BudgetStore) -> None:
    counter = Counter(play, store, budget(BudgetCount.TOKENS, deny(1000)))
    p = counter.begin({"model": "m", "messages": [{"role": "user", "content": "x" * 400}]})
    p.feed(ev.Disconnected(p.tick()))
    counter.serve(p)
    assert counter.used()["b"] >= 100


@pytest.mark.parametrize("end", ["left", "malformed", "broken"])
def test_an_answer_that_ends_early_costs_what_came_of_it_once(play: Any, store: BudgetStore, end: str) -> None:
    counter = Counter(play, store, budget(BudgetCount.FINDINGS, deny(1000)))
    p = counter.begin(chat())
    p.response_headers()
    event = {"choices": [{"index": 0, "delta": {"content": f"card {pan(7)}. and so on and on it goes"}}]}
    p.response_body(b"data: " + json.dumps(event).encode() + b"\n\n")
    match end:
        case "left":
            p.feed(ev.Disconnected(p.tick()))
        case "malformed":
            p.response_body(b"data: {\n\n")
        case "broken":
            p._take(list(p.exchange.fail(Reason.INTERNAL, "", p.tick())))  # the last that the edge asks of it
    if end != "broken":
        p.feed(ev.Disconnected(p.tick()))
    counter.serve(p)
    assert len(p.of(SettleBudgets)) == 1
    assert counter.used() == {"b": 1}


def test_what_never_went_on_costs_nothing_afterwards(play: Any, store: BudgetStore) -> None:
    counter = Counter(play, store, budget(BudgetCount.TOKENS, hold(1)), budget(BudgetCount.TOKENS, hold(1), name="c"))
    counter._store.charge(counter.begin(chat()).of(ChargeBudgets)[0].charges, NOW)
    p = play(budgets=counter._budgets)
    p.forwarded(chat())
    p.feed(ev.Disconnected(p.tick()))
    assert p.of(SettleBudgets) == []


@pytest.mark.parametrize("subject", ["Anna", "ANNA", "\uff41nna", " anna", "an\u00a0na"], ids=ascii)
def test_a_person_has_one_budget_however_the_name_is_written(play: Any, store: BudgetStore, subject: str) -> None:
    """Some issuers let people choose the case; they are one person for approvals, too."""
    counter = Counter(play, store, budget(BudgetCount.EXCHANGES, deny(2)))
    assert counter.whole(chat(), principal=ANNA).forwards
    assert refused(counter.whole(chat(), principal=replace(ANNA, subject=subject)))[2] == "budget:b"
    assert counter.whole(chat(), principal=BERTA).forwards
    assert counter.whole(chat(), principal=replace(ANNA, issuer="j")).forwards


def test_a_tenant_or_the_deployment_share_a_budget(play: Any, store: BudgetStore) -> None:
    counter = Counter(
        play,
        store,
        budget(BudgetCount.EXCHANGES, deny(3), name="ours", per=BudgetScope.TENANT),
        budget(BudgetCount.EXCHANGES, deny(4), name="all", per=BudgetScope.DEPLOYMENT),
    )
    south = replace(BERTA, tenant="south")
    assert [bool(counter.whole(chat(), principal=one).forwards) for one in (ANNA, BERTA, ANNA)] == [True, True, False]
    assert [refused(counter.whole(chat(), principal=one))[2] for one in (BERTA,)] == ["budget:ours"]
    assert counter.whole(chat(), principal=south).forwards
    assert refused(counter.whole(chat(), principal=south))[2] == "budget:all"


PEOPLE = (ANNA, BERTA)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(range(2)),
        st.integers(0, 14),
        st.sets(st.integers(0, 6), max_size=3),
        st.sets(st.integers(0, 6), max_size=2),
        st.integers(1, 9),
    ),
    max_size=14,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_decisions_are_those_of_a_simple_model(
    play: Any, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, set[int], set[int], int]]
) -> None:
    """What everybody did, in a list; a step is met when what is live in it, with the request, reaches it."""
    database = open_database(sqlite_at_newest(tmp_path_factory.mktemp("model") / "approvals.db"))
    counter = Counter(
        play,
        BudgetStore(database, Secret("k" * 32)),
        budget(BudgetCount.DISTINCT_CARDS, log(2), hold(4), deny(6), name="cards"),
        budget(BudgetCount.TOKENS, deny(25), name="tokens"),
        budget(BudgetCount.EXCHANGES, deny(7), name="calls", per=BudgetScope.DEPLOYMENT),
    )
    done: list[tuple[int, int, set[int], int]] = []
    now = NOW
    for who, hours, asked, answered, tokens in steps:
        now += hours * 3600
        bucket = bucket_at(now, DAY)
        live = [one for one in done if one[1] >= bucket - BUCKETS]
        cards = set().union(asked, *(seen for person, _, seen, _ in live if person == who))
        if len(cards) >= 6:
            expected = ("deny", "budget:cards")
        elif sum(spent for person, _, _, spent in live if person == who) >= 25:
            expected = ("deny", "budget:tokens")
        elif len(live) + 1 >= 7:
            expected = ("deny", "budget:calls")
        elif len(cards) >= 4:
            expected = ("hold", "budget:cards")
        else:
            expected = ("allow", "allow-chat")
            done.append((who, bucket, asked | answered, tokens))
        p = counter.whole(chat(*asked), answer(*answered, tokens=tokens), principal=PEOPLE[who], now=now)
        decided = p.records[-1].policy
        assert (decided.effect, decided.rule) == expected
        assert p.records[0].decision.logging == (("budget:cards",) if len(cards) >= 2 else ())
        assert bool(p.of(ForwardRequest)) is (expected[0] == "allow")
        assert bool(p.of(Respond)) is (expected[0] == "deny")
    database.close()
