"""The port that another gateway's Envoy calls: its certificates, and whether who calls is a gateway that may."""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc

from extproc.edge.bounded_file import read_bounded
from extproc.edge.settings import ExtProcSettings, GatewayTls

_NAMES = "x509_subject_alternative_name"
"""gRPC's property with the DNS and URI names of a certificate that it has verified."""


class GatewayCallers:
    """Without TLS the port is on loopback (the settings say so), and whoever reaches it may call."""

    def __init__(self, settings: ExtProcSettings) -> None:
        self._settings = settings

    def bind(self, server: grpc.aio.Server) -> None:
        """Raises `OSError` when the port or the certificate's files cannot be had."""
        settings = self._settings
        host = f"[{settings.address}]" if ":" in settings.address else settings.address
        address = f"{host}:{settings.port}"
        try:
            if settings.tls is None:
                server.add_insecure_port(address)
            else:
                server.add_secure_port(address, _credentials(settings.tls))
        except RuntimeError:
            raise OSError(f"ext_proc: cannot listen on {address}") from None

    def welcome(self, verified: Mapping[str, Iterable[bytes]]) -> bool:
        """`verified`: gRPC's authentication context of a call."""
        tls = self._settings.tls
        if tls is None:
            return True
        return any(name.decode("utf-8", "replace") in tls.clients for name in verified.get(_NAMES, ()))


def _credentials(tls: GatewayTls) -> grpc.ServerCredentials:
    """The files are read for each new connection: a certificate that was renewed counts without a restart. One that
    cannot be read, or is half of an old and half of a new pair, leaves the last one in force."""
    last = _read(tls)

    def current() -> Any:
        nonlocal last
        try:
            found = _read(tls)
        except OSError:
            return None
        if found == last:
            return None
        last = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(_configuration(last), current, require_client_authentication=True)


def _read(tls: GatewayTls) -> tuple[bytes, bytes, bytes]:
    return read_bounded(tls.key), read_bounded(tls.certificate), read_bounded(tls.client_ca)


def _configuration(found: tuple[bytes, bytes, bytes]) -> Any:
    key, certificate, authority = found
    return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=authority)
