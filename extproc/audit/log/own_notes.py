"""Records of what a process of ours did beside its exchanges, durable when they are said to be."""

import time

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.journal import write_once
from extproc.audit.log.own_records import Detail, log_record
from extproc.audit.settings import AuditSettings
from extproc.core.record import EventCode, Outcome


class OwnNotes:
    """Of one `writer`, each in an epoch of its own."""

    def __init__(self, settings: AuditSettings, keys: AuditKeys, writer: str) -> None:
        self._settings, self._keys, self._writer = settings, keys, writer

    def __call__(self, code: EventCode, status: Outcome, detail: Detail) -> str:
        """Write one. Why not, as the name of an exception; empty: it is written. Who calls this goes on in any case."""
        record = log_record(code, self._writer, int(time.time() * 1000), detail, status)
        try:
            write_once(self._settings, self._keys, self._writer, [record])
        except Exception as error:  # noqa: BLE001 - a boundary: whatever it is, it is tried again
            return type(error).__name__
        return ""
