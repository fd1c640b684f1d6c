"""What a requirement is judged by: the records' facts, the settings in force, and what was tried just now."""

from dataclasses import dataclass

from extproc.audit.anchor.head import AlarmName
from extproc.audit.evidence.facts import Facts
from extproc.audit.evidence.self_test import Answer
from extproc.audit.keys.register import KeyFact
from extproc.audit.settings import AuditSettings, DirectoryStore
from extproc.audit.stores.inspect import Capabilities, capabilities
from extproc.audit.verify.anchored import Anchored
from extproc.core.identity import Principal
from extproc.core.masking.settings import Kind, Style
from extproc.core.policy import DecisionInput, Effect, Operation, Policy, authorize
from extproc.core.policy import Facts as RequestFacts
from extproc.core.record import ENDS_EXCHANGE, EventCode

PROVEN, FINDING = 0, 1
INSPECTION_DAYS = CHECK_DAYS = 92
"""Three months: how old an inspection of the store or a retention check may be (PCI DSS v4.0.1 3.2.1)."""
_NOBODY = Principal("nobody", "nobody", "", ())


@dataclass(frozen=True, slots=True)
class Listener:
    """How clients reach the service."""

    tls: bool
    client_certificates: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """`verify_exit` is the verifier's answer for the period: 0 proven, 1 a finding, 2 incomplete."""

    facts: Facts
    settings: AuditSettings
    policy: Policy
    listener: Listener
    keys: tuple[KeyFact, ...]
    self_test: tuple[Answer, ...]
    verify_exit: int
    now_ms: int
    anchored: Anchored | None = None
    """What somebody outside of the store remembers of the log, when it was asked."""

    def doubt(self) -> str:
        """Why the records are not to be relied on; empty when nothing speaks against them."""
        if self.verify_exit == FINDING:
            return "the verifier has a finding"
        alarms = self.anchored.open_alarms if self.anchored else {}
        if any(name != AlarmName.SILENT for name, _ in alarms):
            return "an alarm of the anchor is open"
        return ""

    def count(self, *codes: EventCode) -> int:
        """Events of these kinds in the period."""
        return sum(self.facts.events[code] for code in codes)

    @property
    def requests(self) -> int:
        """Exchanges that a model was asked for."""
        return self.count(EventCode.INFERENCE_REQUEST)

    def exchanges(self) -> dict[str, int]:
        """Those that a model was asked for, beside all, in words."""
        return {"exchanges let through": self.requests, "exchanges ended in all": self.count(*ENDS_EXCHANGE)}

    @property
    def s3(self) -> bool:
        return not isinstance(self.settings.store, DirectoryStore)

    def detects(self, *kinds: Kind) -> bool:
        """Every case of these kinds was found, and there are some."""
        answers = [answer for answer in self.self_test if answer.expected in {str(kind) for kind in kinds}]
        return bool(answers) and all(answer.right for answer in answers)

    def missed(self) -> int:
        return sum(not answer.right for answer in self.self_test)

    def pan_styles(self) -> set[Style]:
        """How card numbers are shown and kept."""
        masking = self.policy.masking
        styles = {side.get(Kind.PAN, Style.LABEL) for side in (masking.request_styles, masking.response_styles)}
        return {Style(style) for style in styles}

    def denies_strangers(self) -> bool:
        """Tried: a caller without groups asks a model for something, and something unknown."""
        asked = (Operation.CHAT, Operation.UNKNOWN, Operation.MODEL_ADMIN)
        inputs = (
            DecisionInput(_NOBODY, "any", operation, RequestFacts(model="any"), {}, self.now_ms / 1000)
            for operation in asked
        )
        return all(authorize(self.policy, each).effect is Effect.DENY for each in inputs)

    def keys_in_kms(self) -> bool:
        """Every secret key that protects account data, or the log."""
        return bool(self.keys) and not any(key.falls_short for key in self.keys)

    def expired_keys(self) -> int:
        return sum(key.expired(self.now_ms) for key in self.keys)

    def capabilities(self) -> Capabilities | None:
        """What the newest inspection of the store in the period says; None without one."""
        newest = self.facts.inspection
        return capabilities(newest.record.detail) if newest else None

    def inspected_days_ago(self) -> int | None:
        """Of the newest inspection of the store in the period."""
        return self._days_since(self.facts.inspection.record.time_ms) if self.facts.inspection else None

    def checked_days_ago(self) -> int | None:
        """Of the newest retention check in the period."""
        return self._days_since(self.facts.retention_check.record.time_ms) if self.facts.retention_check else None

    def check_said(self, name: str) -> int:
        """A number of the newest retention check; 0 without one."""
        check = self.facts.retention_check
        value = check.record.detail.get(name, 0) if check else 0
        return int(value) if isinstance(value, int | float) else 0

    def _days_since(self, time_ms: int) -> int:
        return (self.facts.to_ms - time_ms) // 86_400_000
