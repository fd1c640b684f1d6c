"""The text as rules see it: a byte for each character."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.masking.byte_view import view_of

VIEWS = {
    "abc 12": b"abc 12",
    "\uff11\u0663\u00a0\u2013\uff21": b"13 -A",
    "caf\u00e9 \u00c5": b"cafe A",
    "\u65e5\u672c \U0001f600\ud800\u00df\ufb01": b"\xff\xff \xff\xff\xff\xff",
    "\U0001d7ce\U0001d400\U00020bb7": b"0A\xff",
    "": b"",
}


@pytest.mark.parametrize("text", VIEWS, ids=ascii)
def test_a_view_has_a_byte_for_each_character(text: str) -> None:
    assert view_of(text) == VIEWS[text]


@given(st.text(st.characters(exclude_categories=[])), st.text(st.characters(exclude_categories=[])))
def test_views_can_be_put_together(one: str, other: str) -> None:
    assert view_of(one) + view_of(other) == view_of(one + other)
    assert len(view_of(one)) == len(one)


def test_only_encoding_is_helped() -> None:
    error = UnicodeDecodeError("ascii", b"\xff", 0, 1, "no ASCII")
    with pytest.raises(UnicodeDecodeError):
        codecs.lookup_error("extproc-view")(error)
