"""Those who call the API or the gRPC service: with tokens of a development issuer, over a console in this process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from extproc.approvals.index.search import SessionIndex
from extproc.approvals.store import ApprovalStore
from extproc.console.app import build_app
from extproc.console.parts import Parts
from extproc.core.approval import Approval, ApprovalRequest
from extproc.core.issuer import Issuer
from extproc.core.trust import Masked
from extproc.edge.authenticator import Authenticator
from extproc.edge.settings_console import RoleSettings
from extproc.local.issuer import AUDIENCE, RunningIssuer, mint_token
from tests.console.conftest import World
from tests.console.idp import CONSOLE

ROLES = RoleSettings(reader=("readers",), approver=("approvers", "risk"), auditor=("auditors",), admin=("admins",))
PAN = "4111 1111 1111 1111"
CHAT = json.dumps({"messages": [{"role": "user", "content": "Pay with [PAN], please."}]}).encode()


@dataclass
class Calls:
    """A console with roles and an authenticator, and who calls it."""

    world: World
    parts: Parts
    folder: Path
    issuer: str
    client: httpx.AsyncClient

    @property
    def store(self) -> ApprovalStore:
        return self.parts.approvals

    @property
    def now(self) -> float:
        return self.world.now[0]

    @property
    def recorded(self) -> list[tuple[str, str, object]]:
        log = self.world.log.records
        return [(each.event_code.value, each.status.value, each.detail.get("refused")) for each in log]

    def token(self, subject: str, *groups: str, **extra: Any) -> str:
        return mint_token(
            self.folder,
            subject=subject,
            groups=groups,
            name=subject.title(),
            audience=AUDIENCE,
            issuer=self.issuer,
            extra=extra,
        )

    def headers(self, subject: str, *groups: str, **extra: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(subject, *groups, **extra)}"}

    def open(self, approval_id: str = "apr-1", **changes: Any) -> Approval:
        """A pending approval of `analyst`, for ten minutes."""
        request = ApprovalRequest(
            approval_id=approval_id,
            exchange_id=f"exchange-{approval_id}",
            requester_uid=f"{self.issuer}|analyst",
            requester_name="Analyst",
            rule="bulk",
            rule_text="Large requests are approved.",
            policy_digest="sha256:00",
            request_digest=f"digest-{approval_id}",
            connection="main",
            operation="chat",
            model="small",
            findings=(("pan", 2),),
            approver_groups=("approvers", "risk"),
            created_at=self.now,
            expires_at=self.now + 600,
            preview=Masked(CHAT),
        )
        return self.store.open(replace(request, **changes))


@asynccontextmanager
async def calling(
    world: World, folder: Path, issuer: RunningIssuer, address: str = "192.0.2.7"
) -> AsyncIterator[Calls]:
    """The authenticator fetches the keys as it does in a console."""
    async with httpx.AsyncClient(trust_env=False) as fetching:
        trusted = Issuer(issuer.url, (AUDIENCE,), ("ES256",), discovery=True)
        authenticator = Authenticator((trusted,), fetching)
        running = asyncio.create_task(authenticator.run())
        parts = replace(
            world.parts,
            settings=replace(world.parts.settings, roles=ROLES),
            authenticator=authenticator,
            deployment=SimpleNamespace(index=SessionIndex(world.parts.approvals._database)),  # type: ignore[arg-type]
        )
        transport = httpx.ASGITransport(build_app(parts), raise_app_exceptions=False, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=f"{CONSOLE}/api/v1") as client:
            yield Calls(world, parts, folder, issuer.url, client)
        running.cancel()
        await asyncio.wait([running])
