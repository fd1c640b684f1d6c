"""The `masking` section of a policy, compiled into a `Scanner` by `extproc.core.masking.scanner`."""

from dataclasses import dataclass
from enum import StrEnum

# Strong and national IIN tiers, all words that announce a security code.
PCI_STRICT = "pci-strict"
# Strong tier only, and no words that mean something else outside payments (`cid`, `csc`).
BALANCED = "balanced"
PROFILES = (PCI_STRICT, BALANCED)


class Style(StrEnum):
    """How a PAN is replaced. Security codes are always removed, whatever the style (PCI DSS 3.3.1)."""

    LABEL = "label"
    NUMBERED = "numbered"
    TRUNCATE = "truncate"


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
    pan_style: Style = Style.LABEL
    media: Media = Media.DENY
    catalogues: tuple[str, ...] = ()
    rules: tuple[MaskingRule, ...] = ()
