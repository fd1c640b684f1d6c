"""An identity provider in Python, for what no real one sends: any assertion, signed by any key, in any shape."""

import base64
import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.signer import XMLSigner

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
DS = "http://www.w3.org/2000/09/xmldsig#"
IDP = "https://idp.example.org/saml"
CONSOLE = "https://console.example.org"
ACS = f"{CONSOLE}/saml/acs"
TOKEN = f"{CONSOLE}/token"
SP = f"{CONSOLE}/saml/metadata"
NOW = 1_790_000_000.0
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
Q = f"{{{SAML}}}"


def at(seconds: float) -> str:
    return dt.datetime.fromtimestamp(NOW + seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Keys:
    """A key and its self-signed certificate."""

    private: Any
    certificate: x509.Certificate

    @classmethod
    def make(cls, private: Any = None, begin: float = -86400, end: float = 365 * 86400, now: float = NOW) -> Self:
        private = private or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp")])
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        builder = builder.serial_number(1).not_valid_before(moment + dt.timedelta(seconds=begin))
        return cls(private, builder.not_valid_after(moment + dt.timedelta(seconds=end)).sign(private, hashes.SHA256()))


@dataclass(frozen=True)
class Spec:
    """An assertion as the console wants it for a login; `replace` what a test is about."""

    assertion_id: str = "_a1"
    issuer: str = IDP
    audience: str | None = SP
    recipient: str = ACS
    in_response_to: str = "_request"
    not_before: float = -10
    not_on_or_after: float = 300
    confirmed_until: float = 300
    authenticated: float = -60
    issued: float = 0
    session_ends: float | None = None
    name_id: str = "anna"
    name_format: str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
    context: str = PASSWORD
    attributes: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"groups": ("analysts", "staff")})

    def but(self, **changes: Any) -> "Spec":
        return replace(self, **changes)

    def for_exchange(self) -> "Spec":
        return self.but(audience=TOKEN, recipient=TOKEN, in_response_to="")


def assertion(spec: Spec) -> etree._Element:
    """Unsigned."""
    root = etree.Element(f"{Q}Assertion", {"ID": spec.assertion_id, "Version": "2.0"}, nsmap={"saml": SAML})
    root.set("IssueInstant", at(spec.issued))
    add(root, "Issuer").text = spec.issuer
    subject = add(root, "Subject")
    add(subject, "NameID", Format=spec.name_format).text = spec.name_id
    confirmation = add(subject, "SubjectConfirmation", Method="urn:oasis:names:tc:SAML:2.0:cm:bearer")
    data = add(confirmation, "SubjectConfirmationData", NotOnOrAfter=at(spec.confirmed_until), Recipient=spec.recipient)
    if spec.in_response_to:
        data.set("InResponseTo", spec.in_response_to)
    conditions = add(root, "Conditions", NotBefore=at(spec.not_before), NotOnOrAfter=at(spec.not_on_or_after))
    if spec.audience is not None:
        add(add(conditions, "AudienceRestriction"), "Audience").text = spec.audience
    statement = add(root, "AuthnStatement", AuthnInstant=at(spec.authenticated), SessionIndex="_s")
    if spec.session_ends is not None:
        statement.set("SessionNotOnOrAfter", at(spec.session_ends))
    add(add(statement, "AuthnContext"), "AuthnContextClassRef").text = spec.context
    if spec.attributes:
        attributes = add(root, "AttributeStatement")
        for name, values in spec.attributes.items():
            attribute = add(attributes, "Attribute", Name=name)
            for value in values:
                add(attribute, "AttributeValue").text = value
    return root


def add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, Q + name, attributes)


def sign(
    element: etree._Element,
    keys: Keys,
    *,
    method: SignatureMethod | None = None,
    digest: DigestAlgorithm = DigestAlgorithm.SHA256,
    reference: str = "",
) -> etree._Element:
    """A signed copy, the signature behind the issuer as SAML has it."""
    if method is None:
        is_rsa = isinstance(keys.private, rsa.RSAPrivateKey)
        method = SignatureMethod.RSA_SHA256 if is_rsa else SignatureMethod.ECDSA_SHA256
    signer = XMLSigner(
        method=SignatureConstructionMethod.enveloped,
        signature_algorithm=method,
        digest_algorithm=digest,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    uri = reference or element.get("ID")
    signed = signer.sign(element, key=keys.private, cert=[keys.certificate], reference_uri=uri, id_attribute="ID")
    signature = signed.find(f"{{{DS}}}Signature")
    signed.remove(signature)
    signed.insert(1, signature)
    return etree.fromstring(etree.tostring(signed))


def response(*inside: etree._Element, destination: str = ACS, status: str = "Success") -> etree._Element:
    """The envelope, unsigned."""
    root = etree.Element(
        f"{{{SAMLP}}}Response",
        {"ID": "_r1", "Version": "2.0", "IssueInstant": at(0), "Destination": destination},
        nsmap={"samlp": SAMLP, "saml": SAML},
    )
    add(root, "Issuer").text = IDP
    code = etree.SubElement(etree.SubElement(root, f"{{{SAMLP}}}Status"), f"{{{SAMLP}}}StatusCode")
    code.set("Value", f"urn:oasis:names:tc:SAML:2.0:status:{status}")
    for element in inside:
        root.append(element)
    return root


def posted(element: etree._Element | bytes) -> str:
    """As the browser posts it."""
    return base64.b64encode(element if isinstance(element, bytes) else etree.tostring(element)).decode()


def metadata(*keys: Keys, entity_id: str = IDP, extra: str = "", login: str = f"{IDP}/login") -> bytes:
    """The provider's metadata file."""
    descriptors = "".join(
        f'<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>'
        f"{certificate_text(each)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        for each in keys
    )
    return (
        f'<?xml version="1.0"?><!-- a comment --><md:EntityDescriptor entityID="{entity_id}"'
        f' xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"><md:IDPSSODescriptor {extra}'
        f' protocolSupportEnumeration="{SAMLP}">{descriptors}<md:SingleSignOnService'
        f' Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{login}"/>'
        "</md:IDPSSODescriptor></md:EntityDescriptor>"
    ).encode()


def certificate_text(keys: Keys) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return base64.b64encode(keys.certificate.public_bytes(Encoding.DER)).decode()


def write_metadata(path: Path, *keys: Keys) -> Path:
    path.write_bytes(metadata(*keys))
    return path


def ec_keys() -> Keys:
    return Keys.make(ec.generate_private_key(ec.SECP256R1()))
