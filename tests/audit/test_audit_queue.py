"""What a journal that is full still takes."""

import pytest

from extproc.audit.log.queue import CommitQueue
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode


def test_a_full_journal_takes_what_corrects_or_ends_what_stands_in_it() -> None:
    queue = CommitQueue(0, 10_000, 1)
    for code in (EventCode.APPROVAL_ATTACH, EventCode.APPROVAL_WITHDRAW, EventCode.APPROVAL_USE, EventCode.POLICY_DENY):
        queue.put_record(code, "x", b"{}", None)
    with pytest.raises(Unavailable):
        queue.put_record(EventCode.APPROVAL_OPEN, "x", b"{}", None)
