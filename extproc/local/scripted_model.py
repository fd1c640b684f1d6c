"""A language model of one layer that recites: a real GGUF for a real llama.cpp server, with answers known beforehand.

The network is a table of bigrams. Embeddings are one-hot and attention contributes nothing, so the last token alone
selects the next one. The last word of the prompt names a script; the script's pieces follow as tokens, with the borders
given here, then the end of the text. Greedy decoding makes it deterministic. No card number is a real one: all are
published test numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt

CONTEXT_TOKENS: Final = 8192
_HEADS = 4
_FEED_FORWARD = 128
_WIDTH_STEP = 128
"""The width of the model is a multiple of this: each head's share must suit llama.cpp's kernels."""
_CERTAIN = 3.0
"""The logit of the one token that follows; all others have 0, which greedy decoding never prefers."""

_END = "<|end|>"
_USER = "<|user|>"
_CALL = (
    "<tool_call>\n{\"name\": \"{{ call['function']['name'] }}\", "
    "\"arguments\": {{ call['function']['arguments'] | tojson }}}\n</tool_call>"
)
_TEMPLATE = (
    "{% if tools %}" + _USER + "{{ tools | tojson }}{% endif %}{% for m in messages %}"
    "{% if m['role'] in ('user', 'tool') %}" + _USER + "{{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] or '' }}"
    "{% for call in m['tool_calls'] or [] %}" + _CALL + "{% endfor %}" + _END + "{% endif %}{% endfor %}"
)
"""llama.cpp learns from it how this model calls tools: JSON between tags."""

_LONG = """
The tide tables in the harbour office are older than anyone who reads them. Each morning someone copies the day's
heights onto a slate by the door, and boats leave when the slate says they may. Nobody remembers who drew the first
chart, only that it was wrong by a hand's breadth and that a fisherman corrected it in pencil. His marks are still
there, faint between printed lines, and newer editions keep them without saying why. Visitors ask about weather,
prices, and whether gulls always gather early. Keepers answer politely, then go back to watching water climb stone. In
winter ice forms along northern walls while southern steps stay clear; in summer children fish from both. A bell hangs
above all of it, rung twice when fog arrives and once after it lifts. Some evenings musicians play under that bell,
slow songs with many verses, learned from sailors whose ships never wrote down their names. When rain interrupts,
everyone crowds inside among ropes, lanterns, and half-mended nets, where coffee simmers on an iron stove. Stories
grow longer there. One tells how lightning split an oak yet left its nest untouched; another claims whales once
answered the bell from beyond the headland. Truth matters less than rhythm, so listeners nod at proper moments. Later,
lamps dim, oars knock gently against hulls, and moonlight settles across quiet boards. By dawn fresh numbers appear on
slate again, chalk dust drifting like small snow, patient hands beginning ordinary work before gulls remember to
complain.
"""


def cut_pieces(text: str) -> tuple[str, ...]:
    """`text` in pieces of one word, or of as many as it takes to make each piece the only one of its kind."""
    seen: set[str] = set()
    pieces: list[str] = []
    piece = ""
    for word in text.split():
        piece += f" {word}" if pieces or piece else word
        if len(piece.encode()) > 1 and piece not in seen:
            seen.add(piece)
            pieces.append(piece)
            piece = ""
    if piece:
        pieces[-1] += piece
    return tuple(pieces)


SCRIPTS: Final[Mapping[str, tuple[str, ...]]] = {
    "card-please": (
        *("Of course.", " The customer", " paid with", " card 4", "111 11", "11 111", "1 1111"),
        *(", and the", " receipt went", " out the", " same day."),
    ),
    "cvv-please": (
        *("The file", " lists card", " 55", "55 55", "55 5555 4", "444, expiry", " 12/", "29, ", "CVV", " 7", "37"),
        *(". Nothing", " else is", " on that", " page."),
    ),
    "track-please": (
        *(
            "The reader",
            " returned %",
            "B4012",
            "88888",
            "8881881",
            "^DOE/",
            "JANE^",
            "2912",
            "10100",
            "00000",
            "0000?",
        ),
        *(" before it", " was unplugged."),
    ),
    "contact-please": (
        *("Write to", " jane", ".doe", "@exa", "mple", ".com or", " transfer to", " DE89", " 3704", " 0044", " 0532"),
        *(" 0130 ", "00; that", " is all."),
    ),
    "tool-please": (
        *("<tool_call>\n", '{"name"', ': "pay"', ', "arguments"', ': {"pan"', ': "4111 1', "111 1", "111 111", '1"'),
        *(', "amount"', ": 12}", "}\n", "</tool_call>"),
    ),
    "clean": ("Hello", ", this", " is a", " clean", " answer."),
    "utf8": ("Grüße", " 😀", " 日本", "語 und", " ein Ende"),
    "long": cut_pieces(_LONG),
}
"""The word that must end the user's message, and the pieces it calls up."""


def script_text(name: str) -> str:
    """What the model answers to a prompt that ends in `name`."""
    return "".join(SCRIPTS[name])


def _byte_alphabet() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte: itself where it prints, otherwise the next free code point from 256."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    stand_ins = {byte: chr(256 + index) for index, byte in enumerate(others)}
    return {byte: stand_ins.get(byte, chr(byte)) for byte in range(256)}


_ALPHABET = _byte_alphabet()


class Vocabulary:
    """Tokens in order of their ids, and which token follows which."""

    def __init__(self, scripts: Mapping[str, Sequence[str]]) -> None:
        self.tokens: list[str] = []
        self.types: list[int] = []
        self.follower: dict[int, int] = {}
        self.end = self._add(_END, gguf.TokenType.CONTROL)
        self._add(_USER, gguf.TokenType.CONTROL)
        keys = {name: self._add(name, gguf.TokenType.USER_DEFINED) for name in scripts}
        for character in _ALPHABET.values():
            self._add(character, gguf.TokenType.NORMAL)
        for name, pieces in scripts.items():
            last = keys[name]
            for piece in pieces:
                last = self._follow(last, piece)
            self.follower[last] = self.end

    def _add(self, token: str, kind: gguf.TokenType) -> int:
        self.tokens.append(token)
        self.types.append(int(kind))
        return len(self.tokens) - 1

    def _follow(self, last: int, piece: str) -> int:
        """A token for `piece` after `last`. Raises `ValueError` for a piece that would have two followers."""
        token = "".join(_ALPHABET[byte] for byte in piece.encode())
        if token in self.tokens:
            raise ValueError(f"the piece {piece!r} occurs twice, or is a single byte: cut the script differently")
        self.follower[last] = self._add(token, gguf.TokenType.NORMAL)
        return self.follower[last]


def _tensors(vocabulary: Vocabulary, width: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """One-hot embeddings in, a row for each follower out, and a block between that adds nothing."""
    count = len(vocabulary.tokens)
    embedding = np.eye(count, width, dtype=np.float32)
    output = np.zeros((count, width), np.float32)
    for token in range(count):
        output[vocabulary.follower.get(token, vocabulary.end), token] = _CERTAIN
    yield "token_embd.weight", embedding
    yield "output.weight", output
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        yield f"{name}.weight", np.ones(width, np.float32)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        yield f"blk.0.{name}.weight", np.zeros((width, width), np.float32)
    yield "blk.0.ffn_gate.weight", np.zeros((_FEED_FORWARD, width), np.float32)
    yield "blk.0.ffn_up.weight", np.zeros((_FEED_FORWARD, width), np.float32)
    yield "blk.0.ffn_down.weight", np.zeros((width, _FEED_FORWARD), np.float32)


def write_model(path: Path, scripts: Mapping[str, Sequence[str]] = SCRIPTS) -> None:
    """A GGUF file of a few MB at `path`, which llama.cpp loads. Raises `ValueError` when a piece is not unique."""
    vocabulary = Vocabulary(scripts)
    count = len(vocabulary.tokens)
    width = -(-count // _WIDTH_STEP) * _WIDTH_STEP
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("scripted")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // _HEADS)
    writer.add_vocab_size(count)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(["\u0120 t"])  # the loader wants one merge; it joins nothing that a script uses
    writer.add_bos_token_id(vocabulary.end)
    writer.add_eos_token_id(vocabulary.end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)
    for name, tensor in _tensors(vocabulary, width):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
