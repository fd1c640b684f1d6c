"""Who calls the JSON API or the gRPC service: a bearer token of one of `identity.issuers`, and never a cookie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from extproc.console.api_problem import ProblemCode, Refused
from extproc.console.parts import LOCKED, Parts, store_failure
from extproc.console.records import Act
from extproc.console.roles import Role, groups_for, roles_of
from extproc.core.approval import TransitionCode
from extproc.core.headers import Headers
from extproc.core.identity import authorization_token
from extproc.core.masking.typed import recordable
from extproc.core.principal import Principal
from extproc.core.reasons import Malformed, Reason, Unavailable, Unverified
from extproc.core.recorded import actor_of

WITHOUT_RIGHT: Final = frozenset(
    {
        TransitionCode.OWN_REQUEST,
        TransitionCode.NOT_AN_APPROVER,
        TransitionCode.NOT_A_PERSON,
        TransitionCode.OTHER_REQUESTER,
    }
)
"""Steps that were tried without the right to them count as failures of the address."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Verified, with card data masked in what a record keeps of them. A program reads and never decides."""

    person: Principal
    roles: frozenset[Role]
    act: Act


async def identify(parts: Parts, authorization: Sequence[bytes], act: Act) -> Caller:
    """By the values of `authorization`. Raises `Refused`, which is recorded and counted, and `Unavailable`."""
    now = parts.clock()
    if wait := parts.api_failures.wait_seconds(act.client.address, now):
        raise Refused(ProblemCode.TOO_MANY_FAILURES, retry_after=wait)
    if parts.authenticator is None:
        raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
    try:
        token = authorization_token(Headers(tuple(("authorization", value) for value in authorization)))
        person = recordable(await parts.authenticator.verify(token))
    except (Malformed, Unverified) as error:
        missing = error.reason is Reason.TOKEN_MISSING
        await store_failure(parts, parts.api_failures, act, act.refused(error.reason.value, 401), now)
        raise Refused(ProblemCode.TOKEN_MISSING if missing else ProblemCode.TOKEN_INVALID) from None
    return Caller(person, _roles(person, parts), act)


async def require(parts: Parts, caller: Caller, *roles: Role) -> None:
    """One of `roles`. Raises `Refused`, which is recorded and counted."""
    if caller.roles.isdisjoint(roles):
        refusal = caller.act.without_role(403, actor_of(caller.person))
        await store_failure(parts, parts.api_failures, caller.act, refusal, parts.clock())
        raise Refused(ProblemCode.ROLE_MISSING)


async def count_refusal(parts: Parts, act: Act, code: TransitionCode) -> None:
    """A step without the right to it, which is recorded already: who tries many is not heard for a while."""
    if code in WITHOUT_RIGHT and parts.api_failures.failed(act.client.address, parts.clock()):
        await parts.log.store(act.refused(LOCKED, 429))


def _roles(person: Principal, parts: Parts) -> frozenset[Role]:
    """Of a program at most READER: what it may see has no text in it."""
    settings = parts.settings.roles
    if person.kind == "person":
        return roles_of(person, settings)
    listed = any(not set(person.groups).isdisjoint(groups_for(role, settings)) for role in Role)
    return frozenset({Role.READER}) if listed else frozenset()
