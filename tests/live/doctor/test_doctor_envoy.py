"""What the doctor says of Envoy: of dumps of the real one that are changed in one place, and of real ones that are."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from extproc.edge.bootstrap import render_bootstrap, render_following, write_discovery
from extproc.edge.gate import read_or_create_gate
from extproc.edge.settings import ExtProcSettings, ProbeSettings, Settings
from extproc.live import envoy_guard
from extproc.live.check import State
from extproc.live.envoy_checks import OLDEST, _check_bootstrap, _check_managers, _check_models, _check_ways, check_envoy
from extproc.live.envoy_differences import find_differences
from extproc.live.envoy_dump import Dump, DumpFailed, dump_of_bootstrap, fetch_dump, parse_dump
from extproc.live.envoy_ways import guarded_listeners, model_addresses, unguarded_ways
from extproc.local.envoy_process import RunningEnvoy, start_envoy
from extproc.local.ports import free_port

EXT_PROC = "envoy.filters.http.ext_proc"


Told = tuple[dict[str, Any], dict[str, Any]]


class Bootstrap:
    """A bootstrap of ours as a document that a test may change."""

    def __init__(self, text: str) -> None:
        self.document: dict[str, Any] = yaml.safe_load(text)
        self.listener = self.document["static_resources"]["listeners"][0]
        manager = self.listener["filter_chains"][0]["filters"][0]["typed_config"]
        self.filters: list[dict[str, Any]] = manager["http_filters"]
        self.ext_proc = next(each for each in self.filters if each["name"] == EXT_PROC)["typed_config"]
        self.routes = manager["route_config"]["virtual_hosts"][0]["routes"]

    def cluster(self, name: str) -> dict[str, Any]:
        """By the name that metrics have."""
        clusters = self.document["static_resources"]["clusters"]
        return next(each for each in clusters if each.get("alt_stat_name", each["name"]) == name)


class Envoys:
    """Real ones, each on a bootstrap of ours that was changed; nobody answers them. The last one's admin is `admin`."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._running: list[RunningEnvoy] = []
        self.admin = ""

    def start(self, change: Callable[[Bootstrap], None] | None = None) -> None:
        """With a `change`, all that Envoy is told stands in the bootstrap."""
        listener = replace(self._settings.listener, port=free_port())
        envoy = replace(self._settings.envoy, admin_port=free_port())
        secret = read_or_create_gate(self._settings.run_directory)
        self.settings = replace(self._settings, listener=listener, envoy=envoy)
        text = render_following(self.settings, secret)
        write_discovery(self.settings, "sha256:first")
        if change is not None:
            bootstrap = Bootstrap(render_bootstrap(self.settings, secret))
            change(bootstrap)
            text = yaml.safe_dump(bootstrap.document)
        folder = self._folder / f"envoy-{len(self._running)}"
        self._running.append(start_envoy(text, folder, ready_timeout_seconds=30))
        self.admin = f"http://127.0.0.1:{envoy.admin_port}"

    def stop(self) -> None:
        for each in self._running:
            each.stop()


@pytest.fixture(scope="module")
def envoys(on_paper: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoys]:
    found = Envoys(on_paper, tmp_path_factory.mktemp("envoys"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def told(envoys: Envoys) -> Told:
    """By a real Envoy on what is rendered."""
    envoys.start()
    assert {check.state for check in check_envoy(envoys.settings, "")} == {State.OK}
    with httpx.Client(base_url=envoys.admin, trust_env=False) as client:
        return client.get("/server_info").json(), client.get("/config_dump?include_eds").json()


def _altered(told: Told, change: Callable[[Bootstrap], None]) -> Dump:
    """As the same Envoy would tell it, were it started on the changed bootstrap."""
    dump = parse_dump(*copy.deepcopy(told))
    bootstrap = {**dump.bootstrap, "node": {}}  # which lists every extension of Envoy
    bootstrap["static_resources"]["clusters"] = list(dump.clusters)
    for listener, manager in zip(dump.listeners, dump.managers(), strict=True):
        config = listener["filter_chains"][0]["filters"][0]["typed_config"]
        del config["rds"]
        config["route_config"] = manager.routes
    bootstrap["static_resources"]["listeners"] = list(dump.listeners)
    whole = Bootstrap(json.dumps(bootstrap))
    change(whole)
    static = whole.document["static_resources"]
    return Dump(dump.version, whole.document, tuple(static["listeners"]), (), tuple(static["clusters"]))


def _filter(of: Bootstrap, name: str) -> dict[str, Any]:
    return next(each for each in of.filters if each["name"] == name)


def _without(name: str) -> Callable[[Bootstrap], None]:
    return lambda of: of.filters.remove(_filter(of, name))


def _decision_of_others(of: Bootstrap) -> None:
    principal = _filter(of, "envoy.filters.http.rbac")["typed_config"]["rules"]["policies"]["decided"]["principals"][0]
    principal["sourced_metadata"]["metadata_matcher"]["value"]["string_match"]["exact"] = "deny"


def _last(name: str) -> Callable[[Bootstrap], None]:
    """Right before the router, behind the locks."""

    def change(of: Bootstrap) -> None:
        moved = _filter(of, name)
        of.filters.remove(moved)
        of.filters.insert(len(of.filters) - 1, moved)

    return change


ASPECTS = (
    ("modes", envoy_guard.faults_of_modes, lambda of: of.ext_proc["processing_mode"].update(request_body_mode="STREAMED"), "STREAMED"),
    ("answers", envoy_guard.faults_of_modes, lambda of: of.ext_proc["processing_mode"].update(response_body_mode="NONE"), "NONE"),
    ("headers", envoy_guard.faults_of_modes, lambda of: of.ext_proc["processing_mode"].update(response_header_mode="SKIP"), "headers"),
    ("watching", envoy_guard.faults_of_modes, lambda of: of.ext_proc.update(observability_mode=True), "observability_mode"),
    ("silent", envoy_guard.faults_of_modes, lambda of: of.ext_proc.update(disable_immediate_response=True), "disable_immediate_response"),
    ("open", envoy_guard.faults_of_failure_mode, lambda of: of.ext_proc.update(failure_mode_allow=True), "unjudged"),
    ("override", envoy_guard.faults_of_overrides, lambda of: of.ext_proc.update(allow_mode_override=True), "allow_mode_override"),
    ("route", envoy_guard.faults_of_overrides, lambda of: of.routes[0].update(typed_per_filter_config={EXT_PROC: {"disabled": True}}), "of its own"),
    ("request lock", envoy_guard.faults_of_request_lock, _without("envoy.filters.http.rbac"), "no RBAC filter"),
    ("another decision", envoy_guard.faults_of_request_lock, _decision_of_others, "no RBAC filter"),
    ("late change", envoy_guard.faults_of_request_lock, _last("envoy.filters.http.header_mutation"), "not judged"),
    ("response lock", envoy_guard.faults_of_response_lock, _without("envoy.filters.http.lua"), "gate secret"),
    ("retries", envoy_guard.faults_of_retries, lambda of: of.routes[0]["route"].update(retry_policy={"retry_on": "5xx"}), "retries"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("faults", "change", "said"), [each[1:] for each in ASPECTS], ids=[each[0] for each in ASPECTS]
)
def test_each_promise_that_is_broken_is_named_and_only_there(
    told: Told,
    faults: Callable[[Any], Any],
    change: Callable[[Bootstrap], None],
    said: str,
) -> None:
    (well,) = [each for each in parse_dump(*told).managers() if envoy_guard.ext_proc_of(each)]
    assert list(faults(well)) == []
    dump = _altered(told, change)
    (manager,) = [each for each in dump.managers() if envoy_guard.ext_proc_of(each)]
    (fault,) = faults(manager)
    assert said in fault
    assert find_differences(dump.bootstrap, parse_dump(*told).bootstrap) != ()


def test_a_filter_that_is_switched_off_is_none(told: Told) -> None:
    dump = _altered(told, lambda of: _filter(of, EXT_PROC).update(disabled=True))
    assert not [each for each in dump.managers() if envoy_guard.ext_proc_of(each)]


@pytest.mark.parametrize("key", ["timeout", "idle_timeout"])
def test_a_route_that_ends_before_a_hold_is_named(told: Told, settings: Settings, key: str) -> None:
    dump = _altered(told, lambda of: of.routes[0]["route"].update({key: "30s"}))
    (manager,) = [each for each in dump.managers() if envoy_guard.ext_proc_of(each)]
    assert ["30 s" in fault for fault in envoy_guard.faults_of_timeouts(manager, settings)] == [True]


def test_a_message_timeout_below_the_longest_hold_is_named(told: Told, settings: Settings) -> None:
    dump = _altered(told, lambda of: of.ext_proc.update(max_message_timeout="60s"))
    (manager,) = [each for each in dump.managers() if envoy_guard.ext_proc_of(each)]
    (fault,) = envoy_guard.faults_of_timeouts(manager, settings)
    assert "max_message_timeout" in fault


def test_an_envoy_that_is_too_old_is_named(told: Told) -> None:
    info = {**told[0], "version": "0123/1.38.4/Clean/RELEASE/BoringSSL"}
    assert parse_dump(info, told[1]).version == (1, 38, 4)
    assert (1, 38, 4) < OLDEST <= parse_dump(*told).version


@pytest.mark.parametrize("text", ["{}", "[]", "not json", '{"configs": 1}'])
def test_somebody_else_at_the_port_is_no_envoy(settings: Settings, text: str) -> None:
    """And neither is one that says nothing."""
    answer = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    with httpx.Client(transport=answer, base_url="http://admin") as client, pytest.raises(DumpFailed):
        fetch_dump(client)


def test_an_admin_that_is_away_is_a_failure(settings: Settings) -> None:
    (check,) = check_envoy(settings, f"http://127.0.0.1:{free_port()}")
    assert (check.state, check.name) == (State.FAIL, "envoy")


def test_another_gateway_s_envoy_is_not_held_against_what_nobody_renders_for_it(told: Told, settings: Settings) -> None:
    """All else is asked of it: what must hold does not depend on who configures it."""
    attached = replace(settings, ext_proc=ExtProcSettings(port=free_port()))
    assert _check_bootstrap(attached, parse_dump(*told)).state is State.LEFT
    assert _check_models(attached, parse_dump(*told)).state is State.LEFT
    assert {each.state for each in _check_managers(attached, parse_dump(*told))} == {State.OK}


def test_without_an_admin_nothing_is_asked(settings: Settings) -> None:
    (check,) = check_envoy(replace(settings, envoy=replace(settings.envoy, admin_port=0, status_port=0)), "")
    assert check.state is State.LEFT


def test_a_real_envoy_with_ways_around_and_an_open_filter_is_seen_through(settings: Settings, envoys: Envoys) -> None:
    """A second listener without ext_proc, one that only forwards bytes, and failure_mode_allow: all by the real one."""
    ports = free_port(), free_port()

    def change(of: Bootstrap) -> None:
        of.ext_proc["failure_mode_allow"] = True
        listeners = of.document["static_resources"]["listeners"]
        del listeners[1:]
        bare = copy.deepcopy(of.listener)
        bare["name"] = "bare"
        bare["address"]["socket_address"]["port_value"] = ports[0]
        manager = bare["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"] = [
            each for each in manager["http_filters"] if each["name"] == "envoy.filters.http.router"
        ]
        raw = copy.deepcopy(bare)
        raw["name"] = "raw"
        raw["address"]["socket_address"]["port_value"] = ports[1]
        kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
        raw["filter_chains"][0]["filters"] = [
            {
                "name": "tcp",
                "typed_config": {"@type": kind, "stat_prefix": "raw", "cluster": of.cluster("model_model")["name"]},
            }
        ]
        listeners += [bare, raw]

    envoys.start(change)
    found = {each.name: each for each in check_envoy(envoys.settings, envoys.admin)}
    wrong = {name for name, check in found.items() if check.state is State.FAIL}
    assert wrong == {"envoy, bootstrap", "envoy, failure mode", "envoy, ways in"}
    route = settings.connections[0].route
    bare = f"listener bare, route models/{route} leads to cluster model_{route} without ext_proc"
    assert bare in found["envoy, ways in"].said
    assert f"listener raw leads to cluster model_{route} as TCP" in found["envoy, ways in"].said
    assert "static_resources.listeners" in found["envoy, bootstrap"].said
    gate = (settings.run_directory / "gate").read_text().strip()
    assert not [each for each in found.values() if gate in each.line()]


def test_a_second_judged_listener_and_a_mirror_are_seen(told: Told, settings: Settings) -> None:
    models = model_addresses(settings)

    def second(of: Bootstrap) -> None:
        more = copy.deepcopy(of.listener)
        more["name"] = "more"
        of.document["static_resources"]["listeners"].append(more)

    dump = _altered(told, second)
    assert guarded_listeners(dump, models) == ("edge", "more")
    assert list(unguarded_ways(dump, models)) == []

    def mirror(of: Bootstrap) -> None:
        of.filters[:] = [_filter(of, "envoy.filters.http.router")]
        of.routes[:] = [{"match": {"prefix": "/"}, "route": {"cluster": "extproc", "request_mirror_policies": [{"cluster": of.cluster("model_model")["name"]}]}}]  # fmt: skip

    assert ["model_model" in way for way in unguarded_ways(_altered(told, mirror), models)] == [True]


def test_a_cluster_that_goes_anywhere_is_a_way(told: Told, settings: Settings) -> None:
    def change(of: Bootstrap) -> None:
        of.filters[:] = [_filter(of, "envoy.filters.http.router")]
        of.cluster("model_model").update(type="ORIGINAL_DST", load_assignment={})

    assert len(list(unguarded_ways(_altered(told, change), model_addresses(settings)))) == 1


def test_probes_of_model_servers_that_the_configuration_asks_for_are_no_way_around(settings: Settings) -> None:
    probed = tuple(replace(each, probe=ProbeSettings(health="/health")) for each in settings.connections)
    settings = replace(settings, envoy=replace(settings.envoy, status_port=free_port()))
    asked = replace(settings, connections=probed)
    text = render_bootstrap(asked, (settings.run_directory / "gate").read_text().strip())
    dump = dump_of_bootstrap(Bootstrap(text).document)
    assert _check_ways(asked, dump).state is State.OK
    assert _check_ways(settings, dump).state is State.FAIL
