"""Card data in base64 (RFC 4648, both alphabets) and in hex digits: read once, in whole texts, and masked as a whole.

A stream is not read: nothing of it could go on before its end. That is among what the README says is not found.
"""

import base64
import binascii
import contextlib
import re
from itertools import islice
from typing import Final

import re2

from extproc.core.masking.effort import SPOT_STEPS, Effort
from extproc.core.masking.spots import OPTIONS, in_characters

MAX_RUN: Final = 4096
"""Characters of the longest run that is read."""
MIN_DIGITS: Final = 3
"""As many as a security code has."""

# Four characters that mean three of ASCII.
_QUARTET = "[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_\\-]"
_gate = re2.compile(rf"(?:{_QUARTET}){{4}}|(?:[2-7][0-9A-Fa-f]){{12}}".encode(), OPTIONS)
may_be_encoded = re.compile(r"[A-Za-z0-9+/_-]{16}").search
"""A quick look at a short text: no run in it is long enough."""
_RUN = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_RUN_BEFORE = re.compile(r"[A-Za-z0-9+/_-]*\Z")
_HEX = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)")
_URL_SAFE = str.maketrans("-_", "+/")


def encoded_runs(text: str, effort: Effort) -> list[tuple[int, int, str]]:
    """Runs that are another text in base64 or in hex: where each begins and ends, and that text.

    Raises `Malformed` when there are too many.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    spots = [match.span() for match in islice(_gate.finditer(encoded), effort.at_most(SPOT_STEPS))]
    effort.spend(SPOT_STEPS * len(spots))
    if len(encoded) != len(text):
        spots = in_characters(encoded, spots)
    found: list[tuple[int, int, str]] = []
    at = 0
    for first, last in spots:
        if first < at:
            continue
        before = _RUN_BEFORE.search(text, max(at, first - MAX_RUN), first)
        start = before.start() if before else first
        run = _RUN.match(text, start)
        at = max(run.end() if run else last, last)
        if run and at - start <= MAX_RUN and (decoded := _decoded(run.group())):
            found.append((start, at, decoded))
    return found


def _decoded(run: str) -> str:
    """What the run says; empty when it is no text with digits in it."""
    data = b""
    hexadecimal = _HEX.fullmatch(run)
    if hexadecimal:
        data = bytes.fromhex(hexadecimal[1])
    else:
        body = run.rstrip("=").translate(_URL_SAFE)
        with contextlib.suppress(binascii.Error):
            data = base64.b64decode(body + "=" * (-len(body) % 4))
    text = data.decode("ascii", "ignore")
    plain = len(text) == len(data) and "".join(text.split()).isprintable()
    return text if plain and sum(map(str.isdecimal, text)) >= MIN_DIGITS else ""
