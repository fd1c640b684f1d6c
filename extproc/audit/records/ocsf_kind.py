"""How OCSF 1.8 calls a record: its class, activity, severity, status and disposition.

Source: ocsf-schema `events/application/api_activity`, `events/system/event_log_activity` and the profile
`security_control`.
"""

from dataclasses import dataclass
from functools import lru_cache

from extproc.core.policy import Operation
from extproc.core.record import EventCode, Outcome, Record

API_ACTIVITY, EVENT_LOG_ACTIVITY = 6003, 1008
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
_START, _STOP, _ENABLE, _DISABLE = 6, 7, 9, 10


@dataclass(frozen=True, slots=True)
class Kind:
    """What OCSF calls an event."""

    class_uid: int
    activity_id: int
    activity_name: str
    severity_id: int
    status_id: int
    action_id: int | None
    disposition_id: int | None

    @property
    def is_api(self) -> bool:
        return self.class_uid == API_ACTIVITY

    @property
    def category_uid(self) -> int:
        return self.class_uid // 1000


_LOG_ACTIVITIES = {
    EventCode.LOG_START: _START,
    EventCode.LOG_STOP: _STOP,
    EventCode.LOG_PAUSE: _DISABLE,
    EventCode.LOG_RESUME: _ENABLE,
    EventCode.LOG_HEARTBEAT: OTHER,
    EventCode.LOG_ADOPT: OTHER,
}
_ACTIVITIES = {
    EventCode.AUTH_LOGOUT: DELETE,
    EventCode.ADMIN_POLICY_CHANGE: UPDATE,
    EventCode.ADMIN_CONFIG_CHANGE: UPDATE,
    EventCode.ADMIN_CREDENTIAL_CHANGE: UPDATE,
    EventCode.ADMIN_BUDGET_RESET: UPDATE,
    EventCode.ADMIN_KEY_ROTATE: UPDATE,
    EventCode.ADMIN_NOTIFY_RETRY: UPDATE,
    EventCode.ADMIN_SESSIONS_END: DELETE,
    EventCode.ADMIN_SHRED_REQUEST: DELETE,
    EventCode.ADMIN_SHRED: DELETE,
    EventCode.ADMIN_SHRED_DONE: DELETE,
    EventCode.ADMIN_SHRED_FAILED: DELETE,
    EventCode.ADMIN_SHRED_REFUSED: DELETE,
    EventCode.SEALED_OPEN_REQUEST: READ,
    EventCode.SEALED_OPEN: READ,
    EventCode.SEALED_OPEN_REFUSED: READ,
    EventCode.AUDIT_RETENTION_CHECK: READ,
    EventCode.APPROVAL_OPEN: CREATE,
    EventCode.APPROVAL_EMERGENCY: CREATE,
    EventCode.APPROVAL_ATTACH: READ,
    EventCode.APPROVAL_WAIT_OVER: UPDATE,
    EventCode.APPROVAL_WITHDRAW: UPDATE,
    EventCode.APPROVAL_USE: UPDATE,
    EventCode.APPROVAL_DECIDE: UPDATE,
    EventCode.APPROVAL_REVOKE: UPDATE,
    EventCode.APPROVAL_REVIEW: UPDATE,
    EventCode.APPROVAL_EXPIRE: UPDATE,
    EventCode.APPROVAL_ESCALATE: UPDATE,
    EventCode.AUDIT_READ: READ,
    EventCode.STORE_INSPECT: READ,
    EventCode.CONTROL_FAILURE: OTHER,
    EventCode.CONTROL_RESTORED: OTHER,
}
"""What is in neither table is an exchange: its activity follows from its operation."""
_OPERATIONS: dict[str, int] = {Operation.MODEL_LIST: READ, Operation.MODEL_ADMIN: UPDATE, Operation.UNKNOWN: OTHER}
_INFORMATIONAL, _LOW, _MEDIUM, _HIGH = 1, 2, 3, 4
_SEVERITIES = {
    EventCode.AUTH_FAIL: _MEDIUM,
    EventCode.POLICY_DENY: _MEDIUM,
    EventCode.REQUEST_REFUSE: _LOW,
    EventCode.PROXY_REPLY: _LOW,
    EventCode.INFERENCE_RECOVERED: _LOW,
    EventCode.APPROVAL_EMERGENCY: _HIGH,
    EventCode.CONTROL_FAILURE: _HIGH,
    EventCode.ADMIN_KEY_ROTATE: _MEDIUM,
    EventCode.ADMIN_SHRED: _MEDIUM,
    EventCode.ADMIN_SHRED_FAILED: _MEDIUM,
    EventCode.ADMIN_SHRED_REFUSED: _MEDIUM,
    EventCode.SEALED_OPEN: _HIGH,
    EventCode.SEALED_OPEN_REFUSED: _MEDIUM,
    EventCode.LOG_PAUSE: _HIGH,
    EventCode.LOG_ADOPT: _LOW,
}
_SUCCESS, _FAILURE = 1, 2
_STATUS_IDS = {Outcome.COMPLETED: _SUCCESS, Outcome.SUCCEEDED: _SUCCESS, Outcome.HELD: OTHER}
_UNKNOWN, _ALLOWED, _DENIED = 0, 1, 2
_CONTROL = {
    EventCode.INFERENCE_REQUEST: (_ALLOWED, 1),  # Allowed
    EventCode.AUTH_FAIL: (_DENIED, 26),  # Unauthorized
    EventCode.AUTH_LOGIN: (_ALLOWED, 1),
    EventCode.AUTH_ISSUE: (_ALLOWED, 1),
    EventCode.POLICY_DENY: (_DENIED, 2),  # Blocked
    EventCode.ADMIN_SHRED_REFUSED: (_DENIED, 26),
    EventCode.SEALED_OPEN_REFUSED: (_DENIED, 26),
    EventCode.REQUEST_REFUSE: (_DENIED, 25),  # Rejected
    EventCode.PROXY_REPLY: (_DENIED, 25),
    EventCode.APPROVAL_OPEN: (_UNKNOWN, 14),  # Delayed
    EventCode.APPROVAL_ATTACH: (_UNKNOWN, 14),
    EventCode.APPROVAL_WAIT_OVER: (_UNKNOWN, 14),
    EventCode.APPROVAL_EMERGENCY: (_ALLOWED, 8),
    EventCode.APPROVAL_USE: (_ALLOWED, 8),  # Approved
    EventCode.APPROVAL_REVOKE: (_DENIED, 2),
    EventCode.APPROVAL_EXPIRE: (_DENIED, 2),
}
_ENDS = {
    Outcome.COMPLETED: (_ALLOWED, 1),
    Outcome.ABANDONED: (_ALLOWED, 1),
    Outcome.CUT: (_DENIED, 6),  # Dropped
    Outcome.FAILED: (_UNKNOWN, 27),  # Error
    Outcome.RECOVERED: (_UNKNOWN, 27),
}
"""Action and disposition of an exchange's end. What is in no table was not for a control to decide."""


def classify(record: Record) -> Kind:
    """Class, activity, severity, status and disposition by what happened and how it ended."""
    return _kind(record.event_code, record.status, record.resource.operation)


@lru_cache(maxsize=1024)
def _kind(code: EventCode, outcome: Outcome, operation: str) -> Kind:
    if code in _LOG_ACTIVITIES:
        class_uid, activity = EVENT_LOG_ACTIVITY, _LOG_ACTIVITIES[code]
    else:
        class_uid = API_ACTIVITY
        activity = _ACTIVITIES.get(code) or _OPERATIONS.get(operation, CREATE)
    action: tuple[int | None, int | None] = _CONTROL.get(code, (None, None))
    if code in (EventCode.INFERENCE_END, EventCode.INFERENCE_RECOVERED):
        action = _ENDS.get(outcome, (_UNKNOWN, 27))
    return Kind(
        class_uid,
        activity,
        code.value.partition(".")[2] if activity == OTHER else "",
        _SEVERITIES.get(code, _INFORMATIONAL),
        _STATUS_IDS.get(outcome, _FAILURE),
        *action,
    )
