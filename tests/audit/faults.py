"""What tests do to the processes of `victims`, and what must hold of their log afterwards."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.adopt import adopt_orphans
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.reading.replay import read_transcript
from extproc.audit.stores.store import open_store
from extproc.audit.verify.findings import Name
from extproc.audit.verify.verify import Report, verify
from tests.audit.victims import settings_of

ROOT = Path(__file__).parents[2]
CALLS = (
    "openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat",
    "mkdir", "mkdirat", "unlink", "unlinkat", "ftruncate", "close", "fallocate", "flock",
)  # fmt: skip
"""Every call by which a journal changes its disk."""
_CALL = re.compile(r"(\w+)\(")


@dataclass(frozen=True)
class Deployment:
    """Keys that many logs share."""

    path: Path
    keys: AuditKeys

    @classmethod
    def make(cls, path: Path) -> "Deployment":
        return cls(path, AuditKeys.load_or_create(path))


class Victims:
    """The warm parent. Closing it ends it; its children are killed by whoever asked for them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.audit.victims"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, **order: Any) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer

    @contextmanager
    def run(self, role: str, root: Path, deployment: Deployment, **more: str) -> Iterator["Victim"]:
        """A child, until it ended."""
        root.mkdir(parents=True, exist_ok=True)
        path = Path("/tmp") / f"gate-{self._process.pid}"  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            order = {
                "role": role,
                "root": str(root),
                "keys": str(deployment.path),
                "acks": str(root / "acks"),
                "gate": str(path),
                **more,
            }
            pid = self._ask(run=order)["pid"]
            listening.settimeout(30)
            gate, _ = listening.accept()
            path.unlink()
        victim = Victim(pid, root, gate)
        with gate:
            yield victim
            victim.let_on()
        victim.status = self._ask(wait=pid)["status"]

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(30)


@dataclass
class Victim:
    pid: int
    root: Path
    gate: socket.socket
    status: int = 0
    passed: str = ""
    """The last gate it stood at."""

    def reach(self, gate: str) -> dict[str, int]:
        """Wait until it stands at this gate, or one of `a|b`; its threads by name. Empty when it ended before."""
        self.gate.settimeout(30)
        said = b""
        while not said.endswith(b"\n"):
            try:
                piece = self.gate.recv(4096)
            except ConnectionError:
                return {}
            if not piece:
                return {}
            said += piece
        name, *threads = said.decode().split()
        assert name in gate.split("|"), name
        self.passed = name
        return {thread: int(number) for thread, _, number in (item.partition("=") for item in threads)}

    def let_on(self) -> None:
        try:
            self.gate.send(b"x")
        except OSError:
            return  # it is gone

    @property
    def acknowledged(self) -> list[tuple[str, str]]:
        """What it said was durable, in order, as (what, exchange). A line cut by its death was not said."""
        whole = (self.root / "acks").read_bytes().rpartition(b"\n")[0].decode().splitlines()
        return [(what, exchange) for what, _, exchange in (line.partition(" ") for line in whole)]


@contextmanager
def traced(thread: int, output: Path, *more: str) -> Iterator[None]:
    """strace at one thread, until that ends."""
    command = ["strace", "-p", str(thread), "-o", str(output), "-s", "32", "-e", f"trace={','.join(CALLS)}"]
    if shutil.which("strace") is None:
        raise AssertionError("strace is missing; tests/servers/install_strace.sh installs it")
    with subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        try:
            assert "attached" in said, f"strace may not trace here: {said}"
            yield
            tracer.communicate(timeout=60)
        finally:
            tracer.kill()


def count_calls(output: Path) -> Counter[str]:
    """How often each call was made."""
    return Counter(match[1] for line in output.read_text().splitlines() if (match := _CALL.match(line)))


def is_subsequence(part: list[Any], whole: list[Any]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)


def finish(root: Path, deployment: Deployment) -> Report:
    """Adopt what is dead and verify all of it, as if an hour later."""
    settings = settings_of(root, deployment.path)
    open_store(settings).check()  # as a service does when it starts
    adopt_orphans(settings, deployment.keys)
    return verify(
        open_store(settings),
        deployment.keys.signing.public_key(),
        deployment="test",
        spool=settings.spool,
        now_ms=2_000_000_000_000,
    )


def assert_nothing_is_lost(victim: Victim, deployment: Deployment, where: str) -> Report:
    """Delivered ⊆ recovered, in order; the chain is whole; the verifier is content, or says exactly UNCLEAN_END."""
    acknowledged = victim.acknowledged
    report = finish(victim.root, deployment)
    names = {finding.name for finding in report.findings}
    if report.records == 0:
        assert not acknowledged, where
        assert names <= {Name.EMPTY}, (where, report.findings)
        return report
    assert names <= {Name.UNCLEAN_END}, (where, report.findings)
    assert report.exit_code == 0, where
    settings = settings_of(victim.root, deployment.path)
    holdings = Holdings.look(open_store(settings), settings.spool, "test")
    recovered = [(item.record.event_code.value, item.record.exchange_id) for item in find_records(holdings)]
    delivered = [ack for ack in acknowledged if not ack[0].startswith("piece-")]
    begun = {exchange for what, exchange in recovered if what == "inference.request"}
    ended = [exchange for what, exchange in recovered if what in ("inference.end", "inference.recovered")]
    if ("log.stop", "") in recovered:  # a writer that ends by itself closes what is open, and this one does not
        ended += list(begun - set(ended))[:1]
    assert sorted(begun) == sorted(ended), where
    by_exchange: dict[str, list[str]] = {}
    for what, exchange in acknowledged:
        if what.startswith("piece-"):
            by_exchange.setdefault(exchange, []).append(what.removeprefix("piece-"))
    assert all(ack in recovered for ack in delivered), (where, set(delivered) - set(recovered))
    for exchange, pieces in by_exchange.items():
        transcript = read_transcript(holdings, deployment.keys, exchange)
        found = [piece.data.removeprefix(b"event ").decode() for piece in transcript.pieces]
        assert found[: len(pieces)] == pieces, (where, exchange)
    for exchange in {exchange for _, exchange in delivered}:
        mine = [what for what, at in recovered if at == exchange]
        assert is_subsequence([what for what, at in delivered if at == exchange], mine), (where, exchange)
    return report
