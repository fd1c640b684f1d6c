"""What somebody may not see is refused on the record (PCI DSS 10.2.1.4), so often a minute and not more."""

from extproc.console.failures import WINDOW_SECONDS
from extproc.console.parts import LOCKED, Parts
from extproc.console.reads import kept
from extproc.console.records import Act, actor_of
from extproc.core.principal import Principal


async def store_refusal(parts: Parts, act: Act, person: Principal, http_status: int, **detail: str) -> int:
    """0 once it is durable; else for how many seconds this person is not heard, and then nothing was recorded.

    What was asked for, in `detail`, is masked. The refusal that was one too many is recorded as such, too. Raises
    `Unavailable`: then no other answer may be given.
    """
    now = parts.clock()
    if wait := parts.role_refusals.wait_seconds(person.uid, now):
        return wait
    locks = parts.role_refusals.failed(person.uid, now)
    actor = actor_of(person, "")
    said = {name: kept(text) for name, text in detail.items()}
    await parts.log.store(act.without_role(http_status, actor, **said))
    if locks:
        await parts.log.store(act.refused(LOCKED, 429, actor, seconds=int(WINDOW_SECONDS)))
    return 0
