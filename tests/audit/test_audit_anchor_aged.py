"""Segments that are signed anew by somebody with the epoch's key, as older than they are, so that they may go."""

import time
from pathlib import Path

import msgspec
import pytest

from extproc.audit.anchor.head import AlarmName, Follower, Head
from extproc.audit.anchor.look import Look
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.segment import Manifest
from extproc.audit.names import Part
from extproc.audit.signed import Domain, sign_document, split_document
from extproc.core.record import EventCode
from tests.audit.chronicle import DAY_MS, PARTS, Epoch, record_of, store_of

BEGAN_DAYS = (450, 10, 9)
"""How long ago each segment was begun, of an epoch that has lived since the first."""


@pytest.mark.parametrize(("later_days", "alarmed"), [(0, True), (391, False)], ids=["young", "old"])
def test_a_segment_is_no_older_than_the_next_one_was_when_it_was_followed(
    tmp_path: Path, later_days: int, alarmed: bool
) -> None:
    now_ms = int(time.time() * 1000)
    key = AuditKeys.load_or_create(tmp_path / "keys").signing.public_key()
    epoch = Epoch(tmp_path, now_ms - BEGAN_DAYS[0] * DAY_MS)
    detail = {"heartbeat_seconds": 60, "max_lag_seconds": 60, "certificate": epoch._signer.certificate}
    codes = (EventCode.LOG_START, EventCode.LOG_HEARTBEAT, EventCode.LOG_HEARTBEAT)
    follower = Follower(Head(origin=str(epoch.origin), first_seen_ms=now_ms, entry="ab" * 32), key)
    store = store_of(tmp_path)
    for segment, (code, days) in enumerate(zip(codes, BEGAN_DAYS, strict=True), 1):
        epoch.segment(record_of(code, "", now_ms - days * DAY_MS, detail=detail))
        follower.follow(*(store.get(epoch.origin.object_key(part, segment)) for part in PARTS[::-1]))
    path = tmp_path / "store" / epoch.origin.object_key(Part.MANIFEST, 2)
    manifest = msgspec.json.decode(split_document(path.read_bytes())[0], type=Manifest)
    older = msgspec.structs.replace(manifest, started_ms=now_ms - 440 * DAY_MS)
    path.write_bytes(sign_document(epoch._signer.key, Domain.MANIFEST, msgspec.json.encode(older)))
    for part in PARTS:
        (tmp_path / "store" / epoch.origin.object_key(part, 1)).unlink()
    heads, at_ms = {str(epoch.origin): follower.head}, now_ms + later_days * DAY_MS
    look = Look(store, key, "test", heads, at_ms, retention_ms=400 * DAY_MS, budget=10)
    look.run(0)
    assert (AlarmName.GAP in {name for name, _, _ in look.found}) is alarmed


def test_of_each_day_one_segment_is_remembered() -> None:
    head = Head(origin="test/w/20261001T000000Z-0000000000000000", first_seen_ms=0)
    for segment in range(1, 10):
        head = msgspec.structs.replace(head, days=head.days_with(segment, segment * DAY_MS // 4))
    assert [number for number, _ in head.days] == [1, 5, 9]
    assert [head.began_ms(segment) for segment in (1, 4, 5, 100)] == [DAY_MS // 4] * 2 + [
        5 * DAY_MS // 4,
        9 * DAY_MS // 4,
    ]
