"""Answers wait for Envoy in order, and are counted until it has taken them: the count bounds what a session reads."""

import asyncio

from extproc.edge.outgoing import Outgoing


def test_bytes_count_until_they_are_taken() -> None:
    outgoing = Outgoing()
    outgoing.put(b"four", "small", b"five!")
    assert outgoing.waiting_bytes == 9
    first = outgoing.take()
    assert (first, outgoing.waiting_bytes) == (b"four", 9)
    outgoing.taken(first)
    assert outgoing.waiting_bytes == 5
    for message in (outgoing.take(), outgoing.take()):
        outgoing.taken(message)
    assert (outgoing.take(), outgoing.waiting_bytes) == (None, 0)


def test_what_is_cleared_neither_counts_nor_goes_out() -> None:
    outgoing = Outgoing()
    outgoing.put(b"four")
    outgoing.clear()
    assert (outgoing.take(), outgoing.waiting_bytes) == (None, 0)


async def test_the_writer_wakes_for_a_message() -> None:
    outgoing = Outgoing()
    waiting = asyncio.create_task(outgoing.wait())
    await asyncio.sleep(0)
    outgoing.put(b"x")
    await asyncio.wait_for(waiting, 1)
