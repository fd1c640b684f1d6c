"""What a decision obliges is done before the request goes on, and a sign-in that is too weak is told how to be better."""

import json
from dataclasses import replace
from typing import Any

import pytest

from extproc.core import events as ev
from extproc.core.actions import AwaitShipped
from extproc.core.approval import ApprovalState
from extproc.core.exchange import Exchange
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings, Media, Style
from extproc.core.policy import Decision, Effect, Obligations, StepUp
from extproc.core.reasons import REFUSALS, Reason
from extproc.core.record import Direction
from extproc.core.trust import Secret, Unmasked

from .conftest import HOLD, PRINCIPAL, Play, make_snapshot

CARD = "pay 4111 1111 1111 1111 and 5555 5555 5555 4444, mail jane@example.com"
CHAT = {"model": "m", "messages": [{"role": "user", "content": CARD}], "max_tokens": 50, "n": 2}
NOTHING = Obligations()
STRICT = MaskingSettings(
    catalogues=("pci-pii",), request_styles={"pan": Style.NUMBERED}, response_styles={"pan": Style.TRUNCATE}
)


@pytest.fixture
def obliged(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A play in which every request is decided alike."""

    def build(
        obligations: Obligations = NOTHING,
        effect: Effect = Effect.ALLOW,
        step_up: StepUp | None = None,
        strict: MaskingSettings = STRICT,
        text: str = "",
        **changes: Any,
    ) -> Play:
        decision = Decision(
            effect, "rule", text, "sha256:test", HOLD if effect is Effect.HOLD else None,
            obligations=obligations, step_up=step_up,
        )  # fmt: skip
        monkeypatch.setattr("extproc.core.judgement.authorize", lambda policy, given: decision)
        p = Play()
        snapshot = replace(make_snapshot(), scanners={"strict": Scanner(strict)}, **changes)
        p.exchange = Exchange("ex-1", snapshot, started_unix=1_700_000_000.0, started_at=p.at, accepting=True)
        return p

    return build


def intent(p: Play) -> Any:
    return next(record for record in p.records if record.event_code == "inference.request")


def test_an_obliged_limit_is_in_the_request_that_goes_on_and_in_its_record(obliged: Any) -> None:
    p = obliged(Obligations(max_tokens=10))
    p.forwarded(CHAT)
    (forward,) = p.forwards
    assert forward.changed
    sent = json.loads(forward.body)
    assert (sent["max_tokens"], sent["n"]) == (10, 2)
    assert "4111" not in forward.body.decode()
    assert intent(p).detail["clamped"] == "max_tokens"
    assert intent(p).decision.carried_out.max_tokens == 10
    assert p.transcript(Direction.TO_MODEL) == forward.body


def test_a_request_within_the_limit_goes_on_as_it_came(obliged: Any) -> None:
    p = obliged(Obligations(max_tokens=50))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}).encode()
    p.forwarded(body)
    (forward,) = p.forwards
    assert not forward.changed
    assert forward.body == body
    assert "clamped" not in intent(p).detail
    assert intent(p).decision.carried_out is None


def test_a_limit_that_cannot_be_set_is_no_reason_to_go_on(obliged: Any) -> None:
    p = obliged(Obligations(max_tokens=10))
    p.request_headers(path="/v2/models/m/infer")
    p.verified()
    p.body({"inputs": [{"name": "text_input", "shape": [1], "datatype": "BYTES", "data": ["text"]}]})
    assert not p.forwards
    (answer,) = p.answers
    assert answer.status == 403
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["rule"]) == ("obligation_unmet", "rule")
    record = p.records[-1]
    assert record.event_code == "policy.deny"
    assert (record.decision.obligations.max_tokens, record.decision.carried_out) == (10, None)
    assert record.resource.connection == "model"


def test_an_obliged_limit_without_a_body_is_refused(obliged: Any) -> None:
    p = obliged(Obligations(max_tokens=10))
    p.request_headers(path="/v1/images", method="GET", eos=True)
    p.verified()
    assert not p.forwards
    assert p.answers[0].status == 403


@pytest.mark.parametrize("path", ["/v1/embeddings", "/tokenize"])
def test_where_no_model_writes_there_is_nothing_to_limit(obliged: Any, path: str) -> None:
    p = obliged(Obligations(max_tokens=10))
    p.request_headers(path=path)
    p.verified()
    p.body({"model": "m", "input": "text", "prompt": "text"})
    (forward,) = p.forwards
    assert not forward.changed
    assert intent(p).decision.carried_out is None
    p = obliged(Obligations(max_tokens=10))
    p.request_headers(path="/v1/models", method="GET", eos=True)
    p.verified()
    assert p.forwards


def test_an_obliged_profile_masks_both_ways(obliged: Any) -> None:
    p = obliged(Obligations(masking="strict"))
    p.forwarded(CHAT)
    (forward,) = p.forwards
    sent = json.loads(forward.body)["messages"][0]["content"]
    assert sent == "pay [PAN_1] and [PAN_2], mail [EMAIL]"
    assert intent(p).findings_request == {"pan": 2}
    assert intent(p).detail["further_findings"] == "email=1"
    assert intent(p).decision.carried_out.masking == "strict"
    p.response_headers("application/json")
    p.response_body(json.dumps({"choices": [{"message": {"content": CARD}}]}).encode(), eos=True)
    answer = json.loads(p.released)["choices"][0]["message"]["content"]
    assert answer == "pay 411111******1111 and 555555******4444, mail [EMAIL]"
    assert p.records[-1].findings_response == {"pan": 2, "email": 1}


def test_an_obliged_profile_that_denies_media_refuses_them(obliged: Any) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    opaque = MaskingSettings(media=Media.OPAQUE)
    p = obliged(Obligations(masking="strict"), scanner=Scanner(opaque))
    p.forwarded(body)
    assert not p.forwards
    assert p.answers[0].status == 400
    p = obliged(Obligations(), scanner=Scanner(opaque))
    p.forwarded(body)
    assert p.forwards


def test_an_obliged_profile_that_is_not_there_is_refused(obliged: Any) -> None:
    p = obliged(Obligations(masking="lost"))
    p.forwarded(CHAT)
    assert not p.forwards
    assert p.answers[0].status == 503


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions?for=jane@example.com", "/v1/chat/completions?f=jane%40example.com"]
)
def test_what_only_an_obliged_profile_finds_in_a_url_is_refused(obliged: Any, path: str) -> None:
    """Nobody can mask it there."""
    p = obliged(Obligations(masking="strict"))
    p.request_headers(path=path)
    p.verified()
    p.body(CHAT)
    assert not p.forwards
    assert p.answers[0].status == 403
    p = obliged(Obligations())
    p.request_headers(path=path)
    p.verified()
    p.body(CHAT)
    assert p.forwards


def test_what_is_approved_is_what_is_sent(obliged: Any) -> None:
    p = obliged(Obligations(masking="strict", max_tokens=10), Effect.HOLD)
    p.forwarded(CHAT)
    opened = p.approval(ApprovalState.GRANTED)
    p.feed(ev.ApprovalSeen(opened, p.tick()))
    p.feed(ev.GrantClaimed(p.tick()))
    (forward,) = p.forwards
    request = next(action.request for action in p.actions if type(action).__name__ == "OpenApproval")
    assert request.preview == forward.body
    assert intent(p).request_digest == request.request_digest
    as_asked = obliged(Obligations(), Effect.HOLD)
    as_asked.forwarded(CHAT)
    assert as_asked.approval(ApprovalState.GRANTED).request_digest != request.request_digest


def test_a_sealed_original_is_of_what_is_sent(obliged: Any) -> None:
    sealed: list[bytes] = []

    def seal(_place: Any, original: Unmasked) -> bytes:
        sealed.append(original.data)
        return b"sealed"

    p = obliged(Obligations(masking="strict", max_tokens=10), seal=seal)
    p.forwarded(CHAT)
    (original,) = sealed
    said = json.loads(original)
    assert said["max_tokens"] == 10
    assert said["messages"][0]["content"] == "pay 4111 1111 1111 1111 and 5555 5555 5555 4444, mail [EMAIL]"


def test_obliged_retention_is_in_the_intent(obliged: Any) -> None:
    p = obliged(Obligations(retention_days=30))
    p.forwarded(CHAT)
    assert intent(p).detail["retention_days"] == 30


def test_a_weak_sign_in_is_told_how_to_be_stronger(obliged: Any) -> None:
    p = obliged(
        effect=Effect.DENY,
        step_up=StepUp("strong-only", mfa=True, max_age_seconds=3600.0),
        mfa_classes={PRINCIPAL.issuer: ("urn:mfa", "urn:phr")},
        digest_key=Secret("k" * 32),
    )
    p.forwarded(CHAT)
    (answer,) = p.answers
    assert answer.status == 401
    challenge = dict(answer.headers)["www-authenticate"].decode()
    assert challenge.startswith('Bearer realm="extproc", error="insufficient_user_authentication"')
    assert ', max_age=3600, acr_values="urn:mfa urn:phr"' in challenge
    assert 'error_description="a second factor is required"' in challenge
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["rule"]) == ("step_up", "strong-only")
    assert error["message"] == REFUSALS[Reason.STEP_UP].sentence
    record = p.records[-1]
    assert (record.event_code, record.status_detail, record.http_status) == ("auth.fail", "step_up", 401)
    assert record.decision.step_up.rule == "strong-only"


def test_who_gave_a_second_factor_is_told_that_the_sign_in_is_too_old(obliged: Any) -> None:
    p = obliged(effect=Effect.DENY, step_up=StepUp("strong-only", mfa=True, max_age_seconds=3600.0))
    p.request_headers()
    p.verified(replace(PRINCIPAL, mfa=True))
    p.body(CHAT)
    challenge = dict(p.answers[0].headers)["www-authenticate"].decode()
    assert 'error_description="a more recent sign-in is required"' in challenge


def test_who_waits_is_told_what_for_and_where(obliged: Any) -> None:
    p = obliged(effect=Effect.HOLD, text="Bulk work is looked at first.", approvals_url="https://console/a/{id}?x=1")
    p.forwarded(CHAT)
    opened = p.approval(ApprovalState.PENDING, approval_id="apr-ex-1")
    p.feed(ev.ApprovalSeen(opened, p.tick()))
    p.feed(ev.DeadlinePassed(p.tick()))
    (answer,) = p.answers
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["message"]) == (202, "Bulk work is looked at first.")
    assert error["approval_url"] == "https://console/a/apr-ex-1?x=1"


def test_a_sign_in_that_is_too_old_is_told_so_without_classes(obliged: Any) -> None:
    p = obliged(effect=Effect.DENY, step_up=StepUp("fresh", mfa=False, max_age_seconds=60.0))
    p.request_headers(path="/v1/messages")
    p.verified()
    p.body({"model": "m", "max_tokens": 5, "messages": []})
    (answer,) = p.answers
    challenge = dict(answer.headers)["www-authenticate"].decode()
    assert "max_age=60" in challenge
    assert "acr_values" not in challenge
    assert json.loads(answer.body)["type"] == "error"


def test_tools_are_seen_by_name_and_masked(obliged: Any) -> None:
    p = obliged()
    tools = [
        {"type": "function", "function": {"name": "pay"}},
        {"name": "look_4111111111111111"},
        {"type": "web_search"},
    ]
    p.forwarded({**CHAT, "tools": tools, "functions": [{"name": "old"}]})
    facts = intent(p).decision.facts
    assert facts.tool_names == ("pay", "look_[PAN]", "web_search", "old")
    assert facts.tools == 4


@pytest.mark.parametrize("tools", [[{"name": f"t{n}"} for n in range(1025)], [{"name": "t" * 257}], [{"name": 5}]])
def test_tools_that_no_rule_could_see_are_refused(obliged: Any, tools: Any) -> None:
    p = obliged()
    p.forwarded({**CHAT, "tools": tools})
    assert not p.forwards
    assert p.answers[0].status in {400, 413}


def shipping(obliged: Any) -> Play:
    p = obliged(Obligations(durability="store"))
    p.forwarded(CHAT)
    return p


def test_durable_in_the_store_before_it_goes_on(obliged: Any) -> None:
    p = shipping(obliged)
    assert not p.forwards
    assert [action for action in p.actions if isinstance(action, AwaitShipped)] == [AwaitShipped()]
    p.feed(ev.Shipped(p.tick()))
    assert p.forwards
    p.response_headers("application/json")
    p.response_body(b"{}", eos=True)
    assert p.records[-1].decision.carried_out.durability == "store"
    assert intent(p).decision.carried_out is None


def test_a_store_that_does_not_answer_in_time_is_a_refusal(obliged: Any) -> None:
    p = shipping(obliged)
    p.feed(ev.DeadlinePassed(p.tick()))
    assert not p.forwards
    assert p.answers[0].status == 503
    record = p.records[-1]
    assert (record.event_code, record.status_detail) == ("inference.end", "audit_unavailable")
    p.feed(ev.Shipped(p.tick()))
    assert not p.forwards
    assert not p.aborted


def test_a_client_that_leaves_meanwhile_is_ended_in_the_log(obliged: Any) -> None:
    p = shipping(obliged)
    p.feed(ev.Disconnected(p.tick()))
    assert not p.forwards
    assert (p.records[-1].event_code, p.records[-1].status) == ("inference.end", "abandoned")
