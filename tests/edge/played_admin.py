"""Envoy's admin on a Unix socket, as a test has it answer."""

import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class PlayedAdmin(socketserver.ThreadingUnixStreamServer):
    """Answers 200 with what `answer` says of a path. Serves until `shutdown`."""

    def __init__(self, path: Path, answer: Callable[[str], str]) -> None:
        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = answer(self.path).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def address_string(self) -> str:
                return "a socket"

            def log_message(self, *_: Any) -> None: ...

        super().__init__(str(path), Answers)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
