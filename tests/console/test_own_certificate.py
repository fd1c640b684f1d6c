"""The console's certificate, renewed while it runs: as a mounted Secret changes, over HTTPS and over gRPC."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from extproc.console.own_certificate import OwnCertificate
from extproc.edge.settings_console import KeyPair
from extproc.local.ports import free_port
from tests.console.live import server_keys
from tests.edge.mounted_secret import MountedSecret


def pair() -> dict[str, bytes]:
    keys = server_keys()
    key = keys.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"tls_crt": keys.certificate.public_bytes(Encoding.PEM), "tls_key": key}


def shown(port: int) -> int:
    """The serial number that a new connection is shown. It sends no server name: it knows an address only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as secured:
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"").serial_number


def serial(files: dict[str, bytes]) -> int:
    return x509.load_pem_x509_certificate(files["tls_crt"]).serial_number


@dataclass
class Serving:
    secret: MountedSecret
    first: dict[str, bytes]
    certificate: OwnCertificate
    port: int


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    secret, first, port = MountedSecret(tmp_path / "tls"), pair(), free_port()
    secret.write(**first)
    files = KeyPair(secret.folder / "tls.crt", secret.folder / "tls.key")
    certificate = OwnCertificate(files)
    config = uvicorn.Config(
        _app,
        host="127.0.0.1",
        port=port,
        lifespan="off",
        log_config=None,
        ssl_certfile=str(files.certificate),
        ssl_keyfile=str(files.key),
        ssl_context_factory=certificate.context,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield Serving(secret, first, certificate, port)
    server.should_exit = True
    await running


async def test_a_renewed_certificate_is_shown_and_open_connections_stay(serving: Serving) -> None:
    context = ssl.create_default_context(cadata=serving.first["tls_crt"].decode())
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        before = await client.get(f"https://127.0.0.1:{serving.port}/")
        serving.secret.write(**(second := pair()))
        assert serving.certificate.look()
        assert await asyncio.to_thread(shown, serving.port) == serial(second)
        after = await client.get(f"https://127.0.0.1:{serving.port}/")
        ports = {each.extensions["network_stream"].get_extra_info("client_addr")[1] for each in (before, after)}
        assert len(ports) == 1
    assert not serving.certificate.look()


async def test_a_pair_that_does_not_belong_together_leaves_the_last_good_one(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    serving.secret.write(tls_crt=pair()["tls_crt"], tls_key=pair()["tls_key"])
    assert not serving.certificate.look()
    assert await asyncio.to_thread(shown, serving.port) == serial(serving.first)
    assert [record.levelname for record in caplog.records if record.name == "extproc.console"] == ["ERROR"]


async def test_a_renewed_certificate_is_shown_by_grpc(serving: Serving) -> None:
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", serving.certificate.grpc_credentials())
    await server.start()
    assert await asyncio.to_thread(shown, port) == serial(serving.first)
    serving.secret.write(**(second := pair()))
    assert serving.certificate.look()
    assert await asyncio.to_thread(shown, port) == serial(second)
    await server.stop(0)
