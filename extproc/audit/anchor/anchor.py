"""`extproc audit anchor`: a witness under an identity of its own.

It remembers the head of every epoch outside of the store, proves each new head consistent with the remembered one by
hashing the new records on top of it, and only then co-signs it (c2sp.org/tlog-witness: remembered durably before
anything is answered). It has no key of the gateway but the public one, and needs nothing of the store but to read it.

What it has seen it never unlearns: a store that was rolled back is an alarm until a person acknowledges it, and its
head stays the one that was there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from extproc.audit.anchor.given import Giver, RolledBack
from extproc.audit.anchor.head import AlarmName, Head
from extproc.audit.anchor.log import AlarmAcknowledged, AlarmRaised, EpochExpired, HeadSeen, Line
from extproc.audit.anchor.look import MAX_SEGMENTS, Found, Look
from extproc.audit.anchor.memory import Alarm, Memory
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import UNNAMED_KEY, VerifyKey
from extproc.audit.stores.store import ObjectStore

_KEY_FILE = "the public key file"
_NAMED = "it holds the key now, and what the key signed is proven"


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass left. `open_alarms` are those that nobody has acknowledged; `moved` counts heads that changed."""

    moved: int
    behind: int
    """Epochs that have more than the pass read: the next ones go on."""
    epochs: int
    records: int
    open_alarms: tuple[Alarm, ...]

    @property
    def exit_code(self) -> int:
        """0 nothing is wrong, 1 an alarm is open, 2 not everything was read yet, or nothing is there."""
        if self.open_alarms:
            return 1
        return 0 if self.epochs and not self.behind else 2


@dataclass(frozen=True, slots=True)
class Anchor:
    """Watches one deployment's store with one memory. Not for two threads."""

    store: ObjectStore
    key: VerifyKey
    memory: Memory
    giver: Giver
    retention_ms: int
    silence_ms: int
    max_segments: int = MAX_SEGMENTS
    """New ones that one pass reads."""

    def watch(self, now_ms: int) -> Pass:
        """One pass. Raises `StoreFailed`, `AuditRefused` or OSError when it is not finished; the next one goes on."""
        try:
            self.giver.give(self.memory)  # what a pass that died had remembered
            self.giver.check(self.memory)
        except RolledBack as error:
            # Not remembered: what this memory would say next was said already, otherwise.
            where = self.memory.ledger.name
            alarm = Alarm(name=AlarmName.MEMORY_ROLLED_BACK, where=where, what=str(error), since_ms=now_ms)
            return self._passed(0, [alarm])
        ledger = self.memory.ledger
        look = Look(
            store=self.store,
            key=self.key,
            deployment=ledger.deployment,
            heads=self.memory.heads,
            now_ms=now_ms,
            retention_ms=self.retention_ms,
            budget=self.max_segments,
        )
        look.run(ledger.turn)
        self._remember(look)
        self.giver.give(self.memory)
        return self._passed(len(look.moved), [], len(look.behind))

    def left(self) -> Pass:
        """What is open when a pass could not be finished."""
        return self._passed(0, [])

    def acknowledge(self, alarm_ids: Sequence[str], by: str, reason: str, now_ms: int) -> list[Alarm]:
        """A person has dealt with them; they stay in the anchor's log. All or none.

        Raises `AuditRefused`, which names the alarms that are not there or not open.
        """
        alarms = self.memory.alarms
        closed = [each for each in alarm_ids if each not in alarms or alarms[each].acknowledged_by]
        if closed:
            raise AuditRefused(f"there is no open alarm {', '.join(closed)}; nothing was acknowledged")
        self.giver.give(self.memory)
        done = [
            msgspec.structs.replace(alarms[each], acknowledged_by=by, reason=reason)
            for each in dict.fromkeys(alarm_ids)
        ]
        lines = [
            AlarmAcknowledged(time_ms=now_ms, name=alarm.name, where=alarm.where, by=by, reason=reason)
            for alarm in done
        ]
        ledger = msgspec.structs.replace(self.memory.ledger, signed_seconds=now_ms // 1000)
        self.memory.commit(ledger, alarms=done, statements=lines)
        self.giver.give(self.memory)
        return done

    def _passed(self, moved: int, more: Sequence[Alarm], behind: int = 0) -> Pass:
        heads = self.memory.heads.values()
        unread = [alarm for alarm in self.memory.alarms.values() if not alarm.acknowledged_by]
        alarms = tuple(sorted([*unread, *more], key=lambda alarm: (alarm.name, alarm.where)))
        return Pass(moved, behind, len(heads), sum(head.size for head in heads), alarms)

    def _remember(self, look: Look) -> None:
        ledger = self.memory.ledger
        alive_ms = look.now_ms if look.lives() or not ledger.alive_ms else ledger.alive_ms
        if look.now_ms - alive_ms > self.silence_ms:
            look.found.append((AlarmName.SILENT, ledger.deployment, "no writer lives"))
        raised, over = self._alarms(look)
        named = self._named_since(look)
        moved = list(look.moved.values())
        statements: list[Line] = [_seen(head, look.now_ms) for head in moved if self._is_news(head)]
        statements += [EpochExpired(time_ms=look.now_ms, origin=origin) for origin in look.expired]
        statements += [
            AlarmRaised(time_ms=look.now_ms, name=each.name, where=each.where, what=each.what) for each in raised
        ]
        statements += [
            AlarmAcknowledged(time_ms=look.now_ms, name=each.name, where=each.where, by=_KEY_FILE, reason=_NAMED)
            for each in named
        ]
        ledger = msgspec.structs.replace(
            ledger, alive_ms=alive_ms, turn=ledger.turn + 1, signed_seconds=look.now_ms // 1000
        )
        over += [each.id for each in named]
        self.memory.commit(ledger, heads=moved, alarms=raised, over=over, statements=statements)

    def _named_since(self, look: Look) -> list[Alarm]:
        """Alarms of a key that was not in the public key file, once whoever keeps the file has put it there: all that
        was not believed holds now. They are forgotten, so that the same is told again if it comes again."""
        wrong = {(name, where) for name, where, _ in look.found}
        return [
            alarm
            for alarm in self.memory.alarms.values()
            if alarm.what == UNNAMED_KEY
            and not alarm.acknowledged_by
            and alarm.where in look.moved
            and alarm.where not in look.behind
            and (alarm.name, alarm.where) not in wrong
        ]

    def _is_news(self, head: Head) -> bool:
        """Whether the head says more than that the epoch exists, or that it is gone."""
        known = self.memory.heads.get(head.origin)
        return head.segment > (known.segment if known else 0)

    def _alarms(self, look: Look) -> tuple[list[Alarm], list[str]]:
        """New ones, and those that are over: a silence that ended after it was acknowledged. The others stay true."""
        found: dict[str, Alarm] = {}
        for each in look.found:
            alarm = _alarm(each, look.now_ms)
            found.setdefault(alarm.id, alarm)
        raised = [alarm for each, alarm in found.items() if self._is_new(self.memory.alarms.get(each), alarm)]
        over = [
            each
            for each, alarm in self.memory.alarms.items()
            if alarm.name is AlarmName.SILENT and alarm.acknowledged_by and each not in found
        ]
        return raised, over

    def _is_new(self, known: Alarm | None, alarm: Alarm) -> bool:
        return known is None or (bool(known.acknowledged_by) and known.what != alarm.what)


def _alarm(found: Found, now_ms: int) -> Alarm:
    name, where, what = found
    return Alarm(name=name, where=where, what=what, since_ms=now_ms)


def _seen(head: Head, now_ms: int) -> HeadSeen:
    return HeadSeen(
        time_ms=now_ms,
        origin=head.origin,
        size=head.size,
        root=head.tree().root().hex(),
        last=head.last,
        segment=head.segment,
        sealed_ms=head.sealed_ms,
        ended=head.ended,
    )
