"""What a worker does with a new policy: recorded, in force for new exchanges, and no reason to end."""

import asyncio
import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from extproc.app import _introduced
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention.sealed import Sealer, write_custodian_keys
from extproc.core.document import Problem
from extproc.core.policy import Policy
from extproc.core.policy_document import parse_policy
from extproc.core.reasons import Reason, Unavailable
from extproc.core.snapshot import Connection
from extproc.core.trust import Secret
from extproc.edge import policy_control
from extproc.edge.kubernetes_events import KubernetesEvents
from extproc.edge.policy_control import PolicyControl
from extproc.edge.policy_in_force import PolicyInForce
from extproc.edge.settings_file import load_settings
from extproc.local.guard import Wanted, write_config

TEXT = "apiVersion: extproc/v1\nkind: Policy\nname: {}\nrules:\n  - {{name: a, effect: allow, match: {{}}}}\n"
SECRET = "k" * 32


class Journal:
    """Keeps records, with the policy that was in force as each arrived; full on request."""

    def __init__(self, in_force: PolicyInForce) -> None:
        self.in_force = in_force
        self.full = False
        self.records: list[tuple[str, str, str]] = []
        self.details: list[dict[str, Any]] = []

    def append_record(self, record: Any) -> int:
        if self.full:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        told = dict(record.detail)
        self.records.append((record.event_code.value, record.status.value, self.in_force.get().policy.name))
        self.details.append(told)
        assert "4111" not in repr(told)
        return len(self.records)


class Telemetry:
    def __init__(self) -> None:
        self.failing: list[bool] = []
        self.digests: list[str] = []

    def control_failure(self, control: str, failing: bool) -> None:
        assert control == "policy"
        self.failing.append(failing)

    def set_policy(self, digest: str, loaded_unix: float) -> None:
        self.digests.append(digest)


class World:
    def __init__(self, folder: Path) -> None:
        settings = load_settings(write_config(Wanted(folder, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9))
        self.in_force = PolicyInForce((), settings, Secret(SECRET))
        self.old, self.new = (parse_policy(TEXT.format(name).encode(), max_wait_seconds=1.0) for name in ("old", "new"))
        self.in_force.put(self.old)
        self.journal, self.telemetry = Journal(self.in_force), Telemetry()
        self.control = PolicyControl(self.in_force, self.journal, self.telemetry, KubernetesEvents(None))

    def change(self, policy: Policy) -> None:
        self.control.changed(policy)

    def fail(self) -> None:
        self.control.failed((Problem("rules", 3, 1, "a message"),))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_without_a_policy_nothing_is_answered(world: World) -> None:
    with pytest.raises(RuntimeError):
        PolicyInForce((), world.in_force.settings, Secret(SECRET)).get()


def test_a_new_credential_is_for_new_exchanges_only(world: World) -> None:
    """A running exchange keeps its snapshot; a policy that comes later does not bring the old credential back."""
    before = world.in_force.get()
    served = (Connection("gpu", credential=Secret("new")),)
    world.in_force.serve(served)
    assert (before.connections, world.in_force.get().connections) == ((), served)
    assert world.in_force.get().policy is before.policy
    world.in_force.put(world.new)
    assert world.in_force.get().connections == served


def test_a_new_policy_is_recorded_before_it_is_in_force(world: World) -> None:
    before = world.in_force.get()
    world.change(world.new)
    assert world.journal.records == [("admin.policy_change", "succeeded", "old")]
    assert world.in_force.get().policy is world.new
    assert before.policy is world.old, "an exchange keeps the snapshot that it took"
    assert world.telemetry.digests == [world.new.digest]
    assert world.telemetry.failing == []


def test_a_bad_policy_is_a_control_failure_until_a_good_one_comes(world: World) -> None:
    world.fail()
    world.fail()
    assert world.in_force.get().policy is world.old
    assert world.journal.records == [("control.failure", "failed", "old")] * 2
    world.change(world.new)
    world.change(world.old)
    codes = [code for code, _, _ in world.journal.records[2:]]
    assert codes == ["admin.policy_change", "control.restored", "admin.policy_change"]
    assert world.telemetry.failing == [True, True, False]


def test_a_policy_file_that_is_back_as_it_was_is_no_change(world: World) -> None:
    """Only the control is restored: no record of a change, and the policy gets no younger."""
    world.fail()
    world.change(world.old)
    assert [code for code, _, _ in world.journal.records] == ["control.failure", "control.restored"]
    assert world.telemetry.digests == []
    assert world.telemetry.failing == [True, False]


async def test_the_record_of_a_refused_policy_says_which_and_where(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Its digest, the line, and the part of the document; no key or value of it. The log has file and hint."""
    file = world.control.file
    refused = TEXT.format("x").replace("effect:", "efect:").encode()
    world.in_force.settings.policy_file.write_bytes(refused)
    await file._take(file._look(), 10.0)
    (detail,) = world.journal.details
    digest = f"sha256:{hashlib.sha256(refused).hexdigest()}"
    assert {key: detail[key] for key in detail if key != "problems"} == {
        "control": "policy", "refused_digest": digest, "path": "rules[0]", "line": 5, "column": 5,
    }  # fmt: skip
    (line,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert vars(line)["file"] == str(world.in_force.settings.policy_file)
    assert any("did you mean `effect`" in problem for problem in vars(line)["problems"])
    assert any("did you mean `effect`" in problem for problem in world.in_force.status(file).problems)
    world.in_force.settings.policy_file.write_text("secret_word: 1\n")
    await file._take(file._look(), 10.0)
    assert "path" not in world.journal.details[1]
    world.in_force.settings.policy_file.unlink()
    await file._take(file._look(), 10.0)
    assert "refused_digest" not in world.journal.details[2]


def test_a_journal_that_is_full_keeps_no_policy_from_being_replaced(world: World) -> None:
    """Every exchange is refused meanwhile; the worker must be there, with the right policy, when there is room."""
    world.journal.full = True
    world.fail()
    world.change(world.new)
    assert world.in_force.get().policy is world.new
    assert world.telemetry.failing == [True, False]
    assert world.journal.records == []


def test_what_could_not_be_recorded_of_the_policy_is_recorded_in_order_once_that_is_possible(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.journal.full = True
    world.fail()
    world.change(world.new)
    world.control.record_owed()
    assert world.journal.records == []
    world.journal.full = False
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 61)
    world.control.record_owed()
    codes = ["control.failure", "admin.policy_change", "control.restored"]
    assert [code for code, _, _ in world.journal.records] == codes
    assert [detail["late_seconds"] in (60, 61) for detail in world.journal.details] == [True] * 3
    assert world.journal.details[1]["previous_digest"] == world.old.digest
    world.control.record_owed()
    world.change(world.old)
    assert [code for code, _, _ in world.journal.records] == [*codes, "admin.policy_change"]
    assert "late_seconds" not in world.journal.details[-1]


async def test_what_is_owed_is_recorded_at_the_next_turn_and_at_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for again in (True, False):
        monkeypatch.setattr(policy_control, "RETRY_SECONDS", 0.01 if again else 3600.0)
        world.journal.records.clear()
        task = asyncio.create_task(world.control.run())
        await asyncio.sleep(0.02)
        world.journal.full = True
        world.fail()
        world.journal.full = False
        while again and not world.journal.records:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [code for code, _, _ in world.journal.records] == ["control.failure"]


@pytest.mark.parametrize("named", ["the same", "another", ""], ids=["same", "swapped", "unreadable"])
def test_a_policy_that_is_another_than_the_start_record_names_is_recorded(world: World, named: str) -> None:
    """The file may be replaced between the start of the log and the first load."""
    digest = world.new.digest if named == "the same" else named
    settings = world.in_force.settings
    world.in_force.settings = replace(settings, audit=replace(settings.audit, policy_digest=digest))
    world.control.begin(world.new)
    assert world.in_force.get().policy is world.new
    assert world.telemetry.digests == [world.new.digest]
    if named == "the same":
        assert world.journal.records == []
    else:
        assert world.journal.records == [("admin.policy_change", "succeeded", "old")]
        assert world.journal.details == [{"previous_digest": named}]


def test_the_digest_key_does_not_print(world: World) -> None:
    assert SECRET not in repr(world.in_force)


def test_originals_are_sealed_when_there_is_a_custodian_and_only_then(world: World) -> None:
    assert world.in_force.get().seal is None
    world.in_force.seal = Sealer(X25519PrivateKey.generate().public_key(), "here/worker-0/epoch")
    world.in_force.put(world.new)
    assert world.in_force.get().seal is world.in_force.seal


def test_a_private_key_in_the_place_of_the_custodians_keeps_the_service_from_starting(tmp_path: Path) -> None:
    write_custodian_keys(tmp_path / "custodian.key")
    path = write_config(Wanted(tmp_path, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9)
    settings = load_settings(path)
    for name, words in (("custodian.key", "private key"), ("custodian.key.pub", "")):
        audit = replace(settings.audit, sealed_key=tmp_path / name)
        if words:
            with pytest.raises(AuditRefused, match=words):
                _introduced(replace(settings, audit=audit), "sha256:c")
        else:
            assert len(_introduced(replace(settings, audit=audit), "sha256:c").audit.sealed_to) == 16
