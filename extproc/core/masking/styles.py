"""Which kinds may be replaced in which style, and what masks look like, so that rules can be held against them."""

import hashlib
from collections.abc import Iterable
from typing import Final

from extproc.core.masking.aliases import MaskKey, token_of
from extproc.core.masking.mask import LABELS, label_of, marked
from extproc.core.masking.settings import Kind, Style
from extproc.core.trust import Secret

# Found by what stands around them, or removed for good: no name stands for them (PCI DSS 3.3.1 for the first five).
_SENSITIVE: Final = frozenset((Kind.SECURITY_CODE, Kind.TRACK, Kind.PIN, Kind.PIN_BLOCK))
_TRUNCATED: Final = (
    *("411111****1111", "411111*********1111", "222300******3222", "378282*****0005", "555555******4444"),
    *("601100******9424", "979203*******6666", "620000*********7777", "388888****8888"),
)
_NUMBERS: Final = (*map(str, range(1, 10)), "12", "34", "56", "78", "90", "123", "456", "789", "1000", "2345", "6789")
_SAMPLES: Final = 64
# An id is a letter and up to four digits.
_IDS: Final = ("k1", "a2", "z3", "b40", "m56", "q789", "x9876", "k2026")
_SECRET: Final = Secret(hashlib.sha256(b"samples").hexdigest())


def refused_style(kind: str, style: Style) -> str:
    """Why finds of this kind cannot be replaced in this style; empty when they can."""
    if style is Style.LABEL or kind == Kind.PAN:
        return ""
    if kind in _SENSITIVE:
        return "is sensitive authentication data, which is always removed"
    if kind in LABELS:
        return "is always replaced by its label"
    return "is no PAN: only these are truncated" if style is Style.TRUNCATE else ""


def masks_of(kinds: Iterable[str], styles: Iterable[tuple[str, Style]]) -> list[str]:
    """What may stand for finds of cards and of `kinds`: every label, and examples of what each of `styles` writes."""
    masks = [*LABELS.values(), *sorted(set(map(label_of, kinds)))]
    for kind, style in sorted(styles):
        match style:
            case Style.NUMBERED:
                masks += (marked(kind, number) for number in _NUMBERS)
            case Style.TRUNCATE:
                masks += _TRUNCATED
            case Style.TOKEN:
                keys = [MaskKey(key_id, _SECRET) for key_id in _IDS]
                for number in range(_SAMPLES):
                    key = keys[number % len(keys)]
                    masks.append(marked(kind, f"{key.id}_{token_of(key, '', kind, str(number))}"))
            case Style.LABEL:
                pass
    return masks
