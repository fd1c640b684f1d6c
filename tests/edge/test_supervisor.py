"""The parent of the workers, without the workers: who is started again, what is adopted, shipped and noted, and how it
ends. Real processes stand in tests/conformance/service."""

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extproc.audit.log import own_notes
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import ShippingFailed, ShipResult
from extproc.audit.names import Origin, Part
from extproc.audit.records.line import parse_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import Directory, Fault, StoreFailed, open_store
from extproc.core.record import Record
from extproc.edge import start_checks
from extproc.edge import supervisor as module
from extproc.edge.settings_file import load_settings
from extproc.edge.supervisor import RESTART_SECONDS, STABLE_SECONDS, Supervisor
from extproc.local.guard import Wanted, write_config


class Process:
    """A worker that lives until a test ends it."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.returncode: int | None = None
        self.deaf = deaf
        self.signals: list[str] = []

    def poll(self) -> int | None:
        return self.returncode

    def terminate(self) -> None:
        self.signals.append("TERM")
        if not self.deaf:
            self.returncode = 0

    def kill(self) -> None:
        self.signals.append("KILL")
        self.returncode = -9

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        return self.returncode


class World:
    """A supervisor whose time and workers belong to the test; spool and store are real."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = write_config(Wanted(folder, "http://127.0.0.1:9"), "http://127.0.0.1:9", 9)
        self.settings = load_settings(config)
        self.settings.run_directory.mkdir(parents=True)
        self.now = 1000.0
        self.started: list[Process] = []
        self.supervisor = Supervisor(self.settings, config, clock=lambda: self.now)
        monkeypatch.setattr(self.supervisor, "_start", self.start)

    def start(self, index: int) -> Any:
        self.started.append(Process())
        return module._Child(index, self.started[-1], self.now)  # type: ignore[arg-type]

    def die(self, after: float) -> float:
        """Seconds until the last started worker, which dies after a while, has a successor."""
        self.now += after
        self.started[-1].returncode = 1
        died, count = self.now, len(self.started)
        while len(self.started) == count:
            self.supervisor._keep_alive(self.child)
            self.now += 0.25
            assert self.now < died + 100, "no worker is started again"
        return self.now - 0.25 - died

    def dead_writer(self) -> None:
        """A worker that was killed: its journal has no end, and nobody holds it."""
        journal = Journal.open(
            self.settings.audit, self.supervisor._keys, writer="worker-0", deliver=lambda call: call()
        )
        journal._seal_last = lambda: None  # type: ignore[method-assign]
        journal._queue.fail()
        journal._thread.join()
        journal._keeper._stopping = True
        journal._keeper.stop()
        journal._epoch.lock.release()

    def stored(self) -> list[str]:
        """Event codes of the evidence in the store."""
        root = self.settings.audit.store.directory  # type: ignore[union-attr]
        lines = [line for path in sorted(root.rglob("*.jsonl")) for line in path.read_text().splitlines()]
        return [code for line in lines if (code := _find(json.loads(line), "event_code"))]

    def controls(self) -> list[Record]:
        """What the evidence in the store says of failures of controls."""
        root = self.settings.audit.store.directory  # type: ignore[union-attr]
        lines = [line for path in sorted(root.rglob("*.jsonl")) for line in path.read_bytes().splitlines()]
        return [parse_record(line) for line in lines if b'"control.' in line]

    def stop(self, *children: Any) -> int:
        shipping = threading.Thread(target=lambda: None)
        shipping.start()
        return self.supervisor._stop(list(children), shipping)


def _find(value: Any, name: str) -> str:
    if isinstance(value, dict):
        return str(value[name]) if name in value else next(filter(None, (_find(v, name) for v in value.values())), "")
    return ""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    made.child = made.start(0)  # type: ignore[attr-defined]
    return made


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def test_a_living_worker_is_left_alone(world: World) -> None:
    world.now += 1000
    world.supervisor._keep_alive(world.child)
    assert len(world.started) == 1


def test_a_dead_worker_is_started_again_and_ever_later_while_it_dies_at_once(world: World) -> None:
    assert [world.die(after=0.25) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert world.die(after=STABLE_SECONDS + 1) == RESTART_SECONDS


def test_the_journal_of_a_dead_worker_is_adopted_at_its_death(world: World) -> None:
    world.dead_writer()
    world.die(after=1.0)
    assert world.supervisor._ship_once()
    assert world.stored() == ["log.start", "log.adopt"]


def test_the_journal_of_a_worker_that_had_to_be_killed_is_adopted_before_the_last_shipping(world: World) -> None:
    world.child.process = deaf = Process(deaf=True)
    world.dead_writer()
    assert world.stop(world.child) == 0
    assert deaf.signals == ["TERM", "KILL"]
    assert world.stored() == ["log.start", "log.adopt"]


def test_records_that_cannot_be_shipped_at_the_end_are_told_by_the_exit_code(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(world.supervisor._shipper, "ship_pending", failing(StoreFailed("away")))
    assert world.stop(world.child) == 1


def test_the_last_records_wait_for_another_shipper_to_end(world: World, monkeypatch: Any) -> None:
    """The console ships from the same spool, also at the moment at which both are stopped."""
    monkeypatch.setattr(module, "LAST_TRY_SECONDS", 0.0)
    real, busy = world.supervisor._shipper.ship_pending, [ShipResult(0, 5.0, by_another=True)] * 3
    monkeypatch.setattr(world.supervisor._shipper, "ship_pending", lambda: busy.pop() if busy else real())
    world.dead_writer()
    assert world.stop(world.child) == 0
    assert "log.adopt" in world.stored()


def test_who_ships_for_ever_is_not_waited_for(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "LAST_TRY_SECONDS", 0.0)
    monkeypatch.setattr(world.supervisor._shipper, "ship_pending", lambda: ShipResult(0, 5.0, by_another=True))
    assert world.stop(world.child) == 1


def test_an_outage_of_the_store_and_its_end_are_each_recorded_once(world: World, monkeypatch: Any) -> None:
    with monkeypatch.context() as away:
        away.setattr(world.supervisor._shipper, "ship_pending", failing(StoreFailed("away")))
        assert [world.supervisor._ship_once() for _ in range(3)] == [False] * 3
    assert world.stop(world.child) == 0
    codes = [code for code in world.stored() if code.startswith("control.")]
    assert sorted(codes) == ["control.failure", "control.restored"]


def contradict(world: World) -> Path:
    """The store holds other bytes in the place of a segment that waits in the spool; its epoch."""
    world.dead_writer()
    world.supervisor._adopt()
    (epoch,) = (world.settings.audit.spool / "epochs" / "worker-0").iterdir()
    origin = Origin(world.settings.audit.deployment, "worker-0", epoch.name)
    open_store(world.settings.audit).put_once(origin.object_key(Part.EVIDENCE, 1), b"other")
    return epoch


def test_a_store_that_contradicts_a_segment_stops_new_exchanges_until_a_person_has_looked(
    world: World, tmp_path: Path, monkeypatch: Any
) -> None:
    """DIVERGENT_DUPLICATE: a recorded control failure, once, and no second try."""
    journal = Journal.open(world.settings.audit, world.supervisor._keys, writer="worker-1", deliver=lambda call: call())
    try:
        epoch = contradict(world)
        assert journal.accepting()
        assert not world.supervisor._ship_once()
        journal._keeper._watch()
        assert not journal.accepting()
        assert journal._keeper._alarms.paused, "a pause, which is a record, and no mere refusal"
        put, keys = Directory.put_once, []
        with monkeypatch.context() as watched:
            watched.setattr(Directory, "put_once", lambda store, key, data: (keys.append(key), put(store, key, data)))
            assert [world.supervisor._ship_once() for _ in range(3)] == [False] * 3
        assert not [key for key in keys if epoch.name in key]
        assert list(epoch.glob("*.manifest.json")), "our bytes are still here"
        epoch.rename(tmp_path / "evidence")
        assert world.supervisor._ship_once()
        journal._keeper._watch()
        assert journal.accepting()
    finally:
        journal.close()
    assert world.stop(world.child) == 0
    noted = world.controls()
    assert sorted(record.event_code for record in noted) == ["control.failure", "control.restored"]
    (failure,) = [record.detail for record in noted if record.event_code == "control.failure"]
    assert (failure["control"], failure["cause"]) == ("audit_store", "divergent_duplicate")
    assert epoch.name in str(failure["object"])


def test_a_clock_that_differs_is_a_failure_of_its_own_control(world: World, monkeypatch: Any) -> None:
    """PCI DSS 10.6.3: that times cannot be trusted is told apart from a store that is away."""
    with monkeypatch.context() as away:
        for fault in (Fault.UNREACHABLE, Fault.BUSY, Fault.CLOCK, Fault.CLOCK):
            away.setattr(world.supervisor._shipper, "ship_pending", failing(ShippingFailed(fault)))
            assert not world.supervisor._ship_once()
    assert world.stop(world.child) == 0
    assert sorted((record.event_code, record.detail["control"]) for record in world.controls()) == [
        ("control.failure", "audit_store"),
        ("control.failure", "store_clock"),
        ("control.restored", "audit_store"),
        ("control.restored", "store_clock"),
    ]


def test_the_end_of_an_outage_is_recorded_by_the_next_service_if_this_one_does_not_see_it(
    world: World, monkeypatch: Any
) -> None:
    monkeypatch.setattr(world.supervisor._shipper, "ship_pending", failing(ShippingFailed(Fault.DENIED)))
    assert not world.supervisor._ship_once()
    world.supervisor = Supervisor(world.settings, world.settings.policy_file, clock=lambda: world.now)
    assert world.stop(world.child) == 0
    told = sorted((record.event_code, record.detail["cause"]) for record in world.controls())
    assert told == [("control.failure", "denied"), ("control.restored", "denied")]


def test_a_failure_that_cannot_be_recorded_is_recorded_at_the_next_look(world: World, monkeypatch: Any) -> None:
    with monkeypatch.context() as away:
        away.setattr(world.supervisor._shipper, "ship_pending", failing(StoreFailed("away")))
        with monkeypatch.context() as full:
            full.setattr(own_notes, "write_once", failing(OSError(28, "full")))
            assert [world.supervisor._ship_once() for _ in range(2)] == [False] * 2
        assert not world.supervisor._ship_once()
    assert world.stop(world.child) == 0
    assert sorted(record.event_code for record in world.controls()) == ["control.failure", "control.restored"]


def test_one_broken_epoch_does_not_end_the_service(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "adopt_orphans", failing(ValueError("4111 1111 1111 1111")))
    assert world.die(after=1.0) == RESTART_SECONDS


@pytest.mark.parametrize(("error", "fit"), [(AuditRefused("no lock"), False), (StoreFailed("away"), True)])
def test_an_unfit_store_is_refused_and_one_that_is_away_is_waited_for(
    world: World, monkeypatch: Any, error: Exception, fit: bool
) -> None:
    monkeypatch.setattr(start_checks, "open_store", failing(error))
    assert start_checks.is_fit_to_serve(world.settings, world.supervisor._keys) is fit


def test_a_run_directory_serves_one(world: World) -> None:
    assert world.supervisor._take_run_directory() is not None
    assert world.supervisor._take_run_directory() is None


def test_a_bad_policy_is_refused_at_start(world: World) -> None:
    keys = world.supervisor._keys
    assert start_checks.is_fit_to_serve(world.settings, keys)
    world.settings.policy_file.write_text("rules: []\n")
    assert not start_checks.is_fit_to_serve(world.settings, keys)


def test_who_finds_another_shipper_at_work_does_not_say_that_the_store_is_back(world: World, monkeypatch: Any) -> None:
    """Two services on one spool: one tries the store and fails, and the other would call it restored."""
    with monkeypatch.context() as away:
        away.setattr(world.supervisor._shipper, "ship_pending", failing(ShippingFailed(Fault.DENIED)))
        assert not world.supervisor._ship_once()
    result = ShipResult(0, 5.0, by_another=True)
    with monkeypatch.context() as busy:
        busy.setattr(world.supervisor._shipper, "ship_pending", lambda: result)
        assert not world.supervisor._ship_once(), "something waits, and it is not we who ship it"
    assert world.supervisor._alarm.failing
    assert world.stop(world.child) == 0
    assert sorted(record.event_code for record in world.controls()) == ["control.failure", "control.restored"]


def test_a_failure_that_cannot_be_recorded_does_not_end_the_shipping(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(world.supervisor._shipper, "ship_pending", failing(ShippingFailed(Fault.DENIED)))
    monkeypatch.setattr(own_notes, "write_once", failing(RuntimeError("can't start new thread")))
    assert [world.supervisor._ship_once() for _ in range(2)] == [False] * 2


class TestPace:
    @pytest.fixture
    def tries(self, world: World, monkeypatch: Any) -> Callable[[int, Exception | None], list[int]]:
        """Looks once a second, so many times; the seconds of those that tried to ship, which ended so."""
        real = world.supervisor._shipper.ship_pending

        def look(seconds: int, error: Exception | None) -> list[int]:
            tried: list[int] = []
            began = world.now

            def ship_pending() -> ShipResult:
                tried.append(int(world.now - began))
                if error is not None:
                    raise error
                return real()

            monkeypatch.setattr(world.supervisor._shipper, "ship_pending", ship_pending)
            for _ in range(seconds):
                world.supervisor._ship_if_due()
                world.now += 1
            return tried

        return look

    def test_what_fails_again_is_tried_ever_later_and_told_at_the_first_failure(self, world: World, tries: Any) -> None:
        away = ShippingFailed(Fault.UNREACHABLE)
        assert tries(1, away) == [0]
        assert world.supervisor._alarm.failing
        assert tries(190, away) == [0, 2, 6, 14, 30, 62, 122, 182]

    def test_another_cause_and_a_segment_that_got_through_are_tried_again_at_once(
        self, world: World, tries: Any
    ) -> None:
        tries(190, ShippingFailed(Fault.UNREACHABLE))
        world.now += 60
        assert tries(4, ShippingFailed(Fault.DENIED)) == [0, 1, 3]
        world.now += 60
        assert tries(4, ShippingFailed(Fault.DENIED, shipped=1)) == [0, 1, 2, 3]
        assert tries(4, ShippingFailed(Fault.DENIED)) == [0, 2]
        world.now += 60
        assert tries(4, None) == [0, 1, 2, 3]

    def test_the_last_shipping_waits_for_nothing(self, world: World, tries: Any) -> None:
        world.dead_writer()
        tries(190, ShippingFailed(Fault.UNREACHABLE))
        assert tries(1, None) == []
        assert world.stop(world.child) == 0
        assert "log.adopt" in world.stored()

    def test_an_epoch_that_fails_tells_what_the_others_brought(self, world: World) -> None:
        contradict(world)
        Journal.open(world.settings.audit, world.supervisor._keys, writer="zz", deliver=lambda call: call()).close()
        for shipped in (1, 0):
            with pytest.raises(ShippingFailed) as failed:
                world.supervisor._shipper.ship_pending()
            assert failed.value.shipped == shipped
