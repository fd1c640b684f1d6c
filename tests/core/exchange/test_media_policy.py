"""What the policy says of images, sound and files, from the document to the record."""

import json
from dataclasses import replace
from typing import Any

import pytest

from extproc.core.exchange import Exchange
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Media
from extproc.core.policy_document import PolicyInvalid, parse_policy
from extproc.core.reasons import Reason
from extproc.core.record import EventCode
from extproc.core.schema import load_schema

DOCUMENT = """apiVersion: extproc/v1
kind: Policy
name: p
masking: {masking}
rules:
  - {{name: all, effect: allow, match: {{operations: [chat]}}}}
"""
IMAGE = "data:image/png;base64," + "iVBORw0KGgo4111111111111111AAAA" * 4
CHAT = {
    "model": "m",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "pay 4111 1111 1111 1111"},
                {"type": "image_url", "image_url": {"url": IMAGE}},
            ],
        }
    ],
}


def under(play: Any, media: Media) -> Any:
    """A play whose policy says `media`."""
    p = play()
    snapshot = p.exchange._snapshot
    masking = replace(snapshot.policy.masking, media=media)
    snapshot = replace(snapshot, policy=replace(snapshot.policy, masking=masking), scanner=Scanner(masking))
    p.exchange = Exchange("ex-1", snapshot, started_unix=1_700_000_000.0, started_at=p.at, accepting=True)
    return p


@pytest.mark.parametrize(("text", "media"), [("{}", Media.DENY), ("{media: deny}", Media.DENY), ("{media: opaque}", Media.OPAQUE)])  # fmt: skip
def test_the_document_says_what_becomes_of_media(text: str, media: Media) -> None:
    assert parse_policy(DOCUMENT.format(masking=text).encode()).masking.media is media


def test_nothing_else_is_accepted() -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(DOCUMENT.format(masking="{media: allow}").encode())
    schema = load_schema("policy")["properties"]["masking"]["properties"]["media"]
    assert schema["enum"] == [each.value for each in Media]


def test_media_are_refused_by_default(play: Any) -> None:
    p = play()
    p.forwarded(CHAT)
    assert p.forwards == []
    (record,) = p.records
    assert (record.event_code, record.status_detail) == (EventCode.REQUEST_REFUSE, Reason.BODY_NOT_INSPECTABLE)
    assert record.not_inspected == {}


def test_what_was_not_inspected_is_in_both_records(play: Any) -> None:
    p = under(play, Media.OPAQUE)
    p.forwarded(CHAT)
    (forward,) = p.forwards
    assert json.loads(forward.body)["messages"][0]["content"] == [
        {"type": "text", "text": "pay [PAN]"},
        CHAT["messages"][0]["content"][1],
    ]
    p.response_headers("application/json")
    p.response_body(b"{}", eos=True)
    assert [record.event_code for record in p.records] == [EventCode.INFERENCE_REQUEST, EventCode.INFERENCE_END]
    assert [record.not_inspected for record in p.records] == [{"image": 1}] * 2
    assert [record.findings_request for record in p.records] == [{"pan": 1}] * 2


def test_a_request_of_texts_alone_says_nothing_of_media(play: Any) -> None:
    p = under(play, Media.OPAQUE)
    p.forwarded({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    assert p.records[0].not_inspected == {}
