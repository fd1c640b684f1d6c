"""Decoded JSON, and JSON as it streams: it stays JSON, and key names are understood."""

import json
from collections.abc import Callable, Iterable, Iterator

import jiter
import pytest
from chunk_invariance import assert_chunk_invariant
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.json_channel import MAX_DEPTH
from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings, Style
from extproc.core.reasons import Malformed, Reason
from extproc.core.trust import Secret

KEY = MaskKey("k1", Secret("0" * 64))
LABEL = Scanner(MaskingSettings())
NUMBERED = Scanner(MaskingSettings(request_styles={"pan": Style.NUMBERED}))
PAN = 4111111111111111

# value -> masked value
VALUES: list[tuple[object, object]] = [
    ({"pan": PAN}, {"pan": "[PAN]"}),
    ({"a": [PAN, 1, True, None]}, {"a": ["[PAN]", 1, True, None]}),
    ({"a": 4.111111111111111e15}, {"a": "[PAN]"}),
    ({"a": -PAN}, {"a": "[PAN]"}),
    ({"a": 2**70, "b": PAN}, {"a": 2**70, "b": "[PAN]"}),
    ({"a": float("nan"), "b": "4111 1111 1111 1111"}, {"a": float("nan"), "b": "[PAN]"}),
    ({"4111111111111111": 1}, {"[PAN]": 1}),
    ({"4111111111111111": 1, "4242424242424242": 2}, {"[PAN]": 1, "[PAN] (2)": 2}),
    ({"cvv": 123}, {"cvv": "[CVV]"}),
    ({"CVC2": "123"}, {"CVC2": "[CVV]"}),
    ({"security_code": 7}, {"security_code": "[CVV]"}),
    ({"cardCvv": " 123 "}, {"cardCvv": " [CVV] "}),
    ({"cvv": {"value": 123}}, {"cvv": {"value": "[CVV]"}}),
    ({"cvv": ["123", 456]}, {"cvv": ["[CVV]", "[CVV]"]}),
    ({"cvv": {"type": "string", "maxLength": 4}}, {"cvv": {"type": "string", "maxLength": 4}}),
    ({"cvv": None, "cvc": True, "csc": "none"}, {"cvv": None, "cvc": True, "csc": "none"}),
    ({"card_number": "1234567812345678"}, {"card_number": "[PAN]"}),
    ({"cardNumber": 1234567812345678}, {"cardNumber": "[PAN]"}),
    ({"billing-card-number": "1234 5678 1234 5678"}, {"billing-card-number": "[PAN]"}),
    ({"company": 1234567812345678, "japan": 123}, {"company": 1234567812345678, "japan": 123}),
    ({"created": 1700000000, "created_ms": 1700000000123}, {"created": 1700000000, "created_ms": 1700000000123}),
    ({"arguments": '{"pan": 4111111111111111}'}, {"arguments": '{"pan": "[PAN]"}'}),
    # whole values, by their key
    ({"cardholder_name": "Jane Q. Doe"}, {"cardholder_name": "[CARDHOLDER]"}),
    ({"nameOnCard": ["Jane", "Doe"], "name": "Jane"}, {"nameOnCard": ["[CARDHOLDER]"] * 2, "name": "Jane"}),
    ({"card_holder": {"value": "Doe", "type": "string"}}, {"card_holder": {"value": "[CARDHOLDER]", "type": "string"}}),
    (
        {"cardholder": " \n", "holderName": None, "ccname": True},
        {"cardholder": " \n", "holderName": None, "ccname": True},
    ),
    ({"pin_block": "0412AC89ABCDEF67", "PINBlock": 412}, {"pin_block": "[PIN_BLOCK]", "PINBlock": "[PIN_BLOCK]"}),
    (
        {"track2Data": "4111", "emv_tag_57": "x", "magstripe": 1},
        dict.fromkeys(("track2Data", "emv_tag_57", "magstripe"), "[TRACK]"),
    ),
    # numbers, by their key
    ({"track_data": ";4111111111111111=28122011234?"}, {"track_data": ";[TRACK]?"}),
    ({"track1": "%B1234567890123456^DOE/J^2812201?", "track2": "5"}, {"track1": "%B[TRACK]?", "track2": "5"}),
    ({"pin": 1234, "card_pin": "123456"}, {"pin": "[PIN]", "card_pin": "[PIN]"}),
    ({"gpio": {"pin": 13}, "spin": 1234, "pins": [1234]}, {"gpio": {"pin": 13}, "spin": 1234, "pins": [1234]}),
    ({"exp_month": 12, "expYear": 2028, "year": 2028}, {"exp_month": "[EXPIRY]", "expYear": "[EXPIRY]", "year": 2028}),
    ({"expiry": "12/28", "card_expiry": "1228"}, {"expiry": "[EXPIRY]", "card_expiry": "[EXPIRY]"}),
    ({"exp": 1893456000, "expires": "2028-12-31"}, {"exp": 1893456000, "expires": "2028-12-31"}),
]

# JSON text, or what is meant to be -> masked
TEXTS: dict[str, str] = {
    '{"pan": 4111111111111111}': '{"pan": "[PAN]"}',
    '{"pan":4111111111111111,"n":1}': '{"pan":"[PAN]","n":1}',
    "4111111111111111": '"[PAN]"',
    "[4111111111111111 , -4111111111111111]": '["[PAN]" , "[PAN]"]',
    '{"a": 4.111111111111111e15, "b": 4111111111111111.0, "c": 41.5}': '{"a": "[PAN]", "b": "[PAN]", "c": 41.5}',
    '{"a": "\\u0034111 1111 1111 1111", "b": "\\u00e9\\n\\/"}': '{"a": "[PAN]", "b": "\\u00e9\\n\\/"}',
    '{"a": "\\ud835\\udfd2111111111111111"}': '{"a": "[PAN]"}',
    '{"a": "4111\\n1111\\n1111\\n1111"}': '{"a": "[PAN]"}',
    '{"cvv": 123, "x": 123}': '{"cvv": "[CVV]", "x": 123}',
    '{"cvv" : "123"}': '{"cvv" : "[CVV]"}',
    '{"c\\u0076v": [1, "234"]}': '{"c\\u0076v": ["[CVV]", "[CVV]"]}',
    '{"card_number": 1234567812345678}': '{"card_number": "[PAN]"}',
    '{"4111111111111111": "x"}': '{"[PAN]": "x"}',
    '{"a": "4111", "b": "1111 1111 1111"}': '{"a": "4111", "b": "1111 1111 1111"}',
    '{"a": true, "b": null, "c": [false, NaN]}': '{"a": true, "b": null, "c": [false, NaN]}',
    '{"a": "\\\\u0034", "b": "\\""}': '{"a": "\\\\u0034", "b": "\\""}',
    '{"a": 0.' + "1" * 80 + ', "b": 4111111111111111}': '{"a": 0.' + "1" * 80 + ', "b": "[PAN]"}',
    '{"a": 4111111111111111.' + "0" * 80 + "}": '{"a": "[PAN]"}',
    # whole values
    '{"cardholder_name": "J\\u00f6rg \\"Q\\" \\\\", "n": "Doe"}': '{"cardholder_name": "[CARDHOLDER]", "n": "Doe"}',
    '{"nameOnCard": [" Jane", "", 5], "a": 5}': '{"nameOnCard": [" [CARDHOLDER]", "", "[CARDHOLDER]"], "a": 5}',
    '{"card_holder": {"value" : "Doe", "type": "x"}}': '{"card_holder": {"value" : "[CARDHOLDER]", "type": "x"}}',
    '{"pin_block": "0412AC89ABCDEF67", "pin": 1234}': '{"pin_block": "[PIN_BLOCK]", "pin": "[PIN]"}',
    '{"track2data": ";4111111111111111=28122011234?"}': '{"track2data": "[TRACK]"}',
    '{"track_data": "\\u003b4111111111111111=2812201?", "exp": 12}': '{"track_data": "\\u003b[TRACK]?", "exp": 12}',
    '{"exp_month": 12, "exp_year": 2028, "expiry": "12/28"}': (
        '{"exp_month": "[EXPIRY]", "exp_year": "[EXPIRY]", "expiry": "[EXPIRY]"}'
    ),
    '{"cardholder": "\\n", "ccname": "\\u0020x", "card_holder": "\\': (
        '{"cardholder": "\\n", "ccname": "\\u0020[CARDHOLDER]", "card_holder": "[CARDHOLDER]'
    ),
    '{"cardholder": "Jane D': '{"cardholder": "[CARDHOLDER]',
    # not JSON
    "4111 1111 1111 1111": "[PAN]",
    "[4111 1111 1111 1111": "[[PAN]",
    '{"a": 4111-1111-1111-1111}': '{"a": [PAN]}',
    "card 4111111111111111, cvv 123": "card [PAN], cvv [CVV]",
    "{cvv: 123}": "{cvv: [CVV]}",
    "{'pan': '\\u00344111'}": "{'pan': '\\u00344111'}",
    "{'pan': '\\u0034111111111111111'}": "{'pan': '[PAN]'}",
    '{"cvv": 123 456}': '{"cvv": [CVV] 456}',
    '{"a": "4111 1111 1111 1111': '{"a": "[PAN]',
    '{"a": "\\u00': '{"a": "\\u00',
    '{"a": 4111111111111111': '{"a": "[PAN]"',
    "": "",
}


def send(masker: Masker, chunks: Iterable[str]) -> str:
    channel = masker.json_channel()
    return "".join([channel.feed(chunk) for chunk in chunks]) + channel.finish()


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda pair: ascii(pair)[:40])
def test_a_value_is_masked_as_written_here(value: object, expected: object) -> None:
    masked = LABEL.masker().mask_value(value)
    assert repr(masked) == repr(expected)
    assert (masked is value) == (repr(value) == repr(expected))


@pytest.mark.parametrize(("text", "expected"), TEXTS.items(), ids=lambda text: ascii(text)[:40])
def test_json_text_is_masked_as_written_here(text: str, expected: str, cuts: Callable[[str], list[list[str]]]) -> None:
    whole = LABEL.masker()
    assert whole.mask_json(text) == expected
    assert (LABEL.masker().mask_json(text) is text) == (text == expected)
    for chunks in cuts(text):
        streamed = LABEL.masker()
        assert send(streamed, chunks) == expected, chunks
        assert streamed.findings == whole.findings


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:40])
def test_chunk_invariance_agrees_on_json(text: str) -> None:
    def filtered(chunks: Iterable[str]) -> Iterator[str]:
        channel = NUMBERED.masker().json_channel()
        for chunk in chunks:
            yield channel.feed(chunk)
        yield channel.finish()

    assert_chunk_invariant(filtered, lambda whole: NUMBERED.masker().mask_json(whole), text or " ")


cards = st.sampled_from(
    ["4111111111111111", "4242 4242 4242 4242", "3782-822463-10005", "1234567812345678", "123", "41"]
)
words = st.sampled_from(
    ["cvv ", "card number ", "x", "\u00e9", '"', "\\", "\n", " ", "\U0001d7d2", "/", "ok", "\ud83d"]
)
strings = st.lists(cards | words, max_size=4).map("".join)
keys = strings | st.sampled_from(
    [
        "cvv",
        "pan",
        "cardNumber",
        "value",
        "a",
        "security code",
        "id",
        "type",
        "pin",
        "cardholder",
        "track2",
        "exp_month",
    ]
)
numbers = st.sampled_from([PAN, 4242424242424242, 1234567812345678, 123, 7, 12345, 4.111111111111111e15, 1.5, -PAN])
leaves = (
    strings | numbers | st.booleans() | st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)


def keys_stay_apart(value: object) -> bool:
    if isinstance(value, dict):
        names = [LABEL.masker().mask_text(key) for key in value]
        return len(set(names)) == len(names) and all(map(keys_stay_apart, value.values()))
    return all(map(keys_stay_apart, value)) if isinstance(value, list) else True


@settings(max_examples=200)
@given(values, st.booleans(), st.sampled_from([None, 1]), st.data())
def test_streamed_json_parses_to_the_masked_value(
    value: object, ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    assume(keys_stay_apart(value))
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[i:j] for i, j in zip([0, *at], [*at, len(text)], strict=True)]
    for scanner in (LABEL, NUMBERED):
        whole, streamed, by_value = scanner.masker(), scanner.masker(), scanner.masker()
        expected = whole.mask_json(text)
        assert send(streamed, chunks) == expected
        assert send(scanner.masker(), text) == expected
        assert json.loads(expected) == by_value.mask_value(json.loads(text))
        assert whole.findings == streamed.findings == by_value.findings


@settings(max_examples=150)
@given(st.lists(cards | words | st.sampled_from(list('{}[]:,"0123456789-+.eE \\u')), max_size=30).map("".join))
def test_anything_as_json_survives_every_cut(text: str) -> None:
    whole, by_character = LABEL.masker(), LABEL.masker()
    assert send(by_character, text) == whole.mask_json(text)
    assert by_character.findings == whole.findings
    for at in range(len(text)):
        assert send(LABEL.masker(), [text[:at], text[at:]]) == LABEL.masker().mask_json(text)


@settings(max_examples=150)
@given(values)
def test_a_masked_value_is_not_masked_again(value: object) -> None:
    for style in Style:
        scanner = Scanner(MaskingSettings(request_styles={"pan": style}), key=KEY)
        once = scanner.masker().mask_value(value)
        assert scanner.masker().mask_value(once) == once


def test_what_parses_before_parses_after_every_chunk() -> None:
    """By the parser with which the vendors' clients read arguments that are still being written."""
    text = '{"pan": 4111111111111111, "note": "4111 1111 1111 1111 cvv 123", "cvv": 123, "n": 5}'
    channel = LABEL.masker().json_channel()
    out = ""
    for char in text:
        out += channel.feed(char)
        if out:
            jiter.from_json(out.encode(), partial_mode="trailing-strings")
    assert json.loads(out + channel.finish())["pan"] == "[PAN]"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_too_deep_is_refused(opening: str) -> None:
    text = opening * MAX_DEPTH
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value] if opening == "[" else {"a": value}
    assert LABEL.masker().mask_value(value) is value
    assert LABEL.masker().mask_json(text) is text
    with pytest.raises(Malformed) as refused:
        LABEL.masker().mask_value([value])
    assert refused.value.reason is Reason.BODY_MALFORMED
    with pytest.raises(Malformed):
        LABEL.masker().mask_json(text + opening)


def test_prose_in_a_json_string_is_not_held_and_not_copied() -> None:
    masker = LABEL.masker()
    channel = masker.json_channel()
    channel.feed('{"text": "')
    for delta in ["The", "model", "said", "nothing", "new", ",", "as", "ever"]:
        assert channel.feed(delta) is delta
    assert channel.held == masker.held_characters_max == 0


def test_the_key_argument_announces_the_value() -> None:
    assert LABEL.masker().mask_value(123, "cvv") == "[CVV]"
    assert LABEL.masker().mask_value("123", "cvv") == "[CVV]"
    assert LABEL.masker().mask_value(123, "amount") == 123


def test_a_long_number_is_what_its_key_says() -> None:
    text = f'{{"cardholder_name": [0.{"1" * 70}, {"2" * 70}], "n": 1}}'
    masked = '{"cardholder_name": ["[CARDHOLDER]", "[CARDHOLDER]"], "n": 1}'
    assert LABEL.masker().mask_json(text) == send(LABEL.masker(), text) == masked
    assert LABEL.masker().mask_json(masked) == masked


PERSONAL = Scanner(MaskingSettings(catalogues=("pci-pii",)))
BY_KEY: list[tuple[object, object]] = [
    ({"passport_number": "X12345678"}, {"passport_number": "[PASSPORT]"}),
    ({"traveller": {"passportNo": "C01X00T47"}}, {"traveller": {"passportNo": "[PASSPORT]"}}),
    ({"taxId": "12-3456789", "tin": 123456789}, {"taxId": "[TAX_ID]", "tin": "[TAX_ID]"}),
    ({"ssn": "536904399"}, {"ssn": "[SSN]"}),
    ({"mobile": [4155552671, "4155552672"]}, {"mobile": ["[PHONE]", "[PHONE]"]}),
    ({"phone": {"number": "4155552671", "order": "1234567"}}, {"phone": {"number": "[PHONE]", "order": "1234567"}}),
    ({"passport": "yes", "n": "X12345678", "order": 4155552671}, None),
    ({"passport": {"n": 1}, "list": ["X12345678"]}, None),
]


@pytest.mark.parametrize("pair", BY_KEY, ids=lambda pair: ascii(pair[0]))
def test_keys_say_what_rules_look_for(pair: tuple[object, object]) -> None:
    """In values, in JSON text and in streams of it."""
    value, masked = pair
    expected = value if masked is None else masked
    assert PERSONAL.masker().mask_value(value) == expected
    text = json.dumps(value)
    assert PERSONAL.masker().mask_json(text) == json.dumps(expected)
    for at in range(len(text) + 1):
        assert send(PERSONAL.masker(), [text[:at], text[at:]]) == json.dumps(expected)
    assert LABEL.masker().mask_value(value) == value
