"""Who a verified assertion speaks of, by the configuration's names of attributes."""

import dataclasses
import functools
from typing import Final

from extproc.console.saml_assertion import Assertion
from extproc.console.saml_codes import SamlCode, SamlRefused
from extproc.core.identity import MAX_CLAIM_CHARS, Principal
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.principal import fold_aliases, names_card_data
from extproc.core.reasons import Reason, Unverified
from extproc.edge.settings_console import SamlSettings

_TRANSIENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_PASSWORDS: Final = frozenset(
    f"urn:oasis:names:tc:SAML:2.0:ac:classes:{name}" for name in ("Password", "PasswordProtectedTransport")
)
_OTHER_NAMES: Final = (
    *("email", "mail", "upn"),
    *("urn:oid:0.9.2342.19200300.100.1.3", "urn:oid:1.3.6.1.4.1.5923.1.1.1.6"),
    *(f"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/{name}" for name in ("emailaddress", "upn")),
)
"""Attributes with a person's address, as the usual providers call them: plain, by LDAP's OIDs, of AD FS."""


def person_of(assertion: Assertion, saml: SamlSettings, issuer: str) -> Principal:
    """The person, under `issuer`: our own name, the same in a session and in a token, so that nobody is two people.

    Raises `SamlRefused`: NO_SUBJECT without exactly one stable name, MALFORMED for a mapped attribute that is not
    printable text, CARD_DATA where a card number would be recorded.
    """
    names = saml.attributes
    contexts = {assertion.context_class, *_texts(assertion, names.methods)}
    mfa = not contexts.isdisjoint(saml.mfa_contexts) or "mfa" in contexts
    return _without_card_data(
        Principal(
            issuer=issuer,
            subject=_subject(assertion, names.subject),
            name=_first(assertion, names.name),
            groups=tuple(dict.fromkeys(_texts(assertion, names.groups))),
            tenant=_first(assertion, names.tenant),
            methods=_methods(assertion, names.methods, mfa),
            context_class=assertion.context_class,
            authenticated_at=int(assertion.authenticated_at),
            mfa=mfa,
            aliases=_aliases(assertion, _subject(assertion, names.subject)),
        )
    )


@functools.cache
def _scanner() -> Scanner:
    return Scanner(MaskingSettings())


def recordable(assertion_id: str) -> str:
    """The id as a record may keep it."""
    return _scanner().masker().mask_text(assertion_id)


def _without_card_data(person: Principal) -> Principal:
    """As the service does with a token's claims: what says who somebody is must not be one, the rest is masked."""
    mask = _scanner().masker().mask_text
    said = (person.context_class, *person.methods)
    if names_card_data(person, mask) or any(mask(text) != text for text in said):
        raise SamlRefused(SamlCode.CARD_DATA)
    return dataclasses.replace(person, name=mask(person.name))


def _methods(assertion: Assertion, attribute: str, mfa: bool) -> tuple[str, ...]:
    """RFC 8176 names where there is one, else what the provider wrote."""
    said = list(_texts(assertion, attribute))
    if assertion.context_class in _PASSWORDS:
        said.append("pwd")
    if mfa:
        said.append("mfa")
    return tuple(dict.fromkeys(said))


def _aliases(assertion: Assertion, subject: str) -> tuple[str, ...]:
    try:
        return fold_aliases(subject, (value for name in _OTHER_NAMES for value in _texts(assertion, name)))
    except Unverified as refused:
        code = SamlCode.CARD_DATA if refused.reason is Reason.TOKEN_CARD_DATA else SamlCode.MALFORMED
    raise SamlRefused(code)


def _subject(assertion: Assertion, attribute: str) -> str:
    if attribute:
        found = _texts(assertion, attribute)
        if len(found) != 1:
            raise SamlRefused(SamlCode.NO_SUBJECT)
        return found[0]
    if assertion.name_id_format == _TRANSIENT:  # another one at each login
        raise SamlRefused(SamlCode.NO_SUBJECT)
    return assertion.name_id


def _first(assertion: Assertion, attribute: str) -> str:
    return next(iter(_texts(assertion, attribute)), "")


def _texts(assertion: Assertion, attribute: str) -> tuple[str, ...]:
    values = assertion.attributes.get(attribute, ()) if attribute else ()
    if values is None or any(len(value) > MAX_CLAIM_CHARS or not value.isprintable() for value in values):
        raise SamlRefused(SamlCode.MALFORMED)
    return tuple(value for value in values if value)
