"""From a method and a path to what is asked: one spelling of a path, and the table of what the servers know."""

import re
from urllib.parse import quote, unquote

from extproc.core.dialects.operations import TABLE
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import ANY_DIALECT

MAX_MODEL_CHARACTERS = 256
_READING = frozenset({"GET", "HEAD"})
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
# Without `;`: some servers take what follows off, others do not.
_PLAIN = re.compile(r"/[!$%&'()*+,\-./0-9:=@A-Z_a-z~]*\Z")
_LITERAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,:=@")
"""What a segment may hold as it is (RFC 3986 3.3): servers decode it before they look for a route."""
_FORBIDDEN_ESCAPES = frozenset("/\\%;?#") | {chr(code) for code in range(0x20)} | {"\x7f"}


def normalize_path(raw: bytes) -> str:
    """The one spelling of a request path, without its query; `Malformed(PATH_INVALID)` where servers may disagree.

    What may stand in a segment as it is is percent-decoded once, other escapes get upper-case digits. Refused: dot
    segments, empty segments inside the path, encoded slashes, backslashes and control characters, bytes outside a path.
    """
    path = raw.partition(b"?")[0].decode("latin-1")
    if not _PLAIN.match(path):
        raise Malformed(Reason.PATH_INVALID)
    path = _ESCAPE.sub(_canonical_escape, path)
    # What is left of a percent sign that starts no escape.
    if "%" in _ESCAPE.sub("", path):
        raise Malformed(Reason.PATH_INVALID)
    if "//" in path or any(segment in {".", ".."} for segment in path.split("/")):
        raise Malformed(Reason.PATH_INVALID)
    return path


def _canonical_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    if character in _FORBIDDEN_ESCAPES:
        raise Malformed(Reason.PATH_INVALID)
    return character if character in _LITERAL else match[0].upper()


def find_operation(method: str, path: str, dialect: str = ANY_DIALECT) -> Operation:
    """The operation of a normalised path, below the connection's prefix. What the table does not name is `UNKNOWN`, and
    what it names for other servers than those of `dialect`: but what administers any server does so everywhere.

    Raises `Malformed(PATH_INVALID)` for one that differs from a known path in its letter case alone.
    """
    # Several servers answer a trailing slash as if it were not there.
    bare = path.rstrip("/") or "/"
    route = TABLE.find(method, bare)
    if route is None:
        if method not in _READING and TABLE.administers(bare):  # some servers hand any method to one function
            return Operation.MODEL_ADMIN
        if bare != bare.lower() and TABLE.find(method, bare.lower()) is not None:
            raise Malformed(Reason.PATH_INVALID)
        return Operation.UNKNOWN
    here = dialect == ANY_DIALECT or dialect in route.servers or route.operation is Operation.MODEL_ADMIN
    return route.operation if here else Operation.UNKNOWN


def path_model(path: str) -> str:
    """The model that a normalised path names; empty where it names none.

    Raises `Malformed(PATH_INVALID)` for a name that no body could carry either: too long, or not printable.
    """
    match = _MODEL_IN_PATH.match(path.rstrip("/"))
    model = unquote(match[match.lastindex or 0]) if match else ""
    if len(model) > MAX_MODEL_CHARACTERS or not model.isprintable():
        raise Malformed(Reason.PATH_INVALID)
    return model


def rename_model(path: str, model: str) -> str:
    """`path`, which names a model, naming `model` in its place. Only in OpenAI-compatible paths ids have slashes."""
    match = _MODEL_IN_PATH.match(path.rstrip("/"))
    if match is None or not match.lastindex:
        return path
    start, end = match.span(match.lastindex)
    return path[:start] + quote(model, safe=":/@" if match.lastindex == _OPENAI_STYLE else ":@") + path[end:]


_OPENAI_STYLE = 2
_MODEL_IN_PATH = re.compile(
    r"/v2/(?:repository/(?:[^/]+/)?)?models/(?!stats\Z)([^/]+)/?.*"
    r"|(?:/openai)?/(?:v1/)?models/(?!(?:load|unload|sse)\Z)(.+?)(?::(?:predict|explain))?\Z"
    r"|/api/blobs/([^/]+)\Z"
)
