"""Decisions from the event loop: judged and stored in a thread, recorded in the journal of this console."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from extproc.approvals.decisions import Decisions
from extproc.console.parts import Parts
from extproc.core.record import Record

P = ParamSpec("P")
T = TypeVar("T")


async def decided(
    parts: Parts, step: Callable[Concatenate[Decisions, P], T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """What a method of `Decisions` returns: `await decided(parts, Decisions.decide, approval_id, asking, verdict)`.

    Raises what the method does. It goes on when who asked is gone: what is recorded is then stored, too.
    """
    loop = asyncio.get_running_loop()

    def write(records: Sequence[Record]) -> None:
        async def store() -> None:
            for record in records:
                await parts.log.store(record)

        asyncio.run_coroutine_threadsafe(store(), loop).result()

    decisions = Decisions(parts.approvals, write)
    return await asyncio.shield(asyncio.create_task(asyncio.to_thread(step, decisions, *args, **kwargs)))
