"""The table of paths that model servers know, from `operations.toml`: read once, looked up by method and path."""

import importlib.resources
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from extproc.core.policy import Operation

_PLACEHOLDERS = {"{}": "[^/]+", "{*}": ".+"}
_PARTS = re.compile(r"(\{\*?\})")


@dataclass(frozen=True, slots=True)
class Route:
    """A line of the table. `path` may hold `{}` for one segment and `{*}` for one or more."""

    method: str
    path: str
    operation: Operation
    servers: frozenset[str]
    source: str


class Table:
    """Whole paths are one look-up; of the others only those with the same method and first segment are tried."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Raises `ValueError` for a method and path that is there twice."""
        self.routes = tuple(routes)
        self._methods = frozenset(route.method for route in self.routes)
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = {}
        for route in self.routes:
            if "{" in route.path:
                key = (route.method, _first_segment(route.path))
                self._patterns.setdefault(key, []).append((_compile(route.path), route))
            elif (route.method, route.path) in self._exact:
                raise ValueError(f"{route.method} {route.path} is there twice")
            else:
                self._exact[route.method, route.path] = route

    def find(self, method: str, path: str) -> Route | None:
        """The route of a normalised path without a closing slash. HEAD is answered as GET (RFC 9110 9.3.2)."""
        route = self._exact.get((method, path))
        if route is not None:
            return route
        patterns = self._patterns.get((method, _first_segment(path)), ())
        route = next((found for pattern, found in patterns if pattern.fullmatch(path)), None)
        return self.find("GET", path) if route is None and method == "HEAD" else route

    def operations(self, path: str) -> frozenset[Operation]:
        """What the methods ask of a server at this path."""
        found = (self.find(method, path) for method in self._methods)
        return frozenset(route.operation for route in found if route is not None)

    def administers(self, path: str) -> bool:
        """Whether some method administers a server at this path."""
        return any(
            route.operation is Operation.MODEL_ADMIN
            for method in self._methods
            if (route := self.find(method, path)) is not None
        )


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _compile(path: str) -> re.Pattern[str]:
    return re.compile("".join(_PLACEHOLDERS.get(part) or re.escape(part) for part in _PARTS.split(path)))


def _read() -> Table:
    file = importlib.resources.files("extproc.core.dialects").joinpath("operations.toml")
    entries = tomllib.loads(file.read_text("utf-8"))["entry"]
    return Table(_route(line, entry) for entry in entries for line in entry["paths"])


def _route(line: str, entry: Mapping[str, Any]) -> Route:
    method, path = line.split(" ")
    return Route(method, path, Operation(entry["operation"]), frozenset(entry["servers"]), entry["source"])


TABLE = _read()
DIALECTS = frozenset(server for route in TABLE.routes for server in route.servers)
"""The servers whose API a connection may be said to speak."""
