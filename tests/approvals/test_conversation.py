"""What an approver reads: everything in the request, and nothing that misleads the eye or the terminal."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.approvals.conversation import Turn, read_conversation
from extproc.core.printable import printable
from extproc.core.trust import Masked


def _read(document: Any) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in read_conversation(Masked(json.dumps(document).encode()))]


def test_a_chat_reads_as_a_conversation() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"card": "[PAN]"}'}}
    read = _read(
        {
            "model": "small",
            "max_tokens": 4000,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Pay with [PAN]."}, {"type": "image_url"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "done"},
            ],
        }
    )
    assert [role for role, _ in read] == ["system", "user", "assistant", "tool", "parameters"]
    assert read[0][1] == "Be brief."
    assert read[1][1].startswith("Pay with [PAN].\n")
    assert "image_url" in read[1][1]
    assert "pay" in read[2][1]
    assert "done" in read[3][1]
    assert "c1" in read[3][1]
    assert json.loads(read[4][1]) == {"model": "small", "max_tokens": 4000}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"prompt": "Say [PAN]"}, [("prompt", "Say [PAN]")]),
        ({"prompt": ["one", "two"]}, [("prompt", "one\ntwo")]),
        ({"input": "text", "instructions": "short"}, [("instructions", "short"), ("input", "text")]),
        ({"system": "s", "messages": [{"role": "user", "content": "u"}]}, [("system", "s"), ("user", "u")]),
        ({"messages": "not a list"}, [("parameters", '{\n  "messages": "not a list"\n}')]),
        (["text"], [("request", '[\n  "text"\n]')]),
        ({}, []),
    ],
)
def test_other_shapes(document: Any, expected: list[tuple[str, str]]) -> None:
    assert _read(document) == expected


@pytest.mark.parametrize("preview", [b"plain [PAN]", b"", b'{"cut":', b"[" * 100_000])
def test_what_is_not_json_is_shown_as_it_is(preview: bytes) -> None:
    assert read_conversation(Masked(preview)) == (Turn("request", preview.decode()),)


def test_what_steers_a_terminal_or_reorders_text_is_shown_by_number() -> None:
    assert printable("a\x1b[2J\u202eb\u200bc\ud800\n\td") == "a<U+001B>[2J<U+202E>b<U+200B>c<U+D800>\n\td"
    assert printable("größe 日本 👩‍💻") == "größe 日本 👩‍💻"
    assert read_conversation(Masked(b"\xff\x1b"))[0].text == "\\xff<U+001B>"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "text", "type", "messages", "input", "prompt", "system", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["messages", "input", "prompt", "suffix", "system", "instructions", "model"]), _JSON
    ),
    st.text("abcdefgh", min_size=6, max_size=6),
)
def test_no_text_of_the_request_is_left_out(document: dict[str, Any], marker: str) -> None:
    count = 0

    def mark(value: Any) -> Any:
        nonlocal count
        match value:
            case str():
                count += 1
                return f"{marker}{count}."
            case list():
                return [mark(item) for item in value]
            case dict():
                return {key: mark(item) for key, item in value.items()}
            case _:
                return value

    marked = mark(document)
    shown = "\n".join(turn.role + "\n" + turn.text for turn in read_conversation(Masked(json.dumps(marked).encode())))
    assert [number for number in range(1, count + 1) if f"{marker}{number}." not in shown] == []
