"""A process that races for approvals.

For each line `[ADDRESS, ACTION, NUMBER, COUNT]` it says that it is ready, waits for a line, and prints what it won.
"""

import contextlib
import json
import sys

from extproc.approvals.budgets import BudgetStore
from extproc.approvals.database import open_database
from extproc.approvals.settings import ApprovalSettings
from extproc.approvals.store import ApprovalStore, open_store
from extproc.core.approval import ApprovalState, DecisionRefused
from extproc.core.budget_charge import Charge
from extproc.core.principal import Principal
from extproc.core.reasons import Unavailable
from extproc.core.trust import Secret
from tests.approvals.votes import decide


def won(store: ApprovalStore, action: str, number: int, approval_id: str) -> bool:
    match action:
        case "claim":
            return store.claim(approval_id, f"digest-{approval_id}", "https://idp.test|analyst", 1020.0)
        case "withdraw":
            return store.withdraw(approval_id)
        case "expire":
            found = store.find(approval_id, 1100.0)
            return found is not None and found.state is ApprovalState.EXPIRED
        case _:
            approval = store.find(approval_id, 1010.0)
            assert approval is not None
            someone = Principal("https://idp.test", f"approver-{number}", "", ("approvers",))
            try:
                decided = decide(approval, someone, action == "granted", "raced", 1010.0)
            except DecisionRefused:
                return False
            return store.vote(decided)


def open_at(address: str) -> ApprovalStore:
    return open_store(ApprovalSettings(address), lambda _, data: data, lambda _, data: data)


def charge(address: str, count: int) -> list[str]:
    """One place of a budget at a time, of 99 that there are."""
    database = open_database(address)
    budgets = BudgetStore(database, Secret("k" * 32))
    place = Charge("calls", "exchanges per person in 86400 s", "i|anna", 86400.0, amount=1, stop_at=100)
    say("ready")
    sys.stdin.readline()
    won: list[bool] = []
    while len(won) < count:
        with contextlib.suppress(Unavailable):  # not served in time: nothing was added
            won.append(not budgets.charge((place,), 1_700_000_000.0)[0].stopped)
    database.close()
    return [f"{number}" for number, got in enumerate(won) if got]


def race(address: str, action: str, number: int, count: int) -> list[str]:
    if action == "open":
        say("ready")
        sys.stdin.readline()
        open_at(address).close()
        return ["open"]
    if action == "charge":
        return charge(address, count)
    store = open_at(address)
    say("ready")
    sys.stdin.readline()
    ids = [f"apr-{index}" for index in range(count)]
    winnings = [approval_id for approval_id in ids if won(store, action, number, approval_id)]
    store.close()
    return winnings


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


for line in sys.stdin:
    say(race(*json.loads(line)))
