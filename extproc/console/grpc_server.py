"""The gRPC server of the console: under the console's own key pair, or on loopback."""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from typing import Final

import grpc

from extproc.console.changes import Changes
from extproc.console.grpc_bodies import CheckedBodies
from extproc.console.grpc_service import ApprovalsService
from extproc.console.own_certificate import OwnCertificate
from extproc.console.parts import Parts
from extproc.pb import approvals_pb2_grpc as pb_grpc

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""Of what is sent to us: a reason of the longest kind, and some."""
MAX_CALLS: Final = 256
MAX_METADATA_BYTES: Final = 32 * 1024
"""A token of the longest kind, and some."""
_GRACE_SECONDS: Final = 2.0
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a port that somebody else has is an error, not shared with them
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", 64),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)
_log = logging.getLogger("extproc.console")


class GrpcServer:
    """`open` before anything else may fail; `run` belongs beside the console's server."""

    def __init__(self, parts: Parts, certificate: OwnCertificate | None) -> None:
        self._settings = parts.settings
        self._certificate = certificate
        self._changes = Changes(parts.approvals)
        self._server = grpc.aio.server(
            interceptors=[CheckedBodies()], options=_OPTIONS, maximum_concurrent_rpcs=MAX_CALLS
        )
        add: Callable[[object, object], None] = pb_grpc.add_ApprovalsServicer_to_server
        add(ApprovalsService(parts, self._changes), self._server)
        self.port = 0

    def open(self) -> None:
        """Take the port. Raises `OSError`, also where it would be reached from elsewhere without TLS."""
        settings = self._settings
        where = f"[{settings.address}]" if ":" in settings.address else settings.address
        address = f"{where}:{settings.grpc_port}"
        try:
            if self._certificate is not None:
                self.port = self._server.add_secure_port(address, self._certificate.grpc_credentials())
            elif ipaddress.ip_address(settings.address).is_loopback:
                self.port = self._server.add_insecure_port(address)
        except (RuntimeError, ValueError):
            self.port = 0
        if not self.port:
            raise OSError(f"the console cannot listen on {address} for gRPC")

    async def run(self) -> None:
        """Serve until cancelled; calls that go on have two seconds then."""
        await self._server.start()
        _log.info("serving gRPC", extra={"address": self._settings.address, "port": self.port})
        watching = asyncio.create_task(self._changes.run())
        try:
            await watching
        finally:
            watching.cancel()
            await self._server.stop(_GRACE_SECONDS)
