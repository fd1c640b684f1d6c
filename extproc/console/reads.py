"""Whoever reads the log by way of the console is recorded first (PCI DSS 10.2.1.3); without that nothing is shown."""

from msgspec.structs import replace
from starlette.requests import Request

from extproc.console.cookies import own_cookies
from extproc.console.parts import act_of, parts_of
from extproc.console.records import actor_of
from extproc.console.session import SESSION_COOKIE
from extproc.core.masking.typed import mask_argument
from extproc.core.principal import Principal
from extproc.core.record import EventCode, Resource

MAX_SAID = 200
"""Characters of one thing that was asked for, as the record keeps it."""
_MAX_MASKED = 2_000
"""Characters that are masked at all. Masking makes no text ten times shorter, so that half a number at their end, which
nothing would find, is not among those that are kept."""


async def record_read(request: Request, person: Principal, operation: str, /, **asked: str | int) -> None:
    """Returns once it is durable that `person` reads: `operation` as the command of the same name records it.

    What was asked for comes from a URL and is masked. Raises `Unavailable` and `TooMany`, and then
    nothing may be shown.
    """
    spend_read(request)
    said = {name: kept(value) for name, value in asked.items() if value != ""}
    act = act_of(request, operation)
    record = act.done(EventCode.AUDIT_READ, actor_of(person, ""), 200, **said)
    resource = Resource(connection="audit-log", operation=operation, protocol=record.resource.protocol)
    await parts_of(request).log.store(replace(record, resource=resource))


def spend_read(request: Request) -> None:
    """One more page with content for this session. Raises `TooMany`."""
    parts = parts_of(request)
    parts.pace.spend(own_cookies(request).get(SESSION_COOKIE, ""), parts.clock())


def spend_step(request: Request) -> None:
    """One more form of this session that ends in a record, also where it is refused. Raises `TooMany`."""
    parts = parts_of(request)
    parts.pace.spend(f"step {own_cookies(request).get(SESSION_COOKIE, '')}", parts.clock())


def kept(value: str | int) -> str | int:
    """As a record may have it: without card data, and bounded."""
    return mask_argument(value[:_MAX_MASKED])[:MAX_SAID] if isinstance(value, str) else value
