"""The budgets' side of the approval store: what everybody has used, in one place for all replicas.

A charge is one transaction: what it adds, the count that this makes, and, where a count reaches its `stop_at`, nothing
of it all. So of requests that meet at the last free place one gets it, and one that is refused has used nothing.
"""

import contextlib
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, case, delete, func, select, union_all

from extproc.approvals.budget_digests import account_id, account_of, row_digests
from extproc.approvals.database import Database
from extproc.approvals.tables import BUDGET_ACCOUNTS, BUDGET_AMOUNTS, BUDGET_CARDS
from extproc.core.budget_charge import Charge, Counted, bucket_at, counted, ends_unix, oldest_live
from extproc.core.trust import Secret

MAX_DIGESTS = 500
"""Named in one statement; engines bound the parameters of one (SQLite: 32 766)."""

_accounts, _amounts, _cards = BUDGET_ACCOUNTS.c, BUDGET_AMOUNTS.c, BUDGET_CARDS.c


class _Undone(Exception):
    """Ends a transaction that is not to last."""


class BudgetStore:
    """Blocking; safe to use from several threads and processes. `now` is Unix seconds.

    Every method raises `Unavailable(APPROVALS_UNAVAILABLE)` when the database does not do what it was asked.
    """

    def __init__(self, database: Database, key: Secret) -> None:
        """`key` keys the digests of cards: the same in all replicas."""
        self._database = database
        self._key = key

    def charge(self, charges: Sequence[Charge], now: float) -> tuple[Counted, ...]:
        """Add them all, durably, or none of them when one is stopped; what is counted then, or would have been."""
        return self._transact(charges, now, lambda counts: not any(one.stopped for one in counts))

    def count_with(self, charges: Sequence[Charge], now: float) -> tuple[Counted, ...]:
        """What would be counted if they were charged now. Stores nothing."""
        return self._transact(charges, now, lambda _: False)

    def reset(self, budget: str, series: str, holder: str) -> int:
        """Forget what a holder has used of a budget; how many rows that was."""
        account, removed = account_id(budget, series, holder), 0
        with self._database.writing() as connection:
            for table in (BUDGET_ACCOUNTS, BUDGET_CARDS, BUDGET_AMOUNTS):
                removed += connection.execute(delete(table).where(table.c.account_id == account)).rowcount
        return removed

    def forget_ended(self, now: float) -> int:
        """Remove the rows that count no longer; how many."""
        removed = 0
        for table in (BUDGET_CARDS, BUDGET_AMOUNTS, BUDGET_ACCOUNTS):
            with self._database.writing() as connection:
                removed += connection.execute(delete(table).where(table.c.ends_at <= now)).rowcount
        return removed

    def _transact(
        self, charges: Sequence[Charge], now: float, lasts: Callable[[tuple[Counted, ...]], bool]
    ) -> tuple[Counted, ...]:
        counts: tuple[Counted, ...] = ()
        with contextlib.suppress(_Undone), self._database.writing() as connection:
            counts = self._add(connection, charges, now)
            if not lasts(counts):
                raise _Undone
        return counts

    def _add(self, connection: Connection, charges: Sequence[Charge], now: float) -> tuple[Counted, ...]:
        """In the order of the accounts, each locked before it is read: no two charges can wait for each other.

        Everything is written before anything is read: SQLite makes no reader a writer once others have written.
        """
        in_order = sorted(((account_of(charge), charge) for charge in charges), key=lambda one: one[0])
        for account, charge in in_order:
            if charge.adds:
                self._lock(connection, account, charge, now)
        for account, charge in in_order:
            if charge.amount:
                self._add_amount(connection, account, charge, now)
            if charge.cards:
                self._add_cards(connection, account, charge, now)
        made = {}
        for account, charge in in_order:
            bucket = bucket_at(now, charge.window_seconds)
            made[account] = counted(charge, bucket, read_sums(connection, account, oldest_live(bucket)))
        return tuple(made[account_of(charge)] for charge in charges)

    def _lock(self, connection: Connection, account: str, charge: Charge, now: float) -> None:
        new = self._database.insert(BUDGET_ACCOUNTS).values(
            account_id=account,
            budget=charge.budget,
            series=charge.series,
            holder=charge.holder,
            window_seconds=charge.window_seconds,
            ends_at=ends_unix(bucket_at(now, charge.window_seconds), charge.window_seconds),
        )
        later = case((new.excluded.ends_at > _accounts.ends_at, new.excluded.ends_at), else_=_accounts.ends_at)
        connection.execute(new.on_conflict_do_update(index_elements=[_accounts.account_id], set_={"ends_at": later}))

    def _add_amount(self, connection: Connection, account: str, charge: Charge, now: float) -> None:
        bucket = bucket_at(now, charge.window_seconds)
        new = self._database.insert(BUDGET_AMOUNTS).values(
            account_id=account,
            bucket=bucket,
            amount=charge.amount,
            ends_at=ends_unix(bucket, charge.window_seconds),
        )
        sums = {"amount": _amounts.amount + new.excluded.amount}
        connection.execute(new.on_conflict_do_update(index_elements=[_amounts.account_id, _amounts.bucket], set_=sums))

    def _add_cards(self, connection: Connection, account: str, charge: Charge, now: float) -> None:
        """Each card in the bucket of now: seen again, it counts once and for a whole window more."""
        bucket = bucket_at(now, charge.window_seconds)
        digests, before = row_digests(self._key, account, bucket, charge.cards)
        ends_at = ends_unix(bucket, charge.window_seconds)
        for start in range(0, len(digests), MAX_DIGESTS):
            connection.execute(
                delete(BUDGET_CARDS).where(
                    _cards.account_id == account, _cards.digest.in_(before[start : start + MAX_DIGESTS])
                )
            )
            new = self._database.insert(BUDGET_CARDS).values(
                [
                    {"account_id": account, "digest": digest, "bucket": bucket, "ends_at": ends_at}
                    for digest in digests[start : start + MAX_DIGESTS]
                ]
            )
            connection.execute(
                new.on_conflict_do_update(
                    index_elements=[_cards.account_id, _cards.digest],
                    set_={"bucket": new.excluded.bucket, "ends_at": new.excluded.ends_at},
                    where=_cards.bucket < new.excluded.bucket,
                )
            )


def read_sums(connection: Connection, account: str, oldest: int) -> list[tuple[int, int]]:
    """What the live buckets of an account hold: a budget's amounts, or its cards."""
    amounts = select(_amounts.bucket, _amounts.amount).where(_amounts.account_id == account, _amounts.bucket >= oldest)
    cards = (
        select(_cards.bucket, func.count())
        .where(_cards.account_id == account, _cards.bucket >= oldest)
        .group_by(_cards.bucket)
    )
    return [(int(bucket), int(amount)) for bucket, amount in connection.execute(union_all(amounts, cards))]
