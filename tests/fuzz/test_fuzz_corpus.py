"""What the fuzzer found worth keeping is tried by every run of the tests, without the fuzzer."""

from pathlib import Path

import pytest

from extproc.core.reasons import Malformed, Reason
from tests.fuzz.targets import TARGETS, check_silence, text_of

CORPUS = Path(__file__).parent / "corpus"
MOST_BYTES = 200_000


@pytest.mark.parametrize("target", TARGETS)
def test_every_kept_input_keeps_the_promises(target: str) -> None:
    kept = sorted((CORPUS / target).iterdir())
    assert len(kept) > 10
    for path in kept:
        try:
            TARGETS[target](path.read_bytes())
        except AssertionError as broken:
            raise AssertionError(f"{path.name}: {broken}") from None


def test_the_corpus_is_small_and_of_the_targets() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MOST_BYTES


def test_a_mark_becomes_the_check_digit_of_the_number_before_it() -> None:
    assert text_of(b"37828224631000\x01 4242-4242-4242-424\x01, \x01") == "378282246310005 4242-4242-4242-4242, \x01"
    assert text_of(b"\xff4") == "\udcff4"


def test_a_refusal_that_drags_its_input_along_is_no_silent_one() -> None:
    check_silence(Malformed(Reason.BODY_MALFORMED))
    loud = Malformed(Reason.BODY_MALFORMED)
    loud.__context__ = ValueError("4111")
    with pytest.raises(AssertionError, match="drags another exception along"):
        check_silence(loud)
    loud = Malformed(Reason.BODY_MALFORMED)
    loud.args = ("4111",)
    with pytest.raises(AssertionError, match="says more than its reason"):
        check_silence(loud)
