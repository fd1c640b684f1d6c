"""What comes with a token: the request it is sent in, proofs of possession, and the client's certificate."""

import re
from dataclasses import dataclass, field
from typing import Final

from extproc.core.claims import MAX_CLAIM_CHARS
from extproc.core.events import Attributes
from extproc.core.headers import Headers
from extproc.core.identity import UnverifiedToken, authorization_token
from extproc.core.reasons import Unverified

PROOF_HEADER: Final = "dpop"
MAX_SPIFFE_CHARS: Final = 2048
"""SPIFFE-ID §2.3."""

_SPIFFE = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+)+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Of the connection, as Envoy says it; its key was used in the handshake. `uri` is the first URI it names."""

    sha256: str = ""
    """Of the certificate, in hexadecimal."""
    subject: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Presented:
    """`proofs` are the values of the `DPoP` header, all of them."""

    proofs: tuple[bytes, ...] = field(default=(), repr=False)
    method: str = ""
    scheme: str = ""
    authority: str = ""
    path: str = field(default="", repr=False)
    """Without the query."""
    certificate: ClientCertificate = ClientCertificate()


NOTHING: Final = Presented()


def find_credentials(headers: Headers, attributes: Attributes) -> tuple[UnverifiedToken | None, Presented]:
    """The token, if there is one, and what comes with it. Without a token there is at least a certificate that names
    its holder; whether that is enough is not decided here. Raises as `authorization_token` does."""
    certificate = ClientCertificate(attributes.tls_sha256, attributes.tls_subject, attributes.tls_uri)
    presented = Presented(
        proofs=headers.all(PROOF_HEADER),
        method=headers.text(":method"),
        scheme=headers.text(":scheme"),
        authority=headers.text(":authority"),
        path=headers.text(":path").partition("?")[0],
        certificate=certificate,
    )
    try:
        return authorization_token(headers), presented
    except Unverified:  # none at all
        if not certificate.uri:
            raise
    return None, presented


def trust_domain(spiffe_id: str) -> str:
    """The trust domain of a workload's SPIFFE id (SPIFFE-ID §2); empty for what is none."""
    match = _SPIFFE.fullmatch(spiffe_id) if len(spiffe_id) <= MAX_SPIFFE_CHARS else None
    return match[1] if match else ""


def printable_subject(subject: str) -> str:
    """A certificate's subject as a record may show it: what does not print is a space, what is too long is cut."""
    return "".join(c if c.isprintable() else " " for c in subject)[:MAX_CLAIM_CHARS]
