"""Holds through the real Envoy: wait, ticket, grant from the command line, and what ends a hold."""

import contextlib
import json
import re
import threading
import time
from typing import Any

import httpx
import yaml
from click.testing import CliRunner

from extproc.cli.main import main
from tests.envoy_in_one import in_one


def cli(world: Any, *arguments: str, token: str = "", expect: int = 0) -> str:
    """In this process: one of its own would import everything for each command."""
    environment = {"EXTPROC_CONFIG": str(world.guard.config), "EXTPROC_TOKEN": token}
    result = CliRunner().invoke(main, arguments, env=environment)
    assert result.exit_code == expect, result.output
    return result.stdout


def pending(world: Any, exchange: str = "") -> list[dict[str, Any]]:
    return json.loads(cli(world, "approvals", "list", "--state", "pending", "--json"))


def held_in_background(world: Any, content: str, **more: Any) -> tuple[threading.Thread, list[httpx.Response], str]:
    """A held chat in a thread of its own, and its approval's id."""
    known = {item["approval_id"] for item in pending(world)}
    got: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: got.append(world.chat(content, **{"model": "held-1", **more})))
    thread.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        fresh = [item["approval_id"] for item in pending(world) if item["approval_id"] not in known]
        if fresh:
            return thread, got, fresh[0]
        time.sleep(0.1)
    raise AssertionError("no approval appeared")


def approver(world: Any) -> str:
    return world.token("approver", ("approvers",))


def test_a_held_request_goes_on_when_it_is_granted(world) -> None:
    thread, got, approval_id = held_in_background(world, "marker-granted 4111 1111 1111 1111")
    assert not world.upstream.requests("marker-granted")
    shown = cli(world, "approvals", "show", approval_id)
    assert "[PAN]" in shown
    assert re.search(r"4111\D?1111", shown) is None
    cli(world, "approvals", "grant", approval_id, "--reason", "quarterly report", token=approver(world))
    thread.join(30)
    assert got[0].status_code == 200
    assert len(world.upstream.requests("marker-granted")) == 1
    codes = [
        r["event_code"]
        for r in world.records_of(got[0].headers["x-extproc-exchange"])
        if r["event_code"] not in {"approval.decide", "audit.read"}
    ]
    assert codes[:3] == ["approval.open", "approval.use", "inference.request"]
    world.await_record(
        lambda r: r["event_code"] == "approval.decide" and (r.get("approval") or {}).get("id") == approval_id
    )


def test_a_refused_request_gets_403(world) -> None:
    thread, got, approval_id = held_in_background(world, "marker-refused")
    cli(world, "approvals", "refuse", approval_id, "--reason", "not needed", token=approver(world))
    thread.join(30)
    assert (got[0].status_code, got[0].json()["error"]["code"]) == (403, "approval_refused")
    assert not world.upstream.requests("marker-refused")


def test_the_requester_cannot_decide(world) -> None:
    thread, got, approval_id = held_in_background(world, "marker-own")
    cli(
        world,
        "approvals",
        "grant",
        approval_id,
        "--reason",
        "mine",
        token=world.token("analyst", ("analysts", "approvers")),
        expect=1,
    )
    cli(world, "approvals", "grant", approval_id, "--reason", "x", token=world.token("other", ("analysts",)), expect=1)
    cli(world, "approvals", "grant", approval_id, "--reason", "", token=approver(world), expect=2)
    cli(world, "approvals", "refuse", approval_id, "--reason", "end", token=approver(world))
    thread.join(30)
    assert got[0].status_code == 403


def test_the_wait_ends_with_202_and_the_retry_goes_on_once(world) -> None:
    first = world.chat("marker-ticket", max_tokens=4000)
    assert first.status_code == 202
    ticket = first.headers["x-extproc-approval"]
    assert first.json()["error"]["approval_id"] == ticket
    assert int(first.headers["retry-after"]) > 0
    cli(world, "approvals", "grant", ticket, "--reason", "fine", token=approver(world))
    with_ticket = {"x-extproc-approval": ticket}
    other = world.chat("marker-something-else", max_tokens=4000, headers=with_ticket)
    assert (other.status_code, other.json()["error"]["code"]) == (403, "approval_mismatch")
    again = world.chat("marker-ticket", max_tokens=4000, headers=with_ticket)
    assert again.status_code == 200
    used = world.chat("marker-ticket", max_tokens=4000, headers=with_ticket)
    assert (used.status_code, used.json()["error"]["code"]) == (403, "approval_used")
    assert len(world.upstream.requests("marker-ticket")) == 1


def test_an_approval_expires_while_the_client_waits(world) -> None:
    """`wait` as long as `expire`: decided in time or not at all, and no ticket."""
    answer = world.chat("marker-fleeting", model="fleeting-1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "approval_expired")
    assert not world.upstream.requests("marker-fleeting")
    (shown,) = [
        item
        for item in json.loads(cli(world, "approvals", "list", "--state", "expired", "--json"))
        if item["exchange_id"] == answer.headers["x-extproc-exchange"]
    ]
    assert shown["state"] == "expired"


def test_a_grant_is_bound_to_its_requester_and_to_the_policy(own_world) -> None:
    """Another person with the same request and the ticket gets 403; so does the requester under a changed policy."""
    world = own_world(workers=1)
    held = {"model": "brief-1"}
    ticket = world.chat("marker-bound", **held).headers["x-extproc-approval"]
    cli(world, "approvals", "grant", ticket, "--reason", "fine", token=approver(world))
    stranger = {"authorization": f"Bearer {world.token('somebody-else')}", "x-extproc-approval": ticket}
    other = world.chat("marker-bound", headers=stranger, **held)
    assert (other.status_code, other.json()["error"]["code"]) == (403, "approval_mismatch")
    policy = world.guard.settings.policy_file
    policy.write_text(policy.read_text("utf-8") + "# a remark\n", "utf-8")
    world.await_record(lambda record: record["event_code"] == "admin.policy_change")
    time.sleep(1.0)
    late = world.chat("marker-bound", headers={"x-extproc-approval": ticket}, **held)
    assert (late.status_code, late.json()["error"]["code"]) == (403, "approval_mismatch")
    assert not world.upstream.requests("marker-bound")


def test_a_bad_ticket_is_refused(world) -> None:
    for ticket in ("nope", "apr-" + "0" * 200, "' OR 1=1 --"):
        answer = world.chat("x", max_tokens=4000, headers={"x-extproc-approval": ticket})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "approval_unknown")


def test_a_client_that_leaves_withdraws_its_hold(world) -> None:
    known = {item["approval_id"] for item in pending(world)}
    with contextlib.suppress(httpx.TimeoutException):
        httpx.post(
            world.guard.url + "/v1/chat/completions",
            json={"model": "held-1", "messages": [{"role": "user", "content": "marker-left"}]},
            headers=world.headers(),
            timeout=1.0,
        )
    deadline = time.monotonic() + 10
    while [i for i in pending(world) if i["approval_id"] not in known]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not world.upstream.requests("marker-left")


def test_a_hold_survives_a_restart_of_the_service(own_world) -> None:
    from extproc.local.service_process import start_service

    world = own_world(workers=1)
    ticket = world.chat("marker-restart", max_tokens=4000).headers["x-extproc-approval"]
    world.guard.service.stop()
    world.guard.service = start_service(world.guard.config, world.guard.settings, world.directory / "service2.log")
    cli(world, "approvals", "grant", ticket, "--reason", "fine", token=approver(world))
    again = world.chat("marker-restart", max_tokens=4000, headers={"x-extproc-approval": ticket})
    assert again.status_code == 200


def test_a_local_reply_during_a_hold_is_recorded(own_world) -> None:
    """Envoy's own timeout fires while we hold: the client gets it, the approval is withdrawn, a later grant is harmless."""
    from extproc.local.envoy_process import start_envoy

    world = own_world(workers=1)
    world.guard.envoy.stop()
    bootstrap = in_one((world.directory / "envoy" / "envoy.yaml").read_text())
    shorten_idle_timeouts(bootstrap, "2s")
    world.guard.envoy = start_envoy(yaml.safe_dump(bootstrap), world.directory / "envoy2", ready_timeout_seconds=30)
    answer = world.chat("marker-idle", model="held-1")
    assert answer.status_code == 504
    record = world.await_record(lambda r: r["event_code"] == "proxy.reply")
    assert record["http_status"] == 504
    deadline = time.monotonic() + 10
    while pending(world):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not world.upstream.requests("marker-idle")


def shorten_idle_timeouts(node: Any, value: str) -> None:
    """Every `idle_timeout` of a route and `stream_idle_timeout` of the connection manager."""
    if isinstance(node, dict):
        for key, child in node.items():
            if key in ("stream_idle_timeout", "streamIdleTimeout") or (
                key in ("idle_timeout", "idleTimeout") and "cluster" in node
            ):
                node[key] = value
            shorten_idle_timeouts(child, value)
    elif isinstance(node, list):
        for child in node:
            shorten_idle_timeouts(child, value)
