"""Whether an object is one that a cluster takes, asked offline: Kubernetes' schemas, and those of `schemas/` for the rest.

Both are closed: a field that they do not know is refused, as is a kind that nobody knows.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema.validators import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).with_name("schemas")
BUNDLED = Path(kubernetes_validate.__file__).with_name("kubernetes-json-schema")
OLDEST, NEWEST = "1.30.0", kubernetes_validate.latest_version()
"""The first is the oldest that the chart takes: `preStop.sleep` is on by default since."""


@cache
def definitions(version: str) -> Registry[Any]:
    """Read once: they are of 1 MB, and the library reads them for every object."""
    document = json.loads((BUNDLED / f"v{version}-local-strict" / "_definitions.json").read_bytes())
    resource: Resource[Any] = Resource.from_contents(document)
    return resource @ Registry()


@cache
def kubernetes_kind(version: str, api_version: str, kind: str) -> Draft202012Validator | None:
    """The group of an API version is known by its first word there."""
    group, slash, rest = api_version.rpartition("/")
    name = f"{kind.lower()}-{group.partition('.')[0]}{'-' if slash else ''}{rest}.json"
    path = BUNDLED / f"v{version}-local-strict" / name
    if not path.exists():
        return None
    return Draft202012Validator(json.loads(path.read_bytes()), registry=definitions(version))


@cache
def custom_kind(api_version: str, kind: str) -> Draft7Validator | None:
    path = SCHEMAS / f"{api_version.replace('/', '_')}_{kind}.json"
    return Draft7Validator(json.loads(path.read_bytes())) if path.exists() else None


def complaints(document: dict[str, Any]) -> list[str]:
    """What is wrong with it, `KIND/NAME path: what`; nothing where each cluster from OLDEST to NEWEST would take it."""
    api_version, kind = document["apiVersion"], document["kind"]
    name = f"{kind}/{document['metadata']['name']}"
    if custom := custom_kind(api_version, kind):
        validators: list[Any] = [custom]
    else:
        validators = [kubernetes_kind(version, api_version, kind) for version in (OLDEST, NEWEST)]
    if None in validators:
        return [f"{name}: no schema for {api_version} {kind}"]
    return [
        f"{name} {error.json_path}: {error.message[:300]}"
        for validator in validators
        for error in validator.iter_errors(document)
    ]
