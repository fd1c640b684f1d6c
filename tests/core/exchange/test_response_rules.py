"""Response rules judge an answer while it comes: what makes one hold is not released, nor anything after it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core import events as ev
from extproc.core.approval import ApprovalState
from extproc.core.exchange import Exchange
from extproc.core.originals import OriginalPlace
from extproc.core.policy import Condition, Policy, ResponseCounts, ResponseJudge, ResponseVerdict
from extproc.core.policy_document import parse_policy
from extproc.core.response_rules import Reads, read_counts
from extproc.core.trust import Unmasked

from .conftest import Play, make_snapshot

CHAT = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
SNAPSHOT = make_snapshot()
HOLD = {"approvers": ["approvers"], "wait": "30s", "expire": "1h"}
CARD = "4111 1111 1111 1111"


def sse(text: str, n: int = 0) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return (
        b"data: "
        + json.dumps({"id": f"c{n}", "object": "chat.completion.chunk", "choices": [choice]}).encode()
        + b"\n\n"
    )


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> list[ResponseCounts]:
    """Every look that is taken at the rules."""
    looks: list[ResponseCounts] = []
    judge = ResponseJudge.judge

    def look(self: ResponseJudge, counts: ResponseCounts) -> ResponseVerdict:
        looks.append(counts)
        return judge(self, counts)

    monkeypatch.setattr(ResponseJudge, "judge", look)
    return looks


def rule(when: str, **more: Any) -> dict[str, Any]:
    return {"name": "many", "effect": "cut", "match": {}, "when": when, "text": "Too much.", **more}


@lru_cache(maxsize=64)
def policy_of(text: str) -> Policy:
    return parse_policy(text.encode())


def play(*rules: dict[str, Any], **changes: Any) -> Play:
    document = {
        "apiVersion": "extproc/v1",
        "kind": "Policy",
        "name": "test",
        "rules": [
            {"name": "chat", "effect": "allow", "match": {"groups": ["analysts"]}},
            {"name": "bulk", "effect": "hold", "match": {"at_least": {"max_tokens": 2000}}, "hold": HOLD},
        ],
        **(
            {"response_rules": [{**each, "name": f"{each['name']}-{n}"} for n, each in enumerate(rules)]}
            if rules
            else {}
        ),
    }
    p = Play()
    snapshot = replace(SNAPSHOT, policy=policy_of(json.dumps(document)), **changes)
    p.exchange = Exchange("ex-1", snapshot, started_unix=1_700_000_000.0, started_at=p.at, accepting=True)
    return p


def streamed(p: Play, pieces: list[bytes]) -> Play:
    p.forwarded(CHAT)
    p.response_headers()
    for piece in pieces:
        p.response_body(piece)
    if not p.exchange.over:
        p.response_body(b"", eos=True)
    return p


def documents(data: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]


def test_a_stream_is_cut_at_the_event_that_is_too_much() -> None:
    events = [sse("a "), sse(CARD + " b "), sse(CARD + " c "), sse("d")]
    p = streamed(play(rule("response.findings.pan > 1")), events)
    *before, error = documents(p.released)
    assert [document["choices"][0]["delta"]["content"] for document in before] == ["a ", "[PAN] b "]
    assert error["error"]["message"] == "Too much."
    assert error["error"]["code"] == "response_rule"
    assert p.released.endswith(b"data: [DONE]\n\n")
    assert p.ended_cleanly
    record = p.records[-1]
    assert (record.status, record.status_detail) == ("cut", "response_rule")
    assert record.decision.response.rule == "many-0"
    assert record.findings_response == {"pan": 2}
    assert b"c" not in b"".join(entry.data for entry in p.stored if hasattr(entry, "data"))[-30:].replace(
        b"[DONE]", b""
    )


def test_what_comes_after_a_cut_goes_nowhere() -> None:
    p = streamed(play(rule("response.findings.pan > 0")), [sse("a"), sse(f" {CARD} ")])
    released = p.released
    p.response_body(sse("more"))
    assert p.released == released


BOUNDS: Mapping[str, Callable[[list[bytes]], int]] = {
    "response.findings.pan > 1": lambda events: 4,
    "response.findings.pan > 0": lambda events: 1,
    "response.events > 3": lambda events: 3,
    "3 < response.events": lambda events: 3,
    "response.tokens > 4": lambda events: 4,
}
"""A rule, and how many events may have gone before it holds."""
EVENTS = [
    sse("apple "),
    sse(f"{CARD} berry "),
    sse("cherry "),
    sse("date "),
    sse(f"{CARD} elder"),
    sse(" fig"),
    b"data: [DONE]\n\n",
]
WIRE = b"".join(EVENTS)


@pytest.mark.parametrize("source", BOUNDS)
@settings(max_examples=25, deadline=None)
@given(cuts=st.sets(st.integers(1, len(WIRE) - 1), max_size=12))
def test_however_a_stream_is_cut_into_pieces_no_more_is_released(source: str, cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    pieces = [WIRE[start:end] for start, end in pairwise(edges)]
    p = streamed(play(rule(source)), pieces)
    allowed = BOUNDS[source](EVENTS)
    if p.answers:  # nothing had left
        assert p.answers[0].status == 403
        assert not p.released
        return
    *before, error = documents(p.released)
    assert error["error"]["code"] == "response_rule"
    whole = documents(streamed(play(), [WIRE]).released)
    assert before == whole[: len(before)]
    assert len(before) <= allowed


@given(cuts=st.sets(st.integers(1, len(WIRE) - 1), max_size=12), most=st.integers(0, len(WIRE)))
@settings(max_examples=25, deadline=None)
def test_no_byte_beyond_a_bound_of_bytes_is_released(cuts: set[int], most: int) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    p = streamed(play(rule(f"response.bytes > {most}")), [WIRE[a:b] for a, b in pairwise(edges)])
    released = p.released.partition(b'data: {"error"')[0]
    assert len(released) <= most
    assert b"4111" not in p.released


def test_an_answer_that_is_read_whole_is_refused_before_it_leaves() -> None:
    p = play(rule("response.findings.pan > 0"))
    p.forwarded({**CHAT, "stream": False})
    p.response_headers("application/json")
    p.response_body(json.dumps({"choices": [{"message": {"content": CARD}}]}).encode(), eos=True)
    assert not p.released
    (answer,) = p.answers
    assert answer.status == 403
    error = json.loads(answer.body)["error"]
    assert (error["message"], error["rule"]) == ("Too much.", "many-0")
    assert answer.details == "extproc:response_rule:many-0"
    record = p.records[-1]
    assert (record.status, record.status_detail, record.http_status) == ("cut", "response_rule", 403)
    assert record.decision.response.rule == "many-0"


def test_lines_of_ollama_end_as_its_clients_read_it() -> None:
    p = play(rule("response.events > 1"))
    p.request_headers(path="/api/chat")
    p.verified()
    p.body({"model": "m", "messages": []})
    p.response_headers("application/x-ndjson")
    p.response_body(b'{"message":{"content":"a"},"done":false}\n')
    p.response_body(b'{"message":{"content":"b"},"done":false}\n')
    first, last = p.released.splitlines()
    assert json.loads(first)["message"]["content"] == "a"
    assert json.loads(last)["error"].startswith("Too much.")


def test_trailers_end_what_a_rule_may_still_cut() -> None:
    p = play(rule("response.findings.pan > 0"))
    p.forwarded({**CHAT, "stream": False})
    p.response_headers("application/json")
    p.response_body(json.dumps({"choices": [{"message": {"content": CARD}}]}).encode())
    p.feed(ev.ResponseTrailers(p.tick()))
    assert not p.released
    assert p.answers[0].status == 403


def test_a_rule_in_shadow_is_recorded_and_cuts_nothing() -> None:
    p = streamed(play(rule("response.findings.pan == 1", mode="shadow", shadow_until="2099-01-01")), EVENTS)
    assert p.records[-1].status == "completed"
    response = p.records[-1].decision.response
    assert (response.rule, response.shadow) == ("", ("many-0",))
    assert response.events == 6


def test_a_rule_for_others_costs_nothing(engine: list[ResponseCounts]) -> None:
    p = streamed(play(rule("response.events > 0", match={"groups": ["others"]})), EVENTS)
    assert p.records[-1].status == "completed"
    assert p.records[-1].decision.response.rule == ""
    assert engine == []


def test_rules_are_looked_at_when_they_could_say_something_new(engine: list[ResponseCounts]) -> None:
    streamed(play(rule("response.findings.pan > 5 || response.events >= 100")), EVENTS)
    assert [counts.findings.get("pan", 0) for counts in engine] == [0, 1, 2]
    engine.clear()
    streamed(play(rule("response.bytes > 200000"), rule("response.events > 3 && response.events > 100")), EVENTS)
    assert [counts.events for counts in engine] == [1, 3, 4]
    engine.clear()
    streamed(play(rule("response.bytes / 2 > 200000")), EVENTS)
    assert len(engine) == len(EVENTS) + 1


LARGE = [sse(f"{word} " * 200) for word in ("apple", "berry", "cherry")]
"""A server that says many tokens in one event: 300 and 300 and 350 by their characters."""


def test_a_stream_of_few_large_events_has_the_tokens_of_its_text(engine: list[ResponseCounts]) -> None:
    p = streamed(play(rule("response.tokens > 600")), LARGE)
    assert [document["choices"][0]["delta"]["content"] for document in documents(p.released)[:-1]] == [
        "apple " * 200,
        "berry " * 200,
    ]
    engine.clear()
    streamed(play(rule("response.tokens / 2 > 10000")), LARGE)
    assert [counts.tokens for counts in engine] == [300, 600, 950, 950]


def test_the_count_of_tokens_never_falls(engine: list[ResponseCounts]) -> None:
    """A server that reports fewer at its end than there were by their characters; a whole answer has what is said."""
    usage = {"prompt_tokens": 1, "completion_tokens": 700}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
    streamed(play(rule("response.tokens / 2 > 10000")), [*LARGE, b"data: " + json.dumps(end).encode() + b"\n\n"])
    assert [counts.tokens for counts in engine] == [300, 600, 950, 950, 950]
    engine.clear()
    p = play(rule("response.tokens / 2 > 10000"))
    p.forwarded({**CHAT, "stream": False})
    p.response_headers("application/json")
    whole = {"choices": [{"message": {"content": "apple " * 200}, "finish_reason": "stop"}], "usage": usage}
    p.response_body(json.dumps(whole).encode(), eos=True)
    assert [counts.tokens for counts in engine] == [700]


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("response.findings.pan > 20", Reads(True, {}, False)),
        ("response.bytes > 100 && response.bytes <= 50", Reads(False, {"bytes": (50.0, 100.0)}, False)),
        ("!(response.seconds > 2.5) ? true : false", Reads(False, {"seconds": (2.5,)}, False)),
        ("(response.events == 3u)", Reads(False, {"events": (3.0,)}, False)),
        ("response.bytes * 2 > 100", Reads(False, {}, True)),
        ("2 * response.bytes > 100", Reads(False, {}, True)),
        ("response.bytes > 100 + 5", Reads(False, {}, True)),
        ("response.bytes > response.events", Reads(False, {}, True)),
        ("100 < response.bytes", Reads(False, {}, True)),
        ("response . tokens\n>\n5", Reads(False, {"tokens": (5.0,)}, False)),
        ("has(response.findings)", Reads(True, {}, False)),
        ("response == response", Reads(False, {}, True)),
        ('request.model == "m"', Reads(False, {}, False)),
    ],
)  # fmt: skip
def test_what_a_condition_reads(source: str, reads: Reads) -> None:
    assert read_counts(Condition(source)) == reads


def test_the_time_of_day_goes_on_while_an_answer_comes() -> None:
    assert read_counts(Condition("now > timestamp('2026-01-01T00:00:00Z')", names=frozenset({"now"}))).anything


def test_a_grant_is_known_to_the_rules() -> None:
    p = play(rule("approval.state == 'granted' && approval.age > 60.0 && response.events > 0"))
    p.forwarded({**CHAT, "max_tokens": 4000})
    p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED, created_at=1_699_999_000.0), p.tick()))
    p.feed(ev.GrantClaimed(p.tick()))
    p.response_headers()
    p.response_body(sse("a"))
    assert p.answers[0].status == 403
    assert p.records[-1].decision.approval.state == "granted"


def test_the_original_of_what_is_withheld_is_not_kept() -> None:
    kept: list[tuple[OriginalPlace, bytes]] = []

    def seal(place: OriginalPlace, original: Unmasked) -> bytes:
        kept.append((place, original.data))
        return b"sealed"

    streamed(play(rule("response.findings.pan > 1"), seal=seal), [sse(f"{CARD} a "), sse(f"{CARD} b ")])
    assert len(kept) == 1
    assert b" a " in kept[0][1]


def test_what_no_rule_looks_at_is_counted_all_the_same() -> None:
    p = streamed(play(), [sse("one "), sse(CARD + " two")])
    counted = p.records[-1].decision.response
    assert (counted.events, counted.rule, counted.bytes) == (2, "", len(p.released))
    assert counted.characters == len(p.released.decode())
    assert counted.seconds > 0
