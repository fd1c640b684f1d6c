"""`/sessions`: find exchanges in the index. A plain form, and URLs that can be passed on."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from extproc.approvals.index.query import Choice, Facets, SessionRow
from extproc.console.access import require_role
from extproc.console.deployment import Deployment
from extproc.console.finding_sessions import CLOSED, FILTERS, PRESETS, read_asked
from extproc.console.pages import render
from extproc.console.parts import deployment_of, parts_of
from extproc.console.reads import record_read
from extproc.console.roles import Role
from extproc.console.session_view import milliseconds
from extproc.console.verdicts import LOOKS, look_of

_SHIPPING_SECONDS: Final = 30.0
"""From a sealed segment to the index, about."""
_FIELDS: Final = ("person", "model", "verdict", "finding", "rule")
_MORE_FIELDS: Final = ("effect", "connection", "operation", "id")


async def sessions(request: Request) -> Response:
    """The list. Reading it is recorded, as `extproc audit list` is. Raises `Unavailable`."""
    person = await require_role(request, Role.READER)
    parts, deployment = parts_of(request), deployment_of(request)
    asked = read_asked(request.query_params, parts.clock())
    await record_read(request, person, "audit.list", range=asked.range, **dict(asked.said))
    index = deployment.index
    page = await asyncio.to_thread(index.search, asked.query, asked.cursor)
    facets = await asyncio.to_thread(index.facets)
    freshness = await asyncio.to_thread(index.freshness)
    now_ms = int(parts.clock() * 1000)
    return render(
        request,
        "sessions.html",
        title="Sessions",
        asked=asked,
        presets=PRESETS,
        fields=[(name, FILTERS[name], choices_of(facets, name)) for name in _FIELDS],
        more_fields=[(name, FILTERS[name], choices_of(facets, name)) for name in _MORE_FIELDS],
        chosen_from=frozenset(CLOSED),
        chips=asked.chips(),
        page=page,
        rows=[(row, look_of(row.verdict), findings_of(row), milliseconds(row.duration_ms)) for row in page.rows],
        freshness=freshness,
        stale=bool(freshness.looked_ms) and freshness.is_stale(now_ms),
        seal_seconds=seal_seconds(deployment),
    )


def seal_seconds(deployment: Deployment) -> float:
    """About how long a session needs from its end to the index."""
    return deployment.settings.audit.segment_seconds + _SHIPPING_SECONDS


def choices_of(facets: Facets, name: str) -> tuple[Choice, ...]:
    """What a filter can be, by the form's name."""
    match name:
        case "person":
            return facets.people
        case "model":
            return facets.models
        case "connection":
            return facets.connections
        case "operation":
            return facets.operations
        case "rule":
            return facets.rules
        case "finding":
            return facets.findings
        case "effect":
            words = _counted(CLOSED["effect"], facets.effects)
            return tuple(Choice(word, word, count) for word, count in words.items())
        case "verdict":
            words = _counted(tuple(LOOKS), facets.verdicts)
            return tuple(Choice(word, look_of(word).words, count) for word, count in words.items())
    return ()


def _counted(known: tuple[str, ...], found: tuple[Choice, ...]) -> dict[str, int]:
    """Every known word, and what else was found; 0 of what was not."""
    return {**dict.fromkeys(known, 0), **{choice.value: choice.count for choice in found}}


def findings_of(row: SessionRow) -> list[tuple[str, int]]:
    """By kind, both directions together."""
    found: dict[str, int] = {}
    for kind, count in (*row.findings_request, *row.findings_response):
        found[kind] = found.get(kind, 0) + count
    return list(found.items())


ROUTES: Final = (Route("/sessions", sessions),)
