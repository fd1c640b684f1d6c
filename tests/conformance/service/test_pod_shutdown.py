"""A pod that ends: the real Envoy and real workers, told as Kubernetes tells them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from extproc.local.ports import free_port

from .conftest import World
from .test_lifecycle import PAN, stream_body

WORDS = 60
PAUSE = 0.05
"""The stream lasts three seconds: longer than all that is looked at meanwhile, shorter than the drain."""
DRAIN = 10


class Pod:
    def __init__(self, world: World, health: int, status: int) -> None:
        self.world, self._health, self._status = world, health, status

    @property
    def service(self) -> "subprocess.Popen[bytes]":
        return self.world.guard.service.process

    def ask(self, path: str) -> int:
        """Status; 0: nobody answers."""
        port = self._status if path == "/ready" else self._health
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, trust_env=False).status_code
        return 0

    def await_answer(self, path: str, status: int, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while (found := self.ask(path)) != status:
            assert time.monotonic() < deadline, (path, found)
            time.sleep(0.05)


@pytest.fixture
def pod(tmp_path: Path, make_world: Callable[..., tuple[World, Callable[[], None]]]) -> Iterator[Pod]:
    health, status = free_port(), free_port()
    directory = tmp_path / "guard"
    directory.mkdir()
    own = f"health: {{port: {health}}}\nenvoy: {{admin_port: 0, status_port: {status}, ends_with_service: true}}\n"
    (directory / "config.own.yaml").write_text(own, "utf-8")
    world, stop = make_world(directory, workers=2, drain_seconds=DRAIN)
    yield Pod(world, health, status)
    stop()


def test_a_worker_that_is_started_again_serves_by_the_configuration_of_the_others(pod: Pod) -> None:
    pod.await_answer("/readyz", 200)
    pod.world.guard.config.write_text("kind: [", "utf-8")
    killed = pod.world.worker_pids()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    pod.await_answer("/readyz", 503)
    pod.await_answer("/readyz", 200, seconds=60)
    assert not set(killed) & set(pod.world.worker_pids())
    assert pod.world.chat("hello").status_code == 200


class Streaming(threading.Thread):
    """A client in the middle of a streamed answer."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.text = ""
        self.whole = False
        self._world = world

    def run(self) -> None:
        body = stream_body([f"word {PAN} "] * WORDS, PAUSE)
        url = self._world.guard.url + "/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=self._world.headers(), timeout=30) as answer:
            for line in answer.iter_lines():
                if line == "data: [DONE]":
                    self.whole = True
                elif line.startswith("data: "):
                    choices = json.loads(line[6:])["choices"]
                    self.text += "".join(each["delta"].get("content") or "" for each in choices)
                    self.begun.set()


def by_signal(pod: Pod) -> None:
    pod.service.terminate()


def by_hook(pod: Pod) -> None:
    config = str(pod.world.guard.config)
    command = [sys.executable, "-m", "extproc", "drain", "--config", config, "--after", "100ms"]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


@pytest.mark.parametrize("tell", [by_signal, by_hook], ids=["SIGTERM", "preStop"])
def test_what_is_under_way_finishes_and_what_is_new_goes_elsewhere(pod: Pod, tell: Callable[[Pod], None]) -> None:
    pod.await_answer("/readyz", 200)
    assert [pod.ask(path) for path in ("/livez", "/ready")] == [200, 200]
    with httpx.Client(timeout=10, headers=pod.world.headers()) as kept:
        url = pod.world.guard.url + "/v1/models"
        assert kept.get(url).status_code == 200
        client = Streaming(pod.world)
        client.start()
        assert client.begun.wait(10)
        tell(pod)
        pod.await_answer("/ready", 503)
        pod.await_answer("/readyz", 503)
        assert pod.ask("/livez") == 200, "probes do not end what finishes"
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, headers=pod.world.headers(), timeout=10)
        with contextlib.suppress(httpx.TransportError):
            assert kept.get(url).status_code == 503, "on a connection from before"
        assert client.is_alive(), "all of that happened in the middle of a stream"
        client.join(DRAIN)
    assert (client.whole, client.text) == (True, "word [PAN] " * WORDS)
    assert pod.service.wait(DRAIN) == 0
    deadline = time.monotonic() + DRAIN
    while pod.world.guard.envoy.poll() is None:
        assert time.monotonic() < deadline, "Envoy outlives the service"
        time.sleep(0.05)
    ends = [record for record in pod.world.records() if record["event_code"] == "inference.end"]
    assert all(record["status"] != "abandoned" for record in ends)
