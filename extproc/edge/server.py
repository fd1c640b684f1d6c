"""The gRPC server of one worker: ext_proc and health on one Unix socket, and on a port for another gateway's Envoy."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from extproc.core.snapshot import Snapshot
from extproc.edge.gateway_callers import GatewayCallers
from extproc.edge.services import Services
from extproc.edge.session import Session
from extproc.edge.settings import ExtProcSettings
from extproc.pb import ext_proc_pb2 as pb

_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
_MESSAGE_SLACK_BYTES = 1024 * 1024
"""Headers and framing around a whole buffered body; gRPC's own default of 4 MiB would refuse larger prompts."""
_LAST_WORDS_SECONDS = 2.0
"""Between the end of the drain and the end of the server: for records and last answers."""
STRANGER_SENTENCE = "this certificate names no gateway that may call"
_CLOSE_SECONDS = 0.2
"""After the last exchange: for its status to leave. Health watches, which never end by themselves, are ended then."""


def _serialize(message: Any) -> bytes:
    """Answers that never change are kept as bytes."""
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


def by_name(look: Callable[[], Snapshot]) -> Callable[[], Snapshot]:
    """The same snapshots for another gateway's Envoy, whose routes are called as the connections are."""
    seen: Snapshot | None = None
    named: Snapshot | None = None

    def looked() -> Snapshot:
        nonlocal seen, named
        current = look()
        if named is None or current is not seen:
            connections = tuple(replace(each, route="") for each in current.connections)
            seen, named = current, replace(current, connections=connections)
        return named

    return looked


class ExtProcServer:
    """Serves until `stop`. Live streams may finish; nothing new is taken while draining."""

    def __init__(
        self, services: Services, socket: Path, *, max_body_bytes: int, port: ExtProcSettings | None = None
    ) -> None:
        """`port` is shared with the other workers: the kernel gives each connection to one of them."""
        self._services = services
        self._foreign = replace(services, gate_secret="", snapshot=by_name(services.snapshot))
        self._callers = GatewayCallers(port) if port else None
        self._socket = socket
        self._sessions: set[Session] = set()
        self._empty = asyncio.Event()
        self._health = health.HealthServicer()
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", max_body_bytes + _MESSAGE_SLACK_BYTES),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", 20_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.so_reuseport", 1),
            ]
        )
        method = grpc.stream_stream_rpc_method_handler(
            self._serve, request_deserializer=pb.ProcessingRequest.FromString, response_serializer=_serialize
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Process": method}),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    @property
    def live(self) -> int:
        return len(self._sessions)

    @property
    def held(self) -> int:
        return sum(1 for session in list(self._sessions) if session.held)

    @property
    def oldest_held_seconds(self) -> float:
        """How old the oldest exchange is that waits for an approval; 0 where none does."""
        return max((session.age_seconds for session in list(self._sessions) if session.held), default=0.0)

    async def _serve(self, _: object, context: Any) -> None:
        own = context.peer().startswith("unix:")
        if not own and (self._callers is None or not self._callers.welcome(context.auth_context())):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, STRANGER_SENTENCE)
        session = Session(self._services if own else self._foreign, context)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            if not self._sessions:
                self._empty.set()

    async def _emptied(self, limit_seconds: float) -> None:
        """Returns when no session lives, or after the limit."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                while self._sessions:
                    self._empty.clear()
                    await self._empty.wait()

    async def start(self) -> None:
        """Bind the socket (0600) and the port, and say SERVING. Raises `OSError` when the port cannot be had."""
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        self._server.add_insecure_port(f"unix:{self._socket}")
        if self._callers is not None:
            self._callers.bind(self._server)
        await self._server.start()
        self._socket.chmod(0o600)
        await self.set_serving(serving=True)

    async def set_serving(self, *, serving: bool) -> None:
        """What health says until `stop`."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._health.set("", status)
        await self._health.set(_SERVICE, status)

    async def stop(self, drain_seconds: float) -> None:
        """Say NOT_SERVING for good, refuse what is new, give waiting clients their tickets, let live streams finish."""
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.create_task(self._server.stop(drain_seconds + _LAST_WORDS_SECONDS))
        for session in list(self._sessions):
            if session.held:
                session.drain()
        await self._emptied(drain_seconds)
        for session in list(self._sessions):
            session.drain()
        await self._emptied(_LAST_WORDS_SECONDS)
        await self._server.stop(_CLOSE_SECONDS)
        await stopping
