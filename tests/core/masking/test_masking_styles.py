"""How finds are replaced: label, number, truncation, token. A security code is always removed."""

import hashlib
import hmac
import re

import pytest

from extproc.core.masking.aliases import MaskKey, token_of
from extproc.core.masking.effort import MAX_STEPS, Effort
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Kind, MaskingSettings, Side, Style
from extproc.core.trust import Secret

KEY, NEXT_KEY = MaskKey("k1", Secret("0" * 64)), MaskKey("k2", Secret("1" * 64))
TOKENS = MaskingSettings(request_styles={"pan": Style.TOKEN})
TOKEN = re.compile(r"\[PAN_k1_[bdfghjkmnpqrtwxz]{20}\]")
NUMBERED = Scanner(MaskingSettings(request_styles={"pan": Style.NUMBERED}))
TRUNCATE = Scanner(MaskingSettings(request_styles={"pan": Style.TRUNCATE}))


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
        masker = Scanner(MaskingSettings(request_styles={"pan": style}), key=KEY).masker()
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


def token(text: str, key: MaskKey = KEY, tenant: str = "") -> str:
    scanner = Scanner(TOKENS, key=key)
    return scanner.masker(aliases=scanner.aliases(tenant)).mask_text(text)


def test_a_token_is_a_keyed_hash_of_the_whole_pan() -> None:
    """By another way of computing it: HMAC-SHA-256, 80 bits, a letter for four of them."""
    message = b"extproc mask token 1"
    for part in (b"acme", b"pan", b"4111111111111111"):
        message += len(part).to_bytes(8, "big") + part
    digest = hmac.new(b"0" * 64, message, hashlib.sha256).hexdigest()[:20]
    letters = digest.translate(str.maketrans("0123456789abcdef", "bdfghjkmnpqrtwxz"))
    assert token("4111111111111111", tenant="acme") == f"[PAN_k1_{letters}]"


def test_equal_pans_have_equal_tokens_in_all_exchanges_of_a_tenant() -> None:
    same = {token(text) for text in ("4111111111111111", "4111-1111-1111-1111", "\uff14111 1111 1111 1111")}
    assert len(same) == 1
    assert TOKEN.fullmatch(same.pop())
    apart = {
        token("4111111111111111"),
        token("4242424242424242"),
        token("4111111111111111", tenant="acme"),
        token("4111111111111111", NEXT_KEY),
    }
    assert len(apart) == 4


def test_the_key_that_made_a_token_shows_in_it() -> None:
    assert token("4111111111111111", NEXT_KEY).startswith("[PAN_k2_")


def test_tokens_in_values_and_streams() -> None:
    expected = token("4111111111111111")
    masker = Scanner(TOKENS, key=KEY).masker()
    assert masker.mask_value({"a": 4111111111111111, "b": ["4111", "1111", "1111", "1111"]}) == {
        "a": expected,
        "b": [expected, "", "", ""],
    }
    channel = masker.json_channel()
    out = "".join(channel.feed(char) for char in '{"a": "\\u0034111 1111 1111 1111"}') + channel.finish()
    assert out == f'{{"a": "{expected}"}}'


def test_tokens_need_a_key() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        Scanner(TOKENS)
    with pytest.raises(ValueError, match="needs a key"):
        Scanner(MaskingSettings(response_styles={"pan": Style.TOKEN}))


def test_each_kind_and_side_has_a_style_of_its_own() -> None:
    settings = MaskingSettings(
        catalogues=("pci-pii",),
        request_styles={"pan": Style.TOKEN, "email": Style.NUMBERED},
        response_styles={"pan": Style.NUMBERED, "iban": Style.TOKEN},
    )
    scanner = Scanner(settings, key=KEY)
    text = "4111111111111111 ann@example.com bob@example.com Ann@Example.com DE89 3704 0044 0532 0130 00"
    request = scanner.masker().mask_text(text)
    assert request.split(" ", 1) == [token("4111111111111111"), "[EMAIL_1] [EMAIL_2] [EMAIL_1] [IBAN]"]
    response = scanner.masker(Side.RESPONSE).mask_text(text)
    iban = token_of(KEY, "", "iban", "DE89370400440532013000")
    assert response == f"[PAN_1] [EMAIL] [EMAIL] [EMAIL] [IBAN_k1_{iban}]"


def test_both_sides_of_an_exchange_number_together() -> None:
    styles = {"pan": Style.NUMBERED}
    scanner = Scanner(MaskingSettings(request_styles=styles, response_styles=styles))
    aliases = scanner.aliases()
    request, response = scanner.masker(Side.REQUEST, aliases), scanner.masker(Side.RESPONSE, aliases)
    assert request.mask_text("4111111111111111") == "[PAN_1]"
    assert response.mask_text("4242424242424242, not 4111 1111 1111 1111") == "[PAN_2], not [PAN_1]"


NAMED = MaskingSettings(
    catalogues=("pci-pii",), request_styles=dict.fromkeys(("email", "iban", "phone", "ssn"), Style.NUMBERED)
)


@pytest.mark.parametrize(
    "text",
    [
        "to ann@example.com or bob@example.com, ann@example.com",
        '{"a": "ann@\\u0065xample.com", "b": ["bob@example.com", "ann@example.com"]}',
        "IBAN DE89 3704 0044 0532 0130 00 and DE89370400440532013000, GB82 WEST 1234 5698 7654 32",
        "ssn 536-90-4399, ssn 536904399",
    ],
)
def test_names_do_not_depend_on_cuts(text: str) -> None:
    scanner = Scanner(NAMED)
    is_json = text.startswith("{")
    whole = scanner.masker().mask_json(text) if is_json else scanner.masker().mask_text(text)
    assert "_1]" in whole
    assert "_2]" in whole or "ssn" in text
    for at in range(len(text) + 1):
        masker = scanner.masker()
        channel = masker.json_channel() if is_json else masker.channel()
        assert channel.feed(text[:at]) + channel.feed(text[at:]) + channel.finish() == whole


def test_what_is_not_known_whole_has_no_name() -> None:
    """Of a number with so many zeros nobody knows which are the PAN's."""
    text = f"[4111111111111110.{'0' * 60}]"
    for style in (Style.NUMBERED, Style.TRUNCATE, Style.TOKEN):
        masker = Scanner(MaskingSettings(request_styles={"pan": style}), key=KEY).masker()
        assert masker.mask_json(text) == '["[PAN]"]'


def test_sensitive_data_has_no_style() -> None:
    """Whoever builds settings by hand gets labels, too: nothing is known of what a code's digits were."""
    with pytest.raises(ValueError, match="security_code"):
        Scanner(MaskingSettings(request_styles={"security_code": Style.NUMBERED}))


def test_aliases_print_nothing() -> None:
    scanner = Scanner(TOKENS, key=KEY)
    aliases = scanner.aliases("acme")
    number = "4111111111111111"
    aliases.number("pan", number)
    for thing in (aliases, KEY, scanner):  # whole, since a short run of digits may stand in an object's address
        assert number not in repr(thing)
        assert KEY.secret.value not in repr(thing)


def test_no_security_code_is_remembered() -> None:
    """Patterns that are compiled on the way stay in `re`'s own cache: none is made of card data (PCI DSS 3.3.1)."""
    masker = Scanner(MaskingSettings()).masker()
    re.purge()  # what other tests have compiled, some with such numbers in it
    assert masker.mask_text("4111111111111111|987|12/28") == "[PAN]|[CVV]|[EXPIRY]"
    masker.mask_text("4111111111111111|987|12|28|654")
    re.compile("a pattern that is kept")
    patterns = [str(key) for key in re._cache]  # type: ignore[attr-defined]
    assert any("that is kept" in pattern for pattern in patterns)
    assert not any("987" in pattern or "4111" in pattern for pattern in patterns)
