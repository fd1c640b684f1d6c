"""What the JSON API answers when it does not do what was asked: RFC 9457, with a code that programs may rely on."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response

from extproc.core.approval import SENTENCES, TransitionCode

PROBLEM_TYPE: Final = "application/problem+json"
_URN: Final = "urn:extproc:problem:"


class ProblemCode(StrEnum):
    """Stable. A step that the rules of approvals refuse has its own code: one of `TransitionCode`."""

    TOKEN_MISSING = "token_missing"  # noqa: S105 - a code, not a token
    TOKEN_INVALID = "token_invalid"  # noqa: S105
    TOO_MANY_FAILURES = "too_many_failures"
    ROLE_MISSING = "role_missing"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    PARAMETER_INVALID = "parameter_invalid"
    BODY_NOT_JSON = "body_not_json"
    BODY_INVALID = "body_invalid"
    BODY_TOO_LARGE = "body_too_large"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


PROBLEMS: Final[Mapping[ProblemCode, tuple[int, str]]] = {
    ProblemCode.TOKEN_MISSING: (401, "A bearer token is required."),
    ProblemCode.TOKEN_INVALID: (401, "The token is not accepted."),
    ProblemCode.TOO_MANY_FAILURES: (429, "This address or caller failed too often; try again later."),
    ProblemCode.ROLE_MISSING: (403, "None of the caller's groups has the role that this needs (`console.roles`)."),
    ProblemCode.NOT_FOUND: (404, "There is no such thing."),
    ProblemCode.METHOD_NOT_ALLOWED: (405, "This method does nothing here."),
    ProblemCode.PARAMETER_INVALID: (400, "A query parameter is unknown, stands twice or has no such value."),
    ProblemCode.BODY_NOT_JSON: (415, "The body must be JSON (`content-type: application/json`)."),
    ProblemCode.BODY_INVALID: (400, "The body is not what the OpenAPI document says."),
    ProblemCode.BODY_TOO_LARGE: (413, "The body is too large."),
    ProblemCode.UNAVAILABLE: (503, "What this needs, or its record, is unavailable; try again later."),
    ProblemCode.FAILED: (500, "Something went wrong here."),
}
"""Status and sentence of each; the sentence never holds input."""

_FORBIDDEN = {
    TransitionCode.OWN_REQUEST,
    TransitionCode.NOT_AN_APPROVER,
    TransitionCode.NOT_A_PERSON,
    TransitionCode.OTHER_REQUESTER,
}
_UNPROCESSABLE = {TransitionCode.REASON_EMPTY, TransitionCode.REASON_TOO_LONG, TransitionCode.REASON_UNPRINTABLE}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body. `type` names the code, `title` is its sentence."""

    type: str
    title: str
    status: int
    code: str
    field: Annotated[str, Meta(description="Which parameter, or field of the body, is at fault; else empty.")] = ""
    detail: Annotated[str, Meta(description="What would be taken there, where that can be said; else empty.")] = ""


class Refused(Exception):
    """An answer of the API that ends what was asked. Holds nothing of it but the name of a field (`named`)."""

    def __init__(
        self, code: ProblemCode | TransitionCode, *, field: str = "", detail: str = "", retry_after: int = 0
    ) -> None:
        super().__init__(code.value)
        self.code = code
        self.field = field
        self.detail = detail
        self.retry_after = retry_after


def status_of(code: ProblemCode | TransitionCode) -> int:
    """Without the right to it 403, unknown 404, a reason that cannot be kept 422; else 409: not now or not any more."""
    if isinstance(code, ProblemCode):
        return PROBLEMS[code][0]
    if code is TransitionCode.UNKNOWN:
        return 404
    if code in _FORBIDDEN:
        return 403
    return 422 if code in _UNPROCESSABLE else 409


def problem(refused: Refused) -> Response:
    """The answer."""
    code, status = refused.code, status_of(refused.code)
    title = PROBLEMS[code][1] if isinstance(code, ProblemCode) else SENTENCES[code]
    body = Problem(
        type=_URN + code.value, title=title, status=status, code=code.value, field=refused.field, detail=refused.detail
    )
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        error = ', error="invalid_token"' if code is ProblemCode.TOKEN_INVALID else ""  # RFC 6750 §3
        headers["www-authenticate"] = f'Bearer realm="extproc"{error}'
    if refused.retry_after:
        headers["retry-after"] = str(refused.retry_after)
    return Response(msgspec.json.encode(body), status, headers, PROBLEM_TYPE)
