"""What it costs to decide a day of recorded exchanges again, by a policy of 500 rules."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.exchanges import Deployment
from bench.policy import large_input, large_policy
from bench.row import Row, plain
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import Shipper
from extproc.audit.reading.exchanges import Query, find_exchanges
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Reader
from extproc.audit.stores.store import open_store
from extproc.core.ledger import Ledger
from extproc.core.policy import Policy, authorize
from extproc.core.policy_document import parse_policy
from extproc.core.policy_replay import Replay
from extproc.core.record import EventCode, Outcome

EXCHANGES = 10_000
REPLAY_SECONDS = 30.0


def replay_rows() -> list[Row]:
    """One line of the table."""
    with TemporaryDirectory() as folder:
        return [
            plain(f"{EXCHANGES} recorded exchanges, decided again", "s", measure_replay(Path(folder)), REPLAY_SECONDS)
        ]


def measure_replay(folder: Path) -> float:
    """Seconds, from the store to the table. Raises RuntimeError where a decision comes out otherwise than it did."""
    deployment = Deployment.create(folder)
    policy = parse_policy(large_policy())
    journal = Journal.open(deployment.settings, deployment.keys, writer="worker-0", deliver=lambda run: run())
    for number in range(EXCHANGES):
        write_exchange(journal, policy, number)
    journal.close()
    Shipper(deployment.settings).ship_pending()
    begun = time.perf_counter()
    replay = Replay(policy)
    for exchange in find_exchanges(Reader(Holdings.look(open_store(deployment.settings), None, "")), Query()):
        replay.add(exchange.exchange_id, exchange.decided)
    seconds = time.perf_counter() - begun
    if replay.decided != EXCHANGES or replay.changes:
        raise RuntimeError("the same policy decides otherwise")
    return seconds


def write_exchange(journal: Journal, policy: Policy, number: int) -> None:
    """Its intent and its end, as the exchange makes them."""
    given = large_input(number)
    ledger = Ledger(f"{int(given.now_unix * 1000):012x}-{number:016x}", "", given.now_unix, 0.0)
    ledger.seen(given.principal, lambda text: text)
    ledger.connection, ledger.operation, ledger.protocol = given.connection, given.operation, "HTTP POST"
    ledger.judged(authorize(policy, given), given)
    for code, status in (
        (EventCode.INFERENCE_REQUEST, Outcome.SUCCEEDED),
        (EventCode.INFERENCE_END, Outcome.COMPLETED),
    ):
        journal.append_record(ledger.record(code, 1.0, status))


if __name__ == "__main__":
    for row in replay_rows():
        print(row)
