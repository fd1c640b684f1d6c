"""A case of a policy: a request at a fixed time, by a given principal, and what must come of it. Plain data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from extproc.core.headers import Headers
from extproc.core.policy import RawCase, ResponseCounts
from extproc.core.principal import Principal

EXPECTATIONS: Final = (
    "refused", "effect", "rule", "text", "hold", "step_up", "obligations", "shadow", "masked", "response",
)  # fmt: skip
"""What a case can expect, in the order in which differences are told."""
NO_RULE: Final = "none"
"""What `expect.response` says of an answer that no response rule cuts."""
DEFAULT_ISSUER: Final = "https://issuer.test"
DEFAULT_CONNECTION: Final = "default"
DEFAULT_CONTENT_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """As the client sends it. `headers` hold the path below the connection's prefix; `body` None: there is none."""

    connection: str
    source_address: str
    headers: Headers = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `line` and `column` say where it stands in its document; `expect` is as the document writes it."""

    name: str
    line: int
    column: int
    now_unix: float
    principal: Principal
    request: CaseRequest
    budgets: Mapping[str, int]
    response: ResponseCounts | None
    expect: Mapping[str, Any] = field(repr=False)


def parse_time(text: str) -> float:
    """Unix seconds of a time whose form the schema has checked. Raises `ValueError` for one that does not exist."""
    return datetime.fromisoformat(text).timestamp()


def build_case(raw: RawCase) -> Case:
    """The case that a document without problems says."""
    given = raw.value
    response = given.get("response")
    return Case(
        name=given["name"],
        line=raw.line,
        column=raw.column,
        now_unix=parse_time(given["now"]),
        principal=_build_principal(given["principal"]),
        request=_build_request(given["request"]),
        budgets=given.get("budgets", {}),
        response=None if response is None else ResponseCounts(**response),
        expect=given["expect"],
    )


def _build_principal(given: Mapping[str, Any]) -> Principal:
    signed_in = given.get("authenticated_at")
    texts = {key: given.get(key, "") for key in ("tenant", "client", "context_class", "spiffe_id")}
    return Principal(
        issuer=given.get("issuer", DEFAULT_ISSUER),
        subject=given["subject"],
        name=given.get("name", given["subject"]),
        groups=tuple(given.get("groups", ())),
        methods=tuple(given.get("methods", ())),
        kind=given.get("kind", "person"),
        mfa=given.get("mfa", False),
        authenticated_at=0 if signed_in is None else int(parse_time(signed_in)),
        **texts,
    )


def _build_request(given: Mapping[str, Any]) -> CaseRequest:
    body = _encode(given["body"]) if "body" in given else None
    pairs = {":method": given.get("method", "POST"), ":path": given["path"], ":authority": "extproc.test"}
    if body is not None:
        pairs["content-type"] = given.get("content_type", DEFAULT_CONTENT_TYPE)
        pairs["content-length"] = str(len(body))
    pairs |= given.get("headers", {})
    return CaseRequest(
        connection=given.get("connection", DEFAULT_CONNECTION),
        source_address=given.get("source_address", ""),
        headers=Headers(tuple((name, value.encode()) for name, value in pairs.items())),
        body=body,
    )


def _encode(body: Mapping[str, Any] | str) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode()
