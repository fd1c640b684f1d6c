"""Downstream TLS and mTLS on the real listener."""

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from extproc.edge.settings import TlsSettings


@dataclass
class Authority:
    directory: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self.name, self.key.public_key(), ca=True)
        self.path = self.directory / "ca.crt"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, common_name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = self._sign(subject, key.public_key(), ca=False)
        paths = self.directory / f"{common_name}.crt", self.directory / f"{common_name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def _sign(self, subject: x509.Name, key: Any, *, ca: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_edge(start_edge: Any, authority: Authority) -> Any:
    certificate, key = authority.issue("server")
    return start_edge(tls=TlsSettings(certificate, key))


@pytest.fixture(scope="module")
def mtls_edge(start_edge: Any, authority: Authority) -> Any:
    certificate, key = authority.issue("server")
    return start_edge(tls=TlsSettings(certificate, key, authority.path))


@pytest.mark.parametrize("http2", [False, True])
def test_tls_serves_both_http_versions(tls_edge: Any, authority: Authority, http2: bool) -> None:
    context = ssl.create_default_context(cafile=authority.path)
    with httpx.Client(verify=context, http2=http2) as client:
        response = client.post(f"{tls_edge.url}/alpha/v1", content=b"{}")
    assert response.status_code == 200
    assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")


def test_tls_before_1_2_is_refused(tls_edge: Any, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.path)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{tls_edge.url}/alpha/v1", verify=context)


def test_mtls_tells_the_service_the_subject(mtls_edge: Any, authority: Authority) -> None:
    mtls_edge.service.reset()
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(*authority.issue("batch-client"))
    assert httpx.get(f"{mtls_edge.url}/alpha/v1", verify=context).status_code == 200
    subject = mtls_edge.service.of("request_headers").attribute("connection.subject_peer_certificate")
    assert subject == "CN=batch-client"


def test_mtls_refuses_a_client_without_a_certificate(mtls_edge: Any, authority: Authority) -> None:
    mtls_edge.service.reset()
    with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
        httpx.get(f"{mtls_edge.url}/alpha/v1", verify=ssl.create_default_context(cafile=authority.path))
    assert mtls_edge.service.seen == []


def test_mtls_refuses_a_certificate_of_another_authority(mtls_edge: Any, authority: Authority, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(*Authority(tmp_path).issue("stranger"))
    with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
        httpx.get(f"{mtls_edge.url}/alpha/v1", verify=context)
