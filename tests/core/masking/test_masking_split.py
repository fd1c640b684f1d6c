"""A number that is split over neighbours in a JSON value is masked, and numbers that only stand side by side are not."""

import copy

import pytest

from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings, Style

SCANNER = Scanner(MaskingSettings())
SPLIT = [
    (["4111", "1111", "1111", "1111"], ["[PAN]", "", "", ""]),
    ([4111, 1111, 1111, 1111], ["[PAN]", "", "", ""]),
    ([4] + [1] * 15, ["[PAN]"] + [""] * 15),
    ({"a": "4111", "b": "1111", "c": "1111", "d": "1111"}, {"a": "[PAN]", "b": "", "c": "", "d": ""}),
    ({"k": "x", "a": "3782", "b": 822463, "c": "10005"}, {"k": "x", "a": "[PAN]", "b": "", "c": ""}),
    ({"card_number": ["1234", "5678", "1234", "5678"]}, {"card_number": ["[PAN]", "", "", ""]}),
    (["pay 4111", "1111", "1111", "1111 now"], ["pay [PAN]", "", "", " now"]),
    (
        [{"type": "text", "text": "pay 4111 1111"}, {"type": "text", "text": "1111 1111, please"}],
        [{"type": "text", "text": "pay [PAN]"}, {"type": "text", "text": ", please"}],
    ),
    (
        [{"text": "x" * 500 + " 4111 1111"}, {"text": "1111 1111 " + "y" * 500}],
        [{"text": "x" * 500 + " [PAN]"}, {"text": " " + "y" * 500}],
    ),
    (["4111", "1111", "1111", "1111", "x", "3782", "822463", "10005"], ["[PAN]", "", "", "", "x", "[PAN]", "", ""]),
]
APART = [
    ["4111", "1111", "x", "1111", "1111"],
    [4111, 1111, 1.5, 1111, 1111],
    [1111, 2222, 3333, 4111, 1111, 1111, 1111],
    {"year": 2026, "port": 4111, "size": 1111},
    [{"text": "pay 4111 1111 "}, {"type": "image"}, {"text": "1111 1111"}],
    [{"text": "4111 1111" + "y" * 100}, {"text": "1111 1111"}],
    ["12345678", "87654321"],
    [True, False, 4111],
]


@pytest.mark.parametrize(("value", "masked"), SPLIT)
def test_a_number_split_over_neighbours_is_masked_once(value: object, masked: object) -> None:
    before = copy.deepcopy(value)
    masker = SCANNER.masker()
    assert masker.mask_value(value) == masked
    assert value == before
    assert masker.findings == {"pan": str(masked).count("[PAN]")}


@pytest.mark.parametrize("value", APART)
def test_numbers_that_only_stand_side_by_side_stay(value: object) -> None:
    assert SCANNER.masker().mask_value(value) is value


def test_the_parts_are_one_number_to_the_styles() -> None:
    masker = Scanner(MaskingSettings(request_styles={"pan": Style.NUMBERED})).masker()
    value = {"whole": "4111111111111111", "parts": ["4111", "1111", "1111", "1111"]}
    assert masker.mask_value(value) == {"whole": "[PAN_1]", "parts": ["[PAN_1]", "", "", ""]}
