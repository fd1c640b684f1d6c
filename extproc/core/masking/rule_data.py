"""The rules of the profiles beyond cards, as they are written in `rules.toml`, which says where they come from."""

import importlib.resources
import tomllib
from typing import Any, Final

DATA: Final[dict[str, Any]] = tomllib.loads(
    importlib.resources.files("extproc.core.masking").joinpath("rules.toml").read_text("ascii")
)
IBAN_LENGTHS: Final[dict[str, int]] = DATA["iban_lengths"]
"""Characters of an IBAN by country."""
