"""The trees of patterns against RE2 itself: same language, all prefixes, right bounds; and what is refused."""

import itertools
import re
from collections.abc import Iterator

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.masking.byte_view import view_of
from extproc.core.masking.engine import NOWHERE, Engine
from extproc.core.masking.pattern import (
    Boundary,
    Concat,
    Node,
    has_value,
    longest,
    needed,
    prefixes,
    shortest,
    split_tail,
    unbounded,
    write,
)
from extproc.core.masking.pattern_parser import PatternRefused, parse_pattern
from extproc.core.masking.starts import MAX_HEADS, Starts, pattern_starts

ALPHABET = "aB1- "
TEXTS = ["".join(characters) for size in range(5) for characters in itertools.product(ALPHABET, repeat=size)]

_ATOMS = st.sampled_from(
    [
        "a",
        "B",
        "1",
        "-",
        " ",
        ".",
        r"\d",
        r"\w",
        r"\s",
        r"\W",
        r"\S",
        "[aB]",
        "[^a]",
        "[a-z1]",
        r"[\d-]",
        r"\x61",
        r"\-",
    ]
)
_BOUNDS = st.sampled_from(["?", "{2}", "{0,2}", "{1,2}", "{2,3}", "{0}"])
_LOOSE_BOUNDS = st.sampled_from(["?", "{2}", "{1,2}", "*", "+", "{2,}"])


def sources(bounds: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Patterns of the subset, made of characters of `ALPHABET`."""

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.lists(inner, min_size=2, max_size=4).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda branches: f"(?:{'|'.join(branches)})"),
            st.tuples(inner, bounds).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
            inner.map(lambda one: f"(?i:{one})"),
            inner.map(lambda one: f"({one})"),
        )

    return st.recursive(_ATOMS | st.just(r"\b"), grown, max_leaves=8).filter(taken)


def taken(source: str) -> bool:
    try:
        parse_pattern(source)
    except PatternRefused as refused:
        return not 0 < refused.position <= len(source) + 1
    return True


def compiled(source: str) -> "re2._Regexp":
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.longest_match = True
    options.log_errors = False
    return re2.compile(source.encode(), options)


@given(sources(_LOOSE_BOUNDS))
@settings(max_examples=200)
def test_a_tree_is_what_re2_reads(source: str) -> None:
    theirs, ours = compiled(source), compiled(write(parse_pattern(source)))
    for text in TEXTS:
        view = view_of(text)
        for place in (view, b"a" + view + b"1"):
            found, expected = ours.search(place), theirs.search(place)
            assert (found and found.span()) == (expected and expected.span()), (source, place)


def matches(source: str, texts: list[str]) -> Iterator[str]:
    whole = compiled(source)
    return (text for text in texts if whole.fullmatch(text.encode()))


@given(sources(_BOUNDS))
@settings(max_examples=200)
def test_prefixes_are_all_prefixes(source: str) -> None:
    node = parse_pattern(source)
    expected = {text[:size] for text in matches(source, TEXTS) for size in range(1, len(text) + 1)}
    tree = prefixes(node)
    found = set() if tree is None else set(matches(write(tree), [text for text in TEXTS if text]))
    assert expected <= found, source
    if r"\b" not in source and (longest(node) or 0) <= 4:
        assert found == expected, source


@given(sources(_BOUNDS))
@settings(max_examples=150)
def test_the_bounds_of_a_tree_hold(source: str) -> None:
    node = parse_pattern(source)
    lengths = [len(text) for text in matches(source, TEXTS)]
    most = longest(node)
    assert most is not None
    assert all(shortest(node) <= length <= most for length in lengths)
    if r"\b" not in source and most <= 4 and lengths:
        assert (min(lengths), max(lengths)) == (shortest(node), most)


@given(sources(_LOOSE_BOUNDS))
@settings(max_examples=150)
def test_every_match_has_the_needed_character(source: str) -> None:
    character = needed(parse_pattern(source)).decode()
    assert all(character in text for text in matches(source, TEXTS)), source


def test_the_needed_character_is_a_sign_where_there_is_one() -> None:
    assert needed(parse_pattern(r"[a-z]{1,9}@(?:x\.){1,2}")) == b"@"
    assert needed(parse_pattern("ab{0,2}c")) == b"a"
    assert needed(parse_pattern("(?:a|b)-?[0-9]")) == b""
    assert needed(parse_pattern("(?:a-b|c-d)")) == b"-"
    assert needed(parse_pattern("(?i)a{2}")) == b""


@given(sources(_BOUNDS), st.sampled_from(["a", "[a1]", r"\w", "."]), st.sampled_from(["*", "+", "{2,}"]))
@settings(max_examples=150)
def test_a_tail_is_what_follows_the_longest_match_without_it(source: str, item: str, bounds: str) -> None:
    whole = compiled(f"(?:{source}){item}{bounds}")
    cut, mask = split_tail(parse_pattern(f"(?:{source}){item}{bounds}"))
    assert mask
    assert longest(cut) is not None
    bounded = compiled(write(cut))
    for text in TEXTS:
        expected = whole.match(text.encode())
        found = bounded.match(text.encode())
        assert (found is None) == (expected is None)
        if found and expected:
            end = found.end()
            while end < len(text) and mask >> ord(text[end]) & 1:
                end += 1
            assert end == expected.end(), (source, text)


@pytest.mark.parametrize("most", [MAX_HEADS, 2])
@given(sources(_BOUNDS).filter(lambda source: shortest(parse_pattern(source)) > 0))
@settings(max_examples=100)
def test_no_match_begins_where_the_starts_see_none(most: int, source: str) -> None:
    """Neither a match nor, at the end, what could become one; with what stands before, and without."""
    node = parse_pattern(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("extproc.core.masking.starts.MAX_HEADS", most)
        starts = Starts([pattern_starts(node)])
    tree = prefixes(node)
    hold = compiled(f"(?:{source})|(?:{write(tree)})\\z") if tree else compiled(source)
    for text in TEXTS:
        for before in (b"", b"a", b" "):
            found = hold.search(before + text.encode(), len(before))
            seen = starts.search(before + text.encode(), len(before))
            assert found is None or found.start() == len(before + text.encode()) or seen, (source, before, text)
            assert found is None or not seen or seen.start() <= found.start()
            assert seen is None or starts.search_ascii(text), (source, before, text)


REFUSED = {
    "^a": (1, "`^` is not supported"),
    "a$": (2, "`$` is not supported"),
    "(a+)+$": (6, "`$` is not supported"),
    r"\Aa": (1, "anchors are not supported"),
    r"a\z": (2, "anchors are not supported"),
    "a(?=b)": (2, "looking ahead or behind"),
    "(?<!b)a": (1, "looking ahead or behind"),
    r"(a)\1": (4, "a reference back"),
    "a+?": (3, "lazy repetition"),
    "a{2}{3}": (5, "a repetition cannot be repeated"),
    "a++": (3, "a repetition cannot be repeated"),
    "*a": (1, "there is nothing here to repeat"),
    r"\b+a": (3, r"`\b` cannot be repeated"),
    "a{1,x}": (5, "a repetition is counted"),
    "a{,3}": (3, "a repetition is counted"),
    "a{3,2}": (2, "this is no repetition"),
    "a{1001}": (3, "a repetition is counted"),
    "a}": (2, "`}` stands alone"),
    "a]": (2, "`]` stands alone"),
    "a)": (2, "this `)` closes nothing"),
    "(a": (1, "this `(` is not closed"),
    "[a": (1, "this `[` is not closed"),
    "[]a]": (1, "this `[` is not closed"),
    "[[:alpha:]]": (2, "classes with names"),
    r"[^\s\S]": (1, "this class is empty"),
    "[a-c-e]": (5, "this `-` is between no two characters"),
    "[z-a]": (2, "this is no range"),
    r"[a-\d]": (2, "this is no range"),
    r"\pL": (1, "this escape is not supported"),
    r"\Qa\E": (1, "this escape is not supported"),
    r"\0": (1, "this escape is not supported"),
    r"\B": (1, "this escape is not supported"),
    "a\\": (2, "this escape is not supported"),
    r"\x{61}": (1, r"`\x` is followed by two"),
    r"\xff": (1, r"`\x` is followed by two"),
    "stra\u00dfe": (5, "only ASCII"),
    "(?s:a)": (1, "this kind of group"),
    "a(?i)b": (2, "this kind of group"),
    "(?P<name>a)": (1, "the only group with a name"),
    "(?P<value>a)(?P<value>b)": (13, "there is a group `value` already"),
    "(?P<value>a)?": (13, "the group `value` cannot be repeated"),
    "(" * 9 + "a" + ")" * 9: (9, "groups are nested deeper"),
}


@pytest.mark.parametrize("source", REFUSED, ids=ascii)
def test_what_is_not_taken_is_refused_where_it_stands(source: str) -> None:
    with pytest.raises(PatternRefused) as refused:
        parse_pattern(source)
    position, message = REFUSED[source]
    assert (refused.value.position, refused.value.message[: len(message)]) == (position, message)


@given(st.text(st.sampled_from(list(r"ab1-^[](){}?*+|.\dwsbPx<>:i, ")), max_size=14))
@settings(max_examples=1_000)
def test_what_is_taken_re2_takes(source: str) -> None:
    """Any text is read or refused, and what is read means the same to RE2."""
    if not taken(source):
        return
    node = parse_pattern(source)
    theirs, ours = compiled(source), compiled(write(node))
    for text in TEXTS[:200]:
        found, expected = ours.search(text.encode()), theirs.search(text.encode())
        assert (found and found.span()) == (expected and expected.span()), (source, text)


def test_the_group_that_is_replaced() -> None:
    node = parse_pattern("key=(?P<value>[a-z]{2})")
    assert has_value(node)
    assert Engine(write(node), grouped=True).spans(b"key=ab", 0, 6) == [(0, 6), (4, 6)]
    assert not has_value(parse_pattern("key=([a-z]{2})"))


def test_unbounded_repetitions_know_where_they_stand() -> None:
    node = parse_pattern("a*b(?:c+|d{2,})")
    assert [one.position for one in unbounded(node)] == [2, 8, 11]


def test_a_boundary_at_the_beginning_is_kept_in_prefixes() -> None:
    tree = prefixes(parse_pattern(r"\bab\b"))
    assert isinstance(tree, Concat)
    assert isinstance(tree.items[0], Boundary)
    engine = Engine(f"(?:{write(tree)})\\z")
    assert engine.search(b"xa", 1, 2) == NOWHERE
    assert engine.search(b" a", 1, 2) == (1, 2)


def test_an_engine_refuses_what_takes_too_much_memory() -> None:
    with pytest.raises(ValueError, match="RE2 does not take the pattern"):
        Engine(write(parse_pattern("(?:[a-z]{1,500}[0-9]{1,500}){1,2}")), max_memory=4096)


def node_of(source: str) -> Node:
    return parse_pattern(source)


def test_written_classes_mean_the_same_to_re() -> None:
    for source in (r"[\]\-a]", r"\W", ".", r"\x5b", "(?i)[a-c]"):
        ours = re.compile(write(node_of(source)).encode())
        theirs = compiled(source)
        for code in range(256):
            one = bytes([code])
            assert bool(ours.fullmatch(one)) == bool(theirs.fullmatch(one)), (source, code)
