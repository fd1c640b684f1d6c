"""A record as an OCSF 1.8 event that any reader of OCSF accepts: its stored line, with our own fields out of the way.

`unmapped` holds what OCSF has no place for: `chain`, our word for how it ended (`outcome`), and in Event Log Activity
the fields that this class does not have.
"""

from pathlib import Path
from typing import Any, ClassVar

import msgspec

from extproc.audit.reading.reader import Evidence
from extproc.audit.records.line import encode_record, parse_mark
from extproc.audit.records.ocsf_kind import EVENT_LOG_ACTIVITY

_STATUSES = {1: "Success", 2: "Failure"}
"""OCSF's caption of a `status_id`. Of 99, Other, the source says what it is."""
_NOT_OF_A_LOG = ("api", "http_request", "http_response", "ai_model", "policy", "trace", "action_id", "disposition_id")
"""What Event Log Activity has not, or only with a profile that our lines of that class do not have."""


def ocsf_event(item: Evidence) -> dict[str, Any]:
    """The event of one record of any version."""
    event: dict[str, Any] = msgspec.json.decode(item.line)
    if "chain" not in event:  # from before lines had OCSF's names
        mark = parse_mark(item.line)
        event = msgspec.json.decode(encode_record(item.record))
        event["chain"] = {"origin": mark.origin, "seq": mark.seq, "prev": mark.prev}
        if mark.content_frames:
            event["chain"] |= {"content_digest": mark.content_digest, "content_frames": mark.content_frames}
    unmapped = {"chain": event.pop("chain"), "outcome": event["status"], **event.pop("unmapped", {})}
    event["status"] = _STATUSES.get(event["status_id"], event["status"])
    event["metadata"]["uid"] = item.receipt
    if event["class_uid"] == EVENT_LOG_ACTIVITY:
        unmapped |= {name: event.pop(name) for name in _NOT_OF_A_LOG if name in event}
    return event | {"unmapped": unmapped}


class JsonLines:
    """One file of events, a line each."""

    suffix: ClassVar[str] = ".jsonl"

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")

    def write(self, item: Evidence) -> None:
        self._file.write(msgspec.json.encode(ocsf_event(item)) + b"\n")

    def close(self) -> None:
        self._file.close()
