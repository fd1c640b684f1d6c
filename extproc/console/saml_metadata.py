"""The identity provider, as its metadata file says (SAML metadata 2.0). The file is configuration: it is trusted."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from extproc.console.xml_document import parse_own_file
from extproc.console.xml_signature import DS
from extproc.core.issuer import is_trustworthy_url

_MD: Final = "{urn:oasis:names:tc:SAML:2.0:metadata}"
PROTOCOL: Final = "urn:oasis:names:tc:SAML:2.0:protocol"
REDIRECT: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
MAX_CERTIFICATES: Final = 16
"""Each is tried; two or three stand side by side while one is rotated."""
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})


class MetadataInvalid(Exception):
    """The file is not the metadata of one identity provider. The text says what is wrong, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Who issues assertions, where browsers are sent, and whose signatures hold."""

    entity_id: str
    login_url: str
    wants_signed_requests: bool
    valid_until: float
    """Unix seconds; infinite where it does not say."""
    certificates: tuple[x509.Certificate, ...] = field(repr=False)


def parse_provider(data: bytes) -> IdentityProvider:
    """The one identity provider of a metadata document. Raises `MetadataInvalid`."""
    root = parse_own_file(data)
    if root is None:
        raise MetadataInvalid("the file is not well-formed XML without a DTD")
    described = [root] if root.tag == f"{_MD}EntityDescriptor" else root.findall(f"{_MD}EntityDescriptor")
    roles = [role for entity in described for role in entity.findall(f"{_MD}IDPSSODescriptor")]
    roles = [role for role in roles if PROTOCOL in role.get("protocolSupportEnumeration", "").split()]
    if len(roles) != 1:
        raise MetadataInvalid(f"the file describes {len(roles)} SAML 2.0 identity providers; exactly one is needed")
    role = roles[0]
    entity = role.getparent()
    entity_id = entity.get("entityID", "") if entity is not None else ""
    if not entity_id or "|" in entity_id:
        raise MetadataInvalid("the identity provider has no usable `entityID`")
    places = [
        each.get("Location", "")
        for each in role.findall(f"{_MD}SingleSignOnService")
        if each.get("Binding") == REDIRECT
    ]
    if not places or not is_trustworthy_url(places[0]):
        raise MetadataInvalid("it has no https SingleSignOnService with the binding HTTP-Redirect")
    wants_signed = role.get("WantAuthnRequestsSigned", "false").strip() in {"true", "1"}
    return IdentityProvider(entity_id, places[0], wants_signed, _valid_until(role), _certificates(role))


def _valid_until(role: etree._Element) -> float:
    """The earliest of what the role says and whatever it stands in (SAML metadata 2.0 §2.2.1)."""
    said = [text for each in (role, *role.iterancestors()) if (text := each.get("validUntil")) is not None]
    try:
        moments = [datetime.fromisoformat(text.strip()) for text in said]
    except ValueError:
        raise MetadataInvalid("its `validUntil` is no time") from None
    # A time without a zone is UTC (SAML core 2.0 §1.3.3).
    return min(((each if each.tzinfo else each.replace(tzinfo=UTC)).timestamp() for each in moments), default=inf)


def _certificates(role: etree._Element) -> tuple[x509.Certificate, ...]:
    descriptors = [each for each in role.findall(f"{_MD}KeyDescriptor") if each.get("use", "signing") == "signing"]
    texts = [each.text or "" for key in descriptors for each in key.iter(f"{DS}X509Certificate")]
    if not texts:
        hint = "have the provider sign assertions, and download its metadata again"
        raise MetadataInvalid(f"it has no signing certificate (KeyDescriptor with an X509Certificate): {hint}")
    if len(texts) > MAX_CERTIFICATES:
        hint = f"take those out that are not used any more; {MAX_CERTIFICATES} are possible"
        raise MetadataInvalid(f"it has {len(texts)} signing certificates: {hint}")
    return tuple(_certificate(text) for text in texts)


def _certificate(text: str) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
        key = certificate.public_key()
    except ValueError:
        raise MetadataInvalid("a signing certificate does not parse") from None
    match key:
        case rsa.RSAPublicKey() if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            return certificate
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return certificate
    raise MetadataInvalid(f"a signing key is neither RSA of {MIN_RSA_BITS} bits or more nor ECDSA on a NIST curve")
