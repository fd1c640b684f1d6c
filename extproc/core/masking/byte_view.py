"""The text as rules see it: one byte a character, so that offsets in it are offsets in the text.

ASCII is itself. A digit of any script is that digit, a letter with accents is the letter, full-width characters are the
ASCII ones, and every dash and space is `-` and a space. Any other character is `OTHER`, which only `.` and negated
classes match.
"""

import codecs
import unicodedata
from typing import Final

OTHER: Final = 0xFF

_ERRORS: Final = "extproc-view"
# No character beyond has an image in ASCII; what is remembered stays bounded.
_REMEMBERED: Final = 0x20000


class _Images(dict[int, int]):
    def __missing__(self, code: int) -> int:
        if code >= _REMEMBERED:
            return OTHER
        image = self[code] = _image(chr(code))
        return image


def _image(char: str) -> int:
    decimal = unicodedata.decimal(char, None)
    if decimal is not None:
        return ord("0") + decimal
    match unicodedata.category(char):
        case "Pd":
            return ord("-")
        case "Zs":
            return ord(" ")
    parts = unicodedata.normalize("NFKD", char)
    return ord(parts[0]) if parts[0].isascii() and all(map(unicodedata.combining, parts[1:])) else OTHER


_images: Final = _Images()


def _encode_others(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return error.object[error.start : error.end].translate(_images).encode("latin-1"), error.end


codecs.register_error(_ERRORS, _encode_others)


def view_of(text: str) -> bytes:
    """As many bytes as `text` has characters. Never fails, lone surrogates included."""
    return text.encode("ascii", _ERRORS)
