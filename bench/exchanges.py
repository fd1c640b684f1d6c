"""Exchanges as the audit log sees them: what a small answer and a streamed one leave behind, and logs made of them."""

import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.content import ContentLog
from extproc.audit.log.journal import Journal
from extproc.audit.log.queue import Done
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.core.record import Actor, Direction, EventCode, Measures, Outcome, PolicyRef, Record, Resource
from extproc.core.trust import Masked


@dataclass(frozen=True, slots=True)
class Shape:
    """What crosses the boundary: a request body, and `events` pieces of an answer, each of so many bytes."""

    name: str
    prompt_bytes: int
    events: int
    event_bytes: int


SMALL = Shape("a small JSON answer", prompt_bytes=300, events=1, event_bytes=700)
STREAMED = Shape("100 streamed events", prompt_bytes=2_000, events=100, event_bytes=200)


@dataclass(frozen=True, slots=True)
class Deployment:
    """Settings as they are by default, keys, and the folder of a store."""

    settings: AuditSettings
    keys: AuditKeys

    @classmethod
    def create(cls, folder: Path) -> "Deployment":
        store = DirectoryStore(folder / "store")
        store.directory.mkdir(exist_ok=True, parents=True)  # as a deployment finds it: reading creates none
        settings = AuditSettings(deployment="bench", spool=folder / "spool", keys=folder / "keys", store=store)
        return cls(settings, AuditKeys.load_or_create(settings.keys))


def make_record(code: EventCode, exchange_id: str) -> Record:
    """As much as a served request says: who, where from, what, by which rule, how much."""
    return Record(
        event_code=code,
        time_ms=int(time.time() * 1000),
        actor=Actor(uid="https://idp.example.com|4f2c9a7e-analyst", name="analyst@example.com", groups=("analysts",)),
        status=Outcome.COMPLETED,
        src_address="192.0.2.7",
        resource=Resource(connection="llama", operation="chat", protocol="HTTP/1.1", model="llama-3.3-70b"),
        exchange_id=exchange_id,
        http_status=200 if code is EventCode.INFERENCE_END else 0,
        policy=PolicyRef(digest="9f86d081884c7d659a2feaa0c55ad015", effect="allow", rule="analysts"),
        findings_request={"pan": 1},
        measures=Measures(
            request_bytes=2_000, response_bytes=20_000, input_tokens=412, output_tokens=100, events=100,
            duration_ms=2013.4, decision_ms=0.2, first_byte_ms=31.7,
        ),
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        request_digest="60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    )  # fmt: skip


_numbers = count(1)


class Exchange:
    """One exchange under way. `done(True)` comes once what it is given with is durable, and all that came before it."""

    def __init__(self, journal: Journal, shape: Shape) -> None:
        self.id = f"bench-{next(_numbers):08d}"
        self._journal, self._shape = journal, shape
        self._content: ContentLog = journal.open_content(self.id)

    def begin(self) -> None:
        self._content.append(Direction.TO_MODEL, 0, Masked(b"p" * self._shape.prompt_bytes))
        self._journal.append_record(make_record(EventCode.INFERENCE_REQUEST, self.id))

    def say(self, event: int, done: Done | None = None) -> None:
        self._content.append(Direction.TO_CLIENT, event * 20_000, Masked(b"e" * self._shape.event_bytes), done)

    def end(self, done: Done | None = None) -> None:
        self._journal.append_record(make_record(EventCode.INFERENCE_END, self.id), done)
