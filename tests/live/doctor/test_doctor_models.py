"""What the doctor says of the model servers and routes that Envoy follows: a real one's dump, changed in one place."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from extproc.core.connections import CONNECTION_HEADER
from extproc.edge.bootstrap import render_following, write_discovery
from extproc.edge.gate import read_or_create_gate
from extproc.edge.settings import ConnectionSettings, Settings
from extproc.live.check import Check, State
from extproc.live.envoy_checks import _check_models, check_envoy
from extproc.live.envoy_dump import parse_dump
from extproc.local.envoy_process import start_envoy
from extproc.local.ports import free_port

Tree = dict[str, Any]
EARLIER = ConnectionSettings("earlier", "http://127.0.0.1:9", "/earlier")


class Told:
    """What an Envoy told, which follows the files for `settings`."""

    def __init__(self, settings: Settings, info: Tree, dump: Tree) -> None:
        self.settings, self._info, self._dump = settings, info, dump

    def judged(self, change: Callable[[Tree], object] = lambda _: None, settings: Settings | None = None) -> Check:
        """As if it had followed others: `change` gets each cluster and each route configuration."""
        dump = copy.deepcopy(self._dump)
        for part in dump["configs"]:
            for each in part.get("dynamic_active_clusters", ()):
                change(each["cluster"])
            for each in part.get("dynamic_route_configs", ()):
                change(each["route_config"])
        return _check_models(settings or self.settings, parse_dump(self._info, dump))


@pytest.fixture(scope="module")
def told(on_paper: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Also of a connection of the configuration before."""
    envoy = replace(on_paper.envoy, admin_port=free_port(), status_port=free_port())
    settings = replace(on_paper, envoy=envoy, listener=replace(on_paper.listener, port=free_port()))
    write_discovery(settings, "sha256:first", also=(EARLIER,))
    text = render_following(settings, read_or_create_gate(settings.run_directory))
    running = start_envoy(text, tmp_path_factory.mktemp("envoy"), ready_timeout_seconds=30)
    with httpx.Client(base_url=f"http://127.0.0.1:{envoy.admin_port}", trust_env=False) as client:
        yield Told(settings, client.get("/server_info").json(), client.get("/config_dump?include_eds").json())
        running.stop()


def routes(of: Tree, name: str = "models") -> list[Tree]:
    """None for another resource."""
    found: list[Tree] = of["virtual_hosts"][0]["routes"] if of["name"] == name else []
    return found


def is_model(of: Tree) -> bool:
    return str(of["name"]).startswith("model_")


def chosen_by(name: str, said: str) -> Callable[[Tree], object]:
    """A route in front, for those of whom the service says `said`."""
    header = {"name": CONNECTION_HEADER, "string_match": {"exact": said}}
    more = {"name": name, "match": {"prefix": "/", "headers": [header]}, "route": {"cluster": "extproc"}}
    return lambda of: of["name"] == "models" and routes(of).insert(0, more)


def test_an_envoy_that_follows_this_configuration_is_well(told: Told) -> None:
    """What it keeps of the configuration before is no difference."""
    assert {each.state for each in check_envoy(told.settings, "")} == {State.OK}
    assert told.judged().state is State.OK


CHANGES: dict[str, tuple[Callable[[Tree], object], str]] = {
    "a cluster": (lambda of: is_model(of) and of.update(connect_timeout="6s"), "connect_timeout"),
    "no cluster": (lambda of: is_model(of) and of.update(name="another"), " is missing"),
    "a route": (lambda of: routes(of) and routes(of)[0]["route"].update(cluster="extproc"), "routes models: "),
    "one route less": (lambda of: routes(of) and routes(of).pop(0), "routes models: "),
    "no routes": (lambda of: routes(of) and of.update(name="another"), "routes models is missing"),
    "a probe": (lambda of: routes(of, "status") and routes(of, "status").pop(0), "routes status: "),
    "a route for all": (chosen_by("", ""), "routes models: "),
    "a route beside the choice": (chosen_by("earlier.00000000", "other.00000000"), "routes models: "),
}


@pytest.mark.parametrize("case", CHANGES)
def test_other_model_servers_and_routes_than_the_configurations_are_seen(told: Told, case: str) -> None:
    change, words = CHANGES[case]
    check = told.judged(change)
    assert check.state is State.FAIL
    assert words in check.said


def test_a_configuration_that_envoy_has_not_taken_over_is_seen(told: Told) -> None:
    moved = tuple(replace(each, upstream="http://127.0.0.1:1") for each in told.settings.connections)
    check = told.judged(settings=replace(told.settings, connections=moved))
    assert check.state is State.FAIL
    assert f"cluster model_{moved[0].route} is missing" in check.said
