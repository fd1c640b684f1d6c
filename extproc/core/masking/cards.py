"""Which cards one exchange has met, without any of them: keyed digests, for budgets that count distinct cards."""

import hmac
import re
from typing import Final

from extproc.core.masking.settings import Kind
from extproc.core.reasons import Malformed, Reason
from extproc.core.trust import Secret

MAX_CARDS: Final = 65_536
"""Of one exchange, 32 bytes each; one with more of them is refused, or its answer cut."""
_CONTEXT: Final = b"extproc budget card 1"
_PAN = re.compile(r"\d{12,19}")


class MetCards:
    """Takes PANs and keeps an HMAC-SHA-256 of each, of the whole PAN (PCI DSS 3.5.1.1). Prints nothing of them."""

    __slots__ = ("_digests", "_key")

    def __init__(self, secret: Secret) -> None:
        """`secret`: the deployment's digest key, from which the key of these digests is derived."""
        self._key = hmac.digest(secret.value.encode(), _CONTEXT, "sha256")
        self._digests: set[bytes] = set()

    def find(self, kind: str, value: str) -> None:
        """Take note of a find: a PAN's digits, or a track, which begins with some. Other kinds are no cards.

        All PANs that are found without their digits are one card. Raises `Malformed(BODY_TOO_COSTLY)` beyond
        `MAX_CARDS`.
        """
        if kind == Kind.TRACK:
            pan = _PAN.search(value)
            value = pan.group() if pan else ""
        elif kind != Kind.PAN:
            return
        digits = "".join(str(int(char)) for char in value if char.isdecimal())
        self._digests.add(hmac.digest(self._key, digits.encode(), "sha256"))
        if len(self._digests) > MAX_CARDS:
            raise Malformed(Reason.BODY_TOO_COSTLY)

    @property
    def digests(self) -> frozenset[bytes]:
        return frozenset(self._digests)
