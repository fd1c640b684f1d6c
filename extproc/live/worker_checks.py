"""The workers: their sockets, their health, who may connect to them, and that none leaves a core dump."""

import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.app import socket_path
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, left, passed

_SECONDS: Final = 3.0
_NO_CORE: Final = re.compile(r"^Max core file size\s+0\s+0\s", re.MULTILINE)
_PEER: Final = struct.Struct("3i")
"""`struct ucred`: process, user, group (unix(7))."""


def check_workers(settings: Settings) -> Iterator[Check]:
    """One check for each question, over all workers."""
    yield _check_directory(settings)
    down = [each for index in range(settings.workers) if (each := _unwell(socket_path(settings, index), index))]
    if down:
        mend = "see the log of `extproc serve`; a full spool or a store that is away lets it refuse"
        yield failed("workers", "; ".join(down), mend)
    else:
        yield passed("workers", f"{settings.workers} serve")
    yield _check_cores(settings)


def _check_directory(settings: Settings) -> Check:
    name, where = "run directory", settings.run_directory
    try:
        mode = where.stat().st_mode & 0o777
    except OSError as error:
        return failed(name, f"{where}: {error.strerror}", "does `extproc serve` run here, with this configuration?")
    # Kubernetes gives an emptyDir to the group of the pod.
    if mode & 0o007:
        return failed(name, f"{where} has mode {mode:04o}: others than the service's user get in", "chmod o= it")
    return passed(name, f"{where} has mode {mode:04o}")


def _unwell(path: Path, index: int) -> str:
    try:
        with grpc.insecure_channel(f"unix:{path}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    except grpc.RpcError:
        return f"worker {index} does not answer at {path}"
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return "" if serving else f"worker {index} takes no new exchanges"


def _check_cores(settings: Settings) -> Check:
    name, seen, loose = "core dumps", 0, []
    for index in range(settings.workers):
        process = _process_of(socket_path(settings, index))
        try:
            limits = Path(f"/proc/{process}/limits").read_text("ascii") if process else ""
        except OSError:
            continue
        if limits:
            seen += 1
            if not _NO_CORE.search(limits):
                loose.append(f"worker {index}")
    if loose:
        return failed(name, f"the kernel may write one of {', '.join(loose)}", "it holds prompts: set `ulimit -c 0`")
    if not seen:
        return left(name, "the workers' processes cannot be seen from here")
    return passed(name, "none of a worker is written")


def _process_of(path: Path) -> int:
    """Who listens there; 0 where nobody does, or where this is another machine's."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SECONDS)
        try:
            probe.connect(os.fspath(path))
            data = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        except OSError:
            return 0
    return int(_PEER.unpack(data)[0])
