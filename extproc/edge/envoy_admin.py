"""The words of the service to Envoy's admin: what it has of the files that it follows; when both are to end, take
nothing new, and quit.
"""

import http.client
import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from extproc.edge.settings import Settings

ANSWER_SECONDS: Final = 2.0
DRAIN: Final = ("/healthcheck/fail", "/drain_listeners?inboundonly")
"""First: answers say `connection: close` or GOAWAY, and `/ready` is 503. Then: no connection is taken any more."""
QUIT: Final = ("/quitquitquit",)
_WARMING: Final = "cluster_manager.warming_clusters"
_STATS: Final = r"^(cluster_manager\.(cds\.version_text|warming_clusters)|http\.[^.]+\.rds\.[^.]+\.version_text)$"
FOLLOWED: Final = f"/stats?filter={quote(_STATS, safe='')}"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Followed:
    """What Envoy has of the files that it follows."""

    versions: frozenset[str]
    warming: int
    """Clusters whose names are resolved for the first time: until then a request to them is answered with 503."""


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

    def followed(self) -> Followed | None:
        """None: it does not answer."""
        try:
            lines = self._ask("GET", FOLLOWED).decode("utf-8", "replace").splitlines()
            found = {name: value.strip('"') for name, _, value in (line.partition(": ") for line in lines)}
            warming = int(found.pop(_WARMING))
        except (OSError, http.client.HTTPException, LookupError, ValueError):
            return None
        return Followed(frozenset(found.values()), warming)

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
