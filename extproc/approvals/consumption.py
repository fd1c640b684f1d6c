"""What was used of budgets, for people who look."""

from dataclasses import dataclass

from sqlalchemy import select

from extproc.approvals.budgets import read_sums
from extproc.approvals.database import Database
from extproc.approvals.tables import BUDGET_ACCOUNTS
from extproc.core.budget_charge import bucket_at, ends_unix, oldest_live

_accounts = BUDGET_ACCOUNTS.c


@dataclass(frozen=True, slots=True)
class Consumption:
    """What one holder has used of one budget. `series` says what is counted, per what, in which window.

    `holder` is a person's `uid`, a tenant, or empty. `frees_unix`: when the last of it counts no longer.
    """

    budget: str
    series: str
    holder: str
    count: int
    frees_unix: float


def find_consumption(database: Database, now: float, holder: str | None = None) -> list[Consumption]:
    """What counts now, of everybody or of one holder, by budget and holder. Raises `Unavailable`."""
    wanted = select(BUDGET_ACCOUNTS).where(_accounts.ends_at > now).order_by(_accounts.budget, _accounts.holder)
    if holder is not None:
        wanted = wanted.where(_accounts.holder == holder)
    found = []
    with database.transaction() as connection:
        for row in connection.execute(wanted).mappings().all():
            window = row["window_seconds"]
            sums = read_sums(connection, row["account_id"], oldest_live(bucket_at(now, window)))
            used = Consumption(
                budget=row["budget"],
                series=row["series"],
                holder=row["holder"],
                count=sum(amount for _, amount in sums),
                frees_unix=max((ends_unix(bucket, window) for bucket, _ in sums), default=0.0),
            )
            found.append(used)
    return [used for used in found if used.count]
