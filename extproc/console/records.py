"""What the console records: each login, logout, token and refusal, durable before it is answered."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from extproc.audit.log.journal import Journal
from extproc.console.client_address import Client
from extproc.core.principal import Principal
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import Actor, EventCode, Outcome, Record, Resource

ROLE_MISSING = "role_missing"
NOBODY = Actor(uid="anonymous")
_SELF = Actor(uid="extproc", name="extproc")


@dataclass(frozen=True, slots=True)
class Act:
    """What was asked of the console: `operation` (`saml.login`), HTTP method, and by whom."""

    operation: str
    method: str
    client: Client

    def record(
        self, code: EventCode, actor: Actor, *, status: Outcome, http_status: int, detail: dict[str, str | int]
    ) -> Record:
        return Record(
            event_code=code,
            time_ms=int(time.time() * 1000),
            actor=actor,
            status=status,
            src_address=self.client.source,
            resource=Resource(connection="console", operation=self.operation, protocol=f"HTTP {self.method}"),
            http_status=http_status,
            status_detail="" if status is Outcome.SUCCEEDED else Reason.TOKEN_INVALID.value,
            detail={**detail, **({"proxy": self.client.proxy} if self.client.proxy else {})},
        )

    def done(self, code: EventCode, actor: Actor, http_status: int, **detail: str | int) -> Record:
        """It was done, or will be once this is durable."""
        return self.record(code, actor, status=Outcome.SUCCEEDED, http_status=http_status, detail=detail)

    def failed(self, code: EventCode, actor: Actor, reason: Reason, **detail: str | int) -> Record:
        """What `done` says of it is not so: it was tried, and `reason` kept it from being done. Answered by 503."""
        said = {**detail, "refused": reason.value}
        tried = self.record(code, actor, status=Outcome.FAILED, http_status=503, detail=said)
        return replace(tried, status_detail=reason.value)

    def refused(self, code: str, http_status: int, actor: Actor = NOBODY, **detail: str | int) -> Record:
        """`code` says why, in a word of ours."""
        said = {"refused": code, **detail}
        return self.record(EventCode.AUTH_FAIL, actor, status=Outcome.REFUSED, http_status=http_status, detail=said)

    def without_role(self, http_status: int, actor: Actor, **detail: str | int) -> Record:
        """Refused to somebody who is known, and has none of the roles that it needs."""
        return replace(self.refused(ROLE_MISSING, http_status, actor, **detail), status_detail=ROLE_MISSING)


def own_record(code: EventCode, status: Outcome, **detail: str | int) -> Record:
    """Of what the console itself did or saw."""
    return Record(
        event_code=code,
        time_ms=int(time.time() * 1000),
        actor=_SELF,
        status=status,
        src_address="local",
        resource=Resource(connection="console", operation=code.value, protocol="local"),
        detail=dict(detail),
    )


def actor_of(person: Principal, token_id: str) -> Actor:
    """The person, and the session or token that it is about."""
    return Actor(uid=person.uid, name=person.name, groups=person.groups, token_id=token_id, methods=person.methods)


class ConsoleLog:
    """The journal of this process, for its one event loop."""

    def __init__(self, journal: Journal, stored: Callable[[Record], None]) -> None:
        """`stored` is told of each record that is durable."""
        self._journal = journal
        self._stored = stored

    async def store(self, record: Record) -> None:
        """Returns once the record is durable. Raises `Unavailable` when it never will be."""
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[bool] = loop.create_future()

        def done(durable: bool) -> None:
            if not stored.done():
                stored.set_result(durable)

        self._journal.append_record(record, done)
        if not await asyncio.shield(stored):
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        self._stored(record)

    def accepting(self) -> bool:
        """Whether anything new may begin."""
        return self._journal.accepting()


def deliver_to(loop: asyncio.AbstractEventLoop) -> Callable[[Callable[[], None]], None]:
    """How the journal's thread tells the loop."""

    def deliver(call: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(call)

    return deliver
