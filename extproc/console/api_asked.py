"""What an API request says: its query, its body, each bounded and read strictly."""

import asyncio
import base64
import binascii
import math
import re
from typing import Any, Final, TypeVar, get_args

import msgspec
from starlette.requests import ClientDisconnect, Request

from extproc.console.api_problem import ProblemCode, Refused
from extproc.core.approval import Approval
from extproc.core.dialects.strict_json import parse_json
from extproc.core.reasons import Malformed, Reason

MAX_BODY_BYTES: Final = 32 * 1024
"""A reason of the longest kind in escapes, and some."""
BODY_SECONDS: Final = 10.0
MAX_PARAMETER: Final = 500
MAX_PARAMETERS: Final = 32
_MAX_DEPTH: Final = 4

_NAME: Final = re.compile(r"[A-Za-z_]{1,64}")

T = TypeVar("T")


async def read_body(request: Request, kind: type[T]) -> T:
    """A JSON object of that shape. Raises `Refused`."""
    data = await _read(request)
    if request.headers.getlist("content-encoding"):
        raise Refused(ProblemCode.BODY_NOT_JSON)
    media = request.headers.getlist("content-type")
    if data and [each.partition(";")[0].strip().lower() for each in media] != ["application/json"]:
        raise Refused(ProblemCode.BODY_NOT_JSON)
    try:
        said = parse_json(data or b"{}", _MAX_DEPTH, Reason.BODY_MALFORMED)
    except Malformed:
        raise Refused(ProblemCode.BODY_INVALID) from None
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError:
        raise Refused(ProblemCode.BODY_INVALID, field=_at_fault(said, kind, strict=True)) from None


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise Refused(ProblemCode.BODY_TOO_LARGE)
    except (TimeoutError, ClientDisconnect):
        raise Refused(ProblemCode.BODY_INVALID) from None
    return bytes(body)


def read_query(request: Request, kind: type[T]) -> T:
    """The parameters by the fields of `kind`: each that takes several may be repeated, all others stand once.

    Raises `Refused`.
    """
    pairs = request.query_params.multi_items()
    said: dict[str, object] = {}
    several = {field.name for field in _fields(kind) if "tuple" in str(field.type)}
    if len(pairs) > MAX_PARAMETERS:
        raise Refused(ProblemCode.PARAMETER_INVALID)
    for name, value in pairs:
        if len(value) > MAX_PARAMETER or not value.isprintable() or (name in said and name not in several):
            raise Refused(ProblemCode.PARAMETER_INVALID, field=_named(name))
        said[name] = [*said.get(name, []), value] if name in several else value  # type: ignore[misc]
    try:
        return msgspec.convert(said, kind, strict=False)
    except msgspec.ValidationError:
        field = _at_fault(said, kind, strict=False)
        raise Refused(ProblemCode.PARAMETER_INVALID, field=field, detail=_taken(kind, field)) from None


def _fields(kind: type[Any]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _at_fault(said: object, kind: type[Any], *, strict: bool) -> str:
    """The first field that `kind` does not take like that: its own in their order, then those that it has not."""
    if not isinstance(said, dict):
        return ""
    fields = {field.encode_name: field for field in _fields(kind)}
    for name, field in fields.items():
        if name not in said and field.required:
            return name
        try:
            msgspec.convert(said.get(name), field.type if name in said else Any, strict=strict)
        except msgspec.ValidationError:
            return name
    return next((_named(name) for name in said if name not in fields), "")


def _taken(kind: type[Any], parameter: str) -> str:
    """What the documentation says of a parameter that `kind` has; of any other, which ones it has."""
    fields = {field.encode_name: field.type for field in _fields(kind)}
    if parameter not in fields:
        return f"The parameters are: {', '.join(fields)}." if fields else "There are no parameters."
    notes = (each for each in get_args(fields[parameter]) if isinstance(each, msgspec.Meta))
    return next((each.description for each in notes if each.description), "")


def _named(name: str) -> str:
    """A name that a client made up is said only where it can be no number of a card and steers nothing."""
    return name if _NAME.fullmatch(name) else ""


def cursor_after(approval: Approval) -> str:
    """Where the page behind `approval` begins."""
    data = msgspec.json.encode((approval.created_at, approval.approval_id))
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def read_cursor(text: str) -> tuple[float, str] | None:
    """What `cursor_after` gave; None for no cursor. Raises `Refused`."""
    if not text:
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        created_at, approval_id = msgspec.json.decode(data, type=tuple[float, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Refused(ProblemCode.PARAMETER_INVALID, field="cursor") from None
    if not math.isfinite(created_at) or "\0" in approval_id:
        raise Refused(ProblemCode.PARAMETER_INVALID, field="cursor")
    return created_at, approval_id
