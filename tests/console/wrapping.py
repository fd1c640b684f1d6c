"""The eight classic ways to wrap a signed SAML message (Somorovsky et al., "On Breaking SAML", USENIX Security 2012).

Each takes a good, signed response and returns one in which an evil assertion stands where a careless reader looks,
and the signed original stands where a careless verifier looks.
"""

import copy
from collections.abc import Callable
from typing import Final

from lxml import etree

from tests.console.idp import DS, Q

_SIGNATURE = f"{{{DS}}}Signature"


def _evil(good: etree._Element, name: str = "_evil") -> etree._Element:
    """A copy of the assertion that names somebody else, without the signature."""
    evil = copy.deepcopy(good)
    signature = evil.find(_SIGNATURE)
    if signature is not None:
        evil.remove(signature)
    evil.set("ID", name)
    evil.find(f"{Q}Subject/{Q}NameID").text = "admin"
    return evil


def _object(signature: etree._Element, inside: etree._Element) -> None:
    etree.SubElement(signature, f"{{{DS}}}Object").append(inside)


def _xsw1(response: etree._Element) -> etree._Element:
    """Response signed: an evil response around the original, which stands within the signature."""
    original = copy.deepcopy(response)
    good = response.find(f"{Q}Assertion")
    response.replace(good, _evil(good))
    response.set("ID", "_evil_response")
    signature = copy.deepcopy(original.find(f"{Q}Assertion").find(_SIGNATURE))
    _object(signature, original)
    response.insert(1, signature)
    return response


def _xsw2(response: etree._Element) -> etree._Element:
    """The same, the original beside a detached signature."""
    original = copy.deepcopy(response)
    good = response.find(f"{Q}Assertion")
    signature = copy.deepcopy(good.find(_SIGNATURE))
    response.replace(good, _evil(good))
    response.set("ID", "_evil_response")
    response.insert(1, signature)
    response.insert(1, original)
    return response


def _xsw3(response: etree._Element) -> etree._Element:
    """The evil assertion before the original."""
    good = response.find(f"{Q}Assertion")
    good.addprevious(_evil(good))
    return response


def _xsw4(response: etree._Element) -> etree._Element:
    """The evil assertion around the original."""
    good = response.find(f"{Q}Assertion")
    evil = _evil(good)
    response.replace(good, evil)
    evil.append(good)
    return response


def _xsw5(response: etree._Element) -> etree._Element:
    """The evil assertion carries the signature; the original, without it, stands at the end."""
    good = response.find(f"{Q}Assertion")
    evil = _evil(good)
    signature = good.find(_SIGNATURE)
    evil.insert(1, signature)
    response.replace(good, evil)
    response.append(good)
    return response


def _xsw6(response: etree._Element) -> etree._Element:
    """The evil assertion carries the signature, which carries the original."""
    good = response.find(f"{Q}Assertion")
    evil = _evil(good)
    signature = good.find(_SIGNATURE)
    evil.insert(1, signature)
    response.replace(good, evil)
    _object(signature, good)
    return response


def _xsw7(response: etree._Element) -> etree._Element:
    """The evil assertion in extensions, where a schema allows anything; with the original's own ID."""
    good = response.find(f"{Q}Assertion")
    extensions = etree.Element("{urn:oasis:names:tc:SAML:2.0:protocol}Extensions")
    extensions.append(_evil(good, str(good.get("ID"))))
    good.addprevious(extensions)
    return response


def _xsw8(response: etree._Element) -> etree._Element:
    """The original within an object of the evil assertion's signature, with the same ID."""
    good = response.find(f"{Q}Assertion")
    evil = _evil(good, str(good.get("ID")))
    signature = copy.deepcopy(good.find(_SIGNATURE))
    good.remove(good.find(_SIGNATURE))
    evil.insert(1, signature)
    response.replace(good, evil)
    _object(signature, good)
    return response


WRAPPINGS: Final[tuple[Callable[[etree._Element], etree._Element], ...]] = (
    _xsw1, _xsw2, _xsw3, _xsw4, _xsw5, _xsw6, _xsw7, _xsw8,
)  # fmt: skip
