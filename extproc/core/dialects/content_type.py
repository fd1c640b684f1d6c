"""What a content type says about how a body is read."""

from enum import Enum


class Form(Enum):
    NONE = "none"
    JSON = "json"
    SSE = "sse"
    NDJSON = "ndjson"
    JSON_LINES = "json_lines"
    TEXT = "text"
    OTHER = "other"


_FORMS = {
    "application/json": Form.JSON,
    "text/json": Form.JSON,
    "text/event-stream": Form.SSE,
    "application/x-ndjson": Form.NDJSON,
    "application/ndjson": Form.NDJSON,
    "application/jsonl": Form.JSON_LINES,
    "application/jsonlines": Form.JSON_LINES,
    "application/x-jsonlines": Form.JSON_LINES,
    "text/plain": Form.TEXT,
}
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})


def find_form(content_type: str) -> Form:
    """The form of a body. A character set other than UTF-8, or anything not plainly said, is `OTHER`."""
    if not content_type.strip():
        return Form.NONE
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in _CHARSETS:
            return Form.OTHER
    if media_type.startswith("application/") and media_type.endswith("+json") and "," not in media_type:
        return Form.JSON
    return _FORMS.get(media_type, Form.OTHER)
