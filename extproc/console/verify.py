"""From bytes to a person: what the login and the exchange of assertions have in common."""

from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from extproc.approvals.single_use import SingleUse, UsedAlready
from extproc.console.saml_assertion import Assertion, Expected, check_assertion, read_assertion
from extproc.console.saml_codes import SamlCode, SamlRefused
from extproc.console.saml_metadata import IdentityProvider
from extproc.console.saml_person import person_of
from extproc.console.xml_document import parse_xml
from extproc.console.xml_signature import verify_enveloped
from extproc.core.principal import Principal
from extproc.edge.settings_console import SamlSettings

_PURPOSE = "assertion"
_OTHER_CLOCKS_SECONDS = 300.0
"""A replica whose clock is ahead must not forget what one whose clock is behind would accept."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A person by an assertion that holds, and until when the assertion is to be remembered (Unix seconds)."""

    person: Principal
    assertion: Assertion
    remember_until: float


@dataclass(frozen=True, slots=True)
class Verifier:
    """Blocking, and CPU for some milliseconds. `issuer` is our own name for whom it accepts."""

    provider: IdentityProvider
    saml: SamlSettings
    issuer: str

    def verify(
        self,
        data: bytes,
        find_assertion: Callable[[etree._Element], etree._Element],
        expected: Expected,
        now: float,
    ) -> Accepted:
        """Who it is. Raises `SamlRefused`.

        1. It is bounded XML without anything that parsers disagree about, with one assertion in its place.
        2. The provider signed that assertion, and from here on only what it signed is read.
        3. It is complete, for us, and in time.
        4. It names one person.
        """
        assertion = find_assertion(parse_xml(data))  # 1
        signed = verify_enveloped(assertion, self.provider.certificates, now)  # 2
        read = read_assertion(signed)
        until = check_assertion(read, expected, now)  # 3
        return Accepted(person_of(read, self.saml, self.issuer), read, until)  # 4


def use_once(single_use: SingleUse, accepted: Accepted, now: float) -> None:
    """Blocking. Raises `SamlRefused(REPLAYED)` for all but the first, `Unavailable` when the store cannot say."""
    name = f"{accepted.assertion.issuer}\n{accepted.assertion.assertion_id}"
    try:
        single_use.use(_PURPOSE, name, accepted.remember_until + _OTHER_CLOCKS_SECONDS, now)
    except UsedAlready:
        raise SamlRefused(SamlCode.REPLAYED) from None
