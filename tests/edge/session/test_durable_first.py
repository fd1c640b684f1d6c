"""P2, byte by byte: through a whole session nothing goes to the model or the client before the real journal synced it.

The journal's `fdatasync` is slow, so that whatever did not wait for it would be out long before.
"""

import asyncio
import os
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.content import ContentLog
from extproc.audit.log.journal import Journal
from extproc.audit.log.queue import Line
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.core.record import Direction
from extproc.pb import ext_proc_pb2 as pb
from tests.edge.session.played import Context, message, outcome, services, whole_exchange

SLOW_SECONDS = 0.006
ANSWER = b"".join(b'data: {"choices":[{"index":0,"delta":{"content":"word%d "}}]}\n\n' % number for number in range(8))


class Disk:
    """What has been given to the journal, what its thread has taken to write, and what is synced, as counts and codes."""

    def __init__(self) -> None:
        self.given: list[tuple[Direction, bytes]] = []
        self.taken = 0
        self.taken_codes: set[str] = set()
        self.synced = 0
        self.synced_codes: set[str] = set()
        self.syncs = 0

    def durable(self, direction: Direction) -> bytes:
        return b"".join(data for at, data in self.given[: self.synced] if at is direction)

    def watch(self) -> Any:
        """Patches for the time of one exchange."""
        append, take, pay, sync = ContentLog.append, ContentLog.take_frames, Journal._payloads, os.fdatasync

        def noted_append(log: Any, direction: Direction, at_us: int, data: Any, done: Any = None) -> None:
            append(log, direction, at_us, data, done)
            self.given.append((direction, bytes(data)))

        def noted_take(log: Any) -> Any:
            found = take(log)
            self.taken = len(self.given)
            return found

        def noted_payloads(journal: Any, batch: Any) -> Any:
            self.taken_codes |= {item.event_code.value for item in batch.items if isinstance(item, Line)}
            return pay(journal, batch)

        def slow_sync(fd: int) -> None:
            time.sleep(SLOW_SECONDS)
            sync(fd)
            self.syncs += 1
            self.synced, self.synced_codes = self.taken, set(self.taken_codes)

        patches = patch.multiple(ContentLog, append=noted_append, take_frames=noted_take)
        return patches, patch.object(Journal, "_payloads", noted_payloads), patch.object(os, "fdatasync", slow_sync)


class WatchingContext(Context):
    """Envoy, which looks at the disk whenever it is given bytes to send on."""

    def __init__(self, messages: list[Any], disk: Disk) -> None:
        super().__init__(messages)
        self.disk = disk
        self.to_client = b""
        self.to_model = False
        self.over = False
        self.broken: list[str] = []

    async def read(self) -> Any:
        """Envoy has a response once the request went on, and ends the call once it has its last answer."""
        while not self.over and (
            not self.messages or (self.messages[0].HasField("response_headers") and not self.to_model)
        ):
            await asyncio.sleep(0.002)
        return await super().read()

    def _expect(self, holds: bool, else_: str) -> None:
        if not holds:
            self.broken.append(else_)

    async def write(self, message: Any) -> None:
        answer = pb.ProcessingResponse.FromString(message) if isinstance(message, bytes) else message
        if answer.HasField("request_body"):
            self.to_model = True
            self._expect("inference.request" in self.disk.synced_codes, "the model is asked before that is recorded")
        if answer.HasField("response_body"):
            streamed = answer.response_body.response.body_mutation.streamed_response
            self.to_client += streamed.body
            durable = self.disk.durable(Direction.TO_CLIENT)
            self._expect(durable.startswith(self.to_client), "bytes are sent on before they are synced")
            if streamed.end_of_stream:
                self._expect("inference.end" in self.disk.synced_codes, "the end is said before it is recorded")
            self.over = self.over or streamed.end_of_stream
        self.over = self.over or answer.HasField("immediate_response")
        await super().write(message)


@pytest.fixture(scope="module")
def log() -> Iterator[tuple[AuditSettings, AuditKeys]]:
    with TemporaryDirectory(prefix="durable-") as folder:
        root = Path(folder)
        made = AuditSettings("test", root / "spool", root / "keys", DirectoryStore(root / "store"), reserve_bytes=0)
        yield made, AuditKeys.load_or_create(made.keys)


def play(log: tuple[AuditSettings, AuditKeys], chunks: list[bytes]) -> tuple[str, WatchingContext]:
    async def run() -> tuple[str, WatchingContext]:
        loop = asyncio.get_running_loop()
        disk = Disk()
        journal = Journal.open(*log, writer="w", deliver=lambda call: _deliver(loop, call))
        bodies = [message("response_body", body=chunk) for chunk in chunks]
        context = WatchingContext([*whole_exchange()[:3], *bodies, *whole_exchange()[-2:]], disk)
        first, second, third = disk.watch()
        try:
            with first, second, third:
                ended = await outcome(context, services(journal=journal))
        finally:
            await asyncio.to_thread(journal.close)
        return ended, context

    return asyncio.run(run())


def _deliver(loop: asyncio.AbstractEventLoop, call: Any) -> None:
    loop.call_soon_threadsafe(call)


def text_of(stream: bytes) -> bytes:
    """What the model said; how it is cut into events is up to the scanner."""
    return b"".join(re.findall(rb'"content":"([^"]*)"', stream))


def cut(places: list[int]) -> list[bytes]:
    at = [0, *sorted(set(places)), len(ANSWER)]
    return [ANSWER[begin:end] for begin, end in pairwise(at)]


@settings(max_examples=12, phases=[Phase.generate])  # a failure needs no smaller example
@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=12))
def test_nothing_goes_on_before_it_is_synced(log: tuple[AuditSettings, AuditKeys], places: list[int]) -> None:
    """However the answer is cut into chunks."""
    ended, context = play(log, cut(places))
    assert context.broken == []
    assert ended == "ok"
    assert context.to_model
    assert text_of(context.to_client) == text_of(ANSWER)
    assert context.to_client.endswith(b"data: [DONE]\n\n")
    assert context.disk.durable(Direction.TO_CLIENT) == context.to_client
    assert context.disk.syncs >= 3


def test_a_disk_that_fails_lets_nothing_go_on(log: tuple[AuditSettings, AuditKeys], monkeypatch: Any) -> None:
    """The twin: without a sync there is no request to the model, and no byte of an answer."""

    def broken(fd: int) -> None:
        raise OSError(5, "input/output error")

    async def run() -> WatchingContext:
        loop = asyncio.get_running_loop()
        journal = Journal.open(*log, writer="w", deliver=lambda call: _deliver(loop, call))
        monkeypatch.setattr(os, "fdatasync", broken)
        context = WatchingContext(whole_exchange(), Disk())
        await outcome(context, services(journal=journal))
        monkeypatch.undo()
        await asyncio.to_thread(journal.close)
        return context

    context = asyncio.run(run())
    assert context.over
    assert not context.to_model
    assert context.to_client == b""
