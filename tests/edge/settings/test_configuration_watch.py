"""What a worker takes over of another configuration, at once or not at all, and what stays as it was."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from extproc.core.policy import Policy
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.core.snapshot import Connection
from extproc.core.trust import Secret
from extproc.edge import configuration_watch
from extproc.edge.authenticator import Authenticator
from extproc.edge.authenticator_in_force import AuthenticatorInForce
from extproc.edge.configuration_takeover import Takeover
from extproc.edge.configuration_watch import CONTROL, AsRead, ConfigurationWatch
from extproc.edge.credential_files import CredentialFiles
from extproc.edge.identity_control import identity_terms
from extproc.edge.policy_file import Fitness, PolicyFile
from extproc.edge.policy_in_force import PolicyInForce
from extproc.edge.program import digest_file
from extproc.edge.settings_file import load_settings
from extproc.local.guard import Wanted, write_config

KEY = Secret("k" * 64)
FAILED = (EventCode.CONTROL_FAILURE, Outcome.FAILED, {"control": CONTROL})
RESTORED = (EventCode.CONTROL_RESTORED, Outcome.SUCCEEDED, {"control": CONTROL})


@dataclass
class Worker:
    """The parts of one that a configuration concerns, and the copy that the supervisor writes."""

    folder: Path
    copy: Path = field(init=False)
    notes: list[Any] = field(default_factory=list)
    signals: list[bool] = field(default_factory=list)
    told: list[tuple[Connection, ...]] = field(default_factory=list)
    recordable: bool = True

    def __post_init__(self) -> None:
        config = write_config(
            Wanted(self.folder, "http://127.0.0.1:9", credential="first-key"), "https://issuer.example", 9
        )
        self.document: dict[str, Any] = yaml.safe_load(config.read_text())
        self.copy = self.folder / "config.as-read.yaml"
        self.copy.write_bytes(config.read_bytes())
        settings = load_settings(config)
        self.credentials = CredentialFiles(settings.connections)
        self.in_force = PolicyInForce(self.credentials.load(), settings, KEY, configuration=digest_file(self.copy))
        self.policy_file = PolicyFile(
            settings.policy_file, on_change=self.in_force.put, on_failure=lambda _: None, fitness=Fitness.of(settings)
        )
        self.in_force.put(self.policy_file.load_once())
        authenticator = Authenticator(
            settings.issuers, httpx.AsyncClient(trust_env=False), terms=identity_terms(settings, KEY)
        )
        self.authenticator = AuthenticatorInForce(authenticator)
        takeover = Takeover(self.in_force, self.credentials, self.authenticator, self.policy_file, self.told.append)
        as_read = AsRead(self.copy, config, digest_file(self.copy))
        self.watch = ConfigurationWatch(as_read, takeover, self._note, self)

    def _note(self, code: EventCode, status: Outcome, **detail: Any) -> None:
        if not self.recordable:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        self.notes.append((code, status, detail))

    def control_failure(self, control: str, failing: bool) -> None:
        assert control == CONTROL
        self.signals.append(failing)

    def put(self, **sections: Any) -> str:
        """As the supervisor does, whole and with one rename. The digest of it."""
        self.put_text(yaml.safe_dump({**self.document, **sections}))
        return digest_file(self.copy)

    def put_text(self, text: str) -> None:
        new = self.copy.with_name("new")
        new.write_text(text)
        new.replace(self.copy)

    def connection(self, name: str, **more: Any) -> dict[str, Any]:
        key = self.folder / f"{name}.key"
        key.write_text(f"key-of-{name}")
        return {"name": name, "upstream": "http://127.0.0.1:8", "credential_file": str(key), **more}

    def issuer(self, name: str, **more: Any) -> dict[str, Any]:
        return {**self.document["identity"]["issuers"][0], "issuer": name, **more}


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


async def test_other_connections_and_issuers_are_in_force_together(worker: Worker) -> None:
    digest = worker.put(
        connections=[worker.connection("gpu"), {**worker.document["connections"][0], "path_prefix": "/model"}],
        identity={
            "issuers": [worker.issuer("https://other.example", mfa={"classes": ["urn:two"]})],
            "dpop": {"external_urls": ["https://models.example"]},
        },
    )
    await worker.watch.look()
    snapshot = worker.in_force.get()
    assert [(each.name, each.path_prefix) for each in snapshot.connections] == [("gpu", "/"), ("model", "/model")]
    assert [each.credential for each in snapshot.connections] == [Secret("key-of-gpu"), Secret("first-key")]
    assert [each.route for each in snapshot.connections] == [
        each.route for each in worker.in_force.settings.connections
    ]
    assert snapshot.mfa_classes == {"https://other.example": ("urn:two",)}
    assert set(worker.authenticator.key_age_seconds()) == {"https://other.example"}
    assert worker.authenticator.get()._possession._terms.dpop.external_urls == ("https://models.example",)
    assert worker.in_force.status(worker.policy_file).configuration == digest
    assert worker.told == [snapshot.connections]


async def test_a_later_policy_does_not_bring_the_old_configuration_back(worker: Worker) -> None:
    worker.put(
        connections=[worker.connection("gpu")],
        identity={"issuers": [worker.issuer("https://other.example", mfa={"classes": ["urn:two"]})]},
    )
    await worker.watch.look()
    expected = worker.in_force.get()
    worker.in_force.put(expected.policy)
    assert worker.in_force.get().connections == expected.connections
    assert worker.in_force.get().mfa_classes == expected.mfa_classes


async def test_an_exchange_under_way_keeps_what_it_began_with(worker: Worker) -> None:
    snapshot, authenticator = worker.in_force.get(), worker.authenticator.get()
    worker.put(connections=[worker.connection("gpu")], identity={"issuers": [worker.issuer("https://other.example")]})
    await worker.watch.look()
    assert [each.name for each in snapshot.connections] == ["model"]
    assert set(authenticator.key_age_seconds()) == {"https://issuer.example"}


async def test_what_counts_after_a_restart_only_stays_as_it_was(worker: Worker) -> None:
    """The supervisor puts no such configuration there. If it is there all the same, nothing of it counts by halves."""
    before = worker.in_force.settings
    worker.put(deployment="another", drain="99s", limits={"max_body": "1MiB"}, connections=[worker.connection("gpu")])
    await worker.watch.look()
    after = worker.in_force.settings
    assert [each.name for each in after.connections] == ["gpu"]
    assert after == before.taking_over(after)
    assert (after.deployment, after.drain_seconds, after.limits) == ("local", 20.0, before.limits)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda worker: worker.put_text("connections: ["),
        lambda worker: worker.put(connections=[]),
        lambda worker: worker.put(connections=[worker.connection("gpu", credential_file="gone.key")]),
        lambda worker: worker.put(connections=[worker.connection("gpu")], identity={"issuers": []}),
        lambda worker: worker.copy.unlink(),
    ],
    ids=["no YAML", "no connection", "no such key", "half of it", "gone"],
)
async def test_what_cannot_be_loaded_leaves_the_last_good_one(
    worker: Worker, spoil: Callable[[Worker], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Recorded and logged once, and once more when it is good again."""
    good, snapshot, authenticator = worker.copy.read_text(), worker.in_force.get(), worker.authenticator.get()
    spoil(worker)
    for _ in range(3):
        await worker.watch.look()
    assert worker.watch.failing
    assert (worker.in_force.get(), worker.authenticator.get()) == (snapshot, authenticator)
    assert worker.notes == [FAILED]
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    assert "first-key" not in caplog.text
    worker.put_text(good)
    await worker.watch.look()
    assert not worker.watch.failing
    assert worker.notes == [FAILED, RESTORED]
    assert worker.signals == [True, False]
    assert worker.told == []


async def test_what_could_not_be_taken_over_is_tried_again(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential's file may come later than the configuration that names it; between two tries nothing is loaded."""
    missing = worker.connection("gpu")
    (worker.folder / "gpu.key").unlink()
    digest = worker.put(connections=[missing])
    await worker.watch.look()
    (worker.folder / "gpu.key").write_text("late-key")
    await worker.watch.look()
    assert worker.watch.failing
    monkeypatch.setattr(worker.watch, "_again_at", 0.0)
    await worker.watch.look()
    assert [each.credential for each in worker.in_force.get().connections] == [Secret("late-key")]
    assert worker.in_force.configuration == digest
    assert worker.notes == [FAILED, RESTORED]


async def test_a_failure_that_cannot_be_recorded_is_recorded_later(worker: Worker) -> None:
    worker.recordable = False
    worker.put_text("connections: [")
    await worker.watch.look()
    assert (worker.notes, worker.signals) == ([], [])
    worker.recordable = True
    await worker.watch.look()
    assert (worker.notes, worker.signals) == ([FAILED], [True])


async def test_a_configuration_that_is_replaced_while_it_is_read_is_read_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ([worker.connection(name)] for name in ("first", "second"))
    load = configuration_watch.load_settings_as_read

    def overtaken(copy: Path, path: Path) -> Any:
        settings = load(copy, path)
        monkeypatch.setattr(configuration_watch, "load_settings_as_read", load)
        worker.put(connections=second)
        return settings

    monkeypatch.setattr(configuration_watch, "load_settings_as_read", overtaken)
    worker.put(connections=first)
    await worker.watch.look()
    assert worker.told == []
    await worker.watch.look()
    assert [each.name for each in worker.in_force.get().connections] == ["second"]
    assert worker.in_force.configuration == digest_file(worker.copy)


async def test_the_watch_sees_each_change_within_a_second(worker: Worker) -> None:
    task = asyncio.create_task(worker.watch.run())
    try:
        for name in ("one", "two"):
            worker.put(connections=[worker.connection(name)])
            async with asyncio.timeout(10):
                while worker.in_force.get().connections[0].name != name:
                    await asyncio.sleep(0.01)
        assert worker.signals == [False]
        assert configuration_watch.POLL_SECONDS <= 0.3
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_policy_that_was_refused_is_judged_by_the_new_configuration(worker: Worker) -> None:
    """It names a connection that there was not; between the two the last good one stays."""
    path = worker.in_force.settings.policy_file
    text = "apiVersion: extproc/v1\nkind: Policy\nname: new\nrules:\n"
    path.write_text(f"{text}  - {{name: a, effect: allow, match: {{connections: [gpu]}}}}\n" + "#" * 4000)
    await worker.policy_file._take(worker.policy_file._look(), 10.0)
    assert worker.policy_file.failing
    worker.put(connections=[worker.connection("gpu")])
    await worker.watch.look()
    assert worker.in_force.get().policy.name != "new"
    content = worker.policy_file._look()
    assert content != worker.policy_file._judged
    await worker.policy_file._take(content, 10.0)
    assert worker.in_force.get().policy.name == "new"
    assert [each.name for each in worker.in_force.get().connections] == ["gpu"]


@pytest.mark.parametrize("fits", [True, False])
async def test_a_policy_that_was_judged_by_the_old_configuration_does_not_count(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    """The other one comes while it is judged, in a thread."""
    path, other = worker.in_force.settings.policy_file, Fitness(connections=frozenset({"gpu"}))
    name = "model" if fits else "gpu"
    text = "apiVersion: extproc/v1\nkind: Policy\nname: new\nrules:\n"
    path.write_text(f"{text}  - {{name: a, effect: allow, match: {{connections: [{name}]}}}}\n" + "#" * 4000)
    parse = PolicyFile._parse

    def overtaken(file: PolicyFile, content: Any) -> Policy:
        try:
            return parse(file, content)
        finally:
            file.suit(other)

    monkeypatch.setattr(PolicyFile, "_parse", overtaken)
    content = worker.policy_file._look()
    await worker.policy_file._take(content, 10.0)
    assert worker.in_force.get().policy.name != "new"
    assert not worker.policy_file.failing
    assert content != worker.policy_file._judged


async def test_whatever_goes_wrong_the_last_good_one_stays_and_the_worker_lives(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = worker.in_force.get()

    def break_down(*_: Any) -> None:
        raise RuntimeError("4111 1111 1111 1111")

    with monkeypatch.context() as broken:
        broken.setattr(configuration_watch, "load_settings_as_read", break_down)
        worker.put(connections=[worker.connection("gpu")])
        await worker.watch.look()
    assert worker.in_force.get() is before
    assert worker.notes == [FAILED]
    assert "RuntimeError" in repr(caplog.records[-1].__dict__["problems"])
    assert "4111" not in repr([record.__dict__ for record in caplog.records])
