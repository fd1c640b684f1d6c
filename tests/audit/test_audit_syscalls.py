"""Every system call of the real journal fails once, or is its last: what was acknowledged is there, and proven.

strace makes one call of one thread fail (EIO, ENOSPC) or kills the process as it enters it. The disk is not lost with a
process, so that a sync that was left out is found in the order of the calls, and not by what is there afterwards.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.audit.faults import CALLS, Deployment, Victim, Victims, assert_nothing_is_lost, count_calls, traced
from tests.audit.victims import FAILED, REFUSED

THREADS = ("MainThread", "audit-journal", "audit-keeper")
"""The first begins and ends the epoch, the second commits, the third seals."""
FAULTS = {"EIO": ("error=EIO", CALLS), "KILL": ("signal=KILL", CALLS)}
FAULTS["ENOSPC"] = ("error=ENOSPC", ("openat", "write", "fdatasync", "fsync", "fallocate", "mkdir", "rename", "link"))


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    started = Victims()
    yield started
    started.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a disk: what a sync costs is not what is tested."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="journal-", dir=memory if os.access(memory, os.W_OK) else None) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return Deployment.make(tmp_path_factory.mktemp("deployment") / "keys")


def write(victims: Victims, deployment: Deployment, root: Path, thread: str, *more: str) -> Victim:
    """The script, with strace at one of its threads."""
    with victims.run("script", root, deployment) as victim:
        threads = victim.reach("begin")
        if thread == "MainThread":
            with traced(threads[thread], root / "calls", *more):
                victim.let_on()
                victim.reach("begun")
                victim.let_on()
        else:
            victim.let_on()
            threads = victim.reach("begun")
            with traced(threads[thread], root / "calls", *more):
                victim.let_on()
    return victim


def test_no_step_is_acknowledged_before_its_bytes_were_synced(victims, deployment, folder) -> None:
    """The journal's thread alone writes, syncs and acknowledges; strace shows in which order."""
    victim = write(victims, deployment, folder / "log", "audit-journal")
    assert victim.status == 0
    unsynced = acknowledged = 0
    for call in (victim.root / "calls").read_text().splitlines():
        if call.startswith("write(") and r'"\365XP1' in call:
            unsynced += 1
        elif call.startswith("fdatasync(") and call.endswith("= 0"):
            unsynced = 0
        elif call.startswith("write(") and ('"inference.' in call or '"piece-' in call):
            acknowledged += 1
            assert not unsynced, call
    assert acknowledged == len(victim.acknowledged) == 3 * 4 + 1
    assert assert_nothing_is_lost(victim, deployment, "no fault").findings == []


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize("thread", THREADS)
def test_each_call_fails_once(victims, deployment, folder, thread: str, fault: str) -> None:
    """Delivered ⊆ recovered, in order; the chain is whole; and behind an error of the disk nothing is acknowledged."""
    calls = count_calls(write(victims, deployment, folder / "whole", thread).root / "calls")
    action, names = FAULTS[fault]
    injected = 0
    for name in names:
        for number in range(1, calls[name] + 1):
            where = f"{name} {number}"
            victim = write(victims, deployment, folder / where, thread, "-e", f"inject={name}:{action}:when={number}")
            assert_nothing_is_lost(victim, deployment, where)
            seen = (victim.root / "calls").read_text()
            injected += "(INJECTED)" in seen or "killed by SIGKILL" in seen
            assert victim.status in ((-9,) if fault == "KILL" else (0, REFUSED, FAILED, 70)) or "INJECTED" not in seen
            if fault == "EIO" and thread == "audit-journal":
                behind = seen.partition("(INJECTED)")[2]
                assert '"inference.' not in behind, where
                assert '"piece-' not in behind, where
            shutil.rmtree(victim.root)
    assert injected >= 0.8 * sum(calls[name] for name in names), "the sweep met the calls that it counted"


@pytest.mark.parametrize("fault", ["EIO", "KILL"])
def test_each_call_of_an_adopter_fails_once(victims, deployment, folder, fault: str) -> None:
    """Whatever an adopter leaves, the next one finishes."""
    action, names = FAULTS[fault]

    def adopt(root: Path, *more: str) -> tuple[Victim, Path]:
        with victims.run("script", root, deployment) as dead:
            dead.reach("begin")
            dead.let_on()
            dead.reach("begun")
        calls = root / "calls"
        with victims.run("adopt", root, deployment) as adopter:
            threads = adopter.reach("begin")
            with traced(threads["MainThread"], calls, *more):
                adopter.let_on()
        return dead, calls

    dead, whole = adopt(folder / "whole")
    assert_nothing_is_lost(dead, deployment, "whole")
    for name, count in count_calls(whole).items():
        for number in range(1, count + 1 if name in names else 0):
            where = f"{name} {number}"
            dead, _ = adopt(folder / where, "-e", f"inject={name}:{action}:when={number}")
            assert_nothing_is_lost(dead, deployment, where)
            shutil.rmtree(dead.root)
