"""The five promises, as property tests on the machine. P4 is kept by the audit log and tested there."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.core import events as ev
from extproc.core.actions import Abort, Finish, ForwardRequest, ReleaseBody, ReleaseHeaders, Respond, StoreRecord
from extproc.core.approval import ApprovalState
from extproc.core.phase import Phase
from extproc.core.reasons import Reason
from extproc.core.record import ENDS_EXCHANGE, Direction, EventCode

PAN = "4111 1111 1111 1111"
CODE = "739"
CHAT = {"model": "m", "messages": [{"role": "user", "content": f"pay with {PAN} cvv {CODE} please"}]}
BULK = {**CHAT, "max_tokens": 4000}
RELAXED = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def sse(pieces: list[str]) -> bytes:
    events = [{"id": "c", "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    events.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def text_of(stream: bytes) -> str:
    text = ""
    for line in stream.split(b"\n"):
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:]).get("choices", []):
                text += choice["delta"].get("content") or ""
    return text


PROSE = ("the ", "card ", PAN + " ", "5555-5555-5555-4444, ", "is ", "ok. ")


@st.composite
def cut_streams(draw: st.DrawFn, vocabulary: tuple[str, ...] = (*PROSE, "12 ", "2026 ")) -> tuple[str, list[bytes]]:
    """An answer with cards in it, cut into tokens, and its bytes cut anywhere."""
    words = draw(
        st.lists(
            st.sampled_from(vocabulary),
            min_size=1,
            max_size=8,
        )
    )
    whole = "".join(words)
    borders = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[a:b] for a, b in zip([0, *borders], [*borders, len(whole)], strict=True)]
    data = sse(pieces)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=10)))
    return whole, [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(stream=cut_streams())
@RELAXED
def test_p1_nothing_unmasked_leaves(play: Any, stream: tuple[str, list[bytes]]) -> None:
    """However tokens and bytes are cut, what the client reads is the mask of the whole text."""
    whole, chunks = stream
    p = play()
    p.forwarded(CHAT)
    p.response_headers()
    for index, chunk in enumerate(chunks):
        p.response_body(chunk, eos=index == len(chunks) - 1)
    assert p.ended_cleanly
    masker = p.exchange._snapshot.scanner.masker()
    assert text_of(p.released) == masker.mask_text(whole)
    assert p.released == p.transcript(Direction.TO_CLIENT)
    assert b"4111" not in (p.forwards[0].body or b"")


@pytest.mark.parametrize("end", ["card 4111 1111 1111 1111", "card 5555-5555-5555-4444", "cvv: 739", "plain 4111 11"])
def test_p1_an_end_inside_a_match_is_decided_there(play: Any, end: str) -> None:
    """A response that ends while text is held back: the rest is masked and released, not lost."""
    p = play()
    p.forwarded(CHAT)
    p.response_headers("text/plain")
    for character in end:
        p.response_body(character.encode())
    p.response_body(b"", eos=True)
    assert p.released.decode() == p.exchange._snapshot.scanner.masker().mask_text(end)


@given(stream=cut_streams(), syncs=st.lists(st.integers(0, 3), min_size=40, max_size=40))
@RELAXED
def test_p2_nothing_leaves_unrecorded(play: Any, stream: tuple[str, list[bytes]], syncs: list[int]) -> None:
    """Whatever the disk's pace, what was released is at each moment a prefix of what is durable."""
    _, chunks = stream
    p = play(auto_sync=False)
    pace = iter(syncs)

    def settle() -> None:
        fresh = p.sync(next(pace, 1))
        durable = p.stored[: p.durable]
        if any(isinstance(a, ForwardRequest) for a in fresh):
            codes = [e.record.event_code for e in durable if isinstance(e, StoreRecord)]
            assert EventCode.INFERENCE_REQUEST in codes
            assert p.transcript(Direction.TO_MODEL, p.durable) == p.forwards[0].body
        assert p.transcript(Direction.TO_CLIENT, p.durable).startswith(p.released)
        if any(isinstance(a, ReleaseBody) and a.end_of_stream for a in p.actions):
            assert EventCode.INFERENCE_END in [e.record.event_code for e in durable if isinstance(e, StoreRecord)]

    p.request_headers()
    p.verified()
    p.body(CHAT)
    assert p.forwards == []
    while not p.forwards:
        p.sync(1)
        assert not p.forwards or p.transcript(Direction.TO_MODEL, p.durable)
    p.response_headers()
    for index, chunk in enumerate(chunks):
        before = (len(p.of(ReleaseBody)), len(p.of(ReleaseHeaders)))
        p.response_body(chunk, eos=index == len(chunks) - 1)
        assert (len(p.of(ReleaseBody)), len(p.of(ReleaseHeaders))) == before, "released before it was durable"
        settle()
    while not p.exchange.over:
        p.sync(1)
        settle()


REFUSED: dict[str, Any] = {
    "no token": lambda p: (p.request_headers(), p.feed(ev.TokenRejected(Reason.TOKEN_INVALID, p.tick()))),
    "a bad path": lambda p: p.request_headers("/v1/../x"),
    "a bad body": lambda p: p.forwarded(b"{"),
    "a denied operation": lambda p: (
        p.request_headers("/v1/load_lora_adapter"), p.verified(), p.body({"lora_name": "x"})
    ),
    "an unknown ticket": lambda p: (
        p.request_headers(x_extproc_approval="apr-0"), p.verified(), p.body(BULK), p.feed(ev.ApprovalMissing(p.tick()))
    ),
    "the end of a wait": lambda p: (
        p.forwarded(BULK),
        p.feed(ev.ApprovalSeen(p.approval(ApprovalState.PENDING), p.tick())),
        p.feed(ev.DeadlinePassed(p.tick())),
    ),
    "a refused hold": lambda p: (
        p.forwarded(BULK), p.feed(ev.ApprovalSeen(p.approval(ApprovalState.REFUSED), p.tick()))
    ),
    "an answer that cannot be read": lambda p: (
        p.forwarded(CHAT), p.sync(), p.response_headers("application/json"), p.response_body(b"{", eos=True)
    ),
    "a local reply": lambda p: (p.request_headers(), p.response_headers("text/plain", 504, eos=True)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_p2_no_refusal_leaves_unrecorded(play: Any, case: str) -> None:
    """Neither an immediate response nor a local reply of the proxy goes on before its record is durable."""
    p = play(auto_sync=False)
    REFUSED[case](p)
    left = (Respond, ReleaseHeaders, ReleaseBody)
    assert not any(isinstance(action, left) for action in p.actions), "left before its record was durable"
    assert p.records
    assert p.records[-1].status is not None
    while not p.exchange.over:
        p.sync(1)
        if any(isinstance(action, left) for action in p.actions):
            assert p.durable == len(p.stored), "left before its last record was durable"
    assert any(isinstance(action, left) for action in p.actions)


FAILURES = [
    ev.StoreFailed, ev.ApprovalsFailed, ev.Disconnected, ev.Drained, ev.GrantLost, ev.ApprovalMissing, ev.DeadlinePassed,
    ev.ResponseTrailers, ev.WithdrawalFailed,
]  # fmt: skip


def steps(p: Any) -> list[Any]:
    """The longest legal path: authenticate, hold, grant, record, forward, stream, close."""
    return [
        lambda: p.request_headers(),
        lambda: p.verified(),
        lambda: p.body(BULK),
        lambda: p.sync(),
        lambda: p.feed(ev.ApprovalSeen(p.approval(ApprovalState.GRANTED), p.tick())),
        lambda: p.feed(ev.GrantClaimed(p.tick())),
        lambda: p.sync(),
        lambda: p.response_headers(),
        lambda: p.response_body(sse(["hello ", "there "])[:-14]),
        lambda: p.sync(),
        lambda: p.response_body(b"data: [DONE]\n\n", eos=True),
        lambda: p.sync(),
    ]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
@pytest.mark.parametrize("point", range(12))
def test_p3_what_cannot_be_judged_is_refused(play: Any, failure: Any, point: int) -> None:
    """Every failure at every point: the model gets nothing more, the client no unrecorded byte, and the end is told."""
    p = play(auto_sync=False)
    for step in steps(p)[:point]:
        step()
    forwarded, released, phase = len(p.forwards), p.released, p.exchange.phase
    was_over = p.exchange.over
    p.feed(failure(p.tick()))
    late = (ev.GrantLost, ev.ApprovalMissing, ev.DeadlinePassed, ev.ApprovalsFailed, ev.WithdrawalFailed)
    harmless = failure in late
    for _ in range(4):
        p.sync()
    if p.exchange.over and not was_over:
        ended = p.of(Finish) + p.of(Abort)
        assert len(ended) == 1
        if not forwarded:
            assert not p.forwards, "a failure let the request through"
            assert p.aborted or p.answers[-1].status == 202 or p.answers[-1].status >= 400
    else:
        assert harmless or was_over, f"{failure.__name__} at {point} was ignored"
    if phase in (Phase.START, Phase.AUTHENTICATING, Phase.BODY, Phase.HELD, Phase.CLAIMING):
        assert not p.forwards, "a failure let the request through"
    assert p.transcript(Direction.TO_CLIENT).startswith(p.released)
    assert p.released.startswith(released)


@pytest.mark.parametrize("point", range(1, 12))
def test_p2_an_exchange_that_could_not_be_stored_is_ended_in_the_log(play: Any, point: int) -> None:
    """A full disk still has a reserve for ends: what began in the log ends there, and says why, at every point."""
    p = play(auto_sync=False)
    for step in steps(p)[:point]:
        step()
    lost = p.stored[-1].ticket if p.stored else 1
    p.stored = [action for action in p.stored if action.ticket != lost]
    before = len(p.stored)
    p.durable = before
    p.feed(ev.StoreFailed(p.tick(), lost))
    (end,) = [
        a.record for a in p.stored[before:] if isinstance(a, StoreRecord) and a.record.event_code in ENDS_EXCHANGE
    ]
    assert end.status_detail == Reason.AUDIT_UNAVAILABLE.value
    intended = any(
        isinstance(a, StoreRecord) and a.record.event_code is EventCode.INFERENCE_REQUEST for a in p.stored[:before]
    )
    assert end.event_code is (EventCode.INFERENCE_END if intended else EventCode.REQUEST_REFUSE)
    p.sync()
    assert p.exchange.over
    assert p.aborted or p.answers[-1].status == 503
    assert (end.measures.response_bytes if end.measures else 0) == len(p.released)


@given(
    noise=st.lists(st.sampled_from(FAILURES), min_size=1, max_size=3),
    points=st.lists(st.integers(0, 11), min_size=3, max_size=3),
)
@RELAXED
def test_p3_noise_never_forwards_twice_or_without_a_grant(play: Any, noise: list[Any], points: list[int]) -> None:
    """Legal paths with noise: at most one forward, and only after the grant was claimed and recorded."""
    p = play(auto_sync=False)
    for index, step in enumerate(steps(p)):
        for failure, point in zip(noise, points, strict=False):
            if point == index:
                p.feed(failure(p.tick()))
        try:
            step()
        except StopIteration:
            return  # no approval was opened: the noise ended the exchange earlier
    assert len(p.forwards) <= 1
    if p.forwards:
        codes = [r.event_code for r in p.records]
        assert EventCode.APPROVAL_USE in codes
        assert EventCode.INFERENCE_REQUEST in codes


def test_p3_the_unexpected_aborts(play: Any) -> None:
    p = play()
    p.forwarded(CHAT)
    actions = p.exchange.fail(Reason.INTERNAL, "", p.tick())
    assert isinstance(actions[-1], Abort)
    assert actions[-1].reason is Reason.INTERNAL
    assert p.exchange.over


@given(stream=cut_streams(PROSE))
@RELAXED
def test_p5_no_account_data_in_records_or_reprs(play: Any, stream: tuple[str, list[bytes]]) -> None:
    """Neither the records nor the printed form of any action holds a card number, a security code or a prompt."""
    _, chunks = stream
    p = play()
    p.forwarded(CHAT)
    p.response_headers()
    for index, chunk in enumerate(chunks):
        p.response_body(chunk, eos=index == len(chunks) - 1)
    evidence = b"".join(msgspec.json.encode(record) for record in p.records).decode()
    printed = "".join(repr(action) for action in p.actions)
    kept = (p.transcript(Direction.TO_MODEL) + p.transcript(Direction.TO_CLIENT)).decode()
    for text in (evidence, printed, kept):
        for secret in (PAN, PAN.replace(" ", ""), "5555-5555-5555-4444", CODE, "model-key"):
            assert re.search(r"(?<![0-9a-f])" + re.escape(secret) + r"(?![0-9a-f])", text) is None
    for text in (evidence, printed):
        assert "please" not in text


def test_p5_no_url_in_records(play: Any) -> None:
    """Whatever a client writes into a URL, no record keeps it."""
    for path in ("/v1/models/4111111111111111", "/v1/models?q=secret-marker", "/v1/unknown/secret-marker"):
        p = play()
        p.request_headers(path, "GET", eos=True)
        p.verified()
        evidence = b"".join(msgspec.json.encode(record) for record in p.records).decode()
        assert "secret-marker" not in evidence
        assert "4111" not in evidence
