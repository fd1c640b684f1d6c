"""Plain text that clients do not take for plain text: they join the events of a stream without a look at its type."""

import re

from extproc.core.reasons import Malformed, Reason

_EVENTS = (":", "data:", "event:", "id:", "retry:")
# `[Music]` and `[00:00:01]` begin a transcript.
_IN_LISTS = (*'"[{]-123456789', "0,", "0.", "0]", "0e", "0E", "true", "false", "null", "NaN", "Infinity")
_SIGNS = ("{", *("[" + value for value in _IN_LISTS), *_EVENTS)
"""As JSON, JSON lines and server-sent events begin, blanks left out."""
_MAX_BLANKS = 4096
"""Characters; no plain answer begins with so many that say nothing."""
# Clients pass over lines that mean nothing to them. Line ends are those of `str.splitlines`.
_FURTHER = re.compile('[\n\r\v\f\x1c-\x1e\x85\u2028\u2029](?:data:|\\{")')
_SHORT_OF_FURTHER = len("\ndata")


class Disguise:
    """Lets a text on that is neither JSON nor events: `concat(feed(...), finish())` is the text.

    Nothing goes on before the beginning is judged. Raises `Malformed(RESPONSE_TYPE_UNSUPPORTED)`.
    """

    def __init__(self) -> None:
        self._beginning: str | None = ""
        self._before = ""

    def feed(self, text: str) -> str:
        """What may go on now."""
        if self._beginning is not None:
            text = self._beginning + text
            visible = "".join(text.replace("\ufeff", "").split())
            undecided = any(sign.startswith(visible) for sign in _SIGNS)
            if visible.startswith(_SIGNS) or (undecided and len(text) > _MAX_BLANKS):
                raise Malformed(Reason.RESPONSE_TYPE_UNSUPPORTED)
            self._beginning = text if undecided else None
            if undecided:
                return ""
        seen = self._before + text
        if _FURTHER.search(seen):
            raise Malformed(Reason.RESPONSE_TYPE_UNSUPPORTED)
        self._before = seen[-_SHORT_OF_FURTHER:]
        return text

    def finish(self) -> str:
        """What was still to be judged."""
        rest, self._beginning = self._beginning, None
        return rest or ""
