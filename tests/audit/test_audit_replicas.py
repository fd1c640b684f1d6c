"""Several pods of one deployment: the same keys and store, a spool each. Their logs are one; a pod that vanishes is seen."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from extproc.audit.log.journal import Journal
from extproc.audit.verify.report import Report
from tests.audit.anchoring import Witness, alarms
from tests.audit.conftest import Log, make_log

HOUR_MS = 3_600_000


@dataclass
class Pods:
    """Two of the service, and a console."""

    first: Log
    second: Log
    console: Log
    witness: Witness

    @property
    def all(self) -> tuple[Log, Log, Log]:
        return self.first, self.second, self.console

    def ship(self) -> None:
        for pod in self.all:
            if pod.settings.spool.exists():
                pod.ship()


@pytest.fixture
def pods(tmp_path: Path) -> Pods:
    first = make_log(tmp_path)
    second, console = (first.with_(spool=tmp_path / name) for name in ("spool-2", "spool-console"))
    return Pods(first, second, console, Witness(tmp_path / "anchor", first.public))


def told(report: Report) -> list[tuple[str, str]]:
    return [(str(finding.name), finding.where.split("/")[1]) for finding in report.findings]


def vanish(pod: Log, journal: Journal) -> None:
    """The process dies and its disk goes with it."""
    journal._seal_last = lambda: None  # type: ignore[method-assign]
    journal._queue.fail()
    journal._thread.join()
    journal._keeper._stopping = True
    journal._keeper.stop()
    journal._epoch.lock.release()
    shutil.rmtree(pod.settings.spool)


def sealed(journal: Journal) -> None:
    done: list[int] = []
    journal.seal_soon(done.append)
    deadline = time.monotonic() + 10
    while not done:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_pods_with_a_spool_each_write_one_log_that_holds(pods: Pods) -> None:
    journals = [pods.first.open(), pods.second.open(), pods.console.open("console")]
    for journal in journals:
        sealed(journal)
    pods.ship()
    assert alarms(pods.witness.watch(pods.first.store)) == []
    for journal in journals:
        journal.close()
    pods.ship()
    for pod in pods.all:
        report = pod.verify()
        assert (told(report), report.exit_code, report.epochs) == ([], 0, 3)
    assert alarms(pods.witness.watch(pods.first.store, later_ms=2 * HOUR_MS)) == [("SILENT", "")], "nobody is left"


def test_a_pod_that_ended_in_order_may_take_its_spool_along(pods: Pods) -> None:
    for pod in (pods.first, pods.second):
        pod.open().close()
        pod.ship()
        assert alarms(pods.witness.watch(pod.store)) == []
    shutil.rmtree(pods.second.settings.spool)
    fresh = pods.second.with_(spool=pods.second.settings.spool.with_name("spool-3"))
    fresh.open().close()
    fresh.ship()
    report = pods.first.verify()
    assert (told(report), report.exit_code, report.epochs) == ([], 0, 3)
    assert alarms(pods.witness.watch(pods.first.store)) == []


def test_a_pod_that_vanishes_with_its_spool_is_told_by_verify_and_anchor(pods: Pods) -> None:
    living, lost = pods.first.open(), pods.second.open()
    sealed(lost)
    pods.ship()
    vanish(pods.second, lost)
    assert told(pods.console.verify(later=False))[0] == ("OPEN", "worker-0"), "for a while it may only be late"
    living.close()
    pods.ship()
    report = pods.first.verify()
    assert (told(report), report.exit_code) == ([("TRUNCATED", "worker-0")], 1)
    alarmed = alarms(pods.witness.watch(pods.first.store, later_ms=2 * HOUR_MS))
    assert [name for name, where in alarmed if str(lost.origin).endswith(where) and where] == ["SILENT"]


def test_each_spool_numbers_its_own_epochs(pods: Pods) -> None:
    for pod in (pods.first, pods.second):
        for _ in range(2):
            pod.open().close()
        pod.ship()
    entries = [pods.first.store.get(each.key) for each in pods.first.store.list("v1/registry/test/")]
    numbers = sorted(int(entry.split(b'"number":')[1].split(b",")[0]) for entry in entries)
    assert numbers == [1, 1, 2, 2]
    assert replace(pods.first.settings, spool=pods.second.settings.spool) == pods.second.settings
