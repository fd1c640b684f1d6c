"""Forms: fields and text files are masked, other files are media, and what parsers may read differently is refused."""

import re
from collections.abc import Callable
from itertools import product

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.dialects.form import FormRequest
from extproc.core.dialects.multipart import Part, parse_multipart, write_multipart
from extproc.core.dialects.request import parse_request
from extproc.core.masking.settings import Media
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

CARD = "4111 1111 1111 1111"
SOUND = b"RIFF\xff\xfe\x00" + b"4111111111111111"
TYPE = "multipart/form-data; boundary=b"


def encoded(data: dict[str, object], files: dict[str, tuple[str, bytes, str]]) -> tuple[str, bytes]:
    """As a client sends it."""
    request = httpx.Request("POST", "http://model.test/", data=data, files=files)
    return request.headers["content-type"], request.read()


def parsed(content_type: str, body: bytes, media: Media = Media.OPAQUE) -> FormRequest:
    request = parse_request(Operation.GENERATE, content_type, body, Limits(), media)
    assert isinstance(request, FormRequest)
    return request


def refusal(content_type: str, body: bytes, media: Media = Media.OPAQUE) -> Reason:
    with pytest.raises(Malformed) as refused:
        parsed(content_type, body, media)
    assert refused.value.__context__ is None, "an exception that carries the payload is chained"
    return refused.value.reason


def parts_of(content_type: str, body: bytes) -> dict[str, bytes]:
    return {part.name: part.content for part in parse_multipart(content_type, body)}


def test_a_transcription_keeps_its_sound_and_has_its_fields_masked(make_masker: Callable) -> None:
    fields = {"model": "whisper", "prompt": f"about {CARD}", "stream": "true", "n": "2", "cvv": "737"}
    kind, body = encoded(fields, {"file": (f"{CARD}.wav", SOUND, "audio/wav")})
    assert refusal(kind, body, Media.DENY) is Reason.BODY_NOT_INSPECTABLE
    request = parsed(kind, body)
    assert (request.facts.model, request.facts.stream, request.facts.choices) == ("whisper", True, 2)
    assert request.not_inspected == {"audio": 1}
    masked = request.mask(make_masker())
    assert parts_of(kind, masked.body) == {
        "model": b"whisper", "prompt": b"about [PAN]", "stream": b"true", "n": b"2", "cvv": b"[CVV]", "file": SOUND,
    }  # fmt: skip
    assert CARD.encode() not in masked.body
    assert b'filename="[PAN].wav"' in masked.body
    assert b"Content-Type: audio/wav" in masked.body


def test_a_clean_form_goes_on_byte_for_byte(make_masker: Callable) -> None:
    kind, body = encoded({"model": "m", "purpose": "assistants"}, {"file": ("a.txt", b"nothing here\n", "text/plain")})
    masked = parsed(kind, body, Media.DENY).mask(make_masker())
    assert masked.body is body
    assert not masked.changed


@pytest.mark.parametrize(
    ("content", "masked"),
    [
        (f"one {CARD}\ntwo".encode(), b"one [PAN]\ntwo"),
        (b"4111 1111\n1111 1111 x", None),
        (f'{{"custom_id": "a", "body": {{"prompt": "{CARD}"}}}}\n{{"cvv": 737}}\n'.encode(), b'{"custom_id": "a", "body": {"prompt": "[PAN]"}}\n{"cvv": "[CVV]"}\n'),
        (b'{\n "cvv":\n  737,\n "n": 1\n}', b'{\n "cvv":\n  "[CVV]",\n "n": 1\n}'),
        (b'{"a": "\\u0034111111111111111"}', b'{"a": "[PAN]"}'),
        (b'{"p": ["4111", "1111", "1111", "1111"]}\n{"q":1}', b'{"p":["[PAN]","","",""]}\n{"q":1}'),
        (b'{"p": "NDExMTExMTExMTExMTExMQ==", "q": [{"text": "pay 4111 1111"}, {"text": "1111 1111, ok"}]}', b'{"p":"[PAN]","q":[{"text":"pay [PAN]"},{"text":", ok"}]}'),
        (b'{"arguments": "{\\"cvv\\": 737}"}', b'{"arguments":"{\\"cvv\\": \\"[CVV]\\"}"}'),
        (b"{ not json 4111111111111111", b"{ not json [PAN]"),
        (b'\xef\xbb\xbf{"cvv":737,"x":"4\\u003111111111111111"}', b'\xef\xbb\xbf{"cvv":"[CVV]","x":"[PAN]"}'),
        (b'\xef\xbb\xbf{"n":1}\n\xef\xbb\xbf{"cvv":737}', b'\xef\xbb\xbf{"n":1}\n\xef\xbb\xbf{"cvv":"[CVV]"}'),
        (b'[\n{"pan": "4111111111111111"},\n{"cvv": "737"}\n]', b'[\n{"pan": "[PAN]"},\n{"cvv": "[CVV]"}\n]'),
        (b'a = [\n{"pan": "4111111111111111"}, // one\n]', b'a = [\n{"pan": "[PAN]"}, // one\n]'),
        (b"{% if 1 %}4111111111111111\n{{ n }}\n[1] a note", b"{% if 1 %}[PAN]\n{{ n }}\n[1] a note"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png"])
def test_a_file_that_is_text_is_masked_whatever_it_says_it_is(
    content: bytes, masked: bytes | None, kind: str, make_masker: Callable
) -> None:
    content_type, body = encoded({"purpose": "batch"}, {"file": ("batch.jsonl", content, kind)})
    request = parsed(content_type, body, Media.DENY)
    assert request.not_inspected == {}
    expected = make_masker().mask_text(content.decode()).encode() if masked is None else masked
    masker = make_masker()
    assert parts_of(content_type, request.mask(masker).body)["file"] == expected
    assert sum(masker.findings.values()) == len(re.findall(rb"\[[A-Z]+\]", expected))


def test_the_requests_of_a_batch_may_carry_no_more_than_others() -> None:
    lines = (
        b'{"body": {"prompt": [1, 2, 3]}}',
        b'{"a": 1} {"body": {"prompt": [1, 2, 3]}}',
        b'{"input_ids": [1]}',
        b'{"body": {"images": ["AAAA"]}}',
    )
    for line, end in product(lines, (b"\n", b"\r", b"\n\xef\xbb\xbf")):
        kind, body = encoded(
            {"purpose": "batch"}, {"file": ("b.jsonl", b'{"body": {}}' + end + line, "application/jsonl")}
        )
        assert refusal(kind, body, Media.DENY) is Reason.BODY_NOT_INSPECTABLE


@pytest.mark.parametrize(
    "line",
    [
        b'{"body": {"prompt": "a", "prompt": [1, 2, 3]}}',
        b'{"x": NaN, "body": {"prompt": [1, 2, 3]}}',
        b'{"x": 1e999, "body": {"prompt": [1, 2, 3]}}',
        b'{"x": "\\ud800", "body": {"prompt": [1, 2, 3]}}',
        b'{"x": "a\tb", "body": {"prompt": [1, 2, 3]}}',
        b'{"x": ' + b"1" * 5000 + b"." + b'5, "x": 1, "body": {}}',
        b'{"body": {"messages": [{"role": "user", "content": "x", "Images": ["AAAA"]}]}}',
        b'{"a": 1} {"body": 1, "body": {"prompt": [1, 2, 3]}}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\n\xef\xbb\xbf"])
def test_the_requests_of_a_batch_have_one_meaning(line: bytes, end: bytes) -> None:
    kind, body = encoded({"purpose": "batch"}, {"file": ("b.jsonl", b'{"body": {}}' + end + line, "application/jsonl")})
    assert refusal(kind, body, Media.DENY) is Reason.BODY_MALFORMED


@pytest.mark.parametrize("content", [b"{}", b"{}\n"])
def test_a_batch_of_too_many_objects_is_refused(content: bytes) -> None:
    few, many = (encoded({}, {"file": ("b", content * count, "text/plain")}) for count in (999, 1001))
    parse_request(Operation.UNKNOWN, *few, Limits(max_scan_steps=15_000))
    with pytest.raises(Malformed) as refused:
        parse_request(Operation.UNKNOWN, *many, Limits(max_scan_steps=15_000))
    assert refused.value.reason is Reason.BODY_TOO_COSTLY


def test_what_asks_for_words_and_tokens_is_stripped(make_masker: Callable) -> None:
    kind, body = encoded(
        {"model": "m", "timestamp_granularities[]": ["word", "segment"], "include[]": "logprobs", "logprobs": "5"},
        {"file": ("a.wav", SOUND, "audio/wav")},
    )
    request = parsed(kind, body)
    assert request.stripped == ("timestamp_granularities[]", "timestamp_granularities[]", "include[]", "logprobs")
    assert parts_of(kind, request.mask(make_masker()).body) == {"model": b"m", "file": SOUND}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stream": "yes"}, Reason.BODY_MALFORMED),
        ({"n": "two"}, Reason.BODY_MALFORMED),
        ({"n": "-1"}, Reason.BODY_MALFORMED),
        ({"Model": "m"}, Reason.BODY_MALFORMED),
        ({"model": ["a", "b"]}, Reason.BODY_MALFORMED),
        ({"tools": "[]"}, Reason.BODY_MALFORMED),
        ({"input_ids": "1"}, Reason.BODY_NOT_INSPECTABLE),
        ({"a b": "1"}, Reason.BODY_MALFORMED),
    ],
)
def test_a_judged_field_has_one_meaning(fields: dict[str, object], reason: Reason) -> None:
    assert refusal(*encoded(fields, {"file": ("a.txt", b"x", "text/plain")})) is reason


def named(name: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nx\r\n--b--\r\n'.encode()


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        ("card[cvv]", b"737", b"[CVV]"),
        ("cvv[]", b"737", b"[CVV]"),
        ("cvv[0]", b"737", b"[CVV]"),
        ("order[cid]", b"737", b"[CVV]"),
        ("card[number]", b"1234567890123456", b"[PAN]"),
        ("cards[0][pan][]", b"1234567890123456", b"[PAN]"),
        ("card[pin]", b"1234", b"[PIN]"),
        ("card[exp][month]", b"12", b"[EXPIRY]"),
        ("a[b][c][d][e][f][g][h][i][card][cvv]", b"737", b"[CVV]"),
        ("order[number]", b"1234567890123456", b"1234567890123456"),
        ("0", b"737", b"737"),
        ("[]", b"737", b"737"),
    ],
)
def test_a_name_in_brackets_announces_as_the_document_that_it_spells(
    name: str, value: bytes, masked: bytes, make_masker: Callable
) -> None:
    body = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n--b--\r\n"
    assert parts_of(TYPE, parsed(TYPE, body).mask(make_masker()).body) == {name: masked}


@pytest.mark.parametrize("name", ["%34111111111111111.wav", "a%204111%201111%201111%201111.wav"])
def test_a_file_name_is_masked_as_it_is_read(name: str, make_masker: Callable) -> None:
    assert b"[PAN].wav" in parsed(TYPE, named(name)).mask(make_masker()).body


@pytest.mark.parametrize("name", ["%2534111111111111111.wav", "a%25204111%25201111%25201111%25201111.wav"])
def test_a_file_name_hides_nothing_in_escapes_of_escapes(name: str, make_masker: Callable) -> None:
    with pytest.raises(Malformed):
        parsed(TYPE, named(name)).mask(make_masker())


@pytest.mark.parametrize("name", ["4111111111111111", "model"])
def test_a_finding_in_a_name_is_refused(name: str, make_masker: Callable) -> None:
    body = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nm-{CARD}\r\n--b--\r\n'.encode()
    with pytest.raises(Malformed) as refused:
        parsed(TYPE, body).mask(make_masker())
    assert refused.value.reason is Reason.BODY_NOT_INSPECTABLE


@pytest.mark.parametrize(
    "boundary", ["4111111111111111", "----4111-1111-1111-1111", '"4111 1111 1111 1111"', "x-cvv-737"]
)
def test_a_finding_in_the_boundary_is_refused(boundary: str, make_masker: Callable) -> None:
    line = f"--{boundary.strip(chr(34))}"
    body = f'{line}\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n{line}--\r\n'.encode()
    with pytest.raises(Malformed) as refused:
        parsed(f"multipart/form-data; boundary={boundary}", body).mask(make_masker())
    assert refused.value.reason is Reason.BODY_MALFORMED


@pytest.mark.parametrize("kind", ["text/plain; v=4111111111111111", "card/4111111111111111", "text/plain; cvv=737"])
@pytest.mark.parametrize("file", ["", '; filename="a.txt"'])
def test_a_finding_in_the_type_of_a_part_is_refused(kind: str, file: str, make_masker: Callable) -> None:
    head = f'--b\r\nContent-Disposition: form-data; name="a"{file}\r\nContent-Type: {kind}\r\n\r\n'
    with pytest.raises(Malformed) as refused:
        parsed(TYPE, head.encode() + b"x\r\n--b--\r\n").mask(make_masker())
    assert refused.value.reason is Reason.BODY_NOT_INSPECTABLE


HEAD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
SOUND_FORM = HEAD + b"x\r\n--b--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"--b--\r\n",
        b"preamble\r\n" + SOUND_FORM,
        SOUND_FORM + b"epilogue",
        SOUND_FORM[:-4],
        SOUND_FORM.replace(b"\r\n", b"\n"),
        HEAD + b"x\n--b\n" + HEAD[3:] + b"y\r\n--b--\r\n",
        HEAD + b"x--b\r\n--b--\r\n",
        HEAD + b"x\r\n--b \r\n--b--\r\n",
        HEAD + b"x\r\n--bb\r\n--b--\r\n",
        b"--b\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="a"; name="b"\r\n\r\nx\r\n--b--\r\n',
        b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="a"; filename*=utf-8\'\'x\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Length: 9\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="a"; filename="\xff"\r\n\r\nx\r\n--b--\r\n',
        HEAD + b"\xff\r\n--b--\r\n",
        b"--b\r\n" * 300 + b"--b--",
    ],
)  # fmt: skip
def test_a_form_that_parsers_may_cut_differently_is_refused(body: bytes) -> None:
    assert refusal(TYPE, body) is Reason.BODY_MALFORMED


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="a "', "multipart/form-data; boundary=b; charset=x", "multipart/form-data; boundary=a; boundary=b"],
)  # fmt: skip
def test_a_boundary_is_named_once(content_type: str) -> None:
    assert refusal(content_type, SOUND_FORM) is Reason.BODY_TYPE_UNSUPPORTED


def test_other_operations_take_no_form() -> None:
    for operation in (Operation.CHAT, Operation.EMBEDDINGS, Operation.RESPONSES, Operation.MODEL_ADMIN):
        with pytest.raises(Malformed) as refused:
            parse_request(operation, TYPE, SOUND_FORM, Limits(), Media.OPAQUE)
        assert refused.value.reason is Reason.BODY_TYPE_UNSUPPORTED


PARTS = st.builds(
    Part,
    st.sampled_from(["a", "file", "x[]"]),
    st.sampled_from([None, "", "a.txt", "caf\u00e9 1.pdf"]),
    st.sampled_from(["", "text/plain", "application/json; charset=utf-8"]),
    st.binary(max_size=40),
)


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_what_is_written_reads_as_it_was(parts: list[Part]) -> None:
    kind = "multipart/form-data; boundary=0123456789abcdef"
    assert parse_multipart(kind, write_multipart(kind, parts)) == parts


@given(st.binary(max_size=120))
def test_any_bytes_are_a_form_or_refused(tail: bytes) -> None:
    for body in (tail, HEAD + tail, HEAD + tail + b"\r\n--b--\r\n"):
        try:
            parts = parse_multipart(TYPE, body)
        except Malformed:
            continue
        assert parse_multipart(TYPE, write_multipart(TYPE, parts)) == parts
