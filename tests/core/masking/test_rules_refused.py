"""What is no rule, and what it says then; what a rule tells of itself; words before a match, by example."""

import pytest

from extproc.core.masking.aliases import Aliases
from extproc.core.masking.effort import Effort
from extproc.core.masking.mask import Masks
from extproc.core.masking.pattern_parser import PatternRefused
from extproc.core.masking.rule import MAX_HELD, Rule
from extproc.core.masking.rule_catalogue import CATALOGUES
from extproc.core.masking.rules import RuleSet
from extproc.core.masking.settings import MaskingRule, Style
from extproc.core.masking.walk import Found

STEPS = 10**9

LONG = [f"[{first}-z]{{1,99}}[{second}-9]{{1,99}}" for first in "abcdefghijklmnop" for second in "01234"]

REFUSED = {
    "matches nothing": (MaskingRule("r", "a?"), "matches the empty text"),
    "a boundary alone": (MaskingRule("r", r"\b"), "matches the empty text"),
    "an empty branch": (MaskingRule("r", "ab|"), "matches the empty text"),
    "anything": (MaskingRule("r", ".*"), "matches the empty text"),
    "unbounded inside": (MaskingRule("r", "[a-z]+@x"), "this repetition has no bound"),
    "unbounded twice": (MaskingRule("r", "(?:ax+)+"), "this repetition has no bound"),
    "unbounded before a boundary": (MaskingRule("r", r"x\d+\b"), "this repetition has no bound"),
    "unbounded in a branch": (MaskingRule("r", r"(?:x\d+|y)"), "this repetition has no bound"),
    "an unbounded group": (MaskingRule("r", "(?:ab)+"), "this repetition has no bound"),
    "too long": (MaskingRule("r", "x{300}y{300}"), f"would hold back 600 characters of a stream, more than {MAX_HELD}"),
    "too long, nested": (MaskingRule("r", "(?:(?:ab){20}){20}"), "would hold back 800 characters"),
    "too large": (MaskingRule("r", f"(?:{'|'.join(LONG)}){{2}}"), "takes too much memory"),
    "RE2 says no": (MaskingRule("r", "(?:(?:(?:a{0,11}){0,11}){0,11})b{0}"), "matches the empty text"),
    "checked without a bound": (
        MaskingRule("r", r"x\d{4,}", check="luhn"),
        "a match without a bound cannot be checked",
    ),
    "unbounded outside the value": (MaskingRule("r", "k=(?P<value>a)b+"), "ends without a bound outside"),
    "a mask": (MaskingRule("r", "PAN"), "matches in `[PAN]`"),
    "capitals": (MaskingRule("r", "[A-Z]{3}"), "matches in `[PAN]`"),
    "brackets": (MaskingRule("r", r"\[[a-zA-Z]{5,9}\]"), "matches in `[TRACK]`"),
    "its own mask": (MaskingRule("zebra", "(?i)ze[a-z]ra"), "matches in `[ZEBRA]`"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_rule(name: str) -> None:
    rule, message = REFUSED[name]
    with pytest.raises(PatternRefused) as refused:
        RuleSet.of([rule])
    assert refused.value.message.startswith(message)
    assert refused.value.message[-1] != "."


def test_the_masks_of_other_rules_are_left_alone() -> None:
    with pytest.raises(PatternRefused, match=r"matches in `\[BADGE\]`"):
        RuleSet.of([MaskingRule("badge", r"\bb-\d{4}"), MaskingRule("r", "BA[A-Z]GE")])


def test_masks_depend_on_the_style() -> None:
    digits, count = MaskingRule("r", r"\b\d{6}\b"), MaskingRule("r", r"_\d{1,3}\b")
    for rule, refusing in ((digits, Style.TRUNCATE), (count, Style.NUMBERED)):
        for style in Style:
            if style is refusing:
                with pytest.raises(PatternRefused, match="matches in"):
                    RuleSet.of([rule], {("pan", style)})
            else:
                assert RuleSet.of([rule], {("pan", style)})


LAGS = {
    r"AKIA[A-Z0-9]{16}": (0, 20),
    r"\b\d{3}-\d{4}\b": (0, 8),
    r"\bemp-\d{4,}": (0, 8),
    r"the \d{4}": (1, 8),
    r"[a-z]{1,20}@x": (1, 22),
    r"\b\w{3,8}-\d": (1, 10),
    r" ?[A-Za-z]{2,9}=\d{2}": (1, 13),
    r".{1,8}\d": (1, 9),
    r"-----[A-Z]{2,9}-": (0, 15),
}


@pytest.mark.parametrize("pattern", LAGS)
def test_a_rule_tells_how_it_delays_a_stream(pattern: str) -> None:
    lag = Rule(MaskingRule("r", pattern)).lag
    assert (lag.number, lag.characters) == LAGS[pattern]
    assert Rule(MaskingRule("r", pattern, keywords=("badge",))).lag.number == 0


# words, text -> whether a match at `#` has one before it
ANNOUNCED: dict[tuple[str, ...], dict[str, bool]] = {
    ("ssn",): {
        "ssn #": True,
        "SSN: #": True,
        "us_ssn=#": True,
        "ssn#": True,
        "classname #": False,
        "ssns #": False,
        "xssn #": False,
        "#": False,
        "ssn" + "-" * 61 + "#": True,
        "ssn" + "-" * 62 + "#": False,
    },
    ("passport",): {
        "passports #": True,
        "passportNumber #": True,
        "mypassport #": False,
        "Passport#": True,
        "passpor #": False,
        "passport" + "-" * 56 + "#": True,
        "passport" + "-" * 57 + "#": False,
    },
    ("tax id", "vat"): {
        "tax id #": True,
        "Tax-ID #": True,
        "tax_id #": True,
        "taxId: #": True,
        "tax  id #": False,
        "tax #": False,
        "tvat #": False,
    },
    ("abc", "abcde"): {"abcde #": True, "abcd #": False, "abc#de": True},
}


@pytest.mark.parametrize(("words", "text"), [(words, text) for words, texts in ANNOUNCED.items() for text in texts])
@pytest.mark.parametrize("before", ["", "- " * 200])
def test_words_before_a_match(words: tuple[str, ...], text: str, before: str) -> None:
    """As a whole text, and character by character, at the beginning of a stream and far into it."""
    expected = ANNOUNCED[words][text]
    rules = RuleSet((Rule(MaskingRule("r", "#", keywords=words)),))
    text = before + text
    spans = [(text.index("#"), text.index("#") + 1)] if expected else []
    assert [(one.start, one.end) for one in rules.find(text, Effort(STEPS))] == spans
    for size in (1, 5):
        tape = rules.tape("", Effort(STEPS))
        found: list[Found] = []
        for at in range(0, len(text), size):
            tape.take(text[at : at + size], found, final=False)
        tape.take("", found, final=True)
        assert [(one.start, one.end) for one in found] == spans


def test_a_longer_word_that_reaches_into_the_match_hides_no_shorter_one() -> None:
    rules = RuleSet((Rule(MaskingRule("r", "gamma", keywords=("alpha beta gamma", "beta"))),))
    assert rules.find("alpha beta gamma", Effort(STEPS)) == [Found(11, 16, "r")]
    assert rules.find("alpha betas gamma", Effort(STEPS)) == []


def test_a_stretch_has_both_words_before_all_of_it() -> None:
    rule = Rule(MaskingRule("r", r"\d{4}", keywords=("badge",), context=("visitor",)))
    far = b"badge " + b"- " * 40
    assert rule._region(far + b"visitor ", 0) is None
    assert rule._region(far + b"visitor badge " + b"- " * 40, 0) == (99, 150)
    assert rule._region(far + b"badge visitor " + b"- " * 40, 0) == (99, 150)


def test_both_lists_of_words_are_asked() -> None:
    rules = RuleSet((Rule(MaskingRule("r", r"\d{4}", keywords=("badge",), context=("visitor", "guest"))),))
    found = rules.find("badge 1234, visitor 1234 badge 1234, guest 5678", Effort(STEPS))
    assert [one.start for one in found] == [20, 31, 43]


def test_finds_of_rules_are_masked_and_counted_once() -> None:
    masks = Masks({"pan": Style.TRUNCATE}, Aliases(None, ""), Effort(STEPS))
    assert masks.mask(Found(0, 3, "badge")) == "[BADGE]"
    assert masks.mask(Found(3, 9, "badge", rest=True)) == ""
    assert masks.replace("a b-1 c", [Found(2, 5, "badge")]) == "a [BADGE] c"
    assert masks.findings == {"badge": 2}
    assert type(next(iter(masks.findings))) is str


def test_a_key_can_stand_before_a_whole_text() -> None:
    """As a primer: the words are in it, and nothing of it is found."""
    rules = RuleSet.of(CATALOGUES["pci-pii"])
    assert rules.find("219456789", Effort(STEPS)) == []
    assert rules.find("219456789", Effort(STEPS), "ssn: ") == [Found(0, 9, "ssn")]
    assert rules.find("to a@b.org", Effort(STEPS), "c@d.org: ") == [Found(3, 10, "email")]
