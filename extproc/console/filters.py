"""How values become HTML: times, and text that somebody wrote who may wish the reader ill."""

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

SHORT_CHARACTERS: Final = 20_000
"""Of one text before "show all": about ten screens."""
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show nothing."""
_JOINERS: Final = frozenset("\u200c\u200d")
"""Between characters beyond ASCII they are part of Persian, of Indic scripts and of emoji; elsewhere they only hide."""
_WORTH_A_LOOK: Final = re.compile(r"[^\n\t\x20-\x7e]")
"""Few of most texts: the rest is copied as it is."""
_HIDDEN_KINDS: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginning of a text, and how many characters follow it."""

    text: str
    left_out: int


def excerpt(text: str, characters: int = SHORT_CHARACTERS) -> Excerpt:
    """At most so many characters."""
    return Excerpt(text[:characters], max(0, len(text) - characters))


def plain(text: object) -> Markup:
    """Text of anybody's as text: nothing of it is markup, and what would not be seen, or would reorder what is read,
    is shown by its number."""
    source, pieces, begin = str(text), [], 0
    for match in _WORTH_A_LOOK.finditer(source):
        at, character = match.start(), match[0]
        if _is_hidden(source, at, character):
            pieces.append(escape(source[begin:at]))
            pieces.append(Markup('<span class="hidden-character">&lt;U+{:04X}&gt;</span>').format(ord(character)))
            begin = at + 1
    pieces.append(escape(source[begin:]))
    return Markup("").join(pieces)


def coded(text: object) -> Markup:
    """A sentence with `names` between backticks, which are set as code; anything else as `plain` shows it."""
    pieces = [plain(piece) for piece in str(text).split("`")]
    if len(pieces) % 2 == 0:  # one is not closed
        return plain(text)
    named = (Markup("<code>{}</code>").format(piece) if at % 2 else piece for at, piece in enumerate(pieces))
    return Markup("").join(named)


def _is_hidden(source: str, at: int, character: str) -> bool:
    if character.isascii():
        return not (character.isprintable() or character in "\n\t")
    if character in _JOINERS:
        around = source[at - 1 : at] + source[at + 1 : at + 2]
        return len(around) < 2 or around[0].isascii() or around[1].isascii()
    return character in _INVISIBLE or unicodedata.category(character) in _HIDDEN_KINDS


def time(unix_seconds: float) -> Markup:
    """In UTC; a script of ours writes it in the reader's zone and leaves UTC in the title. 0 is never."""
    if not unix_seconds:
        return Markup("never")
    moment = dt.datetime.fromtimestamp(unix_seconds, dt.UTC).replace(microsecond=0)
    said = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), said, said)


def time_ms(unix_milliseconds: int) -> Markup:
    """The same of a record's time."""
    return time(unix_milliseconds / 1000)


def duration(seconds: float) -> str:
    """`3 min 20 s`: two units at most, nothing below a second."""
    left = max(0, int(seconds))
    said = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {unit}")
    return " ".join(said[:2]) or "0 s"


def count(number: int) -> str:
    """`1 048 576`, with spaces that do not break."""
    return f"{number:,}".replace(",", "\u202f")
