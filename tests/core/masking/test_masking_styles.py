"""How a PAN is replaced: label, number, truncation. A security code is always removed."""

from extproc.core.masking.effort import MAX_STEPS, Effort
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Kind, MaskingSettings, Style

NUMBERED = Scanner(MaskingSettings(pan_style=Style.NUMBERED))
TRUNCATE = Scanner(MaskingSettings(pan_style=Style.TRUNCATE))


def test_equal_pans_have_equal_numbers_across_channels() -> None:
    masker = NUMBERED.masker()
    assert masker.mask_text("4111111111111111 or 5555 5555 5555 4444") == "[PAN_1] or [PAN_2]"
    channel, other = masker.channel(), masker.json_channel()
    assert channel.feed("5555-5555-5555-4444 ") + channel.finish() == "[PAN_2] "
    assert other.feed("[4111111111111111, 378282246310005]") + other.finish() == '["[PAN_1]", "[PAN_3]"]'
    assert masker.mask_value({"a": 378282246310005}) == {"a": "[PAN_3]"}
    assert masker.findings == {Kind.PAN.value: 6}


def test_maskers_number_on_their_own() -> None:
    assert NUMBERED.masker().mask_text("4242424242424242") == "[PAN_1]"
    assert NUMBERED.masker().mask_text("5555555555554444") == "[PAN_1]"


def test_truncation_keeps_six_and_four() -> None:
    masker = TRUNCATE.masker()
    assert masker.mask_text("4111 1111 1111 1111") == "411111******1111"
    assert masker.mask_text("3782-822463-10005") == "378282*****0005"
    assert masker.mask_text("\uff14111111111111111") == "411111******1111"
    assert masker.mask_value({"a": 4111111111111111}) == {"a": "411111******1111"}


def test_truncation_of_a_short_pan_is_the_label() -> None:
    """Thirteen digits less ten leave three hidden: a thousand guesses, of which a tenth pass Luhn."""
    assert TRUNCATE.masker().mask_text("4222222222222") == "[PAN]"


def test_a_security_code_is_removed_in_every_style() -> None:
    for style in Style:
        masker = Scanner(MaskingSettings(pan_style=style)).masker()
        assert masker.mask_text("cvv 123") == "cvv [CVV]"
        assert masker.mask_value({"cvv": 123}) == {"cvv": "[CVV]"}
        assert masker.findings == {Kind.SECURITY_CODE.value: 2}


def test_a_truncated_pan_is_no_part_of_another() -> None:
    for text in ("411111******1111", "4111 1111 1112 411111******1111", "411111******4444 1111 1111 1119"):
        assert TRUNCATE.masker().mask_text(text) is text


def test_nothing_prints_card_data() -> None:
    masker = NUMBERED.masker()
    channel = masker.channel()
    masker.mask_text("4111111111111111")
    channel.feed("4111 1111")
    found = NUMBERED._detectors.find("4111111111111111", Effort(MAX_STEPS))
    assert found
    for thing in (masker, channel, NUMBERED, channel._tape, masker._masks, *found):
        assert "4111" not in repr(thing)
