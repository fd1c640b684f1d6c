import pytest

from extproc.core.dialects.routing import find_operation, normalize_path, path_model
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/chat/completions", Operation.CHAT),
        ("POST", "/v1/chat/completions/", Operation.CHAT),
        ("POST", "/chat/completions", Operation.CHAT),
        ("POST", "/api/chat", Operation.CHAT),
        ("POST", "/openai/v1/chat/completions", Operation.CHAT),
        ("POST", "/v1/completions", Operation.TEXT_COMPLETION),
        ("POST", "/completion", Operation.GENERATE),
        ("POST", "/api/generate", Operation.GENERATE),
        ("POST", "/generate_stream", Operation.GENERATE),
        ("POST", "/", Operation.GENERATE),
        ("POST", "/v2/models/m/infer", Operation.GENERATE),
        ("POST", "/v2/models/m/versions/1/generate_stream", Operation.GENERATE),
        ("POST", "/v1/models/m:predict", Operation.GENERATE),
        ("POST", "/v1/embeddings", Operation.EMBEDDINGS),
        ("POST", "/api/embed", Operation.EMBEDDINGS),
        ("POST", "/v1/responses", Operation.RESPONSES),
        ("POST", "/v1/messages", Operation.MESSAGES),
        ("POST", "/tokenize", Operation.TOKENIZE),
        ("POST", "/detokenize", Operation.TOKENIZE),
        ("POST", "/apply-template", Operation.TOKENIZE),
        ("GET", "/v1/models", Operation.MODEL_LIST),
        ("GET", "/v1/models/org/model", Operation.MODEL_LIST),
        ("GET", "/api/tags", Operation.MODEL_LIST),
        ("GET", "/lora-adapters", Operation.MODEL_LIST),
        ("POST", "/lora-adapters", Operation.MODEL_ADMIN),
        ("POST", "/v1/load_lora_adapter", Operation.MODEL_ADMIN),
        ("POST", "/v1/unload_lora_adapter", Operation.MODEL_ADMIN),
        ("POST", "/api/pull", Operation.MODEL_ADMIN),
        ("POST", "/api/push", Operation.MODEL_ADMIN),
        ("POST", "/api/create", Operation.MODEL_ADMIN),
        ("POST", "/api/copy", Operation.MODEL_ADMIN),
        ("DELETE", "/api/delete", Operation.MODEL_ADMIN),
        ("POST", "/models/load", Operation.MODEL_ADMIN),
        ("POST", "/models/unload", Operation.MODEL_ADMIN),
        ("POST", "/v2/repository/models/m/load", Operation.MODEL_ADMIN),
        ("PUT", "/generate", Operation.GENERATE),
        ("POST", "/slots/", Operation.MODEL_ADMIN),
        ("GET", "/props", Operation.UNKNOWN),
        ("PATCH", "/api/pull", Operation.MODEL_ADMIN),
        ("OPTIONS", "/v1/stream/s-1", Operation.MODEL_ADMIN),
        ("PUT", "/encode", Operation.EMBEDDINGS),
        ("HEAD", "/slots", Operation.MODEL_ADMIN),
        ("HEAD", "/v1/models", Operation.MODEL_LIST),
        ("HEAD", "/v1/stream/s-1", Operation.MODEL_ADMIN),
        ("HEAD", "/v1/chat/completions", Operation.UNKNOWN),
        ("GET", "/v1/chat/completions", Operation.UNKNOWN),
        ("POST", "/v1/chat/completions/x", Operation.UNKNOWN),
        ("GET", "/metrics", Operation.UNKNOWN),
        ("POST", "/v1/audio/transcriptions", Operation.GENERATE),
        ("POST", "/v1/moderations", Operation.EMBEDDINGS),
        ("POST", "/openai/v1/rerank", Operation.EMBEDDINGS),
        ("POST", "/v1/audio/speech", Operation.UNKNOWN),
        ("POST", "/v1/files", Operation.UNKNOWN),
        ("POST", "/v1/batches", Operation.UNKNOWN),
    ],
)
def test_operation_is_found_by_method_and_path(method: str, path: str, operation: Operation) -> None:
    assert find_operation(method, path) is operation


@pytest.mark.parametrize("path", ["/V1/chat/completions", "/v1/Load_LoRA_adapter", "/API/pull"])
def test_a_known_path_in_other_letters_is_refused(path: str) -> None:
    """Some servers answer it all the same."""
    with pytest.raises(Malformed):
        find_operation("POST", path)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v2/models/secret-1/infer", "secret-1"),
        ("/v2/models/m/versions/2/generate", "m"),
        ("/v2/repository/models/m/load", "m"),
        ("/v1/models/m:predict", "m"),
        ("/v1/models/org/m", "org/m"),
        ("/openai/v1/models/m", "m"),
        ("/models/m", "m"),
        ("/v1/models/a%3Ab", "a:b"),
        ("/v1/models/secret:8b", "secret:8b"),
        ("/v1/models/secret:8b:predict", "secret:8b"),
        ("/v1/models", ""),
        ("/models/load", ""),
        ("/v1/chat/completions", ""),
    ],
)
def test_the_model_that_a_path_names(path: str, model: str) -> None:
    assert path_model(path) == model


@pytest.mark.parametrize("name", ["a" * 257, "a%01b", "a%E2%80%AEb"])
def test_a_model_name_that_no_body_could_carry_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        path_model(f"/v1/models/{name}")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/v1/chat/completions", "/v1/chat/completions"),
        (b"/v1/models?limit=1&x=//..", "/v1/models"),
        (b"/v1/%63hat/%63ompletions", "/v1/chat/completions"),
        (b"/v1/chat%2Dcompletions", "/v1/chat-completions"),
        (b"/a%3ab", "/a:b"),
        (b"/v1/models/m%3apredict", "/v1/models/m:predict"),
        (b"/a%21%24%26%27%28%29%2A%2B%2C%3D%40", "/a!$&'()*+,=@"),
        (b"/a%5bb%20c%c3%a9", "/a%5Bb%20c%C3%A9"),
        (b"/", "/"),
        (b"/v1/", "/v1/"),
        (b"/v1/.well-known/..x", "/v1/.well-known/..x"),
    ],
)
def test_a_path_has_one_spelling(raw: bytes, path: str) -> None:
    assert normalize_path(raw) == path
    assert normalize_path(path.encode()) == path


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"v1", b"*", b"http://h/v1", b"/a//b", b"//a", b"/a/../b", b"/a/./b", b"/a/..", b"/%2e%2e/b", b"/a/%2E/b",
        b"/a%2fb", b"/a%5Cb", b"/a\\b", b"/a%00", b"/a%0d%0a", b"/a\x00b", b"/a b", b"/a#b", b"/a%", b"/a%4", b"/a%zz",
        b"/\xc3\xa9", b"/a\r\n", b"/a%7f", b"/a\n", b"/a;x", b"/a%3bx", b"/a%2563", b"/a%3f", b"/a%23x",
    ],
)  # fmt: skip
def test_a_path_that_servers_may_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        normalize_path(raw)
    assert refused.value.reason is Reason.PATH_INVALID
