"""The stored form of a record: closed, versioned, by OCSF's names, with every field that PCI DSS 10.2.2 asks for."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_tools import protoc
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from extproc.audit.records.line import LINE_VERSION, encode_record, line_head, parse_mark, parse_record
from extproc.audit.records.line_schema import line_schema
from extproc.audit.records.ocsf import OcsfRecord
from extproc.audit.records.ocsf_kind import classify
from extproc.audit.refusal import AuditRefused
from extproc.core.decision_record import (
    ApprovalFacts,
    DecisionRef,
    ObligationsRef,
    RequestFacts,
    ResponseRef,
    ShadowRef,
    StepUpRef,
)
from extproc.core.reasons import Unavailable
from extproc.core.record import (
    Actor,
    ApprovalRef,
    EventCode,
    Measures,
    Outcome,
    PolicyRef,
    Record,
    Resource,
    missing_fields,
)

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto/extproc/audit/v2/line.proto"
ORIGIN = "test/worker-0/20261128T144702Z-f8fbb5a8ede2bd29"

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
some_names = st.lists(names, max_size=3).map(tuple)
counts = st.dictionaries(names, st.integers(0, 2**40), max_size=3)
measures = st.builds(
    Measures,
    **{name: st.integers(0, 2**40) for name, kind in Measures.__annotations__.items() if kind is int},
    **{name: st.floats(0, 1e9) for name, kind in Measures.__annotations__.items() if kind is float},
)
numbers = st.integers(0, 2**40)
facts = st.builds(
    RequestFacts,
    tool_names=some_names,
    stream=st.booleans(),
    **{name: numbers for name, kind in RequestFacts.__annotations__.items() if kind is int},
)
obligations = st.none() | st.builds(
    ObligationsRef, masking=names, max_tokens=numbers, retention_days=numbers, durability=names
)
shadows = st.lists(st.builds(ShadowRef, rule=names, effect=names, would_change=st.booleans()), max_size=2).map(tuple)
seconds = st.floats(0, 1e9)
responses = st.builds(
    ResponseRef,
    **{name: numbers for name, kind in ResponseRef.__annotations__.items() if kind is int},
    seconds=seconds,
    rule=names,
    determining=some_names,
    shadow=some_names,
    errors=some_names,
)
decisions = st.builds(
    DecisionRef,
    time_ms=numbers,
    facts=facts,
    budgets=counts,
    approval=st.none() | st.builds(ApprovalFacts, state=names, approvers=numbers, age_seconds=seconds),
    determining=some_names,
    shadow=shadows,
    errors=some_names,
    logging=some_names,
    step_up=st.none() | st.builds(StepUpRef, rule=names, mfa=st.booleans(), max_age_seconds=seconds),
    obligations=obligations,
    carried_out=obligations,
    response=st.none() | responses,
)
actors = st.builds(
    Actor,
    uid=names,
    name=names,
    groups=some_names,
    token_id=names,
    client=names,
    methods=some_names,
    mfa=st.booleans(),
    kind=st.sampled_from(["", "person", "service"]),
    tenant=names,
    context_class=names,
    authenticated_at=st.integers(0, 2**32),
    spiffe_id=names,
    certificate_subject=names,
    confirmation=names,
)
records = st.builds(
    Record,
    event_code=st.sampled_from(EventCode),
    time_ms=st.integers(1, 2**42),
    actor=actors,
    status=st.sampled_from(Outcome),
    src_address=st.sampled_from(["local", "unknown", "192.0.2.7", "192.0.2.7:4711", "2001:db8::7", "[2001:db8::7]:1"])
    | names,
    resource=st.builds(
        Resource,
        connection=names,
        operation=names | st.sampled_from(["chat", "embeddings", "model_admin"]),
        protocol=st.sampled_from(["HTTP POST", "HTTP GET", "journal", "unknown"]) | names,
        model=names,
    ),
    exchange_id=names,
    status_detail=names,
    http_status=st.integers(0, 599),
    policy=st.none() | st.builds(PolicyRef, digest=names, effect=names, rule=names),
    decision=st.none() | decisions,
    approval=st.none()
    | st.builds(ApprovalRef, id=names, state=names, request_digest=names, decided_by=names, reason=names),
    findings_request=counts,
    findings_response=counts,
    stripped=some_names,
    not_inspected=counts,
    finish_reasons=some_names,
    measures=st.none() | measures,
    trace_id=names,
    request_digest=names,
    detail=st.dictionaries(names, names | st.integers(-(2**40), 2**40) | st.booleans() | st.floats(0, 1e9), max_size=3),
)


def line_of(record: Record, seq: int = 7, content: tuple[str, int] = ("", 0)) -> bytes:
    return line_head(ORIGIN, seq, "0" * 64, *content) + encode_record(record)[1:]


@pytest.fixture(scope="module")
def message(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The class of `Line`, from the committed proto."""
    out = tmp_path_factory.mktemp("proto") / "line.pb"
    includes = Path(protoc.__file__).parent / "_proto"
    arguments = ["", f"-I{ROOT / 'proto'}", f"-I{includes}", "--include_imports", f"--descriptor_set_out={out}"]
    assert protoc.main([*arguments, str(PROTO)]) == 0
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("extproc.audit.v2.Line"))


@given(records, st.sampled_from([("", 0), ("ab" * 32, 3)]))
def test_a_record_comes_back_as_it_was_written(record: Record, content: tuple[str, int]) -> None:
    """Usage and finish reasons are kept beside `measures`, so they come back where there are measures."""
    if record.measures is None:
        record = structs.replace(record, measures=Measures())
    line = line_of(record, content=content)
    assert parse_record(line) == record
    mark = parse_mark(line)
    assert (mark.origin, mark.seq, mark.prev) == (ORIGIN, 7, "0" * 64)
    assert (mark.event_code, mark.exchange_id) == (record.event_code, record.exchange_id)
    assert (mark.content_digest, mark.content_frames) == content


@given(record=records)
def test_every_line_is_the_message_of_the_proto(message: Any, record: Record) -> None:
    """Nothing in a line that the proto does not have, and nothing lost on the way through it."""
    line = line_of(record, content=("ab" * 32, 3))
    parsed = json_format.Parse(line, message())
    back = json_format.MessageToDict(parsed, preserving_proto_field_name=True)
    assert back["metadata"]["event_code"] == record.event_code
    assert parsed.time == record.time_ms
    assert parsed.actor.user.uid == record.actor.uid
    if record.decision is not None:
        assert tuple(parsed.unmapped.decision.facts.tool_names) == record.decision.facts.tool_names
    assert dict(parsed.unmapped.findings_request) == record.findings_request


def test_the_proto_lists_every_event(message: Any) -> None:
    listed = message.DESCRIPTOR.file.enum_types_by_name["EventCode"].values_by_name
    written = {name.lower().replace("_", ".", 1) for name in listed} - {"event.code_unspecified"}
    assert written == set(EventCode)


def test_the_committed_schema_is_the_generated_one() -> None:
    """`make proto` writes it."""
    assert (PROTO.parent / "line.schema.json").read_text("utf-8") == line_schema()


@given(record=records)
def test_class_and_activity_are_numbers_that_ocsf_has(record: Record) -> None:
    kind = classify(record)
    activities = {6003: {1, 2, 3, 4, 99}, 1008: {*range(1, 11), 99}}
    assert kind.activity_id in activities[kind.class_uid]
    assert (kind.activity_name != "") == (kind.activity_id == 99)
    assert kind.status_id in (1, 2, 99)
    assert kind.action_id in (None, 0, 1, 2)
    line = json.loads(encode_record(record))
    assert line["type_uid"] == line["class_uid"] * 100 + line["activity_id"]
    assert line["metadata"]["log_version"] == LINE_VERSION


@pytest.mark.parametrize("code", EventCode, ids=lambda code: code.value)
def test_every_event_says_what_it_was(record, code: EventCode) -> None:
    """A refusal is a denial, an end that went well is none; the log's own events are of the log's own class."""
    kind = classify(structs.replace(record(code, "x"), status=Outcome.COMPLETED))
    if code in (EventCode.AUTH_FAIL, EventCode.POLICY_DENY, EventCode.REQUEST_REFUSE, EventCode.PROXY_REPLY):
        assert kind.action_id == 2
    if code in (EventCode.INFERENCE_REQUEST, EventCode.INFERENCE_END):
        assert kind.action_id == 1
    assert (kind.class_uid == 1008) == code.value.startswith("log.")


@pytest.mark.parametrize("place", [("actor", "user"), ("unmapped",), ("chain",), ("metadata",), ()])
def test_a_line_with_a_field_that_nobody_knows_is_refused(record, place: tuple[str, ...]) -> None:
    line = json.loads(line_of(record(EventCode.INFERENCE_END, "x")))
    assert parse_record(json.dumps(line, separators=(",", ":")).encode())
    inner = line
    for name in place:
        inner = inner[name]
    inner["surprise"] = 1
    with pytest.raises(AuditRefused):
        parse_record(json.dumps(line, separators=(",", ":")).encode())


def test_lines_of_the_first_version_are_read(record) -> None:
    wanted = record(EventCode.INFERENCE_END, "x")
    head = b'{"origin":"%s","seq":3,"prev":"%s","content_digest":"ab","content_frames":2,' % (
        ORIGIN.encode(),
        b"0" * 64,
    )
    line = head + msgspec.json.encode(wanted)[1:]
    assert parse_record(line) == wanted
    assert (parse_mark(line).seq, parse_mark(line).exchange_id, parse_mark(line).content_frames) == (3, "x", 2)


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b'{"chain":{}}', b'{"chain":{"origin":"a","seq":"1","prev":""},"metadata":{}}', b"\xff", b'{"seq":1}'],
    ids=["empty", "nothing", "no place", "a number in quotes", "no text", "half a place"],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    for parse in (parse_mark, parse_record):
        with pytest.raises(AuditRefused):
            parse(line)


def empty(record: Record, field: str) -> Record:
    part, _, name = field.partition(".")
    if not name:
        return structs.replace(record, **{part: 0 if part == "time_ms" else ""})
    return structs.replace(record, **{part: structs.replace(getattr(record, part), **{name: ""})})


REQUIRED = ("actor.uid", "time_ms", "src_address", "resource.connection", "resource.operation", "resource.protocol")


@pytest.mark.parametrize("field", REQUIRED)
def test_a_record_without_what_pci_asks_for_is_not_written(log, record, lines_of, field: str) -> None:
    """10.2.2, acceptance test 14: whoever wanted it written is told no, and the log goes on."""
    whole = record(EventCode.INFERENCE_REQUEST, "x-1")
    journal = log.open()
    assert missing_fields(empty(whole, field)) == (field,)
    with pytest.raises(Unavailable):
        journal.append_record(empty(whole, field))
    journal.append_record(whole)
    journal.close()
    log.ship()
    assert [line["event_code"] for line in lines_of(log)] == ["log.start", "inference.request", "log.stop"]
    assert log.verify().exit_code == 0


@pytest.mark.parametrize("code", EventCode, ids=lambda code: code.value)
def test_no_event_can_be_made_without_them(record, code: EventCode) -> None:
    """A field without a default cannot be left out, whatever the event."""
    whole = record(code, "x")
    assert missing_fields(whole) == ()
    for name in ("event_code", "time_ms", "actor", "status", "src_address", "resource"):
        fields = {field: getattr(whole, field) for field in whole.__struct_fields__ if field != name}
        with pytest.raises(TypeError, match=name):
            Record(**fields)


def test_the_shape_is_closed_all_the_way_down() -> None:
    schema = json.loads(line_schema())
    open_ones = [
        name
        for name, part in schema["$defs"].items()
        if part.get("type") == "object" and part.get("additionalProperties") is not False
    ]
    assert open_ones == []
    assert OcsfRecord.__struct_config__.forbid_unknown_fields
