"""What keys, labels and neighbours say of a value in JSON, decoded and as text."""

import json
from collections.abc import Callable

import pytest

from extproc.core.masking.masker import Masker

PAN = "4111111111111111"
# value -> value masked, as text and as a value
ANNOUNCED: list[tuple[object, object]] = [
    ({"cvvCode": "737"}, {"cvvCode": "[CVV]"}),
    ({"security_code_number": 737}, {"security_code_number": "[CVV]"}),
    ({"validThru": "12/28", "card_exp_date": "12.28"}, {"validThru": "[EXPIRY]", "card_exp_date": "[EXPIRY]"}),
    ({"valid_to": "12/28", "pin_code": "1234"}, {"valid_to": "12/28", "pin_code": "1234"}),
    ({"expiration": {"month": 12, "year": 2028}}, {"expiration": {"month": "[EXPIRY]", "year": "[EXPIRY]"}}),
    ({"date": {"month": 12, "year": 2028}}, {"date": {"month": 12, "year": 2028}}),
    ({"cardholder": {"name": "Jane Doe", "id": "7"}}, {"cardholder": {"name": "[CARDHOLDER]", "id": "7"}}),
    ({"card": {"number": "4111111111111112", "holder": "Jo"}}, {"card": {"number": "[PAN]", "holder": "[CARDHOLDER]"}}),
    ({"card": {"id": 4111111111111112}}, {"card": {"id": 4111111111111112}}),
    # a member that says what another one is
    ([{"name": "cvv", "value": "737"}, {"name": "x", "value": "737"}],
     [{"name": "cvv", "value": "[CVV]"}, {"name": "x", "value": "737"}]),
    ({"label": "Card number", "text": "4111111111111112"}, {"label": "Card number", "text": "[PAN]"}),
    ({"name": "createCardholder", "text": "Creates one"}, {"name": "createCardholder", "text": "Creates one"}),
    ({"field": "cardholder", "value": "Jane"}, {"field": "cardholder", "value": "[CARDHOLDER]"}),
    ({"name": "cvv", "max": 737}, {"name": "cvv", "max": 737}),
    ({"a": {"name": "cvv"}, "value": "737"}, {"a": {"name": "cvv"}, "value": "737"}),
    ({"name": "cvv", "b": {"value": "737"}}, {"name": "cvv", "b": {"value": "737"}}),
]  # fmt: skip
# Arrays, whose elements only a decoded value is read together for.
ROWS: list[tuple[list[object], list[object]]] = [
    ([PAN, "12/28", "737"], ["[PAN]", "[EXPIRY]", "[CVV]"]),
    ([PAN, "737", "x"], ["[PAN]", "[CVV]", "x"]),
    ([PAN, 12, 28, 737], ["[PAN]", "[EXPIRY]", "", "[CVV]"]),
    ([PAN, 737, "12/28"], ["[PAN]", "[CVV]", "[EXPIRY]"]),
    (["Visa " + PAN, 250, "x"], ["Visa [PAN]", 250, "x"]),
    ([PAN, "150", "EUR"], ["[PAN]", "150", "EUR"]),
    ([PAN, "Jane Doe", "12/28", 737], ["[PAN]", "Jane Doe", "[EXPIRY]", "[CVV]"]),
    ([PAN, "paid", "12/28", "737"], ["[PAN]", "paid", "12/28", "737"]),
    (["737", PAN], ["737", "[PAN]"]),
    ([PAN, PAN, "737"], ["[PAN]", "[PAN]", "[CVV]"]),
    ([PAN, 2026, 120000], ["[PAN]", 2026, 120000]),
]


@pytest.mark.parametrize(("value", "masked"), ANNOUNCED, ids=lambda value: json.dumps(value)[:40])
def test_a_key_or_a_label_says_what_its_value_is(value: object, masked: object, label: Callable[[], Masker]) -> None:
    assert label().mask_value(value) == masked
    text = json.dumps(value)
    assert json.loads(label().mask_json(text)) == masked
    channel = label().json_channel()
    assert json.loads("".join(map(channel.feed, text)) + channel.finish()) == masked


def test_a_label_in_what_is_no_json_any_more_is_forgotten(label: Callable[[], Masker]) -> None:
    text = '{"nameOnCard": ["x"], "name": "a", "b"], "name": "c", "name": "cvv"}'
    masked = text.replace('["x"]', '["[CARDHOLDER]"]')
    assert label().mask_json(text) == masked
    channel = label().json_channel()
    assert "".join(map(channel.feed, text)) + channel.finish() == masked


@pytest.mark.parametrize(("values", "masked"), ROWS, ids=lambda value: json.dumps(value)[:40])
def test_what_stands_beside_a_pan_in_an_array_goes_with_it(
    values: list[object], masked: list[object], label: Callable[[], Masker]
) -> None:
    masker = label()
    assert masker.mask_value({"rows": [values]}) == {"rows": [masked]}
    kinds = [value for value in masked if "[" in str(value)]
    assert sum(masker.findings.values()) == len(kinds)
