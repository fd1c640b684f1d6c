"""Who asks, once somebody who is trusted has vouched for it."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from extproc.core.masking.iin import passes_luhn
from extproc.core.reasons import Reason, Unverified

Kind = Literal["person", "service"]
"""Whether somebody is at the other end: PCI DSS 8.6 treats accounts of systems and applications apart."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as a trusted issuer vouches. `uid` is `issuer|subject` and is stable (PCI DSS 8.2.1).

    `methods` is the `amr` claim (RFC 8176), `context_class` the `acr` claim, `mfa` what the issuer's configuration
    makes of the two; `expires_at` and `authenticated_at` are Unix seconds, 0 where the token does not say.
    """

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]
    tenant: str = ""
    token_id: str = ""
    client: str = ""
    methods: tuple[str, ...] = ()
    context_class: str = ""
    authenticated_at: int = 0
    expires_at: int = 0
    kind: Kind = "person"
    mfa: bool = False
    spiffe_id: str = ""
    """Of the client certificate, when our listener verified it and the configuration names its trust domain."""
    certificate_subject: str = ""
    """Of the client certificate, when our listener verified it."""
    aliases: tuple[str, ...] = ()
    """Other names of the same person (e-mail, user name), folded: whoever shares one with somebody counts as them."""
    confirmation: str = ""
    """`jkt:` or `x5t#S256:` and the thumbprint of the key that was shown to be held; empty for a bearer token."""

    @property
    def uid(self) -> str:
        """`issuer|subject`."""
        return f"{self.issuer}|{self.subject}"

    def may_be(self, uid: str) -> bool:
        """Whether `uid` is this person's, or the same written another way: some issuers let people choose the case."""
        return folded_uid(self.uid) == folded_uid(uid)


MAX_ALIASES: Final = 16
"""Of one person; a list of a thousand addresses is a mistake of the configuration."""
_CARD_LIKE = re.compile(r"\d(?:[ .-]?\d){11,18}", re.ASCII)
"""As many digits as a card number has."""


def fold_aliases(subject: str, names: Iterable[str]) -> tuple[str, ...]:
    """`names` as `Principal.aliases`, and the subject where it is an address and so the same everywhere.

    Raises `Unverified`: TOKEN_CARD_DATA for a name that looks like a card number, for it would be kept as it is;
    TOKEN_INVALID for more than `MAX_ALIASES`.
    """
    folded = tuple(dict.fromkeys(filter(None, map(folded_uid, (*names, subject if "@" in subject else "")))))
    if len(folded) > MAX_ALIASES:
        raise Unverified(Reason.TOKEN_INVALID)
    for found in (found for name in folded for found in _CARD_LIKE.findall(name)):
        if passes_luhn("".join(filter(str.isdigit, found))):
            raise Unverified(Reason.TOKEN_CARD_DATA)
    return folded


def names_card_data(principal: Principal, mask: Callable[[str], str]) -> bool:
    """Whether `mask` finds something in what says who somebody is, and so is kept as it is: such a one is refused."""
    named = (principal.subject, principal.tenant, principal.spiffe_id, *principal.groups)
    return any(mask(text) != text for text in named)


def with_masked_words(principal: Principal, mask: Callable[[str], str]) -> Principal:
    """With the claims that only describe masked; for a principal of whom `names_card_data` says no."""
    return replace(
        principal,
        name=mask(principal.name),
        token_id=mask(principal.token_id),
        client=mask(principal.client),
        methods=tuple(mask(method) for method in principal.methods),
        context_class=mask(principal.context_class),
        spiffe_id=mask(principal.spiffe_id),
        certificate_subject=mask(principal.certificate_subject),
        confirmation=mask(principal.confirmation),
    )


def folded_uid(uid: str) -> str:
    """The same for all ways of writing one `uid`: compatible characters, letters of either case, blanks left out.

    OIDC tells subjects apart by case. Two people whose subjects differ in nothing else count as one, which is the
    stricter of the two mistakes: they cannot approve for each other, and they share their budgets.
    """
    return "".join(unicodedata.normalize("NFKC", uid).casefold().split())
