"""An evidence line: a record's JSON with OCSF 1.8 names, behind its place in the chain.

    {"chain":{"origin":…,"seq":…,"prev":…,…},"metadata":{…},"class_uid":6003,…,"unmapped":{…}}

Exchanges, approvals and administration are API Activity (6003), what the log says of itself is Event Log Activity
(1008). What OCSF has no name for stands under `unmapped`, model usage there by the names of the OpenTelemetry GenAI
conventions. The form is closed and versioned: `proto/extproc/audit/v2/line.proto`. The bytes are hashed as stored, so
nothing is put into a canonical form. Lines of version 1 (flat, no `chain`) and 2 (no `decision`) are read for good.
"""

import ipaddress
from functools import lru_cache
from importlib.metadata import version

import msgspec
from msgspec import structs

from extproc.audit.records.ocsf import (
    Actor,
    AiModel,
    Api,
    Chain,
    GenAi,
    Group,
    HttpRequest,
    HttpResponse,
    Metadata,
    OcsfRecord,
    Organization,
    Policy,
    Product,
    Service,
    Session,
    Source,
    Trace,
    Unmapped,
    User,
)
from extproc.audit.records.ocsf_kind import classify
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.core import record as core
from extproc.core.conventions import CONVENTION_OPERATIONS, GEN_AI_SCHEMA_URL
from extproc.core.record import EventCode, Record

LINE_VERSION = "3"
_V2 = b'{"chain":'
_HTTP = "HTTP "
_PRODUCT = Product(name="extproc", vendor_name="extproc", version=version("extproc"))
_TYPES = {"person": 1, "service": 4}
"""OCSF's `user.type_id`."""
_KINDS = {number: kind for kind, number in _TYPES.items()}
_PROFILES = ("ai_operation", "security_control", "trace")
_ENCODER = msgspec.json.Encoder()


class Mark(msgspec.Struct, frozen=True):
    """What the chain follows of an evidence line. `content_…`: the transcript that an exchange's end binds."""

    origin: str
    seq: int
    prev: str
    event_code: EventCode
    exchange_id: str = ""
    content_digest: str = ""
    content_frames: int = 0


class _Heading(msgspec.Struct, frozen=True):
    event_code: EventCode
    correlation_uid: str = ""


class _Line(msgspec.Struct, frozen=True):
    chain: Chain
    metadata: _Heading


_MARK_1 = msgspec.json.Decoder(Mark)
_MARK_2 = msgspec.json.Decoder(_Line)
_RECORD_1 = msgspec.json.Decoder(Record)
_RECORD_2 = msgspec.json.Decoder(OcsfRecord)


def line_head(origin: str, seq: int, prev: str, content_digest: str, content_frames: int) -> bytes:
    """What stands before a record's own JSON, whose `{` it replaces."""
    head = b'{"chain":{"origin":"%s","seq":%d,"prev":"%s"' % (origin.encode(), seq, prev.encode())
    if content_frames:
        head += b',"content_digest":"%s","content_frames":%d' % (content_digest.encode(), content_frames)
    return head + b"},"


def parse_mark(line: bytes) -> Mark:
    """Raises `AuditRefused` for what is no evidence line."""
    try:
        if not line.startswith(_V2):
            return _MARK_1.decode(line)
        parsed = _MARK_2.decode(line)
    except NOT_PARSED as error:
        raise AuditRefused("a record does not parse") from error
    chain, heading = parsed.chain, parsed.metadata
    return Mark(
        chain.origin,
        chain.seq,
        chain.prev,
        heading.event_code,
        heading.correlation_uid,
        chain.content_digest,
        chain.content_frames,
    )


def parse_record(line: bytes) -> Record:
    """The record of an evidence line of any version. Raises `AuditRefused` for what is none."""
    try:
        return _record(_RECORD_2.decode(line)) if line.startswith(_V2) else _RECORD_1.decode(line)
    except NOT_PARSED as error:
        raise AuditRefused("a record does not parse") from error


def encode_record(record: Record) -> bytes:
    """The record's own JSON, to be put behind `line_head`."""
    return _ENCODER.encode(_ocsf(record))


def _ocsf(record: Record) -> OcsfRecord:
    kind = classify(record)
    actor, resource = record.actor, record.resource
    http = resource.protocol.startswith(_HTTP)
    return OcsfRecord(
        metadata=Metadata(
            event_code=record.event_code,
            version="1.8.0",
            log_version=LINE_VERSION,
            product=_PRODUCT,
            profiles=_PROFILES if kind.is_api else (),
            correlation_uid=record.exchange_id,
        ),
        class_uid=kind.class_uid,
        category_uid=kind.category_uid,
        activity_id=kind.activity_id,
        activity_name=kind.activity_name,
        type_uid=kind.class_uid * 100 + kind.activity_id,
        severity_id=kind.severity_id,
        time=record.time_ms,
        status_id=kind.status_id,
        status=record.status,
        status_code=str(record.http_status) if record.http_status else "",
        status_detail=record.status_detail,
        action_id=kind.action_id,
        disposition_id=kind.disposition_id,
        actor=Actor(
            user=User(
                uid=actor.uid,
                name=actor.name,
                groups=_groups(actor.groups),
                type_id=_TYPES.get(actor.kind, 0),
                org=Organization(uid=actor.tenant) if actor.tenant else None,
            ),
            session=_session(actor),
            app_uid=actor.client,
        ),
        src_endpoint=_source(record.src_address),
        api=Api(operation=resource.operation, service=Service(name=resource.connection)),
        http_request=HttpRequest(http_method=resource.protocol[len(_HTTP) :]) if http else None,
        http_response=HttpResponse(code=record.http_status) if record.http_status else None,
        ai_model=AiModel(name=resource.model, ai_provider=resource.connection) if resource.model else None,
        policy=Policy(uid=record.policy.digest, name=record.policy.rule) if record.policy else None,
        trace=Trace(uid=record.trace_id) if record.trace_id else None,
        log_name="" if kind.is_api else "extproc-audit",
        unmapped=_unmapped(record, "" if http else resource.protocol),
    )


def _session(actor: core.Actor) -> Session | None:
    if not (actor.token_id or actor.authenticated_at or actor.mfa):
        return None
    return Session(uid=actor.token_id, created_time=actor.authenticated_at * 1000, is_mfa=actor.mfa)


def _source(address: str) -> Source:
    """Envoy gives `192.0.2.7:4711` or `[2001:db8::7]:4711`; what is no address is a name."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        host, port = address, ""
    source = Source(ip=_ip(host), port=int(port or 0))
    return source if source.ip and _address(source) == address else Source(name=address)


@lru_cache(maxsize=1024)
def _ip(host: str) -> str:
    """`host` in canonical form, or empty where it is no IP address."""
    try:
        return str(ipaddress.ip_address(host[1:-1] if host.startswith("[") else host))
    except ValueError:
        return ""


@lru_cache(maxsize=1024)
def _groups(names: tuple[str, ...]) -> tuple[Group, ...]:
    return tuple(Group(name=name) for name in names)


def _address(source: Source) -> str:
    if not source.ip or not source.port:
        return source.ip or source.name
    return f"[{source.ip}]:{source.port}" if ":" in source.ip else f"{source.ip}:{source.port}"


def _unmapped(record: Record, protocol: str) -> Unmapped:
    measures = record.measures
    return Unmapped(
        effect=record.policy.effect if record.policy else "",
        protocol=protocol,
        auth_methods=record.actor.methods,
        auth_context=record.actor.context_class,
        spiffe_id=record.actor.spiffe_id,
        certificate_subject=record.actor.certificate_subject,
        confirmation=record.actor.confirmation,
        decision=record.decision,
        findings_request=record.findings_request,
        findings_response=record.findings_response,
        stripped=record.stripped,
        not_inspected=record.not_inspected,
        approval=record.approval,
        request_digest=record.request_digest,
        measures=structs.replace(measures, input_tokens=0, output_tokens=0) if measures else None,
        gen_ai=_gen_ai(record),
        detail=record.detail,
    )


def _gen_ai(record: Record) -> GenAi | None:
    """Where a model was asked."""
    operation = CONVENTION_OPERATIONS.get(record.resource.operation, "")
    measures = record.measures or core.Measures()
    if not (
        operation or record.resource.model or record.finish_reasons or measures.input_tokens or measures.output_tokens
    ):
        return None
    return GenAi(
        schema_url=GEN_AI_SCHEMA_URL,
        operation_name=operation,
        request_model=record.resource.model,
        input_tokens=measures.input_tokens,
        output_tokens=measures.output_tokens,
        finish_reasons=record.finish_reasons,
    )


def _record(line: OcsfRecord) -> Record:
    actor, unmapped, policy = line.actor, line.unmapped or Unmapped(), line.policy
    gen_ai, session = unmapped.gen_ai, actor.session
    return Record(
        event_code=line.metadata.event_code,
        time_ms=line.time,
        actor=core.Actor(
            uid=actor.user.uid,
            name=actor.user.name,
            groups=tuple(group.name for group in actor.user.groups),
            token_id=session.uid if session else "",
            client=actor.app_uid,
            methods=unmapped.auth_methods,
            kind=_KINDS.get(actor.user.type_id, ""),
            tenant=actor.user.org.uid if actor.user.org else "",
            mfa=session.is_mfa if session else False,
            context_class=unmapped.auth_context,
            authenticated_at=session.created_time // 1000 if session else 0,
            spiffe_id=unmapped.spiffe_id,
            certificate_subject=unmapped.certificate_subject,
            confirmation=unmapped.confirmation,
        ),
        status=line.status,
        src_address=_address(line.src_endpoint),
        resource=core.Resource(
            connection=line.api.service.name,
            operation=line.api.operation,
            protocol=_HTTP + line.http_request.http_method if line.http_request else unmapped.protocol,
            model=line.ai_model.name if line.ai_model else "",
        ),
        exchange_id=line.metadata.correlation_uid,
        status_detail=line.status_detail,
        http_status=line.http_response.code if line.http_response else 0,
        policy=core.PolicyRef(digest=policy.uid, effect=unmapped.effect, rule=policy.name) if policy else None,
        decision=unmapped.decision,
        approval=unmapped.approval,
        findings_request=dict(unmapped.findings_request),
        findings_response=dict(unmapped.findings_response),
        stripped=unmapped.stripped,
        not_inspected=dict(unmapped.not_inspected),
        finish_reasons=gen_ai.finish_reasons if gen_ai else (),
        measures=_measures(unmapped.measures, gen_ai),
        trace_id=line.trace.uid if line.trace else "",
        request_digest=unmapped.request_digest,
        detail=dict(unmapped.detail),
    )


def _measures(measures: core.Measures | None, gen_ai: GenAi | None) -> core.Measures | None:
    if measures is None or gen_ai is None:
        return measures
    return structs.replace(measures, input_tokens=gen_ai.input_tokens, output_tokens=gen_ai.output_tokens)
