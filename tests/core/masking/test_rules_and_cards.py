"""Where a rule and the search for cards find the same, or parts of each other: cards win, however a stream is cut."""

import pytest

from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingRule, MaskingSettings, Style
from extproc.core.trust import Secret

KEY = MaskKey("k1", Secret("0" * 64))
THREE = MaskingRule("three", r"\b[0-9]{3}\b")
SIXTEEN = MaskingRule("acct", "[0-9]{16}")
CASES: list[tuple[MaskingSettings, str, str]] = [
    # the same stretch: the card's kind, and no name for it
    (
        MaskingSettings(rules=(THREE,), request_styles={"three": Style.TOKEN}),
        "4111111111111111 123. x",
        "[PAN] [CVV]. x",
    ),
    (
        MaskingSettings(rules=(SIXTEEN,), request_styles={"acct": Style.TOKEN, "pan": Style.TRUNCATE}),
        "4111111111111111 x",
        "411111******1111 x",
    ),
    (MaskingSettings(catalogues=("pci-pii",)), "tax id 4222222222222 x", "tax id [PAN] x"),
    (
        MaskingSettings(rules=(MaskingRule("tok", "[0-9]+"),)),
        "cvv 123 4111111111111111 99 x",
        "cvv [CVV] [PAN] [TOK] x",
    ),
    (
        MaskingSettings(rules=(MaskingRule("b", "Q-[0-9]{3}(?:-[0-9])?"), MaskingRule("a", "Q-[0-9]{3}"))),
        "Q-123 x",
        "[A] x",
    ),
    # a rule's find holds card data: its label, never a name
    (
        MaskingSettings(rules=(MaskingRule("cv", "cvv [0-9]{3}"),), request_styles={"cv": Style.TOKEN}),
        "cvv 123 x",
        "[CV] x",
    ),
    (
        MaskingSettings(
            rules=(MaskingRule("trk", r"%B[0-9]{13,19}\^[^?]{0,60}\?"),), request_styles={"trk": Style.TOKEN}
        ),
        "%B4111111111111111^DOE/JOHN^25121010? x",
        "[TRK] x",
    ),
    (
        MaskingSettings(rules=(MaskingRule("p", "PIN: [0-9]{4}"),), request_styles={"p": Style.NUMBERED}),
        "card PIN: 1234 x",
        "card [P] x",
    ),
    (
        MaskingSettings(rules=(MaskingRule("tel", "tel [0-9]{4}"),), request_styles={"tel": Style.TOKEN}),
        "tel 4111 1111 1111 1111 x",
        "[TEL][PAN] x",
    ),
    # no card to us here, but digits that one may have: no hash beside a truncated one
    (
        MaskingSettings(rules=(SIXTEEN,), request_styles={"acct": Style.TOKEN, "pan": Style.TRUNCATE}),
        "ab4111111111111111e5",
        "ab[ACCT]e5",
    ),
    # a rule goes on behind what another find has masked of it: nothing is lost
    (
        MaskingSettings(rules=(MaskingRule("tok", "xk_[a-z0-9]+"),)),
        "4111111111111111=2512xk_abcd efgh",
        "[TRACK]_abcd efgh",
    ),
    (MaskingSettings(rules=(MaskingRule("tok", "xk_[a-z0-9]+"),)), "4111111111111111 xk_abcd efgh", "[PAN] [TOK] efgh"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case[1]))
def test_cards_win_in_every_cut(case: tuple[MaskingSettings, str, str]) -> None:
    settings, text, expected = case
    scanner = Scanner(settings, key=KEY)
    assert scanner.masker().mask_text(text) == expected
    for at in range(len(text) + 1):
        channel = scanner.masker().channel()
        assert channel.feed(text[:at]) + channel.feed(text[at:]) + channel.finish() == expected
    channel = scanner.masker().channel()
    assert "".join(map(channel.feed, text)) + channel.finish() == expected
