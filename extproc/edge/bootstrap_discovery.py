"""Envoy's model servers and its routes to them as files that it follows: a change of them needs no restart.

Envoy reads them at start, which fails without them, and again when one is renamed into their folder. One that it does
not accept leaves what it had. A request under way keeps the route and the connection it has, also when both are gone.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from extproc.edge.bootstrap_check import write_private
from extproc.edge.bootstrap_classes import bootstrap, core, hcm, plain
from extproc.edge.bootstrap_clusters import model_cluster
from extproc.edge.bootstrap_routes import MODELS, routes
from extproc.edge.bootstrap_status import STATUS, status_routes
from extproc.edge.discovery_files import CLUSTERS, PROBES, ROUTES, folder
from extproc.edge.settings import ConnectionSettings, Settings

_CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_ROUTE_CONFIGURATION = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def followed_clusters(settings: Settings) -> Any:
    """The model servers' clusters, by file."""
    return bootstrap.BootstrapDynamicResources(cds_config=_source(settings, CLUSTERS))


def followed_routes(settings: Settings) -> Mapping[str, Any]:
    """What a connection manager of the edge says of its routes: in which file they are."""
    return {"rds": hcm.Rds(config_source=_source(settings, ROUTES), route_config_name=MODELS)}


def followed_probes(settings: Settings) -> Mapping[str, Any]:
    """As `followed_routes`, for the status listener."""
    return {"rds": hcm.Rds(config_source=_source(settings, PROBES), route_config_name=STATUS)}


def write_discovery(settings: Settings, version: str, also: Sequence[ConnectionSettings] = ()) -> None:
    """The files for these settings, mode 0600, each whole or as it was. An Envoy that runs has them at once.

    `also` are connections of the configuration before: an exchange that was sent to one still gets there. `version` is
    what Envoy's admin says it has then.

    Raises OSError, and `ValueError` for an address no cluster can be made of.
    """
    kept = _others(settings.connections, also)
    written = {CLUSTERS: (_CLUSTER, [model_cluster(each) for each in (*settings.connections, *kept)])}
    if settings.envoy.status_port:
        written[PROBES] = (_ROUTE_CONFIGURATION, [status_routes(settings)])
    # Last: a route leads to a cluster that is there.
    written[ROUTES] = (_ROUTE_CONFIGURATION, [routes(settings, kept)])
    texts = {name: _response(version, kind, resources) for name, (kind, resources) in written.items()}
    where = folder(settings)
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone_in(where):
        for name, text in texts.items():
            write_private(_unfinished(where, name), text)
        for name in texts:
            os.replace(_unfinished(where, name), where / name)


@contextmanager
def _alone_in(where: Path) -> Iterator[None]:
    """Two that write at once, a service and `extproc envoy config`, would put each other's halves in place."""
    folder_itself = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder_itself, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder_itself)


def _others(connections: Iterable[ConnectionSettings], also: Iterable[ConnectionSettings]) -> list[ConnectionSettings]:
    """Those of `also` whose routes `connections` do not have, once each."""
    taken = {each.route for each in connections}
    return list({each.route: each for each in also if each.route not in taken}.values())


def _source(settings: Settings, name: str) -> Any:
    where = folder(settings)
    followed = core.PathConfigSource(path=str(where / name), watched_directory=core.WatchedDirectory(path=str(where)))
    return core.ConfigSource(path_config_source=followed, resource_api_version=core.ApiVersion.V3)


def _response(version: str, kind: str, resources: Sequence[Any]) -> str:
    """An `envoy.service.discovery.v3.DiscoveryResponse`."""
    described = [{"@type": kind, **plain(each)} for each in resources]
    return yaml.safe_dump({"version_info": version, "resources": described}, sort_keys=False)


def _unfinished(where: Path, name: str) -> Path:
    return where / f".{name}.new"
