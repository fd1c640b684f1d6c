"""The approval store: reachable, at the revision of this version, and with our time."""

import time
from collections.abc import Iterator

from extproc.approvals.database import read_clock, read_revision
from extproc.approvals.revisions import NEWEST, Unusable
from extproc.approvals.settings import Migrate
from extproc.core.printable import printable_line
from extproc.core.reasons import Unavailable
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, passed
from extproc.live.clock_checks import OtherClock, compare_clock


def check_approvals(settings: Settings) -> Iterator[Check]:
    """Changes nothing."""
    address = settings.approvals.database
    try:
        revision = read_revision(address)
        told = read_clock(address)
    except Unusable as error:
        yield failed("approvals", error.sentence)
        return
    except Unavailable:
        mend = "is `approvals.database` right, and does its server run? Held requests get 503 until then"
        yield failed("approvals", "the approval store cannot be reached", mend)
        return
    yield _check_revision(revision, settings.approvals.migrate)
    if told is not None:
        yield compare_clock(OtherClock("the approval store", told, time.time()))


def _check_revision(revision: str, migrate: Migrate) -> Check:
    if revision == NEWEST:
        return passed("approvals", f"the store is at revision {NEWEST}, the newest")
    said = f"the store is at revision {printable_line(revision)}" if revision else "the store has no tables"
    if revision > NEWEST:
        return failed("approvals", f"{said}, and this version knows {NEWEST}", "run the version that migrated it")
    who = "a service that starts migrates it" if migrate is Migrate.AUTOMATIC else "nobody migrates it by himself"
    return failed("approvals", f"{said}, not {NEWEST}; {who}", "run `extproc approvals migrate`")
