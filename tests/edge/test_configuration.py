"""config.yaml while the service runs: taken over whole, refused, or waiting for a restart; recorded before it counts."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.core.record import EventCode
from extproc.edge import configuration
from extproc.edge.configuration import (
    CONTROL,
    RETRY_SECONDS,
    SETTLED_SECONDS,
    Configuration,
    Verdict,
    waits_for_restart,
)
from extproc.edge.settings_file import load_settings
from extproc.local.guard import Wanted, write_config

ANOTHER = {"name": "small", "upstream": "http://127.0.0.1:19", "path_prefix": "/small"}


class World:
    """A configuration whose time, records and Envoy belong to the test."""

    def __init__(self, folder: Path) -> None:
        self.config = write_config(Wanted(folder, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9)
        self.first = self.config.read_bytes()
        self.settings = load_settings(self.config)
        self.settings.run_directory.mkdir(parents=True)
        self.now = 1000.0
        self.happened: list[Any] = []
        """What was recorded, and what Envoy was told, in its order; and what workers read by then."""
        self.unrecordable = self.misdirected = ""
        self.configuration = Configuration(
            self.settings, self.config, note=self._note, direct=self._direct, clock=lambda: self.now
        )
        self.configuration.keep()

    def _note(self, code: EventCode, _: object, detail: dict[str, Any]) -> str:
        if not self.unrecordable:
            self.happened.append((code.value, detail.get("control", ""), self.read_by_workers()))
        return self.unrecordable

    def _direct(self, new: Path, old: Path, version: str) -> str:
        assert new.read_bytes() == self.config.read_bytes()
        assert old == self.configuration.as_read
        assert version.startswith("sha256:")
        self.happened.append(("envoy", self.misdirected, self.read_by_workers()))
        return self.misdirected

    def read_by_workers(self) -> bool:
        """Whether workers have what is in the file now."""
        as_read = self.configuration.as_read.read_bytes()
        return self.config.exists() and as_read == self.config.read_bytes()

    def write(self, change: Callable[[dict[str, Any]], object]) -> None:
        document = yaml.safe_load(self.first)
        change(document)
        self.config.write_text(yaml.safe_dump(document), "utf-8")

    def settle(self, seconds: float = SETTLED_SECONDS) -> None:
        self.configuration.look()
        self.now += seconds
        self.configuration.look()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def another_server(document: dict[str, Any]) -> None:
    document["connections"].append(ANOTHER)


TAKEN_OVER: dict[str, Callable[[dict[str, Any]], object]] = {
    "a connection more": another_server,
    "another upstream": lambda d: d["connections"][0].update(upstream="http://127.0.0.1:10"),
    "models": lambda d: d["connections"][0].update(models=["a-*"]),
    "another issuer": lambda d: d["identity"]["issuers"][0].update(issuer="https://id.example"),
    "dpop": lambda d: d["identity"].update(dpop={"nonce": True}),
}
WAITING: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "workers": (lambda d: d.update(workers=3), "workers"),
    "listener": (lambda d: d["listener"].update(port=10), "listener"),
    "limits": (lambda d: d.update(limits={"max_body": "1MiB"}), "limits"),
    "audit": (lambda d: d["audit"].update(shredders=["others"]), "audit"),
    "policy file": (lambda d: d.update(policy="other.yaml"), "policy_file"),
}


@pytest.mark.parametrize("change", TAKEN_OVER.values(), ids=TAKEN_OVER)
def test_model_servers_and_issuers_are_taken_over(world: World, change: Callable[[dict[str, Any]], object]) -> None:
    world.write(change)
    world.settle()
    assert world.read_by_workers()
    assert world.configuration.verdict is Verdict.IN_FORCE
    assert world.configuration.settings == load_settings(world.config) != world.settings


@pytest.mark.parametrize(("change", "name"), WAITING.values(), ids=WAITING)
def test_anything_else_waits_for_a_restart_with_all_that_is_in_its_file(
    world: World, caplog: pytest.LogCaptureFixture, change: Callable[[dict[str, Any]], object], name: str
) -> None:
    def both(document: dict[str, Any]) -> None:
        change(document)
        another_server(document)

    world.write(both)
    world.settle()
    assert world.configuration.verdict is Verdict.WAITS
    assert world.configuration.as_read.read_bytes() == world.first
    assert world.happened == []
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert said.__dict__["settings"] == (name,)


def test_envoy_leads_there_then_it_is_recorded_then_workers_send_there(world: World) -> None:
    world.write(another_server)
    world.settle()
    assert world.happened == [("envoy", "", False), ("admin.config_change", "", False)]
    assert world.read_by_workers()


def test_what_is_written_in_place_counts_when_it_has_settled(world: World) -> None:
    world.write(another_server)
    whole = world.config.read_bytes()
    for size in range(len(whole) - 3, len(whole) + 1):
        world.config.write_bytes(whole[:size])
        world.settle(SETTLED_SECONDS / 2)
        assert world.happened == []
    world.settle(SETTLED_SECONDS / 2)
    assert world.read_by_workers()


BAD: dict[str, bytes] = {
    "no yaml": b"connections: [",
    "nothing": b"",
    "no schema": b"apiVersion: extproc/v1\nkind: Config\nconnections: 4111111111111111\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_bad_file_leaves_the_last_good_one_and_is_a_failing_control(
    world: World, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    world.config.write_bytes(data)
    for _ in range(5):
        world.settle(RETRY_SECONDS)
    assert world.configuration.failing == {CONTROL}
    assert world.configuration.as_read.read_bytes() == world.first
    assert world.happened == [("control.failure", CONTROL, False)]
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert said.__dict__["problems"]
    assert "4111111111111111" not in repr([record.__dict__ for record in caplog.records])
    world.config.write_bytes(world.first)
    world.settle()
    assert world.configuration.failing == frozenset()
    assert world.happened[1:] == [("control.restored", CONTROL, True)]


def test_a_file_that_is_gone_leaves_the_last_good_one(world: World) -> None:
    world.config.rename(world.config.with_name("away"))
    world.settle()
    assert world.configuration.failing == {CONTROL}
    assert world.configuration.as_read.read_bytes() == world.first
    world.config.with_name("away").rename(world.config)
    world.settle()
    assert world.configuration.failing == frozenset()


def test_a_credential_that_comes_later_than_the_file_that_names_it_is_waited_for(world: World) -> None:
    world.write(lambda d: d["connections"].append(ANOTHER | {"credential_file": "small.key"}))
    world.settle()
    assert world.configuration.failing == {CONTROL}
    (world.config.parent / "small.key").write_text("key of the small one")
    world.settle(RETRY_SECONDS / 2)
    assert world.configuration.failing == {CONTROL}
    world.settle(RETRY_SECONDS)
    assert world.configuration.failing == frozenset()
    assert world.read_by_workers()
    assert [what for what, _, _ in world.happened] == [
        "control.failure", "envoy", "admin.config_change", "control.restored",
    ]  # fmt: skip


def test_a_configuration_that_the_policy_does_not_fit_is_refused(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    policy = yaml.safe_load(world.settings.policy_file.read_text("utf-8"))
    policy["rules"][0].setdefault("match", {})["connections"] = ["model"]
    world.settings.policy_file.write_text(yaml.safe_dump(policy), "utf-8")
    world.write(lambda d: d["connections"][0].update(name="other"))
    world.settle()
    assert world.configuration.failing == {CONTROL}
    assert "the policy does not fit: " in repr(caplog.records[-1].__dict__["problems"])
    assert world.configuration.as_read.read_bytes() == world.first


def test_where_envoy_does_not_follow_nothing_is_taken_over(world: World) -> None:
    world.misdirected = "envoy does not take its new routes"
    world.write(another_server)
    world.settle()
    assert world.configuration.failing == {CONTROL}
    assert not world.read_by_workers()
    world.misdirected = ""
    world.settle(RETRY_SECONDS)
    assert world.read_by_workers()


def test_what_cannot_be_recorded_does_not_happen(world: World) -> None:
    world.unrecordable = "Unavailable"
    world.write(another_server)
    world.settle()
    assert not world.read_by_workers()
    world.unrecordable = ""
    world.settle(RETRY_SECONDS)
    assert world.read_by_workers()
    assert ("admin.config_change", "", False) in world.happened


def test_a_failure_that_cannot_be_recorded_is_recorded_later(world: World) -> None:
    world.unrecordable = "Unavailable"
    world.config.write_bytes(b"")
    world.settle()
    assert world.configuration.failing == {CONTROL}
    world.unrecordable = ""
    world.configuration.look()
    assert world.happened == [("control.failure", CONTROL, False)]


def test_settings_alike_wait_for_nothing(world: World) -> None:
    assert waits_for_restart(world.settings, load_settings(world.config)) == ()


def test_whatever_goes_wrong_is_a_failing_control(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: Any) -> None:
        raise RuntimeError("4111 1111 1111 1111")

    with monkeypatch.context() as broken:
        broken.setattr(configuration, "load_settings_as_read", break_down)
        world.write(another_server)
        world.settle()
    assert world.configuration.failing == {CONTROL}
    assert world.configuration.as_read.read_bytes() == world.first
    assert "RuntimeError" in repr(caplog.records[-1].__dict__["problems"])
    assert "4111" not in repr([record.__dict__ for record in caplog.records])
    world.settle(RETRY_SECONDS)
    assert world.read_by_workers(), "it is tried again"
