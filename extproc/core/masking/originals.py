"""A text as it arrived, but for whatever is not a plain PAN: what is sealed for the custodian of a deployment.

Everything is found and replaced as the exchange's own masker does it. Only a find of kind PAN that is written with
ASCII digits and the usual separators gets, instead of its mask, a name that nobody outside can know, and at the very
end its text in the place of that name. So nothing else that a mask stands for (security codes, tracks, PINs, names, and
PANs in another writing) is ever in it, whatever the style, and in whatever pieces the text comes (PCI DSS 3.3.1).
"""

import re
from typing import Final

from extproc.core.masking.aliases import Aliases, MaskKey, token_of
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.effort import Effort
from extproc.core.masking.iin import passes_luhn
from extproc.core.masking.mask import PAN_MASK, Masks, marked
from extproc.core.masking.masker import Masker
from extproc.core.masking.settings import Kind, Styles
from extproc.core.masking.walk import Found
from extproc.core.reasons import Malformed, Reason
from extproc.core.trust import Masked, Secret, Unmasked

MAX_KEPT: Final = 65_536
"""PANs of one body, or of what of a stream waits, that are kept in memory; with more of them it is refused."""
_ID: Final = "z0"
# Digits and separators that JSON, however deep, and plain text write alike.
_PLAIN = re.compile(r"[0-9](?:[ ._-]{0,3}[0-9]){11,18}")
_SEPARATORS = re.compile(r"[ ._-]+")
_NAME = re.compile(rb"\[PAN_z0_[a-z]{20}\]")
# An encrypted PIN block of digits alone may look like a PAN; where it is called what it is, it is not kept.
_PIN_BLOCK = re.compile(rb"pin[^0-9A-Za-z]{0,3}bl(?:oc)?k[^0-9A-Za-z]{0,16}\Z", re.IGNORECASE)
_BEFORE: Final = 40
_USUAL_DIGITS: Final = 16
_CODE_DIGITS: Final = (3, 4)


def is_plain(found: Found, text: str) -> bool:
    """Whether `text`, which `found` replaces, is a PAN and surely nothing else.

    One that may hold a security code is not: where a group of at most three digits begins or ends it, or where it is
    longer than usual and a shorter PAN is left without the three or four digits at an end.
    """
    if found.kind != Kind.PAN or found.rest or found.unnamed or not _PLAIN.fullmatch(text):
        return False
    groups = _SEPARATORS.split(text)
    digits = "".join(groups)
    if digits != found.digits:
        return False
    if len(digits) > _USUAL_DIGITS:
        return not any(passes_luhn(digits[:-count]) or passes_luhn(digits[count:]) for count in _CODE_DIGITS)
    return min(len(groups[0]), len(groups[-1])) > _CODE_DIGITS[0]


class OriginalMasks(Masks):
    """Masks that remember what plain PANs were, until that is restored. Prints no digits."""

    __slots__ = ("_count", "_kept", "_key", "_last")

    def __init__(self, styles: Styles, aliases: Aliases, effort: Effort, secret: Secret) -> None:
        super().__init__(styles, aliases, effort)
        self._key = MaskKey(_ID, secret)
        self._count = 0
        self._kept: dict[bytes, bytes] = {}
        self._last = (b"", b"")

    def mask(self, found: Found, text: str = "") -> str:
        mask = super().mask(found, text)
        if found.rest and self._last[0] in self._kept:
            # Two readings overlap: which digits are the PAN is not sure.
            self._kept[self._last[0]] = self._last[1]
        if not is_plain(found, text):
            return mask
        if len(self._kept) >= MAX_KEPT:
            raise Malformed(Reason.BODY_TOO_COSTLY)
        self._count += 1
        name = marked(Kind.PAN, f"{_ID}_{token_of(self._key, '', 'original', f'{self._count}:{text}')}")
        self._kept[name.encode()] = text.encode()
        self._last = name.encode(), mask.encode()
        return name

    def mask_apart(self, found: Found, text: str = "") -> str:
        return super().mask(found, text)

    def restored(self, masked: bytes) -> bytes:
        """The text with the PANs in the place of their names, each once."""
        return _NAME.sub(self._restored, masked)

    def _restored(self, name: re.Match[bytes]) -> bytes:
        kept = self._kept.pop(name[0], name[0])
        announced = _PIN_BLOCK.search(name.string, max(0, name.start() - _BEFORE), name.start())
        return PAN_MASK.encode() if announced else kept


class OriginalMasker(Masker):
    """A masker of which `original` gives the text back that is to be sealed."""

    __slots__ = ("_originals",)

    def __init__(self, detectors: Detectors, styles: Styles, aliases: Aliases, max_steps: int, secret: Secret) -> None:
        """`secret` names what is kept; the names leave with nothing."""
        super().__init__(detectors, styles, aliases, max_steps)
        self._masks = self._originals = OriginalMasks(styles, aliases, self._masks.effort, secret)

    def original(self, masked: Masked) -> Unmasked:
        """What this masker masked, with every plain PAN as it was."""
        return Unmasked(self._originals.restored(masked))
