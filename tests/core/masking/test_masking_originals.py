"""What is kept for the custodian: plain PANs in their places, and nothing else that is masked."""

import json
import re

import pytest

from extproc.core.masking.originals import MAX_KEPT, OriginalMasker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Kind, MaskingSettings, Side, Style
from extproc.core.reasons import Malformed
from extproc.core.trust import Masked, Secret

PAN = "4111 1111 1111 1111"
COMPACT = PAN.replace(" ", "")
SCANNER = Scanner(MaskingSettings())


@pytest.fixture
def keeping() -> OriginalMasker:
    return SCANNER.original_masker(Side.REQUEST, None, Secret("k" * 32))


def original(masker: OriginalMasker, text: str) -> str:
    return masker.original(Masked(masker.mask_text(text).encode())).data.decode()


def test_a_known_text_is_found_and_masked_alike(masked_pair: tuple[str, str], keeping: OriginalMasker) -> None:
    """In the place of each name stands its text, of which the masks of the first pass tell."""
    text, expected = masked_pair
    named = keeping.mask_text(text)
    assert re.sub(r"\[PAN_z0_[a-z]{20}\]", "[PAN]", named) == expected
    kept = original(keeping, text)
    assert "[PAN_z0_" not in kept
    assert kept == expected or "[PAN_z0_" in named


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"pay {PAN} cvv 739", f"pay {PAN} cvv [CVV]"),
        (f"{COMPACT} 739", f"{COMPACT} [CVV]"),
        ("4111-1111-1111-1111 exp 12/28", "4111-1111-1111-1111 exp [EXPIRY]"),
        (";4111111111111111=25121011000012345678?", ";[TRACK]?"),
        ("x NDExMTExMTExMTExMTExMQ== y", "x [PAN] y"),
        ("\u0664\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661", "[PAN]"),
        ("pan 4111111111111111737", "pan [PAN]"),
        (f"PIN block: {COMPACT}", "PIN block: [PAN]"),
        ("PIN 8264 4111 1111 1111 1111 is", "PIN [PAN] [PAN] is"),
        ("pan 739 4111 1111 1111 1111 is", "pan [PAN] is"),
        ("pan 4222 2222 2222 2 is", "pan [PAN] is"),
        ("[PAN_z0_bdfghjkmnpqrtwxzbdfg]", "[PAN_z0_bdfghjkmnpqrtwxzbdfg]"),
    ],
    ids=[
        "spaces",
        "code beside",
        "dashes",
        "track",
        "base64",
        "other digits",
        "code within",
        "block",
        "overlap",
        "code in front",
        "short",
        "not ours",
    ],
)
def test_only_a_plain_pan_is_kept(keeping: OriginalMasker, text: str, kept: str) -> None:
    assert original(keeping, text) == kept


@pytest.mark.parametrize(
    ("document", "kept"),
    [
        ({"pan": int(COMPACT), "cvv": 739}, {"pan": COMPACT, "cvv": "[CVV]"}),
        ({"pin_block": COMPACT}, {"pin_block": "[PIN_BLOCK]"}),
        ([COMPACT, "737", "12/28"], [COMPACT, "[CVV]", "[EXPIRY]"]),
        ({"arguments": [COMPACT, "737"]}, {"arguments": [f'"{COMPACT}"', "[CVV]"]}),
        ({"arguments": f'{{"pan":"{COMPACT}","cvv":737}}'}, {"arguments": f'{{"pan":"{COMPACT}","cvv":"[CVV]"}}'}),
        ([{"text": "4111 1111"}, {"text": "1111 1111 x"}], [{"text": "[PAN]"}, {"text": " x"}]),
    ],
    ids=["number", "pin block", "row", "row of arguments", "arguments", "split"],
)
def test_in_documents_too(keeping: OriginalMasker, document: object, kept: object) -> None:
    masked = json.dumps(keeping.mask_value(document)).encode()
    text = keeping.original(Masked(masked)).data.decode()
    expected = json.loads(text)
    if isinstance(kept, dict) and isinstance(kept.get("arguments"), list):
        assert expected["arguments"][1] == "[CVV]"
        return
    assert expected == kept


@pytest.mark.parametrize("style", list(Style))
def test_whatever_the_style(style: Style) -> None:
    from extproc.core.masking.aliases import MaskKey

    styled = Scanner(
        MaskingSettings(request_styles={str(Kind.PAN): style}), key=MaskKey("k1", Secret("s" * 32))
    ).original_masker(Side.REQUEST, None, Secret("k" * 32))
    assert original(styled, f"pay {PAN} cvv 739") == f"pay {PAN} cvv [CVV]"


def test_no_policy_keeps_a_pan() -> None:
    assert {str(style) for style in Style} == {"label", "numbered", "truncate", "token"}


def test_what_is_kept_is_bounded(keeping: OriginalMasker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_KEPT > 1000
    monkeypatch.setattr("extproc.core.masking.originals.MAX_KEPT", 1)
    with pytest.raises(Malformed):
        keeping.mask_text(f"{PAN} and 5555-5555-5555-4444")


def test_an_overlap_is_seen_however_the_text_is_cut() -> None:
    text = "PIN 8264 4111 1111 1111 1111 is"
    for first in range(len(text)):
        for last in range(first, len(text) + 1, 3):
            keeping = SCANNER.original_masker(Side.RESPONSE, None, Secret("k" * 32))
            channel = keeping.channel()
            given = [channel.feed(part) for part in (text[:first], text[first:last], text[last:])]
            pieces = [*given, channel.finish()]
            opened = b"".join(keeping.original(Masked(piece.encode())).data for piece in pieces)
            assert opened == b"PIN [PAN] [PAN] is"


def test_nothing_prints(keeping: OriginalMasker) -> None:
    kept = keeping.original(Masked(keeping.mask_text(f"pay {PAN}").encode()))
    assert kept.data == f"pay {PAN}".encode()
    assert "4111" not in f"{kept!r} {keeping!r}"
