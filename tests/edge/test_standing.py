"""What the supervisor says of itself to probes, and the order in which it ends what ends with it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from extproc.cli.config import settings_or_exit
from extproc.cli.drain import command as drain
from extproc.edge import run_lock
from extproc.edge import supervisor as module
from extproc.edge.configuration import SETTLED_SECONDS
from extproc.edge.envoy_admin import admin_socket
from extproc.edge.standing import Standing
from extproc.edge.supervisor import HOPELESS_DEATHS, STABLE_SECONDS, STUCK_SECONDS, Supervisor
from tests.edge.played_admin import PlayedAdmin
from tests.edge.test_supervisor import World

ALIVE = Standing(alive=True, draining=False)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    made.child = made.start(0)  # type: ignore[attr-defined]
    made.supervisor._children = [made.child]  # type: ignore[attr-defined]
    return made


def test_a_worker_that_dies_now_and_then_is_no_reason_to_start_the_pod_anew(world: World) -> None:
    for _ in range(HOPELESS_DEATHS - 1):
        world.die(after=0.25)
        assert world.supervisor.standing() == ALIVE
    for _ in range(HOPELESS_DEATHS):
        world.die(after=STABLE_SECONDS + 1)
        assert world.supervisor.standing() == ALIVE


def test_workers_that_all_die_again_and_again_are_not_alive(world: World) -> None:
    for _ in range(HOPELESS_DEATHS):
        world.die(after=0.25)
    assert not world.supervisor.standing().alive
    world.now += STABLE_SECONDS + 1
    assert world.supervisor.standing() == ALIVE
    for _ in range(HOPELESS_DEATHS):
        world.die(after=0.25)
    world.supervisor._children.append(world.start(1))
    assert world.supervisor.standing() == ALIVE, "another one lives"


def test_a_supervisor_that_looks_at_nobody_is_not_alive(world: World) -> None:
    world.now += 2 * STUCK_SECONDS
    assert world.supervisor.standing() == ALIVE, "it waits for the store before its first look"
    world.supervisor._turned_at = world.now
    world.now += STUCK_SECONDS - 1
    assert world.supervisor.standing() == ALIVE
    world.now += 2
    assert not world.supervisor.standing().alive


def test_a_supervisor_that_was_told_to_stop_drains_and_is_alive(world: World) -> None:
    world.supervisor._turned_at = world.now
    world.supervisor._stopping.set()
    world.now += 10 * STUCK_SECONDS
    assert world.supervisor.standing() == Standing(alive=True, draining=True)


def test_a_control_that_fails_is_named(world: World) -> None:
    world.supervisor._alarm._failing = {"store_clock": "clock", "audit_store": "network"}
    assert world.supervisor.standing().failing == ("audit_store", "store_clock")


def test_a_configuration_that_was_replaced_is_told_and_workers_go_on_by_the_one_before(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor, config = world.supervisor, world.supervisor._config
    supervisor._configuration.keep()
    before = config.read_bytes()
    look(world)
    assert supervisor.standing() == ALIVE
    config.write_bytes(before.replace(b"workers: 2", b"workers: 3"))
    look(world)
    look(world)
    assert supervisor.standing().restart_needed
    assert caplog.text.count("the configuration counts after a restart") == 1
    config.write_text("kind: [", "utf-8")
    look(world)
    assert supervisor.standing() == replace(ALIVE, failing=("configuration",))
    started: list[list[str]] = []
    monkeypatch.setattr(module.subprocess, "Popen", lambda command, **_: started.append(command))
    Supervisor._start(supervisor, 0)
    options = dict(zip(started[0][4::2], started[0][5::2], strict=True))
    assert (options["--config"], Path(options["--as-read"]).read_bytes()) == (str(config), before)
    assert settings_or_exit(config, Path(options["--as-read"])) == world.settings
    config.write_bytes(before)
    look(world)
    assert supervisor.standing() == ALIVE


def look(world: World) -> None:
    """As often as it takes for a file to settle."""
    for _ in range(4):
        world.supervisor._configuration.look()
        world.now += SETTLED_SECONDS / 2


class Admin(PlayedAdmin):
    """Notes what it is asked, and what the workers had been told by then."""

    def __init__(self, path: Path, world: World) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self._signals = world.child.process.signals  # type: ignore[attr-defined]
        super().__init__(path, self._answer)

    def _answer(self, path: str) -> str:
        self.asked.append((path, list(self._signals)))
        return ""


@pytest.fixture
def admin(world: World) -> Iterator[Admin]:
    with Admin(admin_socket(world.settings.run_directory), world) as server:
        yield server
        server.shutdown()


def ends_with_service(world: World, *, yes: bool) -> None:
    envoy = replace(world.settings.envoy, ends_with_service=yes)
    world.supervisor._settings = replace(world.settings, envoy=envoy)


def test_envoy_takes_nothing_new_before_workers_end_and_quits_after_the_last_shipping(
    world: World, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_with_service(world, yes=True)
    monkeypatch.setattr(world.supervisor, "_ship_last", lambda: admin.asked.append(("shipped", [])) or True)
    assert world.stop(world.child) == 0  # type: ignore[attr-defined]
    assert admin.asked == [
        ("/healthcheck/fail", []),
        ("/drain_listeners?inboundonly", []),
        ("shipped", []),
        ("/quitquitquit", ["TERM"]),
    ]


def test_an_envoy_of_others_is_left_alone(world: World, admin: Admin) -> None:
    ends_with_service(world, yes=False)
    assert world.stop(world.child) == 0  # type: ignore[attr-defined]
    assert admin.asked == []


def test_an_envoy_that_is_gone_stops_nothing(world: World) -> None:
    ends_with_service(world, yes=True)
    assert world.stop(world.child) == 0  # type: ignore[attr-defined]


def test_the_service_that_has_the_lock_is_told_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(run_lock.os, "kill", lambda *arguments: told.append(arguments))
    monkeypatch.setattr(run_lock.os, "getpid", lambda: 4711)
    assert not run_lock.end_holder(tmp_path)
    held = run_lock.take(tmp_path)
    assert held is not None
    assert run_lock.take(tmp_path) is None
    assert run_lock.end_holder(tmp_path)
    run_lock.os.close(held)
    assert not run_lock.end_holder(tmp_path), "what ended is not told: its number may be somebody else's now"
    assert told == [(4711, run_lock.signal.SIGTERM)]


def test_drain_says_whether_there_was_somebody_to_tell(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ["--config", str(world.supervisor._config)]
    nobody = CliRunner().invoke(drain, config)
    assert (nobody.exit_code, "no service runs" in nobody.stderr) == (1, True)
    assert CliRunner().invoke(drain, [*config, "--after", "soon"]).exit_code == 2
    told: list[int] = []
    monkeypatch.setattr(run_lock.os, "kill", lambda number, _: told.append(number))
    held = run_lock.take(world.settings.run_directory)
    assert held is not None
    assert CliRunner().invoke(drain, [*config, "--after", "1ms"]).exit_code == 0
    assert told == [run_lock.os.getpid()]
    run_lock.os.close(held)
