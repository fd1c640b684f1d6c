"""How texts become HTML."""

import pytest

from extproc.console.filters import coded


@pytest.mark.parametrize(
    ("said", "html"),
    [
        ("none", "none"),
        ("`extproc audit keys` says so", "<code>extproc audit keys</code> says so"),
        ("one `is` `not` closed`", "one `is` `not` closed`"),
        ("`<b>` & <b>", "<code>&lt;b&gt;</code> &amp; &lt;b&gt;"),
        ("`\u202e`", '<code><span class="hidden-character">&lt;U+202E&gt;</span></code>'),
    ],
)
def test_names_in_a_sentence_are_set_as_code_and_nothing_else_is_markup(said: str, html: str) -> None:
    assert str(coded(said)) == html
