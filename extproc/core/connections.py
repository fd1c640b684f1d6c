"""Which model server a request is for: by its host, then by its path, then by the model that it names.

Each step decides for good. Of the connections that name the request's host the ones with the most specific name stay
(an exact one, then the longest `*.` suffix), or those without `hosts` where none names it; of these the ones with the
longest path prefix; of these the one that names the model, exactly or by a glob, or the one without `models`. What is
left without a connection is refused: nothing falls through to a less specific one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from extproc.core.policy import matches_glob
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Connection

CONNECTION_HEADER = "x-extproc-connection"
"""Tells Envoy the choice, which falls after the body is read: its routes match this header and nothing else leads to a
model server. A client's own copy is taken off before a route is looked for, and ours before the request goes out."""

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,255})(?::[0-9]{0,5})?")
_NOTHING = 0


@dataclass(frozen=True, slots=True)
class Candidates:
    """The connections that a request's host and path leave; never none. `path` is the path below their prefix.

    They differ in the models that they serve and agree in everything that must be known before the body is read.
    """

    connections: tuple[Connection, ...]
    path: str

    @property
    def first(self) -> Connection:
        """Any of them: what all agree in."""
        return self.connections[0]

    @property
    def only(self) -> Connection | None:
        """The one that needs no model to be chosen."""
        return self.first if len(self.connections) == 1 and not self.first.models else None

    def of_model(self, model: str) -> Connection:
        """The one that serves `model`; empty: no model is named.

        Raises `Malformed`: `NO_SUCH_MODEL`, or `NO_MODEL_NAMED` where each serves certain models only.
        """
        found, rank = None, -1
        for connection in self.connections:
            fits = _model_rank(connection.models, model)
            if fits > rank:
                found, rank = connection, fits
        if found is None:
            raise Malformed(Reason.NO_SUCH_MODEL if model else Reason.NO_MODEL_NAMED)
        return found


def only_by_model(connections: tuple[Connection, ...]) -> tuple[str, ...]:
    """The names of those at whose host and path no connection takes a request that names no model."""
    taken = {place for each in connections if not each.models for place in _places(each)}
    return tuple(each.name for each in connections if not _places(each) <= taken)


def _places(connection: Connection) -> set[tuple[str, str]]:
    return {(host, connection.path_prefix.rstrip("/")) for host in connection.hosts or ("",)}


def _model_rank(models: tuple[str, ...], model: str) -> int:
    """How well a connection's `models` fit: 2 by name, 1 by a glob, 0 as any model, -1 not."""
    if not models:
        return 0
    if model in models:
        return 2
    return 1 if model and any(matches_glob(glob, model) for glob in models) else -1


def normalize_host(raw: bytes) -> str:
    """An `:authority` as host names are compared: lower case, without a port and a closing dot.

    Raises `Malformed(HEADERS_INVALID)` for what is no host.
    """
    match = _AUTHORITY.fullmatch(raw.decode("latin-1"))
    if match is None:
        raise Malformed(Reason.HEADERS_INVALID)
    return match[1].lower().removesuffix(".")


def find_candidates(connections: tuple[Connection, ...], authority: bytes, path: str) -> Candidates:
    """The connections for a host and a normalised path. Raises `Malformed(NO_SUCH_CONNECTION)`."""
    if any(connection.hosts for connection in connections):
        host = normalize_host(authority)
        connections = _best((_host_rank(connection.hosts, host), connection) for connection in connections)
    found = _best((_path_rank(connection.path_prefix, path), connection) for connection in connections)
    if not found:
        raise Malformed(Reason.NO_SUCH_CONNECTION)
    return Candidates(found, path[len(found[0].path_prefix.rstrip("/")) :] or "/")


def _best(ranked: Iterable[tuple[int, Connection]]) -> tuple[Connection, ...]:
    """Those of the highest rank; a rank of 0 is none."""
    kept = [(rank, connection) for rank, connection in ranked if rank > _NOTHING]
    highest = max((rank for rank, _ in kept), default=_NOTHING)
    return tuple(connection for rank, connection in kept if rank == highest)


def _host_rank(hosts: tuple[str, ...], host: str) -> int:
    """1 for a connection of any host, more the longer the suffix of a `*.` name, most for an exact name."""
    if not hosts:
        return 1
    if host in hosts:
        return 1024
    return max((len(name) for name in hosts if name[:2] == "*." and host.endswith(name[1:])), default=_NOTHING)


def _path_rank(path_prefix: str, path: str) -> int:
    prefix = path_prefix.rstrip("/")
    return 1 + len(prefix) if path == prefix or path.startswith(prefix + "/") else _NOTHING


def globs_meet(first: str, second: str) -> bool:
    """Whether some text matches both globs."""
    reached = {0}
    for at in range(len(first) + 1):
        # Positions of `second` that a text can have come to when `first` has come to `at`.
        reached = _passing_stars(reached, second)
        if at == len(first):
            return len(second) in reached
        letter = first[at]
        if letter == "*":
            reached = set(range(min(reached), len(second) + 1)) if reached else set()
        else:
            reached = _stepped(reached, letter, second)
    return False


def _passing_stars(reached: set[int], glob: str) -> set[int]:
    more = set(reached)
    for at, letter in enumerate(glob):
        if letter == "*" and at in more:
            more.add(at + 1)
    return more


def _stepped(reached: set[int], letter: str, glob: str) -> set[int]:
    """After one letter of the text, which `letter` of the other glob accepts."""
    after = set()
    for at in reached:
        if at < len(glob) and glob[at] == "*":
            after.add(at)
        elif at < len(glob) and (glob[at] == letter or "?" in (glob[at], letter)):
            after.add(at + 1)
    return after
