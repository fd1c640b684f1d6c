"""The routes of the bootstrap: one per connection, and one for every path that belongs to none."""

import re
from datetime import timedelta
from typing import Any

from extproc.edge.bootstrap_classes import matcher, route
from extproc.edge.bootstrap_clusters import model_cluster_name, parse_http_address
from extproc.edge.bootstrap_filters import longest_message_seconds
from extproc.edge.settings import ConnectionSettings, Settings

_IDLE_SLACK_SECONDS = 60


def routes(settings: Settings) -> Any:
    """Longest prefix first, on whole segments, without retries. Whatever matches nothing still passes every filter."""
    ordered = sorted(settings.connections, key=lambda c: len(_prefix(c)), reverse=True)
    found = [_connection_route(connection, settings) for connection in ordered]
    if not any(_prefix(connection) == "" for connection in ordered):
        found.append(_unknown_path())
    host = route.VirtualHost(
        name="models",
        domains=["*"],
        routes=found,
        # The listener's own limit is far lower; past this one the answer is 413, and ext_proc sees it.
        request_body_buffer_limit=settings.limits.max_body_bytes,
    )
    return route.RouteConfiguration(name="models", virtual_hosts=[host])


def _prefix(connection: ConnectionSettings) -> str:
    """Without its trailing slash: the empty string stands for every path."""
    return connection.path_prefix.rstrip("/")


def _connection_route(connection: ConnectionSettings, settings: Settings) -> Any:
    prefix = _prefix(connection)
    where = parse_http_address(connection.upstream, f"connection `{connection.name}`: upstream", 80)
    return route.Route(
        name=connection.name,
        match=route.RouteMatch(path_separated_prefix=prefix) if prefix else route.RouteMatch(prefix="/"),
        route=route.RouteAction(
            cluster=model_cluster_name(connection.name),
            # Model servers know neither our prefix nor the name clients call us by.
            regex_rewrite=_without_prefix(prefix) if prefix else None,
            host_rewrite_literal=where.authority,
            timeout=timedelta(0),
            idle_timeout=timedelta(seconds=longest_message_seconds(settings) + _IDLE_SLACK_SECONDS),
        ),
    )


def _without_prefix(prefix: str) -> Any:
    pattern = matcher.RegexMatcher(regex=f"^{re.escape(prefix)}/*")
    return matcher.RegexMatchAndSubstitute(pattern=pattern, substitution="/")


def _unknown_path() -> Any:
    """Answered by the router, so after ext_proc: the service sees the request, records it and refuses it first."""
    return route.Route(match=route.RouteMatch(prefix="/"), direct_response=route.DirectResponseAction(status=404))
