"""The rules that a policy says find in requests and streamed answers, and the record counts what they found."""

import json
from dataclasses import replace
from typing import Any

from extproc.core.exchange import Exchange
from extproc.core.identity import Principal
from extproc.core.masking.aliases import MaskKey, token_of
from extproc.core.masking.scanner import Scanner
from extproc.core.policy_document import parse_policy
from extproc.core.trust import Secret

DOCUMENT = b"""apiVersion: extproc/v1
kind: Policy
name: p
masking:
  profile: [pci-pii, secrets]
  rules:
    - {name: badge, pattern: 'B-[0-9]{4}'}
rules:
  - {name: all, effect: allow, match: {operations: [chat]}}
"""
PRINCIPAL = Principal(issuer="https://issuer", subject="analyst", name="Analyst", groups=("analysts",))
TEXT = "badge B-1234 of ann@example.com, card 4111 1111 1111 1111"
MASKED = "badge [BADGE] of [EMAIL], card [PAN]"


def test_a_rule_of_the_policy_masks_both_ways_and_is_counted(play: Any) -> None:
    p = play()
    snapshot = p.exchange._snapshot
    policy = parse_policy(DOCUMENT)
    policy = replace(policy, rules=snapshot.policy.rules)
    snapshot = replace(snapshot, policy=policy, scanner=Scanner(policy.masking))
    p.exchange = Exchange("ex-1", snapshot, started_unix=1_700_000_000.0, started_at=p.at, accepting=True)
    p.forwarded({"model": "m", "messages": [{"role": "user", "content": TEXT}]})
    (forward,) = p.forwards
    assert json.loads(forward.body)["messages"][0]["content"] == MASKED
    p.response_headers("text/event-stream")
    for at in range(0, len(TEXT), 3):
        p.response_body(event({"content": TEXT[at : at + 3]}))
    p.response_body(event({}, finish="stop") + b"data: [DONE]\n\n", eos=True)
    p.sync()
    assert streamed(p.released) == MASKED
    counted = {"badge": 1, "email": 1, "pan": 1}
    assert p.records[-1].findings_request == p.records[-1].findings_response == counted


STYLED = b"""apiVersion: extproc/v1
kind: Policy
name: p
masking: {styles: {pan: {request: token, response: numbered}}}
rules:
  - {name: all, effect: allow, match: {operations: [chat]}}
"""


def styled(play: Any, tenant: str) -> tuple[str, str]:
    """What the model and the client get to see of a card that both sides say, under a caller's tenant."""
    p = play()
    snapshot = p.exchange._snapshot
    policy = replace(parse_policy(STYLED), rules=snapshot.policy.rules)
    key = MaskKey("k1", Secret("0" * 64))
    snapshot = replace(snapshot, policy=policy, scanner=Scanner(policy.masking, key=key))
    p.exchange = Exchange("ex-1", snapshot, started_unix=1_700_000_000.0, started_at=p.at, accepting=True)
    p.request_headers()
    p.verified(replace(PRINCIPAL, tenant=tenant))
    p.body({"model": "m", "messages": [{"role": "user", "content": "card 4111 1111 1111 1111"}]})
    p.response_headers("text/event-stream")
    p.response_body(event({"content": "so 4111111111111111 it is"}))
    p.response_body(event({}, finish="stop") + b"data: [DONE]\n\n", eos=True)
    p.sync()
    (forward,) = p.forwards
    return json.loads(forward.body)["messages"][0]["content"], streamed(p.released)


def test_tokens_are_those_of_the_callers_tenant(play: Any) -> None:
    sent, answered = styled(play, "acme")
    value = token_of(MaskKey("k1", Secret("0" * 64)), "acme", "pan", "4111111111111111")
    assert sent == f"card [PAN_k1_{value}]"
    assert answered == "so [PAN_1] it is"
    assert styled(play, "acme")[0] == sent
    assert styled(play, "other")[0] != sent


NUMBERED = STYLED.replace(b"{request: token, response: numbered}", b"numbered")


def test_one_exchange_numbers_both_sides_together(play: Any) -> None:
    p = play()
    snapshot = p.exchange._snapshot
    policy = replace(parse_policy(NUMBERED), rules=snapshot.policy.rules)
    snapshot = replace(snapshot, policy=policy, scanner=Scanner(policy.masking))
    p.exchange = Exchange("ex-1", snapshot, started_unix=1_700_000_000.0, started_at=p.at, accepting=True)
    p.forwarded({"model": "m", "messages": [{"role": "user", "content": "4111111111111111"}]})
    p.response_headers("text/event-stream")
    p.response_body(event({"content": "4242 4242 4242 4242 or 4111-1111-1111-1111"}))
    p.response_body(event({}, finish="stop") + b"data: [DONE]\n\n", eos=True)
    p.sync()
    assert streamed(p.released) == "[PAN_2] or [PAN_1]"


def event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


def streamed(data: bytes) -> str:
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for one in events for choice in one["choices"])
