"""From a method and a path to what is asked, whatever the model server: one table."""

import re
from urllib.parse import unquote

from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason

MAX_MODEL_CHARACTERS = 256
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
# Without `;`: some servers take what follows off, others do not.
_PLAIN = re.compile(r"/[!$%&'()*+,\-./0-9:=@A-Z_a-z~]*\Z")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_FORBIDDEN_ESCAPES = frozenset("/\\%;?#") | {chr(code) for code in range(0x20)} | {"\x7f"}


def normalize_path(raw: bytes) -> str:
    """The one spelling of a request path, without its query; `Malformed(PATH_INVALID)` where servers may disagree.

    Unreserved characters are percent-decoded once (RFC 3986 6.2.2.2), other escapes get upper-case digits. Refused: dot
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
    return character if character in _UNRESERVED else match[0].upper()


def find_operation(method: str, path: str) -> Operation:
    """The operation of a normalised path, below the connection's prefix. What the tables do not name is `UNKNOWN`.

    Raises `Malformed(PATH_INVALID)` for one that differs from a known path in its letter case alone.
    """
    # Several servers answer a trailing slash as if it were not there.
    bare = path.rstrip("/") or "/"
    operation = _EXACT.get((method, bare))
    if operation is not None:
        return operation
    for pattern_method, pattern, found in _PATTERNS:
        if method == pattern_method and pattern.match(bare):
            return found
    if bare != bare.lower() and find_operation(method, bare.lower()) is not Operation.UNKNOWN:
        raise Malformed(Reason.PATH_INVALID)
    return Operation.UNKNOWN


def path_model(path: str) -> str:
    """The model that a normalised path names; empty where it names none.

    Raises `Malformed(PATH_INVALID)` for a name that no body could carry either: too long, or not printable.
    """
    match = _MODEL_IN_PATH.match(path.rstrip("/"))
    model = unquote(match[1] or match[2] or match[3]) if match else ""
    if len(model) > MAX_MODEL_CHARACTERS or not model.isprintable():
        raise Malformed(Reason.PATH_INVALID)
    return model


_O = Operation
_POSTS: dict[Operation, tuple[str, ...]] = {
    # OpenAI's path with and without /v1 (llama.cpp, vLLM behind a root path), and Ollama's own.
    _O.CHAT: ("/v1/chat/completions", "/chat/completions", "/api/chat"),
    _O.TEXT_COMPLETION: ("/v1/completions",),
    _O.EMBEDDINGS: (
        "/v1/embeddings", "/embeddings", "/embedding", "/api/embed", "/api/embeddings", "/embed",
        "/v1/rerank", "/v2/rerank", "/rerank", "/reranking", "/v1/reranking", "/v1/score", "/score",
        "/pooling", "/classify", "/v1/moderations", "/moderations",
    ),
    _O.RESPONSES: ("/v1/responses", "/responses"),
    _O.MESSAGES: ("/v1/messages", "/messages"),
    # llama.cpp's native `/completion(s)` and `/infill`, Ollama, TGI (`/` is its compatible root), vLLM, SageMaker,
    # and what is heard as text.
    _O.GENERATE: (
        "/completion", "/completions", "/infill", "/api/generate", "/", "/generate", "/generate_stream",
        "/invocations", "/inference/v1/generate", "/v1/audio/transcriptions", "/v1/audio/translations",
    ),
    _O.TOKENIZE: (
        "/tokenize", "/detokenize", "/v1/tokenize", "/v1/detokenize", "/apply-template",
        "/v1/messages/count_tokens", "/v1/responses/input_tokens", "/chat_tokenize",
    ),
    _O.MODEL_ADMIN: (
        "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/load_lora_adapter", "/unload_lora_adapter",
        "/lora-adapters", "/models/load", "/models/unload", "/props", "/sleep", "/wake_up", "/reset_prefix_cache",
        "/collective_rpc", "/update_weights", "/api/pull", "/api/push", "/api/create", "/api/copy",
        "/v2/repository/index",
    ),
}  # fmt: skip
_EXACT: dict[tuple[str, str], Operation] = {
    **{("POST", path): operation for operation, paths in _POSTS.items() for path in paths},
    **{("GET", path): _O.MODEL_LIST for path in ("/v1/models", "/models", "/api/tags", "/api/ps", "/v2/models")},
    # Ollama shows a model's template and licence to a POST.
    ("POST", "/api/show"): _O.MODEL_LIST,
    ("GET", "/lora-adapters"): _O.MODEL_LIST,
    ("DELETE", "/api/delete"): _O.MODEL_ADMIN,
}
_MODEL = r"[^/]+(?:/versions/[^/]+)?"
_MODEL_IN_PATH = re.compile(
    r"/v2/(?:repository/)?models/([^/]+)/?.*"
    r"|(?:/openai)?/(?:v1/)?models/(?!(?:load|unload)\Z)(.+?)(?::(?:predict|explain))?\Z"
    r"|/api/blobs/([^/]+)\Z"
)
_PATTERNS: tuple[tuple[str, re.Pattern[str], Operation], ...] = (
    ("POST", re.compile(rf"/v2/repository/models/{_MODEL}/(?:load|unload)\Z"), _O.MODEL_ADMIN),
    ("POST", re.compile(r"/api/blobs/[^/]+\Z"), _O.MODEL_ADMIN),
    ("DELETE", re.compile(r"/v1/models/.+\Z"), _O.MODEL_ADMIN),
    ("DELETE", re.compile(r"/models/.+\Z"), _O.MODEL_ADMIN),
    # Model ids of OpenAI-compatible servers contain slashes (`org/model`).
    ("GET", re.compile(r"/v1/models/.+\Z"), _O.MODEL_LIST),
    ("GET", re.compile(rf"/v2/models/{_MODEL}(?:/ready|/config|/stats)?\Z"), _O.MODEL_LIST),
    ("POST", re.compile(rf"/v2/models/{_MODEL}/(?:infer|generate|generate_stream)\Z"), _O.GENERATE),
    ("POST", re.compile(r"/v1/models/[^/]+:(?:predict|explain)\Z"), _O.GENERATE),
    # KServe serves OpenAI's paths below /openai.
    ("POST", re.compile(r"/openai/v1/chat/completions\Z"), _O.CHAT),
    ("POST", re.compile(r"/openai/v1/completions\Z"), _O.TEXT_COMPLETION),
    ("POST", re.compile(r"/openai/v1/(?:embeddings|rerank|score)\Z"), _O.EMBEDDINGS),
    ("GET", re.compile(r"/openai/v1/models(?:/.+)?\Z"), _O.MODEL_LIST),
)
