"""Budgets on both engines: exact sums whoever adds, a window that slides, and nothing of a card in the database."""

import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from extproc.approvals.budgets import BudgetStore
from extproc.approvals.consumption import find_consumption
from extproc.approvals.database import open_database
from extproc.approvals.tables import BUDGET_CARDS
from extproc.core.budget_charge import BUCKETS, Charge, bucket_at, ends_unix
from extproc.core.masking.cards import MetCards
from extproc.core.masking.settings import Kind
from extproc.core.reasons import Unavailable
from extproc.core.trust import Secret
from tests.approvals.prepared import sqlite_at_newest

KEY = Secret("k" * 32)
DAY = 86400.0
NOW = 1_700_000_000.0
OpenBudgets = Callable[[str], BudgetStore]


@pytest.fixture
def open_budgets() -> Any:
    opened = []

    def at(address: str) -> BudgetStore:
        opened.append(open_database(address))
        return BudgetStore(opened[-1], KEY)

    yield at
    for database in opened:
        database.close()


@pytest.fixture
def budgets(database: str, open_budgets: OpenBudgets) -> BudgetStore:
    return open_budgets(database)


def used(amount: int, stop_at: int = 0, *, budget: str = "calls", holder: str = "i|anna") -> Charge:
    return Charge(budget, "exchanges per person in 86400 s", holder, DAY, amount=amount, stop_at=stop_at)


def met(*pans: str, stop_at: int = 0, holder: str = "i|anna", budget: str = "cards") -> Charge:
    cards = MetCards(KEY)
    for pan in pans:
        cards.find(Kind.PAN, pan)
    return Charge(budget, "distinct_cards per person in 86400 s", holder, DAY, cards=cards.digests, stop_at=stop_at)


def pan(number: int) -> str:
    return f"4{number:015d}"


def count(store: BudgetStore, charge: Charge, now: float = NOW) -> int:
    return store.count_with((charge,), now)[0].count


def test_what_is_added_is_counted_and_reopening_loses_nothing(database: str, open_budgets: OpenBudgets) -> None:
    first = open_budgets(database)
    assert [one.count for one in first.charge((used(2), met(pan(1), pan(2))), NOW)] == [2, 2]
    assert [one.count for one in first.charge((met(pan(2), pan(3)), used(1)), NOW + 1)] == [3, 3]
    again = open_budgets(database)
    assert count(again, used(0)) == 3
    assert count(again, met(), NOW + 2) == 3
    assert count(again, used(0, holder="i|berta")) == 0


def test_two_stores_share_one_budget(database: str, open_budgets: OpenBudgets) -> None:
    replicas = [open_budgets(database), open_budgets(database)]
    given = [replicas[turn % 2].charge((used(1, stop_at=6),), NOW)[0].stopped for turn in range(8)]
    assert given == [False] * 5 + [True] * 3
    for replica in replicas:
        replica.charge((met(pan(1)),), NOW)
    assert [count(replica, met()) for replica in replicas] == [1, 1]


def test_a_charge_that_is_stopped_adds_nothing_to_any_budget(budgets: BudgetStore) -> None:
    budgets.charge((used(4), met(pan(1))), NOW)
    refused = budgets.charge((used(1, stop_at=5), met(pan(2)), used(7, budget="all", holder="")), NOW)
    assert [(one.count, one.stopped) for one in refused] == [(5, True), (2, False), (7, False)]
    assert [count(budgets, charge) for charge in (used(0), met(), used(0, budget="all", holder=""))] == [4, 1, 0]


def test_counting_only_stores_nothing(budgets: BudgetStore) -> None:
    assert [one.count for one in budgets.count_with((used(3), met(pan(1))), NOW)] == [3, 1]
    assert [one.count for one in budgets.count_with((used(3), met(pan(1))), NOW)] == [3, 1]
    assert find_consumption(budgets._database, NOW) == []


THREADS = 8
EACH = 6


def _add_in_threads(stores: list[BudgetStore], charge: Callable[[int, int], tuple[Charge, ...]]) -> list[Any]:
    """One that is not served in time, on a busy machine, has added nothing and comes again."""

    def run(number: int) -> list[Any]:
        counts = []
        while len(counts) < EACH:
            with contextlib.suppress(Unavailable):
                counts.append(stores[number % len(stores)].charge(charge(number, len(counts)), NOW))
        return counts

    with ThreadPoolExecutor(THREADS) as pool:
        return [counts for run in list(pool.map(run, range(THREADS))) for counts in run]


def test_eight_at_once_add_up_exactly(database: str, open_budgets: OpenBudgets) -> None:
    """In two stores, budgets named in different order: no sum is lost, and nobody waits for each other for ever."""
    stores = [open_budgets(database), open_budgets(database)]

    def charge(thread: int, turn: int) -> tuple[Charge, ...]:
        charges = (used(1), met(pan(turn), pan(1000 + thread)), used(2, budget="all", holder=""))
        return charges if thread % 2 else charges[::-1]

    _add_in_threads(stores, charge)
    assert count(stores[0], used(0)) == THREADS * EACH
    assert count(stores[0], met()) == THREADS + EACH
    assert count(stores[1], used(0, budget="all", holder="")) == 2 * THREADS * EACH


def test_eight_at_once_share_the_last_places(database: str, open_budgets: OpenBudgets) -> None:
    stores = [open_budgets(database), open_budgets(database)]
    counts = _add_in_threads(stores, lambda *_: (used(1, stop_at=21),))
    assert sum(not one.stopped for (one,) in counts) == 20
    assert count(stores[0], used(0)) == 20


def test_processes_at_once_add_up_exactly(database: str, open_budgets: OpenBudgets, racers: Any) -> None:
    won = racers.race(database, ["charge"] * 4, 30)
    assert sum(map(len, won)) == 99
    assert count(open_budgets(database), used(0)) == 99


def test_a_window_slides_by_a_twenty_fourth(budgets: BudgetStore) -> None:
    """What was used counts for the whole window and at most one bucket longer; then its rows go."""
    budgets.charge((used(5), met(pan(1))), NOW)
    back = ends_unix(bucket_at(NOW, DAY), DAY)
    assert DAY <= back - NOW <= DAY + DAY / BUCKETS
    assert [count(budgets, charge, back - 1) for charge in (used(0), met())] == [5, 1]
    assert [count(budgets, charge, back) for charge in (used(0), met())] == [0, 0]
    assert budgets.forget_ended(back - 1) == 0
    assert budgets.forget_ended(back) == 4
    assert find_consumption(budgets._database, NOW) == []


def test_a_card_that_is_seen_again_counts_once_and_anew(budgets: BudgetStore) -> None:
    """Also over the border between two keys, wherever that lies."""
    for hour in range(0, 120, 5):
        assert budgets.charge((met(pan(1)),), NOW + hour * 3600)[0].count == 1
    assert count(budgets, met(), NOW + 115 * 3600 + DAY) == 1
    assert count(budgets, met(), NOW + 115 * 3600 + DAY + 3600) == 0


def test_the_stopped_are_told_when_there_is_room_again(budgets: BudgetStore) -> None:
    budgets.charge((used(3),), NOW)
    budgets.charge((used(2),), NOW + 7200)
    stopped = budgets.charge((used(1, stop_at=6),), NOW + 7300)[0]
    assert (stopped.count, stopped.stopped) == (6, True)
    assert stopped.frees_unix == ends_unix(bucket_at(NOW, DAY), DAY)
    assert not budgets.count_with((used(1, stop_at=6),), stopped.frees_unix)[0].stopped
    assert budgets.count_with((used(1, stop_at=6),), stopped.frees_unix - 1)[0].stopped
    assert budgets.charge((used(9, stop_at=6),), NOW + 7300)[0].frees_unix == 0.0
    assert budgets.charge((used(4, stop_at=6),), NOW + 7300)[0].frees_unix == ends_unix(bucket_at(NOW + 7200, DAY), DAY)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 20), st.sets(st.integers(0, 5), max_size=3), st.integers(0, 3)), max_size=25
    )
)
def test_the_counts_are_those_of_a_simple_model(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, set[int], int]]
) -> None:
    """A list of what was charged when; a card counts where it was last seen."""
    database = open_database(sqlite_at_newest(tmp_path_factory.mktemp("budgets") / "approvals.db"))
    store, now = BudgetStore(database, KEY), NOW
    amounts: list[tuple[int, int]] = []
    cards: dict[int, int] = {}
    for hours, seen, amount in steps:
        now += hours * 3600
        bucket = bucket_at(now, DAY)
        live = [had for at, had in amounts if at >= bucket - BUCKETS]
        known = {card for card, at in cards.items() if at >= bucket - BUCKETS} | seen
        stops = bool(sum(live) + amount >= 7 or len(known) >= 4)
        given_counts = store.charge((used(amount, stop_at=7), met(*map(pan, seen), stop_at=4)), now)
        assert [one.count for one in given_counts] == [sum(live) + amount, len(known)]
        assert any(one.stopped for one in given_counts) is stops
        if not stops:
            amounts.append((bucket, amount))
            cards |= dict.fromkeys(seen, bucket)
    database.close()


def test_a_budget_that_changes_its_terms_begins_at_nothing(budgets: BudgetStore) -> None:
    budgets.charge((used(5),), NOW)
    other = Charge("calls", "exchanges per person in 3600 s", "i|anna", 3600.0)
    assert count(budgets, other) == 0


def test_what_was_used_is_listed(budgets: BudgetStore) -> None:
    budgets.charge((used(5), met(pan(1), pan(2)), used(1, holder="i|berta")), NOW)
    shown = [(one.budget, one.holder, one.count) for one in find_consumption(budgets._database, NOW)]
    assert shown == [("calls", "i|anna", 5), ("calls", "i|berta", 1), ("cards", "i|anna", 2)]
    assert [one.budget for one in find_consumption(budgets._database, NOW, "i|anna")] == ["calls", "cards"]


def test_a_database_that_is_away_is_an_error(tmp_path: Path, open_budgets: OpenBudgets) -> None:
    store = open_budgets(f"sqlite:///{tmp_path}/approvals.db")
    (tmp_path / "approvals.db").unlink()
    for call in (store.charge, store.count_with):
        with pytest.raises(Unavailable):
            call((used(1),), NOW)


def test_a_number_that_the_database_cannot_hold_is_an_error(tmp_path: Path, open_budgets: OpenBudgets) -> None:
    """A driver says so with an error of its own, which no caller expects and which may quote the number."""
    budgets = open_budgets(f"sqlite:///{tmp_path}/big.db")
    with pytest.raises(Unavailable):
        budgets.charge([used(2**63)], NOW)
    assert count(budgets, used(1)) == 1


def everything_in(database: str, tmp_path: Path) -> bytes:
    """All bytes of the SQLite files, or a dump of the PostgreSQL database."""
    if database.startswith("sqlite"):
        with sqlite3.connect(tmp_path / "approvals.db") as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        return b"".join(path.read_bytes() for path in tmp_path.glob("approvals.db*"))
    import psycopg

    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        rows = [
            connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("budget_accounts", "budget_amounts", "budget_cards")
        ]
    return repr(rows).encode()


def test_no_card_is_in_the_database_and_none_can_be_followed(
    database: str, budgets: BudgetStore, tmp_path: Path
) -> None:
    """Neither the number nor its truncation, and no digest that shows that two accounts, or epochs, met one card."""
    number = "5105105105105100"
    later = NOW + DAY * (BUCKETS + 1) / BUCKETS
    for holder in ("i|anna", "i|berta"):
        budgets.charge((met(number, holder=holder),), NOW)
    budgets.charge((met(number, budget="more"),), NOW)
    written = everything_in(database, tmp_path)
    for trace in (number, number[:6], number[:8], number[-4:]):
        assert trace.encode() not in written
    first = card_digests(budgets)
    assert len(first) == 3, "one digest an account"
    budgets.charge((met(number),), later)
    assert len(card_digests(budgets) - first) == 1, "another one an epoch"


def card_digests(budgets: BudgetStore) -> set[bytes]:
    with budgets._database.transaction() as connection:
        return {bytes(digest) for digest in connection.execute(select(BUDGET_CARDS.c.digest)).scalars()}


def test_the_digests_are_keyed_by_the_deployment(tmp_path: Path) -> None:
    """Who reads the database and knows every PAN, but not the key, finds none of them in it."""
    database = open_database(f"sqlite:///{tmp_path}/approvals.db")
    BudgetStore(database, KEY).charge((met(pan(1)),), NOW)
    other = BudgetStore(database, Secret("x" * 32))
    assert other.count_with((met(pan(1)),), NOW)[0].count == 2
    database.close()
