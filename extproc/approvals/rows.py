"""The way between an `Approval` with its votes and their rows."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import RowMapping

from extproc.approvals.tables import APPROVALS
from extproc.core.approval import Approval, ApprovalState, Channel, Vote

_FIELDS = frozenset(field.name for field in fields(Approval))
SHOWN = [column for column in APPROVALS.c if column.name in _FIELDS]
"""What an `Approval` has of it. The preview is read only when somebody looks at it."""
_CHANGING = (
    *("decided_at", "decided_by_uid", "decided_by_name", "decision_reason"),
    *("uses", "granted_until", "reviewed_by_uid", "reviewed_at", "revision"),
)


def _texts(written: str) -> tuple[str, ...]:
    return tuple(str(item) for item in json.loads(written))


def _counts(written: str) -> tuple[tuple[str, int], ...]:
    return tuple((str(name), int(count)) for name, count in json.loads(written))


_JSON: Mapping[str, Callable[[str], tuple[Any, ...]]] = {
    "findings": _counts,
    "limits": _counts,
    "approver_groups": _texts,
    "requester_aliases": _texts,
    "requester_groups": _texts,
    "each_of": _texts,
    "escalation_groups": _texts,
}


def write_row(approval: Approval, sealed_preview: bytes) -> dict[str, Any]:
    """The row of an approval, by column name."""
    row = {column.name: getattr(approval, column.name) for column in SHOWN}
    texts = {name: json.dumps(row[name]) for name in _JSON}
    return row | texts | {"state": approval.state.value, "sealed_preview": sealed_preview}


def write_changes(approval: Approval) -> dict[str, Any]:
    """What of its row can be another than when it was opened."""
    return {name: getattr(approval, name) for name in _CHANGING} | {"state": approval.state.value}


def read_row(row: RowMapping, votes: tuple[Vote, ...]) -> Approval:
    """The approval in a row of the `SHOWN` columns. Raises `ValueError` or `TypeError` for what was never written."""
    values = {column.name: row[column.name] for column in SHOWN}
    tuples = {name: read(values[name]) for name, read in _JSON.items()}
    return Approval(**values | tuples | {"state": ApprovalState(values["state"]), "votes": votes})


def write_vote(approval_id: str, vote: Vote, revision: int) -> dict[str, Any]:
    """The row of a vote, by column name."""
    return {
        "approval_id": approval_id,
        "voter_uid": vote.uid,
        "voter_name": vote.name,
        "voter_groups": json.dumps(vote.groups),
        "voter_aliases": json.dumps(vote.aliases),
        "granted": vote.grant,
        "reason": vote.reason,
        "voted_at": vote.at,
        "seen": vote.seen,
        "channel": vote.channel.value,
        "revision": revision,
    }


def read_vote(row: RowMapping) -> Vote:
    """The vote in a row. Raises `ValueError` or `TypeError` for what was never written."""
    return Vote(
        uid=row["voter_uid"],
        name=row["voter_name"],
        groups=_texts(row["voter_groups"]),
        grant=row["granted"],
        reason=row["reason"],
        at=row["voted_at"],
        seen=row["seen"],
        channel=Channel(row["channel"]),
        aliases=_texts(row["voter_aliases"]),
    )
