"""A disk that fills and empties under the running service: nothing leaves unrecorded, and nobody has to come after."""

import contextlib
import resource
import subprocess
import sys
import threading
import time
from typing import Any

import grpc
import httpx
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.app import socket_path
from extproc.local.service_process import RunningService

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
MOUNT_THEN_SERVE = """
mount -t tmpfs -o size=24m,mode=700 spool "$1" || exit 3
"$2" -m extproc serve --config "$3" </dev/null &
service=$!
while read -r order; do
    case $order in
        fill) dd if=/dev/zero of="$1/filler" bs=4k 2>/dev/null ;;
        empty) rm -f "$1/filler" ;;
    esac
    echo "$order"
done
kill -TERM $service
wait $service
"""
"""Takes orders until its input closes, which ends the service."""


class FilledDisk(RunningService):
    """The spool is a tmpfs of 24 MiB in a mount namespace of the service's own; a second file fills it to the end.

    The worker lives on, and records what it refuses in its reserve.
    """

    live_ends_as = ("inference.end", "cut", "audit_unavailable")
    records_refusals = True

    def __init__(self, world: Any) -> None:
        world.guard.service.stop()
        log, spool = world.directory / "service.log", world.guard.settings.audit.spool
        with log.open("ab") as file:
            shell = subprocess.Popen(
                [*UNSHARE, "sh", "-c", MOUNT_THEN_SERVE, "sh", str(spool), sys.executable, str(world.guard.config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                bufsize=0,
            )
        super().__init__(shell, log)

    def _order(self, what: bytes) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(what)
        assert self.process.stdout.readline() == what

    def fill(self) -> None:
        self._order(b"fill\n")

    def empty(self) -> None:
        self._order(b"empty\n")

    def stop(self, timeout_seconds: float = 30.0) -> int:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return self.process.wait(timeout_seconds)


class FailingDisk(RunningService):
    """Every write to a file fails, in the supervisor, its workers and the workers to come: a limit on files of 1 byte.

    Nothing can be recorded; a worker that finds so is replaced, and its journal adopted once that can be written.
    """

    live_ends_as = ("inference.recovered", "recovered", "")
    records_refusals = False

    def __init__(self, world: Any) -> None:
        super().__init__(world.guard.service.process, world.guard.service.log)

    def _limit(self, limit: int) -> None:
        supervisor = psutil.Process(self.process.pid)
        for process in (supervisor, *supervisor.children()):
            with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def fill(self) -> None:
        self._limit(1)

    def empty(self) -> None:
        self._limit(resource.RLIM_INFINITY)


def may_mount() -> bool:
    probe = [*UNSHARE, "mount", "-t", "tmpfs", "spool", "/mnt"]
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return False


# A container without the right to mount has no small disk; the failing one is shown everywhere.
DISKS = [FilledDisk, FailingDisk] if may_mount() else [FailingDisk]


def await_status(world: Any, wanted: int, marker: str, seconds: float = 60.0) -> httpx.Response:
    deadline = time.monotonic() + seconds
    statuses: list[int] = []
    while time.monotonic() < deadline:
        answer = world.chat(f"{marker} {len(statuses)}")
        statuses.append(answer.status_code)
        if answer.status_code == wanted:
            return answer
        time.sleep(0.2)
    raise AssertionError(statuses)


def await_health(world: Any, *, serving: bool, seconds: float = 30.0) -> bool:
    """Whether the worker says SERVING, in the end; one that is being replaced does not."""
    deadline = time.monotonic() + seconds
    said = not serving
    with grpc.insecure_channel(f"unix:{socket_path(world.guard.settings, 0)}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while said is not serving and time.monotonic() < deadline:
            time.sleep(0.1)
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                said = answer.status == health_pb2.HealthCheckResponse.SERVING
            except grpc.RpcError:
                said = False
    return said


class Reader(threading.Thread):
    """A client of a stream that lasts while the disk fills."""

    def __init__(self, world: Any) -> None:
        super().__init__()
        self.world = world
        self.exchange_id = ""
        self.received = b""
        self.finished = False
        self.start()

    def run(self) -> None:
        pieces = ["".join(chr(0xE000 + ord(c)) for c in f"word{n} ") for n in range(600)]
        body = {"model": "m", "stream": True, "pieces": pieces, "pause": 0.02}
        body["messages"] = [{"role": "user", "content": "marker-live"}]
        url = self.world.guard.url + "/v1/chat/completions"
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.stream("POST", url, json=body, headers=self.world.headers(), timeout=60) as answer,
        ):
            self.exchange_id = answer.headers["x-extproc-exchange"]
            for chunk in answer.iter_bytes():
                self.received += chunk
            self.finished = True


@pytest.mark.parametrize("disk_of", DISKS)
def test_a_disk_that_fills_and_empties(own_world: Any, disk_of: Any) -> None:
    """Full: refused with 503, the model sees nothing, a live stream ends early. Empty: served, and the log is proven."""
    world = own_world(workers=1, overrides={"audit": {"reserve": "4MiB"}})
    world.guard.service = disk = disk_of(world)
    assert await_status(world, 200, "marker-before").headers["x-extproc-exchange"]
    reader = Reader(world)
    while b"word10 " not in reader.received:
        time.sleep(0.02)
        assert reader.is_alive()
    disk.fill()
    refused = await_status(world, 503, "marker-filling")
    assert refused.headers["content-type"] == "application/json"
    reader.join(30)
    assert not reader.is_alive()
    assert not reader.finished
    for n in range(5):
        answer = world.chat(f"marker-full {n}")
        assert answer.status_code == 503, answer.text
    assert not world.upstream.requests("marker-full")
    assert not await_health(world, serving=False)
    disk.empty()
    await_status(world, 200, "marker-empty")
    assert await_health(world, serving=True)
    assert disk.stop() == 0
    seen = world.upstream.requests("marker-")
    of_exchange: dict[str, list[dict[str, Any]]] = {}
    for record in world.records():
        of_exchange.setdefault(record.get("exchange_id", ""), []).append(record)
    intents = [records for records in of_exchange.values() if records[0]["event_code"] == "inference.request"]
    assert len(intents) >= len(seen) > 2
    intent, end = of_exchange[reader.exchange_id]
    assert intent["event_code"] == "inference.request"
    assert (end["event_code"], end["status"], end.get("status_detail", "")) == disk.live_ends_as
    refusals = [record for record in world.records() if record["event_code"] == "request.refuse"]
    assert disk.records_refusals is (len(refusals) >= 5)
    result = subprocess.run(
        [sys.executable, "-m", "extproc", "audit", "verify", "--config", str(world.guard.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
