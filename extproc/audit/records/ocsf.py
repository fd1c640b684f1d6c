"""The closed shape of an evidence line, version 3: OCSF 1.8 names and numbers.

Source: ocsf-schema `events/application/api_activity`, `events/system/event_log_activity` and the profiles
`ai_operation`, `security_control` and `trace`. A field that is not here is refused when a line is read.
"""

from collections.abc import Mapping

import msgspec

from extproc.core.decision_record import DecisionRef
from extproc.core.record import ApprovalRef, EventCode, Measures, Outcome


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
