"""Envoy leads to the model servers of another configuration before a worker sends there; whoever cannot see that waits."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.edge import discovery_files
from extproc.edge import envoy_directions as module
from extproc.edge.envoy_admin import admin_socket
from extproc.edge.envoy_directions import EnvoyDirections
from extproc.edge.hardening import PARENT_VARIABLE
from extproc.edge.program import digest_file
from extproc.edge.settings import Settings
from extproc.edge.settings_file import load_settings
from extproc.local.guard import Wanted, write_config
from tests.edge.played_admin import PlayedAdmin


class Files:
    """A configuration, the one before, and whether an Envoy reads the routes that are made of them."""

    def __init__(self, folder: Path) -> None:
        self.config = write_config(Wanted(folder, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9)
        self.settings: Settings = load_settings(self.config)
        self.new, self.old = folder / "new.yaml", folder / "old.yaml"
        document = yaml.safe_load(self.config.read_text("utf-8"))
        self.old.write_text(yaml.safe_dump(document), "utf-8")
        document["connections"][0]["upstream"] = "http://127.0.0.1:10"
        self.new.write_text(yaml.safe_dump(document), "utf-8")
        self.folder = discovery_files.folder(self.settings)

    def clusters(self) -> list[int]:
        """The ports that Envoy is led to."""
        said = yaml.safe_load((self.folder / discovery_files.CLUSTERS).read_text("utf-8"))["resources"]
        endpoints = [each["load_assignment"]["endpoints"][0]["lb_endpoints"][0] for each in said]
        return [each["endpoint"]["address"]["socket_address"]["port_value"] for each in endpoints]

    def with_status(self) -> Settings:
        return replace(self.settings, envoy=replace(self.settings.envoy, status_port=9))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_where_no_envoy_reads_them_nothing_is_written(files: Files) -> None:
    directions = EnvoyDirections(files.settings, files.config)
    assert directions.direct(files.new, files.old, "sha256:1") == directions.catch_up(files.new, "sha256:1") == ""
    assert not files.folder.exists()


def test_envoy_leads_to_the_servers_of_both_and_at_the_next_start_to_those_of_one(files: Files) -> None:
    """What is under way may be of the one before."""
    files.folder.mkdir(parents=True)
    directions = EnvoyDirections(files.settings, files.config)
    version = digest_file(files.new)
    assert directions.direct(files.new, files.old, version) == ""
    assert files.clusters() == [10, 9]
    assert discovery_files.read_version(files.settings) == version
    assert directions.catch_up(files.new, version) == ""
    assert files.clusters() == [10, 9], "it is what is wanted already"
    assert directions.catch_up(files.old, digest_file(files.old)) == ""
    assert files.clusters() == [9]


def test_what_cannot_be_written_is_told(files: Files) -> None:
    files.folder.mkdir(parents=True)
    files.new.write_text("connections: 4111111111111111\n")
    failure = EnvoyDirections(files.settings, files.config).direct(files.new, files.old, digest_file(files.new))
    assert failure.startswith("envoy's routes cannot be written: ")
    assert "4111111111111111" not in failure
    assert list(files.folder.iterdir()) == []


def test_what_is_written_for_a_supervisor_ends_with_it(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.folder.mkdir(parents=True)
    started: list[dict[str, str]] = []

    def run(*_: Any, env: dict[str, str], **__: Any) -> Any:
        started.append(env)
        return subprocess.CompletedProcess([], 0, b"", b"")

    monkeypatch.setattr(module.subprocess, "run", run)
    assert EnvoyDirections(files.settings, files.config).catch_up(files.new, "new") == ""
    assert started[0][PARENT_VARIABLE] == str(os.getpid())


class Admin(PlayedAdmin):
    """Says these versions and clusters that warm one after the other, the last for ever."""

    def __init__(self, path: Path, versions: list[tuple[str, str, int]]) -> None:
        self.asked: list[str] = []
        self._versions = versions
        super().__init__(path, self._answer)

    def _answer(self, path: str) -> str:
        self.asked.append(path)
        clusters, routes, warming = self._versions[0] if len(self._versions) == 1 else self._versions.pop(0)
        stats = {
            "cluster_manager.cds.version_text": f'"{clusters}"',
            "http.edge.rds.models.version_text": f'"{routes}"',
            "cluster_manager.warming_clusters": warming,
        }
        return "".join(f"{name}: {value}\n" for name, value in stats.items())


@pytest.fixture
def written(files: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """Without a process that writes."""
    files.folder.mkdir(parents=True)
    done = subprocess.CompletedProcess([], 0, b"", b"")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: done)
    return files


def test_it_waits_until_envoy_has_the_routes_the_clusters_and_their_addresses(written: Files) -> None:
    """Envoy answers 503 for a cluster whose name it has not resolved."""
    versions = [("old", "old", 0), ("new", "old", 0), ("old", "new", 0), ("new", "new", 1), ("new", "new", 0)]
    with Admin(admin_socket(written.settings.run_directory), versions) as admin:
        assert EnvoyDirections(written.with_status(), written.config).direct(written.new, written.old, "new") == ""
        admin.shutdown()
    assert len(admin.asked) == 5


def test_a_name_that_nobody_resolves_holds_nothing_up_for_ever(written: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKEN_SECONDS", 0.3)
    with Admin(admin_socket(written.settings.run_directory), [("new", "new", 1)]) as admin:
        assert EnvoyDirections(written.with_status(), written.config).direct(written.new, written.old, "new") == ""
        admin.shutdown()
    assert len(admin.asked) > 1


def test_an_envoy_that_keeps_its_routes_is_told_and_finds_them_when_it_starts_anew(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.folder.mkdir(parents=True)
    monkeypatch.setattr(module, "TAKEN_SECONDS", 0.3)
    with Admin(admin_socket(files.settings.run_directory), [("old", "new", 0)]) as admin:
        failure = EnvoyDirections(files.with_status(), files.config).direct(files.new, files.old, "new")
        admin.shutdown()
    assert failure.startswith("envoy does not take its new routes")
    assert files.clusters() == [9]


def test_an_envoy_that_is_away_reads_them_when_it_comes(written: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKEN_SECONDS", 0.3)
    assert EnvoyDirections(written.with_status(), written.config).direct(written.new, written.old, "new") == ""


def test_an_envoy_that_nobody_can_ask_is_given_its_time(written: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    assert EnvoyDirections(written.settings, written.config).direct(written.new, written.old, "new") == ""
    assert slept == [module.UNSEEN_SECONDS]


def test_a_process_that_does_not_end_is_told(written: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("extproc", 60)

    monkeypatch.setattr(module.subprocess, "run", never)
    failure = EnvoyDirections(written.settings, written.config).direct(written.new, written.old, "new")
    assert failure == "envoy's routes cannot be written (TimeoutExpired)"
    assert os.listdir(written.folder) == []
