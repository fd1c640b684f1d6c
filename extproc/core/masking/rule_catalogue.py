"""The rules that come with a profile: personal data with `pci-pii`, keys and passwords with `secrets`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from extproc.core.masking.rule_data import DATA, IBAN_LENGTHS
from extproc.core.masking.settings import MaskingRule, MaskingSettings

AS_OF: Final[str] = DATA["as_of"]
"""The day as of which the rules hold, `YYYY-MM-DD`."""


def _iban() -> str:
    """IBANs of every length, in one piece or in fours with a space or a hyphen between them."""
    by_length: dict[int, list[str]] = {}
    for country, length in IBAN_LENGTHS.items():
        by_length.setdefault(length, []).append(country)
    shapes = []
    for length, countries in sorted(by_length.items()):
        fours, rest = divmod(length - 4, 4)
        last = f"[ \\-]?[0-9A-Z]{{{rest}}}" if rest else ""
        shapes.append(f"(?:{'|'.join(countries)})\\d\\d(?:[ \\-]?[0-9A-Z]{{4}}){{{fours}}}{last}")
    return "|".join(shapes)


def _catalogues() -> Mapping[str, tuple[MaskingRule, ...]]:
    found: dict[str, list[MaskingRule]] = {}
    for row in DATA["rules"]:
        rule = MaskingRule(
            name=row["name"],
            pattern=row["pattern"].replace("%iban%", _iban()),
            keywords=tuple(row.get("keywords", ())),
            check=row.get("check", ""),
            kind=row.get("kind", ""),
        )
        found.setdefault(row["profile"], []).append(rule)
    return MappingProxyType({profile: tuple(rules) for profile, rules in found.items()})


CATALOGUES: Final = _catalogues()
"""Rules by the profile that they come with."""


def rules_of(settings: MaskingSettings) -> tuple[MaskingRule, ...]:
    """All rules of a policy: those of its profiles, then its own."""
    return (*(rule for name in settings.catalogues for rule in CATALOGUES[name]), *settings.rules)
