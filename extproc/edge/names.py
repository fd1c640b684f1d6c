"""What spans and metrics call things: values of a closed set, or names on one bounded budget."""

from typing import Final

from extproc.core import conventions
from extproc.core.approval import ApprovalState
from extproc.core.policy import Effect, Operation
from extproc.core.reasons import Reason
from extproc.core.record import EventCode, Record
from extproc.edge.labels import OTHER, BoundedNames

MAX_MODELS: Final = 64
MAX_RULES: Final = 512
MAX_KINDS: Final = 128
MAX_CONNECTIONS: Final = 256
_OPERATIONS = frozenset(operation.value for operation in Operation)
_EFFECTS = frozenset(effect.value for effect in Effect)
_STATES = frozenset(state.value for state in ApprovalState)
_REASONS = frozenset(reason.value for reason in Reason)


class Names:
    """Of one worker."""

    def __init__(self) -> None:
        self.models = BoundedNames(MAX_MODELS)
        self.rules = BoundedNames(MAX_RULES)
        self.kinds = BoundedNames(MAX_KINDS)
        self.connections = BoundedNames(MAX_CONNECTIONS)

    @staticmethod
    def operation(record: Record) -> str:
        operation = record.resource.operation
        return operation if operation in _OPERATIONS else Operation.UNKNOWN.value

    @staticmethod
    def effect(record: Record) -> str:
        """Empty where nothing was decided."""
        effect = record.policy.effect if record.policy else ""
        return effect if effect in _EFFECTS else ""

    @staticmethod
    def reason(record: Record) -> str:
        """A `Reason` code; empty where the exchange was completed."""
        return (
            record.status_detail
            if record.status_detail in _REASONS or not record.status_detail
            else conventions.OTHER_METHOD
        )

    @staticmethod
    def approval_state(record: Record) -> str:
        """Empty where there was no approval."""
        state = record.approval.state if record.approval else ""
        return state if state in _STATES or not state else OTHER

    def model(self, record: Record) -> str:
        """The model's name where the request was let through; `OTHER` where anybody chose it; empty without one."""
        effect = self.effect(record)
        allowed = effect == Effect.ALLOW or (effect == Effect.HOLD and record.event_code is EventCode.INFERENCE_END)
        if not allowed:
            return OTHER
        return self.models(record.resource.model) if record.resource.model else ""


def method(record: Record) -> str:
    """`http.request.method`: what the record calls its protocol, such as `HTTP POST`."""
    said = record.resource.protocol.rpartition(" ")[2]
    return said if said in conventions.METHODS else conventions.OTHER_METHOD
