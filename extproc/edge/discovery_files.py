"""Files in the run directory that Envoy follows: its model servers, the routes to them, and what probes ask of them.

`extproc.edge.bootstrap_discovery` writes them; this much is light enough for a supervisor.
"""

from pathlib import Path
from typing import Final

import yaml

from extproc.edge.settings import Settings

CLUSTERS: Final = "clusters.yaml"
ROUTES: Final = "routes.yaml"
PROBES: Final = "probes.yaml"
"""Of the status listener; without one there is none."""


def folder(settings: Settings) -> Path:
    """Envoy looks into it again when a file is renamed into it."""
    return settings.run_directory / "envoy"


def read_version(settings: Settings) -> str | None:
    """What the files were last written for, as a whole; None where that cannot be read."""
    try:
        document = yaml.safe_load((folder(settings) / ROUTES).read_bytes())  # the last one that is written
    except (OSError, yaml.YAMLError):
        return None
    version = document.get("version_info") if isinstance(document, dict) else None
    return version if isinstance(version, str) else None
