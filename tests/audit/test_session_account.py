"""One session as a page shows it: its facts, its phases, what was said with its masks, and what became of it."""

import asyncio
import json
from pathlib import Path

import pytest

from extproc.approvals.account import Source, check_exchange, read_account
from extproc.approvals.session_content import (
    EVENT_SHOWN,
    EVENTS_A_PAGE,
    Content,
    ContentState,
    read_content,
    turns_of,
)
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.content import Piece
from extproc.audit.names import Part
from extproc.audit.verify.light import CheckState
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import ApprovalRef, Direction, EventCode, Measures, Outcome
from extproc.core.trust import Masked

PROMPT = (
    b'{"model": "tiny", "messages": [{"role": "user", "content": "card [PAN], 411111******1111 \\u202e <script>"}]}'
)


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


ANSWER = ("It is [P", "AN_2] and", " [IBAN_k1_x9]", "\x1b[2J", " not [OTHER].")


@pytest.fixture
def source(log) -> Source:
    return Source(log.store, log.settings.spool, log.settings.deployment, log.keys)


@pytest.fixture
def recorded(log, record, acks):
    """`x-1`: a prompt, and an answer in pieces; sealed and shipped by the journal's end."""
    journal = log.open()
    content = journal.open_content("x-1")
    content.append("to_model", 1_000, Masked(PROMPT), acks)
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x-1", status=Outcome.SUCCEEDED), acks)
    for number, text in enumerate(ANSWER):
        content.append("to_client", 11_000 + number * 10_000, Masked(event(text)), acks)
    acks.wait(2 + len(ANSWER))
    measures = Measures(duration_ms=80.0, decision_ms=2.0, first_byte_ms=30.0, input_tokens=3, output_tokens=4)
    journal.append_record(
        record(
            EventCode.INFERENCE_END, "x-1", findings_request={"pan": 2, "iban": 1}, http_status=200, measures=measures
        ),
        acks,
    )
    acks.wait(3 + len(ANSWER))
    yield journal
    journal.close()


def content_of(source: Source, exchange_id: str = "x-1", first_event: int = 0) -> Content:
    read: list[str] = []

    async def record_first() -> None:
        read.append(exchange_id)

    found = asyncio.run(read_content(source, exchange_id, record_first, first_event))
    assert read == [exchange_id]
    return found


def test_the_facts_of_a_session(recorded, source: Source) -> None:
    account = read_account(source, "x-1")
    assert account is not None
    assert (account.verdict, account.effect, account.rule) == ("answered", "allow", "analysts")
    assert account.sentence.startswith("completed, HTTP 200, 3 tokens in, 4 out")
    assert account.findings_request == (("iban", 1), ("pan", 2))
    assert account.has_transcript
    assert [(line.event_code, json.loads(line.text)["time"]) for line in account.records] == [
        ("inference.request", account.records[0].time_ms),
        ("inference.end", account.ended_ms),
    ]
    assert read_account(source, "x-2") is None


def test_phases_follow_one_another_and_end_with_the_exchange(recorded, source: Source) -> None:
    account = read_account(source, "x-1")
    assert account is not None
    assert [phase.name for phase in account.phases][-2:] == ["model", "answer"]
    ends = [0.0]
    for phase in account.phases:
        assert phase.begin_ms == ends[-1] <= phase.end_ms
        ends.append(phase.end_ms)
    assert ends[-1] == max(80.0, account.ended_ms - account.began_ms)


def test_what_was_said_has_its_masks_marked(recorded, source: Source) -> None:
    content = content_of(source)
    assert (content.state, content.words) == (ContentState.READABLE, "")
    turns = {turn.role: turn for turn in content.turns}
    stretches = [(stretch.text, stretch.masked) for part in turns["user"].parts for stretch in part.stretches]
    assert stretches == [
        ("card ", ""),
        ("[PAN]", "PAN"),
        (", ", ""),
        ("411111******1111", "PAN"),
        (" <U+202E> <script>", ""),
    ]
    assert [turn.side for turn in content.turns] == ["request", "request", "answer"]
    answer = turns["assistant"]
    assert [part.at_seconds for part in answer.parts] == [0.01, 0.02, 0.03, 0.04, 0.05]
    assert [[(stretch.text, stretch.masked) for stretch in part.stretches] for part in answer.parts] == [
        [("It is ", ""), ("[P", "PAN")],
        [("AN_2]", "PAN"), (" and", "")],
        [(" ", ""), ("[IBAN_k1_x9]", "IBAN")],
        [("<U+001B>[2J", "")],
        [(" not [OTHER].", "")],
    ]
    assert content.seconds == 0.05
    assert "not [OTHER]" not in repr((content, content.turns, content.events))


def test_raw_events_come_a_bounded_page_at_a_time() -> None:
    pieces = tuple(Piece(Direction.TO_CLIENT, number * 1000, Masked(event("x"))) for number in range(5))
    turns = turns_of(pieces, ())
    assert "".join(stretch.text for part in turns[0].parts for stretch in part.stretches) == "xxxxx"


def test_an_event_is_shown_to_a_bound_and_pages_go_on(log, record, acks, source: Source) -> None:
    journal = log.open()
    content = journal.open_content("x-9")
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x-9", status=Outcome.SUCCEEDED), acks)
    count = EVENTS_A_PAGE + 3
    for number in range(count):
        text = b"y" * (EVENT_SHOWN + 7) if number == 0 else b"z\x00"
        content.append("to_client", number * 10, Masked(text), acks)
    acks.wait(count + 1)
    first, second = content_of(source, "x-9"), content_of(source, "x-9", EVENTS_A_PAGE)
    journal.close()
    assert first.state is ContentState.UNDER_WAY
    assert (len(first.events), len(second.events), second.events_total) == (EVENTS_A_PAGE, 3, count)
    assert (len(first.events[0].text), first.events[0].left_out) == (EVENT_SHOWN, 7)
    assert (second.events[0].number, second.events[0].text) == (EVENTS_A_PAGE, "z<U+0000>")


class TestNotReadable:
    def test_nothing_is_opened_when_the_reading_cannot_be_recorded(self, recorded, source: Source, monkeypatch) -> None:
        opened: list[str] = []
        monkeypatch.setattr("extproc.approvals.session_content.read_transcript", lambda *_: opened.append("opened"))

        async def refuse() -> None:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)

        with pytest.raises(Unavailable):
            asyncio.run(read_content(source, "x-1", refuse))
        assert opened == []

    def test_states_that_are_no_errors(self, log, record, acks, source: Source) -> None:
        journal = log.open()
        held = {"approval": ApprovalRef(id="apr-1", state="pending")}
        journal.append_record(record(EventCode.APPROVAL_OPEN, "x-3", status=Outcome.SUCCEEDED, **held), acks)
        journal.append_record(record(EventCode.POLICY_DENY, "x-4", status=Outcome.REFUSED, http_status=403), acks)
        acks.wait(2)
        assert content_of(source, "x-0").state is ContentState.NOT_STORED
        assert content_of(source, "x-3").state is ContentState.UNDER_WAY
        refused = content_of(source, "x-4")
        assert (refused.state, refused.words) == (
            ContentState.NOTHING,
            "refused, HTTP 403. Nothing crossed the boundary.",
        )
        waiting = read_account(source, "x-3")
        assert waiting is not None
        assert (waiting.verdict, waiting.sentence, waiting.ended_ms) == ("waiting", "held for approval apr-1", 0)
        journal.close()

    def test_a_shredded_transcript_says_so_and_a_lost_key_does_not_pass_for_it(
        self, recorded, log, record, acks, source: Source
    ) -> None:
        recorded.close()
        log.ship()
        for bag in log.store_path.rglob(f"*{Part.KEYS.value}"):
            bag.unlink()
        assert content_of(source).state is ContentState.BROKEN
        journal = log.open("shred")
        detail = {"keys": 1, "reason": "asked for"}
        journal.append_record(record(EventCode.ADMIN_SHRED, "x-1", detail=detail), acks)
        acks.wait(4 + len(ANSWER))
        journal.close()
        content = content_of(source)
        assert content.state is ContentState.SHREDDED
        assert "asked for" in content.words
        account = read_account(source, "x-1")
        assert account is not None
        assert account.shredded_ms
        assert (account.verdict, account.shredded_why) == ("answered", "asked for")

    def test_another_key_does_not_open_it(self, recorded, source: Source, tmp_path: Path) -> None:
        other = Source(source.store, source.spool, source.deployment, AuditKeys.load_or_create(tmp_path / "other"))
        assert content_of(other).state is ContentState.BROKEN


class TestChecks:
    def test_a_journal_has_no_signature_yet_and_a_sealed_segment_holds(self, recorded, log, source: Source) -> None:
        assert [check.state for check in check_exchange(source, "x-1")] == [CheckState.NOT_SEALED]
        recorded.close()
        log.ship()
        assert [check.state for check in check_exchange(source, "x-1")] == [CheckState.HOLDS]
        assert check_exchange(source, "x-2") == ()

    @pytest.mark.parametrize("part", [Part.EVIDENCE, Part.CONTENT], ids=["records", "transcripts"])
    def test_what_was_changed_does_not_hold(self, recorded, log, source: Source, part: Part) -> None:
        recorded.close()
        log.ship()
        (path,) = (path for path in log.store_path.rglob(f"*{part.value}") if not path.name.endswith(".keys.jsonl"))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
        (check, *_) = check_exchange(source, "x-1") or read_nothing()
        assert check.state is CheckState.BROKEN
        assert "ALTERED" in check.words


def read_nothing() -> tuple[()]:
    raise AssertionError("the exchange was not found")
