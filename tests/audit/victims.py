"""Processes that write a journal until something happens to them. One warm parent forks them, so that each costs little.

The parent takes one JSON object a line on its standard input and answers with one: `{"run": …}` forks a child and says
its process id, `{"wait": pid}` says how that ended. A child stops at its gates, which are sockets, until it is let on.
"""

import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log import keeper
from extproc.audit.log.adopt import adopt_orphans
from extproc.audit.log.journal import Journal
from extproc.audit.log.spool import NewEpoch
from extproc.audit.names import Origin
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.core.reasons import Unavailable
from extproc.core.record import Actor, Direction, EventCode, Outcome, Record, Resource
from extproc.core.trust import Masked

REFUSED, FAILED = 3, 4
"""How a child ends that could not begin, and one whose journal gave up."""


def settings_of(root: Path, keys: Path, **changes: Any) -> AuditSettings:
    """A small log below `root`. Nothing rotates or beats by time."""
    return AuditSettings(
        deployment="test",
        spool=root / "spool",
        keys=keys,
        store=DirectoryStore(root / "store"),
        **{"segment_bytes": 6_000, "segment_seconds": 600.0, "reserve_bytes": 4096, **changes},
    )


def record(code: EventCode, exchange_id: str) -> Record:
    return Record(
        event_code=code,
        time_ms=1_800_000_000_000,
        actor=Actor(uid="https://idp.test|analyst"),
        status=Outcome.COMPLETED,
        src_address="192.0.2.7",
        resource=Resource(connection="llama", operation="chat", protocol="HTTP POST", model="tiny"),
        exchange_id=exchange_id,
    )


class Acks:
    """Every acknowledged step as a line on a pipe, written before the next step is asked for."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def step(self, journal: Journal, exchange_id: str, step: EventCode | tuple[Any, int]) -> bool:
        """One record or one piece of transcript, durable; False when the journal cannot."""
        heard = threading.Event()
        durable: list[bool] = []

        def done(ok: bool) -> None:
            try:
                if ok:
                    what = step.value if isinstance(step, EventCode) else f"piece-{step[1]}"
                    os.write(self._fd, f"{what} {exchange_id}\n".encode())
                    durable.append(ok)
            finally:
                heard.set()

        try:
            if isinstance(step, EventCode):
                journal.append_record(record(step, exchange_id), done)
            else:
                content, number = step
                content.append(Direction.TO_CLIENT, number, Masked(b"event %d" % number), done)
        except Unavailable:
            return False
        return heard.wait(20) and durable == [True]


def exchange(journal: Journal, acks: Acks, exchange_id: str, pieces: int = 2) -> bool:
    content = journal.open_content(exchange_id)
    steps: list[Any] = [EventCode.INFERENCE_REQUEST, *((content, n) for n in range(pieces)), EventCode.INFERENCE_END]
    return all(acks.step(journal, exchange_id, step) for step in steps)


def tell_threads() -> str:
    """`name=id` of every thread, as strace wants to be told."""
    begun = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    # A fork takes over what the parent's main thread was called by the kernel.
    return " ".join([f"MainThread={os.getpid()}", *(f"{thread.name}={thread.native_id}" for thread in begun)])


def write_script(order: dict[str, Any], acks: Acks, gate: int) -> int:
    """Three exchanges and a rotation, one after the other; stops before the journal begins and once it has begun."""
    settings = settings_of(Path(order["root"]), Path(order["keys"]))
    keys = AuditKeys.load_or_create(settings.keys)
    os.write(gate, f"begin {tell_threads()}\n".encode())
    os.read(gate, 1)
    try:
        journal = Journal.open(settings, keys, writer="victim", deliver=lambda run: run())
    except Exception:  # noqa: BLE001 - a clean refusal, whatever its name
        return REFUSED
    os.write(gate, f"begun {tell_threads()}\n".encode())
    os.read(gate, 1)
    went_on = all(exchange(journal, acks, f"x-{number}") for number in range(3))
    went_on = went_on and acks.step(journal, "open", EventCode.INFERENCE_REQUEST)
    try:
        journal.close()
    except OSError:
        return FAILED
    return 0 if went_on and not journal.failed else FAILED


def write_for_ever(order: dict[str, Any], acks: Acks, gate: int) -> int:
    """Several exchanges at a time, until killed."""
    settings = settings_of(Path(order["root"]), Path(order["keys"]))
    keys = AuditKeys.load_or_create(settings.keys)
    journal = Journal.open(settings, keys, writer="victim", deliver=lambda run: run())
    os.write(gate, b"begun\n")

    def client(name: str) -> None:
        for number in range(1_000_000):
            exchange(journal, acks, f"{name}-{number}", pieces=3)

    threads = [threading.Thread(target=client, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return FAILED


def adopt(order: dict[str, Any], acks: Acks, gate: int) -> int:
    """What the supervisor does with a dead writer's epoch."""
    settings = settings_of(Path(order["root"]), Path(order["keys"]))
    keys = AuditKeys.load_or_create(settings.keys)
    os.write(gate, f"begin {tell_threads()}\n".encode())
    os.read(gate, 1)
    try:
        adopt_orphans(settings, keys)
    except Unavailable:
        return REFUSED
    return 0


def claim(order: dict[str, Any], acks: Acks, gate: int) -> int:
    """Make an epoch of a given name, and publish it when told to; hold it until told again."""
    epoch = NewEpoch.create(Path(order["root"]) / "spool", Origin.parse(order["origin"]))
    os.write(gate, b"made\n")
    os.read(gate, 1)
    try:
        epoch.publish()
    except AuditRefused:
        os.write(gate, b"refused\n")
        return REFUSED
    os.write(gate, b"published\n")
    os.read(gate, 1)
    return 0


ROLES = {"script": write_script, "for ever": write_for_ever, "adopt": adopt, "claim": claim}


def be_child(order: dict[str, Any]) -> int:
    """In the forked process. Its acknowledgements go to the file `acks`, its gate is the socket `gate`."""
    acks = Acks(os.open(order["acks"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(order["gate"])
        return ROLES[order["role"]](order, acks, gate.fileno())


def serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if "run" in order:
            pid = os.fork()
            if pid == 0:
                code = 70
                try:
                    code = be_child(order["run"])
                finally:
                    os._exit(code)
            answer: dict[str, int] = {"pid": pid}
        else:
            _, status = os.waitpid(order["wait"], 0)
            answer = {"status": os.waitstatus_to_exitcode(status)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    keeper.WATCH_SECONDS = 0.2  # what waits for it should not take long
    serve()
