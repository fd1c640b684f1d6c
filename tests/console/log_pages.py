"""A console over a real audit log on disk: what the tests of the pages about it share."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from extproc.approvals.database import Database, open_database
from extproc.audit.keys.keys import open_keys
from extproc.console.deployment import Deployment
from extproc.console.session import SESSION_COOKIE, begin_session
from extproc.core.principal import Principal
from extproc.edge.settings_console import RoleSettings
from extproc.edge.settings_file import load_settings
from tests.audit.configured import write_config
from tests.audit.conftest import Log, make_log
from tests.console.conftest import World

ROLES = RoleSettings(reader=("readers",), approver=("approvers",), auditor=("auditors",), admin=("admins",))
GROUP_OF = {"reader": "readers", "approver": "approvers", "auditor": "auditors", "admin": "admins", "nobody": "staff"}
POLICY: dict[str, Any] = {
    "apiVersion": "extproc/v1",
    "kind": "Policy",
    "name": "test",
    "rules": [
        {"name": "analysts", "effect": "allow", "match": {"groups": ["analysts"], "operations": ["chat"]}},
        {
            "name": "large",
            "effect": "hold",
            "match": {"at_least": {"max_tokens": 2000}},
            "when": "request.model.startsWith('big')",
            "text": "Large requests <b>need</b> an approval.",
            "hold": {"approvers": ["approvers"], "wait": "45s", "expire": "1h"},
        },
        {
            "name": "no-fraud",
            "effect": "deny",
            "mode": "shadow",
            "shadow_until": "2027-03-01",
            "match": {"models": ["fraud-*"]},
            "text": "The fraud model is reserved.",
        },
    ],
}


@dataclass
class LogWorld:
    """A console, and the log that it reads. Its clock is the machine's: records have the times of now."""

    world: World
    log: Log
    deployment: Deployment
    database: Database

    async def browser(self, role: str = "auditor", name: str = "Ada") -> httpx.AsyncClient:
        """Logged in as somebody of the group that has the role; `nobody` has none."""
        person = Principal("https://idp.test", name.lower(), name, (GROUP_OF[role],))
        client = self.world.browser()
        secret = await begin_session(self.world.parts, person, time.time() + 3600, time.time())
        client.cookies.set(SESSION_COOKIE, secret, domain="console.example.org")
        return client

    @property
    def reads(self) -> list[tuple[str, dict[str, Any]]]:
        """The readings that were recorded, in order."""
        records = [each for each in self.world.log.records if each.event_code == "audit.read"]
        return [(each.resource.operation, dict(each.detail)) for each in records]


def make_log_world(folder: Path, world: World, policy: dict[str, Any] = POLICY) -> LogWorld:
    """`world` with a deployment in `folder`, which has a log, keys and a policy."""
    log = make_log(folder)
    settings = load_settings(write_config(folder, policy=json.dumps(policy)))
    database = open_database(settings.approvals.database)
    deployment = Deployment.of(settings, open_keys(settings.audit), database)
    world.now[0] = time.time()
    parts = replace(
        world.parts, settings=replace(world.parts.settings, roles=ROLES), deployment=deployment, clock=time.time
    )
    world.parts = parts
    return LogWorld(world, log, deployment, database)


def headings(page: str) -> Sequence[int]:
    """The levels of a page's headings, in order."""

    return [int(level) for level in re.findall(r"<h([1-6])[ >]", page)]
