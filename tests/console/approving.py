"""Approvals in a console's store, and people with sessions who look at them."""

import json
from dataclasses import replace
from typing import Any

import httpx

from extproc.console.session import SESSION_COOKIE, begin_session
from extproc.core.approval import Approval, ApprovalRequest
from extproc.core.principal import Principal
from extproc.core.trust import Masked
from extproc.edge.settings_console import RoleSettings
from tests.console.conftest import World
from tests.console.idp import CONSOLE

ROLES = RoleSettings(("staff",), ("approvers",), ("audit",), ("platform",))
CHAT: dict[str, Any] = {
    "model": "llama",
    "max_tokens": 512,
    "messages": [
        {"role": "system", "content": "You help the payments team."},
        {"role": "user", "content": "Why was [PAN] declined twice, and 411111******1111 once?"},
    ],
}


def with_roles(world: World) -> World:
    world.parts = replace(world.parts, settings=replace(world.parts.settings, roles=ROLES))
    return world


def person(name: str, *groups: str, **more: Any) -> Principal:
    return Principal(issuer="https://login.example.org", subject=name, name=name.title(), groups=groups, **more)


def asked(world: World, **changes: Any) -> Approval:
    """A request that waits, with `changes`; `chat` is what was masked."""
    chat = changes.pop("chat", CHAT)
    preview = chat if isinstance(chat, bytes) else json.dumps(chat).encode()
    number = changes.pop("number", 1)
    request = ApprovalRequest(
        approval_id=f"{number:012x}-{number:016x}",
        exchange_id=f"{number:012x}-{number + 1:016x}",
        requester_uid="https://login.example.org|rita",
        requester_name="Rita",
        rule="cards-need-a-person",
        rule_text="name: cards-need-a-person\nhold: {approvers: [approvers]}",
        policy_digest="p" * 64,
        request_digest=f"{number:064x}",
        connection="payments",
        operation="chat",
        model="llama",
        findings=(("PAN", 2),),
        approver_groups=("approvers",),
        created_at=world.now[0] - 30,
        expires_at=world.now[0] + 600,
        preview=Masked(preview),
        requester_aliases=("rita@example.org",),
        requester_groups=("analysts",),
        request_reason="A customer waits on the phone.",
        limits=(("max_tokens", 512), ("messages", 2)),
    )
    return world.parts.approvals.open(replace(request, **changes))


async def session_of(world: World, who: Principal, address: str = "192.0.2.7") -> httpx.AsyncClient:
    """A browser in which this person is logged in."""
    secret = await begin_session(world.parts, who, world.now[0] + 8 * 3600, world.now[0])
    browser = world.browser(address)
    browser.cookies.set(SESSION_COOKIE, secret, domain=CONSOLE.removeprefix("https://"))
    return browser
