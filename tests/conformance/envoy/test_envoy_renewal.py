"""A renewed certificate is served without a restart, as a Secret's folder and cert-manager renew it."""

import socket
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from extproc.edge.settings import TlsSettings
from tests.edge.mounted_secret import MountedSecret


def pair(authority: Any, name: str) -> dict[str, bytes]:
    certificate, key = authority.issue(name)
    return {"tls_crt": certificate.read_bytes(), "tls_key": key.read_bytes()}


def served_name(edge: Any, authority: Any) -> str:
    """The common name of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=authority.path)
    address = ("127.0.0.1", edge.settings.listener.port)
    with (
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        shown = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
    return str(shown.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def wait_for_name(edge: Any, authority: Any, name: str) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if served_name(edge, authority) == name:
            return True
        time.sleep(0.05)
    return False


def own_port(client: httpx.Client, edge: Any) -> int:
    """Of the connection by which a request was answered."""
    answer = client.get(f"{edge.url}/alpha/v1")
    assert answer.status_code == 200
    return int(answer.extensions["network_stream"].get_extra_info("client_addr")[1])


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory, authority: Any) -> MountedSecret:
    secret = MountedSecret(tmp_path_factory.mktemp("secrets") / "tls")
    secret.write(**pair(authority, "first"), ca_crt=authority.path.read_bytes())
    return secret


@pytest.fixture(scope="module")
def edge_on_a_secret(start_edge: Any, mounted: MountedSecret) -> Any:
    where = mounted.folder
    return start_edge(tls=TlsSettings(where / "tls.crt", where / "tls.key", where / "ca.crt"))


def test_a_renewed_certificate_serves_new_connections_and_old_ones_stay(
    edge_on_a_secret: Any, mounted: MountedSecret, authority: Any
) -> None:
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(*authority.issue("client"))
    with httpx.Client(verify=context) as client:
        before = own_port(client, edge_on_a_secret)
        assert served_name(edge_on_a_secret, authority) == "first"
        mounted.write(**pair(authority, "second"), ca_crt=authority.path.read_bytes())
        assert wait_for_name(edge_on_a_secret, authority, "second")
        assert own_port(client, edge_on_a_secret) == before


def test_a_pair_that_does_not_belong_together_leaves_the_last_good_one(
    edge_on_a_secret: Any, mounted: MountedSecret, authority: Any
) -> None:
    mounted.write(**pair(authority, "third"), ca_crt=authority.path.read_bytes())
    assert wait_for_name(edge_on_a_secret, authority, "third")
    wrong = {**pair(authority, "fourth"), "tls_key": pair(authority, "other")["tls_key"]}
    mounted.write(**wrong, ca_crt=authority.path.read_bytes())
    time.sleep(1)
    assert served_name(edge_on_a_secret, authority) == "third"


def test_a_new_client_authority_counts_from_then_on(
    edge_on_a_secret: Any, mounted: MountedSecret, authority: Any, make_authority: Any, tmp_path: Path
) -> None:
    stranger = make_authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(*stranger.issue("client"))

    def is_let_in() -> bool:
        try:
            return httpx.get(f"{edge_on_a_secret.url}/alpha/v1", verify=context).status_code == 200
        except httpx.TransportError:
            return False

    assert not is_let_in()
    mounted.write(**pair(authority, "fifth"), ca_crt=stranger.path.read_bytes())
    deadline = time.monotonic() + 10
    while not is_let_in() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert is_let_in()
