"""A model server that costs next to nothing: chat completions of clean prose, streamed on a schedule or whole.

Run as `python -m bench.upstream`; it prints its port, and serves until its standard input closes. The request says what
it wants: `model` is `toy-<microseconds between events>`, `max_tokens` the number of events, `stream` which kind. Each
event carries the monotonic time at which it was written, at the end of its text, as nine letters that stand for digits
of microseconds: the rest of the event stays the same from one to the next, as with real model servers.
"""

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop

STAMP_MODULUS = 1_000_000_000
"""Microseconds modulo this."""
STAMP_LETTERS = "kmnpqrtvwx"
"""Of the digits 0 to 9. Digits in every event would be no prose."""

_WORDS = (
    "The", " harbour", " office", " keeps", " old", " tables", ",", " and", " each", " morning", " someone", " copies",
    " heights", " onto", " a", " slate", " by", " the", " door", ".", " Boats", " leave", " when", " it", " says", ".",
)  # fmt: skip
_SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def stamp() -> int:
    return time.monotonic_ns() // 1000 % STAMP_MODULUS


def _event(index: int) -> bytes:
    letters = "".join(STAMP_LETTERS[int(digit)] for digit in f"{stamp():09d}")
    choice = {"index": 0, "delta": {"content": f"{_WORDS[index % len(_WORDS)]}~{letters}"}, "finish_reason": None}
    return _sse({"choices": [choice], "system_fingerprint": "fp_bench"})


def _sse(fields: dict[str, Any]) -> bytes:
    whole = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "toy", **fields}
    return b"data: " + json.dumps(whole, separators=(",", ":")).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json_answer(words: int) -> bytes:
    content = "".join(_WORDS[index % len(_WORDS)] for index in range(words))
    message = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 12, "completion_tokens": words, "total_tokens": 12 + words}
    body = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "toy"}
    data = json.dumps({**body, "choices": [message], "usage": usage}, separators=(",", ":")).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(data) + data


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection; requests come one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pending = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head, found, rest = self._pending.partition(b"\r\n\r\n")
        if not found:
            return
        body = _whole_body(head.lower(), rest)
        if body is not None:
            self._pending = b""
            self._answer(json.loads(body))

    def _answer(self, request: dict[str, Any]) -> None:
        count = int(request.get("max_tokens", 16))
        if not request.get("stream"):
            self._write(_json_answer(count))
            return
        interval = int(request["model"].partition("-")[2]) / 1e6
        self._write(_SSE_HEAD)
        self._stream(0, count, interval, self._loop.time())

    def _stream(self, index: int, count: int, interval: float, due: float) -> None:
        if index == count:
            last = {"index": 0, "delta": {}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 12, "completion_tokens": count, "total_tokens": 12 + count}
            end = _sse({"choices": [last], "usage": usage}) + b"data: [DONE]\n\n"
            self._write(_chunk(end) + b"0\r\n\r\n")
            return
        self._write(_chunk(_event(index)))
        due += interval
        self._timer = self._loop.call_at(due, self._stream, index + 1, count, interval, due)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _whole_body(head: bytes, rest: bytes) -> bytes | None:
    """The body once all of it is there. Envoy sends a length, or chunks where the length changed."""
    if b"transfer-encoding: chunked" not in head:
        _, found, length = head.partition(b"content-length:")
        needed = int(length.partition(b"\r\n")[0]) if found else 0
        return rest[:needed] if len(rest) >= needed else None
    if not rest.endswith(b"0\r\n\r\n"):
        return None
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            return body
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve())
