"""Model servers, asked without Envoy: from the gateway they must answer, from everywhere else they must not."""

import socket
from collections.abc import Iterator
from typing import Final

from extproc.edge.bootstrap_clusters import HostPort, parse_http_address
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, passed

_SECONDS: Final = 3.0


def check_models(settings: Settings, *, outside: bool) -> Iterator[Check]:
    """`outside`: this is not where Envoy runs."""
    for connection in settings.connections:
        where = parse_http_address(connection.upstream, "upstream", 80)
        name, answers = f"model server {connection.name}", _answers(where)
        if outside and answers:
            said = f"{where.authority} takes connections from here: there is a way around the gateway"
            mend = "close it with a NetworkPolicy (`networkPolicy.enabled`), or bind the model server to loopback"
            yield failed(f"{name}, way around", said, mend)
        elif outside:
            yield passed(f"{name}, way around", f"{where.authority} takes no connection from here")
        elif answers:
            yield passed(name, f"{where.authority} takes connections")
        else:
            mend = "does it run? With --outside this is what should be"
            yield failed(name, f"{where.authority} takes no connection from here", mend)


def _answers(where: HostPort) -> bool:
    try:
        socket.create_connection((where.host, where.port), _SECONDS).close()
    except OSError:
        return False
    return True
