"""Globs: what they match, and that no text makes them slow."""

import functools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.policy import matches_glob


def oracle(glob: str, text: str) -> bool:
    @functools.cache
    def at(i: int, j: int) -> bool:
        if i == len(glob):
            return j == len(text)
        if glob[i] == "*":
            return at(i + 1, j) or (j < len(text) and at(i, j + 1))
        return j < len(text) and glob[i] in ("?", text[j]) and at(i + 1, j + 1)

    return at(0, 0)


@given(st.text("ab*?.\n", max_size=8), st.text("ab.\n", max_size=10))
def test_a_glob_matches_as_its_definition_says(glob: str, text: str) -> None:
    assert matches_glob(glob, text) is oracle(glob, text)


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        ("scripted-*", "scripted-tiny", True),
        ("scripted-*", "Scripted-tiny", False),
        ("scripted-*", "my-scripted-tiny", False),
        ("llama-?b", "llama-8b", True),
        ("llama-?b", "llama-70b", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("a", "a\n", False),
        ("*a*", "\ud800a", True),
    ],
)
def test_globs(glob: str, text: str, expected: bool) -> None:
    assert matches_glob(glob, text) is expected


@pytest.mark.parametrize("glob", ["*a" * 60 + "*b", "*" + "a?" * 60 + "b", "*a*" + "a" * 120 + "*b*", "a*" * 100 + "b"])
def test_doubling_the_text_about_doubles_the_time(glob: str) -> None:
    def seconds(length: int) -> float:
        text = "a" * length
        best = 1e9
        for _ in range(5):
            begin = time.thread_time()
            assert not matches_glob(glob, text)
            best = min(best, time.thread_time() - begin)
        return best

    seconds(1000)
    # A neighbour may have the cache for a while: once is enough.
    assert any(seconds(40_000) < 4.5 * max(seconds(20_000), 20e-6) for _ in range(5))
