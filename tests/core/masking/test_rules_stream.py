"""The law of streams: for every way of cutting a text, a tape finds what a search of the whole text finds.

The whole text has an oracle of its own, which knows nothing of prefixes, starts and gates: it tries every start with the
pattern as it was written.
"""

import itertools
import random
import re
from collections.abc import Iterable

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.masking.byte_view import view_of
from extproc.core.masking.checks import CHECKS
from extproc.core.masking.effort import Effort
from extproc.core.masking.pattern_parser import PatternRefused
from extproc.core.masking.rule import Rule
from extproc.core.masking.rule_catalogue import CATALOGUES
from extproc.core.masking.rules import RuleSet
from extproc.core.masking.settings import MaskingRule
from extproc.core.masking.walk import Found

STEPS = 10**9
Span = tuple[int, int, str]


def rule_set(*rules: MaskingRule) -> RuleSet | None:
    """The rules, or None where one of them is refused."""
    try:
        return RuleSet(tuple(map(Rule, rules)))
    except PatternRefused:
        return None


def anchored(pattern: str) -> "re2._Regexp":
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.longest_match = True
    options.log_errors = False
    return re2.compile(pattern.encode(), options)


def oracle(rule: MaskingRule, text: str) -> list[Span]:
    """What the rule finds, by its definition: every start in turn, in time that grows with the square of the text."""
    pattern = anchored(rule.pattern)
    view = view_of(text)
    found: list[Span] = []
    at = 0
    while at < len(view):
        match = pattern.match(view, at)
        if match is None or not announced(rule.keywords, view, at) or not announced(rule.context, view, at):
            at += 1
            continue
        first, last = match.span()
        group = pattern.groupindex.get(b"value", 0)
        if match.end(group) > match.start(group) >= 0:
            first, last = match.span(group)
        if rule.check and not CHECKS[rule.check](view[first:last]):
            at += 1
            continue
        found.append((first, last, rule.kind or rule.name))
        at = match.end()
    return found


def announced(words: Iterable[str], view: bytes, start: int) -> bool:
    """Whether one of the words, none of which is linked in more than one way, is in the 64 characters before `start`."""
    text = view.decode("latin-1").lower()
    for word in words:
        whole_word = re.compile(f"(?<![a-z]){re.escape(word)}{'(?![a-z])' if len(word) <= 4 else ''}")
        if any(whole_word.match(text, begin) for begin in range(max(0, start - 64), start - len(word) + 1)):
            return True
    return not words


def streamed(rules: RuleSet, chunks: Iterable[str], primer: str = "") -> list[Span]:
    """What a tape finds, as a caller would use it, with finds that go on joined; holds it to what it promises."""
    tape = rules.tape(primer, Effort(STEPS))
    spans: list[Span] = []
    size = decided = 0

    def note(found: list[Found], before: int) -> None:
        for one in found:
            if one.rest:
                index = max(i for i, span in enumerate(spans) if span[2] == one.kind)
                assert spans[index][1] == one.start
                spans[index] = spans[index][0], one.end, one.kind
            else:
                assert one.start >= before, "a find before what was said to be decided"
                spans.append((one.start, one.end, str(one.kind)))
        assert found == sorted(found, key=lambda one: (one.start, one.end))

    for chunk in chunks:
        size += len(chunk)
        if tape.idle and rules.trigger.search(chunk) is None:
            tape.pass_by(chunk)
            decided = size
            continue
        found: list[Found] = []
        before, decided = decided, tape.take(chunk, found, final=False)
        assert before <= decided <= size
        assert decided == size or not tape.idle
        note(found, before)
    found = []
    assert tape.take("", found, final=True) == size
    note(found, decided)
    return sorted(spans)


def whole(rules: RuleSet, text: str, primer: str = "") -> list[Span]:
    return sorted((one.start, one.end, str(one.kind)) for one in rules.find(text, Effort(STEPS), primer))


def cut(text: str, at: Iterable[int]) -> list[str]:
    places = [0, *sorted(at), len(text)]
    return [text[low:high] for low, high in itertools.pairwise(places)]


ATOMS = ("a", "b", "1", "-", " ", r"\d", r"\w", r"\s", r"\W", "[ab]", "[^a]", "[a1]", ".", "ab", "b-")
BOUNDS = ("?", "{2}", "{0,2}", "{1,3}", "{2,3}")


@st.composite
def patterns(draw: st.DrawFn) -> str:
    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.lists(inner, min_size=2, max_size=4).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda branches: f"(?:{'|'.join(branches)})"),
            st.tuples(inner, st.sampled_from(BOUNDS)).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        )

    body = draw(st.recursive(st.sampled_from((*ATOMS, r"\b")), grown, max_leaves=7))
    start = draw(st.sampled_from(("", "", r"\b")))
    tail = draw(st.sampled_from(("", "", r"\b", "a*", "[ab]+", r"\w{2,}")))
    return f"{start}{body}{tail}"


TEXT = st.text(st.sampled_from("aab1- \u00e9\u65e5"), max_size=24)


@given(patterns(), TEXT, st.lists(st.integers(0, 24), max_size=8))
@settings(max_examples=250)
def test_a_stream_finds_what_the_whole_text_has(pattern: str, text: str, at: list[int]) -> None:
    rule = MaskingRule("r", pattern)
    rules = rule_set(rule)
    if rules is None:
        return
    expected = oracle(rule, text)
    assert whole(rules, text) == expected, (pattern, text)
    for chunks in (cut(text, (min(place, len(text)) for place in at)), list(text)):
        assert streamed(rules, chunks) == expected, (pattern, chunks)


WORDS = st.lists(st.sampled_from(("a", "ab", "aab", "abaab", "babaa")), min_size=1, max_size=2, unique=True).map(tuple)


GATED = st.tuples(patterns(), WORDS, st.sampled_from([(), ("ba", "abaa")])).map(lambda parts: MaskingRule("r", *parts))
FAR_APART = st.tuples(TEXT, TEXT).map(("-" * 50).join)


@given(GATED, FAR_APART, st.lists(st.integers(0, 24), max_size=8))
@settings(max_examples=250)
def test_words_gate_a_stream_as_they_gate_the_whole_text(rule: MaskingRule, text: str, at: list[int]) -> None:
    rules = rule_set(rule)
    if rules is None:
        return
    expected = oracle(rule, text)
    assert whole(rules, text) == expected, (rule, text)
    for chunks in (cut(text, (min(place + 50, len(text)) for place in at)), list(text)):
        assert streamed(rules, chunks) == expected, (rule, chunks)


@given(st.lists(patterns(), min_size=2, max_size=3), TEXT, st.lists(st.integers(0, 24), max_size=8))
@settings(max_examples=300)
def test_rules_do_not_know_of_each_other(several: list[str], text: str, at: list[int]) -> None:
    made = [MaskingRule(f"r{index}", pattern) for index, pattern in enumerate(several)]
    made = [rule for rule in made if rule_set(rule) is not None]
    rules = RuleSet(tuple(map(Rule, made)))
    expected = sorted(span for rule in made for span in oracle(rule, text))
    assert whole(rules, text) == expected
    for chunks in (cut(text, (min(place, len(text)) for place in at)), list(text)):
        assert streamed(rules, chunks) == expected, (several, chunks)


@given(patterns(), TEXT, TEXT, st.lists(st.integers(0, 24), max_size=8))
@settings(max_examples=250)
def test_a_primer_is_text_that_went_before(pattern: str, primer: str, text: str, at: list[int]) -> None:
    rules = rule_set(MaskingRule("r", pattern), MaskingRule("k", pattern, keywords=("ab",)))
    if rules is None:
        return
    expected = whole(rules, text, primer)
    assert all(start >= 0 for start, _, _ in expected)
    for chunks in (cut(text, (min(place, len(text)) for place in at)), list(text)):
        assert streamed(rules, chunks, primer) == expected


VALUE = MaskingRule("v", r"\bkey[ :=]{1,3}(?P<value>[a-z0-9]{4,8})\b")
OPEN_VALUE = MaskingRule("o", r"\bkey[ :=]{1,3}(?P<value>[a-z]{0,2}[a-z0-9]{4,})")
LUHN = MaskingRule("n", r"\b\d{3,6}\b", check="luhn")
# "118" fails, and "18" in it does not.
LOOSE_LUHN = MaskingRule("l", r"\d{2,3}", check="luhn")


@pytest.mark.parametrize("rule", [VALUE, OPEN_VALUE, LUHN, LOOSE_LUHN], ids=lambda rule: rule.name)
@given(
    st.lists(st.sampled_from(("key", "key=", "key: ", "ab1", "abcd12", " ", "18", "59", "1", "0", "-", "x"))), st.data()
)
@settings(max_examples=250)
def test_values_and_checks_in_streams(rule: MaskingRule, words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    rules = RuleSet.of([rule])
    expected = oracle(rule, text)
    assert whole(rules, text) == expected
    at = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    for chunks in (cut(text, at), list(text)):
        assert streamed(rules, chunks) == expected


CATALOGUE = {profile: RuleSet.of(rules) for profile, rules in CATALOGUES.items()}
PIECES = (
    *(
        "password",
        "=",
        '"',
        ": ",
        " ",
        "'",
        "hunter22",
        "_",
        "secret",
        "api_key",
        "AKIA",
        "0123456789ABCDEF",
        "sk-",
        "ant-",
    ),
    *(
        "eyJ",
        "abcdefghij",
        ".",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "\n",
        "://",
        "@",
        "a.b",
        ".org",
        "+49",
        "151",
        "1234567",
    ),
    *(
        "DE89",
        "3704",
        "0044",
        "0532",
        "0130",
        "00",
        "-",
        "ssn",
        "tax id",
        "passport ",
        "tel",
        "C01X00T47",
        "219-45-6789",
    ),
    *("\u00e9", "\u65e5", "[PAN]", "/", "T1234567", "hooks.slack.com", "services"),
)


@pytest.mark.parametrize("profile", CATALOGUE)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.data())
@settings(max_examples=300)
def test_the_rules_of_the_profiles_in_streams(profile: str, text: str, data: st.DataObject) -> None:
    rules = CATALOGUE[profile]
    expected = sorted(span for rule in CATALOGUES[profile] for span in oracle(rule, text))
    assert whole(rules, text) == expected
    for chunks in (cut(text, data.draw(st.lists(st.integers(0, len(text)), max_size=6))), list(text)):
        assert streamed(rules, chunks) == expected


def test_a_long_stream_forgets_and_stays_right() -> None:
    """Offsets count all characters taken, and what stands far back is not kept."""
    rules = RuleSet.of([VALUE, OPEN_VALUE, LUHN, MaskingRule("k", r"\d{2}", keywords=("badge",))])
    rng = random.Random(7)
    pieces = ["key=abcd1234 ", "some words ", "1859 ", "badge 77 ", "\u65e5\u672c ", "x" * 40, "key: abcdefghij"]
    text = "".join(rng.choice(pieces) for _ in range(400))
    at = [rng.randrange(len(text)) for _ in range(1500)]
    expected = whole(rules, text)
    assert len(expected) > 300
    assert streamed(rules, cut(text, at)) == expected
    tape = rules.tape("", Effort(STEPS))
    for chunk in cut(text, at):
        tape.take(chunk, [], final=False)
        assert len(tape._view) <= 2_000
