"""What an Envoy runs on, as its admin tells it: listeners, their filters and routes, clusters and their addresses.

The dump holds the gate secret and whatever else a configuration holds: it is looked at, and never shown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

_HCM: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TCP_PROXY: Final = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_SECONDS: Final = 10.0
MAX_DUMP_BYTES: Final = 64 * 1024 * 1024
"""A mesh's Envoy knows thousands of clusters."""
Tree = Mapping[str, Any]


class DumpFailed(Exception):
    """The admin did not answer, or with something else. The text is a sentence without content."""


@dataclass(frozen=True, slots=True)
class Manager:
    """One HTTP connection manager: its filters in order and the routes that it takes."""

    listener: str
    filters: tuple[Tree, ...] = field(repr=False)
    routes: Tree = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dump:
    """Of one Envoy. `version` is its three numbers."""

    version: tuple[int, ...]
    bootstrap: Tree = field(repr=False)
    listeners: tuple[Tree, ...] = field(repr=False)
    route_configs: tuple[Tree, ...] = field(repr=False)
    clusters: tuple[Tree, ...] = field(repr=False)
    endpoints: tuple[Tree, ...] = field(default=(), repr=False)

    def managers(self) -> Iterator[Manager]:
        named = {str(each.get("name")): each for each in self.route_configs}
        for listener, config in self._network_filters(_HCM):
            routes = config.get("route_config") or named.get(str(config.get("rds", {}).get("route_config_name")), {})
            yield Manager(listener, tuple(config.get("http_filters", ())), routes)

    def tcp_clusters(self) -> Iterator[tuple[str, str]]:
        """Listener and cluster of each way without HTTP."""
        for listener, config in self._network_filters(_TCP_PROXY):
            for cluster in _clusters_of(config):
                yield listener, cluster

    def addresses(self, cluster: str) -> frozenset[str]:
        """`host:port`, or the path of a socket, of each endpoint, as configured or as discovered."""
        known = [each.get("load_assignment", {}) for each in self.clusters if each.get("name") == cluster]
        known += [each for each in self.endpoints if each.get("cluster_name") == cluster]
        return frozenset(
            _address(end.get("endpoint", {}).get("address", {}))
            for assignment in known
            for group in assignment.get("endpoints", ())
            for end in group.get("lb_endpoints", ())
        )

    def is_open_ended(self, cluster: str) -> bool:
        """It goes wherever a request says."""
        found: Tree = next((each for each in self.clusters if each.get("name") == cluster), {})
        return found.get("type") == "ORIGINAL_DST" or "dynamic_forward_proxy" in str(found.get("cluster_type", ""))

    def _network_filters(self, kind: str) -> Iterator[tuple[str, Tree]]:
        for listener in self.listeners:
            default = listener.get("default_filter_chain")
            for chain in (*listener.get("filter_chains", ()), *((default,) if default else ())):
                for each in chain.get("filters", ()):
                    if is_kind(each, kind):
                        yield str(listener.get("name", "?")), each["typed_config"]


def is_kind(each: Tree, kind: str) -> bool:
    """Whether a filter's configuration is of this message type."""
    return str(each.get("typed_config", {}).get("@type", "")).endswith(f"/{kind}")


def clusters_of(route: Tree) -> tuple[str, ...]:
    """Where a route may lead, mirrors too."""
    action = route.get("route", {})
    mirrors = (str(each.get("cluster", "")) for each in action.get("request_mirror_policies", ()))
    return tuple(name for name in (*_clusters_of(action), *mirrors) if name)


def routes_of(manager: Manager) -> Iterator[tuple[str, Tree, Tree]]:
    """A name for people, the virtual host and the route."""
    for host in manager.routes.get("virtual_hosts", ()):
        for index, route in enumerate(host.get("routes", ())):
            yield f"{host.get('name', '?')}/{route.get('name') or index}", host, route


def parse_dump(info: Tree, dump: Tree) -> Dump:
    """Raises `DumpFailed` for what is no such answer."""
    try:
        version = tuple(int(part) for part in str(info["version"]).split("/")[1].split("-")[0].split("."))
        parts: list[Tree] = dump["configs"]
        found = {str(part["@type"]).rsplit(".", 1)[-1]: part for part in parts}
        bootstrap = found["BootstrapConfigDump"]["bootstrap"]
    except (LookupError, ValueError, TypeError):
        raise DumpFailed("what answers there is no Envoy's admin") from None
    return Dump(
        version,
        bootstrap,
        tuple(_listeners(found.get("ListenersConfigDump", {}))),
        tuple(
            _each(found.get("RoutesConfigDump", {}), "route_config", "static_route_configs", "dynamic_route_configs")
        ),
        tuple(_each(found.get("ClustersConfigDump", {}), "cluster", "static_clusters", "dynamic_active_clusters")),
        tuple(
            _each(
                found.get("EndpointsConfigDump", {}),
                "endpoint_config",
                "static_endpoint_configs",
                "dynamic_endpoint_configs",
            )
        ),
    )


def dump_of_bootstrap(bootstrap: Tree) -> Dump:
    """A bootstrap that was rendered, as the dump of an Envoy that runs on it."""
    static = bootstrap.get("static_resources", {})
    return Dump((), bootstrap, tuple(static.get("listeners", ())), (), tuple(static.get("clusters", ())))


def fetch_dump(client: httpx.Client) -> Dump:
    """`client` has the admin's address as its base. Raises `DumpFailed`."""
    return parse_dump(_fetch(client, "/server_info"), _fetch(client, "/config_dump?include_eds"))


def _fetch(client: httpx.Client, path: str) -> Tree:
    try:
        with client.stream("GET", path, timeout=_SECONDS) as answer:
            data = bytearray()
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > MAX_DUMP_BYTES:
                    raise DumpFailed("the admin's answer is too large")
        if answer.status_code != httpx.codes.OK:
            raise DumpFailed(f"the admin answered {answer.status_code}")
        document = httpx.Response(200, content=bytes(data)).json()
    except httpx.HTTPError as error:
        raise DumpFailed(f"the admin does not answer ({type(error).__name__})") from None
    except ValueError:
        raise DumpFailed("what answers there is no Envoy's admin") from None
    if not isinstance(document, dict):
        raise DumpFailed("what answers there is no Envoy's admin")
    return document


def _listeners(part: Tree) -> Iterator[Tree]:
    for each in part.get("static_listeners", ()):
        yield each.get("listener", {})
    for each in part.get("dynamic_listeners", ()):
        yield each.get("active_state", {}).get("listener", {})


def _each(part: Tree, key: str, *lists: str) -> Iterator[Tree]:
    for name in lists:
        for each in part.get(name, ()):
            yield each.get(key, {})


def _clusters_of(action: Tree) -> Iterator[str]:
    if name := action.get("cluster"):
        yield str(name)
    for each in action.get("weighted_clusters", {}).get("clusters", ()):
        yield str(each.get("name", ""))


def _address(address: Tree) -> str:
    if pipe := address.get("pipe"):
        return str(pipe.get("path", ""))
    where = address.get("socket_address", {})
    return f"{str(where.get('address', '')).lower()}:{where.get('port_value', 0)}"
