"""Which connection a request is for: host, then path, then model; and which globs can meet."""

import fnmatch
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.connections import find_candidates, globs_meet, normalize_host, only_by_model
from extproc.core.policy import matches_glob
from extproc.core.reasons import REFUSALS, Malformed, Reason
from extproc.core.snapshot import Connection


def names(connections: tuple[Connection, ...], authority: str = "h", path: str = "/v1/x") -> list[str]:
    return [each.name for each in find_candidates(connections, authority.encode(), path).connections]


HOSTS = (
    Connection("any"),
    Connection("any-v2", "/v2"),
    Connection("gpu", hosts=("gpu-b.example",)),
    Connection("gpu-v2", "/v2", hosts=("gpu-b.example", "gpu-c.example")),
    Connection("wide", hosts=("*.example",)),
    Connection("narrow", hosts=("*.models.example",)),
)


@pytest.mark.parametrize(
    ("authority", "path", "name"),
    [
        ("gpu-b.example", "/v1", "gpu"),
        ("GPU-B.example:8443", "/v2/x", "gpu-v2"),
        ("gpu-b.example.", "/v1", "gpu"),
        ("a.example", "/v2/x", "wide"),
        ("a.models.example", "/v1", "narrow"),
        ("a.b.models.example:80", "/v1", "narrow"),
        ("models.example", "/v1", "wide"),
        ("example", "/v1", "any"),
        ("nowhere", "/v2", "any-v2"),
        ("[::1]:8080", "/v1", "any"),
        ("127.0.0.1:8080", "/v22", "any"),
    ],
)
def test_the_most_specific_host_decides(authority: str, path: str, name: str) -> None:
    assert names(HOSTS, authority, path) == [name]


def test_a_host_that_is_named_is_served_by_its_connections_only() -> None:
    """Nothing falls through to a connection of any host, whatever the path."""
    connections = (Connection("any"), Connection("gpu", "/v2", hosts=("gpu.example",)))
    with pytest.raises(Malformed) as refused:
        find_candidates(connections, b"gpu.example", "/v1")
    assert refused.value.reason is Reason.NO_SUCH_CONNECTION


@pytest.mark.parametrize(
    "authority", ["", "a b", "a/b", "a:b", "a:80:90", "u@a", "a,b", "a\x00", "\xe9", "[::1", "a:999999"]
)
def test_what_is_no_host_is_refused_where_hosts_decide(authority: str) -> None:
    with pytest.raises(Malformed) as refused:
        find_candidates(HOSTS, authority.encode("latin-1"), "/v1")
    assert refused.value.reason is Reason.HEADERS_INVALID
    assert find_candidates(HOSTS[:2], authority.encode("latin-1"), "/v1").first.name == "any"


def test_a_host_has_one_spelling() -> None:
    assert normalize_host(b"Gpu-B.Example:443") == normalize_host(b"gpu-b.example.") == "gpu-b.example"
    assert normalize_host(b"[2001:DB8::1]:80") == "[2001:db8::1]"


@pytest.mark.parametrize(
    ("path", "name", "below"),
    [
        ("/a/b/v1", "b", "/v1"),
        ("/a/bb/v1", "a", "/bb/v1"),
        ("/a", "a", "/"),
        ("/a/", "a", "/"),
        ("/x", "root", "/x"),
    ],
)
def test_the_longest_prefix_decides(path: str, name: str, below: str) -> None:
    connections = (Connection("root"), Connection("b", "/a/b"), Connection("a", "/a"))
    found = find_candidates(connections, b"h", path)
    assert (found.first.name, found.path) == (name, below)


MODELS = (
    Connection("llama", models=("llama-*", "phi-?")),
    Connection("small", models=("llama-3-8b",)),
    Connection("rest"),
)


@pytest.mark.parametrize(
    ("model", "name"),
    [("llama-3-70b", "llama"), ("llama-3-8b", "small"), ("phi-4", "llama"), ("phi-44", "rest"), ("", "rest")],
)
def test_a_name_beats_a_glob_and_a_glob_beats_any_model(model: str, name: str) -> None:
    for connections in itertools.permutations(MODELS):
        found = find_candidates(connections, b"h", "/v1/x")
        assert found.only is None
        assert found.of_model(model).name == name


@pytest.mark.parametrize("model", ["gpt-4o", "Llama-3"])
def test_a_model_that_no_connection_serves_is_refused(model: str) -> None:
    """Also where there is one connection only, and where less specific paths would take it."""
    connections = (Connection("llama", "/a", models=("llama-*",)), Connection("any"))
    found = find_candidates(connections, b"h", "/a/v1")
    assert found.only is None
    with pytest.raises(Malformed) as refused:
        found.of_model(model)
    assert refused.value.reason is Reason.NO_SUCH_MODEL


def test_a_request_that_names_no_model_is_told_so_where_servers_are_chosen_by_it() -> None:
    """What is open to all takes it; where there is none, the refusal does not speak of a model."""
    found = find_candidates((*MODELS[:2], Connection("other", "/other")), b"h", "/v1/models")
    with pytest.raises(Malformed) as refused:
        found.of_model("")
    assert refused.value.reason is Reason.NO_MODEL_NAMED
    sentence = REFUSALS[Reason.NO_MODEL_NAMED].sentence
    assert sentence == "Model servers are chosen by the model here, and this request names none."


def test_connections_that_nothing_without_a_models_name_reaches_are_known() -> None:
    assert only_by_model((*MODELS[:2], Connection("other", "/other"))) == ("llama", "small")
    assert only_by_model(MODELS) == ()
    hosts = Connection("hosts", hosts=("a", "b"), models=("x",))
    assert only_by_model((hosts, Connection("some", hosts=("b",)))) == ("hosts",)
    assert only_by_model((hosts, Connection("all", hosts=("a", "b", "c")))) == ()


def test_a_connection_of_any_model_is_known_by_its_path() -> None:
    connection = Connection("any")
    found = find_candidates((connection,), b"h", "/v1")
    assert found.only is connection
    assert found.of_model("whatever") is found.of_model("") is connection


_GLOBS = st.text(alphabet="ab*?", max_size=4)
_TEXTS = ["".join(letters) for size in range(8) for letters in itertools.product("ab", repeat=size)]


@given(_GLOBS, _GLOBS)
def test_globs_meet_where_a_text_matches_both(first: str, second: str) -> None:
    """Of two globs of four characters, a text of at most seven letters shows it."""
    both = any(matches_glob(first, text) and matches_glob(second, text) for text in _TEXTS)
    assert globs_meet(first, second) is globs_meet(second, first) is both
    assert all(fnmatch.fnmatchcase(text, first) is matches_glob(first, text) for text in _TEXTS[:20])
