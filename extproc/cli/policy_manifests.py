"""The policies in rendered Kubernetes objects: what `helm template` prints is checked before a cluster sees it.

A ConfigMap with a key `policy.yaml` holds a policy, its keys `*.test.yaml` hold cases for it; a ConfigMap with a key
`config.yaml` holds the deployment's settings, of which no file is read: the cluster has those.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
import yaml

from extproc.cli.config import EXIT_INPUT
from extproc.cli.policy_files import print_problems
from extproc.core.document import DocumentInvalid
from extproc.edge.policy_file import Fitness
from extproc.edge.settings import Settings
from extproc.edge.settings_file import build_unread

MAX_MANIFEST_BYTES = 16 * 1024 * 1024
"""Ten times what a cluster stores of one release."""
POLICY = "policy.yaml"
CONFIG = "config.yaml"
CASES = ".test.yaml"

manifests_option = click.option(
    "--manifests",
    metavar="FILE",
    type=click.File("rb"),
    help="Rendered Kubernetes objects: the policies in their ConfigMaps. `-` is standard input.",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One ConfigMap's policy and its cases. Each has the name by which it is told of: `ConfigMap/NAME/KEY`."""

    policy: Path
    cases: tuple[Path, ...]
    data: dict[Path, bytes]
    """What stands in them."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the objects hold: at least one policy; what the deployment can do for it, where its settings are there."""

    policies: tuple[Manifest, ...]
    fitness: Fitness | None


def manifests_or_exit(file: IO[bytes]) -> Manifests:
    """Says what is wrong, and ends with 2, where the objects cannot be read, or hold no policy, or wrong settings."""
    maps = list(_config_maps(_objects_or_exit(file)))
    policies = tuple(_manifest(name, data) for name, data in maps if POLICY in data)
    if not policies:
        click.echo(f"{_name(file)}: no ConfigMap in it has a `{POLICY}`", err=True)
        raise SystemExit(EXIT_INPUT)
    configs = [(_place(name, CONFIG), data[CONFIG].encode()) for name, data in maps if CONFIG in data]
    settings = [_settings_or_exit(place, data) for place, data in configs]
    # The chart's console has settings of its own, beside those of the service, which the policy is for.
    fits = {Fitness.of(each) for each in settings if each.console is None or len(settings) == 1}
    return Manifests(policies, fits.pop() if len(fits) == 1 else None)


def _name(file: IO[bytes]) -> str:
    return str(getattr(file, "name", "<stdin>"))


def _manifest(name: str, data: dict[str, str]) -> Manifest:
    keys = [POLICY, *(key for key in sorted(data) if key.endswith(CASES))]
    policy, *cases = (_place(name, key) for key in keys)
    return Manifest(policy, tuple(cases), {_place(name, key): data[key].encode() for key in keys})


def _place(name: str, key: str) -> Path:
    return Path("ConfigMap", name, key)


def _objects_or_exit(file: IO[bytes]) -> list[Any]:
    data = file.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        click.echo(f"{_name(file)}: longer than {MAX_MANIFEST_BYTES} bytes", err=True)
        raise SystemExit(EXIT_INPUT)
    try:
        return list(yaml.safe_load_all(data))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        click.echo(f"{_name(file)}:{line}: is not YAML", err=True)
    except (yaml.YAMLError, ValueError):
        click.echo(f"{_name(file)}: is not YAML", err=True)
    raise SystemExit(EXIT_INPUT)


def _config_maps(objects: list[Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and data; those of a `List` as well."""
    for each in objects:
        match each:
            case {"kind": "ConfigMap", "metadata": {"name": str(name)}, "data": dict(data)}:
                yield name, {key: value for key, value in data.items() if isinstance(value, str)}
            case {"kind": "List", "items": list(items)}:
                yield from _config_maps(items)


def _settings_or_exit(place: Path, data: bytes) -> Settings:
    try:
        return build_unread(data, Path("/etc/extproc/config"))
    except DocumentInvalid as invalid:
        print_problems(place, invalid.problems, err=True)
    raise SystemExit(EXIT_INPUT)
