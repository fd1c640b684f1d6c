"""A model server of the probe's own: it keeps what reached it, and answers with a card number that nobody asked for.

The gateway sends it what a connection of the configuration leads to it. What arrives here has been masked, or must have
been: it stays in memory, and only the probe reads it.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

ANSWERED: Final = "5555555555554444"
"""Mastercard's test number: no account has it."""
_PIECES: Final = ("Refund to 5555", " 5555 55", "55 44", "44, as you", " wrote.")
"""Of the answer; the number is cut three times."""
MAX_BODY_BYTES: Final = 64 * 1024
"""Of a request of the probe's, and some."""
_SILENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request as it reached the model server, header names in lower case."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The first value, or nothing."""
        return next((value for key, value in self.headers if key == name), "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_SECONDS
    server: "_Server"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Nothing: it would say what a request says."""

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        headers = tuple((name.lower(), value) for name, value in self.headers.items())
        self.server.arrived.append(Arrived(headers, body))
        with contextlib.suppress(OSError):
            self._answer(_asks_for_stream(body))

    def _answer(self, streamed: bool) -> None:
        if not streamed:
            self._send("application/json", json.dumps(_answer("message", "".join(_PIECES))).encode())
            return
        events = [json.dumps(_answer("delta", piece)) for piece in _PIECES]
        self._send("text/event-stream", "".join(f"data: {each}\n\n" for each in (*events, "[DONE]")).encode())

    def _send(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self.arrived: list[Arrived] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Said by the check that finds nothing."""


class EchoModel:
    """Serves on every address of this machine while it is entered: the gateway is another pod."""

    def __init__(self, port: int) -> None:
        """Raises OSError."""
        self._server = _Server(("0.0.0.0", port))  # noqa: S104 - see the class

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def with_marker(self, marker: str) -> Iterator[Arrived]:
        """What arrived with `marker` in its body."""
        return (each for each in tuple(self._server.arrived) if marker.encode() in each.body)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _asks_for_stream(body: bytes) -> bool:
    try:
        return bool(json.loads(body).get("stream"))
    except (ValueError, AttributeError):
        return False


def _answer(kind: str, text: str) -> dict[str, Any]:
    choice = {"index": 0, kind: {"role": "assistant", "content": text}, "finish_reason": None}
    if kind == "message":
        choice["finish_reason"] = "stop"
    whole = kind == "message"
    return {
        "id": "probe",
        "object": "chat.completion" if whole else "chat.completion.chunk",
        "created": int(time.time()),
        "model": "probe",
        "choices": [choice],
    }
