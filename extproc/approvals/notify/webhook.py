"""The body of a generic webhook, and its headers by Standard Webhooks (https://www.standardwebhooks.com, version 1)."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from standardwebhooks.webhooks import Webhook

from extproc.approvals.notify.events import Event
from extproc.approvals.notify.telling import Telling, instant
from extproc.core.approval import Approval
from extproc.core.trust import Secret

VERSION: Final = 1
"""Of the body. Fields may be added; what is there keeps its name and meaning, or this rises."""
MAX_CHARACTERS: Final = 1000
"""Of each text in it."""


def webhook_body(telling: Telling) -> bytes:
    """JSON, as `README.md` of `extproc/approvals` documents it."""
    happened, approval = telling.notification, telling.approval
    body: dict[str, Any] = {
        "type": f"approval.{happened.event.value}",
        "version": VERSION,
        "timestamp": instant(happened.at),
        "data": {
            "deployment": telling.deployment,
            "approval": _approval(approval, happened.state),
            "link": telling.link,
        },
    }
    if happened.event is Event.DECIDED:
        body["data"]["decision"] = {
            "at": instant(approval.decided_at),
            "by": _person(approval.decided_by_uid, approval.decided_by_name),
            "reason": _bounded(approval.decision_reason),
        }
    return msgspec.json.encode(body)


def webhook_headers(secret: Secret, notification_id: str, body: bytes, now: float) -> dict[str, str]:
    """`now` is when it is sent: receivers refuse what is older than some minutes, so each attempt is signed anew."""
    signature = Webhook(secret.value).sign(notification_id, datetime.fromtimestamp(now, UTC), body.decode())
    return {
        "content-type": "application/json",
        "webhook-id": notification_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": signature,
    }


def _approval(approval: Approval, state: str) -> dict[str, Any]:
    return {
        "id": approval.approval_id,
        "state": state,
        "exchange_id": approval.exchange_id,
        "requester": _person(approval.requester_uid, approval.requester_name),
        "reason": _bounded(approval.request_reason),
        "rule": {"name": _bounded(approval.rule), "text": _bounded(approval.rule_text)},
        "policy_digest": approval.policy_digest,
        "connection": _bounded(approval.connection),
        "operation": approval.operation,
        "model": _bounded(approval.model),
        "findings": dict(approval.findings),
        "approver_groups": list(approval.approver_groups),
        "escalation_groups": list(approval.escalation_groups),
        "quorum": approval.quorum,
        "each_of": list(approval.each_of),
        "created_at": instant(approval.created_at),
        "expires_at": instant(approval.expires_at),
    }


def _person(uid: str, name: str) -> dict[str, str]:
    return {"uid": _bounded(uid), "name": _bounded(name)}


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
