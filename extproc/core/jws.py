"""A compact JWS (RFC 7515) taken apart, strictly: bounded, one reading of its JSON, nothing that asks for more."""

import base64
import json
import re
from typing import Final, NoReturn

from extproc.core.reasons import Malformed, Reason

MAX_TOKEN_CHARS: Final = 16 * 1024
"""A token with some hundred groups takes about 8 KiB."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", re.ASCII)


def parse_compact(compact: str) -> tuple[dict[str, object], dict[str, object]]:
    """Header and payload of a compact JWS of at most `MAX_TOKEN_CHARS`; nothing of them is verified.

    Raises `Malformed(TOKEN_MALFORMED)`, also for one that must be understood in a way we do not: critical headers
    (RFC 7515 §4.1.11), an unencoded payload (RFC 7797), a nested token (`cty`, RFC 7519 §5.2).
    """
    match = _COMPACT.fullmatch(compact) if len(compact) <= MAX_TOKEN_CHARS else None
    if match is None:
        raise Malformed(Reason.TOKEN_MALFORMED)
    try:
        header, payload = (parse_json_object(base64url(part)) for part in match.groups())
    except ValueError:
        header = payload = {}
    if not header or "crit" in header or "b64" in header or "cty" in header:
        raise Malformed(Reason.TOKEN_MALFORMED)
    return header, payload


def parse_json_object(data: bytes) -> dict[str, object]:
    """A JSON object in UTF-8, unique names, no NaN. Raises `ValueError`, whose text may hold input: do not chain it."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
    except RecursionError:
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError("not a JSON object")


def token_type(header: dict[str, object]) -> str:
    """The `typ` of a JWS header in lower case without `application/` (RFC 7515 §4.1.9); empty without one."""
    return str(header.get("typ", "")).lower().removeprefix("application/")


def base64url(part: str) -> bytes:
    """RFC 7515 §2, no padding. Raises `ValueError`."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def encode_base64url(data: bytes) -> str:
    """RFC 7515 §2, no padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("not a finite number")
