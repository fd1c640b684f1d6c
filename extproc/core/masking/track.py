"""Magnetic stripe data after a PAN: track 1 and 2 (ISO/IEC 7813) and the EMV "track 2 equivalent" (tag 57).

Sensitive authentication data: it is removed whole, PAN included, whatever the style (PCI DSS 3.3.1.1).
"""

import re
from typing import Final

from extproc.core.masking.iin import MAX_PAN_DIGITS, MIN_PAN_DIGITS
from extproc.core.masking.wait import WAIT, Wait

MAX_TRACK: Final = 79
"""Characters of a track 1, sentinels included (ISO/IEC 7813); track 2 has at most 40."""
_MAX_NAME = 26
# No mask of ours stands in a name: what is masked is not masked once more.
_NAME = re.compile(rf"\^(?:[^^?%;\[\r\n]|\[(?!PAN[\]_])){{0,{_MAX_NAME}}}+")
_NAME_CUT = re.compile(r"\^[A-Z' .-]{1,24}/[A-Z' .-]{0,24}")
# The expiry as YYMM, or a separator in its place (ISO/IEC 7813).
_DATE = re.compile(r"[0-9]{2}(?:0[1-9]|1[0-2])|[\^=]")
_DATE_BEGUN = re.compile(r"(?:[0-9](?:[0-9][01]?)?)?\Z")
# A `D` between digits is hex more often than a track: an expiry and a service code must follow.
_EQUIVALENT = re.compile(r"[Dd][0-9]{2}(?:0[1-9]|1[0-2])[0-9]{3}")
_EQUIVALENT_BEGUN = re.compile(r"[Dd](?:[0-9](?:[0-9](?:[01](?:[0-9]{1,3})?)?)?)?\Z")
_REST = re.compile(r"[0-9A-Za-z^=]*+")
# EMV tag 57 with a length of 16 to 19 bytes, whose digits run into those of the PAN.
_TAGGED = re.compile(rf"571[0-3](?=\d{{{MIN_PAN_DIGITS},{MAX_PAN_DIGITS}}}[Dd])")
_TAGGED_BEGUN = re.compile(rf"571[0-3]\d{{0,{MAX_PAN_DIGITS}}}\Z")
_SENTINELS = ("%B", "%b", ";")


def pan_of_track(text: str, first: int, end: int, final: bool) -> int | Wait | None:
    """Where the PAN begins that the group of digits at `first` ends with, when only a track's marks tell of it.

    These marks are a start sentinel, or EMV's tag and length. `final`: nothing follows `text`.
    """
    count = end - first
    growing = end == len(text) and not final
    if text.endswith(_SENTINELS, 0, first):
        if growing and count <= MAX_PAN_DIGITS:
            return WAIT
        if MIN_PAN_DIGITS <= count <= MAX_PAN_DIGITS:
            return first
    if growing:
        return WAIT if _TAGGED_BEGUN.match(text, first) else None
    tagged = _TAGGED.match(text, first)
    return tagged.end() if tagged else None


def track_end(text: str, at: int, final: bool) -> int | Wait | None:
    """Where the track ends whose PAN ends at `at`; `None` when no track follows. The end sentinel is not part of it.

    `final`: nothing follows `text`.
    """
    if at == len(text):
        return None if final else WAIT
    match text[at]:
        case "^":
            return _track_1(text, at, final)
        case "=":
            return _dated(text, at + 1, final)
        case "D" | "d":
            if _EQUIVALENT.match(text, at):
                return _rest(text, at + 1, final)
            return WAIT if not final and _EQUIVALENT_BEGUN.match(text, at) else None
        case _:
            return None


def _track_1(text: str, at: int, final: bool) -> int | Wait | None:
    name = _NAME.match(text, at)
    end = name.end() if name else at
    # The caret before the name is one of these characters, and one more may follow the longest name.
    if end == len(text) and not final and end - at <= _MAX_NAME + 1:
        return WAIT
    if text.startswith("^", end) and end - at > 2:
        return _dated(text, end + 1, final) or end
    cut = _NAME_CUT.match(text, at)
    if cut is None:
        return None
    return WAIT if cut.end() == len(text) and not final else cut.end()


def _dated(text: str, at: int, final: bool) -> int | Wait | None:
    if _DATE.match(text, at):
        return _rest(text, at, final)
    return WAIT if not final and _DATE_BEGUN.match(text, at) else None


def _rest(text: str, at: int, final: bool) -> int | Wait:
    rest = _REST.match(text, at, at + MAX_TRACK)
    end = rest.end() if rest else at
    return WAIT if end == len(text) and end - at < MAX_TRACK and not final else end
