"""`extproc envoy discovery`, by which a supervisor has Envoy follow, and what `extproc envoy config` writes beside."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from extproc.cli.envoy import command
from extproc.edge import discovery_files, hardening
from extproc.edge.program import digest_file
from extproc.edge.settings import Settings
from extproc.edge.settings_file import load_settings

CHAT = {"name": "chat", "upstream": "http://127.0.0.1:8000"}
MOVED = {"name": "chat", "upstream": "http://127.0.0.1:8001"}


class Commands:
    """`extproc envoy` on a configuration that changes."""

    def __init__(self, document: dict[str, Any], put: Callable[[dict[str, Any]], Path], folder: Path) -> None:
        self._document, self._put, self._folder = document, put, folder
        self.say(CHAT, "first")

    def say(self, connection: dict[str, Any], copy: str) -> Path:
        """The configuration with this connection, and a copy of it."""
        self.config = self._put({**self._document, "connections": [connection]})
        path = self._folder / copy
        path.write_bytes(self.config.read_bytes())
        return path

    def run(self, name: str, *arguments: object) -> Result:
        return CliRunner().invoke(command, [name, "--config", str(self.config), *map(str, arguments)])

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    def routes(self) -> list[str]:
        """The names of those that lead to a model server."""
        path = discovery_files.folder(self.settings) / discovery_files.ROUTES
        (configuration,) = yaml.safe_load(path.read_bytes())["resources"]
        return [each["name"] for each in configuration["virtual_hosts"][0]["routes"] if "name" in each]


@pytest.fixture
def commands(minimal: dict[str, Any], put: Callable[[dict[str, Any]], Path], folder: Path) -> Commands:
    return Commands({**minimal, "run_directory": "run"}, put, folder)


def test_envoy_gets_what_was_read_and_keeps_what_counted_before(commands: Commands, folder: Path) -> None:
    """Also where a file that the one before names is gone."""
    before = commands.say({**CHAT, "credential_file": "secrets/model.key"}, "before")
    (earlier,) = commands.settings.connections
    now = commands.say(MOVED, "now")
    (folder / "secrets" / "model.key").unlink()
    (connection,) = commands.settings.connections
    done = commands.run("discovery", "--as-read", now, "--also", before)
    assert (done.exit_code, done.output) == (0, "")
    assert commands.routes() == [connection.route, earlier.route]
    assert discovery_files.read_version(commands.settings) == digest_file(now)


def test_it_is_what_was_read_that_counts_and_not_what_the_file_holds_since(commands: Commands, folder: Path) -> None:
    now = commands.say(MOVED, "now")
    (connection,) = commands.settings.connections
    commands.say({**MOVED, "upstream": "http://127.0.0.1:8002"}, "later")
    assert commands.run("discovery", "--as-read", now, "--also", now).exit_code == 0
    assert commands.routes() == [connection.route]
    assert discovery_files.read_version(commands.settings) == digest_file(folder / "now")


@pytest.mark.parametrize("wrong", ["--as-read", "--also"])
def test_a_configuration_that_is_none_writes_nothing_and_says_so(commands: Commands, folder: Path, wrong: str) -> None:
    good = commands.say(MOVED, "good")
    assert commands.run("discovery", "--as-read", good, "--also", good).exit_code == 0
    before = commands.routes(), discovery_files.read_version(commands.settings)
    (folder / "bad").write_text("deployment: [")
    named = {"--as-read": folder / "first", "--also": good, wrong: folder / "bad"}
    done = commands.run("discovery", *(each for pair in named.items() for each in pair))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr
    assert (commands.routes(), discovery_files.read_version(commands.settings)) == before


def test_config_writes_what_envoy_follows_and_leaves_those_in_force_their_routes(commands: Commands) -> None:
    """A service that runs beside goes by `config.as-read.yaml` until it has taken the new one over."""
    (earlier,) = commands.settings.connections
    assert commands.run("config", "--unchecked").exit_code == 0
    assert commands.routes() == [earlier.route]
    assert discovery_files.read_version(commands.settings) == digest_file(commands.config)
    in_force = commands.settings.run_directory / "config.as-read.yaml"
    in_force.write_bytes(commands.config.read_bytes())
    commands.say(MOVED, "now")
    (connection,) = commands.settings.connections
    assert commands.run("config", "--unchecked").exit_code == 0
    assert commands.routes() == [connection.route, earlier.route]
    in_force.write_text("deployment: [")
    assert commands.run("config", "--unchecked").exit_code == 0
    assert commands.routes() == [connection.route]


def test_what_no_envoy_has_accepted_is_given_to_none(
    commands: Commands, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTPROC_ENVOY", str(folder / "none"))
    assert commands.run("config").exit_code == 1
    assert discovery_files.read_version(commands.settings) is None


def test_a_supervisor_that_has_ended_has_nothing_written(
    commands: Commands, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor may want something else by now."""
    now = commands.say(MOVED, "now")
    monkeypatch.setenv(hardening.PARENT_VARIABLE, "1")
    monkeypatch.setattr(hardening, "die_with_parent", lambda _: None)
    result = commands.run("discovery", "--as-read", now, "--also", folder / "first")
    assert (result.exit_code, result.output) == (2, "nobody waits for it any more\n")
    assert discovery_files.read_version(commands.settings) is None
