"""What a decision looked at is in the records that come after it, whatever it was."""

from typing import Any

import pytest

from extproc.core import events as ev
from extproc.core.approval import ApprovalState
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.reasons import Reason
from extproc.core.record import EventCode

PAN = "4111 1111 1111 1111"
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": f"pay {PAN}"}], "max_tokens": 7}
PERSON = Principal(
    issuer="https://issuer",
    subject="ann",
    name="Ann",
    groups=("analysts",),
    tenant="acme",
    context_class=f"urn:acr:{PAN}",
    authenticated_at=1_699_999_000,
)


@pytest.mark.parametrize(
    ("path", "more", "codes"),
    [
        ("/v1/chat/completions", {}, {EventCode.INFERENCE_REQUEST}),
        (
            "/v1/chat/completions",
            {"max_tokens": 4000},
            {EventCode.APPROVAL_OPEN, EventCode.APPROVAL_WITHDRAW, EventCode.REQUEST_REFUSE},
        ),
        ("/v1/load_lora_adapter", {"lora_name": "m"}, {EventCode.POLICY_DENY}),
    ],
    ids=["allowed", "held", "denied"],
)
def test_every_record_after_a_decision_says_what_it_looked_at(
    play: Any, path: str, more: dict[str, Any], codes: set[EventCode]
) -> None:
    p = play()
    p.request_headers(path)
    p.verified(PERSON)
    p.body({**CHAT, **more})
    if EventCode.APPROVAL_OPEN in codes:
        p.feed(ev.DeadlinePassed(p.tick()))
        p.feed(ev.ApprovalSeen(p.approval(ApprovalState.PENDING), p.tick()))
    assert {record.event_code for record in p.records} == codes
    for record in p.records:
        assert record.decision is not None
        assert record.decision.facts.max_tokens == {**CHAT, **more}["max_tokens"]
        assert (record.decision.facts.messages, record.decision.facts.choices) == (1, 1)
        assert record.decision.time_ms <= record.time_ms
        assert record.findings_request == {"pan": 1}
        assert (record.actor.tenant, record.actor.authenticated_at) == ("acme", 1_699_999_000)
        assert "4111" not in record.actor.context_class


def test_what_goes_to_the_access_log_names_the_policy_and_the_rule(play: Any) -> None:
    p = play()
    assert p.exchange.labels["policy"] == "sha256:test"
    p.forwarded(CHAT)
    assert (p.exchange.labels["policy"], p.exchange.labels["rule"]) == ("sha256:test", "allow-chat")


def test_a_refusal_before_the_decision_has_none(play: Any) -> None:
    p = play()
    p.request_headers()
    p.verified()
    p.body(b"{")
    assert [record.event_code for record in p.records] == [EventCode.REQUEST_REFUSE]
    assert p.records[0].decision is None


def test_the_client_certificate_is_recorded_before_anybody_is_known(play: Any) -> None:
    p = play()
    headers = Headers(((":method", b"POST"), (":path", b"/v1/chat/completions")))
    attributes = ev.Attributes(
        source_address="192.0.2.1:1", tls_subject=f"CN=batch,O={PAN}", tls_uri="spiffe://acme/batch"
    )
    p.feed(ev.RequestHeaders(headers, False, attributes, p.tick()))
    p.feed(ev.TokenRejected(Reason.TOKEN_MISSING, p.tick()))
    assert p.records[0].event_code is EventCode.AUTH_FAIL
    assert p.records[0].actor.spiffe_id == "spiffe://acme/batch"
    assert p.records[0].actor.certificate_subject.startswith("CN=batch")
    assert "4111" not in p.records[0].actor.certificate_subject


def test_tools_are_recorded_by_name_without_card_data(play: Any) -> None:
    p = play()
    names = ("search", f"pay {PAN}")
    p.forwarded({**CHAT, "tools": [{"type": "function", "function": {"name": name}} for name in names]})
    facts = p.records[-1].decision.facts
    assert (facts.tools, facts.tool_names[0], len(facts.tool_names)) == (2, "search", 2)
    assert "4111" not in facts.tool_names[1]
