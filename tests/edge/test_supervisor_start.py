"""What a service that is started again finds of the one before: its workers, and what they read."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from extproc import app
from extproc.cli.serve import command
from extproc.edge import hardening
from extproc.edge import supervisor as module
from extproc.edge.configuration import AS_READ
from extproc.edge.hardening import PARENT_VARIABLE
from extproc.edge.supervisor import Supervisor
from extproc.local.guard import Wanted, write_config
from tests.edge.test_supervisor import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_workers_of_before_read_nothing_new_until_envoy_leads_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, read = world.supervisor, world.settings.run_directory / AS_READ
    read.write_text("of before")
    seen: list[Any] = []

    def catch_up(current: Path, version: str) -> str:
        seen.append((current.read_bytes(), version, read.read_text()))
        return ""

    monkeypatch.setattr(module, "set_on_signal", lambda _: None)
    monkeypatch.setattr(module, "is_fit_to_serve", lambda *_: False)
    monkeypatch.setattr(supervisor._directions, "catch_up", catch_up)
    assert supervisor.run() == 2
    config = supervisor._config.read_bytes()
    assert seen == [(config, supervisor.configuration_digest, "of before")]
    assert read.read_bytes() == config


def test_a_worker_whose_supervisor_died_while_it_was_started_serves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would serve beside those of the next service, by what it was started with, and nobody would end it."""
    config = write_config(Wanted(tmp_path, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9)
    monkeypatch.setenv(PARENT_VARIABLE, "1")
    signals: list[int] = []
    monkeypatch.setattr(hardening, "die_with_parent", signals.append)
    served: list[int] = []
    monkeypatch.setattr(app, "run_worker", lambda _, index, __: served.append(index))
    monkeypatch.setattr("extproc.edge.logs.setup_logging", lambda *_: None)
    serve = ["--config", str(config), "--worker", "0"]
    assert CliRunner().invoke(command, serve).exit_code == 0
    assert (served, signals) == ([], [signal.SIGTERM])
    monkeypatch.setenv(PARENT_VARIABLE, str(os.getppid()))
    assert CliRunner().invoke(command, serve).exit_code == 0
    assert (served, signals) == ([0], [signal.SIGTERM] * 2)


def test_a_worker_knows_its_supervisor(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []
    monkeypatch.setattr(module.subprocess, "Popen", lambda _, env: started.append(env))
    Supervisor._start(world.supervisor, 0)
    assert started[0][PARENT_VARIABLE] == str(os.getpid())
