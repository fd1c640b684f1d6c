"""A body from a file is asked for first (`Expect: 100-continue`), and not every store that speaks S3 answers that."""

import hashlib
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from extproc.audit.files import PIECE_BYTES
from extproc.audit.settings import S3Store
from extproc.audit.stores.s3_wire import Wire, sha256_text


class Silent(BaseHTTPRequestHandler):
    """Never says `100 Continue`; answers with the SHA-256 of what it got."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def handle_expect_100(self) -> bool:
        self.asked.append(self.headers["Expect"])
        return True

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("x-amz-checksum-sha256", b64encode(hashlib.sha256(body).digest()).decode())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def silent():
    handler = type("Handler", (Silent,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
        server.shutdown()
        thread.join()


def test_a_store_that_never_says_continue_gets_the_body_all_the_same(silent, s3_credentials, tmp_path):
    url, asked = silent
    path = tmp_path / "large"
    path.write_bytes(b"0123456789abcdef" * (2 * PIECE_BYTES // 16))
    wire = Wire(S3Store(bucket="b", endpoint_url=url, region="us-east-1"))
    try:
        answer = wire.put("b", "k", path, sha256_text(path))
    finally:
        wire.client.close()
    assert answer["ChecksumSHA256"] == sha256_text(path)
    assert asked == ["100-continue"], "asked once, and sent without another try"
