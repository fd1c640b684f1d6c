"""Why an exchange ends early: one total table with the HTTP status, public sentence and `error.type` of each reason.

The sentence is all a client, a span or a log ever sees of a failure. It never contains input.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Stable codes: they appear in records, spans, metrics, access logs and error bodies (`error.code`)."""

    TOKEN_MISSING = "token_missing"  # noqa: S105 - a code, not a token
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105
    TOKEN_INVALID = "token_invalid"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_CARD_DATA = "token_card_data"  # noqa: S105
    TOKEN_GROUPS_UNKNOWN = "token_groups_unknown"  # noqa: S105
    TOKEN_BOUND = "token_bound"  # noqa: S105
    PROOF_MISSING = "proof_missing"
    PROOF_INVALID = "proof_invalid"
    PROOF_NONCE = "proof_nonce"
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    NO_SUCH_CONNECTION = "no_such_connection"
    NO_SUCH_MODEL = "no_such_model"
    NO_MODEL_NAMED = "no_model_named"
    PATH_INVALID = "path_invalid"
    HEADERS_INVALID = "headers_invalid"
    HEADERS_TOO_LARGE = "headers_too_large"
    UPGRADE_REFUSED = "upgrade_refused"
    URL_CARD_DATA = "url_card_data"
    URL_CREDENTIAL = "url_credential"
    POLICY_DENIED = "policy_denied"
    STEP_UP = "step_up"
    OBLIGATION_UNMET = "obligation_unmet"
    BUDGET_SPENT = "budget_spent"
    BUDGET_OF_CARDS_SPENT = "budget_of_cards_spent"
    BUDGETS_UNAVAILABLE = "budgets_unavailable"
    BODY_MALFORMED = "body_malformed"
    BODY_TOO_LARGE = "body_too_large"
    BODY_ENCODED = "body_encoded"
    BODY_TYPE_UNSUPPORTED = "body_type_unsupported"
    BODY_NOT_INSPECTABLE = "body_not_inspectable"
    BODY_TOO_COSTLY = "body_too_costly"
    APPROVAL_REASON_MISSING = "approval_reason_missing"
    APPROVAL_PENDING = "approval_pending"
    APPROVAL_REFUSED = "approval_refused"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    APPROVAL_REVOKED = "approval_revoked"
    APPROVAL_USED = "approval_used"
    APPROVAL_NOT_VOTED = "approval_not_voted"
    APPROVAL_MISMATCH = "approval_mismatch"
    APPROVAL_UNKNOWN = "approval_unknown"
    APPROVALS_UNAVAILABLE = "approvals_unavailable"
    RESPONSE_MALFORMED = "response_malformed"
    RESPONSE_ENCODED = "response_encoded"
    RESPONSE_TYPE_UNSUPPORTED = "response_type_unsupported"
    RESPONSE_TOO_LARGE = "response_too_large"
    RESPONSE_TOO_COSTLY = "response_too_costly"
    RESPONSE_CREDENTIAL = "response_credential"
    RESPONSE_RULE = "response_rule"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    POLICY_UNAVAILABLE = "policy_unavailable"
    MODES_UNSAFE = "modes_unsafe"
    PROTOCOL = "protocol"
    DRAINING = "draining"
    CLIENT_GONE = "client_gone"
    PROXY_LOCAL_REPLY = "proxy_local_reply"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the world may know of a reason. `status` is the HTTP status before response headers have left."""

    status: int
    sentence: str
    error_type: str
    retry_after_seconds: int | None = None


_AUTH = "authentication_error"
_PERMISSION = "permission_error"
_REQUEST = "invalid_request_error"
_RATE = "rate_limit_error"
_UPSTREAM = "upstream_error"
_SERVER = "server_error"

REFUSALS: dict[Reason, Refusal] = {
    Reason.TOKEN_MISSING: Refusal(401, "A bearer token is required.", _AUTH),
    Reason.TOKEN_MALFORMED: Refusal(401, "The bearer token is not a well-formed JWT.", _AUTH),
    Reason.TOKEN_INVALID: Refusal(401, "The bearer token was not accepted.", _AUTH),
    Reason.TOKEN_EXPIRED: Refusal(401, "The bearer token has expired.", _AUTH),
    Reason.TOKEN_CARD_DATA: Refusal(401, "The bearer token's claims contain card data.", _AUTH),
    Reason.TOKEN_GROUPS_UNKNOWN: Refusal(
        403, "The token does not list its groups, because they are too many; have the provider send fewer.", _AUTH
    ),
    Reason.TOKEN_BOUND: Refusal(401, "The token is bound to another client certificate.", _AUTH),
    Reason.PROOF_MISSING: Refusal(401, "The token is bound to a key; send it as DPoP, with a proof.", _AUTH),
    Reason.PROOF_INVALID: Refusal(401, "The DPoP proof was not accepted.", _AUTH),
    Reason.PROOF_NONCE: Refusal(401, "The DPoP proof must carry the nonce of this answer.", _AUTH),
    Reason.IDENTITY_UNAVAILABLE: Refusal(503, "The identity provider's keys are not available.", _SERVER, 5),
    Reason.NO_SUCH_CONNECTION: Refusal(404, "No model server is registered for this path.", _REQUEST),
    Reason.NO_SUCH_MODEL: Refusal(404, "No model server is registered for this model.", _REQUEST),
    Reason.NO_MODEL_NAMED: Refusal(
        404, "Model servers are chosen by the model here, and this request names none.", _REQUEST
    ),
    Reason.PATH_INVALID: Refusal(400, "The request path is not acceptable.", _REQUEST),
    Reason.HEADERS_INVALID: Refusal(400, "The request headers are not acceptable.", _REQUEST),
    Reason.HEADERS_TOO_LARGE: Refusal(431, "The request headers are too large.", _REQUEST),
    Reason.UPGRADE_REFUSED: Refusal(400, "Protocol upgrades are not accepted here.", _REQUEST),
    Reason.URL_CARD_DATA: Refusal(400, "The request URL contains card data.", _REQUEST),
    Reason.URL_CREDENTIAL: Refusal(400, "The request URL contains the caller's credential.", _REQUEST),
    Reason.POLICY_DENIED: Refusal(403, "The policy does not allow this request.", _PERMISSION),
    Reason.STEP_UP: Refusal(401, "This request needs a stronger or a more recent sign-in.", _AUTH),
    Reason.OBLIGATION_UNMET: Refusal(403, "What the policy asks of this request cannot be done for it.", _PERMISSION),
    Reason.BUDGET_SPENT: Refusal(429, "The budget for this use is spent.", _RATE),
    Reason.BUDGET_OF_CARDS_SPENT: Refusal(403, "The budget for card data is spent.", _PERMISSION),
    Reason.BUDGETS_UNAVAILABLE: Refusal(503, "What was used of a budget cannot be read now.", _SERVER, 5),
    Reason.BODY_MALFORMED: Refusal(400, "The request body does not parse as this API's format.", _REQUEST),
    Reason.BODY_TOO_LARGE: Refusal(413, "The request body is too large.", _REQUEST),
    Reason.BODY_ENCODED: Refusal(415, "Encoded request bodies are not accepted.", _REQUEST),
    Reason.BODY_TYPE_UNSUPPORTED: Refusal(415, "This content type cannot be inspected and is not accepted.", _REQUEST),
    Reason.BODY_NOT_INSPECTABLE: Refusal(400, "The request carries content that cannot be inspected.", _REQUEST),
    Reason.BODY_TOO_COSTLY: Refusal(413, "The request body holds too many numbers or values to inspect.", _REQUEST),
    Reason.APPROVAL_REASON_MISSING: Refusal(
        400,
        "This request needs a reason of 1 to 1000 characters in x-extproc-reason; of an emergency, in its own header.",
        _REQUEST,
    ),
    Reason.APPROVAL_PENDING: Refusal(202, "The request waits for an approval.", "approval_pending", 5),
    Reason.APPROVAL_REFUSED: Refusal(403, "The approval was refused.", _PERMISSION),
    Reason.APPROVAL_EXPIRED: Refusal(403, "The approval has expired.", _PERMISSION),
    Reason.APPROVAL_WITHDRAWN: Refusal(403, "The approval was withdrawn.", _PERMISSION),
    Reason.APPROVAL_REVOKED: Refusal(403, "The approval was revoked.", _PERMISSION),
    Reason.APPROVAL_USED: Refusal(403, "The approval has been used.", _PERMISSION),
    Reason.APPROVAL_NOT_VOTED: Refusal(
        403, "The approval is marked as granted, and not by the votes that its rule asks for.", _PERMISSION
    ),
    Reason.APPROVAL_MISMATCH: Refusal(
        403, "The approval is bound to a different request, or to another policy than is in force now.", _PERMISSION
    ),
    Reason.APPROVAL_UNKNOWN: Refusal(403, "There is no such approval.", _PERMISSION),
    Reason.APPROVALS_UNAVAILABLE: Refusal(503, "The approval store is not available.", _SERVER, 5),
    Reason.RESPONSE_MALFORMED: Refusal(502, "The model's answer could not be read and was withheld.", _UPSTREAM),
    Reason.RESPONSE_ENCODED: Refusal(502, "The model's answer was encoded and was withheld.", _UPSTREAM),
    Reason.RESPONSE_TYPE_UNSUPPORTED: Refusal(
        502, "The model's answer is of a type that cannot be inspected and was withheld.", _UPSTREAM
    ),
    Reason.RESPONSE_TOO_LARGE: Refusal(502, "The model's answer is too large and was withheld.", _UPSTREAM),
    Reason.RESPONSE_TOO_COSTLY: Refusal(
        502, "The model's answer holds too many numbers or values to inspect and was withheld.", _UPSTREAM
    ),
    Reason.RESPONSE_CREDENTIAL: Refusal(
        502, "The model's answer contained the model server's own credential and was withheld.", _UPSTREAM
    ),
    Reason.RESPONSE_RULE: Refusal(403, "The policy does not let this answer go on.", _PERMISSION),
    Reason.AUDIT_UNAVAILABLE: Refusal(503, "The exchange cannot be recorded now.", _SERVER, 5),
    Reason.POLICY_UNAVAILABLE: Refusal(503, "The policy is not available.", _SERVER, 5),
    Reason.MODES_UNSAFE: Refusal(500, "The proxy is not configured for inspection.", _SERVER),
    Reason.PROTOCOL: Refusal(500, "The proxy sent something unexpected.", _SERVER),
    Reason.DRAINING: Refusal(503, "The service is shutting down.", _SERVER, 1),
    Reason.CLIENT_GONE: Refusal(499, "The client left.", _REQUEST),
    Reason.PROXY_LOCAL_REPLY: Refusal(503, "The proxy answered itself.", _SERVER),
    Reason.INTERNAL: Refusal(500, "An internal error occurred.", _SERVER),
}


class ExchangeError(Exception):
    """A failure that carries a `Reason` and nothing else: never a body, token or card number."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Malformed(ExchangeError):
    """Bytes that are not what they should be."""


class Unverified(ExchangeError):
    """A credential that does not hold."""


class Unavailable(ExchangeError):
    """Something needed for a judgement cannot be reached."""
