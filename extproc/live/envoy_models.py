"""Where the model servers and routes that an Envoy has by now differ from those of our configuration.

Beside them it keeps some of the configuration before, for exchanges under way: each is told by the name of its own
route, which no exchange is sent to any more. Any other is a difference.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from extproc.core.connections import CONNECTION_HEADER
from extproc.edge.bootstrap_classes import plain
from extproc.edge.bootstrap_clusters import model_cluster
from extproc.edge.bootstrap_routes import routes
from extproc.edge.bootstrap_status import status_routes
from extproc.edge.settings import Settings
from extproc.live.envoy_differences import find_differences
from extproc.live.envoy_dump import Dump

Tree = Mapping[str, Any]


def model_differences(settings: Settings, dump: Dump) -> Iterator[str]:
    """Places; never values. Raises `ValueError` for an address no cluster can be made of."""
    for each in settings.connections:
        wanted = plain(model_cluster(each))
        yield from _differences("cluster", wanted, _named(dump.clusters, wanted["name"]))
    wanted = plain(routes(settings))
    yield from _differences("routes", wanted, _without_earlier(_named(dump.route_configs, wanted["name"]), wanted))
    if settings.envoy.status_port:
        wanted = plain(status_routes(settings))
        yield from _differences("routes", wanted, _named(dump.route_configs, wanted["name"]))


def _named(known: tuple[Tree, ...], name: str) -> Tree:
    return next((each for each in known if each.get("name") == name), {})


def _differences(what: str, wanted: Tree, found: Tree) -> Iterator[str]:
    name = f"{what} {wanted['name']}"
    if not found:
        yield f"{name} is missing"
        return
    alike = {key: value for key, value in found.items() if key != "@type"}
    for place in find_differences(alike, wanted):
        yield f"{name}: {place}"


def _without_earlier(found: Tree, wanted: Tree) -> Tree:
    """The routes that `wanted` does not name, and that only the service's choice of them takes, left out."""
    (host,) = wanted["virtual_hosts"]
    known = {each.get("name") for each in host["routes"]}
    hosts = [
        {**each, "routes": [one for one in each.get("routes", ()) if one.get("name") in known or not _is_chosen(one)]}
        for each in found.get("virtual_hosts", ())
    ]
    return {**found, "virtual_hosts": hosts} if found else found


def _is_chosen(route: Tree) -> bool:
    name = route.get("name")
    said = {"name": CONNECTION_HEADER, "string_match": {"exact": name}}
    return bool(name) and said in route.get("match", {}).get("headers", ())
