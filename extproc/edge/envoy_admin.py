"""The words of the service to Envoy's admin: which routes it has; when both are to end, take nothing new, and quit."""

import http.client
import json
import logging
import socket
from pathlib import Path
from typing import Final

from extproc.edge.settings import Settings

ANSWER_SECONDS: Final = 2.0
DRAIN: Final = ("/healthcheck/fail", "/drain_listeners?inboundonly")
"""First: answers say `connection: close` or GOAWAY, and `/ready` is 503. Then: no connection is taken any more."""
QUIT: Final = ("/quitquitquit",)
ROUTES: Final = "/config_dump?resource=dynamic_route_configs&mask=version_info"
"""No route itself: they are many, and only the version is asked for."""

_log = logging.getLogger(__name__)


class EnvoyAdmin:
    """An Envoy that does not answer is told to nobody twice: it may have ended before us, and then all is well."""

    def __init__(self, settings: Settings) -> None:
        self._port = settings.envoy.admin_port
        self._socket = admin_socket(settings.run_directory)

    def drain(self) -> None:
        """What is under way goes on; new connections are refused."""
        self._tell(DRAIN)

    def quit(self) -> None:
        """At once."""
        self._tell(QUIT)

    def versions(self) -> frozenset[str] | None:
        """Of the routes that it has from files. None: it does not answer."""
        try:
            configs = json.loads(self._ask("GET", ROUTES)).get("configs", [])
            return frozenset(str(each.get("version_info", "")) for each in configs)
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            return None

    def _tell(self, paths: tuple[str, ...]) -> None:
        for path in paths:
            try:
                self._ask("POST", path)
            except (OSError, http.client.HTTPException) as error:
                _log.warning("envoy does not answer", extra={"asked": path, "failure": type(error).__name__})
                return

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port or None, timeout=ANSWER_SECONDS)
        try:
            if not self._port:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.settimeout(ANSWER_SECONDS)
                connection.sock.connect(str(self._socket))
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise http.client.HTTPException
        return body


def admin_socket(run_directory: Path) -> Path:
    """Where the admin listens when it has no port."""
    return run_directory / "envoy-admin.sock"
