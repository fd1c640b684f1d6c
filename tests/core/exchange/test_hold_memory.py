"""What a request keeps in memory while it waits, possibly for hours and with thousands of others."""

import gc
import tracemalloc

from extproc.core import events as ev
from extproc.core.approval import open_approval
from extproc.core.exchange import Exchange
from extproc.core.originals import OriginalPlace
from extproc.core.phase import Phase
from extproc.core.snapshot import Snapshot
from extproc.core.trust import Sealed, Unmasked
from tests.core.exchange.conftest import Play, make_snapshot
from tests.core.exchange.test_hold_terms import asked

BODY_BYTES = 100 * 1024
HELD = 10
LINE = "as much text as people write about it "


def seal(place: OriginalPlace, original: Unmasked) -> Sealed:
    return Sealed(bytes(len(original.data)))


def held(number: int, snapshot: Snapshot) -> Play:
    made = Play()
    made.exchange = Exchange("ex-1", snapshot, started_unix=made.started_unix, started_at=made.at, accepting=True)
    content = f"{number} 4111 1111 1111 1111 " + LINE * (BODY_BYTES // len(LINE))
    made.request_headers()
    made.verified()
    made.body({"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": content}]})
    made.feed(ev.ApprovalSeen(open_approval(asked(made)), made.tick()))
    assert made.exchange.phase is Phase.HELD
    made.actions.clear()
    return made


def bodies_each(snapshot: Snapshot) -> float:
    """How many bodies each of some held exchanges keeps."""
    held(0, snapshot)
    gc.collect()
    tracemalloc.start()
    try:
        waiting = [held(number, snapshot) for number in range(HELD)]
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return kept / len(waiting) / BODY_BYTES


def test_who_waits_keeps_of_the_body_what_goes_on() -> None:
    """As msgspec encodes it: in a buffer that grows by half of itself."""
    assert bodies_each(make_snapshot()) < 1.7


def test_and_its_sealed_original_where_that_is_kept() -> None:
    assert bodies_each(make_snapshot(seal=seal)) < 2.7
