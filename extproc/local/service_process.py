"""`extproc serve` as a process of its own, started and stopped from another."""

import os
import subprocess
import sys
import time
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.app import socket_path
from extproc.edge.hardening import PARENT_VARIABLE
from extproc.edge.settings import Settings

READY_SECONDS = 60.0
_STOP_SECONDS = 30.0


class NotStarted(Exception):
    """A part did not come up; the message names the part and the file with its own words."""


class RunningService:
    """`extproc serve` in a process of its own."""

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


def start_service(config: Path, settings: Settings, log: Path) -> RunningService:
    """Start the workers and wait until each answers SERVING. Raises `NotStarted`."""
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "extproc", "serve", "--config", str(config)],
            stdout=file,
            stderr=file,
            env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
        )
    service = RunningService(process, log)
    deadline = time.monotonic() + READY_SECONDS
    try:
        for index in range(settings.workers):
            _wait_serving(socket_path(settings, index), process, deadline)
    except BaseException as error:
        service.stop(5.0)
        if isinstance(error, NotStarted):
            raise NotStarted(f"{error}; its log is {log}") from None
        raise
    return service


def _wait_serving(path: Path, process: "subprocess.Popen[bytes]", deadline: float) -> None:
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStarted(f"the service ended with status {process.returncode}")
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
