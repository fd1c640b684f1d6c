"""The closed shape of an evidence line, version 3: OCSF 1.8 names and numbers, and how a record is classified.

Source: ocsf-schema `events/application/api_activity`, `events/system/event_log_activity` and the profiles
`ai_operation`, `security_control` and `trace`. A field that is not here is refused when a line is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from extproc.core.policy import Operation
from extproc.core.record import ApprovalRef, DecisionRef, EventCode, Measures, Outcome, Record

API_ACTIVITY, EVENT_LOG_ACTIVITY = 6003, 1008
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
_START, _STOP, _ENABLE, _DISABLE = 6, 7, 9, 10


class _Closed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Written without what is empty; read without what is unknown."""


class Chain(_Closed, frozen=True, kw_only=True):
    """The place in the log: the epoch, the number in it, the SHA-256 of the line before."""

    origin: str
    seq: int
    prev: str
    content_digest: str = ""
    content_frames: int = 0


class Product(_Closed, frozen=True, kw_only=True):
    name: str
    vendor_name: str
    version: str


class Metadata(_Closed, frozen=True, kw_only=True):
    """`correlation_uid` is the exchange; `log_version` is this shape's, `version` is OCSF's."""

    event_code: EventCode
    version: str
    log_version: str
    product: Product
    profiles: tuple[str, ...] = ()
    correlation_uid: str = ""


class Group(_Closed, frozen=True, kw_only=True):
    name: str


class Organization(_Closed, frozen=True, kw_only=True):
    uid: str


class User(_Closed, frozen=True, kw_only=True):
    """`type_id`: 1 a person, 4 a service account, 0 where it is not known. `org` is the tenant."""

    uid: str
    name: str = ""
    groups: tuple[Group, ...] = ()
    type_id: int = 0
    org: Organization | None = None


class Session(_Closed, frozen=True, kw_only=True):
    """`uid` is the token's own id, `created_time` when the person authenticated, Unix milliseconds."""

    uid: str = ""
    created_time: int = 0
    is_mfa: bool = False


class Actor(_Closed, frozen=True, kw_only=True):
    user: User
    session: Session | None = None
    app_uid: str = ""


class Source(_Closed, frozen=True, kw_only=True):
    """An address where it is one, else a name: `local`, `unknown`."""

    ip: str = ""
    port: int = 0
    name: str = ""


class Service(_Closed, frozen=True, kw_only=True):
    name: str


class Api(_Closed, frozen=True, kw_only=True):
    operation: str
    service: Service


class HttpRequest(_Closed, frozen=True, kw_only=True):
    http_method: str


class HttpResponse(_Closed, frozen=True, kw_only=True):
    code: int


class AiModel(_Closed, frozen=True, kw_only=True):
    """`ai_provider` is the connection: the model server as the deployment names it."""

    name: str
    ai_provider: str


class Policy(_Closed, frozen=True, kw_only=True):
    """`uid` is the policy's digest, `name` the rule that determined the decision."""

    uid: str
    name: str = ""


class Trace(_Closed, frozen=True, kw_only=True):
    uid: str


class GenAi(
    _Closed,
    frozen=True,
    kw_only=True,
    rename={
        "operation_name": "gen_ai.operation.name",
        "request_model": "gen_ai.request.model",
        "input_tokens": "gen_ai.usage.input_tokens",
        "output_tokens": "gen_ai.usage.output_tokens",
        "finish_reasons": "gen_ai.response.finish_reasons",
    },
):
    """By the names of the OpenTelemetry GenAI conventions of `schema_url`. Usage is what the model server reported."""

    schema_url: str
    operation_name: str = ""
    request_model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    finish_reasons: tuple[str, ...] = ()


class Unmapped(_Closed, frozen=True, kw_only=True):
    """What OCSF has no name for. No content, no account data; `detail` holds names, digests and counts."""

    effect: str = ""
    protocol: str = ""
    auth_methods: tuple[str, ...] = ()
    auth_context: str = ""
    spiffe_id: str = ""
    certificate_subject: str = ""
    confirmation: str = ""
    decision: DecisionRef | None = None
    findings_request: Mapping[str, int] = {}
    findings_response: Mapping[str, int] = {}
    stripped: tuple[str, ...] = ()
    not_inspected: Mapping[str, int] = {}
    approval: ApprovalRef | None = None
    request_digest: str = ""
    measures: Measures | None = None
    """Its token counts are under `gen_ai`."""
    gen_ai: GenAi | None = None
    detail: Mapping[str, str | int | float | bool] = {}


class OcsfRecord(_Closed, frozen=True, kw_only=True):
    """An evidence line. `chain` is written by the journal, in front of what the record itself says."""

    metadata: Metadata
    class_uid: int
    category_uid: int
    activity_id: int
    type_uid: int
    severity_id: int
    time: int
    status_id: int
    status: Outcome
    actor: Actor
    src_endpoint: Source
    api: Api
    chain: Chain | None = None
    activity_name: str = ""
    status_code: str = ""
    status_detail: str = ""
    action_id: int | None = None
    disposition_id: int | None = None
    http_request: HttpRequest | None = None
    http_response: HttpResponse | None = None
    ai_model: AiModel | None = None
    policy: Policy | None = None
    trace: Trace | None = None
    log_name: str = ""
    unmapped: Unmapped | None = None


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
    EventCode.ADMIN_CREDENTIAL_CHANGE: UPDATE,
    EventCode.ADMIN_BUDGET_RESET: UPDATE,
    EventCode.ADMIN_KEY_ROTATE: UPDATE,
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
    EventCode.APPROVAL_ATTACH: READ,
    EventCode.APPROVAL_WAIT_OVER: UPDATE,
    EventCode.APPROVAL_WITHDRAW: UPDATE,
    EventCode.APPROVAL_USE: UPDATE,
    EventCode.APPROVAL_DECIDE: UPDATE,
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
    EventCode.APPROVAL_USE: (_ALLOWED, 8),  # Approved
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
