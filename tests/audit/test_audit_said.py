"""What an answer said, for a person to read: every text of every surface is there, cut into pieces in any way."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from extproc.audit.reading.answer_stream import AnswerReader
from extproc.audit.reading.said import Said

SURFACES = Path(__file__).parents[1] / "core" / "dialects" / "surfaces"


def table() -> list[dict[str, Any]]:
    return [
        surface for path in sorted(SURFACES.glob("*.toml")) for surface in tomllib.loads(path.read_text())["surface"]
    ]


def streams() -> list[Any]:
    return [
        pytest.param(stream, id=f"{surface['name']}: {stream['name']}")
        for surface in table()
        for stream in surface.get("stream", [])
        if stream["name"] != "answers of a batch"  # each line is an answer of its own
    ]


def read(data: bytes, size: int) -> list[Said]:
    reader = AnswerReader()
    said = [one for at in range(0, len(data), size) for one in reader.feed(data[at : at + size])]
    return said + reader.finish()


def joined(said: list[Said]) -> dict[tuple[int, str], str]:
    texts: dict[tuple[int, str], str] = {}
    for voice, role, text, _ in said:
        texts[voice, role] = texts.get((voice, role), "") + text
    return texts


@pytest.mark.parametrize("stream", streams())
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_a_streamed_text_is_joined(stream: dict[str, Any], size: int) -> None:
    pieces = [stream.get("start", "")]
    texts = []
    for at, text in enumerate(stream["text"]):
        words = [f"w{at}a ", f"w{at}b ", f"w{at}c"]
        pieces += [text["delta"].replace("§", word).replace("№", str(at)) for word in words]
        texts.append("".join(words))
    pieces.append(stream.get("last", "").replace("§", "").replace("№", "9"))
    said = joined(read("".join(pieces).encode(), size))
    for text in texts:
        assert any(text in one for one in said.values()), (text, said)


BESIDE_THE_ANSWER = {
    "Anthropic messages": {5},
    "OpenAI completions": {1},
    "OpenAI Responses": {0, 1},
    "llama.cpp completion": {1, 2, 3, 4},
    "SGLang generate": {1},
    "detokenize": {0},
}
"""Stop strings, settings and prompts that an answer gives back: `--raw` shows them."""


@pytest.mark.parametrize("surface", [pytest.param(s, id=s["name"]) for s in table() if "§" in s.get("answer", "")])
def test_a_whole_answer_says_every_text(surface: dict[str, Any]) -> None:
    parts = surface["answer"].split("§")
    words = [f"w{at}w" for at in range(len(parts) - 1)]
    document = "".join(part + word for part, word in zip(parts, [*words, ""], strict=True))
    said = "\n".join(one.text for one in read(document.encode(), 11))
    assert {at for at, word in enumerate(words) if word not in said} == BESIDE_THE_ANSWER.get(surface["name"], set())


def test_roles_tell_who_said_what() -> None:
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "hm"}}]},
        {"choices": [{"index": 0, "delta": {"content": "Hel"}}]},
        {"choices": [{"index": 1, "delta": {"content": "Bye"}}]},
        {"choices": [{"index": 0, "delta": {"content": "lo"}}]},
        {
            "choices": [
                {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": ""}}]}}
            ]
        },
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}}]},
    ]
    data = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    assert joined(read(data, 5)) == {
        (0, "assistant, thinking"): "hm",
        (0, "assistant"): "Hello",
        (1, "assistant"): "Bye",
        (0, "tool call look"): ' {"a":1}',
    }


@pytest.mark.parametrize(
    "data",
    [
        b"plain words\xff, a card [PAN]\n",
        b'{"cut": "of',
        b"data: not json\n\n",
        b'{"unheard": ["of"]}',
        b"[1, 2]",
        b'"x"',
        "\uff01 wide, \ufeff marked".encode(),
        b"id: 7 is the number\nand this is a text\n\n",
    ],
)
def test_what_is_not_understood_is_said_as_it_is(data: bytes) -> None:
    for size in (1, 1000):
        said = read(data, size)
        assert {one.role for one in said} == {"answer"}
        words = data.removeprefix(b"data: ").decode("utf-8", "backslashreplace").split()
        assert "".join("".join(one.text for one in said).split()) == "".join(words)


def test_nothing_says_nothing() -> None:
    assert joined(read(b"\xef\xbb\xbf" + b'{"content": "x"}', 1)) == {(0, "assistant"): "x"}
    assert read(b"", 1) == read(b" \n", 1) == read(b": comment\n\n", 3) == []


@pytest.mark.parametrize(
    ("event", "around"),
    [(b'data: {"content": "word"}\n\n', b""), (b'{"content": "word"}\n', b""), (b"word ", b""), (b'"word", ', b"[")],
    ids=["events", "lines", "text", "document"],
)
@pytest.mark.parametrize("size", [10, 1 << 30])
def test_time_grows_with_the_answer(event: bytes, around: bytes, size: int, seconds_of) -> None:
    def run(count: int) -> float:
        data = around + event * count
        return seconds_of(lambda: read(data, size))

    run(1_000)
    assert run(16_000) < 16 * max(run(4_000), 0.002)
