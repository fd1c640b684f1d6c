"""A gateway and its console in one small server, which does all that the probe asks for, or all but one thing."""

import json
import re
import threading
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

ORIGIN = "demo/worker-0/20261128T152105Z-4582e670d46e84f2"
_NUMBER = re.compile(r"[45](?:[ -]?[0-9]){15}")
_CONTENT = re.compile(r'"content": "[^"]*"')


@dataclass
class FaultyGateway:
    """`fault` is empty or names what it does wrong; `model` is where the probe listens."""

    model: str = ""
    fault: str = ""
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked_as: list[str] = field(default_factory=list)
    """By which names its console was asked."""

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"gateway": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forward(self, body: str, headers: dict[str, str]) -> str:
        if self.fault != "request in clear":
            body = _NUMBER.sub("[PAN]", body)
        kept = {"content-type": "application/json"}
        if self.fault != "trace lost":
            kept["traceparent"] = headers["traceparent"]
        if self.fault == "token forwarded":
            kept["x-original-authorization"] = headers["authorization"]
        request = urllib.request.Request(self.model, body.encode(), kept, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            text: str = answer.read().decode()
        if self.fault == "answer in clear" or (self.fault == "stream in clear" and text.startswith("data:")):
            return text
        return _CONTENT.sub(lambda found: re.sub("[0-9]", "", found[0]), text)


class _Handler(BaseHTTPRequestHandler):
    gateway: FaultyGateway

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.gateway.fault
        if "authorization" not in headers and fault != "strangers let in":
            self._send(401, "{}")
        elif fault == "refused":
            self._send(403, '{"error": {"code": "policy_denied"}}')
        elif fault == "model passed by":
            self._done('{"choices": []}', "ex-1")
        else:
            text = self.gateway.forward(body, {"traceparent": "", **headers})
            self._done(text, f"ex-{len(self.gateway.sessions)}")

    def _done(self, text: str, exchange_id: str) -> None:
        fault = self.gateway.fault
        findings = {"pan": 0 if fault == "answer not recorded" else 1}
        receipt = ORIGIN.replace("worker-0", "worker-1") if fault == "record elsewhere" else ORIGIN
        self.gateway.sessions[exchange_id] = {
            "findings_request": {} if fault == "request not recorded" else {"pan": 1},
            "findings_response": findings,
            "receipt": f"{receipt}/1/7",
            "verdict": "masked",
            "rule": "probe",
        }
        if fault == "record lost":
            self.gateway.sessions.clear()
        headers = {"x-extproc-exchange": exchange_id, "x-audit-receipt": f"{ORIGIN}#4"}
        if fault == "not named":
            del headers["x-extproc-exchange"]
        if fault == "no receipt":
            headers["x-audit-receipt"] = "soon"
        self._send(200, text, headers)

    def do_GET(self) -> None:
        self.gateway.asked_as.append(self.headers["host"])
        session = self.gateway.sessions.get(self.path.rpartition("/")[2])
        if self.gateway.fault == "no role":
            self._send(403, "{}")
        else:
            self._send(200 if session else 404, json.dumps(session or {}))

    def _send(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(body.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())
