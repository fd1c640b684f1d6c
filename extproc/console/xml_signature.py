"""One enveloped signature over one element, in the one shape that SAML prescribes (SAML core 2.0 §5.4).

signxml does the cryptography and hands back what was signed, parsed anew from the bytes that were hashed. What a
caller reads is that, and never the document it came in ("see what is signed").
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from extproc.console.saml_codes import SamlCode, SamlRefused
from extproc.console.xml_document import only, parse_clean

DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,255}", re.ASCII)
_METHODS: Final = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
"""No SHA-1, nothing with a shared secret, no DSA."""
_DIGESTS: Final = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})


def verify_enveloped(element: etree._Element, certificates: Sequence[x509.Certificate], now: float) -> etree._Element:
    """`element` as one of the certificates' keys signed it: a tree of its own, without the signature.

    1. It has one signature as its child, over itself alone, by its ID, with the two transforms of SAML.
    2. The algorithms are of our list.
    3. The signature holds under a key of `certificates`, one that is valid at `now`; what the signature says of its
       key is taken off unread.
    4. What was signed is that element.

    Raises `SamlRefused`.
    """
    alone = parse_clean(etree.tostring(element, with_tail=False))
    method = _check_shape(alone)  # 1, 2
    for certificate in certificates:  # 3
        if not _fits(certificate, method, now):
            continue
        signed = _signed(alone, certificate, now)
        if signed is not None:
            if signed.tag != alone.tag or signed.get("ID") != alone.get("ID"):  # 4
                raise SamlRefused(SamlCode.SIGNATURE_SHAPE)
            return signed
    raise SamlRefused(SamlCode.SIGNATURE_INVALID)


def _check_shape(alone: etree._Element) -> SignatureMethod:
    """The signature's method, once everything that it refers to is what it may refer to. Takes `KeyInfo` off."""
    signatures = list(alone.iter(f"{DS}Signature"))
    if not signatures:
        raise SamlRefused(SamlCode.NOT_SIGNED)
    if len(signatures) != 1 or signatures[0].getparent() is not alone:
        raise SamlRefused(SamlCode.SIGNATURE_SHAPE)
    signature = signatures[0]
    for key_info in signature.findall(f"{DS}KeyInfo"):
        signature.remove(key_info)
    _require_children(signature, "SignedInfo", "SignatureValue")
    signed_info = only(signature, f"{DS}SignedInfo")
    _require_children(signed_info, "CanonicalizationMethod", "SignatureMethod", "Reference")
    reference = only(signed_info, f"{DS}Reference")
    _require_children(reference, "Transforms", "DigestMethod", "DigestValue")
    name = alone.get("ID", "")
    if not _ID.fullmatch(name) or reference.get("URI") != f"#{name}":
        raise SamlRefused(SamlCode.SIGNATURE_SHAPE)
    transforms = list(only(reference, f"{DS}Transforms"))
    if [_algorithm(each, "Transform") for each in transforms] != [_ENVELOPED, _EXCLUSIVE]:
        raise SamlRefused(SamlCode.SIGNATURE_SHAPE)
    canonical = only(signed_info, f"{DS}CanonicalizationMethod")
    if canonical.get("Algorithm") != _EXCLUSIVE:
        raise SamlRefused(SamlCode.SIGNATURE_SHAPE)
    for each in (*transforms, canonical):
        if any(child.tag != f"{{{_EXCLUSIVE}}}InclusiveNamespaces" or len(child) for child in each):
            raise SamlRefused(SamlCode.SIGNATURE_SHAPE)
    return _check_algorithms(signed_info, reference)


def _check_algorithms(signed_info: etree._Element, reference: etree._Element) -> SignatureMethod:
    try:
        method = SignatureMethod(only(signed_info, f"{DS}SignatureMethod").get("Algorithm"))
        digest = DigestAlgorithm(only(reference, f"{DS}DigestMethod").get("Algorithm"))
    except ValueError:
        raise SamlRefused(SamlCode.SIGNATURE_ALGORITHM) from None
    if method not in _METHODS or digest not in _DIGESTS:
        raise SamlRefused(SamlCode.SIGNATURE_ALGORITHM)
    return method


def _algorithm(element: etree._Element, name: str) -> str:
    return str(element.get("Algorithm")) if element.tag == f"{DS}{name}" else ""


def _require_children(parent: etree._Element, *names: str) -> None:
    if [child.tag for child in parent] != [f"{DS}{name}" for name in names]:
        raise SamlRefused(SamlCode.SIGNATURE_SHAPE)


def _fits(certificate: x509.Certificate, method: SignatureMethod, now: float) -> bool:
    kind = rsa.RSAPublicKey if method.name.startswith("RSA") else ec.EllipticCurvePublicKey
    moment = datetime.fromtimestamp(now, UTC)
    in_time = certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc
    return in_time and isinstance(certificate.public_key(), kind)


def _signed(alone: etree._Element, certificate: x509.Certificate, now: float) -> etree._Element | None:
    configuration = SignatureConfiguration(
        require_x509=True,
        location="./",
        expect_references=1,
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        ignore_ambiguous_key_info=False,
        verification_time=datetime.fromtimestamp(now, UTC),
    )
    try:
        result = XMLVerifier().verify(alone, x509_cert=certificate, id_attribute="ID", expect_config=configuration)
    except (SignXMLException, etree.LxmlError, UnsupportedAlgorithm, ValueError, TypeError, AssertionError):
        return None
    return result.signed_xml if isinstance(result, VerifyResult) else None
