"""A multipart/form-data body, strictly (RFC 7578 over RFC 2046): what two parsers could cut differently is refused.

Refused: a preamble or epilogue, a boundary anywhere but between parts, bare line feeds around one, headers other than
Content-Disposition, Content-Type and Content-Length, names with escapes, `filename*`.
"""

import re
from dataclasses import dataclass, field

from extproc.core.reasons import Malformed, Reason

_CONTENT_TYPE = re.compile(
    r'multipart/form-data\s*;\s*boundary=(?:"([0-9A-Za-z\'()+_,./:=? -]{1,70})"|([0-9A-Za-z\'+_.-]{1,70}))\s*\Z',
    re.IGNORECASE,
)
_DISPOSITION = re.compile(
    r'form-data; name="([A-Za-z0-9_.\[\]-]{1,128})"(?:; filename="([^"\\\x00-\x1f\x7f]{0,255})")?\Z'
)
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:; ?[a-z]{1,20}=[A-Za-z0-9_-]{1,40})?\Z"
)
_MAX_PARTS = 256
_MAX_HEADER_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Part:
    """One field or file. `filename` is None for a field. `content_type` is empty where none is given."""

    name: str
    filename: str | None = field(repr=False)
    content_type: str
    content: bytes = field(repr=False)


def is_multipart(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def parse_multipart(content_type: str, body: bytes) -> list[Part]:
    """The parts in order, or `Malformed(BODY_MALFORMED)`."""
    delimiter = _delimiter(content_type)
    sections = body.split(delimiter)
    first, last = sections[0], sections[-1]
    if first or last not in {b"--", b"--\r\n"} or not 3 <= len(sections) <= _MAX_PARTS + 2:
        raise Malformed(Reason.BODY_MALFORMED)
    return [_part(section) for section in sections[1:-1]]


def write_multipart(content_type: str, parts: list[Part]) -> bytes:
    """The body of `parts`, under the boundary that the content type names."""
    delimiter = _delimiter(content_type)
    body = b"".join(delimiter + _head(part) + part.content + b"\r\n" for part in parts) + delimiter + b"--\r\n"
    if body.count(delimiter) != len(parts) + 1:
        raise Malformed(Reason.BODY_MALFORMED)
    return body


def _delimiter(content_type: str) -> bytes:
    match = _CONTENT_TYPE.match(content_type.strip())
    boundary = (match[1] or match[2]) if match else ""
    if not boundary or boundary.endswith(" "):
        raise Malformed(Reason.BODY_TYPE_UNSUPPORTED)
    return b"--" + boundary.encode()


def _part(section: bytes) -> Part:
    head, blank, content = section.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    sound = blank and not lines[0] and content.endswith(b"\r\n") and len(head) <= _MAX_HEADER_BYTES
    headers = _headers(lines[1:]) if sound else {}
    disposition = _DISPOSITION.match(headers.get("content-disposition", ""))
    content_type = headers.get("content-type", "")
    length = headers.get("content-length", str(len(content) - 2))
    if disposition is None or (content_type and not _MEDIA_TYPE.match(content_type)) or length != str(len(content) - 2):
        raise Malformed(Reason.BODY_MALFORMED)
    return Part(disposition[1], disposition[2], content_type, content[:-2])


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        text = _text(line)
        name, colon, value = text.partition(":")
        name = name.lower()
        if not colon or name in headers or name not in {"content-disposition", "content-type", "content-length"}:
            raise Malformed(Reason.BODY_MALFORMED)
        headers[name] = value.strip(" \t")
    return headers


def _text(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    if "\ufffd" in text or "\n" in text or "\r" in text:
        raise Malformed(Reason.BODY_MALFORMED)
    return text


def _head(part: Part) -> bytes:
    filename = "" if part.filename is None else f'; filename="{part.filename}"'
    content_type = f"Content-Type: {part.content_type}\r\n" if part.content_type else ""
    return f'\r\nContent-Disposition: form-data; name="{part.name}"{filename}\r\n{content_type}\r\n'.encode()
