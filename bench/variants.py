"""What is measured: Envoy alone, Envoy with the no-op floor, Envoy with the service. Each has an Envoy of its own."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.load import Target
from bench.measure import ProcessTree
from extproc.edge.bootstrap_check import envoy_binary
from extproc.local.ports import free_port

PLAIN, FLOOR, EXTPROC = "envoy", "floor", "extproc"
SAME_TOKEN = "bench-token-that-the-floor-does-not-read"
_START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Variant:
    """A listener to send to, and the processes of the service behind it; none for Envoy alone."""

    name: str
    target: Target
    service: ProcessTree | None


def start_child(stack: ExitStack, *command: str, log: Path) -> tuple["subprocess.Popen[str]", str]:
    """A Python child that prints one line when it serves and ends when its standard input closes."""
    sink = stack.enter_context(log.open("a"))
    child = subprocess.Popen(
        [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, text=True
    )
    stack.callback(_end, child)
    line = child.stdout.readline().strip() if child.stdout is not None else ""
    if not line:
        raise RuntimeError(f"`{' '.join(command)}` did not start; see {log}")
    return child, line


def _end(child: "subprocess.Popen[str]") -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def start_envoy(stack: ExitStack, config: Path, port: int, log: Path) -> None:
    """A real Envoy with `config`, until the stack ends. Raises `RuntimeError` when its listener does not open."""
    sink = stack.enter_context(log.open("a"))
    command = [str(envoy_binary()), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    envoy = subprocess.Popen(command, stdout=sink, stderr=sink)
    stack.callback(envoy.wait)
    stack.callback(envoy.terminate)
    _await(lambda: _listens(port), f"Envoy did not start; see {log}")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _await(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(complaint)
        time.sleep(0.05)


def start_plain(stack: ExitStack, upstream_port: int, folder: Path) -> Variant:
    """Envoy without ext_proc: what everything is added to."""
    port = free_port()
    config = folder / "plain.yaml"
    config.write_text(render_envoy(port, upstream_port, None))
    start_envoy(stack, config, port, folder / "plain.log")
    return Variant(PLAIN, Target(port, SAME_TOKEN), None)


def start_floor(stack: ExitStack, upstream_port: int, folder: Path) -> Variant:
    """Envoy with the no-op server, in the processing modes of the service."""
    path = folder / "floor.sock"
    child, _ = start_child(stack, "bench.noop_server", str(path), log=folder / "floor-server.log")
    port = free_port()
    config = folder / "floor.yaml"
    config.write_text(render_envoy(port, upstream_port, path))
    start_envoy(stack, config, port, folder / "floor.log")
    return Variant(FLOOR, Target(port, SAME_TOKEN), ProcessTree(child.pid))


def render_envoy(port: int, upstream_port: int, processor: Path | None) -> str:
    """A bootstrap with one route; with `processor`, the Unix socket of an ext_proc server."""
    filters: list[dict[str, Any]] = [] if processor is None else [_ext_proc()]
    filters.append(_typed("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"))
    route = {"match": {"prefix": "/"}, "route": {"cluster": "model", "timeout": "0s", "idle_timeout": "960s"}}
    host = {"name": "all", "domains": ["*"], "routes": [route], "request_body_buffer_limit": 16 * 2**20}
    manager = _typed(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench",
        stream_idle_timeout="960s",
        route_config={"virtual_hosts": [host]},
        http_filters=filters,
    )
    clusters = [_cluster("model", {"socket_address": {"address": "127.0.0.1", "port_value": upstream_port}})]
    if processor is not None:
        http2: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
        options = _any("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", **http2)
        cluster = _cluster("processor", {"pipe": {"path": str(processor)}})
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        }
        clusters.append(cluster)
    listener = {
        "name": "bench",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [manager]}],
    }
    return str(yaml.safe_dump({"static_resources": {"listeners": [listener], "clusters": clusters}}))


def _ext_proc() -> dict[str, Any]:
    return _typed(
        "envoy.filters.http.ext_proc",
        "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        grpc_service={"envoy_grpc": {"cluster_name": "processor"}},
        failure_mode_allow=False,
        message_timeout="10s",
        processing_mode={
            "request_header_mode": "SEND",
            "request_body_mode": "BUFFERED",
            "response_header_mode": "SEND",
            "response_body_mode": "FULL_DUPLEX_STREAMED",
            "response_trailer_mode": "SEND",
        },
    )


def _cluster(name: str, address: dict[str, Any]) -> dict[str, Any]:
    limits = {"max_requests": 20_000, "max_pending_requests": 20_000, "max_connections": 4_096}
    endpoint = {"endpoint": {"address": address}}
    return {
        "name": name,
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _any(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def _typed(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": _any(kind, **fields)}
