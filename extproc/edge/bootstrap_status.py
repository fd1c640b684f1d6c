"""The admin of the bootstrap, and the status listener: the two questions that others than the owner may ask it.

The admin shows the gate secret (`/config_dump`) and ends Envoy (`/quitquitquit`). It listens on loopback, or on a Unix
socket of the owner's; past the machine reach only the exact paths below, by GET.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from extproc.edge.bootstrap_classes import (
    bootstrap,
    cluster,
    core,
    endpoint,
    hcm,
    listener,
    matcher,
    pack,
    route,
    router,
)
from extproc.edge.bootstrap_probes import probe_routes
from extproc.edge.bootstrap_strangers import nobody_is_internal
from extproc.edge.envoy_admin import admin_socket
from extproc.edge.settings import Settings

ADMIN: Final = "envoy_admin"
STATUS: Final = "status"
STATUS_PATHS: Final = ("/ready", "/stats/prometheus")
_TIMEOUT = timedelta(seconds=5)
_MAX_CONNECTIONS = 64
"""Probes and scrapes of a few; a crowd is not to cost Envoy its file descriptors."""
RUNTIME: Final = {f"envoy.resource_limits.listener.{STATUS}.connection_limit": _MAX_CONNECTIONS}


def has_admin(settings: Settings) -> bool:
    return bool(settings.envoy.admin_port or settings.envoy.status_port or settings.envoy.ends_with_service)


def admin(settings: Settings) -> Any:
    """Also when connections are all taken: whoever looks why is let in."""
    return bootstrap.Admin(address=_admin_address(settings), ignore_global_conn_limit=True)


def _admin_address(settings: Settings) -> Any:
    if settings.envoy.admin_port:
        return core.Address(
            socket_address=core.SocketAddress(address="127.0.0.1", port_value=settings.envoy.admin_port)
        )
    return core.Address(pipe=core.Pipe(path=str(admin_socket(settings.run_directory)), mode=0o600))


def admin_cluster(settings: Settings) -> Any:
    there = endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=_admin_address(settings)))
    return cluster.Cluster(
        name=ADMIN,
        type=cluster.ClusterDiscoveryType.STATIC,
        connect_timeout=timedelta(seconds=1),
        load_assignment=endpoint.ClusterLoadAssignment(
            cluster_name=ADMIN, endpoints=[endpoint.LocalityLbEndpoints(lb_endpoints=[there])]
        ),
    )


def status_routes(settings: Settings) -> Any:
    return route.RouteConfiguration(name=STATUS, virtual_hosts=[_host(settings)])


def status_listener(settings: Settings, routing: Mapping[str, Any]) -> Any:
    """Paths are compared as they came, whole and before anything is decoded or made normal: what is not one of them by
    its bytes is 404, and what the admin gets is a path of this file. `routing` is `status_routes`, or where they are.
    """
    manager = hcm.HttpConnectionManager(
        stat_prefix=STATUS,
        codec_type=hcm.HttpConnectionManagerCodecType.AUTO,
        **routing,
        http_filters=[hcm.HttpFilter(name="envoy.filters.http.router", typed_config=pack(router.Router()))],
        use_remote_address=True,
        internal_address_config=nobody_is_internal(),
        server_name="extproc",
        max_request_headers_kb=16,
        common_http_protocol_options=core.HttpProtocolOptions(idle_timeout=timedelta(seconds=60)),
        http2_protocol_options=core.Http2ProtocolOptions(max_concurrent_streams=8),
        request_headers_timeout=_TIMEOUT,
        request_timeout=_TIMEOUT,
        stream_idle_timeout=_TIMEOUT,
    )
    where = core.SocketAddress(address=settings.envoy.status_address, port_value=settings.envoy.status_port)
    return listener.Listener(
        name=STATUS,
        address=core.Address(socket_address=where),
        filter_chains=[
            listener.FilterChain(
                filters=[
                    listener.Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))
                ]
            )
        ],
        enable_reuse_port=False,
        # Clients that take all of Envoy's connections are not to look like an Envoy that is dead.
        ignore_global_conn_limit=True,
    )


def _host(settings: Settings) -> Any:
    by_get = [route.HeaderMatcher(name=":method", string_match=matcher.StringMatcher(exact="GET"))]
    asked = [
        route.Route(
            match=route.RouteMatch(path=path, headers=by_get),
            route=route.RouteAction(cluster=ADMIN, timeout=_TIMEOUT),
        )
        for path in STATUS_PATHS
    ]
    nothing = route.Route(match=route.RouteMatch(prefix="/"), direct_response=route.DirectResponseAction(status=404))
    return route.VirtualHost(name=STATUS, domains=["*"], routes=[*asked, *probe_routes(settings), nothing])
