"""A SAML response (SAML profiles 2.0 §4.1.4): the envelope of one assertion. Nothing in it counts but against it.

Who it is and for whom stands in the assertion, which is signed; a signature of the response is not asked for and not
relied on.
"""

from typing import Final

from lxml import etree

from extproc.console.saml_codes import SamlCode, SamlRefused
from extproc.console.xml_document import only
from extproc.console.xml_signature import DS

SAML: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
_FAMILY: Final = frozenset({"Assertion", "EncryptedAssertion", "Signature"})


def assertion_of_response(root: etree._Element, recipient: str) -> etree._Element:
    """The one assertion, not verified yet, of a successful response to `recipient`, the ACS URL.

    Raises `SamlRefused`.
    """
    if root.tag != f"{SAMLP}Response" or root.get("Version") != "2.0":
        raise SamlRefused(SamlCode.NOT_A_RESPONSE)
    if root.get("Destination", recipient) != recipient:
        raise SamlRefused(SamlCode.WRONG_RECIPIENT)
    if only(only(root, f"{SAMLP}Status"), f"{SAMLP}StatusCode").get("Value") != SUCCESS:
        raise SamlRefused(SamlCode.NOT_SUCCESSFUL)
    if root.find(f"{SAML}EncryptedAssertion") is not None:
        raise SamlRefused(SamlCode.ENCRYPTED)
    assertions = root.findall(f"{SAML}Assertion")
    if len(assertions) != 1:
        raise SamlRefused(SamlCode.NOT_ONE_ASSERTION)
    _refuse_strays(root, assertions[0])
    return assertions[0]


def sole_assertion(root: etree._Element) -> etree._Element:
    """A document that is an assertion, as RFC 7522 sends it. Raises `SamlRefused`."""
    if root.tag == f"{SAML}EncryptedAssertion":
        raise SamlRefused(SamlCode.ENCRYPTED)
    if root.tag != f"{SAML}Assertion":
        raise SamlRefused(SamlCode.NOT_ONE_ASSERTION)
    _refuse_strays(root, root)
    return root


def _refuse_strays(root: etree._Element, assertion: etree._Element) -> None:
    """No assertion within another, no signature but of the two, whatever namespace they are in.

    This is where wrapping ends: whatever was signed once has no place to be carried along.
    """
    for element in root.iter():
        name = etree.QName(element).localname
        if name not in _FAMILY or element is root or element is assertion:
            continue
        parent = element.getparent()
        if name != "Signature":
            raise SamlRefused(SamlCode.NOT_ONE_ASSERTION)
        if element.tag != f"{DS}Signature" or (parent is not root and parent is not assertion):
            raise SamlRefused(SamlCode.SIGNATURE_SHAPE)
