"""Which exchanges get spans: decided at their end, when it is known what became of them.

An ordinary exchange follows its caller's word, or, without a caller's, a share by trace id, as the SDKs do. A denied,
held, failed or found one is kept whatever chance says.
"""

from typing import Final

from extproc.core.policy import Effect
from extproc.core.record import Outcome, Record
from extproc.edge.otel_environment import SamplingTerms
from extproc.edge.settings_telemetry import Keep
from extproc.edge.traceparent import TraceParent

FAILED, DENIED, HELD, FOUND = "failed", "denied", "held", "found"
_FAILURES: Final = frozenset({Outcome.FAILED, Outcome.CUT})
"""A client that goes away is none: people close their windows."""
_SERVER_ERROR: Final = 500
_WHOLE: Final = 1 << 64


def kept_for(record: Record) -> str:
    """Why an exchange is kept; empty for an ordinary one."""
    if record.status in _FAILURES or record.http_status >= _SERVER_ERROR:
        return FAILED
    if record.approval is not None or (record.policy is not None and record.policy.effect == Effect.HOLD):
        return HELD
    if record.status is Outcome.REFUSED:
        return DENIED
    return FOUND if record.findings_request or record.findings_response else ""


class Sampling:
    """The terms, applied."""

    def __init__(self, terms: SamplingTerms, keep: Keep) -> None:
        self._terms = terms
        self._keep = keep
        self._bound = round(terms.ratio * _WHOLE)

    def takes(self, kept: str, parent: TraceParent | None, trace_id: str) -> bool:
        """Whether spans are exported. `kept` is what `kept_for` says."""
        terms = self._terms
        if terms.off:
            return False
        if kept and (self._keep is Keep.ALWAYS or parent is None or parent.sampled):
            return True
        if parent is not None and terms.by_parent:
            return parent.sampled
        return int(trace_id[16:], 16) < self._bound
