"""What of a model server the status listener answers: the paths its connection names, by GET, and nothing else.

The real Envoy is asked in tests/conformance/envoy/test_envoy_probes.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.edge.bootstrap import render_bootstrap
from extproc.edge.settings_file import SettingsInvalid, load_settings

GATE = "a-gate-secret-for-tests-0123456789abcdef"
Put = Callable[[dict[str, Any]], Path]


def routes(document: dict[str, Any], put: Put) -> list[dict[str, Any]]:
    text = render_bootstrap(load_settings(put(document)), GATE)
    _, status = yaml.safe_load(text)["static_resources"]["listeners"]
    manager = status["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    return [route for route in host["routes"] if route["match"].get("path", "").startswith("/model/")]


@pytest.fixture
def probed(minimal: dict[str, Any]) -> dict[str, Any]:
    minimal["envoy"] = {"status_port": 9902}
    minimal["connections"][0] |= {"name": "chat", "probe": {"health": "/v2/health/ready", "metrics": "/metrics"}}
    return minimal


def test_each_path_is_asked_of_its_own_model_server(probed: dict[str, Any], put: Put) -> None:
    health, metrics = routes(probed, put)
    assert (health["match"]["path"], metrics["match"]["path"]) == ("/model/chat/health", "/model/chat/metrics")
    (connection,) = load_settings(put(probed)).connections
    assert health["route"]["cluster"] == f"model_{connection.route}"
    assert health["route"]["regex_rewrite"]["substitution"] == "/v2/health/ready"
    assert metrics["route"]["regex_rewrite"]["substitution"] == "/metrics"


def test_only_get_and_no_query_reaches_it(probed: dict[str, Any], put: Put) -> None:
    for route in routes(probed, put):
        assert route["match"]["headers"] == [
            {"name": ":method", "string_match": {"exact": "GET"}},
            {"name": ":path", "string_match": {"exact": route["match"]["path"]}},
        ]
        assert route["request_headers_to_remove"] == ["authorization", "cookie"]


def test_what_is_not_named_is_not_answered(probed: dict[str, Any], put: Put) -> None:
    del probed["connections"][0]["probe"]["metrics"]
    (health,) = routes(probed, put)
    assert health["match"]["path"] == "/model/chat/health"
    del probed["connections"][0]["probe"]
    assert routes(probed, put) == []


def test_without_a_status_listener_a_probe_has_no_effect_and_says_so(probed: dict[str, Any], put: Put) -> None:
    del probed["envoy"]["status_port"]
    with pytest.raises(SettingsInvalid) as invalid:
        load_settings(put(probed))
    (problem,) = invalid.value.problems
    assert "has no effect without `envoy.status_port`" in problem.message


@pytest.mark.parametrize("path", ["health", "/health?x=1", "/h ealth", "", "/health#a", "http://other/health"])
def test_a_path_is_a_path(probed: dict[str, Any], put: Put, path: str) -> None:
    probed["connections"][0]["probe"]["health"] = path
    with pytest.raises(SettingsInvalid):
        load_settings(put(probed))


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat/completions", "/v1/responses/resp_1", "/v1/files", "/api/chat", "/generate", "/slots", "/slots/0"),
        *("/metrics/../v1/models", "/./metrics", "//metrics", "/metrics/"),
    ],
)
def test_a_probe_asks_nothing_of_a_model(probed: dict[str, Any], put: Put, path: str) -> None:
    probed["connections"][0]["probe"]["health"] = path
    with pytest.raises(SettingsInvalid) as invalid:
        load_settings(put(probed))
    (problem,) = invalid.value.problems
    assert problem.path == "connections[0].probe.health"


@pytest.mark.parametrize("path", ["/", "/health", "/api/version", "/v2/health/ready", "/metrics", "/v2/models/m/ready"])
def test_a_probe_of_health_is_taken(probed: dict[str, Any], put: Put, path: str) -> None:
    probed["connections"][0]["probe"]["health"] = path
    assert load_settings(put(probed)).connections[0].probe.health == path
