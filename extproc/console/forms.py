"""A posted form, read whole and bounded: each field once, nothing that is not a form."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

MAX_FORM_BYTES: Final = 512 * 1024
"""A response of the largest size we read, in base64 and percent-encoded."""
MAX_FIELDS: Final = 16
BODY_SECONDS: Final = 10.0
"""From the first byte of a body to its last."""


class FormInvalid(Exception):
    """The body is no form that we read. Holds nothing of it."""


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body. Raises `FormInvalid`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise FormInvalid("the body is not a form")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_BYTES:
                    raise FormInvalid("the body is too large")
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MAX_FIELDS
        )
    except (ValueError, TimeoutError, ClientDisconnect):
        raise FormInvalid("the body is not a form") from None
    found = dict(fields)
    if len(found) != len(fields):  # RFC 6749 §3.2
        raise FormInvalid("a field stands twice")
    return found
