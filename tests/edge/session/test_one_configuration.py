"""An exchange has one configuration from its first message to its last."""

import asyncio
from dataclasses import replace
from typing import Any

from extproc.core.snapshot import Connection
from extproc.edge.session import Session
from tests.edge.session.played import Context, FakeAuthenticator, in_force, services, whole_exchange


async def test_an_exchange_takes_its_snapshot_and_its_authenticator_once_and_together() -> None:
    """Before the loop turns, so that no other configuration comes in between."""
    taken: list[str] = []

    def snapshot() -> Any:
        taken.append("snapshot")
        asyncio.get_running_loop().call_soon(taken.append, "the loop turns")
        return in_force(Connection("model"))

    def authenticator() -> Any:
        taken.append("authenticator")
        return FakeAuthenticator()

    await Session(replace(services(), snapshot=snapshot, authenticator=authenticator), Context(whole_exchange())).run()
    assert taken == ["snapshot", "authenticator", "the loop turns"]
