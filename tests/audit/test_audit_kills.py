"""Writers are killed under way, and two claim one epoch: what was acknowledged is there, and an epoch has one writer."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from extproc.audit.verify.findings import Name
from tests.audit.faults import Deployment, Victim, Victims, assert_nothing_is_lost
from tests.audit.victims import REFUSED

ROUNDS = 200
EPOCH = "test/victim/20260101T000000Z-00000000000000a"


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    started = Victims()
    yield started
    started.close()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return Deployment.make(tmp_path_factory.mktemp("deployment") / "keys")


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="killed-", dir=memory if os.access(memory, os.W_OK) else None) as made:
        yield Path(made)


def kill(victims: Victims, deployment: Deployment, root: Path, seconds: float) -> Victim:
    """A process in which four exchanges go on at a time, killed so long after its journal began."""
    with victims.run("for ever", root, deployment) as victim:
        victim.reach("begun")
        time.sleep(seconds)
        os.kill(victim.pid, signal.SIGKILL)
    assert victim.status == -signal.SIGKILL
    return victim


def test_kill_9_two_hundred_times_loses_nothing(victims, deployment, folder) -> None:
    """Each is adopted by another process; the verifier is content, or says exactly UNCLEAN_END."""
    rng = random.Random(11)
    seen: Counter[str] = Counter()
    for number in range(ROUNDS):
        victim = kill(victims, deployment, folder / str(number), rng.uniform(0.0, 0.05))
        report = assert_nothing_is_lost(victim, deployment, f"round {number}")
        seen.update(finding.name for finding in report.findings)
        seen["acknowledged"] += bool(victim.acknowledged)
        shutil.rmtree(victim.root)
    assert set(seen) == {Name.UNCLEAN_END, "acknowledged"}
    assert seen["acknowledged"] > ROUNDS / 2
    assert seen[Name.UNCLEAN_END] > ROUNDS / 2


@pytest.mark.parametrize("said", ["inference.request never-written", "piece-9 a-0", "inference.end a-0"])
def test_an_acknowledged_step_that_is_not_there_is_seen(victims, deployment, folder, said: str) -> None:
    """The twin: a writer that says more than it wrote, or says it in another order."""
    victim = kill(victims, deployment, folder / "log", 0.05)
    (victim.root / "acks").write_text(f"{said}\n" + (victim.root / "acks").read_text())
    with pytest.raises(AssertionError):
        assert_nothing_is_lost(victim, deployment, "twin")


@pytest.mark.parametrize("last", ["aa", "ab"])
def test_of_two_processes_with_one_epoch_the_second_fails(victims, deployment, folder, last: str) -> None:
    """Both made it before either published it. With another name, as its twin, both live."""
    with (
        victims.run("claim", folder / "log", deployment, origin=EPOCH + "a") as first,
        victims.run("claim", folder / "log", deployment, origin=EPOCH + last[1]) as second,
    ):
        for victim in (first, second):
            victim.reach("made")
        for victim in (first, second):
            victim.let_on()
        for victim in (first, second):
            victim.reach("published|refused")
        held = sorted(victim.passed for victim in (first, second))
        found = [path.name for path in (folder / "log" / "spool" / "epochs" / "victim").iterdir()]
    assert held == (["published", "refused"] if last == "aa" else ["published", "published"])
    assert sorted((first.status, second.status)) == ([0, REFUSED] if last == "aa" else [0, 0])
    assert len(found) == (1 if last == "aa" else 2), found
