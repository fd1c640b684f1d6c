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
    """What all of the files were last written for; None where they are of several, or one cannot be read."""
    names = (CLUSTERS, ROUTES, *((PROBES,) if settings.envoy.status_port else ()))
    versions = {_version_of(folder(settings) / name) for name in names}
    return versions.pop() if len(versions) == 1 else None


def _version_of(path: Path) -> str | None:
    try:
        document = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError):
        return None
    version = document.get("version_info") if isinstance(document, dict) else None
    return version if isinstance(version, str) else None
