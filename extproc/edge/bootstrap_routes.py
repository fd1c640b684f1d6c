"""The routes to model servers: one per connection, taken by the service's choice alone, and one for everything else.

Before the service has judged a request no route leads to a model server; then it names one in a header of its own and
has the route looked for again. A client's header of that name is taken off before the first look.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from extproc.core.connections import CONNECTION_HEADER
from extproc.edge.bootstrap_classes import matcher, route
from extproc.edge.bootstrap_clusters import model_cluster_name, parse_http_address
from extproc.edge.bootstrap_filters import longest_message_seconds
from extproc.edge.settings import ConnectionSettings, Settings

MODELS = "models"
_IDLE_SLACK_SECONDS = 60
_NO_CLUSTER = "none"
"""Connections' clusters all begin with `model_`."""


def routes(settings: Settings, also: Sequence[ConnectionSettings] = ()) -> Any:
    """One per connection, without retries. Whatever matches none still passes every filter.

    `also` are reached by those who were sent to them already: no request has the route of two of them.
    """
    found = [_connection_route(connection, settings) for connection in (*settings.connections, *also)]
    host = route.VirtualHost(
        name=MODELS,
        domains=["*"],
        routes=[*found, _not_chosen(settings)],
        # The listener's own limit is far lower; past this one the answer is 413, and ext_proc sees it.
        request_body_buffer_limit=settings.limits.max_body_bytes,
    )
    # One route names a cluster that there is not.
    return route.RouteConfiguration(name=MODELS, virtual_hosts=[host], validate_clusters=False)


def _prefix(connection: ConnectionSettings) -> str:
    """Without its trailing slash: the empty string stands for every path."""
    return connection.path_prefix.rstrip("/")


def _connection_route(connection: ConnectionSettings, settings: Settings) -> Any:
    prefix = _prefix(connection)
    where = parse_http_address(connection.upstream, f"connection `{connection.name}`: upstream", 80)
    return route.Route(
        name=connection.route,
        match=_chosen(connection.route, prefix),
        request_headers_to_remove=[CONNECTION_HEADER],
        route=route.RouteAction(
            cluster=model_cluster_name(connection),
            # Model servers know neither our prefix nor the name clients call us by.
            regex_rewrite=_without_prefix(prefix) if prefix else None,
            host_rewrite_literal=where.authority,
            timeout=timedelta(0),
            idle_timeout=_idle_timeout(settings),
        ),
    )


def _chosen(said_route: str, prefix: str) -> Any:
    """By the service, which matched the prefix too: both must say so."""
    said = route.HeaderMatcher(name=CONNECTION_HEADER, string_match=matcher.StringMatcher(exact=said_route))
    if prefix:
        return route.RouteMatch(path_separated_prefix=prefix, headers=[said])
    return route.RouteMatch(prefix="/", headers=[said])


def _without_prefix(prefix: str) -> Any:
    pattern = matcher.RegexMatcher(regex=f"^{re.escape(prefix)}/*")
    return matcher.RegexMatchAndSubstitute(pattern=pattern, substitution="/")


def _not_chosen(settings: Settings) -> Any:
    """The way to no cluster: a 404 by the router, so after ext_proc, which sees the request and chooses or refuses.

    A direct response would have neither the virtual host's body limit nor an idle timeout, which count while the
    service reads and holds.
    """
    return route.Route(
        match=route.RouteMatch(prefix="/"),
        route=route.RouteAction(
            cluster=_NO_CLUSTER,
            cluster_not_found_response_code=route.RouteActionClusterNotFoundResponseCode.NOT_FOUND,
            timeout=timedelta(0),
            idle_timeout=_idle_timeout(settings),
        ),
    )


def _idle_timeout(settings: Settings) -> timedelta:
    """How long a stream may be silent: longer than the longest hold."""
    return timedelta(seconds=longest_message_seconds(settings) + _IDLE_SLACK_SECONDS)
