"""Routes of the status listener to model servers: the paths that a connection's `probe` names, and nothing else.

A model server beside Envoy listens on loopback, so that nobody passes by: neither kubelet nor Prometheus reaches it.
"""

from datetime import timedelta
from typing import Any, Final

from extproc.edge.bootstrap_classes import matcher, route
from extproc.edge.bootstrap_clusters import model_cluster_name, parse_http_address
from extproc.edge.settings import ConnectionSettings, Settings

_TIMEOUT: Final = timedelta(seconds=5)


def probe_routes(settings: Settings) -> list[Any]:
    """`/model/<connection>/health` and `/model/<connection>/metrics`, by GET, without a query."""
    return [
        _route(connection, what, path)
        for connection in settings.connections
        for what, path in (("health", connection.probe.health), ("metrics", connection.probe.metrics))
        if path
    ]


def _route(connection: ConnectionSettings, what: str, path: str) -> Any:
    asked = f"/model/{connection.name}/{what}"
    where = parse_http_address(connection.upstream, f"connection `{connection.name}`: upstream", 80)
    return route.Route(
        match=route.RouteMatch(
            path=asked,
            headers=[
                route.HeaderMatcher(name=":method", string_match=matcher.StringMatcher(exact="GET")),
                # A path is compared without its query; this is the whole of it.
                route.HeaderMatcher(name=":path", string_match=matcher.StringMatcher(exact=asked)),
            ],
        ),
        # Nothing of the asker reaches the model server but the question.
        request_headers_to_remove=["authorization", "cookie"],
        route=route.RouteAction(
            cluster=model_cluster_name(connection),
            regex_rewrite=matcher.RegexMatchAndSubstitute(
                pattern=matcher.RegexMatcher(regex="^.*$"), substitution=path
            ),
            host_rewrite_literal=where.authority,
            timeout=_TIMEOUT,
        ),
    )
