"""What we send: the request for a login (SAML bindings 2.0 §3.4, HTTP-Redirect) and our own metadata."""

import base64
import secrets
import zlib
from datetime import UTC, datetime
from urllib.parse import urlencode

from lxml import etree

from extproc.console.request_signer import RequestSigner
from extproc.console.saml_metadata import PROTOCOL, IdentityProvider
from extproc.console.saml_response import SAML, SAMLP
from extproc.console.xml_signature import DS
from extproc.edge.settings_console import ConsoleSettings

_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_NAMES = {"samlp": SAMLP[1:-1], "saml": SAML[1:-1]}


def new_request_id() -> str:
    """An NCName that nobody guesses."""
    return f"_{secrets.token_hex(20)}"


def login_url(
    provider: IdentityProvider, settings: ConsoleSettings, signer: RequestSigner | None, request_id: str, now: float
) -> str:
    """Where the browser goes to log in: the provider's address with an AuthnRequest, deflated, in its query.

    It is signed where there is a `signer`: a provider that wants that is in force only then.
    """
    request = etree.Element(
        f"{SAMLP}AuthnRequest",
        {
            "ID": request_id,
            "Version": "2.0",
            "IssueInstant": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Destination": provider.login_url,
            "AssertionConsumerServiceURL": settings.acs_url,
            "ProtocolBinding": _POST,
        },
        nsmap=_NAMES,
    )
    etree.SubElement(request, f"{SAML}Issuer").text = settings.entity_id
    deflate = zlib.compressobj(wbits=-15)
    data = deflate.compress(etree.tostring(request)) + deflate.flush()
    query = {"SAMLRequest": base64.b64encode(data).decode()}
    if signer is not None:
        query = signer.sign(query)
    return f"{provider.login_url}{'&' if '?' in provider.login_url else '?'}{urlencode(query)}"


def own_metadata(settings: ConsoleSettings, signer: RequestSigner | None) -> bytes:
    """Our metadata, to be given to the identity provider."""
    entity = etree.Element(
        f"{_MD}EntityDescriptor", {"entityID": settings.entity_id}, nsmap={None: _MD[1:-1], "ds": DS[1:-1]}
    )
    role = etree.SubElement(
        entity,
        f"{_MD}SPSSODescriptor",
        {
            "AuthnRequestsSigned": "false" if signer is None else "true",
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": PROTOCOL,
        },
    )
    if signer is not None:
        info = etree.SubElement(etree.SubElement(role, f"{_MD}KeyDescriptor", {"use": "signing"}), f"{DS}KeyInfo")
        data = etree.SubElement(info, f"{DS}X509Data")
        etree.SubElement(data, f"{DS}X509Certificate").text = base64.b64encode(signer.certificate_der).decode()
    etree.SubElement(
        role,
        f"{_MD}AssertionConsumerService",
        {"Binding": _POST, "Location": settings.acs_url, "index": "0", "isDefault": "true"},
    )
    return etree.tostring(entity, xml_declaration=True, encoding="UTF-8")
