"""What must hold among connections: a request is for one of them at most, and nothing that one says is inert."""

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from extproc.core.connections import globs_meet
from extproc.core.dialects.operations import TABLE
from extproc.core.document import Path as Place
from extproc.core.document import Report, quoted
from extproc.core.policy import Operation, matches_glob
from extproc.core.snapshot import ANY_DIALECT, Limits
from extproc.core.units import parse_size

_ALIKE = ("dialect", "limits", "opaque")
"""Known before the body is read, so before the model is."""
_ANYWHERE = {Operation.UNKNOWN.value, Operation.MODEL_ADMIN.value}
_KEPT = ("/v1/", "/openai/v1/", "/slots")
"""Also stored answers of others (`GET /v1/responses/{}`), and what llama.cpp tells of the prompts it works at."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """Which requests a connection is for."""

    place: Place
    hosts: frozenset[str]
    prefix: str
    models: tuple[str, ...] = field(repr=False)

    def meets(self, other: "_Claim") -> bool:
        """Whether host and path leave both for some request."""
        return self.prefix == other.prefix and (bool(self.hosts & other.hosts) or not (self.hosts or other.hosts))


def check_choices(report: Report) -> None:
    """Add a problem for connections that nothing tells apart, and for settings that could do nothing."""
    claims = [claim for place in report.items(("connections",)) if (claim := _claim(report, place)) is not None]
    for first, second in combinations(claims, 2):
        if first.meets(second):
            _check_pair(report, first, second)
    for place in report.items(("connections",)):
        connection = report.sound(place)
        if isinstance(connection, dict):
            _check_limits(report, place, connection)
            _check_opaque(report, place, connection)
            _check_models(report, place, connection)
            _check_probe(report, place, connection)


def _check_probe(report: Report, place: Place, connection: dict[str, Any]) -> None:
    """What answers probes goes out unread: nothing that a model server is asked, or keeps of what it was asked."""
    for key, path in (connection.get("probe") or {}).items():
        asked = TABLE.operations(path)
        if path == "/":  # a sign of life by GET, whatever it is by POST
            continue
        if {"", ".", ".."}.intersection(path.split("/")[1:]):
            report.add((*place, "probe", key), "has an empty, `.` or `..` segment")
        elif asked - {Operation.MODEL_LIST} or (not asked and path.startswith(_KEPT)):
            report.add((*place, "probe", key), "is a path of the model server's API", "name one of health or metrics")


def _claim(report: Report, place: Place) -> _Claim | None:
    if not all(report.clean((*place, key)) for key in ("hosts", "path_prefix", "models")):
        return None
    hosts, prefix, models = (report.sound((*place, key)) for key in ("hosts", "path_prefix", "models"))
    return _Claim(place, frozenset(hosts or ()), prefix or "/", tuple(models or ()))


def _check_pair(report: Report, first: _Claim, second: _Claim) -> None:
    if not first.models and not second.models:
        place = (*second.place, "path_prefix")
        report.add(
            place, f"{quoted(second.prefix)} is the prefix of another connection", "one connection would get all"
        )
        return
    for at, glob in enumerate(second.models):
        other = next((each for each in first.models if _as_specific(each, glob)), None)
        if other is not None:
            message = f"{quoted(glob)} may be the model of connections[{first.place[-1]}] too, by {quoted(other)}"
            hint = "tell them apart by host, path or name: an exact name wins over a glob"
            report.add((*second.place, "models", at), message, hint)
    for key in _ALIKE:
        if report.sound((*first.place, key)) != report.sound((*second.place, key)):
            message = f"`{key}` is not that of connections[{first.place[-1]}], which only the model tells apart"
            report.add((*second.place, key), message, "it counts before the body says the model")


def _as_specific(first: str, second: str) -> bool:
    """Whether both may match one name, and neither wins."""
    return first == second or (_is_glob(first) and _is_glob(second) and globs_meet(first, second))


def _is_glob(text: str) -> bool:
    return "*" in text or "?" in text


def _check_limits(report: Report, place: Place, connection: dict[str, Any]) -> None:
    whole = report.sound(("limits", "max_body"))
    most = Limits().max_body_bytes if whole is None else parse_size(whole)
    for key, text in connection.get("limits", {}).items():
        size = parse_size(text) if isinstance(text, str) else text
        if size == 0:
            report.add((*place, "limits", key), "must be more than nothing")
        elif key == "max_body" and size > most:
            hint = "raise that one: Envoy's buffer has its size"
            report.add((*place, "limits", key), "is more than `limits.max_body`", hint)


def _check_opaque(report: Report, place: Place, connection: dict[str, Any]) -> None:
    dialect = connection.get("dialect", ANY_DIALECT)
    for name, sides in connection.get("opaque", {}).items():
        served = any(route.operation == name and dialect in route.servers for route in TABLE.routes)
        if not served and dialect != ANY_DIALECT and name not in _ANYWHERE:
            report.add_key((*place, "opaque", name), f"has no effect: no path of `{dialect}` asks for it")
        for key in ("models", "model_map"):
            if "request" in sides and key in connection:
                message = f"needs requests that are read, and `opaque.{name}` are not"
                report.add_key((*place, key), message, f"take `request` out of `opaque.{name}`")


def _check_models(report: Report, place: Place, connection: dict[str, Any]) -> None:
    names, models = connection.get("model_map", {}), connection.get("models", ())
    if connection.get("only_mapped") and not names:
        report.add_key((*place, "only_mapped"), "has no effect without `model_map`")
    for name in names:
        if models and not any(matches_glob(glob, name) for glob in models):
            report.add_key((*place, "model_map", name), "has no effect: `models` does not name it")
