"""`extproc audit replay`: one exchange as a conversation, as events, or in words why there is nothing."""

import json
from types import SimpleNamespace

import msgspec
import pytest

from extproc.core.policy import DEFAULT_DENY, DEFAULT_DENY_TEXT
from extproc.core.record import ApprovalRef, EventCode, Measures, Outcome, PolicyRef
from extproc.core.trust import Masked

PROMPT = (
    b'{"model": "tiny", "messages": [{"role": "system", "content": "Be brief."},'
    b' {"role": "user", "content": "My card is [PAN]\\nright?"}]}'
)


def event(index: int, **delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": index, "delta": delta}]}).encode() + b"\n\n"


STREAM = [
    event(0, role="assistant", content="It"),
    event(1, content="No"),
    event(0, content=" is \x1b[2J")[:-7],
    event(0, content=" is \x1b[2J")[-7:] + event(1, content=" idea"),
    event(0, tool_calls=[{"index": 0, "function": {"name": "look", "arguments": '{"a": 1}'}}]),
    b"data: [DONE]\n\n",
]


@pytest.fixture
def recorded(log, record, acks):
    """Exchange `x-1`: a prompt, and an answer of two choices in a stream whose events are cut anywhere."""
    journal = log.open()
    content = journal.open_content("x-1")
    content.append("to_model", 1_000, Masked(PROMPT), acks)
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x-1", status=Outcome.SUCCEEDED), acks)
    for number, data in enumerate(STREAM):
        content.append("to_client", 11_000 + number * 10_000, Masked(data), acks)
    acks.wait(2 + len(STREAM))
    end = {"http_status": 200, "finish_reasons": ("stop",), "measures": Measures(input_tokens=3, output_tokens=4)}
    journal.append_record(record(EventCode.INFERENCE_END, "x-1", findings_request={"pan": 1}, **end), acks)
    acks.wait(3 + len(STREAM))
    yield journal
    journal.close()


def test_a_conversation_has_roles_texts_and_tool_calls(run, recorded) -> None:
    result = run("replay", "x-1", "--no-wait")
    assert result.exit_code == 0, result.output
    heading, *lines = result.stdout.splitlines()
    assert heading.endswith(" analyst chat tiny allow by rule analysts")
    assert lines == [
        "    0.000s system",
        "           Be brief.",
        "    0.000s user",
        "           My card is [PAN]",
        "           right?",
        "    0.000s parameters",
        "           {",
        '             "model": "tiny"',
        "           }",
        "    0.010s assistant",
        "           It is <U+001B>[2J",
        "    0.050s tool call look",
        '           {"a": 1}',
        "    0.020s assistant, answer 2",
        "           No idea",
        "completed, HTTP 200, 3 tokens in, 4 out, stop, pan: 1",
    ]


def test_a_conversation_as_json_has_whole_turns(run, recorded) -> None:
    turns = [json.loads(line) for line in run("replay", "x-1", "--json").stdout.splitlines()]
    assert [(turn["role"], turn["text"]) for turn in turns[3:]] == [
        ("assistant", "It is \x1b[2J"),
        ("assistant", "No idea"),
        ("tool call look", '{"a": 1}'),
        ("end", "completed, HTTP 200, 3 tokens in, 4 out, stop, pan: 1"),
    ]
    assert turns[4]["answer"] == 1
    assert "\x1b" not in run("replay", "x-1", "--json").stdout


@pytest.mark.parametrize("view", [(), ("--raw",)])
def test_it_takes_as_long_as_it_took(run, recorded, monkeypatch, view) -> None:
    """By the pauses that are asked for, so that a slow machine does not count."""
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    clock = SimpleNamespace(sleep=sleep, monotonic=lambda: now[0])
    monkeypatch.setattr("extproc.cli.audit_play.time", clock)
    run("replay", "x-1", "--speed", "0.5", *view)
    assert sum(slept) == pytest.approx(0.12 if view else 0.10)  # in a conversation the last event says nothing
    slept.clear()
    run("replay", "x-1", "--no-wait", *view)
    assert slept == []


def test_raw_shows_the_exact_events(run, recorded) -> None:
    pieces = [json.loads(line) for line in run("replay", "x-1", "--raw", "--json").stdout.splitlines()]
    assert [piece["data"].encode() for piece in pieces] == [PROMPT, *STREAM]


class TestNothingCrossed:
    def test_a_refused_exchange_says_why(self, run, log, record) -> None:
        journal = log.open()
        journal.append_record(
            record(
                EventCode.POLICY_DENY, "x-no", status=Outcome.REFUSED, status_detail="policy_denied", http_status=403
            )
        )
        journal.close()
        result = run("replay", "x-no")
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[1] == (
            "refused, HTTP 403: The rule analysts refused it. (policy_denied, rule analysts)."
            " Nothing crossed the boundary, so there is nothing to replay."
        )
        assert run("replay", "x-no", "--raw").stdout == result.stdout
        (line,) = run("replay", "x-no", "--json").stdout.splitlines()
        assert json.loads(line)["text"] == result.stdout.splitlines()[1]

    def test_a_denial_by_default_has_the_words_that_the_client_got(self, run, log, record) -> None:
        journal = log.open()
        policy = PolicyRef(digest="d", effect="deny", rule=DEFAULT_DENY)
        denied = record(EventCode.POLICY_DENY, "x-no", status=Outcome.REFUSED, status_detail="policy_denied")
        journal.append_record(msgspec.structs.replace(denied, policy=policy))
        journal.close()
        assert f"refused: {DEFAULT_DENY_TEXT} (policy_denied" in run("replay", "x-no").stdout

    def test_a_held_one_names_its_approval(self, run, log, record) -> None:
        journal = log.open()
        approval = ApprovalRef(id="apr-1", state="pending")
        journal.append_record(record(EventCode.APPROVAL_OPEN, "x-held", approval=approval))
        journal.close()
        words = run("replay", "x-held").stdout.splitlines()[1]
        assert words.startswith("held for approval apr-1. Nothing crossed the boundary")
        assert words.endswith("`extproc approvals show apr-1`.")

    def test_a_reason_of_another_version_is_shown_as_it_is(self, run, log, record) -> None:
        journal = log.open()
        journal.append_record(
            record(EventCode.REQUEST_REFUSE, "x-new", status=Outcome.REFUSED, status_detail="unheard_of")
        )
        journal.close()
        assert "refused: (unheard_of, rule analysts)" in run("replay", "x-new").stdout


def test_nothing_is_shown_when_the_reading_cannot_be_recorded(run, recorded, monkeypatch) -> None:
    def broken(fd: int) -> None:
        raise OSError("no")

    monkeypatch.setattr("os.fdatasync", broken)
    for arguments in (["list"], ["list", "--json"], ["show", "x-1"], ["replay", "x-1"], ["replay", "x-1", "--raw"]):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "nothing is shown" in result.stderr
