"""The parent of the workers: adopts what dead ones left, ships what live ones sealed, starts them again."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from extproc.audit.keys.first_keys import first_keys
from extproc.audit.log.adopt import adopt_orphans
from extproc.audit.log.own_notes import OwnNotes
from extproc.audit.log.shipper import Shipper, ShippingFailed
from extproc.audit.log.store_alarm import CONTROLS as STORE_CONTROLS
from extproc.audit.log.store_alarm import WRITER, StoreAlarm
from extproc.audit.stores.store import Fault
from extproc.edge import run_lock
from extproc.edge.configuration import CONTROL as CONFIGURATION
from extproc.edge.configuration import LOOK_SECONDS, Configuration, Verdict
from extproc.edge.envoy_admin import EnvoyAdmin
from extproc.edge.envoy_directions import EnvoyDirections
from extproc.edge.hardening import PARENT_VARIABLE, end_with_parent
from extproc.edge.settings import Settings
from extproc.edge.shipping_pace import SHIP_SECONDS, ShippingPace
from extproc.edge.standing import Standing
from extproc.edge.start_checks import is_fit_to_serve
from extproc.edge.stop_signals import set_on_signal
from extproc.edge.supervisor_facts import SupervisorFacts
from extproc.edge.supervisor_metrics import open_supervisor_metrics

RESTART_SECONDS = 1.0
"""Between a worker's death and its next start, doubled while it keeps dying at once."""
MAX_RESTART_SECONDS = 30.0
STABLE_SECONDS = 30.0
HOPELESS_DEATHS = 6
"""A minute of deaths at once, one after the other."""
STUCK_SECONDS = 60.0
"""The supervisor looks at its workers five times a second; what it does for a dead one may take a while."""
ADOPT_SECONDS = 5.0
"""Between two looks for dead writers whose epochs were not finished when they died."""
LAST_TELEMETRY_SECONDS = 2.0
LAST_TRIES = 100
LAST_TRY_SECONDS = 0.1
"""How often, and at which distance, the last records are shipped anew while the console ships from the same spool."""

_log = logging.getLogger(__name__)


@dataclass
class _Child:
    index: int
    process: "subprocess.Popen[bytes]"
    started_at: float
    deaths: int = 0
    start_at: float = 0.0


class Supervisor:
    """`extproc serve`: N workers, one adopter, one shipper. The parent touches no traffic."""

    def __init__(self, settings: Settings, config: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._config = config
        self._clock = clock
        self._stopping = threading.Event()
        self._keys = first_keys(settings.audit)
        self._shipper = Shipper(settings.audit)
        self._alarm = StoreAlarm(settings.audit, self._keys)
        self._pace = ShippingPace()
        self._ship_at = clock()
        self._another_ships = False
        self._directions = EnvoyDirections(settings, config)
        note = OwnNotes(settings.audit, self._keys, WRITER)
        self._configuration = Configuration(settings, config, note=note, direct=self._directions.direct, clock=clock)
        self.facts = SupervisorFacts(workers_wanted=settings.workers)
        self._children: list[_Child] = []
        self._turned_at: float | None = None

    @property
    def configuration_digest(self) -> str:
        """Of the content that workers are given."""
        return self._configuration.digest

    def run(self) -> int:
        """Until SIGTERM or SIGINT. The exit code: 0; 1, the last records could not be shipped; 2, an unfit store."""
        set_on_signal(self._stopping)
        if not end_with_parent():
            return 0
        self._settings.run_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._take_run_directory()
        if lock is None or not self._answers_probes():
            return 2
        if not self._envoy_follows():
            return 2
        self._configuration.keep()  # workers of before may still drain, and read it
        if not is_fit_to_serve(self._settings, self._keys):
            return 2
        try:
            pipeline = open_supervisor_metrics(self._settings, self.facts)
        except (OSError, ValueError) as error:
            _log.critical("telemetry cannot start", extra={"failure": type(error).__name__})
            return 2
        try:
            return self._watch()
        finally:
            pipeline.stop(LAST_TELEMETRY_SECONDS)

    def _watch(self) -> int:
        """The life of the workers."""
        self._adopt()
        self._children = children = [self._start(index) for index in range(self._settings.workers)]
        shipping = threading.Thread(target=self._ship, name="shipper", daemon=True)
        shipping.start()
        threading.Thread(target=self._follow_configuration, name="configuration", daemon=True).start()
        while not self._stopping.wait(0.2):
            for child in children:
                self._keep_alive(child)
            self.facts.workers_live = sum(child.process.poll() is None for child in children)
            self._turned_at = self._clock()
        return self._stop(children, shipping)

    def _take_run_directory(self) -> int | None:
        lock = run_lock.take(self._settings.run_directory)
        if lock is None:
            _log.critical("another service runs in %s; give each its own run_directory", self._settings.run_directory)
        return lock

    def _answers_probes(self) -> bool:
        health = self._settings.health
        if health is None:
            return True
        # gRPC is for those who are asked; a tenth of a second.
        from extproc.edge.health import HealthEndpoint  # noqa: PLC0415
        from extproc.edge.worker_health import WorkersHealth  # noqa: PLC0415

        workers = WorkersHealth(self._settings.run_directory, self._settings.workers)
        try:
            HealthEndpoint(health, workers, self.standing).start()
        except OSError as error:
            _log.critical("no probe can be answered at port %d: %s", health.port, error.strerror)
            return False
        return True

    def _envoy_follows(self) -> bool:
        """Its routes may be of a configuration of before: a service that is started again alone reads a newer one."""
        failure = self._directions.catch_up(self._configuration.offer(), self._configuration.digest)
        if failure:
            _log.critical("%s", failure)
        return not failure

    def standing(self) -> Standing:
        """What probes are told; from any thread."""
        stuck = self._turned_at is not None and self._clock() - self._turned_at > STUCK_SECONDS
        hopeless = bool(self._children) and all(self._is_hopeless(child) for child in self._children)
        draining = self._stopping.is_set()
        return Standing(
            draining or not (stuck or hopeless),
            draining,
            tuple(sorted(self._alarm.controls | self._configuration.failing)),
            self._configuration.verdict is Verdict.WAITS,
        )

    def _is_hopeless(self, child: _Child) -> bool:
        dead_or_young = child.start_at > 0.0 or self._clock() - child.started_at <= STABLE_SECONDS
        return child.deaths >= HOPELESS_DEATHS and dead_or_young

    def _start(self, index: int) -> _Child:
        config = ["--config", str(self._config), "--as-read", str(self._configuration.as_read)]
        command = [sys.executable, "-m", "extproc", "serve", *config, "--worker", str(index)]
        process = subprocess.Popen(command, env={**os.environ, PARENT_VARIABLE: str(os.getpid())})  # noqa: S603
        return _Child(index, process, self._clock())

    def _keep_alive(self, child: _Child) -> None:
        if child.process.poll() is None:
            return
        now = self._clock()
        if child.start_at == 0.0:
            child.deaths = 1 if now - child.started_at > STABLE_SECONDS else child.deaths + 1
            delay = min(RESTART_SECONDS * 2 ** (child.deaths - 1), MAX_RESTART_SECONDS)
            child.start_at = now + delay
            self.facts.deaths[child.index] += 1
            _log.error("a worker died", extra={"worker": child.index, "status": child.process.returncode})
            self._adopt()
        if now >= child.start_at:
            fresh = self._start(child.index)
            child.process, child.started_at, child.start_at = fresh.process, fresh.started_at, 0.0

    def _adopt(self) -> None:
        """Finish the journals of dead workers. A failure stays on the disk and is tried at the next death or start."""
        try:
            for adopted in adopt_orphans(self._settings.audit, self._keys):
                self.facts.adoptions += 1
                _log.warning("a journal was adopted", extra={"origin": adopted.origin})
        except Exception as error:  # noqa: BLE001 - a boundary: one broken epoch must not end the service
            self.facts.adoption_failures += 1
            _log.error("journals could not be adopted", extra={"failure": type(error).__name__})

    def _ship(self) -> None:
        adopted_at = self._clock()
        while not self._stopping.wait(SHIP_SECONDS):
            self._ship_if_due()
            if self._clock() >= adopted_at + ADOPT_SECONDS:  # what an earlier try could not adopt
                adopted_at = self._clock()
                self._adopt()

    def _follow_configuration(self) -> None:
        """In a thread of its own: what another configuration asks of Envoy may take a while."""
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self._configuration.look()
            except Exception as error:  # noqa: BLE001 - a boundary: the last good configuration stays
                _log.error("the configuration cannot be looked at", extra={"failure": type(error).__name__})
            self.facts.fail(self._configuration.failing, of=frozenset({CONFIGURATION}))

    def _ship_if_due(self) -> None:
        """Called about every `SHIP_SECONDS`: what is due less than half of that later is due now."""
        if self._clock() >= self._ship_at - SHIP_SECONDS / 2:
            self._ship_once()
            self._ship_at = self._clock() + self._pace.seconds

    def _ship_once(self) -> bool:
        self._another_ships = False
        try:
            result = self._shipper.ship_pending()
        except Exception as error:  # noqa: BLE001 - a boundary: whatever it is, shipping goes on trying
            failed = error if isinstance(error, ShippingFailed) else ShippingFailed(Fault.OTHER)
            self._pace.failed(failed)
            self._alarm.failed(failed)
            self.facts.shipping_failures[failed.fault.value] += 1
            self.facts.shipped += failed.shipped
            self.facts.fail(self._alarm.controls, of=STORE_CONTROLS)
            return False
        self._another_ships = result.by_another
        self.facts.shipped += result.shipped
        if result.by_another:  # whether the store is back is for that one to say
            return result.oldest_pending_age_seconds == 0.0
        self._pace.worked()
        self._alarm.over()
        self.facts.fail(self._alarm.controls, of=STORE_CONTROLS)
        self.facts.shipped_unix = time.time()
        return True

    def _stop(self, children: list[_Child], shipping: threading.Thread) -> int:
        envoy = EnvoyAdmin(self._settings) if self._settings.envoy.ends_with_service else None
        if envoy is not None:
            envoy.drain()
        for child in children:
            if child.process.poll() is None:
                child.process.terminate()
        deadline = self._clock() + self._settings.drain_seconds + 10.0
        for child in children:
            try:
                child.process.wait(max(0.1, deadline - self._clock()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        shipping.join()
        self._adopt()
        shipped = self._ship_last()
        if envoy is not None:
            envoy.quit()
        return 0 if shipped else 1

    def _ship_last(self) -> bool:
        """That the store came back just now is itself a record, and goes along."""
        failed_before = self._alarm.failing
        shipped = self._ship_once()
        for _ in range(LAST_TRIES):
            if shipped or not self._another_ships:
                break
            time.sleep(LAST_TRY_SECONDS)
            shipped = self._ship_once()
        return self._ship_once() if shipped and failed_before else shipped
