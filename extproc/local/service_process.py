"""`extproc serve` as a process of its own, started and stopped from another."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.app import socket_path
from extproc.audit.keys.keys import there_are_keys
from extproc.edge.hardening import PARENT_VARIABLE
from extproc.edge.settings import Settings

READY_SECONDS = 60.0
_STOP_SECONDS = 30.0


class NotStarted(Exception):
    """A part did not come up; the message names the part and the file with its own words."""


class RunningService:
    """A command of ours that runs until it is told to stop, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log

    def stop(self, timeout_seconds: float = _STOP_SECONDS) -> int:
        """SIGTERM, wait, return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def start_command(command: str, config: Path, log: Path) -> RunningService:
    """`extproc COMMAND --config CONFIG`, which ends with this process at the latest; what it says is added to `log`.

    A terminal's Ctrl-C is for this process, which stops its parts in their order: they are a group of their own.
    """
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "extproc", command, "--config", str(config)],
            stdout=file,
            stderr=file,
            env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
            process_group=0,
        )
    return RunningService(process, log)


class StartingService:
    """`extproc serve` in a process of its own, whose workers may not answer yet."""

    def __init__(self, config: Path, settings: Settings, log: Path) -> None:
        self.running = start_command("serve", config, log)
        self._settings = settings
        self._deadline = time.monotonic() + READY_SECONDS

    def wait_keys(self) -> None:
        """Until there are the keys that every other part opens. Raises like `wait_ready`."""
        with self._stopped_on_failure():
            while not there_are_keys(self._settings.audit):
                _expect_alive(self.running.process)
                if time.monotonic() >= self._deadline:
                    raise NotStarted(f"the service made no keys within {READY_SECONDS:.0f} s")
                time.sleep(0.05)

    def wait_ready(self) -> RunningService:
        """Once each worker answers SERVING. Raises `NotStarted`, and it is stopped then."""
        with self._stopped_on_failure():
            for index in range(self._settings.workers):
                _wait_serving(socket_path(self._settings, index), self.running.process, self._deadline)
        return self.running

    @contextlib.contextmanager
    def _stopped_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.running.stop(5.0)
            if isinstance(error, NotStarted):
                raise NotStarted(f"{error}; its log is {self.running.log}") from None
            raise


def start_service(config: Path, settings: Settings, log: Path) -> RunningService:
    """Start the workers and wait until each answers SERVING. Raises `NotStarted`."""
    return StartingService(config, settings, log).wait_ready()


def _expect_alive(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        raise NotStarted(f"the service ended with status {process.returncode}")


def _wait_serving(path: Path, process: "subprocess.Popen[bytes]", deadline: float) -> None:
    while time.monotonic() < deadline:
        _expect_alive(process)
        if path.exists():
            with grpc.insecure_channel(f"unix:{path}") as channel:
                try:
                    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                except grpc.RpcError:
                    pass
                else:
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
        time.sleep(0.05)
    raise NotStarted(f"worker socket `{path.name}` did not answer within {READY_SECONDS:.0f} s")
