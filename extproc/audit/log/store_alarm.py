"""That segments cannot be shipped, why, and that they can be again: a record each (PCI DSS 10.6.3, 10.7.2, 10.7.3).

What is not over yet is kept in the spool, so that the end is recorded by whoever lives to see it.
"""

import logging
from pathlib import Path

import msgspec

from extproc.audit.files import replace
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.own_notes import OwnNotes
from extproc.audit.log.own_records import Detail
from extproc.audit.log.shipper import ShippingFailed
from extproc.audit.log.spool import make_directory
from extproc.audit.refusal import NOT_PARSED
from extproc.audit.settings import AuditSettings
from extproc.audit.stores.store import Fault
from extproc.core.record import EventCode, Outcome

STORE, CLOCK = "audit_store", "store_clock"
"""The controls: that a clock differs from the store's is told apart from a store that is away."""
CONTROLS = frozenset({STORE, CLOCK})
WRITER = "supervisor"
_log = logging.getLogger(__name__)


class StoreAlarm:
    """For one thread of one process. What could not be recorded is recorded at the next look."""

    def __init__(self, settings: AuditSettings, keys: AuditKeys) -> None:
        self._note = OwnNotes(settings, keys, WRITER)
        self._path: Path = settings.spool / "store-failing.json"
        self._failing = self._read()
        self._said = False

    @property
    def failing(self) -> bool:
        return bool(self._failing)

    @property
    def controls(self) -> frozenset[str]:
        """Those that fail."""
        return frozenset(self._failing)

    def failed(self, failed: ShippingFailed) -> None:
        """One more pass that did not ship everything. A divergence is told even while the store fails otherwise."""
        control = CLOCK if failed.fault is Fault.CLOCK else STORE
        known = self._failing.get(control)
        if known is not None and (failed.fault is not Fault.DIVERGENT or known == Fault.DIVERGENT):
            return
        if not self._said:
            _log.error("segments cannot be shipped; they wait", extra={"cause": failed.fault.value})
        named: Detail = {"object": failed.divergent} if failed.divergent else {}
        if self._record(EventCode.CONTROL_FAILURE, {"control": control, "cause": failed.fault.value, **named}):
            self._keep({**self._failing, control: failed.fault.value})

    def over(self) -> None:
        """A pass shipped everything that there was."""
        if self._failing:
            _log.warning("the audit store is back")
        for control, cause in list(self._failing.items()):
            if self._record(EventCode.CONTROL_RESTORED, {"control": control, "cause": cause}):
                self._keep({name: other for name, other in self._failing.items() if name != control})

    def _record(self, code: EventCode, detail: Detail) -> bool:
        status = Outcome.FAILED if code is EventCode.CONTROL_FAILURE else Outcome.SUCCEEDED
        failure = self._note(code, status, detail)
        if failure and not self._said:
            _log.error("a control failure could not be recorded", extra={"failure": failure})
        self._said = bool(failure)
        return not failure

    def _keep(self, failing: dict[str, str]) -> None:
        self._failing = failing
        try:
            make_directory(self._path.parent)
            replace(self._path, msgspec.json.encode(failing))
        except OSError as error:  # then only a restart forgets it
            _log.error("a control failure could not be kept in mind", extra={"failure": type(error).__name__})

    def _read(self) -> dict[str, str]:
        """What does not parse is forgotten: its failure is recorded anew."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (OSError, *NOT_PARSED):
            return {}
