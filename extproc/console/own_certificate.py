"""The console's certificate and key for TLS, read again while it runs: one that is renewed restarts nothing."""

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable
from typing import Final

import grpc
import uvicorn

from extproc.edge.bounded_file import read_bounded
from extproc.edge.settings_console import KeyPair

LOOK_SECONDS: Final = 5.0
_log = logging.getLogger("extproc.console")
_Make = Callable[[], ssl.SSLContext]


class OwnCertificate:
    """What new connections are shown. A pair that does not hold leaves the last good one, and the log says so."""

    def __init__(self, pair: KeyPair) -> None:
        """Raises `OSError`."""
        self._pair = pair
        self._read = self._pem()
        self._seen = _digest(self._read)
        self._make: _Make | None = None
        self._newest: ssl.SSLContext | None = None

    def context(self, _: uvicorn.Config, make: _Make) -> ssl.SSLContext:
        """For uvicorn, as its `ssl_context_factory`. Whoever connects meets the newest one, whole or not at all."""
        self._make, first = make, make()
        self._newest = first
        first.sni_callback = self._show
        return first

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For gRPC: asked at each handshake."""
        return grpc.dynamic_ssl_server_credentials(self._grpc(), self._grpc)

    async def run(self) -> None:
        """Look every `LOOK_SECONDS`, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> bool:
        """Whether there is a new pair, and it serves from now on."""
        try:
            read = self._pem()
            if (seen := _digest(read)) == self._seen:
                return False
            self._seen = seen
            fresh = self._make() if self._make else None
        except (OSError, ssl.SSLError) as error:
            _log.error(
                "the console's certificate cannot be read, and the last good one serves",
                extra={"failure": type(error).__name__},
            )
            return False
        self._read, self._newest = read, fresh
        _log.info("the console has a new certificate")
        return True

    def _show(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        if self._newest is not None and connection.context is not self._newest:
            connection.context = self._newest

    def _grpc(self) -> grpc.ServerCertificateConfiguration:
        certificate, key = self._read
        return grpc.ssl_server_certificate_configuration([(key, certificate)])

    def _pem(self) -> tuple[bytes, bytes]:
        return read_bounded(self._pair.certificate), read_bounded(self._pair.key)


def _digest(pair: tuple[bytes, bytes]) -> str:
    return hashlib.sha256(b"\0".join(pair)).hexdigest()
