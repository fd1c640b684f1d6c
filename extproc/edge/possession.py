"""What a token's holder must show with it: a DPoP proof, the client's certificate, or the certificate alone."""

import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from extproc.core.binding import Binding, Vouched
from extproc.core.dpop import DpopTerms, Proof, verify_proof
from extproc.core.identity import UnverifiedToken
from extproc.core.jws import encode_base64url
from extproc.core.presented import ClientCertificate, Presented, printable_subject, trust_domain
from extproc.core.principal import Principal
from extproc.core.reasons import Reason, Unavailable, Unverified

MAX_PROOFS: Final = 128 * 1024
"""Remembered at once, by one worker: with proofs of 60 s more than 1000 a second. One takes about 150 bytes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """`certificates_verified`: Envoy lets only certificates in that our `client_ca` signed. Without that nobody is
    known by a certificate; what a token is bound to is compared with it all the same."""

    dpop: DpopTerms = field(default_factory=DpopTerms)
    certificates_verified: bool = False
    trust_domains: tuple[str, ...] = ()


class Proofs:
    """Those that were used, each until it is too old anyhow."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._order: deque[tuple[float, bytes]] = deque()

    def see(self, proof: Proof, now: float) -> None:
        """Once, by this worker. More than can be remembered are refused: what is forgotten could be used again."""
        while self._order and self._order[0][0] < now:
            self._seen.discard(self._order.popleft()[1])
        if proof.seen_as in self._seen:
            raise Unverified(Reason.PROOF_INVALID)
        if len(self._seen) >= MAX_PROOFS:
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
        self._seen.add(proof.seen_as)
        # In the order of arrival: a proof that is older than the one before it is kept a little longer than it must be.
        last = self._order[-1][0] if self._order else 0.0
        self._order.append((max(last, proof.forgotten_at), proof.seen_as))

    def keep(self, longer_seconds: float) -> None:
        """All of them longer: proofs may be older from now on."""
        self._order = deque((forgotten_at + longer_seconds, seen_as) for forgotten_at, seen_as in self._order)


class Possession:
    """Turns what an issuer vouches for into a principal. Bound tokens without the key they are bound to are refused."""

    def __init__(self, terms: Terms, clock: Callable[[], float], proofs: Proofs | None = None) -> None:
        """`proofs` were used before; None: none was."""
        self._terms = terms
        self._clock = clock
        self._proofs = proofs or Proofs()

    def under(self, terms: Terms) -> "Possession":
        """Of other terms. What was used before them stays used."""
        self._proofs.keep(max(0, terms.dpop.max_age_seconds - self._terms.dpop.max_age_seconds))
        return Possession(terms, self._clock, self._proofs)

    def confirm(self, vouched: Vouched, token: UnverifiedToken, presented: Presented) -> Principal:
        """Who sends this request. Raises `Unverified` with `PROOF_…` or `TOKEN_BOUND` for what is not shown, and
        `Unavailable(IDENTITY_UNAVAILABLE)` when no further proof can be remembered."""
        binding = vouched.binding
        if token.scheme == "dpop" or binding.jkt or presented.proofs:
            self._confirm_key(binding, token, presented)
        if binding.x5t and binding.x5t != _x5t(presented.certificate):
            raise Unverified(Reason.TOKEN_BOUND)
        principal = vouched.principal
        if binding.jkt or binding.x5t:
            principal = replace(principal, confirmation=_confirmation(binding))
        return self._with_certificate(principal, presented.certificate)

    def workload(self, certificate: ClientCertificate) -> Principal:
        """The workload that a certificate names by its SPIFFE id. Raises `Unverified(TOKEN_MISSING)` for any other."""
        spiffe_id = self._spiffe_id(certificate)
        if not spiffe_id:
            raise Unverified(Reason.TOKEN_MISSING)
        return Principal(
            issuer=f"spiffe://{trust_domain(spiffe_id)}",
            subject=spiffe_id,
            name="",
            groups=(),
            kind="service",
            spiffe_id=spiffe_id,
            certificate_subject=printable_subject(certificate.subject),
            confirmation=_confirmation(Binding(x5t=_x5t(certificate))),
        )

    def _confirm_key(self, binding: Binding, token: UnverifiedToken, presented: Presented) -> None:
        """RFC 9449 §7: a bound token is not accepted under another scheme, nor one that is not bound under this."""
        if token.scheme != "dpop":
            raise Unverified(Reason.PROOF_MISSING if binding.jkt else Reason.PROOF_INVALID)
        if not binding.jkt:
            raise Unverified(Reason.TOKEN_INVALID)
        proof = verify_proof(token.compact, presented, self._terms.dpop, self._clock())
        if not hmac.compare_digest(proof.thumbprint, binding.jkt):
            raise Unverified(Reason.PROOF_INVALID)
        self._proofs.see(proof, self._clock())

    def _with_certificate(self, principal: Principal, certificate: ClientCertificate) -> Principal:
        if not self._terms.certificates_verified or not certificate.sha256:
            return principal
        return replace(
            principal,
            spiffe_id=self._spiffe_id(certificate),
            certificate_subject=printable_subject(certificate.subject),
        )

    def _spiffe_id(self, certificate: ClientCertificate) -> str:
        if not self._terms.certificates_verified or not certificate.sha256:
            return ""
        domain = trust_domain(certificate.uri)
        return certificate.uri if domain and domain in self._terms.trust_domains else ""


def _x5t(certificate: ClientCertificate) -> str:
    """RFC 8705 §3.1, of Envoy's digest; empty without a certificate."""
    try:
        return encode_base64url(bytes.fromhex(certificate.sha256))
    except ValueError:
        return ""


def _confirmation(binding: Binding) -> str:
    if binding.jkt:
        return f"jkt:{binding.jkt}"
    return f"x5t#S256:{binding.x5t}"
