"""W3C `traceparent`: the span that an exchange belongs under."""

import re
from typing import Final, NamedTuple

_SHAPE: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 0x01


class TraceParent(NamedTuple):
    """Ids in lower-case hexadecimal, 32 and 16 digits."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(text: str) -> TraceParent | None:
    """The remote parent (Trace Context, section 3.2), or None where the text is not well-formed."""
    match = _SHAPE.fullmatch(text)
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN:
        return None
    return TraceParent(match[1], match[2], bool(int(match[3], 16) & _SAMPLED))
