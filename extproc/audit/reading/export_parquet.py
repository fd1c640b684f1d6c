"""Records as rows of Parquet for Athena, Trino, DuckDB and pyarrow: flat columns, whose names and types stay.

Columns are added at the end; none is renamed, removed or given another type.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

from extproc.audit.reading.reader import Evidence
from extproc.audit.records.line import parse_mark
from extproc.audit.records.ocsf_kind import classify
from extproc.audit.refusal import AuditRefused
from extproc.core.decision_record import RequestFacts, ResponseRef
from extproc.core.record import ApprovalRef, Measures, PolicyRef, Record
from extproc.core.recorded import changing

ROWS_OF_A_GROUP = 50_000
ROWS_AS_OBJECTS = 1_000
"""Then they become columns of Arrow, which need a hundredth of the memory."""
_TEXTS = "list<string>"
COLUMNS: dict[str, str] = {
    "time": "timestamp",
    "event_code": "string",
    "exchange_id": "string",
    "person_uid": "string",
    "person_name": "string",
    "groups": _TEXTS,
    "client": "string",
    "token_id": "string",
    "auth_methods": _TEXTS,
    "source": "string",
    "connection": "string",
    "operation": "string",
    "protocol": "string",
    "model": "string",
    "effect": "string",
    "rule": "string",
    "policy_digest": "string",
    "outcome": "string",
    "reason": "string",
    "http_status": "int",
    "approval_id": "string",
    "approval_state": "string",
    "approval_decided_by": "string",
    "approval_reason": "string",
    "request_kinds": _TEXTS,
    "request_findings": "bigint",
    "response_kinds": _TEXTS,
    "response_findings": "bigint",
    "stripped": _TEXTS,
    "not_inspected": _TEXTS,
    "finish_reasons": _TEXTS,
    "input_tokens": "bigint",
    "output_tokens": "bigint",
    "request_bytes": "bigint",
    "response_bytes": "bigint",
    "duration_ms": "double",
    "hold_ms": "double",
    "first_byte_ms": "double",
    "trace_id": "string",
    "request_digest": "string",
    "detail": "string",
    "ocsf_class_uid": "int",
    "ocsf_activity_id": "int",
    "ocsf_status_id": "int",
    "origin": "string",
    "seq": "bigint",
    "segment": "int",
    "person_kind": "string",
    "tenant": "string",
    "mfa": "boolean",
    "auth_context": "string",
    "spiffe_id": "string",
    "certificate_subject": "string",
    "stream": "boolean",
    "max_tokens": "bigint",
    "choices": "bigint",
    "messages": "bigint",
    "tools": "bigint",
    "tool_names": _TEXTS,
    "prompt_characters": "bigint",
    "determining": _TEXTS,
    "shadow": _TEXTS,
    "cut_by": "string",
}
"""Names, with the types of Athena and Hive. `…_kinds` are the kinds of card data that were found, `…_findings` how many
of all kinds; `detail` is JSON; `shadow` are the rules in shadow that would have changed something; `origin` and `seq`
are the record's place in the log, as in a receipt. A text that a record does not have is empty, never null."""


def row_of(item: Evidence) -> dict[str, Any]:
    """The columns' values; `time` in Unix milliseconds."""
    record, kind, mark = item.record, classify(item.record), parse_mark(item.line)
    policy = record.policy or PolicyRef(digest="")
    approval = record.approval or ApprovalRef(id="", state="")
    measures = record.measures or Measures()
    return {
        "time": record.time_ms,
        "event_code": str(record.event_code),
        "exchange_id": record.exchange_id,
        "person_uid": record.actor.uid,
        "person_name": record.actor.name,
        "groups": record.actor.groups,
        "client": record.actor.client,
        "token_id": record.actor.token_id,
        "auth_methods": record.actor.methods,
        "source": record.src_address,
        "connection": record.resource.connection,
        "operation": record.resource.operation,
        "protocol": record.resource.protocol,
        "model": record.resource.model,
        "effect": policy.effect,
        "rule": policy.rule,
        "policy_digest": policy.digest,
        "outcome": str(record.status),
        "reason": record.status_detail,
        "http_status": record.http_status,
        "approval_id": approval.id,
        "approval_state": approval.state,
        "approval_decided_by": approval.decided_by,
        "approval_reason": approval.reason,
        "request_kinds": found(record.findings_request),
        "request_findings": sum(record.findings_request.values()),
        "response_kinds": found(record.findings_response),
        "response_findings": sum(record.findings_response.values()),
        "stripped": record.stripped,
        "not_inspected": found(record.not_inspected),
        "finish_reasons": record.finish_reasons,
        "input_tokens": measures.input_tokens,
        "output_tokens": measures.output_tokens,
        "request_bytes": measures.request_bytes,
        "response_bytes": measures.response_bytes,
        "duration_ms": measures.duration_ms,
        "hold_ms": measures.hold_ms,
        "first_byte_ms": measures.first_byte_ms,
        "trace_id": record.trace_id,
        "request_digest": record.request_digest,
        "detail": json.dumps(record.detail),
        "ocsf_class_uid": kind.class_uid,
        "ocsf_activity_id": kind.activity_id,
        "ocsf_status_id": kind.status_id,
        "origin": mark.origin,
        "seq": mark.seq,
        "segment": item.segment,
        **_decided(record),
    }


def _decided(record: Record) -> dict[str, Any]:
    """Who asked, what the decision looked at, and which rules it comes from; of earlier versions, nothing."""
    actor, decision = record.actor, record.decision
    facts = decision.facts if decision else RequestFacts(choices=0)
    response = (decision.response if decision else None) or ResponseRef()
    return {
        "person_kind": actor.kind,
        "tenant": actor.tenant,
        "mfa": actor.mfa,
        "auth_context": actor.context_class,
        "spiffe_id": actor.spiffe_id,
        "certificate_subject": actor.certificate_subject,
        "stream": facts.stream,
        "max_tokens": facts.max_tokens,
        "choices": facts.choices,
        "messages": facts.messages,
        "tools": facts.tools,
        "tool_names": facts.tool_names,
        "prompt_characters": facts.prompt_characters,
        "determining": decision.determining if decision else (),
        "shadow": changing(record),
        "cut_by": response.rule,
    }


def found(counts: dict[str, int]) -> list[str]:
    """Kinds of which there was any, in the order of their names."""
    return sorted(kind for kind, count in counts.items() if count)


class ParquetRows:
    """One file of rows, compressed by zstd. Memory: one row group."""

    suffix: ClassVar[str] = ".parquet"

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra: `extproc[export]`

        self._writer = pq.ParquetWriter(path, arrow_schema(), compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._tables: list[Any] = []

    def write(self, item: Evidence) -> None:
        self._rows.append(row_of(item))
        if len(self._rows) >= ROWS_AS_OBJECTS:
            self._columns()
            if len(self._tables) * ROWS_AS_OBJECTS >= ROWS_OF_A_GROUP:
                self._write_group()

    def close(self) -> None:
        try:
            self._columns()
            if self._tables:
                self._write_group()
        finally:
            self._writer.close()

    def _columns(self) -> None:
        import pyarrow as pa  # noqa: PLC0415

        if self._rows:
            rows, self._rows = self._rows, []
            try:
                self._tables.append(pa.Table.from_pylist(rows, schema=arrow_schema()))
            except (ValueError, OverflowError) as error:  # pyarrow's own words show the value
                raise AuditRefused("a record has a number that this log never writes") from error

    def _write_group(self) -> None:
        import pyarrow as pa  # noqa: PLC0415

        self._writer.write_table(pa.concat_tables(self._tables), row_group_size=ROWS_OF_A_GROUP)
        self._tables = []


def arrow_schema() -> Any:
    """The columns as pyarrow has them."""
    import pyarrow as pa  # noqa: PLC0415

    types = {
        "timestamp": pa.timestamp("ms", tz="UTC"),
        "string": pa.string(),
        _TEXTS: pa.list_(pa.string()),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
    }
    return pa.schema([pa.field(name, types[kind], nullable=False) for name, kind in COLUMNS.items()])
