"""Ways through an Envoy to a model server that this service does not see."""

import ipaddress
import socket
from collections.abc import Iterator

from extproc.edge.bootstrap_clusters import parse_http_address
from extproc.edge.settings import Settings
from extproc.live.envoy_dump import Dump, clusters_of, routes_of
from extproc.live.envoy_guard import ext_proc_of


def model_addresses(settings: Settings) -> frozenset[str]:
    """`host:port` of every model server, by name and by each address that the name has now."""
    found: set[str] = set()
    for connection in settings.connections:
        where = parse_http_address(connection.upstream, "upstream", 80)
        found.add(f"{where.host.lower()}:{where.port}")
        try:
            known = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        except OSError:
            continue
        found |= {f"{each[4][0]}:{where.port}" for each in known}
    return frozenset(found | {_other_name(each) for each in found})


def unguarded_ways(dump: Dump, models: frozenset[str]) -> Iterator[str]:
    """Each as one sentence: the listener, the route, the cluster."""
    for manager in dump.managers():
        guarded = ext_proc_of(manager) is not None
        for name, _, route in routes_of(manager):
            for cluster in clusters_of(route):
                if _reaches(dump, cluster, models) and not guarded:
                    yield f"listener {manager.listener}, route {name} leads to cluster {cluster} without ext_proc"
    for listener, cluster in dump.tcp_clusters():
        if _reaches(dump, cluster, models):
            yield f"listener {listener} leads to cluster {cluster} as TCP"


def guarded_listeners(dump: Dump, models: frozenset[str]) -> tuple[str, ...]:
    """Listeners from which a judged request reaches a model server."""
    return tuple(
        sorted(
            {
                manager.listener
                for manager in dump.managers()
                if ext_proc_of(manager) is not None
                for _, _, route in routes_of(manager)
                for cluster in clusters_of(route)
                if _reaches(dump, cluster, models)
            }
        )
    )


def _reaches(dump: Dump, cluster: str, models: frozenset[str]) -> bool:
    return dump.is_open_ended(cluster) or not models.isdisjoint(dump.addresses(cluster))


def _other_name(address: str) -> str:
    """The machine itself has several names."""
    host, _, port = address.rpartition(":")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        return f"127.0.0.1:{port}" if host == "localhost" else address
    return f"localhost:{port}" if loopback else address
