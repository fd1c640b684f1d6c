"""An HTTP server for OTLP requests: whatever is posted is taken, read by its length or in chunks, unpacked."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def taking_posts(take: Callable[[str, bytes, dict[str, str]], None]) -> Iterator[int]:
    """Its port on loopback. `take` gets path, body and headers, whose names are in small letters."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"])) if "content-length" in headers else self._chunks()
            take(self.path, gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body, headers)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()
