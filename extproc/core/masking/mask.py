"""What stands in the place of card data."""

from typing import TYPE_CHECKING, Final

from extproc.core.masking.aliases import Aliases
from extproc.core.masking.effort import Effort
from extproc.core.masking.iin import MAX_PAN_DIGITS, MIN_PAN_DIGITS, passes_luhn
from extproc.core.masking.keys import KeyRule
from extproc.core.masking.settings import Kind, Style, Styles
from extproc.core.masking.walk import Found

if TYPE_CHECKING:
    from extproc.core.masking.detectors import Detectors

PAN_MASK: Final = "[PAN]"
LABELS: Final[dict[str, str]] = {
    Kind.PAN: PAN_MASK,
    Kind.SECURITY_CODE: "[CVV]",
    Kind.TRACK: "[TRACK]",
    Kind.PIN: "[PIN]",
    Kind.PIN_BLOCK: "[PIN_BLOCK]",
    Kind.EXPIRY: "[EXPIRY]",
    Kind.CARDHOLDER: "[CARDHOLDER]",
}


def label_of(kind: str) -> str:
    """What stands for a find of this kind: of cards, or of a rule."""
    return LABELS.get(kind) or f"[{kind.upper()}]"


def marked(kind: str, name: str) -> str:
    """The label with the name of one value in it."""
    return f"{label_of(kind)[:-1]}_{name}]"


BLANKS: Final = " \t\r\n"

# First six and last four are kept only where at least four digits are gone (PCI SSC FAQ 1091).
MIN_TRUNCATED_DIGITS: Final = 14
# A PAN has 12 to 19 digits; smaller and larger numbers are not looked at.
_SMALLEST_PAN: Final = 10**11
_LARGEST_PAN: Final = 10**19 - 1
_LARGEST_SECURITY_CODE: Final = 9999


def truncate_pan(digits: str) -> str:
    """The first six and the last four digits; the whole label where that would leave too few hidden."""
    if len(digits) < MIN_TRUNCATED_DIGITS:
        return PAN_MASK
    return f"{digits[:6]}{'*' * (len(digits) - 10)}{digits[-4:]}"


def split_blank(text: str) -> tuple[str, str]:
    """The blanks that a text begins with, and the rest of it."""
    rest = text.lstrip(BLANKS)
    return text[: len(text) - len(rest)], rest


class Masks:
    """The masks of one exchange and direction. Counts findings. Prints no digits."""

    __slots__ = ("_aliases", "_styles", "effort", "findings", "held_max", "held_now")

    def __init__(self, styles: Styles, aliases: Aliases, effort: Effort) -> None:
        self._styles = styles
        self._aliases = aliases
        self.effort = effort
        self.findings: dict[str, int] = {}
        self.held_max = 0
        self.held_now = 0

    def mask(self, found: Found, text: str = "") -> str:
        """The mask for one finding, which is counted. `text` is what it replaces, in plain characters."""
        if found.rest and found.kind not in LABELS:
            return ""
        kind = str(found.kind)
        self.findings[kind] = self.findings.get(kind, 0) + 1
        value = found.digits or text
        if self._aliases.cards is not None:
            self._aliases.cards.find(kind, value)
        named = value and not found.unnamed and (kind == Kind.PAN or not _may_be_pan(kind, value))
        match self._styles.get(kind) if named else None:
            case Style.NUMBERED:
                return marked(kind, self._aliases.number(kind, value))
            case Style.TOKEN:
                return marked(kind, self._aliases.token(kind, value))
            case Style.TRUNCATE if not found.rest:
                return truncate_pan(found.digits)
            case _:
                return label_of(kind)

    def mask_apart(self, found: Found, text: str = "") -> str:
        """The mask for one finding that lies in several values, which `text` joins."""
        return self.mask(found, text)

    def replace(self, text: str, found: list[Found]) -> str:
        """The text with every finding replaced."""
        parts: list[str] = []
        at = 0
        for one in found:
            parts += (text[at : one.start], self.mask(one, text[one.start : one.end]))
            at = one.end
        parts.append(text[at:])
        return "".join(parts)

    def mask_whole(self, text: str, kind: Kind) -> str:
        """The mask in the place of all of a text; a blank one, or the mask, stays."""
        blank, rest = split_blank(text)
        return text if not rest or rest == LABELS[kind] else blank + self.mask(Found(0, 0, kind))

    def note_held(self, count: int, before: int) -> None:
        """A channel that held back `before` holds back `count`."""
        self.held_max = max(self.held_max, count)
        self.held_now += count - before


def _may_be_pan(kind: str, value: str) -> bool:
    """Whether what a rule found may be a PAN that another direction truncates, so that no hash stands for it."""
    digits = "".join(char for char in value if char in "0123456789")
    return kind != "iban" and MIN_PAN_DIGITS <= len(digits) <= MAX_PAN_DIGITS and passes_luhn(digits)


def mask_number(detectors: "Detectors", masks: Masks, value: float, rule: KeyRule, said: str = "") -> str | None:
    """The mask for a JSON number that is a PAN, what its key announces, or what rules find; `None` for any other.

    `said` is what the key says.
    """
    if rule.whole is not None:
        return masks.mask(Found(0, 0, rule.whole))
    if isinstance(value, float):
        if not value.is_integer() or abs(value) > _LARGEST_PAN:
            return None
        value = int(value)
    value = abs(value)
    if rule is KeyRule.CODE and value <= _LARGEST_SECURITY_CODE:
        return masks.mask(Found(0, 0, Kind.SECURITY_CODE))
    if value > _LARGEST_PAN or (rule is KeyRule.NONE and value < _SMALLEST_PAN and not detectors.ruled):
        return None
    digits = str(value)
    if rule is KeyRule.NONE:
        found = detectors.find(digits, masks.effort, said)
    else:
        found = detectors.find_after(rule.primer, digits, masks.effort, said)
    return masks.replace(digits, found) if found else None
