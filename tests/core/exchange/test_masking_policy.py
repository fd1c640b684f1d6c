"""The rules that a policy says find in requests and streamed answers, and the record counts what they found."""

import json
from dataclasses import replace
from typing import Any

from extproc.core.exchange import Exchange
from extproc.core.masking.scanner import Scanner
from extproc.core.policy_document import parse_policy

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


def event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


def streamed(data: bytes) -> str:
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for one in events for choice in one["choices"])
