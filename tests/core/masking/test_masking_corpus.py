"""What is masked and what stays, text by text."""

from collections.abc import Callable

from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner


def test_a_known_text_is_masked_as_written_here(masked_pair: tuple[str, str], label: Callable[[], Masker]) -> None:
    text, expected = masked_pair
    masker = label()
    assert masker.mask_text(text) == expected
    assert masker.findings.get("pan", 0) == expected.count("[PAN]") - text.count("[PAN]")
    assert masker.findings.get("security_code", 0) == expected.count("[CVV]")
    assert masker.findings.get("track", 0) == expected.count("[TRACK]")


def test_a_clean_text_comes_back_as_the_same_object(clean: str, scanner: Scanner) -> None:
    masker = scanner.masker()
    assert masker.mask_text(clean) is clean
    assert masker.findings == {}


def test_a_masked_text_is_not_masked_again(nasty: str, scanner: Scanner) -> None:
    once = scanner.masker().mask_text(nasty)
    assert scanner.masker().mask_text(once) is once
