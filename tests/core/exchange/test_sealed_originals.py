"""What an exchange gives to be sealed: what arrived without sensitive authentication data, and only where a PAN was."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.core import events as ev
from extproc.core.actions import StoreContent
from extproc.core.masking.originals import OriginalMasker
from extproc.core.originals import OriginalPlace
from extproc.core.reasons import Malformed, Reason
from extproc.core.record import Direction
from extproc.core.trust import Sealed, Unmasked

PAN = "4111 1111 1111 1111"
OTHER = "5555555555554444"
CODE = "739"
TEXT = f"pay with {PAN} cvv {CODE} please"
CHAT = {"model": "m", "messages": [{"role": "user", "content": TEXT}]}
RELAXED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Custodian:
    """Seals by remembering."""

    given: list[tuple[OriginalPlace, bytes]] = field(default_factory=list)

    def __call__(self, place: OriginalPlace, original: Unmasked) -> Sealed:
        self.given.append((place, original.data))
        return Sealed(b"sealed %d" % len(self.given))

    def opened(self, play: Any, direction: Direction) -> bytes:
        """The transcript with the originals in their places."""
        text = play.transcript(direction)
        for place, original in reversed([one for one in self.given if one[0].direction is direction]):
            text = text[: place.offset] + original + text[place.offset + place.length :]
        return text


@pytest.fixture
def custodian() -> Custodian:
    return Custodian()


def event(text: str) -> bytes:
    document = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def sse(pieces: list[str]) -> bytes:
    return b"".join(map(event, pieces)) + b"data: [DONE]\n\n"


def said(stream: bytes) -> str:
    lines = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content") or "" for line in lines for choice in line.get("choices", ()))


def sealed_of(play: Any) -> list[StoreContent]:
    return [one for one in play.stored if isinstance(one, StoreContent) and one.direction.startswith("sealed")]


def test_without_the_setting_there_is_no_second_pass(play, monkeypatch):
    def never(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(OriginalMasker, "__init__", never)
    played = play()
    played.forwarded(CHAT)
    played.response_headers()
    played.response_body(sse([TEXT]), eos=True)
    assert played.ended_cleanly
    assert sealed_of(played) == []


def test_a_request_without_a_pan_costs_no_second_pass(play, custodian, monkeypatch):
    monkeypatch.setattr("extproc.core.masking.scanner.OriginalMasker", None)
    played = play(seal=custodian)
    played.forwarded({"model": "m", "messages": [{"role": "user", "content": f"cvv {CODE}, hello"}]})
    assert played.forwards
    assert custodian.given == []
    assert sealed_of(played) == []


def test_a_request_is_sealed_as_it_came_but_for_the_code(play, custodian):
    played = play(seal=custodian)
    played.forwarded(CHAT)
    ((place, original),) = custodian.given
    forwarded = played.transcript(Direction.TO_MODEL)
    assert place == OriginalPlace("ex-1", Direction.TO_MODEL, 0, len(forwarded))
    assert json.loads(original) == {**CHAT, "messages": [{"role": "user", "content": TEXT.replace(CODE, "[CVV]")}]}
    assert b"4111" not in forwarded
    assert [one.data for one in sealed_of(played)] == [b"sealed 1"]
    assert custodian.opened(played, Direction.TO_MODEL) == original


def test_a_number_comes_back_as_a_string(play, custodian):
    played = play(seal=custodian)
    played.forwarded({**CHAT, "messages": [{"role": "user", "content": json.dumps({"a": 1}), "pan": int(OTHER)}]})
    ((_, original),) = custodian.given
    assert json.loads(original)["messages"][0]["pan"] == OTHER


def test_an_encoded_or_split_pan_stays_masked(play, custodian):
    parts = [{"type": "text", "text": "no 4111 1111"}, {"type": "text", "text": "1111 1111"}]
    texts = ["NDExMTExMTExMTExMTExMQ==", "34313131313131313131313131313131", parts]
    played = play(seal=custodian)
    played.forwarded({"model": "m", "messages": [{"role": "user", "content": text} for text in texts]})
    assert played.exchange.phase.value == "forwarded"
    assert custodian.given == [], "nothing is plain, so nothing is sealed"


def test_a_refused_request_is_not_sealed(play, custodian):
    played = play(seal=custodian)
    played.request_headers("/api/pull")
    played.verified()
    played.body({"model": OTHER[:3], "note": PAN})
    assert played.answers
    assert custodian.given == []


def test_what_is_sealed_is_durable_before_the_model_is_asked(play, custodian):
    played = play(seal=custodian, auto_sync=False)
    played.forwarded(CHAT)
    played.sync(len(played.stored) - 1)
    assert not played.forwards
    played.sync()
    assert played.forwards


def test_a_streamed_answer_is_what_the_model_sent_but_for_the_code(play, custodian):
    pieces = ["The card is 41", "11 1111 11", "11 1111, cv", "v 73", "9. And ", OTHER, " too. Bye"]
    played = play(seal=custodian)
    played.forwarded({"model": "m", "messages": []})
    played.response_headers()
    for piece in pieces:
        played.response_body(event(piece))
    played.response_body(b"data: [DONE]\n\n", eos=True)
    assert played.ended_cleanly
    opened = said(custodian.opened(played, Direction.TO_CLIENT))
    assert opened == "".join(pieces).replace(CODE, "[CVV]")
    assert said(played.transcript(Direction.TO_CLIENT)) == opened.replace(PAN, "[PAN]").replace(OTHER, "[PAN]")
    assert 0 < len(sealed_of(played)) < len(pieces), "what holds no PAN is not sealed"


def test_a_whole_answer_is_sealed(play, custodian):
    played = play(seal=custodian)
    played.forwarded({"model": "m", "messages": []})
    played.response_headers("application/json")
    document = {"choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}}]}
    played.response_body(json.dumps(document).encode(), eos=True)
    opened = json.loads(custodian.opened(played, Direction.TO_CLIENT))
    assert opened["choices"][0]["message"]["content"] == TEXT.replace(CODE, "[CVV]")


def test_what_fails_to_be_sealed_is_not_released(play):
    def failing(place: OriginalPlace, original: Unmasked) -> Sealed:
        raise Malformed(Reason.INTERNAL)

    played = play(seal=failing)
    played.forwarded(CHAT)
    assert not played.forwards
    assert played.answers[0].status >= 500
    played = play(seal=failing)
    played.forwarded({"model": "m", "messages": []})
    played.response_headers()
    played.response_body(event(f"hello {PAN}. and more of it"))
    assert not any(b"hello" in one.data for one in played.stored if isinstance(one, StoreContent))
    assert b"hello" not in played.released


WORDS = st.sampled_from([
    f"{PAN} ", f"{OTHER}, ", "5555-5555-5555-4444; ", "the card ", "is good. ", f"cvv {CODE} ", f"cvc: {CODE}. ",
    f"{OTHER} {CODE} ", ";5555555555554444=25121011000012345678? ", "%B4111111111111111^DOE/JANE^25121011000? ",
    "card PIN: 8264. ", "NDExMTExMTExMTExMTExMQ== ", "[PAN] ", "\u0664111 ",
])  # fmt: skip
PLAIN = ("4111 1111 1111 1111", OTHER, "5555-5555-5555-4444")


@RELAXED
@given(words=st.lists(WORDS, min_size=1, max_size=8), cuts=st.lists(st.integers(0, 200), max_size=10))
def test_no_sensitive_data_is_ever_sealed(play, words: list[str], cuts: list[int]) -> None:
    """Whatever is planted, in a request and in a stream cut anywhere: codes, tracks and PINs beside and over PANs."""
    custodian = Custodian()
    text = "".join(words)
    played = play(seal=custodian)
    played.forwarded({"model": "m", "messages": [{"role": "user", "content": text}]})
    if not played.forwards:
        return
    played.response_headers()
    borders = sorted(min(cut, len(text)) for cut in cuts)
    for a, b in zip([0, *borders], [*borders, len(text)], strict=True):
        played.response_body(event(text[a:b]))
    played.response_body(b"data: [DONE]\n\n", eos=True)
    assert played.ended_cleanly
    for direction in (Direction.TO_MODEL, Direction.TO_CLIENT):
        opened = custodian.opened(played, direction).decode()
        for pan in PLAIN:
            opened = opened.replace(pan, "[PAN]")
        assert opened == played.transcript(direction).decode(), "what is restored is a planted PAN, and nothing else"
    assert all(data not in repr(played.stored) for data in PLAIN)


def test_the_store_failing_at_an_original_releases_nothing(play, custodian):
    played = play(seal=custodian)
    played.forwarded({"model": "m", "messages": []})
    played.response_headers()
    played.auto_sync = False
    played.response_body(event(f"hello {PAN}. and more of it"))
    assert sealed_of(played)
    played.feed(ev.StoreFailed(played.tick(), sealed_of(played)[0].ticket))
    assert b"hello" not in played.released
