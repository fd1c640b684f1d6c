from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Principal(_message.Message):
    __slots__ = ("uid", "issuer", "subject", "name", "groups", "tenant", "client", "kind", "methods", "context_class", "mfa", "auth_age", "spiffe_id", "certificate_subject", "bound")
    UID_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_CLASS_FIELD_NUMBER: _ClassVar[int]
    MFA_FIELD_NUMBER: _ClassVar[int]
    AUTH_AGE_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    uid: str
    issuer: str
    subject: str
    name: str
    groups: _containers.RepeatedScalarFieldContainer[str]
    tenant: str
    client: str
    kind: str
    methods: _containers.RepeatedScalarFieldContainer[str]
    context_class: str
    mfa: bool
    auth_age: int
    spiffe_id: str
    certificate_subject: str
    bound: bool
    def __init__(self, uid: _Optional[str] = ..., issuer: _Optional[str] = ..., subject: _Optional[str] = ..., name: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ..., tenant: _Optional[str] = ..., client: _Optional[str] = ..., kind: _Optional[str] = ..., methods: _Optional[_Iterable[str]] = ..., context_class: _Optional[str] = ..., mfa: _Optional[bool] = ..., auth_age: _Optional[int] = ..., spiffe_id: _Optional[str] = ..., certificate_subject: _Optional[str] = ..., bound: _Optional[bool] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("connection", "operation", "model", "stream", "max_tokens", "choices", "messages", "inputs", "tools", "tool_names", "prompt_characters", "body_bytes", "findings", "source_address")
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_NAMES_FIELD_NUMBER: _ClassVar[int]
    PROMPT_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    connection: str
    operation: str
    model: str
    stream: bool
    max_tokens: int
    choices: int
    messages: int
    inputs: int
    tools: int
    tool_names: _containers.RepeatedScalarFieldContainer[str]
    prompt_characters: int
    body_bytes: int
    findings: Findings
    source_address: str
    def __init__(self, connection: _Optional[str] = ..., operation: _Optional[str] = ..., model: _Optional[str] = ..., stream: _Optional[bool] = ..., max_tokens: _Optional[int] = ..., choices: _Optional[int] = ..., messages: _Optional[int] = ..., inputs: _Optional[int] = ..., tools: _Optional[int] = ..., tool_names: _Optional[_Iterable[str]] = ..., prompt_characters: _Optional[int] = ..., body_bytes: _Optional[int] = ..., findings: _Optional[_Union[Findings, _Mapping]] = ..., source_address: _Optional[str] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("events", "bytes", "characters", "tokens", "seconds", "findings")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    events: int
    bytes: int
    characters: int
    tokens: int
    seconds: float
    findings: Findings
    def __init__(self, events: _Optional[int] = ..., bytes: _Optional[int] = ..., characters: _Optional[int] = ..., tokens: _Optional[int] = ..., seconds: _Optional[float] = ..., findings: _Optional[_Union[Findings, _Mapping]] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("state", "approvers", "age")
    STATE_FIELD_NUMBER: _ClassVar[int]
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    state: str
    approvers: int
    age: float
    def __init__(self, state: _Optional[str] = ..., approvers: _Optional[int] = ..., age: _Optional[float] = ...) -> None: ...

class Findings(_message.Message):
    __slots__ = ("total", "pan", "security_code", "track", "pin", "pin_block", "expiry", "cardholder")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PAN_FIELD_NUMBER: _ClassVar[int]
    SECURITY_CODE_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    PIN_BLOCK_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_FIELD_NUMBER: _ClassVar[int]
    CARDHOLDER_FIELD_NUMBER: _ClassVar[int]
    total: int
    pan: int
    security_code: int
    track: int
    pin: int
    pin_block: int
    expiry: int
    cardholder: int
    def __init__(self, total: _Optional[int] = ..., pan: _Optional[int] = ..., security_code: _Optional[int] = ..., track: _Optional[int] = ..., pin: _Optional[int] = ..., pin_block: _Optional[int] = ..., expiry: _Optional[int] = ..., cardholder: _Optional[int] = ...) -> None: ...
