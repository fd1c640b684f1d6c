"""A configuration that was tried and did not come in force: nobody says it did, and Envoy and the log are led back."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.audit.files import replace
from extproc.cli import config as cli_config
from extproc.cli.serve import _supervisor
from extproc.edge import configuration, logs
from extproc.edge.configuration import CONTROL, RETRY_SECONDS
from extproc.edge.program import digest
from extproc.edge.settings import Settings
from tests.edge.test_configuration import World, another_server


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def unplaced(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No room for what workers are to read, once Envoy leads there and it is recorded."""

    def full(path: Path, data: bytes) -> None:
        if path == world.configuration.as_read and data != world.first:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(configuration, "replace", full)
        yield


@pytest.mark.usefixtures("unplaced")
def test_what_workers_cannot_be_given_is_not_said_to_be_in_force(world: World) -> None:
    """Nor later, by a look at the same file; and it is recorded once."""
    world.write(another_server)
    for _ in range(3):
        world.settle(RETRY_SECONDS)
        assert world.configuration.failing == {CONTROL}
        assert world.configuration.digest == digest(world.first)
        assert not world.read_by_workers()
    assert [what for what, _, _ in world.happened].count("admin.config_change") == 1


def test_what_workers_could_not_be_given_is_in_force_once_there_is_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(configuration, "replace", lambda path, data: replace(path.with_name("full") / "x", data))
        world.write(another_server)
        world.settle()
        assert world.configuration.failing == {CONTROL}
    world.settle(RETRY_SECONDS)
    assert world.configuration.failing == frozenset()
    assert world.read_by_workers()


@pytest.mark.usefixtures("unplaced")
def test_a_change_that_was_recorded_and_is_taken_back_is_recorded_so(world: World) -> None:
    world.write(another_server)
    world.settle()
    world.config.write_bytes(world.first)
    world.settle()
    assert [what for what, _, _ in world.happened] == [
        "envoy", "admin.config_change", "control.failure", "envoy", "admin.config_change", "control.restored",
    ]  # fmt: skip
    assert world.read_by_workers()


def test_envoy_is_led_back_from_what_was_tried_in_vain(world: World) -> None:
    """It may have taken over a part; its probes have one configuration."""
    world.misdirected = "envoy does not take its new routes"
    world.write(another_server)
    world.settle()
    world.config.write_bytes(world.first)
    world.settle()
    assert world.configuration.failing == {CONTROL}
    world.misdirected = ""
    world.settle(RETRY_SECONDS)
    assert world.happened[-2:] == [("envoy", "", True), ("control.restored", CONTROL, True)]
    told = len(world.happened)
    world.config.write_bytes(b"")
    world.settle()
    world.config.write_bytes(world.first)
    world.settle()
    assert "envoy" not in [what for what, _, _ in world.happened[told:]]


def test_a_file_that_changes_while_a_service_starts_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else workers would be given what nobody judged, and its digest would be that of what is in force."""
    load = cli_config.settings_or_exit

    def overtaken(path: Path) -> Settings:
        settings = load(path)
        monkeypatch.setattr(cli_config, "settings_or_exit", load)
        world.write(another_server)
        return settings

    monkeypatch.setattr(cli_config, "settings_or_exit", overtaken)
    monkeypatch.setattr(logs, "setup_logging", lambda *_: None)
    supervisor = _supervisor(world.config)
    assert supervisor.configuration_digest == digest(world.config.read_bytes())
    assert supervisor._settings == load(world.config) != world.settings
