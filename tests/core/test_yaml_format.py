"""The canonical form of a document: it means the same, every comment is there, and it stays as it is."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from extproc.core import yaml_format
from extproc.core.document_reader import parse_document
from extproc.core.yaml_format import FormatRefused, format_document

WRITTEN = """\
# yaml-language-server: $schema=policy.schema.json

kind:   Policy   # what it is
apiVersion: extproc/v1
name: p


rules:
# the first
-   effect: allow
    name: a   # its name
    # about the match
    match:
        {operations: [chat,
             embeddings], groups: ["a # b"]} # of analysts
    text: |   # header
         Hello # no comment
           more
      # behind the text

    # at the end of a
-
    # of b
    name: b
    match: {}
    effect: deny
    text: some
      long text
# about tests
tests:   # all
   - expect: {rule: a, effect: allow}
     request:
         path: /x
         body: {"model": "llama", "messages": [{"role": "user", "content": "%s"}], "b": {"y": 1, "x": 2}}
     principal: {subject: a,
        # in a list
        groups: [b]}
     name: t
"""
FORMATTED = """\
# yaml-language-server: $schema=policy.schema.json

apiVersion: extproc/v1
kind: Policy # what it is
name: p

rules:
  # the first
  - name: a # its name
    effect: allow
    # about the match
    match: {groups: ["a # b"], operations: [chat, embeddings]} # of analysts
    text: | # header
      Hello # no comment
        more
    # behind the text

    # at the end of a
  # of b
  - name: b
    effect: deny
    match: {}
    text: some
      long text
# about tests
tests: # all
  - name: t
    principal: {subject: a,
      # in a list
      groups: [b]}
    request:
      path: /x
      body:
        "model": "llama"
        "messages":
          - {"role": "user", "content": "%s"}
        "b": {"y": 1, "x": 2}
    expect: {effect: allow, rule: a}
"""


def form(text: str) -> str:
    return format_document(text.encode())


def test_order_indentation_and_blanks() -> None:
    content = "lorem ipsum " * 6
    assert form(WRITTEN % content) == FORMATTED % content
    assert form(FORMATTED % content) == FORMATTED % content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: |+\n    x\n\n\nb: 1\n", "a: |+\n  x\n\n\nb: 1\n"),
        ("a: |+\n    x\n\n", "a: |+\n  x\n\n"),
        ("a: |2\n     x\n   y\n", "a: |2\n     x\n   y\n"),
        ("- a:\n    |1-\n      x\n", "- a: |1-\n      x\n"),
        ("a: >\n   x\n   y\n\n   z\n", "a: >\n  x\n  y\n\n  z\n"),
        ("a: 'x\n        y'\n", "a: 'x\n  y'\n"),
        ('a: "x \\\n        y"\n', 'a: "x \\\n  y"\n'),
        ("a:\n- b\n-   - c\n    - d\n", "a:\n  - b\n  - - c\n    - d\n"),
        ("---\na: 1\n", "---\na: 1\n"),
        ("a:\n", "a:\n"),
        ("a: [ ]\nb: { }\n", "a: []\nb: {}\n"),
        ("a: 1\r\nb: 2\r\n", "a: 1\nb: 2\n"),
        ('{"a": 1,\n "b": [true]}\n', '{"a": 1, "b": [true]}\n'),
        ("a:   # of a\n  # of b\n  b: 1\n", "a: # of a\n  # of b\n  b: 1\n"),
        ("a:\n  # of the value\n  1\n", "# of the value\na: 1\n"),
        ("a: 1\n# the end\n", "a: 1\n# the end\n"),
        ("a:\n  b: 1\n  # the end of a\nc: 1\n", "a:\n  b: 1\n  # the end of a\nc: 1\n"),
        ("a:\n- b: 1\n# of c\nc: 1\n", "a:\n  - b: 1\n# of c\nc: 1\n"),
        ("- # of a\n  a: 1\n", "# of a\n- a: 1\n"),
    ],
)
def test_small_forms(text: str, expected: str) -> None:
    assert form(text) == expected
    assert form(expected) == expected


def test_a_list_too_long_for_a_line_is_written_item_by_item() -> None:
    names = [f"a-rather-long-name-{number}" for number in range(8)]
    assert form(f"a: [{', '.join(names)}] # names\n") == "a: # names\n" + "".join(f"  - {name}\n" for name in names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\n", "anchors and aliases are not supported"),
        ("a: [\n", "not valid YAML"),
        ("%YAML 1.1\n---\na: 1\n", "it begins with a directive"),
        ("a\n", "it is not a mapping"),
        ("'a\n b': 1\n", "not valid YAML"),
        ('a: "b\u2028c"\n', "line breaks other than line feeds"),
    ],
)
def test_what_cannot_be_formatted_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormatRefused, match=re.escape(message)):
        form(text)


@pytest.mark.parametrize("wrong", ["a: 2 # one\n", "a: 1\n", "a: [\n"], ids=["value", "comment", "yaml"])
def test_a_form_that_says_something_else_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """Whatever the writer does: values and comments are compared before the form is given out."""

    class Wrong:
        def __init__(self, _: object) -> None: ...

        def write(self, _: object) -> str:
            return wrong

    monkeypatch.setattr(yaml_format, "_Writer", Wrong)
    with pytest.raises(FormatRefused, match="cannot be formatted"):
        form("a: 1 # one\n")


# Any document at all -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["a", "name", "rules", "effect", "text", "kind", "x-y", '"q # r"', "'it''s'", "match"])
SCALARS = st.sampled_from(["1", "1.0", "true", "null", "word", "two words", '"q # r"', "'it''s'", "a#b", "~", "x y z"])


@st.composite
def comments(draw: st.DrawFn, indent: int) -> str:
    pieces = draw(st.lists(st.sampled_from(["", "# one", "#two", "# \u00e9 # more"]), max_size=2))
    extra = draw(st.sampled_from([0, 0, 1, 3]))
    return "".join(f"{' ' * (indent + extra)}{piece}\n" if piece else "\n" for piece in pieces)


def flows(depth: int) -> st.SearchStrategy[str]:
    if not depth:
        return SCALARS.map(lambda text: text if text != "~" else "null")
    inner = flows(depth - 1)
    mapping = st.dictionaries(WORDS, inner, max_size=3).map(
        lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
    )
    return st.one_of(inner, st.lists(inner, max_size=3).map(lambda items: f"[{',  '.join(items)}]"), mapping)


@st.composite
def blocks(draw: st.DrawFn, indent: int, depth: int) -> str:
    """Entries of a mapping or list at `indent`, with comments before, between and behind them."""
    pad, step = " " * indent, draw(st.integers(1, 4))
    mapping = draw(st.booleans()) or indent == 0
    keys = [f"{key}:" for key in draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))]
    heads = keys if mapping else ["-"] * len(keys)
    text = ""
    for head in heads:
        trailing = draw(st.sampled_from(["", "", "  # behind"]))
        text += draw(comments(indent)) + pad + head
        match draw(st.integers(0, 5)) if depth else 0:
            case 0 | 1:
                text += f" {draw(flows(2))}{trailing}\n"
            case 2:
                text += f" |{draw(st.sampled_from(['', '-', '+']))}{trailing}\n"
                lines = draw(st.lists(st.sampled_from(["x # y", "", "  deeper", "last "]), min_size=1, max_size=3))
                text += "".join(f"{pad}{' ' * step}{line}\n" if line else "\n" for line in ["first", *lines])
            case 3:
                text += f" 'some\n{pad}   text'{trailing}\n"
            case 4:
                text += f" [a,{trailing}\n{pad}  b]\n"
            case _:
                text += f"{trailing}\n" + draw(blocks(indent + step, depth - 1))
    return text + draw(comments(indent))


@given(blocks(0, 3))
def test_any_document_means_the_same_keeps_its_comments_and_stays(text: str) -> None:
    before = parse_document(text.encode())
    assume(not before.problems)
    after = form(text)
    assert json.dumps(parse_document(after.encode()).value, sort_keys=True) == json.dumps(before.value, sort_keys=True)
    assert form(after) == after
    assert Counter(words_of_comments(after)) == Counter(words_of_comments(text))


def words_of_comments(text: str) -> list[Any]:
    """Seen without a parser: what these documents write in comments, and nowhere else."""
    return re.findall(r"# one|#two|# \u00e9 # more|# behind", text)
