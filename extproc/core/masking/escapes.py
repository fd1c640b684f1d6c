"""JSON escapes as pairs of a character and how it was written, so that a mask replaces what was written."""

import re
from itertools import accumulate

_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_UNIT = re.compile(rf"{_PAIR}|\\u[0-9a-fA-F]{{4}}|\\.|.", re.DOTALL)
# The end of a text that more text may turn into another character.
_UNFINISHED = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?))?\Z", re.DOTALL
)
_PAIR_LENGTH = 12
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def decode(written: str, final: bool) -> tuple[str, list[str], str]:
    """The characters of a string's inside, how each was written, and an escape at the end that is still being written.

    `final`: nothing follows, and what is unfinished stands for itself.
    """
    if "\\" not in written:
        return written, list(written), ""
    units = _UNIT.findall(written)
    rest = None if final else _UNFINISHED.search(written)
    if rest is None:
        return "".join(map(_character, units)), units, ""
    starts = {0, *accumulate(map(len, units))}
    while rest is not None and rest.start() not in starts:
        # The backslash that seemed to begin an escape is itself escaped.
        rest = _UNFINISHED.search(written, rest.start() + 1)
    if rest is not None:
        written = written[: rest.start()]
        units = _UNIT.findall(written)
    return "".join(map(_character, units)), units, rest.group() if rest else ""


def _character(unit: str) -> str:
    if len(unit) == 1:
        return unit
    if len(unit) == 2:
        return _SHORT.get(unit[1], unit[1])
    if len(unit) == _PAIR_LENGTH:
        high, low = int(unit[2:6], 16), int(unit[8:], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    return chr(int(unit[2:6], 16))
