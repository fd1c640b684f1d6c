"""The table of paths: every administrative one is denied unless a rule allows it, on every dialect, by whole look-ups."""

import tomllib
from importlib import resources

import pytest

from extproc.core.dialects import operations
from extproc.core.dialects.operations import DIALECTS, TABLE, Route, Table
from extproc.core.dialects.routing import find_operation, normalize_path
from extproc.core.identity import Principal
from extproc.core.policy import DecisionInput, Effect, Facts, Operation, Policy, authorize
from extproc.core.policy_document import parse_policy
from extproc.core.reasons import Malformed
from extproc.core.schema import load_schema
from extproc.core.snapshot import ANY_DIALECT

ADMIN = [route for route in TABLE.routes if route.operation is Operation.MODEL_ADMIN]
OTHERS = [route for route in TABLE.routes if route.operation is not Operation.MODEL_ADMIN]
POLICY = """
apiVersion: extproc/v1
kind: Policy
name: all-but-admin
masking: {profile: pci-strict}
rules:
  - {name: all-but-admin, effect: allow, match: {groups: [users], operations: [%s]}}
  - {name: operators, effect: allow, match: {groups: [operators], operations: [model_admin]}}
"""
EVERY_SERVER = {"vllm", "tgi", "llama_cpp", "ollama", "triton", "kserve", "sglang", "openai", "anthropic"}


@pytest.fixture(scope="module")
def policy() -> Policy:
    listed = [operation.value for operation in Operation if operation is not Operation.MODEL_ADMIN]
    return parse_policy((POLICY % ", ".join(listed)).encode())


def effect(policy: Policy, group: str, operation: Operation) -> Effect:
    principal = Principal(issuer="https://i", subject="s", name="S", groups=(group,))
    given = DecisionInput(
        principal=principal, connection="c", operation=operation, facts=Facts(), findings={}, now_unix=1_800_000_000.0
    )
    return authorize(policy, given).effect


def example(route: Route) -> str:
    return route.path.replace("{*}", "org/m").replace("{}", "m")


@pytest.mark.parametrize("route", ADMIN, ids=lambda route: f"{route.method} {route.path}")
def test_what_administers_a_server_is_denied_unless_a_rule_allows_it(policy: Policy, route: Route) -> None:
    """Whatever dialect the connection has: a path that is another server's may still be one of this server."""
    path = normalize_path(example(route).encode())
    for dialect in (ANY_DIALECT, *sorted(DIALECTS)):
        operation = find_operation(route.method, path, dialect)
        assert effect(policy, "users", operation) is Effect.DENY
        assert effect(policy, "operators", operation) is Effect.ALLOW


def test_each_of_the_others_is_known_to_its_servers_only(policy: Policy) -> None:
    for route in OTHERS:
        path = example(route)
        assert find_operation(route.method, path) is route.operation
        for dialect in DIALECTS:
            known = route.operation if dialect in route.servers else Operation.UNKNOWN
            assert find_operation(route.method, path, dialect) is known, (path, dialect)
        assert effect(policy, "users", route.operation) is Effect.ALLOW


def test_a_path_of_another_server_is_unknown() -> None:
    assert find_operation("POST", "/api/chat", "openai") is Operation.UNKNOWN
    assert find_operation("POST", "/v1/chat/completions", "anthropic") is Operation.UNKNOWN
    assert find_operation("POST", "/v1/chat/completions/", "openai") is Operation.CHAT


def test_another_writing_of_a_path_of_any_server_is_refused() -> None:
    with pytest.raises(Malformed):
        find_operation("POST", "/API/Chat", "openai")


def test_every_line_says_where_it_is_from() -> None:
    assert all(route.source and route.servers for route in TABLE.routes)
    assert DIALECTS == EVERY_SERVER
    assert {"vllm", "llama_cpp", "ollama", "triton", "kserve", "sglang"} <= {
        s for route in ADMIN for s in route.servers
    }


def test_no_line_hides_another() -> None:
    """Each is what its own example finds, and no method and path stands there twice."""
    assert [route for route in TABLE.routes if TABLE.find(route.method, example(route)) is not route] == []
    with pytest.raises(ValueError, match="twice"):
        Table([ADMIN[0], ADMIN[0]])


def test_monitoring_is_not_for_callers() -> None:
    """Health and metrics ask nothing of a model: they stay unknown, so that no rule that lists operations allows them."""
    for path in (
        "/health",
        "/metrics",
        "/v1/health",
        "/v2/health/ready",
        "/info",
        "/version",
        "/ping",
        "/props",
        "/load",
    ):
        assert find_operation("GET", path) is Operation.UNKNOWN


def test_the_configuration_knows_these_dialects() -> None:
    item = load_schema("config")["properties"]["connections"]["items"]["properties"]
    assert set(item["dialect"]["enum"]) == {ANY_DIALECT, *DIALECTS}


def test_a_path_costs_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns are tried only where no whole path is found, and only those of the same first segment."""
    tried = {key: len(patterns) for key, patterns in TABLE._patterns.items()}
    assert max(tried.values()) <= 32
    monkeypatch.setattr(TABLE, "_patterns", {})
    assert find_operation("POST", "/v1/chat/completions") is Operation.CHAT


def test_the_file_is_read_once_and_is_small() -> None:
    text = resources.files(operations.__package__ or "").joinpath("operations.toml").read_text("utf-8")
    assert len(text) < 32_768
    assert set(tomllib.loads(text)) == {"entry"}
