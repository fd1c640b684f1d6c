"""Any history of the store, in two replicas, with restarts and clocks that jump, goes as a model of its own says.

The votes are made here and not by the rules of the core: what the rules refuse, the store must refuse by itself.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from extproc.approvals.steps import Step
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import Approval, ApprovalRequest, ApprovalState, Channel, Vote, shown_digest

Ask = Callable[..., ApprovalRequest]
OpenAt = Callable[[str], ApprovalStore]

ACCOUNTS = (("analyst", "a@x.test"), ("analyst-2", "a@x.test"), ("ann", "n@x.test"), ("ann-2", "n@x.test"), ("bob", ""))
"""Names and aliases: the first two are one person, and so are the next two."""
PERSONS = (0, 0, 1, 1, 2)
LIVE = frozenset({"pending", "granted"})
_examples = itertools.count()

_who, _which = st.integers(0, 4), st.integers(0, 3)
STEPS = st.one_of(
    st.tuples(st.just("open"), st.integers(0, 3), st.sampled_from([0, 0, 2]), st.integers(1, 2)),
    st.tuples(st.just("vote"), _which, _who, st.sampled_from([True, True, True, False])),
    st.tuples(st.just("late vote"), _which, _who, st.just(True)),
    st.tuples(st.just("claim"), _which, st.booleans(), st.sampled_from([True, True, False])),
    st.tuples(st.just("claim"), _which, st.just(True), st.just(True)),
    st.tuples(st.just("revoke"), _which),
    st.tuples(st.just("withdraw"), _which),
    st.tuples(st.just("jump"), st.sampled_from([-200.0, -30.0, 10.0, 35.0, 60.0, 200.0])),
    st.tuples(st.just("expire")),
    st.tuples(st.just("restart")),
)


@dataclass
class Modelled:
    """What an approval must be."""

    approval_id: str
    key: int
    window: int
    quorum: int
    ends: float
    state: str = "pending"
    granters: list[int] = field(default_factory=list)
    uses: int = 0
    changes: int = 0

    def become(self, state: str) -> None:
        self.state = state
        self.changes += 1


class History:
    """Two replicas of a store beside the model of it. Every example has a person and names of its own."""

    def __init__(self, open_: Callable[[], ApprovalStore], stores: list[ApprovalStore], ask: Ask) -> None:
        self.open_, self.stores, self.ask = open_, stores, ask
        self.name = f"e{next(_examples)}"
        self.now = 1000.0
        self.turn = 0
        self.start = self.stores[0].revision()
        self.model: list[Modelled] = []
        self.seen: dict[str, tuple[Approval, int]] = {}
        self.recorded: list[str] = []

    def uid(self, account: int) -> str:
        return f"https://idp.test|{self.name}-{ACCOUNTS[account][0]}"

    def aliases(self, account: int) -> tuple[str, ...]:
        return (ACCOUNTS[account][1],) if ACCOUNTS[account][1] else ()

    def take(self, action: str, *with_: Any) -> None:
        self.turn += 1
        if action in {"open", "jump", "expire", "restart"}:
            getattr(self, action)(*with_)
        elif self.model:
            getattr(self, action.replace(" ", "_"))(self.model[with_[0] % len(self.model)], *with_[1:])
        if action != "jump":
            self.compare()

    @property
    def store(self) -> ApprovalStore:
        return self.stores[self.turn % 2]

    def jump(self, seconds: float) -> None:
        self.now = max(1000.0, self.now + seconds)

    def restart(self) -> None:
        self.store.close()
        self.stores[self.turn % 2] = self.open_()

    def expire(self) -> None:
        for each in self.store.expire_due(self.now):
            self.recorded.append(each.approval_id)
            self.store.recorded(Step.EXPIRED, each.approval_id)

    def is_due(self, it: Modelled) -> bool:
        return it.state in LIVE and self.now >= it.ends

    def open(self, key: int, window: int, quorum: int) -> None:
        asked = replace(
            self.ask(f"{self.name}-{self.turn}", created_at=self.now, expires_at=self.now + 50),
            requester_uid=self.uid(0),
            requester_aliases=self.aliases(0),
            request_digest=f"digest-{key % 2}",
            idempotency=f"{self.name}-{key}" if key else "",
            quorum=quorum,
            window_uses=window,
            window_seconds=40.0 if window else 0.0,
        )
        opened = self.store.open(asked)
        live = [it for it in self.model if it.state in LIVE and not self.is_due(it)]
        same = [it.approval_id for it in live if key and it.key == key]
        windows = [it for it in live if window and it.window > it.uses and it.state == "granted"]
        longest = [it.approval_id for it in windows if it.ends == max(each.ends for each in windows)]
        if same or longest:
            assert opened.approval_id in (same or longest)
        else:
            assert opened.approval_id == asked.approval_id
            self.model.append(Modelled(opened.approval_id, key, window, quorum, self.now + 50))

    def vote(self, it: Modelled, account: int, grant: bool) -> None:
        found = self.stores[0].changed_since(self.start, 1000)
        self._vote(it, next(each for each in found if each.approval_id == it.approval_id), account, grant, fresh=True)

    def late_vote(self, it: Modelled, account: int, grant: bool) -> None:
        """By somebody whose page is as old as the step before."""
        shown, changes = self.seen[it.approval_id]
        self._vote(it, shown, account, grant, fresh=changes == it.changes)

    def _vote(self, it: Modelled, shown: Approval, account: int, grant: bool, *, fresh: bool) -> None:
        decided = cast(shown, self.uid(account), self.aliases(account), grant=grant, now=self.now)
        person = PERSONS[account]
        may = fresh and it.state == "pending" and not self.is_due(it) and person not in {0, *it.granters}
        assert self.store.vote(decided) is may
        if not may:
            return
        if not grant:
            it.become("refused")
            return
        it.granters.append(person)
        enough = len(it.granters) >= it.quorum
        it.become("granted" if enough else "pending")
        if enough and it.window:
            it.ends = self.now + 40

    def claim(self, it: Modelled, own: bool, right: bool) -> None:
        requester = self.uid(0 if own else 1)
        digest = f"digest-{it.key % 2 if right else 'other'}"
        may = it.state == "granted" and not self.is_due(it) and own and (right or it.window > 0)
        assert self.store.claim(it.approval_id, digest, requester, self.now) is may
        if may:
            it.uses += 1
            it.become("used" if it.uses == max(1, it.window) else "granted")

    def revoke(self, it: Modelled) -> None:
        shown, _ = self.seen[it.approval_id]
        taken = replace(
            shown,
            state=ApprovalState.REVOKED,
            decided_by_uid=self.uid(2),
            decided_at=self.now,
            decision_reason="no",
            uses=0,
        )
        may = it.state == "granted" and not self.is_due(it)
        assert self.store.revoke(taken) is may
        if may:
            it.become("revoked")

    def withdraw(self, it: Modelled) -> None:
        assert self.store.withdraw(it.approval_id) is (it.state in LIVE)
        if it.state in LIVE:
            it.become("withdrawn")

    def compare(self) -> None:
        """What the other replica says; a look ends what is due, for good."""
        for it in self.model:
            if self.is_due(it):
                it.become("expired")
        other = self.stores[(self.turn + 1) % 2]
        found = other.find_all([it.approval_id for it in self.model], self.now)
        for it in self.model:
            is_ = found[it.approval_id]
            assert (is_.state.value, is_.uses, len(is_.grants)) == (it.state, it.uses, len(it.granters))
            if it.approval_id not in self.seen or self.turn % 3 == 0:
                self.seen[it.approval_id] = (is_, it.changes)
        revisions = [is_.revision for is_ in found.values()]
        assert len(set(revisions)) == len(revisions)
        assert max(revisions, default=0) <= other.revision()

    def end(self) -> None:
        """Each expiry was recorded once, by one replica."""
        for _ in self.stores:
            self.turn += 1
            self.expire()
            self.compare()
        own = Counter(each for each in self.recorded if each.startswith(f"{self.name}-"))
        assert own == Counter(it.approval_id for it in self.model if it.state == "expired")


def cast(shown: Approval, uid: str, aliases: tuple[str, ...], *, grant: bool, now: float) -> Approval:
    """The approval with a vote that nobody has judged."""
    vote = Vote(uid, "", ("approvers",), grant, "said", now, shown_digest(shown), Channel.API, aliases)
    voted = replace(shown, votes=(*shown.votes, vote))
    if grant and len(voted.grants) < shown.quorum:
        return voted
    state = ApprovalState.GRANTED if grant else ApprovalState.REFUSED
    until = (now + shown.window_seconds if shown.window_uses else shown.expires_at) if grant else 0.0
    return replace(voted, state=state, granted_until=until, decided_by_uid=uid, decided_at=now)


WINDOW = [("open", 1, 2, 1), ("vote", 0, 2, True)]
HISTORIES: dict[str, list[tuple[Any, ...]]] = {
    "window": [
        *(*WINDOW, ("open", 2, 2, 1), ("open", 2, 0, 1), ("claim", 0, True, False), ("open", 0, 2, 1)),
        *(("claim", 0, True, True), ("claim", 0, True, True), ("open", 2, 2, 1)),
    ],
    "window over": [*WINDOW, ("jump", 60.0), ("open", 2, 2, 1), ("jump", -30.0), ("claim", 0, True, True)],
    "late": [*WINDOW, ("jump", 60.0), ("claim", 0, True, True), ("jump", -200.0), ("claim", 0, True, True)],
    "key": [("open", 1, 0, 1), ("open", 3, 0, 1), ("open", 1, 0, 1), ("jump", 60.0), ("open", 1, 0, 1), ("restart",)],
    "two": [("open", 0, 0, 2), *(("vote", 0, who, True) for who in (0, 1, 2, 2, 3, 4)), ("claim", 0, True, True)],
    "revoked": [*WINDOW, ("claim", 0, True, True), ("revoke", 0), ("claim", 0, True, True), ("open", 2, 2, 1)],
    "recorded": [("open", 0, 0, 1), ("jump", 60.0), ("expire",), ("jump", -200.0), ("expire",), ("vote", 0, 2, True)],
}


def go(history: History, steps: list[tuple[Any, ...]]) -> None:
    for step in steps:
        history.take(*step)
    history.end()


@pytest.fixture
def begin(open_at: OpenAt, ask: Ask) -> Callable[[str], History]:
    """A history at an address. Those of one test share the database and, but for restarts, its replicas."""
    stores: list[ApprovalStore] = []

    def at(address: str) -> History:
        stores.extend(open_at(address) for _ in range(2 - len(stores)))
        return History(lambda: open_at(address), stores, ask)

    return at


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_that_matters_goes_as_the_model_says(
    tmp_path: Any, begin: Callable[[str], History], name: str
) -> None:
    go(begin(f"sqlite:///{tmp_path}/approvals.db"), HISTORIES[name])


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(STEPS, min_size=6, max_size=16))
@example(HISTORIES["window"])
@example(HISTORIES["two"])
def test_any_history_goes_as_the_model_says(
    database: str, begin: Callable[[str], History], steps: list[tuple[Any, ...]]
) -> None:
    go(begin(database), [("open", 1, 2, 1), *steps])


def _granted_window(store: ApprovalStore, ask: Ask, uses: int) -> Approval:
    opened = store.open(replace(ask("apr-0"), window_uses=uses, window_seconds=60.0))
    assert store.vote(cast(opened, "https://idp.test|ann", (), grant=True, now=1010.0))
    return opened


def test_threads_of_two_replicas_use_a_window_as_often_as_it_has_uses(database: str, open_at: OpenAt, ask: Ask) -> None:
    stores = [open_at(database), open_at(database)]
    opened = _granted_window(stores[0], ask, 5)

    def use(number: int) -> bool:
        attached = stores[number % 2].open(
            replace(ask(f"more-{number}", created_at=1020.0), window_uses=5, window_seconds=60.0)
        )
        return attached.approval_id == opened.approval_id and stores[number % 2].claim(
            opened.approval_id, f"digest-{number}", opened.requester_uid, 1020.0
        )

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(use, range(12))) == 5


def test_threads_with_one_key_open_one_approval(database: str, open_at: OpenAt, ask: Ask) -> None:
    stores = [open_at(database), open_at(database)]

    def open_(number: int) -> str:
        asked = replace(ask(f"apr-{number}"), idempotency="key", request_digest="same")
        return stores[number % 2].open(asked).approval_id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(open_, range(8)))) == 1


def test_of_two_accounts_of_one_person_one_votes(database: str, open_at: OpenAt, ask: Ask) -> None:
    stores = [open_at(database), open_at(database)]
    opened = stores[0].open(replace(ask("apr-0"), quorum=2))

    def vote(number: int) -> bool:
        shown = stores[number % 2].find("apr-0", 1010.0) or opened
        return stores[number % 2].vote(cast(shown, f"https://idp.test|ann-{number}", ("n@x",), grant=True, now=1010.0))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(vote, range(6))) == 1
    found = stores[1].find("apr-0", 1010.0)
    assert found is not None
    assert (found.state, found.votes[0].aliases) == (ApprovalState.PENDING, ("n@x",))
