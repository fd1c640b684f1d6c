"""Logs of many exchanges, of every way in which one can go, by several writers; and what the index should say of each."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extproc.approvals.index.verdict import Verdict
from extproc.audit.names import Origin, Part
from extproc.audit.reading.exchanges import UNDER_WAY, ExchangeRecords
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Evidence, Reader
from extproc.core.record import Actor, ApprovalRef, EventCode, Measures, Outcome, Record
from tests.audit.chronicle import PARTS, Epoch, record_of, store_of

BEGAN_MS = 1_795_600_000_000
HOSTILE = ("<script>alert(1)</script>", "\u202egnp.exe", "nul\0nul", "Größe' OR 1=1 --", "x" * 3000)
WRITERS = ("worker-0", "worker-1", "console", "shred")


class Writing:
    """Random exchanges, each with records of its own moment."""

    def __init__(self, seed: int) -> None:
        self._choose = random.Random(seed)
        self._now = BEGAN_MS
        self._number = 0
        self.records: list[tuple[str, Record]] = []

    def _tick(self) -> int:
        self._now += self._choose.randint(1, 90_000)
        return self._now

    def _id(self) -> str:
        self._number += 1
        return f"{self._now:012x}-{self._number:016x}"

    def exchange(self) -> None:
        choose = self._choose
        at = self._tick()
        writer, exchange_id = choose.choice(WRITERS[:2]), self._id()
        name = choose.choice(("ann", "bo", "cy", *HOSTILE))
        common: dict[str, Any] = {
            "person": name,
            "model": choose.choice(("tiny", "large", "", HOSTILE[0])),
            "operation": choose.choice(("chat", "embeddings")),
            "rule": choose.choice(("analysts", "bulk", HOSTILE[1])),
        }
        ways = (self._answered, self._refused, self._held, self._recovered, self._under_way, self._only_decided)
        choose.choice(ways)(writer, exchange_id, at, common)
        if choose.random() < 0.2:
            detail = {"keys": choose.choice((0, 1)), "reason": "asked for"}
            self._add("shred", EventCode.ADMIN_SHRED, exchange_id, effect="", rule="", model="", detail=detail)

    def _add(self, writer: str, code: EventCode, exchange_id: str, **fields: Any) -> None:
        self.records.append((writer, record_of(code, exchange_id, self._tick(), **fields)))

    def _found(self) -> dict[str, int]:
        kinds = self._choose.sample(("pan", "track", "security_code", "email"), self._choose.choice((0, 0, 1, 2)))
        return {kind: self._choose.randint(0, 3) for kind in kinds}

    def _end(self, writer: str, exchange_id: str, common: dict[str, Any], **fields: Any) -> None:
        measures = Measures(
            duration_ms=float(self._choose.randint(0, 200_000)), input_tokens=7, output_tokens=9, hold_ms=3.5
        )
        found = {"findings_request": self._found(), "findings_response": self._found()}
        ending = {"code": EventCode.INFERENCE_END, "measures": measures, **found, **common, **fields}
        self._add(writer, ending.pop("code"), exchange_id, **ending)

    def _answered(self, writer: str, exchange_id: str, at: int, common: dict[str, Any]) -> None:
        self._add(writer, EventCode.INFERENCE_REQUEST, exchange_id, **common)
        outcome = self._choose.choice((Outcome.COMPLETED, Outcome.CUT, Outcome.ABANDONED, Outcome.FAILED))
        self._end(writer, exchange_id, common, status=outcome, http_status=self._choose.choice((200, 429, 500)))

    def _refused(self, writer: str, exchange_id: str, at: int, common: dict[str, Any]) -> None:
        code = self._choose.choice(
            (EventCode.POLICY_DENY, EventCode.AUTH_FAIL, EventCode.REQUEST_REFUSE, EventCode.PROXY_REPLY)
        )
        self._end(
            writer,
            exchange_id,
            {**common, "effect": "deny"},
            code=code,
            status=Outcome.REFUSED,
            http_status=403,
            status_detail="policy_denied",
        )

    def _held(self, writer: str, exchange_id: str, at: int, common: dict[str, Any]) -> None:
        """Ended with a ticket; decided in the console; another exchange, perhaps of another writer, goes on with it."""
        held = {**common, "effect": "hold"}
        waiting = ApprovalRef(id=f"apr-{exchange_id}", state="pending")
        granted = ApprovalRef(id=waiting.id, state="granted", decided_by="https://idp.test|lee")
        self._add(writer, EventCode.APPROVAL_OPEN, exchange_id, approval=waiting, **held)
        if self._choose.random() < 0.2:
            return
        fields = {"status": Outcome.HELD, "http_status": 202, "approval": waiting}
        self._end(writer, exchange_id, held, code=EventCode.APPROVAL_WAIT_OVER, **fields)
        lee = Actor(uid="https://idp.test|lee", name="Lee")
        self._add("console", EventCode.APPROVAL_DECIDE, exchange_id, approval=granted, actor=lee, model="", effect="")
        if self._choose.random() < 0.5:
            again, other = self._id(), self._choose.choice(WRITERS[:2])
            for code in (EventCode.APPROVAL_ATTACH, EventCode.INFERENCE_REQUEST):
                self._add(other, code, again, approval=granted, **held)
            self._end(other, again, held, status=Outcome.COMPLETED, http_status=200, approval=granted)
            used = ApprovalRef(id=waiting.id, state="used")
            self._add(other, EventCode.APPROVAL_USE, again, approval=used, **held)

    def _recovered(self, writer: str, exchange_id: str, at: int, common: dict[str, Any]) -> None:
        self._add(writer, EventCode.INFERENCE_REQUEST, exchange_id, **common)
        self._add(writer, EventCode.INFERENCE_RECOVERED, exchange_id, status=Outcome.RECOVERED, **common)

    def _under_way(self, writer: str, exchange_id: str, at: int, common: dict[str, Any]) -> None:
        self._add(writer, EventCode.INFERENCE_REQUEST, exchange_id, **common)

    def _only_decided(self, writer: str, exchange_id: str, at: int, common: dict[str, Any]) -> None:
        """Its own records are lost, or of another deployment."""
        self._add("console", EventCode.APPROVAL_DECIDE, exchange_id, approval=ApprovalRef(id="a", state="refused"))


def write_log(folder: Path, seed: int, exchanges: int = 40) -> None:
    """Into `folder`/store, with the register; a few records in each segment."""
    writing, choose = Writing(seed), random.Random(-seed)
    for _ in range(exchanges):
        writing.exchange()
    for number, writer in enumerate(WRITERS):
        own = [record for by, record in writing.records if by == writer]
        epoch = Epoch(folder, BEGAN_MS + number, writer=writer)
        while own:
            count = choose.randint(1, 12)
            epoch.segment(*own[:count])
            own = own[count:]
        register(folder / "store", epoch.origin)


def register(store: Path, origin: Origin) -> None:
    """An entry as far as reading looks at one: there is one."""
    path = store / origin.registry_key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{}")


def segments_of(folder: Path) -> dict[Origin, list[int]]:
    """What is sealed in a store, in order."""
    epochs = Holdings.look(store_of(folder), None, "").epochs
    return {
        origin: sorted(number for part, number in epoch.stored if part is Part.MANIFEST)
        for origin, epoch in epochs.items()
        if epoch.stored
    }


def ship(source: Path, target: Path, origin: Origin, segment: int) -> None:
    """Bring one segment into another store, the manifest last."""
    for part in PARTS:
        key = origin.object_key(part, segment)
        (target / "store" / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "store" / key, target / "store" / key)
    register(target / "store", origin)


def expected_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """By exchange: some columns of the row that the index should have, from all records at once."""
    found: dict[str, list[Evidence]] = {}
    for item in Reader(Holdings.look(store_of(folder), None, "")).records():
        found.setdefault(item.record.exchange_id, []).append(item)
    return {exchange_id: _row(exchange) for exchange_id, exchange in _exchanges(found)}


def _exchanges(found: dict[str, list[Evidence]]) -> Iterator[tuple[str, ExchangeRecords]]:
    for exchange_id, items in found.items():
        items.sort(key=lambda item: item.record.time_ms)
        exchange = ExchangeRecords(exchange_id, items)
        if any(item.record.event_code not in _OF_OTHERS for item in items):
            yield exchange_id, exchange


_OF_OTHERS = (EventCode.APPROVAL_DECIDE, EventCode.ADMIN_SHRED)
_WORDS = {
    "completed": Verdict.ANSWERED,
    "refused": Verdict.BLOCKED,
    "held": Verdict.HELD,
    "abandoned": Verdict.ABANDONED,
    "cut": Verdict.CUT,
    "failed": Verdict.FAILED,
    "recovered": Verdict.INTERRUPTED,
}


def _row(exchange: ExchangeRecords) -> dict[str, Any]:
    last, measures = exchange.last, exchange.last.measures or Measures()
    word = _WORDS.get(exchange.outcome, Verdict.RUNNING)
    if word is Verdict.ANSWERED and last.http_status >= 400:
        word = Verdict.FAILED
    if last.event_code is EventCode.APPROVAL_OPEN:
        word = Verdict.WAITING
    approvals = [item.record.approval for item in exchange.records if item.record.approval]
    return {
        "started_ms": exchange.began_ms,
        "ended_ms": last.time_ms if exchange.ended else 0,
        "person_name": _kept(last.actor.name),
        "person_uid": _kept(last.actor.uid),
        "connection": last.resource.connection,
        "operation": last.resource.operation,
        "model": _kept(exchange.model),
        "effect": exchange.effect,
        "rule": _kept(exchange.rule),
        "verdict": word.value,
        "outcome": "" if exchange.outcome == UNDER_WAY else exchange.outcome,
        "http_status": last.http_status,
        "reason": last.status_detail,
        "findings_request": tuple(sorted(last.findings_request.items())),
        "findings_response": tuple(sorted(last.findings_response.items())),
        "input_tokens": measures.input_tokens,
        "output_tokens": measures.output_tokens,
        "duration_ms": measures.duration_ms,
        "hold_ms": measures.hold_ms,
        "approval_id": approvals[-1].id if approvals else "",
        "approval_state": approvals[-1].state if approvals else "",
        "has_transcript": exchange.has_transcript,
        "shredded_ms": exchange.shredded.time_ms if exchange.shredded else 0,
    }


def _kept(text: str) -> str:
    return text[:1000].replace("\0", "\ufffd")
