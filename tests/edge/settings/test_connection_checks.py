"""Connections that nothing tells apart, and settings of theirs that could do nothing, are errors at load."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extproc.core.masking.settings import Side
from extproc.core.policy import Operation
from extproc.edge.settings import Settings
from extproc.edge.settings_file import SettingsInvalid, load_settings

Put = Callable[[dict[str, Any]], Path]
UPSTREAM = "http://127.0.0.1:8000"


@pytest.fixture
def load(minimal: dict[str, Any], put: Put) -> Callable[..., Settings]:
    """The settings with these connections."""

    def load(*connections: dict[str, Any], **more: Any) -> Settings:
        named = [{"name": f"c{at}", "upstream": UPSTREAM, **each} for at, each in enumerate(connections)]
        return load_settings(put({**minimal, **more, "connections": named}))

    return load


def told(load: Callable[..., Settings], *connections: dict[str, Any], **more: Any) -> dict[str, str]:
    with pytest.raises(SettingsInvalid) as refused:
        load(*connections, **more)
    return {problem.path: problem.message for problem in refused.value.problems}


APART: dict[str, tuple[dict[str, Any], ...]] = {
    "hosts": ({"hosts": ["a.example"]}, {"hosts": ["b.example"]}, {"hosts": ["*.example"]}, {}),
    "wider and narrower": ({"hosts": ["*.example"]}, {"hosts": ["*.models.example"]}),
    "paths below one host": ({"hosts": ["a.example"]}, {"hosts": ["a.example"], "path_prefix": "/b"}),
    "models": ({"models": ["llama-*"]}, {"models": ["phi-*", "qwen?"]}, {}),
    "a name and a glob": ({"models": ["llama-*"]}, {"models": ["llama-3-70b"]}),
    "a host against any": ({"models": ["llama-*"], "hosts": ["a.example"]}, {"models": ["llama-*"]}),
}


@pytest.mark.parametrize("case", APART)
def test_what_host_path_or_model_tells_apart_loads(load: Callable[..., Settings], case: str) -> None:
    assert len(load(*APART[case]).connections) == len(APART[case])


ALIKE: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "both of any": ({}, {}, "path_prefix", "is the prefix of another"),
    "one host of several": (
        {"hosts": ["a.example", "b.example"]}, {"hosts": ["b.example"]}, "path_prefix", "is the prefix of another",
    ),
    "the same model": ({"models": ["a", "b"]}, {"models": ["b"]}, "models[0]", "`b` may be the model of connections[0]"),
    "globs that meet": ({"models": ["llama-*"]}, {"models": ["x", "*-70b"]}, "models[1]", "`*-70b` may be the model"),
    "another dialect": ({"models": ["a"], "dialect": "vllm"}, {"models": ["b"]}, "dialect", "is not that of connections[0]"),
    "another limit": ({"models": ["a"]}, {"limits": {"max_body": "1KiB"}}, "limits", "is not that of connections[0]"),
    "unread answers": ({"models": ["a"]}, {"models": ["b"], "opaque": {"chat": ["response"]}}, "opaque", "is not that of"),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIKE)
def test_what_nothing_tells_apart_is_an_error(load: Callable[..., Settings], case: str) -> None:
    first, second, place, message = ALIKE[case]
    (found,) = told(load, first, second).items()
    assert found[0] == f"connections[1].{place}"
    assert message in found[1]


WITHOUT_EFFECT: dict[str, tuple[dict[str, Any], str, str]] = {
    "mapping nothing": ({"only_mapped": True}, "only_mapped", "without `model_map`"),
    "mapping what is not served": ({"models": ["a-*"], "model_map": {"b": "c"}}, "model_map.b", "`models` does not name"),
    "unread and chosen by model": ({"models": ["a"], "opaque": {"chat": ["request"]}}, "models", "requests that are read"),
    "unread and mapped": ({"model_map": {"a": "b"}, "opaque": {"chat": ["request"]}}, "model_map", "requests that are read"),
    "unread where nothing asks": ({"dialect": "tgi", "opaque": {"messages": ["response"]}}, "opaque.messages", "no path of `tgi`"),
    "unread in no direction": ({"opaque": {"chat": []}}, "opaque.chat", "must not be empty"),
    "an unknown direction": ({"opaque": {"chat": ["both"]}}, "opaque.chat[0]", "not known"),
    "an unknown operation": ({"opaque": {"chats": ["request"]}}, "opaque.chats", "unknown key"),
    "an unknown dialect": ({"dialect": "vlm"}, "dialect", "not known"),
    "more than Envoy keeps": ({"limits": {"max_body": "17MiB"}}, "limits.max_body", "more than `limits.max_body`"),
    "a limit of nothing": ({"limits": {"max_event": "0B"}}, "limits.max_event", "more than nothing"),
    "a limit that is not a connection's": ({"limits": {"max_header": "1KiB"}}, "limits.max_header", "unknown key"),
    "a host with a port": ({"hosts": ["a.example:80"]}, "hosts[0]", "a host name"),
    "a host in capitals": ({"hosts": ["A.example"]}, "hosts[0]", "a host name"),
    "a star inside": ({"hosts": ["a.*.example"]}, "hosts[0]", "a host name"),
    "no host": ({"hosts": []}, "hosts", "must not be empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", WITHOUT_EFFECT)
def test_what_could_do_nothing_is_an_error(load: Callable[..., Settings], case: str) -> None:
    connection, place, message = WITHOUT_EFFECT[case]
    (found,) = told(load, connection).items()
    assert found[0].startswith(f"connections[0].{place}")
    assert message in found[1]


def test_a_connections_limits_are_the_deployments_but_for_what_it_says(load: Callable[..., Settings]) -> None:
    settings = load({"limits": {"max_body": "1KiB"}}, {"path_prefix": "/b"}, limits={"max_response": "3KiB"})
    first, second = settings.connections
    assert first.limits is not None
    assert (first.limits.max_body_bytes, first.limits.max_response_bytes) == (1024, 3072)
    assert second.limits is None


def test_nothing_is_unread_unless_it_is_listed(load: Callable[..., Settings]) -> None:
    (plain,) = load({}).connections
    (listed,) = load({"opaque": {"unknown": ["response", "request"]}}).connections
    assert plain.opaque == frozenset()
    assert listed.served(None).opaque == {(Operation.UNKNOWN, Side.RESPONSE), (Operation.UNKNOWN, Side.REQUEST)}
