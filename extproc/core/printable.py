"""Text from elsewhere, as it may be shown to a person."""

import unicodedata

_JOINERS = "\u200c\u200d"
"""Part of ordinary Persian and of emoji; every other invisible character is shown by its number."""


def printable(text: str) -> str:
    """The text without characters that steer a terminal or reorder what is read: `<U+202E>` stands for one."""
    return "".join(character if _is_plain(character) else f"<U+{ord(character):04X}>" for character in text)


def printable_line(text: str) -> str:
    """The same in one line: each run of blanks and line ends is a space."""
    return printable(" ".join(text.split()))


def _is_plain(character: str) -> bool:
    return character in "\n\t" or character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
