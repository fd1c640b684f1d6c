"""A spool on a disk of one MiB that another file fills and leaves again. Prints what happened, as JSON.

Run by `test_audit_disk.py` in a mount namespace, with the spool's folder and whether the disk is filled at all.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log import keeper
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import Shipper
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.stores.store import open_store
from extproc.audit.verify.verify import verify
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode
from tests.audit.victims import Acks, record, settings_of

FULL_SECONDS = 1.0


def fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def await_state(journal: Journal, *, accepting: bool) -> None:
    deadline = time.monotonic() + 20
    while journal.accepting() is not accepting and time.monotonic() < deadline:
        time.sleep(0.01)


def main(root: Path, *, filled: bool) -> dict[str, Any]:
    keeper.WATCH_SECONDS = 0.1
    settings = settings_of(root, root / "keys", reserve_bytes=128 * 1024, segment_bytes=1024 * 1024)
    keys = AuditKeys.load_or_create(settings.keys)
    acks = Acks(os.open(root / "acks", os.O_WRONLY | os.O_CREAT, 0o600))
    journal = Journal.open(settings, keys, writer="w", deliver=lambda run: run())
    said: dict[str, Any] = {"before": acks.step(journal, "first", EventCode.INFERENCE_REQUEST)}
    if filled:
        fill(settings.spool / "filler")
    began = time.monotonic()
    said["end"] = acks.step(journal, "first", EventCode.INFERENCE_END)
    for number in range(100 if filled else 1):  # the last page that the journal's file has is not full yet
        if journal.accepting():
            acks.step(journal, f"page-{number}", EventCode.REQUEST_REFUSE)
    said["accepting"] = journal.accepting()
    try:
        journal.append_record(record(EventCode.INFERENCE_REQUEST, "second"))
        said["request"] = "taken"
    except Unavailable as refused:
        said["request"] = refused.reason.value
    said["denial"] = acks.step(journal, "second", EventCode.REQUEST_REFUSE)
    time.sleep(FULL_SECONDS)
    said["failing"] = sorted(journal.failing)
    if filled:
        (settings.spool / "filler").unlink()
    await_state(journal, accepting=True)
    said["seconds"] = time.monotonic() - began
    said["after"] = all(
        acks.step(journal, "third", code) for code in (EventCode.INFERENCE_REQUEST, EventCode.INFERENCE_END)
    )
    journal.close()
    Shipper(settings).ship_pending()
    store = open_store(settings)
    said["records"] = [
        {"code": item.record.event_code.value, "exchange": item.record.exchange_id, **item.record.detail}
        for item in find_records(Holdings.look(store, None, "test"))
    ]
    said["verify"] = verify(store, keys.signing.public_key(), deployment="test", spool=None).exit_code
    return said


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), filled=sys.argv[2] == "filled")))
