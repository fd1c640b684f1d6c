"""Receivers of notifications: a real HTTP server that can be down, and clocks and signals for what sends to it."""

import http.server
import threading
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from extproc.local.ports import free_port


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with `status` and `answers` at `port`, in threads of its own, from `up` to `down`."""

    status: int = 204
    answers: dict[str, str] = field(default_factory=dict)
    got: list[Received] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    stalling: threading.Event = field(default_factory=threading.Event)
    """Cleared, and it takes a request and says nothing until it is set."""

    def __post_init__(self) -> None:
        self._server: http.server.ThreadingHTTPServer | None = None
        self.stalling.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    @property
    def ids(self) -> list[str]:
        return [each.headers["webhook-id"] for each in self.got]

    def up(self) -> None:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.stalling.wait(20)
                receiver.got.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(HTTPStatus(receiver.status))
                for name, value in receiver.answers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Nobody listens any more."""
        if self._server is not None:
            self.stalling.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float

    def __call__(self) -> float:
        return self.now


@dataclass
class Counted:
    """The metrics of telling."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    waiting: int = 0
    dead: int = 0

    def told(self, channel: str, outcome: str) -> None:
        self.outcomes[channel, outcome] += 1

    def untold(self, waiting: int, dead: int) -> None:
        self.waiting, self.dead = waiting, dead
