"""How a pod with both sidecars ends: what the kubelet does, with real processes, and what becomes of live exchanges.

The kubelet runs every preStop hook at once when a pod is to end. After its hook the model server gets SIGTERM; when it has
ended, Envoy does, and then extproc. The hooks are those of the example for vLLM, with shorter times.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from extproc.local.ports import free_port

CASE = Path(__file__).parents[2] / "helm" / "cases" / "sidecar-vllm.out.yaml"
PAN = "4111 1111 1111 1111"
DRAIN_SECONDS = 4
HOOK = "300ms"
"""In place of the five seconds until nobody sends anything new."""

MODEL = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in ["paid with 4111 ", "1111 1111 ", "1111 ", *["and more "] * 20, "the end"]:
            delta = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                     "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
            event = b"data: " + json.dumps(delta).encode() + b"\\n\\n"
            self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(0.1)
        self.wfile.write(b"e\\r\\ndata: [DONE]\\n\\n\\r\\n0\\r\\n\\r\\n")

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
"""


@dataclass
class Pod:
    """The model server as a process, and the guard before it."""

    world: Any
    model: "subprocess.Popen[bytes]"

    def end(self, *, model_hook: float, service_hook: str | None) -> int:
        """As the kubelet ends it. Returns the service's exit code."""
        service = self.world.guard.service.process
        if service_hook is not None:
            # The model server's hook outlasts this one, however slowly a busy machine starts it.
            command = [sys.executable, "-m", "extproc", "drain", "--after", service_hook]
            hook = subprocess.run([*command, "--config", str(self.world.guard.config)], timeout=60, check=False)
            assert hook.returncode == 0
        time.sleep(model_hook)
        self.model.send_signal(signal.SIGTERM)
        self.model.wait(10)
        self.world.guard.envoy.stop()
        if service_hook is None:
            service.send_signal(signal.SIGTERM)
        return int(service.wait(DRAIN_SECONDS + 20))


@dataclass
class Client:
    """A request in a thread of its own, and what came of it."""

    world: Any
    model: str
    status: int = 0
    text: str = ""
    whole: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        body = {"model": self.model, "stream": True, "messages": [{"role": "user", "content": "x"}]}
        url = self.world.guard.url + "/v1/chat/completions"
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.stream("POST", url, json=body, headers=self.world.headers(), timeout=60) as answer,
        ):
            self.status, self.headers = answer.status_code, dict(answer.headers)
            for chunk in answer.iter_text():
                self.text += chunk
            self.whole = True

    def join(self) -> None:
        self._thread.join(30)


@pytest.fixture
def make_pod(tmp_path: Path, make_world: Callable[..., Any]) -> Iterator[Callable[[], Pod]]:
    with contextlib.ExitStack() as stops:

        def make() -> Pod:
            script, port = tmp_path / "model.py", free_port()
            script.write_text(MODEL)
            model = stops.enter_context(subprocess.Popen([sys.executable, str(script), str(port)]))
            stops.callback(model.kill)
            connection = {"name": "model", "upstream": f"http://127.0.0.1:{port}"}
            # As the chart has it: Envoy quits with the service.
            envoy = {"status_port": free_port(), "ends_with_service": True}
            overrides = {"connections": [connection], "envoy": envoy}
            world, stop = make_world(tmp_path / "guard", workers=1, drain_seconds=DRAIN_SECONDS, overrides=overrides)
            stops.callback(stop)
            return Pod(world, model)

        yield make


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    documents = yaml.safe_load_all(CASE.read_text("utf-8"))
    spec: dict[str, Any] = next(d for d in documents if d and d["kind"] == "Deployment")["spec"]["template"]["spec"]
    return spec


def begin(pod: Pod) -> tuple[Client, Client]:
    """A request that is held, and a stream under way."""
    held = Client(pod.world, "patient-m")
    pod.world.await_record(lambda record: record["event_code"] == "approval.open")
    stream = Client(pod.world, "m")
    until = time.monotonic() + 15
    while "[PAN]" not in stream.text and time.monotonic() < until:
        time.sleep(0.02)
    assert "[PAN]" in stream.text
    return stream, held


def test_with_the_rendered_hooks_streams_end_and_held_clients_get_tickets(
    make_pod: Callable[[], Pod], rendered: dict[str, Any]
) -> None:
    (model,) = rendered["containers"]
    names = [container["name"] for container in rendered["initContainers"]]
    assert names == ["extproc-bootstrap", "extproc", "extproc-envoy"], "they start in this order and end in the other"
    service = rendered["initContainers"][1]
    assert service["lifecycle"]["preStop"]["exec"]["command"] == ["extproc", "drain", "--after", "5s"]
    assert model["lifecycle"]["preStop"]["sleep"]["seconds"] == 5 + 30 + 5, "until nobody comes, drain, and records"
    pod = make_pod()
    stream, held = begin(pod)
    code = pod.end(model_hook=1.0 + DRAIN_SECONDS, service_hook=HOOK)
    stream.join()
    held.join()
    assert code == 0
    assert (stream.status, stream.whole) == (200, True)
    assert stream.text.rstrip().endswith("data: [DONE]")
    assert "the end" in stream.text
    assert "4111" not in stream.text
    assert (held.status, held.whole) == (202, True)
    ends = [record for record in pod.world.records() if record["event_code"] == "inference.end"]
    assert [record["status"] for record in ends] == ["completed"]


def test_without_hooks_a_stream_is_cut_masked_and_recorded(make_pod: Callable[[], Pod]) -> None:
    """The model server ends first: what it had not said is lost, what it had was masked; who is held loses its place."""
    pod = make_pod()
    stream, held = begin(pod)
    code = pod.end(model_hook=0.0, service_hook=None)
    stream.join()
    held.join()
    assert code == 0
    assert "the end" not in stream.text
    assert "4111" not in stream.text
    assert "[PAN]" in stream.text
    assert held.status == 0
    ends = [record for record in pod.world.records() if record["event_code"] == "inference.end"]
    assert [record["status"] for record in ends] != ["completed"]
    assert len(ends) == 1
