"""Downstream TLS and mTLS on the real listener."""

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.edge.settings import TlsSettings


@pytest.fixture(scope="module")
def tls_edge(start_edge: Any, authority: Any) -> Any:
    certificate, key = authority.issue("server")
    return start_edge(tls=TlsSettings(certificate, key))


@pytest.fixture(scope="module")
def mtls_edge(start_edge: Any, authority: Any) -> Any:
    certificate, key = authority.issue("server")
    return start_edge(tls=TlsSettings(certificate, key, authority.path))


@pytest.mark.parametrize("http2", [False, True])
def test_tls_serves_both_http_versions(tls_edge: Any, authority: Any, http2: bool) -> None:
    context = ssl.create_default_context(cafile=authority.path)
    with httpx.Client(verify=context, http2=http2) as client:
        response = client.post(f"{tls_edge.url}/alpha/v1", content=b"{}")
    assert response.status_code == 200
    assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")


def test_tls_before_1_2_is_refused(tls_edge: Any, authority: Any) -> None:
    context = ssl.create_default_context(cafile=authority.path)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{tls_edge.url}/alpha/v1", verify=context)


def test_mtls_tells_the_service_the_subject(mtls_edge: Any, authority: Any) -> None:
    mtls_edge.service.reset()
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(*authority.issue("batch-client"))
    assert httpx.get(f"{mtls_edge.url}/alpha/v1", verify=context).status_code == 200
    subject = mtls_edge.service.of("request_headers").attribute("connection.subject_peer_certificate")
    assert subject == "CN=batch-client"


def test_mtls_refuses_a_client_without_a_certificate(mtls_edge: Any, authority: Any) -> None:
    mtls_edge.service.reset()
    with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
        httpx.get(f"{mtls_edge.url}/alpha/v1", verify=ssl.create_default_context(cafile=authority.path))
    assert mtls_edge.service.seen == []


def test_mtls_refuses_a_certificate_of_another_authority(
    mtls_edge: Any, authority: Any, make_authority: Any, tmp_path: Path
) -> None:
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(*make_authority(tmp_path).issue("stranger"))
    with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
        httpx.get(f"{mtls_edge.url}/alpha/v1", verify=context)
