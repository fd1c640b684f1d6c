"""The `masking` section of a policy, compiled into a `Scanner` by `extproc.core.masking.scanner`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

# Strong and national IIN tiers, all words that announce a security code.
PCI_STRICT = "pci-strict"
# Strong tier only, and no words that mean something else outside payments (`cid`, `csc`).
BALANCED = "balanced"
PROFILES = (PCI_STRICT, BALANCED)


class Style(StrEnum):
    """What takes the place of a find. `extproc.core.masking.styles` says which kinds have a choice."""

    LABEL = "label"
    """`[PAN]`."""
    NUMBERED = "numbered"
    """`[PAN_1]`: equal values have equal numbers within an exchange."""
    TRUNCATE = "truncate"
    """The first six and the last four digits (PCI SSC FAQ 1091)."""
    TOKEN = "token"  # noqa: S105 - the name of a style
    """`[PAN_k1_…]`: a keyed hash, equal for equal values of one tenant as long as the key is (PCI DSS 3.5.1.1)."""


class Side(StrEnum):
    """Which way a text goes through the guard."""

    REQUEST = "request"
    RESPONSE = "response"


Styles = Mapping[str, Style]
"""By kind; a kind that is not there is replaced by its label."""
NO_STYLES: Final[Styles] = MappingProxyType({})


class Media(StrEnum):
    """What becomes of images, sound and files in a request: nobody can look into them for card data."""

    DENY = "deny"
    OPAQUE = "opaque"
    """They go on as they are, and the record says that they were not inspected."""


class Kind(StrEnum):
    """What a detector says it found. Also the key of finding counts in records, spans and metrics."""

    PAN = "pan"
    SECURITY_CODE = "security_code"
    TRACK = "track"
    PIN = "pin"
    PIN_BLOCK = "pin_block"
    EXPIRY = "expiry"
    CARDHOLDER = "cardholder"


@dataclass(frozen=True, slots=True)
class MaskingRule:
    """What a pattern finds and how that is sure. `extproc.core.masking.rule` says what the fields mean."""

    name: str
    pattern: str
    keywords: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    check: str = ""
    # What findings are counted and masked as; the name, if empty.
    kind: str = ""


@dataclass(frozen=True, slots=True)
class MaskingSettings:
    """`profile` is the one for cards. `catalogues` are those of `rule_catalogue`, `rules` the policy's own."""

    profile: str = PCI_STRICT
    request_styles: Styles = field(default_factory=lambda: NO_STYLES)
    response_styles: Styles = field(default_factory=lambda: NO_STYLES)
    media: Media = Media.DENY
    catalogues: tuple[str, ...] = ()
    rules: tuple[MaskingRule, ...] = ()

    def styles(self, side: Side) -> Styles:
        return self.request_styles if side is Side.REQUEST else self.response_styles

    @property
    def all_styles(self) -> frozenset[tuple[str, Style]]:
        """Every style that a kind has, in either direction."""
        return frozenset((*self.request_styles.items(), *self.response_styles.items()))
