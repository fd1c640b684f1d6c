"""Texts of any length and JSON, masked piece by piece with a note of each place: the same engine, the same result."""

import json
import random
import re
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from extproc.core.masking import explain
from extproc.core.masking.explain import LOOK_AHEAD, LOOK_BACK, Explainer
from extproc.core.masking.mask import LABELS
from extproc.core.masking.note import Note
from extproc.core.masking.noted import NotedScanner, NotedText
from extproc.core.masking.noted_json import NO_INTEGER, PADDED, NotJson, mask_documents, read_documents
from extproc.core.masking.settings import Kind, MaskingSettings
from extproc.core.reasons import Malformed

SCANNER = NotedScanner(MaskingSettings())
EXPLAINER = Explainer(SCANNER)
PAN = 4111111111111111


def send(chunks: list[str], explainer: Explainer | None) -> tuple[str, list[Note]]:
    noted = NotedText(SCANNER.masker(), explainer)
    pieces = [*(noted.feed(chunk) for chunk in chunks), noted.finish()]
    return "".join(piece.text for piece in pieces), [note for piece in pieces for note in piece.notes]


def replaced(text: str, notes: list[Note]) -> str:
    """JSON text with a label for each note; where it stands in no string, in quotes."""
    strings = [match.span() for match in re.finditer(r'"(?:[^"\\]|\\.)*"', text)]
    parts, at = [], 0
    for note in notes:
        quote = "" if any(begin < note.start < end for begin, end in strings) else '"'
        parts += (text[at : note.start], quote, LABELS[Kind(note.kind)], quote)
        at = note.end
    return "".join([*parts, text[at:]])


def mask_text_of_json(text: str, explainer: Explainer | None = None) -> tuple[str, list[Note]]:
    pieces = list(mask_documents(text, SCANNER.masker(), explainer))
    return "".join(piece.text for piece in pieces), [note for piece in pieces for note in piece.notes]


def test_every_cut_gives_the_masked_whole_and_the_places(nasty: str, cuts: Callable[[str], list[list[str]]]) -> None:
    expected = [(one.start, one.end, str(one.kind)) for one in SCANNER.find(nasty)]
    for chunks in cuts(nasty):
        masked, notes = send(chunks, None)
        assert masked == SCANNER.masker().mask_text(nasty)
        assert [(note.start, note.end, note.kind) for note in notes] == expected, chunks


@pytest.mark.parametrize("seed", range(4))
def test_a_long_text_is_explained_as_it_is_whole(seed: int, corpus: list[str]) -> None:
    rng = random.Random(seed)
    texts = rng.choices(corpus, k=400)
    text = "".join(one + rng.choice([" ", "\n", ", and then ", " word " * 60]) for one in texts)
    whole = EXPLAINER.explain(text, [Note(one.start, one.end, str(one.kind)) for one in SCANNER.find(text)])
    at, chunks = 0, []
    while at < len(text):
        size = rng.choice([1, 7, 100, 3000])
        chunks.append(text[at : at + size])
        at += size
    masked, notes = send(chunks, EXPLAINER)
    assert masked == SCANNER.masker().mask_text(text)
    assert notes == whole


def test_no_more_text_is_kept_than_an_explanation_reads() -> None:
    noted = NotedText(SCANNER.masker(), EXPLAINER)
    told = 0
    for _ in range(200):
        told += len(noted.feed("card 4111 1111 1111 1111 and order 1700000000123 " * 20).notes)
        assert len(noted._window) <= 2000 + LOOK_AHEAD + LOOK_BACK
        assert len(noted._masked) <= 100
    assert told + len(noted.finish().notes) == 200 * 40


# JSON value -> why, of each note
JSON_WHY: list[tuple[object, list[str]]] = [
    ({"cvv": 123, "cvc": "456"}, [explain.BY_KEY, explain.BY_KEY]),
    ({"card_number": "1234567812345678"}, [f"{explain.BY_KEY}; 16 digits, written in one group"]),
    ({"cardholder": " Jane", "pin_block": 5}, [explain.BY_KEY, explain.BY_KEY]),
    ({"a": 1700000000123, "b": 4111111111111112}, [explain.NO_IIN, "16 digits as of visa: the check digit is wrong"]),
    ({"a": 0.4111111111111111, "b": 2**70, "c": 1.5}, [NO_INTEGER, explain.TOO_LONG]),
    ({"arguments": '{"cvv": 123}', "x": "cvv 123"}, [explain.BY_KEY, "after the word `cvv`"]),
]


@pytest.mark.parametrize(("value", "why"), JSON_WHY, ids=lambda value: ascii(value)[:40])
def test_the_words_on_json_are_those_written_here(value: object, why: list[str]) -> None:
    assert [note.why for note in mask_text_of_json(json.dumps(value), EXPLAINER)[1]] == why


def test_zeros_around_a_pan_are_named() -> None:
    text = f"[{PAN}.{'0' * 80}]"
    assert mask_text_of_json(text, EXPLAINER) == ('["[PAN]"]', [Note(1, len(text) - 1, "pan", PADDED)])


def test_lines_of_json_are_each_a_document() -> None:
    text = f'\ufeff{{"a": {PAN}}}\n{{"cvv" : 123}}\r\n\n[5, 4111111111111111]["4111\\u00201111 1111 1111"]\n'
    masked, notes = mask_text_of_json(text)
    assert masked == '\ufeff{"a": "[PAN]"}\n{"cvv" : "[CVV]"}\r\n\n[5, "[PAN]"]["[PAN]"]\n'
    assert [text[note.start : note.end] for note in notes] == [
        *(str(PAN), "123", str(PAN), "4111\\u00201111 1111 1111"),
    ]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ('{"a": 1', 7),
        ("4111 1111, x", 9),
        ("4111 1111 1111 1111", 0),
        ('{"a": 4111}\n1111', 12),
        ('{"a": NaN}', 0),
        ("[1]\n[4111111111111111", 21),
        ("'a'", 0),
        ('"\n"', 1),
        ("[" * 100_000, 0),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_what_is_no_json_is_refused_with_its_place_alone(text: str, offset: int) -> None:
    with pytest.raises(NotJson) as refused:
        read_documents(text)
    assert refused.value.offset == offset
    assert str(refused.value) == "not JSON"
    assert refused.value.__context__ is None or refused.value.__suppress_context__


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(Malformed):
        mask_text_of_json("[" * 65 + "]" * 65)


def test_arguments_that_are_no_json_are_masked_as_the_service_does() -> None:
    value = {"arguments": "{cvv: 123, 'b': '4111 1111 1111 1111'", "n": {"arguments": ["[4111111111111111]", 5]}}
    text = json.dumps(value)
    masked, notes = mask_text_of_json(text)
    assert json.loads(masked) == SCANNER.masker().mask_value(value)
    assert [note.kind for note in notes] == ["security_code", "pan", "pan"]
    assert text[notes[0].start : notes[0].end] == json.dumps(value["arguments"])[1:-1]


cards = st.sampled_from(["4111111111111111", "4242 4242 4242 4242", "1234567812345678", "123", "41", "12/28", ";", "="])
words = st.sampled_from(["cvv ", "card number ", "x", "\u00e9", '"', "\\", "\n", " ", "\U0001d7d2", "/", "{", "\ud83d"])
strings = st.lists(cards | words, max_size=4).map("".join)
keys = strings | st.sampled_from(
    ["cvv", "pan", "value", "a", "id", "pin", "cardholder", "track2data", "exp_month", "arguments", "partial_json"]
)
numbers = st.sampled_from([PAN, 4242424242424242, 1234567812345678, 123, 7, 12345, 4.111111111111111e15, 1.5, -PAN])
leaves = strings | numbers | st.booleans() | st.none() | st.integers() | strings.map(lambda s: json.dumps({"cvv": s}))
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)


def keys_stay_apart(value: object) -> bool:
    if isinstance(value, dict):
        names = [SCANNER.masker().mask_text(key) for key in value]
        return len(set(names)) == len(names) and all(map(keys_stay_apart, value.values()))
    return all(map(keys_stay_apart, value)) if isinstance(value, list) else True


def rows_stay_apart(value: object) -> bool:
    """Whether no element of an array is masked for what stands beside it, which JSON text is not read for."""
    if isinstance(value, dict):
        return all(map(rows_stay_apart, value.values()))
    if not isinstance(value, list):
        return True
    alone = [SCANNER.masker().mask_value(each) for each in value]
    return SCANNER.masker().mask_value(value) == alone and all(map(rows_stay_apart, value))


@settings(max_examples=300)
@given(values, st.booleans(), st.sampled_from([None, 1]))
@example({"arguments": "4242 4242 4242 4242"}, True, None)
@example([{"arguments": None}, "4111111111111111"], True, None)
@example({"arguments": [{"a": 1}, "4111111111111111"]}, True, None)
def test_json_is_masked_as_its_value_is(value: object, ascii_only: bool, indent: int | None) -> None:
    assume(keys_stay_apart(value) and rows_stay_apart(value))
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    plain = SCANNER.masker()
    expected = plain.mask_value(value)
    masked, notes = mask_text_of_json(text)
    assert json.loads(masked) == expected
    assert {note.kind: sum(one.kind == note.kind for one in notes) for note in notes} == plain.findings
    again, explained = mask_text_of_json(text, EXPLAINER)
    assert again == masked
    assert [(n.start, n.end, n.kind) for n in explained if n.kind] == [(n.start, n.end, n.kind) for n in notes]
    assert all(note.why for note in explained)
    if not re.search("arguments|partial_json", text):
        assert replaced(text, notes) == masked
