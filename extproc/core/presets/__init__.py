"""Complete policies to begin with. Each line says why it is there."""

import importlib.resources
from typing import Final

PRESETS: Final = ("balanced", "pci-strict")


def load_preset(name: str) -> bytes:
    """The document of one of `PRESETS`."""
    return importlib.resources.files("extproc.core.presets").joinpath(f"{name}.yaml").read_bytes()
