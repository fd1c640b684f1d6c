"""The tables of the session index, and the way between a row and `Facts`.

Nothing here is evidence, and all of it can be made anew by `extproc audit reindex --rebuild`. Times are Unix
milliseconds. `shape_id`, `person_id` and `epoch_id` are `number_of` what they stand for; `shape_id` is 0 where only
others spoke of an exchange so far, which nobody is shown.
"""

import json
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, RowMapping, String, Table, Text

from extproc.approvals.index.facts import MAX_TEXT, NOWHERE, Facts, Place, Told, Word, clean, number_of
from extproc.approvals.index.query import SessionRow
from extproc.approvals.index.shape import shape_of
from extproc.approvals.tables import METADATA


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _milliseconds(name: str) -> Column[float]:
    return Column(name, Double, nullable=False)


EXCHANGES = Table(
    "exchange_index",
    METADATA,
    Column("exchange_id", String(200), primary_key=True),
    _number("shape_id"),
    _number("person_id"),
    _number("started_ms"),
    _number("first_ms"),
    _number("ended_ms"),
    _number("epoch_id"),
    _number("segment"),
    _text("event_code"),
    _text("person_uid"),
    _text("person_name"),
    _text("person_kind"),
    _text("tenant"),
    _text("connection"),
    _text("operation"),
    _text("model"),
    _text("effect"),
    _text("rule"),
    _text("verdict"),
    _text("outcome"),
    Column("http_status", Integer, nullable=False),
    _text("reason"),
    _text("findings_request"),
    _text("findings_response"),
    _number("input_tokens"),
    _number("output_tokens"),
    _number("request_bytes"),
    _number("response_bytes"),
    _milliseconds("duration_ms"),
    _milliseconds("hold_ms"),
    _milliseconds("decision_ms"),
    _milliseconds("first_byte_ms"),
    Column("approval_id", String(200), nullable=False),
    _text("approval_state"),
    _text("policy_digest"),
    Column("has_transcript", Integer, nullable=False),
    _number("shredded_ms"),
    _text("places"),
    Index("exchange_index_by_time", "started_ms", "exchange_id"),
    Index("exchange_index_by_shape", "shape_id", "started_ms", "exchange_id"),
    Index("exchange_index_by_person", "person_id", "shape_id", "started_ms", "exchange_id"),
    Index("exchange_index_by_approval", "approval_id"),
)
"""`findings_…` are JSON. `places` is JSON as well: from which records the facts are, for the next one that comes."""

SHAPES = Table(
    "exchange_index_shapes",
    METADATA,
    Column("shape_id", BigInteger, primary_key=True, autoincrement=False),
    _text("tenant"),
    _text("connection"),
    _text("operation"),
    _text("model"),
    _text("effect"),
    _text("verdict"),
    _text("rule"),
    Column("held", Integer, nullable=False),
    _number("exchanges"),
    _number("newest_ms"),
)
"""What exchanges have in common but for person and time: a few hundred rows for millions of exchanges, so that a filter
is looked up here, and each shape that has what is asked is read from its newest exchange on."""

KINDS = Table(
    "exchange_index_kinds",
    METADATA,
    Column("shape_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(100), primary_key=True),
)
"""The kinds of findings of a shape, `request:pan`."""

PAIRS = Table(
    "exchange_index_pairs",
    METADATA,
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    Column("shape_id", BigInteger, primary_key=True, autoincrement=False),
    _number("exchanges"),
    _number("newest_ms"),
)
"""Which shapes a person's exchanges have."""

PEOPLE = Table(
    "exchange_index_people",
    METADATA,
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    _text("uid"),
    _text("name"),
    _text("folded"),
    _number("named_ms"),
    _number("exchanges"),
)
"""Who asked, by the newest name. `folded` holds both, casefolded, for who types a part of one."""

EPOCHS = Table(
    "exchange_index_epochs",
    METADATA,
    Column("epoch_id", BigInteger, primary_key=True, autoincrement=False),
    _text("origin"),
    _number("next_segment"),
    _number("sealed_ms"),
)
"""How far each writer's epoch is taken over."""

PROBLEMS = Table(
    "exchange_index_problems",
    METADATA,
    Column("epoch_id", BigInteger, primary_key=True, autoincrement=False),
    Column("segment", BigInteger, primary_key=True, autoincrement=False),
    _text("what"),
    _number("noted_ms"),
)
"""Segments that were passed over."""

STATE = Table(
    "exchange_index_state",
    METADATA,
    Column("state_id", Integer, primary_key=True, autoincrement=False),
    _number("writes"),
    _number("looked_ms"),
    _number("behind"),
)
"""One row. Who writes the index locks it first, so that one does at a time."""


def fold(uid: str, name: str) -> str:
    """As in `PEOPLE.folded`."""
    return clean(f"{name}\n{uid}".casefold(), 3 * MAX_TEXT)


ALL = (PEOPLE, PAIRS, SHAPES, KINDS, EXCHANGES, EPOCHS, PROBLEMS, STATE)
"""In the order in which a page reads them, so that who locks them all does not lock crosswise with it."""

_WORDS = ("model", "effect", "rule", "policy", "approval")
_TOLD = tuple(name for name in Told._fields if name not in ("place", "findings_request", "findings_response"))


def write_facts(facts: Facts) -> dict[str, Any]:
    """The row of an exchange, by column name."""
    told = facts.told
    places = [told.place, *(getattr(facts, name).place for name in _WORDS)]
    return {
        **{name: getattr(told, name) for name in _TOLD},
        "exchange_id": facts.exchange_id,
        "shape_id": shape_of(facts).number if facts.listed else 0,
        "person_id": number_of(told.person_uid) if facts.listed else 0,
        "started_ms": facts.started_ms,
        "first_ms": facts.first_ms,
        "ended_ms": facts.ended_ms,
        "epoch_id": told.place.epoch,
        "model": facts.model.text,
        "effect": facts.effect.text,
        "rule": facts.rule.text,
        "verdict": facts.verdict.value,
        "findings_request": json.dumps(told.findings_request, ensure_ascii=False, separators=(",", ":")),
        "findings_response": json.dumps(told.findings_response, ensure_ascii=False, separators=(",", ":")),
        "approval_id": facts.approval.text,
        "approval_state": facts.approval.more,
        "policy_digest": facts.policy.text,
        "has_transcript": int(facts.has_transcript),
        "shredded_ms": facts.shredded_ms,
        "places": json.dumps(places, separators=(",", ":")),
    }


def read_facts(row: RowMapping) -> Facts:
    """Raises `ValueError` or `TypeError` for what was never written."""
    told_place, *places = (Place(*place) for place in json.loads(row["places"]))
    words = dict(zip(_WORDS, places, strict=True))

    def word(name: str, text: str, more: str = "") -> Word:
        return Word(words[name], text, more) if words[name] != NOWHERE else Word(NOWHERE, "")

    told = {name: row[name] for name in _TOLD}
    return Facts(
        exchange_id=row["exchange_id"],
        told=Told(
            place=told_place,
            findings_request=_findings(row["findings_request"]),
            findings_response=_findings(row["findings_response"]),
            **told,
        ),
        first_ms=row["first_ms"],
        listed=row["shape_id"] != 0,
        model=word("model", row["model"]),
        effect=word("effect", row["effect"]),
        rule=word("rule", row["rule"]),
        policy=word("policy", row["policy_digest"]),
        approval=word("approval", row["approval_id"], row["approval_state"]),
        has_transcript=bool(row["has_transcript"]),
        shredded_ms=row["shredded_ms"],
    )


_SAME = tuple(
    name
    for name in SessionRow.__slots__
    if name not in ("findings_request", "findings_response", "origin", "seq", "has_transcript")
)


def session_row(row: RowMapping) -> SessionRow:
    """Of a row of `EXCHANGES` with its epoch's `origin`. Raises `ValueError` or `TypeError`, likewise."""
    return SessionRow(
        **{name: row[name] for name in _SAME},
        findings_request=_findings(row["findings_request"]),
        findings_response=_findings(row["findings_response"]),
        origin=row["origin"] or "",
        seq=Place(*json.loads(row["places"])[0]).seq,
        has_transcript=bool(row["has_transcript"]),
    )


def _findings(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((str(kind), int(count)) for kind, count in json.loads(text))
