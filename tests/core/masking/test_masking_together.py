"""Cards, their view and rules look at one text: what they find is masked once, in whole texts and streams alike."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingRule, MaskingSettings

RULES = (
    MaskingRule("order", "ORD-[0-9]{8}"),
    MaskingRule("tail", "tail-[0-9a-z]{6,}"),
    MaskingRule("wide", "<[0-9 ]{4,40}>"),
)
SCANNER = Scanner(MaskingSettings(catalogues=("pci-pii", "secrets"), rules=RULES))
PIECES = [
    *("4111111111111111", "4111 1111 1111 1111", "378282246310005", "%34111111111111111", "4111&nbsp;1111", "1111"),
    *("ORD-12345678", "ORD-", "12345678", "tail-", "tail-abc", "abcdef", "<", ">", "<4111 1111 1111 1111>", " ", ", "),
    *(
        "bob@example.com",
        "bob",
        "@",
        ".com",
        "cvv 123",
        "ssn 219-09-9999",
        "GB82 WEST 1234 5698 7654 32",
        "+49 151 1",
        "-",
    ),
]


def send(masker: Masker, chunks: list[str]) -> str:
    channel = masker.channel()
    return "".join([channel.feed(chunk) for chunk in chunks]) + channel.finish()


@st.composite
def cut_texts(draw: st.DrawFn) -> list[str]:
    text = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=9)))
    at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[i:j] for i, j in zip([0, *at], [*at, len(text)], strict=True)]


@settings(max_examples=300)
@given(cut_texts())
@example(["tail-abc41111", "11111111111 1", "23"])
@example(["tail-abcdef 4111 1111 1111", " 1111"])
@example(["tail-abc4111 1111 1111 1111%34111111111111111"])
def test_every_cut_gives_the_masked_whole(chunks: list[str]) -> None:
    text = "".join(chunks)
    whole, streamed, by_character = SCANNER.masker(), SCANNER.masker(), SCANNER.masker()
    expected = whole.mask_text(text)
    assert send(streamed, chunks) == expected
    assert send(by_character, list(text)) == expected
    assert streamed.findings == whole.findings == by_character.findings


def test_a_card_in_what_a_rule_found_is_masked_with_it() -> None:
    masker = SCANNER.masker()
    assert masker.mask_text("a tail-abc4111111111111111 b <4111 1111 1111 1111> c") == "a [TAIL] b [WIDE] c"
    assert masker.findings == {"tail": 1, "wide": 1}


def test_a_card_that_begins_in_what_a_rule_found_leaves_nothing() -> None:
    assert SCANNER.masker().mask_text("ORD-41111111 11111111") == "[ORDER][PAN]"
