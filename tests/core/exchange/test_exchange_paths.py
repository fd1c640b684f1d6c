"""The legal paths of an exchange, written as playbooks."""

import json
from typing import Any

import pytest

from extproc.core import events as ev
from extproc.core.actions import AwaitBody, OpenApproval, ReleaseHeaders, ReleaseTrailers, VerifyToken, WithdrawApproval
from extproc.core.approval import ApprovalState
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.reasons import REFUSALS, Reason
from extproc.core.record import Direction, EventCode, Outcome

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
BULK = {**CHAT, "max_tokens": 4000}
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}'


def error_of(answer: Any) -> dict[str, Any]:
    return json.loads(answer.body)["error"]


def test_a_request_goes_through(play: Any) -> None:
    p = play()
    assert [type(a) for a in p.request_headers()] == [VerifyToken]
    assert [type(a) for a in p.verified()] == [AwaitBody]
    p.body(CHAT)
    assert len(p.forwards) == 1
    assert p.forwards[0].body == json.dumps(CHAT).encode()
    assert not p.forwards[0].changed
    p.response_headers("application/json")
    p.response_body(ANSWER, eos=True)
    assert p.released == ANSWER
    assert p.ended_cleanly
    assert [r.event_code for r in p.records] == [EventCode.INFERENCE_REQUEST, EventCode.INFERENCE_END]
    end = p.records[-1]
    assert (end.status, end.http_status, end.policy.rule) == (Outcome.COMPLETED, 200, "allow-chat")
    assert (end.measures.input_tokens, end.measures.output_tokens) == (3, 1)
    assert end.measures.response_bytes == len(ANSWER)


def test_headers_are_withheld_until_the_first_safe_bytes(play: Any) -> None:
    p = play()
    p.forwarded(CHAT)
    assert p.response_headers() == []
    assert p.response_body(b'data: {"choi') == []
    assert p.of(ReleaseHeaders) == []
    p.response_body(b'ces":[{"index":0,"delta":{"content":"hello "}}]}\n\n')
    assert len(p.of(ReleaseHeaders)) == 1


def test_the_callers_token_goes_no_further_and_ours_does(play: Any) -> None:
    p = play()
    p.request_headers(cookie="c=1", accept_encoding="gzip", x_auth_user="root", x_extproc_approval="", baggage="a=b")
    p.verified()
    p.body(CHAT)
    mutation = p.forwards[0].mutation
    assert {"authorization", "cookie", "accept-encoding", "x-auth-user", "baggage"} <= set(mutation.remove)
    assert dict(mutation.set)["authorization"] == b"Bearer model-key"
    assert "model-key" not in repr(p.forwards[0])


@pytest.mark.parametrize(("path", "reason"), [
    ("/v1/../admin", Reason.PATH_INVALID),
    ("/v1/chat%2fcompletions", Reason.PATH_INVALID),
    ("/v1/models?card=4111111111111111", Reason.URL_CARD_DATA),
    ("/v1/models?card=%34111111111111111", Reason.URL_CARD_DATA),
])  # fmt: skip
def test_a_bad_url_is_refused(play: Any, path: str, reason: Reason) -> None:
    p = play()
    p.request_headers(path)
    assert error_of(p.answers[0])["code"] == reason.value
    assert p.answers[0].status == REFUSALS[reason].status
    assert p.ended_cleanly
    assert p.forwards == []


def test_a_full_audit_log_refuses_new_exchanges_and_says_so(play: Any) -> None:
    p = play(accepting=False)
    p.request_headers()
    assert (p.answers[0].status, error_of(p.answers[0])["code"]) == (503, Reason.AUDIT_UNAVAILABLE.value)
    assert p.records[0].status_detail == Reason.AUDIT_UNAVAILABLE.value
    assert p.of(VerifyToken) == []


def test_a_missing_token_is_401_with_a_challenge(play: Any) -> None:
    p = play()
    p.request_headers(authorization="")
    assert p.answers[0].status == 401
    assert dict(p.answers[0].headers)["www-authenticate"].startswith(b"Bearer")
    assert p.records[0].event_code is EventCode.AUTH_FAIL
    assert p.records[0].actor.uid == "anonymous"


def test_a_denied_operation_shows_the_rules_text(play: Any) -> None:
    p = play()
    p.request_headers("/v1/load_lora_adapter")
    p.verified()
    p.body({"lora_name": "x"})
    error = error_of(p.answers[0])
    assert (p.answers[0].status, error["message"], error["exchange_id"]) == (403, "No model changes.", "ex-1")
    assert p.forwards == []
    assert p.records[-1].event_code is EventCode.POLICY_DENY


def test_default_deny_without_a_matching_rule(play: Any) -> None:
    p = play()
    p.request_headers()
    p.verified(Principal(issuer="https://issuer", subject="guest", name="", groups=("guests",)))
    p.body(CHAT)
    assert p.answers[0].status == 403
    assert p.records[-1].policy.rule == "default-deny"


def test_a_hold_is_granted_and_used_once(play: Any, kinds: Any) -> None:
    p = play()
    p.request_headers()
    p.verified()
    p.body(BULK)
    assert len(p.of(kinds["OpenApproval"])) == 1
    assert p.forwards == []
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.PENDING), p.tick()))
    assert p.forwards == []
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick()))
    assert len(p.of(kinds["ClaimGrant"])) == 1
    assert p.forwards == []
    p.feed(ev.GrantClaimed(p.tick()))
    assert len(p.forwards) == 1
    codes = [r.event_code for r in p.records]
    assert codes == [EventCode.APPROVAL_OPEN, EventCode.APPROVAL_USE, EventCode.INFERENCE_REQUEST]
    assert p.records[-1].approval.decided_by == "https://issuer|approver"


@pytest.mark.parametrize(
    "state", [ApprovalState.REFUSED, ApprovalState.EXPIRED, ApprovalState.WITHDRAWN, ApprovalState.USED]
)
def test_a_hold_that_ends_otherwise_is_403(play: Any, state: ApprovalState) -> None:
    p = play()
    p.forwarded(BULK)
    p.feed(ev.ApprovalSeen(p.approval(state), p.tick()))
    assert p.answers[0].status == 403
    assert p.forwards == []


@pytest.mark.parametrize("change", [
    {"request_digest": "other"}, {"requester_uid": "x|other"}, {"rule": "other"}, {"policy_digest": "other"},
])  # fmt: skip
def test_a_grant_for_something_else_is_no_grant(play: Any, change: dict[str, str]) -> None:
    p = play()
    p.forwarded(BULK)
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED, **change), p.tick()))
    assert error_of(p.answers[0])["code"] == Reason.APPROVAL_MISMATCH.value
    assert p.forwards == []


@pytest.mark.parametrize("ending", [ev.DeadlinePassed, ev.Drained])
def test_no_ticket_for_an_approval_that_was_never_opened(play: Any, ending: Any) -> None:
    """The store has not said that the approval is there: 503, and what may still come to be is withdrawn."""
    p = play()
    p.forwarded(BULK)
    p.feed(ending(p.tick()))
    assert p.answers[0].status == 503
    assert error_of(p.answers[0])["code"] == Reason.APPROVALS_UNAVAILABLE.value
    assert p.of(WithdrawApproval) == []
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.PENDING), p.tick()))
    assert len(p.of(WithdrawApproval)) == 1


@pytest.mark.parametrize("ending", [ev.Disconnected, ev.Drained])
def test_a_grant_that_was_used_for_an_exchange_that_had_ended_is_recorded(play: Any, ending: Any) -> None:
    """The claim was under way when the client left: nothing is forwarded, and the log says that the grant is gone."""
    p = play()
    p.forwarded(BULK)
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick()))
    p.feed(ending(p.tick()))
    before = len(p.records)
    p.feed(ev.GrantClaimed(p.tick()))
    (used,) = p.records[before:]
    assert (used.event_code, used.status) == (EventCode.APPROVAL_USE, Outcome.ABANDONED)
    assert used.approval is not None
    assert p.forwards == []


@pytest.mark.parametrize("ended", [False, True], ids=["responding", "closing"])
def test_a_grant_that_was_used_while_the_proxy_answered_itself_is_recorded(play: Any, ended: bool) -> None:
    """A timeout of the proxy, say, while the claim was under way; the answer leaves all the same."""
    p = play()
    p.forwarded(BULK)
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick()))
    p.auto_sync = not ended
    p.response_headers("text/plain", 504)
    if ended:
        p.response_body(b"timeout", eos=True)
    p.feed(ev.GrantClaimed(p.tick()))
    (used,) = [record for record in p.records if record.event_code is EventCode.APPROVAL_USE]
    assert (used.status, used.approval.state) == (Outcome.ABANDONED, "granted")
    if not ended:
        p.response_body(b"timeout", eos=True)
    p.sync()
    assert p.released == b"timeout"
    assert p.ended_cleanly
    assert p.forwards == []


def test_a_grant_that_could_not_be_recorded_is_kept(play: Any) -> None:
    """Not claimed: 503 with the ticket to come back with."""
    p = play()
    p.forwarded(BULK)
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick()))
    p.feed(ev.StoreFailed(p.tick()))
    headers = dict(p.answers[0].headers)
    assert p.answers[0].status == 503
    assert headers["x-extproc-approval"] == p.approval(ApprovalState.GRANTED).approval_id.encode()
    assert p.forwards == []
    assert p.of(WithdrawApproval) == []


def test_what_the_proxy_answers_for_the_model_is_recorded_as_its_own(play: Any) -> None:
    """After the request went on, too: the model server broke off, or was not there."""
    p = play()
    p.forwarded(CHAT)
    headers = Headers(((":status", b"503"), ("content-type", b"application/json")))
    details = "upstream_reset_before_response_started{connection_failure}"
    p.feed(ev.ResponseHeaders(headers, False, ev.Attributes(response_details=details), p.tick()))
    p.response_body(b'{"error":{}}', eos=True)
    end = p.records[-1]
    assert (end.event_code, end.status_detail) == (EventCode.PROXY_REPLY, "proxy_local_reply")
    p = play()
    p.forwarded(CHAT)
    p.feed(ev.ResponseHeaders(headers, False, ev.Attributes(response_details="via_upstream"), p.tick()))
    p.response_body(b'{"error":{}}', eos=True)
    assert (p.records[-1].event_code, p.records[-1].status_detail) == (EventCode.INFERENCE_END, "")


@pytest.mark.parametrize("name", ["x_http_method_override", "x_original_url", "x_rewrite_url"])
def test_what_would_override_the_method_or_the_path_does_not_go_on(play: Any, name: str) -> None:
    """Some servers take it for what is asked: another request than the one that was judged."""
    p = play()
    p.request_headers(**{name: "/v1/load_lora_adapter"})
    p.verified()
    p.body(CHAT)
    (forward,) = p.forwards
    assert name.replace("_", "-") in forward.mutation.remove


@pytest.mark.parametrize("name", ["cvv", "x_cvv", "x_security_code", "x_card_number", "x_credit_card"])
def test_a_header_whose_name_announces_card_data_is_masked(play: Any, name: str) -> None:
    """As a key in JSON or a field in a URL is."""
    value = "1234567890123" if "card" in name else "737"
    p = play()
    p.request_headers(**{name: value})
    p.verified()
    p.body(CHAT)
    sent = dict(p.forwards[0].mutation.set)
    assert sent[name.replace("_", "-")] in (b"[PAN]", b"[CVV]")
    p.response_headers(**{name: value})
    p.response_body(b"data: [DONE]\n\n", eos=True)
    (released,) = [action for action in p.actions if isinstance(action, ReleaseHeaders)]
    assert dict(released.mutation.set)[name.replace("_", "-")] in (b"[PAN]", b"[CVV]")


@pytest.mark.parametrize(("left", "code"), [(0.5, Reason.APPROVAL_EXPIRED), (30.0, Reason.APPROVAL_PENDING)])
def test_no_ticket_for_an_approval_that_ends_with_the_wait(play: Any, left: float, code: Reason) -> None:
    p = play()
    p.forwarded(BULK)
    at = p.tick()
    opened = p.approval(ApprovalState.PENDING)
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.PENDING, expires_at=opened.created_at + left), at))
    p.feed(ev.DeadlinePassed(at))
    assert error_of(p.answers[0])["code"] == code.value


TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"


def test_the_callers_token_leaves_under_no_name(play: Any) -> None:
    p = play()
    p.request_headers(
        authorization=f"Bearer {TOKEN}",
        x_forwarded_access_token="something else",
        x_my_own=f"prefix {TOKEN}",
        x_signature=TOKEN.rpartition(".")[2],
        x_harmless="c2lnbmF0dXJl",
    )
    p.verified()
    p.body(CHAT)
    removed = set(p.forwards[0].mutation.remove)
    assert {"authorization", "x-forwarded-access-token", "x-my-own", "x-signature"} <= removed
    assert "x-harmless" not in removed


@pytest.mark.parametrize(
    "query",
    [
        "q=4111+1111+1111+1111",
        "q=%2534111111111111111",
        "q=%25253%34111111111111111",
        "card[cvv]=737",
        "cvc=123",
        "cvv%5B%5D=737",
        "card[pin]=1234",
    ],
)
def test_card_data_in_a_url_is_refused_however_it_is_written(play: Any, query: str) -> None:
    p = play()
    p.request_headers(f"/v1/models?{query}", "GET", eos=True)
    assert error_of(p.answers[0])["code"] == Reason.URL_CARD_DATA.value


def test_an_ordinary_query_goes_on(play: Any) -> None:
    p = play()
    p.request_headers("/v1/models?limit=20&after=org%2Fm-7b+2026", "GET", eos=True)
    assert len(p.of(VerifyToken)) == 1


@pytest.mark.parametrize("name", ["x_envoy_foo", "host"])
def test_a_header_that_nobody_may_change_ends_the_exchange(play: Any, name: str) -> None:
    pan = "4111111111111111"
    p = play()
    p.request_headers(**{name: pan})
    assert error_of(p.answers[0])["code"] == Reason.HEADERS_INVALID.value
    p = play()
    p.forwarded(CHAT)
    p.response_headers(**{name: pan})
    assert error_of(p.answers[0])["code"] == Reason.RESPONSE_MALFORMED.value


def test_headers_are_masked_as_their_reader_reads_them(play: Any) -> None:
    wide = "".join(chr(0xFF10 + int(digit)) for digit in "4111111111111111")
    p = play()
    p.request_headers(x_note=wide, x_forwarded_proto="4111111111111111")
    p.verified()
    p.body(CHAT)
    assert {("x-note", b"[PAN]"), ("x-forwarded-proto", b"[PAN]")} <= set(p.forwards[0].mutation.set)


@pytest.mark.parametrize(
    "ids",
    [
        "00000000000000004111111111111111-00f067aa0ba902b7",
        "4bf92f3577b34da6a3ce929d0e0e4736-4111111111111111",
        "aaaaaaaa4111111111111111aaaaaaaa-00f067aa0ba902b7",
    ],
)
def test_a_trace_context_that_could_be_a_number_is_not_passed_on(play: Any, ids: str) -> None:
    p = play()
    p.request_headers(traceparent=f"00-{ids}-01")
    p.verified()
    p.body(CHAT)
    assert "traceparent" in p.forwards[0].mutation.remove


@pytest.mark.parametrize("claim", ["subject", "tenant", "groups", "spiffe_id"])
def test_card_data_in_a_claim_that_identifies_is_refused(play: Any, claim: str) -> None:
    value: Any = ("analysts", "4111 1111 1111 1111") if claim == "groups" else "4111 1111 1111 1111"
    p = play()
    p.request_headers()
    p.verified(Principal(**{"issuer": "i", "subject": "s", "name": "n", "groups": ("analysts",), claim: value}))
    assert error_of(p.answers[0])["code"] == Reason.TOKEN_CARD_DATA.value
    assert "4111" not in repr(p.records)


def test_card_data_in_a_claim_that_describes_is_masked_in_the_record(play: Any) -> None:
    code = "cvv 737"
    p = play()
    p.request_headers()
    p.verified(
        Principal(
            issuer="i",
            subject="s",
            name=f"{code} 4111111111111111",
            groups=("analysts",),
            token_id=code,
            client=code,
            methods=(code,),
        )
    )
    p.body(BULK)
    assert p.records
    assert "737" not in repr(p.records)
    assert "4111" not in repr(p.records)
    assert "737" not in repr(p.of(OpenApproval)[0].request.requester_name)


def test_an_answer_of_1xx_is_refused(play: Any) -> None:
    p = play()
    p.forwarded(CHAT)
    p.response_headers(status=101, eos=True)
    assert error_of(p.answers[0])["code"] == Reason.RESPONSE_MALFORMED.value


@pytest.mark.parametrize("path", ["/v2/models/secret-1/generate", "/v1/models/secret-1:predict"])
def test_a_path_and_a_body_that_name_two_models_are_refused(play: Any, path: str) -> None:
    p = play()
    p.request_headers(path)
    p.verified()
    p.body({"model": "public"})
    assert error_of(p.answers[0])["code"] == Reason.BODY_MALFORMED.value


def test_the_model_of_a_path_is_the_one_that_is_judged(play: Any) -> None:
    p = play()
    p.request_headers("/v2/models/secret-1/generate")
    p.verified()
    p.body({"text_input": "hello"})
    assert p.records[-1].resource.model == "secret-1"


def test_a_token_in_the_url_is_refused(play: Any) -> None:
    p = play()
    p.request_headers(f"/v1/chat/completions?access_token={TOKEN}", authorization=f"Bearer {TOKEN}")
    assert error_of(p.answers[0])["code"] == Reason.URL_CREDENTIAL.value
    assert p.of(VerifyToken) == []


@pytest.mark.parametrize("cut", range(1, 9))
def test_the_models_own_key_never_leaves(play: Any, cut: int) -> None:
    """`model-key` in a header drops the header; in the body it ends the answer, also where it was cut in two."""
    p = play()
    p.forwarded(CHAT)
    p.response_headers("text/plain", x_echo="Bearer model-key", x_other="fine")
    p.response_body(b"you sent " + b"model-key"[:cut])
    p.response_body(b"model-key"[cut:] + b" to me", eos=True)
    assert b"model-key" not in p.released
    assert b"model-key" not in p.transcript(Direction.TO_CLIENT)
    assert p.records[-1].status_detail == Reason.RESPONSE_CREDENTIAL.value
    assert "x-echo" in p.of(ReleaseHeaders)[0].mutation.remove
    assert "x-other" not in p.of(ReleaseHeaders)[0].mutation.remove


def test_the_models_own_key_in_a_whole_answer_is_withheld(play: Any) -> None:
    p = play()
    p.forwarded(CHAT)
    p.response_headers("application/json", 500)
    p.response_body(b'{"error": "bad header: Bearer model-key"}', eos=True)
    assert error_of(p.answers[0])["code"] == Reason.RESPONSE_CREDENTIAL.value
    assert p.released == b""


def test_a_stop_while_the_body_arrives_is_recorded(play: Any) -> None:
    p = play()
    p.request_headers()
    p.verified()
    p.body(b'{"model":', eos=False)
    p.feed(ev.Drained(p.tick()))
    assert p.aborted
    assert [(r.event_code, r.status_detail) for r in p.records] == [(EventCode.REQUEST_REFUSE, "draining")]


def test_a_stop_while_the_model_has_not_answered_ends_it_without_an_answer_of_ours(play: Any) -> None:
    """The request is with the model server, and Envoy has no message of ours to answer."""
    p = play()
    p.forwarded(CHAT)
    p.feed(ev.Drained(p.tick()))
    assert p.aborted
    assert p.answers == []
    ended = p.records[-1]
    assert (ended.event_code, ended.status, ended.status_detail) == (
        EventCode.INFERENCE_END,
        Outcome.FAILED,
        "draining",
    )


def test_a_stop_after_the_intent_ends_it_in_the_log(play: Any) -> None:
    p = play(auto_sync=False)
    p.forwarded(CHAT)
    p.feed(ev.Drained(p.tick()))
    p.sync()
    assert p.forwards == []
    assert p.records[-1].event_code is EventCode.INFERENCE_END
    assert p.answers[0].status == 503


@pytest.mark.parametrize("eos", [True, False])
def test_a_chat_without_a_body_is_refused(play: Any, eos: bool) -> None:
    p = play()
    p.request_headers(eos=eos)
    p.verified()
    if not eos:
        p.body(b"")
    assert error_of(p.answers[0])["code"] == Reason.BODY_MALFORMED.value
    assert p.forwards == []


def test_the_wait_ends_with_a_ticket_and_a_retry_attaches(play: Any, kinds: Any) -> None:
    p = play()
    p.forwarded(BULK)
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.PENDING), p.tick()))
    p.feed(ev.DeadlinePassed(p.tick()))
    answer = p.answers[0]
    assert answer.status == 202
    assert dict(answer.headers)["x-extproc-approval"] == b"apr-ex-1"
    assert "retry-after" in dict(answer.headers)
    assert p.of(WithdrawApproval) == []
    assert p.records[-1].event_code is EventCode.APPROVAL_WAIT_OVER

    granted = p.approval(ApprovalState.GRANTED)
    again = play()
    again.request_headers(x_extproc_approval="apr-ex-1")
    again.verified()
    again.body(BULK)
    again.feed(ev.ApprovalSeen(granted, again.tick()))
    again.feed(ev.GrantClaimed(again.tick()))
    assert len(again.forwards) == 1


def test_a_strangers_ticket_is_refused_and_not_withdrawn(play: Any) -> None:
    p = play()
    p.forwarded(BULK)
    granted = p.approval(ApprovalState.PENDING)
    stranger = play()
    stranger.request_headers(x_extproc_approval="apr-ex-1")
    stranger.verified(Principal(issuer="https://issuer", subject="other", name="", groups=("analysts",)))
    stranger.body(BULK)
    stranger.feed(ev.ApprovalSeen(granted, stranger.tick()))
    assert error_of(stranger.answers[0])["code"] == Reason.APPROVAL_MISMATCH.value
    assert stranger.of(WithdrawApproval) == []


def test_leaving_while_attached_keeps_the_approval(play: Any) -> None:
    p = play()
    p.request_headers(x_extproc_approval="apr-ex-1")
    p.verified()
    p.body(BULK)
    p.feed(ev.Disconnected(p.tick()))
    assert p.of(WithdrawApproval) == []


def test_an_unknown_ticket_is_403(play: Any) -> None:
    p = play()
    p.request_headers(x_extproc_approval="nope")
    p.verified()
    p.body(BULK)
    p.feed(ev.ApprovalMissing(p.tick()))
    assert error_of(p.answers[0])["code"] == Reason.APPROVAL_UNKNOWN.value


def test_a_client_that_leaves_withdraws_its_hold(play: Any) -> None:
    p = play()
    p.forwarded(BULK)
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.PENDING), p.tick()))
    p.feed(ev.Disconnected(p.tick()))
    assert [a.approval_id for a in p.of(WithdrawApproval)] == ["apr-ex-1"]
    assert p.aborted
    assert p.records[-1].status is Outcome.ABANDONED
    assert p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick())) == []


def test_a_local_reply_during_a_hold_is_answered_and_withdraws(play: Any) -> None:
    p = play()
    p.forwarded(BULK)
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.PENDING), p.tick()))
    p.response_headers("text/plain", 504)
    p.response_body(b"stream timeout", eos=True)
    assert p.released == b"stream timeout"
    assert len(p.of(WithdrawApproval)) == 1
    assert p.records[-1].event_code is EventCode.PROXY_REPLY
    assert p.forwards == []
    assert p.ended_cleanly


def test_a_stream_that_begins_with_response_headers_is_recorded_and_answered(play: Any) -> None:
    p = play()
    headers = Headers(((":status", b"403"), ("content-type", b"text/plain")))
    p.feed(ev.ResponseHeaders(headers, False, ev.Attributes(response_details="rbac"), p.tick()))
    p.response_body(b"denied", eos=True)
    assert p.released == b"denied"
    assert p.records[-1].event_code is EventCode.PROXY_REPLY
    assert p.ended_cleanly


def test_a_get_has_no_body_and_is_decided_at_its_headers(play: Any) -> None:
    p = play()
    p.request_headers("/v1/models", "GET", eos=True)
    p.verified()
    assert p.forwards[0].body is None
    p.response_headers("application/json", eos=True)
    assert p.of(ReleaseHeaders)[0].end_of_stream
    assert p.ended_cleanly


def test_trailers_end_a_response(play: Any) -> None:
    p = play()
    p.forwarded(CHAT)
    p.response_headers("text/plain")
    p.response_body(b"card 4111 1111 1111 ")
    p.feed(ev.ResponseTrailers(p.tick()))
    assert len(p.of(ReleaseTrailers)) == 1
    assert p.released == b"card 4111 1111 1111 "
    assert p.ended_cleanly


def test_what_repeats_after_the_end_is_ignored(play: Any) -> None:
    p = play()
    p.forwarded(CHAT)
    assert p.body(CHAT) == []
    p.response_headers("application/json")
    p.auto_sync = False
    p.response_body(ANSWER, eos=True)
    assert p.response_body(b"", eos=True) == []
    p.sync()
    assert p.released == ANSWER


@pytest.mark.parametrize(("content_type", "encoding", "code"), [
    ("application/octet-stream", "", Reason.RESPONSE_TYPE_UNSUPPORTED),
    ("application/json", "gzip", Reason.RESPONSE_ENCODED),
])  # fmt: skip
def test_a_response_that_cannot_be_read_is_withheld(play: Any, content_type: str, encoding: str, code: Reason) -> None:
    p = play()
    p.forwarded(CHAT)
    p.response_headers(content_type, **({"content_encoding": encoding} if encoding else {}))
    assert (p.answers[0].status, error_of(p.answers[0])["code"]) == (502, code.value)
    assert p.released == b""
    assert p.records[-1].status is Outcome.FAILED


def test_a_response_cut_in_the_middle_ends_with_the_dialects_error(play: Any) -> None:
    p = play()
    p.forwarded(CHAT)
    p.response_headers()
    p.response_body(b'data: {"choices":[{"index":0,"delta":{"content":"hello "}}]}\n\n')
    p.response_body(b"data: {broken\n\n")
    assert p.records[-1].status is Outcome.CUT
    assert b'"code":"response_malformed"' in p.released.replace(b'": "', b'":"')
    assert p.ended_cleanly


@pytest.mark.parametrize(("headers", "reason"), [
    ({"content_encoding": "gzip"}, Reason.BODY_ENCODED),
    ({"content_length": "99999999"}, Reason.BODY_TOO_LARGE),
    ({"upgrade": "websocket"}, Reason.UPGRADE_REFUSED),
])  # fmt: skip
def test_headers_that_forbid_inspection_are_refused(play: Any, headers: dict[str, str], reason: Reason) -> None:
    p = play()
    p.request_headers(**headers)
    p.verified()
    assert error_of(p.answers[0])["code"] == reason.value


def test_bodies_gathered_in_pieces_are_judged_whole(play: Any) -> None:
    p = play()
    data = json.dumps({**CHAT, "messages": [{"role": "user", "content": "4111 1111 1111 1111"}]}).encode()
    p.request_headers()
    p.body(data[:60], eos=False)
    p.body(data[60:], eos=False)
    p.feed(ev.RequestTrailers(p.tick()))
    assert p.forwards == []
    p.verified()
    assert b"[PAN]" in (p.forwards[0].body or b"")
    assert p.transcript(Direction.TO_MODEL) == p.forwards[0].body


def test_reasons_are_total() -> None:
    assert set(REFUSALS) == set(Reason)
    assert all(refusal.sentence.endswith(".") for refusal in REFUSALS.values())
