"""A segment that is finished because somebody waits for it: told once its records are in it, and shipped soon."""

import threading

from extproc.audit.log.shipper import Shipper
from extproc.audit.reading.reader import find_records


def test_what_was_durable_before_is_shipped_with_the_segment_that_is_told(log, exchange):
    journal = log.open()
    try:
        exchange(journal, "x-1")
        told: list[int] = []
        heard = threading.Event()
        journal.seal_soon(lambda segment: (told.append(segment), heard.set()))
        assert heard.wait(20)
        deadline = threading.Event()
        for _ in range(400):
            if Shipper(log.settings).ship_pending().shipped:
                break
            deadline.wait(0.05)
        assert told == [1]
        assert journal.is_shipped(1)
        assert not journal.is_shipped(2)
        assert "x-1" in [item.record.exchange_id for item in find_records(log.look())]
    finally:
        journal.close()


def test_an_empty_segment_is_not_finished_again(log, exchange):
    """Who asks twice hears of the same segment: there is nothing that could be lost."""
    journal = log.open()
    try:
        exchange(journal, "x-1")
        told: list[int] = []
        heard = threading.Semaphore(0)
        for _ in range(2):
            journal.seal_soon(lambda segment: (told.append(segment), heard.release()))
            assert heard.acquire(timeout=20)
        assert told == [1, 1]
        assert not journal.is_shipped(1)
    finally:
        journal.close()


def test_a_segment_in_the_spool_is_not_shipped(log, exchange):
    journal = log.open()
    try:
        exchange(journal, "x-1")
        assert not journal.is_shipped(1)
    finally:
        journal.close()
    assert not journal.is_shipped(1)
    log.ship()
    assert journal.is_shipped(1)
