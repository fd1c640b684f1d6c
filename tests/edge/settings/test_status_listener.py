"""What of Envoy's admin is rendered for others: two paths by GET, compared as they came; the rest for the owner alone.

The real Envoy is asked in tests/conformance/envoy/test_envoy_status.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.edge.bootstrap import render_bootstrap
from extproc.edge.settings_file import load_settings

GATE = "a-gate-secret-for-tests-0123456789abcdef"
Put = Callable[[dict[str, Any]], Path]


@pytest.fixture
def rendered(minimal: dict[str, Any], put: Put) -> Callable[..., dict[str, Any]]:
    def render(**envoy: Any) -> dict[str, Any]:
        minimal["envoy"] = envoy
        document: dict[str, Any] = yaml.safe_load(render_bootstrap(load_settings(put(minimal)), GATE))
        return document

    return render


def test_two_paths_are_passed_to_the_admin_and_nothing_else(rendered: Callable[..., dict[str, Any]]) -> None:
    resources = rendered(status_address="0.0.0.0", status_port=9902)["static_resources"]
    edge, status = resources["listeners"]
    assert status["address"]["socket_address"] == {"address": "0.0.0.0", "port_value": 9902}
    assert status["ignore_global_conn_limit"] is True
    (chain,) = status["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    assert not {"normalize_path", "merge_slashes", "path_with_escaped_slashes_action"} & set(manager)
    of_edge = edge["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["use_remote_address"] is True
    assert manager["internal_address_config"] == of_edge["internal_address_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    *asked, last = host["routes"]
    by_get = [{"name": ":method", "string_match": {"exact": "GET"}}]
    assert [each["match"] for each in asked] == [
        {"path": "/ready", "headers": by_get},
        {"path": "/stats/prometheus", "headers": by_get},
    ]
    assert {each["route"]["cluster"] for each in asked} == {"envoy_admin"}
    assert (last["match"], last["direct_response"]) == ({"prefix": "/"}, {"status": 404})
    assert [each["name"] for each in manager["http_filters"]] == ["envoy.filters.http.router"]
    assert (edge["traffic_direction"], status.get("traffic_direction")) == ("INBOUND", None)


def test_an_admin_without_a_port_is_a_socket_of_the_owner(rendered: Callable[..., dict[str, Any]]) -> None:
    pipe = {"pipe": {"path": "/run/extproc/envoy-admin.sock", "mode": 0o600}}
    for envoy in ({"status_port": 9902}, {"ends_with_service": True}):
        assert rendered(**envoy)["admin"]["address"] == pipe
    document = rendered(status_port=9902)
    cluster = next(each for each in document["static_resources"]["clusters"] if each["name"] == "envoy_admin")
    assert cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] == [{"endpoint": {"address": pipe}}]


def test_an_admin_with_a_port_is_on_loopback(rendered: Callable[..., dict[str, Any]]) -> None:
    document = rendered(status_address="::", status_port=9902, admin_port=9901)
    assert document["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9901}


def test_nobody_has_an_admin_or_a_status_listener_without_asking_for_one(
    rendered: Callable[..., dict[str, Any]],
) -> None:
    document = rendered()
    assert "admin" not in document
    assert [each["name"] for each in document["static_resources"]["listeners"]] == ["edge"]
