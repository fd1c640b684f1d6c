"""The real Envoy as a child process: ready or an error with Envoy's own words, gone when its parent is."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from extproc.edge.bootstrap_check import EnvoyRefused, envoy_binary, refusal_text, write_private

_POLL_SECONDS = 0.02
_STOP_SECONDS = 5.0
_ADMIN_SECONDS = 2.0
_LOG_TAIL_BYTES = 16 * 1024

# Runs in the child before Envoy: asks the kernel for SIGTERM when the parent dies, and stops if it already has. A fresh
# interpreter instead of `preexec_fn`, which is not safe in a parent with threads (gRPC has some).
_DIE_WITH_PARENT = """
import ctypes, os, sys
PR_SET_PDEATHSIG = 1
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(sys.argv[1])) != 0:
    sys.exit("prctl failed")
if os.getppid() != int(sys.argv[2]):
    sys.exit("the parent is gone")
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True, slots=True)
class _Ports:
    listener: int
    admin: int


class EnvoyFailed(Exception):
    """Envoy could not be started, ended, or is not ready in time. The text is Envoy's own, without the gate secret."""


class RunningEnvoy:
    """One Envoy process. Ended only through its handle."""

    def __init__(self, process: "subprocess.Popen[bytes]", ports: _Ports, directory: Path) -> None:
        self._process = process
        self._ports = ports
        self.log_path = directory / "envoy.log"
        self.access_log_path = directory / "access.log"
        """Where the access log goes when the settings say standard output."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def stop(self, drain_seconds: float = 0) -> None:
        """Ends Envoy and waits for it.

        With an admin listener, up to `drain_seconds` are left to what is in flight while new connections are refused;
        without one there is nobody to ask, and Envoy ends at once.
        """
        if self.poll() is None and drain_seconds > 0 and self._ports.admin:
            self._drain(time.monotonic() + drain_seconds)
        if self.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _drain(self, until: float) -> None:
        if self._admin("POST", "/drain_listeners") is None:
            return
        while self.poll() is None and time.monotonic() < until:
            active = self._admin("GET", "/stats?filter=^http\\.edge\\.downstream_rq_active$")
            if active is None or active.strip().endswith(": 0"):
                return
            time.sleep(_POLL_SECONDS)

    def _admin(self, method: str, path: str) -> str | None:
        """The answer of the admin listener, or None when it gives none."""
        connection = http.client.HTTPConnection("127.0.0.1", self._ports.admin, timeout=_ADMIN_SECONDS)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return text if response.status == 200 else None


def start_envoy(
    bootstrap: str, directory: Path, *, ready_timeout_seconds: float = 10.0, concurrency: int = 1
) -> RunningEnvoy:
    """Starts Envoy on `bootstrap` and returns when its own listener accepts connections.

    Blocks. Call it from a thread that lives as long as Envoy shall: the kernel ends Envoy with the thread that started
    it. Raises `EnvoyFailed` with Envoy's own text when it exits or is not ready in time. `directory` gets the
    bootstrap (0600, it holds the gate secret) and the logs.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "envoy.yaml"
    write_private(path, bootstrap)
    running = RunningEnvoy(_spawn(path, directory, concurrency), _ports(bootstrap), directory)
    try:
        _wait_ready(running, ready_timeout_seconds)
    except BaseException:
        running.stop()
        raise
    return running


def _spawn(path: Path, directory: Path, concurrency: int) -> "subprocess.Popen[bytes]":
    try:
        binary = envoy_binary()
    except EnvoyRefused as error:
        raise EnvoyFailed(str(error)) from error
    envoy = [str(binary), "-c", str(path), "--concurrency", str(concurrency), "--disable-hot-restart"]
    options = ["-l", "info", "--file-flush-interval-msec", "1000"]
    wrapper = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(int(signal.SIGTERM)), str(os.getpid())]
    with _append(directory / "access.log") as access_log, _append(directory / "envoy.log") as log:
        return subprocess.Popen(  # noqa: S603
            [*wrapper, *envoy, *options],
            stdin=subprocess.DEVNULL,
            stdout=access_log,
            stderr=log,
            process_group=0,  # as our own parts: the order in which they stop is ours
        )


def _append(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _ports(bootstrap: str) -> _Ports:
    document = yaml.safe_load(bootstrap)
    listener = document["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"]
    admin = document.get("admin", {}).get("address", {}).get("socket_address", {}).get("port_value", 0)
    return _Ports(int(listener), int(admin))


def _wait_ready(running: RunningEnvoy, timeout_seconds: float) -> None:
    until = time.monotonic() + timeout_seconds
    while time.monotonic() < until:
        if running.poll() is not None:
            raise EnvoyFailed(_last_words(running.log_path))
        if running._ports.listener in _listening_ports(running.pid):  # noqa: SLF001
            return
        time.sleep(_POLL_SECONDS)
    raise EnvoyFailed(f"envoy does not accept connections after {timeout_seconds:g} s")


def _listening_ports(pid: int) -> Iterator[int]:
    """Of this process only: somebody else's listener on the same port is not readiness."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN:
            yield connection.laddr.port


def _last_words(log_path: Path) -> str:
    text = refusal_text(log_path.read_bytes()[-_LOG_TAIL_BYTES:])
    lines = [line for line in text.splitlines() if "][info][" not in line]
    # A refusal spans many lines, and only its first one is marked.
    grave = [index for index, line in enumerate(lines) if "][critical][" in line or "][error][" in line]
    return "\n".join(lines[grave[0] :] if grave else lines[-20:])
