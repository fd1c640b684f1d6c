"""A SAML 2.0 assertion, read strictly from the element that was verified; and what must hold for it to be accepted.

Whatever is not expected is refused: an element that is passed over could be the one that says "not for you".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from extproc.console.saml_codes import SamlCode, SamlRefused
from extproc.console.saml_response import SAML
from extproc.console.xml_document import only, text_of
from extproc.core.identity import MAX_CLAIM_CHARS, MAX_GROUPS

BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
MAX_VALID_SECONDS: Final = 86400
"""An assertion is remembered until it expires, so that it is used once; providers give it minutes."""
_ENTITY: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z", re.ASCII)
_PARTS: Final = frozenset(f"{SAML}{name}" for name in ("Issuer", "Subject", "Conditions", "AuthnStatement"))
_MANY: Final = f"{SAML}AttributeStatement"
_CONDITIONS: Final = frozenset(f"{SAML}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction"))
_MAX_CONFIRMATIONS = 8


@dataclass(frozen=True, slots=True)
class Confirmation:
    """To whom a bearer may deliver the assertion, until when (Unix seconds), and in answer to what."""

    recipient: str
    not_on_or_after: float
    in_response_to: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a verified assertion says. Times are Unix seconds; 0 where a time may be left out and is."""

    assertion_id: str
    issuer: str
    issued_at: float
    name_id: str = field(repr=False)
    name_id_format: str
    confirmations: tuple[Confirmation, ...]
    not_before: float
    not_on_or_after: float
    audiences: tuple[frozenset[str], ...]
    """Of each restriction; all of them must hold."""
    authenticated_at: float
    session_ends_at: float
    context_class: str
    attributes: Mapping[str, tuple[str, ...] | None] = field(repr=False)
    """None for one whose values are not text."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an assertion must say. It answers one of `request_ids`; an empty one stands for an answer to nothing."""

    issuer: str
    audience: str
    recipient: str
    request_ids: frozenset[str]
    skew_seconds: int


def check_assertion(assertion: Assertion, expected: Expected, now: float) -> float:
    """Until when the assertion must be remembered as used, once it holds. Raises `SamlRefused`.

    1. The identity provider of the configuration issued it, and not in the future.
    2. It is for us: every restriction of audience names us.
    3. Now is within its conditions' time.
    4. One of its confirmations is for us, is not over, and answers what was asked.
    5. It is not valid for more than a day, and its session is not over.
    """
    skew = expected.skew_seconds
    if assertion.issuer != expected.issuer:  # 1
        raise SamlRefused(SamlCode.WRONG_ISSUER)
    if max(assertion.issued_at, assertion.authenticated_at) > now + skew:
        raise SamlRefused(SamlCode.NOT_YET_VALID)
    if not assertion.audiences or not all(expected.audience in each for each in assertion.audiences):  # 2
        raise SamlRefused(SamlCode.WRONG_AUDIENCE)
    if assertion.not_before > now + skew:  # 3
        raise SamlRefused(SamlCode.NOT_YET_VALID)
    if assertion.not_on_or_after and assertion.not_on_or_after <= now - skew:
        raise SamlRefused(SamlCode.EXPIRED)
    until = _check_confirmations(assertion, expected, now)  # 4
    if until > now + MAX_VALID_SECONDS:  # 5
        raise SamlRefused(SamlCode.VALID_TOO_LONG)
    if assertion.session_ends_at and assertion.session_ends_at <= now:
        raise SamlRefused(SamlCode.SESSION_OVER)
    return until + skew


def _check_confirmations(assertion: Assertion, expected: Expected, now: float) -> float:
    mine = [each for each in assertion.confirmations if each.recipient == expected.recipient]
    if not mine:
        raise SamlRefused(SamlCode.WRONG_RECIPIENT)
    living = [each for each in mine if each.not_on_or_after > now - expected.skew_seconds]
    if not living:
        raise SamlRefused(SamlCode.EXPIRED)
    if any(each.in_response_to in expected.request_ids for each in living):
        return max(each.not_on_or_after for each in living)
    raise SamlRefused(SamlCode.WRONG_REQUEST if living[0].in_response_to else SamlCode.UNSOLICITED)


def read_assertion(element: etree._Element) -> Assertion:
    """What a verified element says. Raises `SamlRefused(MALFORMED)` for anything that SAML 2.0 or we do not know."""
    if element.tag != f"{SAML}Assertion" or element.get("Version") != "2.0" or not element.get("ID"):
        raise SamlRefused(SamlCode.MALFORMED)
    if any(child.tag not in _PARTS and child.tag != _MANY for child in element):
        raise SamlRefused(SamlCode.MALFORMED)
    issuer, subject, conditions, statement = (
        only(element, f"{SAML}{name}") for name in ("Issuer", "Subject", "Conditions", "AuthnStatement")
    )
    if issuer.get("Format", _ENTITY) != _ENTITY:
        raise SamlRefused(SamlCode.MALFORMED)
    name = only(subject, f"{SAML}NameID")
    return Assertion(
        assertion_id=element.get("ID", ""),
        issuer=_plain(text_of(issuer)),
        issued_at=_time(element, "IssueInstant"),
        name_id=_plain(text_of(name)),
        name_id_format=name.get("Format", ""),
        confirmations=_confirmations(subject),
        not_before=_time(conditions, "NotBefore") if "NotBefore" in conditions.attrib else 0.0,
        not_on_or_after=_time(conditions, "NotOnOrAfter") if "NotOnOrAfter" in conditions.attrib else 0.0,
        audiences=_audiences(conditions),
        authenticated_at=_time(statement, "AuthnInstant"),
        session_ends_at=_time(statement, "SessionNotOnOrAfter") if "SessionNotOnOrAfter" in statement.attrib else 0.0,
        context_class=_context_class(statement),
        attributes=_attributes(element),
    )


def _confirmations(subject: etree._Element) -> tuple[Confirmation, ...]:
    """The bearer's. One with `NotBefore` is none (SAML profiles 2.0 §4.1.4.2)."""
    names = {f"{SAML}NameID", f"{SAML}SubjectConfirmation"}
    if any(child.tag not in names for child in subject) or len(subject) > _MAX_CONFIRMATIONS:
        raise SamlRefused(SamlCode.MALFORMED)
    found = []
    for confirmation in subject.findall(f"{SAML}SubjectConfirmation"):
        if confirmation.get("Method") != BEARER:
            continue
        data = only(confirmation, f"{SAML}SubjectConfirmationData")
        if len(confirmation) != 1 or len(data) or "NotBefore" in data.attrib:
            raise SamlRefused(SamlCode.MALFORMED)
        found.append(Confirmation(data.get("Recipient", ""), _time(data, "NotOnOrAfter"), data.get("InResponseTo", "")))
    return tuple(found)


def _audiences(conditions: etree._Element) -> tuple[frozenset[str], ...]:
    if any(child.tag not in _CONDITIONS for child in conditions):  # SAML core 2.0 §2.5.1.1: what is unknown is not met
        raise SamlRefused(SamlCode.MALFORMED)
    return tuple(
        frozenset(_plain(text_of(each)) for each in restriction.findall(f"{SAML}Audience"))
        for restriction in conditions.findall(f"{SAML}AudienceRestriction")
    )


def _context_class(statement: etree._Element) -> str:
    found = only(statement, f"{SAML}AuthnContext").findall(f"{SAML}AuthnContextClassRef")
    if len(found) > 1:
        raise SamlRefused(SamlCode.MALFORMED)
    return _plain(text_of(found[0])) if found else ""


def _attributes(element: etree._Element) -> dict[str, tuple[str, ...] | None]:
    """By name. One that stands twice has the values of both, as Keycloak sends groups."""
    found: dict[str, tuple[str, ...] | None] = {}
    for attribute in (each for statement in element.findall(_MANY) for each in statement):
        if attribute.tag != f"{SAML}Attribute" or not attribute.get("Name"):
            raise SamlRefused(SamlCode.MALFORMED)
        name, values = attribute.get("Name", ""), list(attribute)
        if any(value.tag != f"{SAML}AttributeValue" for value in values):
            raise SamlRefused(SamlCode.MALFORMED)
        before = found.get(name, ())
        if before is None or any(len(value) for value in values):
            found[name] = None
            continue
        found[name] = (*before, *(text_of(value) for value in values))
        if len(found[name] or ()) > MAX_GROUPS:
            raise SamlRefused(SamlCode.TOO_LARGE)
    return found


def _plain(text: str) -> str:
    if not text or len(text) > MAX_CLAIM_CHARS or not text.isprintable():
        raise SamlRefused(SamlCode.MALFORMED)
    return text


def _time(element: etree._Element, name: str) -> float:
    """An attribute of type xs:dateTime in UTC, to the second (SAML core 2.0 §1.3.3)."""
    match = _TIME.fullmatch(element.get(name, ""))
    try:
        return datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp() if match else _malformed()
    except ValueError:
        return _malformed()


def _malformed() -> float:
    raise SamlRefused(SamlCode.MALFORMED)
