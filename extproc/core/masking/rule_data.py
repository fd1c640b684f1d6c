"""The rules of the profiles beyond cards, as they are written in `rules.toml`, which says where they come from."""

import importlib.resources
import tomllib
from typing import Any, Final

DATA: Final[dict[str, Any]] = tomllib.loads(
    importlib.resources.files("extproc.core.masking").joinpath("rules.toml").read_text("ascii")
)
IBAN_LENGTHS: Final[dict[str, int]] = {
    country: int(length)
    for table in ("iban_lengths", "iban_lengths_unregistered")
    for length, countries in DATA[table].items()
    for country in countries.split()
}
"""Characters of an IBAN by country."""
