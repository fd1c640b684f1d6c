from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    PENDING: _ClassVar[State]
    GRANTED: _ClassVar[State]
    REFUSED: _ClassVar[State]
    EXPIRED: _ClassVar[State]
    WITHDRAWN: _ClassVar[State]
    REVOKED: _ClassVar[State]
    USED: _ClassVar[State]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    GRANT: _ClassVar[Verdict]
    REFUSE: _ClassVar[Verdict]
STATE_UNSPECIFIED: State
PENDING: State
GRANTED: State
REFUSED: State
EXPIRED: State
WITHDRAWN: State
REVOKED: State
USED: State
VERDICT_UNSPECIFIED: Verdict
GRANT: Verdict
REFUSE: Verdict

class ListRequest(_message.Message):
    __slots__ = ("states", "rule", "requester_uid", "mine", "page_size", "page_token")
    STATES_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_UID_FIELD_NUMBER: _ClassVar[int]
    MINE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[State]
    rule: str
    requester_uid: str
    mine: bool
    page_size: int
    page_token: str
    def __init__(self, states: _Optional[_Iterable[_Union[State, str]]] = ..., rule: _Optional[str] = ..., requester_uid: _Optional[str] = ..., mine: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("approvals", "next_page_token")
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    next_page_token: str
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("approval_id", "with_request")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    WITH_REQUEST_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    with_request: bool
    def __init__(self, approval_id: _Optional[str] = ..., with_request: _Optional[bool] = ...) -> None: ...

class DecideRequest(_message.Message):
    __slots__ = ("approval_id", "verdict", "reason", "seen")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    verdict: Verdict
    reason: str
    seen: str
    def __init__(self, approval_id: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., reason: _Optional[str] = ..., seen: _Optional[str] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("approval_id", "reason")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    reason: str
    def __init__(self, approval_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Change(_message.Message):
    __slots__ = ("approval", "revision")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    revision: int
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class Vote(_message.Message):
    __slots__ = ("uid", "name", "groups", "grant", "reason", "at", "channel")
    UID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    uid: str
    name: str
    groups: _containers.RepeatedScalarFieldContainer[str]
    grant: bool
    reason: str
    at: float
    channel: str
    def __init__(self, uid: _Optional[str] = ..., name: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ..., grant: _Optional[bool] = ..., reason: _Optional[str] = ..., at: _Optional[float] = ..., channel: _Optional[str] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("kind", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    count: int
    def __init__(self, kind: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Limit(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: int
    def __init__(self, name: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...

class Turn(_message.Message):
    __slots__ = ("role", "text")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    role: str
    text: str
    def __init__(self, role: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("approval_id", "state", "exchange_id", "requester_uid", "requester_name", "requester_groups", "request_reason", "rule", "rule_text", "policy_digest", "request_digest", "connection", "operation", "model", "findings", "limits", "approver_groups", "escalation_groups", "escalate_after_seconds", "quorum", "each_of", "votes", "window_seconds", "window_uses", "uses", "emergency", "created_at", "expires_at", "granted_until", "decided_at", "decided_by_uid", "decided_by_name", "decision_reason", "reviewed_by_uid", "reviewed_at", "tenant", "revision", "seen", "request")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_UID_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_GROUPS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    RULE_TEXT_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    APPROVER_GROUPS_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_GROUPS_FIELD_NUMBER: _ClassVar[int]
    ESCALATE_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    EACH_OF_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_USES_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    EMERGENCY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    GRANTED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_UID_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_NAME_FIELD_NUMBER: _ClassVar[int]
    DECISION_REASON_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_BY_UID_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_AT_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    state: State
    exchange_id: str
    requester_uid: str
    requester_name: str
    requester_groups: _containers.RepeatedScalarFieldContainer[str]
    request_reason: str
    rule: str
    rule_text: str
    policy_digest: str
    request_digest: str
    connection: str
    operation: str
    model: str
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    limits: _containers.RepeatedCompositeFieldContainer[Limit]
    approver_groups: _containers.RepeatedScalarFieldContainer[str]
    escalation_groups: _containers.RepeatedScalarFieldContainer[str]
    escalate_after_seconds: float
    quorum: int
    each_of: _containers.RepeatedScalarFieldContainer[str]
    votes: _containers.RepeatedCompositeFieldContainer[Vote]
    window_seconds: float
    window_uses: int
    uses: int
    emergency: bool
    created_at: float
    expires_at: float
    granted_until: float
    decided_at: float
    decided_by_uid: str
    decided_by_name: str
    decision_reason: str
    reviewed_by_uid: str
    reviewed_at: float
    tenant: str
    revision: int
    seen: str
    request: _containers.RepeatedCompositeFieldContainer[Turn]
    def __init__(self, approval_id: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., exchange_id: _Optional[str] = ..., requester_uid: _Optional[str] = ..., requester_name: _Optional[str] = ..., requester_groups: _Optional[_Iterable[str]] = ..., request_reason: _Optional[str] = ..., rule: _Optional[str] = ..., rule_text: _Optional[str] = ..., policy_digest: _Optional[str] = ..., request_digest: _Optional[str] = ..., connection: _Optional[str] = ..., operation: _Optional[str] = ..., model: _Optional[str] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., limits: _Optional[_Iterable[_Union[Limit, _Mapping]]] = ..., approver_groups: _Optional[_Iterable[str]] = ..., escalation_groups: _Optional[_Iterable[str]] = ..., escalate_after_seconds: _Optional[float] = ..., quorum: _Optional[int] = ..., each_of: _Optional[_Iterable[str]] = ..., votes: _Optional[_Iterable[_Union[Vote, _Mapping]]] = ..., window_seconds: _Optional[float] = ..., window_uses: _Optional[int] = ..., uses: _Optional[int] = ..., emergency: _Optional[bool] = ..., created_at: _Optional[float] = ..., expires_at: _Optional[float] = ..., granted_until: _Optional[float] = ..., decided_at: _Optional[float] = ..., decided_by_uid: _Optional[str] = ..., decided_by_name: _Optional[str] = ..., decision_reason: _Optional[str] = ..., reviewed_by_uid: _Optional[str] = ..., reviewed_at: _Optional[float] = ..., tenant: _Optional[str] = ..., revision: _Optional[int] = ..., seen: _Optional[str] = ..., request: _Optional[_Iterable[_Union[Turn, _Mapping]]] = ...) -> None: ...
