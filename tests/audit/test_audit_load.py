"""256 answers at once, 50 events a second each, through the real journal: nothing is lost, all is in order."""

import threading
import time
from collections.abc import Callable
from typing import Any

from extproc.audit.reading.replay import read_transcript
from extproc.core.record import Direction, EventCode
from extproc.core.trust import Masked

STREAMS, EVENTS, PACE_SECONDS = 256, 100, 0.02


def test_256_streams_lose_nothing(
    log: Any, record: Callable[..., Any], record_property: Callable[[str, object], None]
) -> None:
    """The latency that durability adds is told, not judged: that is the bench's."""
    journal = log.with_(segment_bytes=1024 * 1024).open()
    names = [f"stream-{number:03d}" for number in range(STREAMS)]
    contents = {name: journal.open_content(name) for name in names}
    heard: dict[str, list[int]] = {name: [] for name in names}
    waits: list[float] = []
    everything = threading.Event()

    def append(name: str, number: int) -> None:
        asked = time.monotonic()

        def done(durable: bool) -> None:
            waits.append(time.monotonic() - asked)
            if durable:
                heard[name].append(number)
            if len(waits) == STREAMS * EVENTS:
                everything.set()

        contents[name].append(Direction.TO_CLIENT, number, Masked(b"%s %d" % (name.encode(), number)), done)

    for name in names:
        journal.append_record(record(EventCode.INFERENCE_REQUEST, name))
    begun = time.monotonic()
    for number in range(EVENTS):
        for name in names:
            append(name, number)
        time.sleep(max(0.0, begun + (number + 1) * PACE_SECONDS - time.monotonic()))
    assert everything.wait(60)
    for name in names:
        journal.append_record(record(EventCode.INFERENCE_END, name))
    journal.close()
    log.ship()
    record_property("p99_ms", round(sorted(waits)[int(len(waits) * 0.99)] * 1000, 1))
    assert all(numbers == list(range(EVENTS)) for numbers in heard.values()), "acknowledged, each once, in order"
    report = log.verify(spool=False)
    assert (report.exit_code, report.findings) == (0, []), "each end binds all frames of its transcript"
    holdings = log.look()
    for name in names[:: STREAMS // 8]:
        transcript = read_transcript(holdings, log.keys, name)
        assert transcript is not None
        assert transcript.closed
        assert [piece.data for piece in transcript.pieces] == [b"%s %d" % (name.encode(), n) for n in range(EVENTS)]
