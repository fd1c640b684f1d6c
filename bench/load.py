"""The client: concurrent streams and small exchanges over raw HTTP/1.1, timed by the upstream's own clock."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bench.upstream import STAMP_LETTERS, STAMP_MODULUS, stamp

PATH = "/v1/chat/completions"
_STAMP = re.compile(rb"~([" + STAMP_LETTERS.encode() + rb"]{9})")
_DIGITS = bytes.maketrans(STAMP_LETTERS.encode(), b"0123456789")
_END = b"0\r\n\r\n"
_LONGEST_STAMP = 14
_DEADLINE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send, and whose token to show."""

    port: int
    token: str = field(repr=False)

    def request(self, body: dict[str, Any]) -> bytes:
        data = json.dumps(body).encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self.token}\r\n"
            f"content-type: application/json\r\naccept: */*\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        return head.encode() + data


@dataclass(slots=True)
class StreamTimes:
    """Of one stream, in seconds: from the request to the first event, and of each event, when it was sent and seen."""

    first: float = 0.0
    sent: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def delays_ms(self) -> list[float]:
        """From the upstream's write of each event to its arrival here."""
        return [_between(sent, seen) / 1000 for sent, seen in zip(self.sent, self.seen, strict=True)]

    def lateness_ms(self) -> list[float]:
        """How much longer each gap between two events is here than at the upstream; 0 where it is shorter."""
        delays = self.delays_ms()
        return [max(0.0, after - before) for before, after in pairwise(delays)]


def _between(sent: int, seen: int) -> int:
    return (seen - sent) % STAMP_MODULUS


def chat(
    *, events: int, interval_us: int = 0, stream: bool, text: str = "Say something about the sea."
) -> dict[str, Any]:
    return {
        "model": f"toy-{interval_us}",
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        "max_tokens": events,
    }


class Gate:
    """Says when every stream has begun, and when the first one ends: between the two, nothing but events happens."""

    def __init__(self, streams: int, sample: Callable[[], float]) -> None:
        self._waiting = streams
        self._sample = sample
        self._events = 0
        self._begin: tuple[float, int] | None = None
        self.cpu_seconds = 0.0
        self.events = 0

    def event(self, *, first: bool, last: bool) -> None:
        self._events += 1
        if first:
            self._waiting -= 1
            if self._waiting == 0:
                self._begin = (self._sample(), self._events)
        if last and self._begin is not None and not self.events:
            self.cpu_seconds = self._sample() - self._begin[0]
            self.events = self._events - self._begin[1]


async def _stream(target: Target, request: bytes, count: int, gate: Gate | None) -> StreamTimes:
    """One streamed exchange on a connection of its own. Raises `RuntimeError` unless every event arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    times = StreamTimes()
    began = time.monotonic()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"a stream was refused: {head[:300]!r}")
    data = b""
    while not data.endswith(_END):
        more = await reader.read(65536)
        now = stamp()
        if not more:
            break
        data += more
        last = 0
        for match in _STAMP.finditer(data):
            if not times.seen:
                times.first = time.monotonic() - began
            times.sent.append(int(match[1].translate(_DIGITS)))
            times.seen.append(now)
            last = match.end()
            if gate is not None:
                gate.event(first=len(times.seen) == 1, last=len(times.seen) == count)
        data = data[max(last, len(data) - 4 * _LONGEST_STAMP) if times.seen else 0 :]
    writer.close()
    if len(times.seen) != count:
        raise RuntimeError(f"{len(times.seen)} of {count} events arrived")
    return times


async def stream_all(
    target: Target,
    *,
    streams: int,
    events: int,
    interval_us: int,
    repeats: int = 1,
    spread_seconds: float = 0.0,
    gate: Gate | None = None,
) -> list[StreamTimes]:
    """`streams` clients, begun evenly over `spread_seconds`, each with `repeats` streams one after the other."""
    request = target.request(chat(events=events, interval_us=interval_us, stream=True))

    async def client(index: int) -> list[StreamTimes]:
        await asyncio.sleep(spread_seconds * index / streams)
        return [await _stream(target, request, events, gate) for _ in range(repeats)]

    return [times for each in await _within(*(client(index) for index in range(streams))) for times in each]


async def exchange_all(target: Target, *, clients: int, count: int, body: dict[str, Any]) -> list[float]:
    """`count` JSON exchanges on kept connections; seconds of each. Raises `RuntimeError` unless all are 200."""
    request = target.request(body)

    async def client() -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=2**20)
        seconds = []
        for _ in range(count // clients):
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"a JSON exchange was refused: {head[:300]!r}")
            await _read_body(head.lower(), reader)
            seconds.append(time.perf_counter() - began)
        writer.close()
        return seconds

    return [seconds for each in await _within(*(client() for _ in range(clients))) for seconds in each]


async def _read_body(head: bytes, reader: asyncio.StreamReader) -> None:
    if b"transfer-encoding: chunked" in head:
        await reader.readuntil(_END)
    else:
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))


async def _within(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    async with asyncio.timeout(_DEADLINE_SECONDS):
        return list(await asyncio.gather(*work))
