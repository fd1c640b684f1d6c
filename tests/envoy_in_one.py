"""A bootstrap of ours with the files in it that Envoy follows: one document, which a test may change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def in_one(text: str, folder: Path | None = None) -> dict[str, Any]:
    """`folder` has the files, where they are not where `text` says."""
    document: dict[str, Any] = yaml.safe_load(text)
    static = document["static_resources"]
    static["clusters"] += _resources(document.pop("dynamic_resources")["cds_config"], folder)
    for manager in _managers(static["listeners"]):
        found = manager.pop("rds")
        (routes,) = _resources(found["config_source"], folder)
        assert routes["name"] == found["route_config_name"]
        manager["route_config"] = routes
    return document


def _managers(listeners: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for listener in listeners:
        yield listener["filter_chains"][0]["filters"][0]["typed_config"]


def _resources(source: dict[str, Any], folder: Path | None) -> list[dict[str, Any]]:
    path = Path(source["path_config_source"]["path"])
    response = yaml.safe_load((folder / path.name if folder else path).read_bytes())
    return [{key: value for key, value in each.items() if key != "@type"} for each in response["resources"]]
