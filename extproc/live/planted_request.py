"""A request with a test card number, sent through a live gateway, and what must be true of it afterwards.

Nothing here prints a number, a token or a body: a check says that something stands there, or what stands in its place.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from extproc.audit.names import Origin
from extproc.audit.refusal import AuditRefused
from extproc.live.check import Check, failed, left, passed
from extproc.live.echo_model import ANSWERED, Arrived, EchoModel

PLANTED: Final = "4111111111111111"
"""Visa's test number: no account has it."""
MAX_ANSWER_BYTES: Final = 1024 * 1024
_TIMEOUT_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 1.0
_RECEIPT = re.compile(r"(?P<origin>[^#\s]+)#[1-9][0-9]*", re.ASCII)
_NOT_YET: Final = frozenset({502, 503, 504})
"""While endpoints of a Service are not known everywhere."""
_MODEL_UNMET: Final = "is `model` led to the probe by a connection, and does the policy allow the probe's identity?"


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where to ask and as whom. `url` has no slash at its end."""

    url: str
    token: str = field(repr=False)
    model: str
    http: httpx.Client = field(repr=False)
    wait_seconds: float = 60.0
    """How long what is not there yet may take: endpoints, and the record in the index."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One planted exchange. `marker` stands in the request's text, and names it wherever it is found."""

    marker: str
    trace_id: str
    status: int
    headers: httpx.Headers = field(repr=False)
    text: str = field(repr=False)
    """Of the answer, put together where it was streamed."""

    @property
    def exchange_id(self) -> str:
        return str(self.headers.get("x-extproc-exchange", ""))


def plant(gateway: Gateway, *, stream: bool) -> Exchanged | None:
    """Ask, again while the way is not there yet. None where nobody answered."""
    until = time.monotonic() + gateway.wait_seconds
    while True:
        found = _ask(gateway, stream=stream)
        if (found is not None and found.status not in _NOT_YET) or time.monotonic() > until:
            return found
        time.sleep(_AGAIN_SECONDS)


def check_strangers(gateway: Gateway) -> Check:
    """Whoever shows no token gets 401."""
    try:
        status = gateway.http.post(f"{gateway.url}/v1/chat/completions", json=_body(gateway, "none", stream=False))
    except httpx.HTTPError as error:
        return failed("stranger", f"the gateway does not answer ({type(error).__name__})")
    if status.status_code == httpx.codes.UNAUTHORIZED:
        return passed("stranger", "a request without a token is refused")
    return failed("stranger", f"a request without a token got {status.status_code}, not 401", "this is no guarded way")


def check_exchange(found: Exchanged | None, name: str) -> Iterator[Check]:
    """What the client sees: it went on, is named, has a receipt, and no number came back."""
    if found is None:
        yield failed(name, "the gateway did not answer", "is its Service reached from here? See NetworkPolicy")
        return
    if found.status != httpx.codes.OK:
        code = _code(found.text)
        yield failed(name, f"the gateway answered {found.status}{f', {code}' if code else ''}", _MODEL_UNMET)
        return
    yield passed(name, f"answered as exchange {found.exchange_id}" if found.exchange_id else "answered")
    if not found.exchange_id:
        yield failed(f"{name}, guarded", "the answer has no x-extproc-exchange", "it did not come through extproc")
    yield _check_receipt(found, name)
    yield _check_absent(f"{name}, answer masked", found.text, "the answer")


def check_reached(found: Exchanged, echo: EchoModel | None, token: str, name: str) -> Iterator[Check]:
    """What the model server was sent, where the probe is the model server."""
    if echo is None:
        yield left(f"{name}, at the model", "not looked at without --echo")
        return
    arrived = next(echo.with_marker(found.marker), None)
    if arrived is None:
        yield failed(f"{name}, at the model", "the request did not reach the probe's own model server", _MODEL_UNMET)
        return
    yield _check_absent(f"{name}, request masked", arrived.body.decode("utf-8", "replace"), "what reached the model")
    yield _check_token(arrived, token, name)
    yield _check_trace(found, arrived, name)


def _ask(gateway: Gateway, *, stream: bool) -> Exchanged | None:
    marker, trace_id = f"probe-{secrets.token_hex(8)}", secrets.token_hex(16)
    headers = {
        "authorization": f"Bearer {gateway.token}",
        "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",
    }
    url, body = f"{gateway.url}/v1/chat/completions", _body(gateway, marker, stream=stream)
    try:
        with gateway.http.stream("POST", url, json=body, headers=headers, timeout=_TIMEOUT_SECONDS) as answer:
            read = b""
            for piece in answer.iter_bytes():
                read += piece
                if len(read) > MAX_ANSWER_BYTES:
                    return None
    except httpx.HTTPError:
        return None
    text = read.decode("utf-8", "replace")
    return Exchanged(marker, trace_id, answer.status_code, answer.headers, _put_together(text) if stream else text)


def _body(gateway: Gateway, marker: str, *, stream: bool) -> dict[str, Any]:
    said = f"{marker}: the customer paid with card {PLANTED}, please confirm."
    return {"model": gateway.model, "max_tokens": 64, "stream": stream, "messages": [{"role": "user", "content": said}]}


def _put_together(text: str) -> str:
    """The text of a streamed answer; what is no event of ours stays as it is, so that nothing goes unread."""
    parts = []
    for line in text.splitlines():
        try:
            parts += [str(each["delta"].get("content") or "") for each in json.loads(line[6:])["choices"]]
        except (ValueError, LookupError, TypeError, AttributeError):
            parts.append(line)
    return "".join(parts)


def _check_receipt(found: Exchanged, name: str) -> Check:
    receipt = found.headers.get("x-audit-receipt", "")
    match = _RECEIPT.fullmatch(receipt)
    try:
        if match is not None and Origin.parse(match["origin"]):
            return passed(f"{name}, receipt", receipt)
    except AuditRefused:
        pass
    return failed(f"{name}, receipt", "the answer has no x-audit-receipt that names a record")


def _check_absent(name: str, text: str, where: str) -> Check:
    """No number of ours, however it is separated."""
    digits = re.sub(r"[^0-9]", "", text)
    if PLANTED in digits or ANSWERED in digits:
        return failed(name, f"{where} has a card number in clear", "which rule of the policy masks `pan` here?")
    return passed(name, f"{where} has no card number")


def _check_token(arrived: Arrived, token: str, name: str) -> Check:
    if any(token in value for _, value in arrived.headers):
        return failed(f"{name}, token kept", "the caller's token reached the model server")
    return passed(f"{name}, token kept", "the caller's token did not reach the model server")


def _check_trace(found: Exchanged, arrived: Arrived, name: str) -> Check:
    if arrived.header("traceparent")[3:35] == found.trace_id:
        return passed(f"{name}, trace", f"the model server is part of trace {found.trace_id}")
    return failed(f"{name}, trace", "the request reached the model server without the trace that it began with")


def _code(text: str) -> str:
    """What the refusal is called: a word of ours, or nothing."""
    try:
        code = json.loads(text)["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return ""
    return code if isinstance(code, str) and re.fullmatch(r"[a-z0-9_]{1,64}", code) else ""
