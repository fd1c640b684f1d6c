"""A console over a real approval store, with a provider that signs whatever a test wants."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.approvals.database import open_database
from extproc.approvals.sessions import Sessions
from extproc.approvals.single_use import SingleUse
from extproc.approvals.store import ApprovalStore
from extproc.console.app import build_app
from extproc.console.parts import Parts
from extproc.console.provider_file import ProviderFile
from extproc.console.records import ConsoleLog
from extproc.console.sealing import open_sealing
from extproc.console.token_keys import TokenKeys
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import Record
from extproc.edge.settings_console import ConsoleSettings, SamlAttributes, SamlSettings, TokenSettings
from extproc.local.issuer import RunningIssuer, start_issuer
from tests.approvals.prepared import sqlite_at_newest
from tests.console.idp import CONSOLE, NOW, SP, Keys, Spec, assertion, ec_keys, posted, response, sign, write_metadata


class MemoryLog(ConsoleLog):
    """What was recorded, in order; `broken` takes nothing."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.broken = False

    async def store(self, record: Record) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        self.records.append(record)

    def accepting(self) -> bool:
        return not self.broken


@dataclass
class World:
    """One console process: its parts, a browser, a clock that a test moves."""

    parts: Parts
    log: MemoryLog
    keys: Keys
    now: list[float] = field(default_factory=lambda: [NOW])

    def browser(self, address: str = "192.0.2.7") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(build_app(self.parts), raise_app_exceptions=False, client=(address, 4711))
        return httpx.AsyncClient(transport=transport, base_url=CONSOLE)

    def signed(self, spec: Spec = Spec()) -> Any:  # noqa: B008 - frozen
        return sign(assertion(spec), self.keys)

    def answer(self, spec: Spec = Spec()) -> str:  # noqa: B008 - frozen
        """A good response, as it is posted."""
        return posted(response(self.signed(spec)))

    @property
    def refusals(self) -> list[str]:
        return [str(each.detail["refused"]) for each in self.log.records if each.event_code == "auth.fail"]


def token_of(page: str) -> str:
    """What the forms of a page carry."""
    found = set(re.findall(r'name="csrf" value="([0-9a-f]{64})"', page))
    assert len(found) == 1
    return str(found.pop())


@pytest.fixture(scope="session")
def idp_keys() -> Keys:
    return ec_keys()


@pytest.fixture(scope="session")
def stranger() -> Keys:
    """Keys that no configuration knows."""
    return ec_keys()


@pytest.fixture
def console_settings(tmp_path: Path, idp_keys: Keys) -> ConsoleSettings:
    return ConsoleSettings(
        url=CONSOLE,
        keys=tmp_path / "console-keys",
        saml=SamlSettings(
            write_metadata(tmp_path / "idp.xml", idp_keys),
            SP,
            attributes=SamlAttributes(name="displayName", groups="groups", tenant="tenant", methods="amr"),
        ),
        token=TokenSettings(issuer=CONSOLE, audience="extproc"),
    )


@pytest.fixture
def world(tmp_path: Path, console_settings: ConsoleSettings, idp_keys: Keys) -> Iterator[World]:
    yield from make_world(tmp_path, console_settings, idp_keys)


def make_world(folder: Path, settings: ConsoleSettings, idp_keys: Keys) -> Iterator[World]:
    database, log, now = open_database(sqlite_at_newest(folder / "approvals.db")), MemoryLog(), [NOW]
    assert settings.token is not None
    keys = TokenKeys(settings.keys, settings.token)
    keys.tend(NOW)
    parts = Parts(
        settings,
        ProviderFile(settings.saml, NOW),
        open_sealing(settings.keys),
        SingleUse(database),
        Sessions(database, settings.idle_seconds),
        keys,
        log,
        ApprovalStore(database, lambda context, data: context + data, lambda context, sealed: sealed[len(context) :]),
        clock=lambda: now[0],
    )
    yield World(parts, log, idp_keys, now)
    database.close()


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with world.browser() as client:
        yield client


@pytest.fixture(scope="session")
def dev_issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunningIssuer]]:
    """Issues tokens for those who call the API."""
    folder = tmp_path_factory.mktemp("dev-issuer")
    with start_issuer(folder) as running:
        yield folder, running
