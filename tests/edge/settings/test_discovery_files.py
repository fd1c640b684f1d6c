"""The files by which Envoy follows model servers and routes: whole, private, and of those that count.

The real Envoy follows them in tests/conformance/envoy/test_envoy_discovery.py.
"""

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.core.connections import CONNECTION_HEADER
from extproc.edge import bootstrap_discovery
from extproc.edge.bootstrap import render_following, write_discovery
from extproc.edge.discovery_files import CLUSTERS, PROBES, ROUTES, folder, read_version
from extproc.edge.settings import ConnectionSettings, ProbeSettings, Settings
from extproc.edge.settings_file import load_settings

GATE = "a-gate-secret-for-tests-0123456789abcdef"
Put = Callable[[dict[str, Any]], Path]
CHAT = ConnectionSettings("chat", "http://127.0.0.1:8000", "/chat", probe=ProbeSettings(health="/health"))
CODE = ConnectionSettings("code", "http://code.models.svc:8000", "/code")
MOVED = replace(CHAT, upstream="http://127.0.0.1:8001")
GONE = ConnectionSettings("gone", "http://127.0.0.1:8002", "/", probe=ProbeSettings(health="/health"))


@pytest.fixture
def settings(minimal: dict[str, Any], put: Put) -> Settings:
    minimal["run_directory"] = "run"
    minimal["envoy"] = {"status_port": 9902}
    return replace(load_settings(put(minimal)), connections=(CHAT, CODE))


def resources(settings: Settings, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((folder(settings) / name).read_bytes())["resources"]
    return found


def clusters(settings: Settings) -> list[str]:
    return [each["name"] for each in resources(settings, CLUSTERS)]


def routes(settings: Settings, name: str = ROUTES) -> list[dict[str, Any]]:
    (configuration,) = resources(settings, name)
    (host,) = configuration["virtual_hosts"]
    found: list[dict[str, Any]] = host["routes"]
    return found


def contents(settings: Settings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder(settings).iterdir() if path.suffix == ".yaml"}


def test_the_bootstrap_that_envoy_runs_on_leads_to_no_model_server(settings: Settings) -> None:
    """Before the files are read there is no way to one; without them Envoy does not start."""
    text = render_following(settings, GATE)
    assert not [each for each in ("model_chat", "8000", "/chat", "models.svc") if each in text]
    document = yaml.safe_load(text)
    edge, status = (
        each["filter_chains"][0]["filters"][0]["typed_config"] for each in document["static_resources"]["listeners"]
    )
    followed = [
        document["dynamic_resources"]["cds_config"],
        edge["rds"]["config_source"],
        status["rds"]["config_source"],
    ]
    where = folder(settings)
    for source, name in zip(followed, (CLUSTERS, ROUTES, PROBES), strict=True):
        assert source["path_config_source"] == {"path": str(where / name), "watched_directory": {"path": str(where)}}
    assert "route_config" not in edge
    assert "route_config" not in status


def test_the_files_are_the_owners_alone(settings: Settings) -> None:
    write_discovery(settings, "sha256:1")
    where = folder(settings)
    assert stat.S_IMODE(where.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in where.iterdir()} == dict.fromkeys(
        (CLUSTERS, ROUTES, PROBES), 0o600
    )


def test_each_connection_has_a_cluster_and_a_route_of_its_servers_name(settings: Settings) -> None:
    write_discovery(settings, "sha256:1")
    assert clusters(settings) == [f"model_{CHAT.route}", f"model_{CODE.route}"]
    *chosen, other = routes(settings)
    assert [each["name"] for each in chosen] == [CHAT.route, CODE.route]
    assert "name" not in other
    write_discovery(replace(settings, connections=(MOVED, CODE)), "sha256:2")
    assert MOVED.route != CHAT.route
    assert clusters(settings)[0] == f"model_{MOVED.route}"


def test_metrics_keep_the_connections_name(settings: Settings) -> None:
    write_discovery(replace(settings, connections=(MOVED,)), "sha256:1", also=(CHAT,))
    assert [each["alt_stat_name"] for each in resources(settings, CLUSTERS)] == ["model_chat", "model_chat"]


def test_what_counted_before_is_kept_behind_what_counts_and_once(settings: Settings) -> None:
    now = replace(settings, connections=(MOVED, CODE))
    write_discovery(now, "sha256:2", also=(CHAT, CODE, GONE, CHAT))
    names = [MOVED.route, CODE.route, CHAT.route, GONE.route]
    assert clusters(settings) == [f"model_{name}" for name in names]
    *chosen, _ = routes(settings)
    assert [each["name"] for each in chosen] == names
    for each in chosen:  # so no request has the route of another
        assert each["match"]["headers"] == [{"name": CONNECTION_HEADER, "string_match": {"exact": each["name"]}}]


def test_probes_ask_nobody_who_counted_before(settings: Settings) -> None:
    write_discovery(replace(settings, connections=(MOVED,)), "sha256:2", also=(CHAT, GONE))
    asked = [each["match"].get("path") for each in routes(settings, PROBES)]
    assert asked == ["/ready", "/stats/prometheus", "/model/chat/health", None]
    assert routes(settings, PROBES)[2]["route"]["cluster"] == f"model_{MOVED.route}"


def test_without_a_status_listener_there_are_no_probes(settings: Settings) -> None:
    write_discovery(replace(settings, envoy=replace(settings.envoy, status_port=0)), "sha256:1")
    assert set(contents(settings)) == {CLUSTERS, ROUTES}


def test_the_version_is_what_was_written_last_as_a_whole(settings: Settings) -> None:
    assert read_version(settings) is None
    write_discovery(settings, "sha256:1")
    assert read_version(settings) == "sha256:1"
    written = contents(settings)
    for name in (CLUSTERS, PROBES, ROUTES):
        for wrong in (b"[", b"- 1\n", b"{}", b"version_info: 1\n", b"\xff", b"version_info: sha256:0\n"):
            (folder(settings) / name).write_bytes(wrong)
            assert read_version(settings) is None, "its writer was killed, and nobody may take it for written"
        (folder(settings) / name).write_bytes(written[name])
    assert read_version(settings) == "sha256:1"


def test_two_that_write_at_once_do_not_put_each_others_halves_in_place(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that takes over another configuration, and `extproc envoy config`."""
    write, others = bootstrap_discovery.write_private, list[threading.Thread]()

    def interrupted(path: Path, text: str) -> None:
        write(path, text)
        if not others:
            others.append(threading.Thread(target=write_discovery, args=(settings, "sha256:2")))
            others[0].start()
            others[0].join(0.5)

    monkeypatch.setattr(bootstrap_discovery, "write_private", interrupted)
    write_discovery(settings, "sha256:1")
    others[0].join(30)
    assert read_version(settings) == "sha256:2"


def test_clusters_are_there_before_a_route_leads_to_them(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """And every file is whole before the first one is put in place."""
    placed: list[str] = []

    def place(unfinished: Path, path: Path) -> None:
        assert all(path.with_name(f".{name}.new").exists() for name in (CLUSTERS, PROBES, ROUTES) if name not in placed)
        placed.append(path.name)
        os.rename(unfinished, path)

    monkeypatch.setattr(bootstrap_discovery.os, "replace", place)
    write_discovery(settings, "sha256:1")
    assert placed == [CLUSTERS, PROBES, ROUTES]


def test_what_cannot_be_written_leaves_every_file_as_it_was(settings: Settings) -> None:
    write_discovery(settings, "sha256:1")
    before = contents(settings)
    with pytest.raises(ValueError, match="connection `code`: upstream"):
        write_discovery(replace(settings, connections=(CHAT, replace(CODE, upstream="https://a:1"))), "sha256:2")
    assert contents(settings) == before
    (folder(settings) / f".{ROUTES}.new").mkdir()
    with pytest.raises(OSError, match=r"routes\.yaml"):
        write_discovery(replace(settings, connections=(MOVED,)), "sha256:2")
    assert contents(settings) == before
