"""A YAML document as a tree of entries, each with the comments and blank lines that belong to it. For `yaml_format`.

A comment belongs to one entry or to the end of one collection; `comments` has all of a text, so that a writer can show
that none is lost.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

BLANK = ""
"""A blank line among comments."""
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*")
_COMMENT = re.compile(r"#[^\n]*")


class Unwritable(Exception):
    """The text uses YAML that the tree does not keep. The message says what, and quotes nothing."""


@dataclass(slots=True, eq=False)
class Entry:
    """A key with its value, or an item of a list (`key` is None). `start` and `end` are offsets into the text."""

    start: int
    column: int
    key: Any
    value: Any
    """A node of PyYAML; where it is a collection in block style, `block` holds its entries."""
    block: "Block | None" = None
    head: list[str] = field(default_factory=list)
    """Comments above it, with `BLANK` for blank lines."""
    trailing: str = ""
    """The comment behind it, on its line."""


@dataclass(slots=True, eq=False)
class Block:
    """A mapping or list in block style. `foot` are the comments behind its last entry."""

    entries: list[Entry]
    foot: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tree:
    """`prologue` is what stands above the first entry of the document and stays there."""

    text: str
    root: Entry
    prologue: list[str]
    explicit: bool
    """The document begins with `---`."""
    comments: Mapping[int, str]
    """Every comment, by its offset."""
    starts: list[int]
    """The offset of each line."""

    def source(self, node: Any) -> str:
        """What is written for a node that is not in block style."""
        return self.text[self.offset(node.start_mark) : self.offset(node.end_mark)]

    def offset(self, mark: Any) -> int:
        return _offset(self.starts, mark)

    def has_comment(self, node: Any) -> bool:
        """Whether a comment stands inside a collection in flow style."""
        first, last = self.offset(node.start_mark), self.offset(node.end_mark)
        return "#" in self.text[first:last] and any(first < at < last for at in self.comments)


def read_tree(text: str) -> Tree:
    """The tree of one document that `parse_document` accepts. Raises `Unwritable`."""
    if re.search("[\r\x85\u2028\u2029]", text):
        raise Unwritable("it holds line breaks other than line feeds")
    first = text.lstrip()
    if text.startswith("%") or "\n%" in text[: len(text) - len(first) + 1]:
        raise Unwritable("it begins with a directive")
    return _Reader(text).tree()


def is_block(node: Any) -> bool:
    """Whether the node is a collection in block style."""
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def block_scalar_end(text: str, node: Any, start: int, parent_column: int) -> tuple[int, int]:
    """Offset behind the last content line of a literal or folded scalar, and the column of its content (-1: none)."""
    line_end = _line_end(text, start)
    header = _BLOCK_HEADER.match(text, start)
    digits = re.sub(r"[^0-9]", "", header[0]) if header else ""
    column = parent_column + int(digits) if digits else -1
    keep = header is not None and "+" in header[0]
    end = line_end
    at = line_end + 1
    while at < len(text):
        stop = _line_end(text, at)
        line = text[at:stop]
        indent = len(line) - len(line.lstrip(" "))
        if line.strip(" "):
            if column < 0:
                column = indent if indent > parent_column else -1
            if column < 0 or indent < column:
                break
            end = stop
        elif keep or (0 <= column < indent):
            end = stop
        at = stop + 1
    return end, column


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _line_starts(text: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer("\n", text))]


def _offset(starts: list[int], mark: Any) -> int:
    line, column = int(mark.line), int(mark.column)
    return starts[line] + column


@dataclass(slots=True)
class _Comment:
    start: int
    text: str
    own_line: bool
    blank_before: bool


@dataclass(frozen=True, slots=True)
class _Home:
    """The block that an entry is in, its column, and the entry whose value it is."""

    block: Block
    column: int
    parent: Entry


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = _line_starts(text)
        self._entries: list[Entry] = []
        """In the order of the text; one that holds another stands before it."""
        self._homes: dict[Entry, _Home] = {}
        self._spans: list[tuple[int, int]] = []
        """Where scalars stand: a `#` in them begins no comment."""

    def tree(self) -> Tree:
        node: Any = yaml.compose(self._text, Loader=yaml.CSafeLoader)
        root = Entry(self._at(node.start_mark), -1, None, node)
        root.block = self._block(node, root)
        if root.block is None and not isinstance(node, yaml.CollectionNode):
            raise Unwritable("it is not a mapping")
        if root.block is None:
            self._see(node, -1)
            self._entries.append(root)
        comments = list(self._comments())
        prologue: list[str] = []
        starts = [entry.start for entry in self._entries]
        for comment in comments:
            self._place(comment, bisect_right(starts, comment.start), root, prologue)
        for entry in self._entries:
            self._blank_line(entry)
        first = self._entries[0]
        prologue, first.head = [*prologue, *first.head], []
        explicit = re.match(r"(?:[ \t]*(?:#[^\n]*)?\n)*---(?=\s)", self._text) is not None
        told = {comment.start: comment.text for comment in comments}
        return Tree(self._text, root, prologue, explicit, told, self._starts)

    def _at(self, mark: Any) -> int:
        return _offset(self._starts, mark)

    # -- entries

    def _block(self, node: Any, parent: Entry) -> Block | None:
        if not is_block(node):
            return None
        block, column = Block([]), int(node.start_mark.column)
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(None, item) for item in node.value]
        for key, value in pairs:
            start = self._dash(value, column) if key is None else self._at(key.start_mark)
            entry = Entry(start, column, key, value)
            block.entries.append(entry)
            self._entries.append(entry)
            self._homes[entry] = _Home(block, column, parent)
            if key is not None:
                self._see(key, column)
                if key.start_mark.line != key.end_mark.line or key.style in ("|", ">"):
                    raise Unwritable("a key takes more than one line")
            entry.block = self._block(value, entry)
            if entry.block is None:
                self._see(value, column)
        return block

    def _dash(self, node: Any, column: int) -> int:
        for line in range(node.start_mark.line, -1, -1):
            at = self._starts[line] + column
            if self._text[at : at + 1] == "-" and self._text[at + 1 : at + 2] in ("", " ", "\t", "\n"):
                return at
        raise Unwritable("an item of a list has no dash")

    def _see(self, node: Any, parent_column: int) -> None:
        """Note where the scalars in `node` stand."""
        if isinstance(node, yaml.ScalarNode):
            start = self._at(node.start_mark)
            if node.style in ("|", ">"):
                # The header may have a comment of its own.
                header = _BLOCK_HEADER.match(self._text, start)
                self._spans.append((start, header.end() if header else start))
                end, _ = block_scalar_end(self._text, node, start, parent_column)
                self._spans.append((_line_end(self._text, start), end))
            else:
                self._spans.append((start, self._at(node.end_mark)))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._see(key, parent_column)
                self._see(value, parent_column)
        else:
            for value in node.value:
                self._see(value, parent_column)

    # -- comments

    def _comments(self) -> Iterator[_Comment]:
        at = 0
        for start, end in [*sorted(self._spans), (len(self._text), len(self._text))]:
            for found in _COMMENT.finditer(self._text, at, start):
                before = self._text[self._starts[bisect_right(self._starts, found.start()) - 1] : found.start()]
                own = not before.strip()
                above = self._text[: found.start() - len(before)]
                yield _Comment(found.start(), found[0].rstrip(), own, own and above.endswith("\n\n"))
            at = max(at, end)

    def _place(self, comment: _Comment, after: int, root: Entry, prologue: list[str]) -> None:
        """`after`: how many entries begin before it."""
        last = self._entries[after - 1] if after else None
        following = self._entries[after] if after < len(self._entries) else None
        if last is None:
            _add(prologue, comment)
        elif self._inside_flow(last, comment):
            return  # written with the value, as it stands
        elif not comment.own_line:
            self._place_behind(last, comment)
        elif last.block is None and self._before_value(last, comment):
            _add(last.head, comment)
        else:
            self._place_above(last, following, comment, root)

    def _inside_flow(self, entry: Entry, comment: _Comment) -> bool:
        node = entry.value
        return (
            isinstance(node, yaml.CollectionNode)
            and bool(node.flow_style)
            and self._at(node.start_mark) < comment.start < self._at(node.end_mark)
        )

    def _before_value(self, entry: Entry, comment: _Comment) -> bool:
        node = entry.value
        empty = isinstance(node, yaml.ScalarNode) and node.start_mark.index == node.end_mark.index
        return not empty and comment.start < self._at(node.start_mark)

    def _place_behind(self, last: Entry, comment: _Comment) -> None:
        """A comment on the line of what it follows. Behind a bare dash, or between key and value, it is put above."""
        bare_dash = last.key is None and last.block is not None
        before_value = last.block is None and self._before_value(last, comment)
        if bare_dash or before_value or last.trailing:
            _add(last.head, comment)
        else:
            last.trailing = comment.text

    def _place_above(self, last: Entry, following: Entry | None, comment: _Comment, root: Entry) -> None:
        """A comment on a line of its own: above the entry that follows, or at the end of a block that ends here."""
        if following is not None and last.block is not None:
            _add(following.head, comment)  # the first of the block
            return
        column = comment.start - self._starts[bisect_right(self._starts, comment.start) - 1]
        outer = self._homes[following] if following is not None else None
        at = last
        while at in self._homes:
            home = self._homes[at]
            if outer is not None and home.column <= outer.column:
                break
            if column >= home.column:
                _add(home.block.foot, comment)
                return
            at = home.parent
        if following is not None:
            _add(following.head, comment)
        elif root.block is not None:
            _add(root.block.foot, comment)
        else:
            _add(last.head, comment)

    def _blank_line(self, entry: Entry) -> None:
        """A blank line above an entry, or above its first comment, is kept; more than one becomes one."""
        line = bisect_right(self._starts, entry.start) - 1
        starts_line = not self._text[self._starts[line] : entry.start].strip()
        if starts_line and line and not self._text[self._starts[line - 1] : self._starts[line]].strip():
            entry.head.append(BLANK)


def _add(comments: list[str], comment: _Comment) -> None:
    if comment.blank_before:
        comments.append(BLANK)
    comments.append(comment.text)
