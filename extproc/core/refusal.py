"""What a client gets when an exchange ends early: the API's own error shape, the exchange id, nothing internal."""

from urllib.parse import quote

from extproc.core.actions import Respond
from extproc.core.dialects.errors import render_error
from extproc.core.forwarding import APPROVAL_HEADER, EXCHANGE_HEADER
from extproc.core.issuer import KEY_TYPES
from extproc.core.ledger import Ledger
from extproc.core.policy import StepUp
from extproc.core.reasons import REFUSALS, Reason
from extproc.core.record import EventCode

_PROOF_ERRORS = {
    Reason.PROOF_MISSING: "invalid_token",
    Reason.PROOF_INVALID: "invalid_dpop_proof",
    Reason.PROOF_NONCE: "use_dpop_nonce",
}
_CODES = {
    "authentication_error": EventCode.AUTH_FAIL,
    "permission_error": EventCode.POLICY_DENY,
    "rate_limit_error": EventCode.POLICY_DENY,
}


def refusal_code(reason: Reason) -> EventCode:
    """Under which PCI DSS 10.2.1 event a refusal is recorded."""
    if reason is Reason.APPROVAL_PENDING:
        return EventCode.APPROVAL_WAIT_OVER
    return _CODES.get(REFUSALS[reason].error_type, EventCode.REQUEST_REFUSE)


def _challenge(reason: Reason, step_up: StepUp | None, classes: tuple[str, ...], *, mfa: bool) -> bytes:
    """RFC 6750 §3, RFC 9449 §7.1 where a proof is what was wrong, RFC 9470 §3 where another sign-in would do."""
    if reason in _PROOF_ERRORS:
        return f'DPoP realm="extproc", error="{_PROOF_ERRORS[reason]}", algs="{" ".join(KEY_TYPES)}"'.encode()
    if step_up is not None:
        return _step_up(step_up, classes, lacks_factor=step_up.mfa and not mfa)
    error = b"" if reason is Reason.TOKEN_MISSING else b', error="invalid_token"'
    return b'Bearer realm="extproc"' + error


def _step_up(wanted: StepUp, classes: tuple[str, ...], *, lacks_factor: bool) -> bytes:
    why = "a second factor is required" if lacks_factor else "a more recent sign-in is required"
    challenge = f'Bearer realm="extproc", error="insufficient_user_authentication", error_description="{why}"'
    if wanted.max_age_seconds > 0:
        challenge += f", max_age={int(wanted.max_age_seconds)}"
    if wanted.mfa and classes:
        challenge += f', acr_values="{" ".join(classes)}"'
    return challenge.encode()


def render_refusal(
    ledger: Ledger,
    reason: Reason,
    *,
    text: str = "",
    rule: str = "",
    approval_id: str = "",
    nonce: str = "",
    retry_after_seconds: int = 0,
    step_up: StepUp | None = None,
    mfa_classes: tuple[str, ...] = (),
    mfa: bool = False,
    approvals_url: str = "",
) -> Respond:
    """`text` is the operator's own sentence, from the policy; without one the reason's public sentence is used.
    `rule` is which rule refuses, where it is not the one that decided about the request.

    `nonce` is for the proof with which the client comes back (RFC 9449 §9), `step_up` says how to sign in (RFC 9470),
    `mfa_classes` by which names the issuer knows several factors; `mfa` whether the caller gave them. `approvals_url`
    is where an approval is looked at, with `{id}` for its id.
    """
    refusal = REFUSALS[reason]
    extra: dict[str, object] = {}
    rule = rule or ledger.policy.rule
    if rule:
        extra["rule"] = rule
    if approval_id:
        extra["approval_id"] = approval_id
        if approvals_url:
            extra["approval_url"] = approvals_url.replace("{id}", quote(approval_id, safe=""))
    body, content_type = render_error(
        ledger.operation, refusal, reason, text or refusal.sentence, ledger.exchange_id, extra
    )
    headers = [("content-type", content_type.encode()), (EXCHANGE_HEADER, ledger.exchange_id.encode())]
    if refusal.status == 401:
        headers.append(("www-authenticate", _challenge(reason, step_up, mfa_classes, mfa=mfa)))
    if nonce:
        headers.append(("dpop-nonce", nonce.encode()))
    if retry_after := retry_after_seconds or refusal.retry_after_seconds:
        headers.append(("retry-after", str(retry_after).encode()))
    if approval_id:
        headers.append((APPROVAL_HEADER, approval_id.encode("latin-1", "replace")))
    return Respond(refusal.status, tuple(headers), body, f"extproc:{reason.value}:{rule or '-'}")
