"""What is masked and what stays, text by text."""

from collections.abc import Callable

from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner

LABELS = (
    *(("pan", "[PAN]"), ("security_code", "[CVV]"), ("track", "[TRACK]"), ("pin", "[PIN]"), ("expiry", "[EXPIRY]")),
    ("cardholder", "[CARDHOLDER]"),
)


def test_a_known_text_is_masked_as_written_here(masked_pair: tuple[str, str], label: Callable[[], Masker]) -> None:
    text, expected = masked_pair
    masker = label()
    assert masker.mask_text(text) == expected
    assert masker.findings == {
        kind: count for kind, label in LABELS if (count := expected.count(label) - text.count(label))
    }


def test_a_clean_text_comes_back_as_the_same_object(clean: str, scanner: Scanner) -> None:
    masker = scanner.masker()
    assert masker.mask_text(clean) is clean
    assert masker.findings == {}


def test_a_masked_text_is_not_masked_again(nasty: str, scanner: Scanner) -> None:
    once = scanner.masker().mask_text(nasty)
    assert scanner.masker().mask_text(once) is once
