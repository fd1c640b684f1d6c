"""What a rule says of its holds, through the real Envoy: keys, windows, quorum, reasons and emergencies."""

from typing import Any

import httpx

from tests.conformance.service.test_holds import approver, cli


def ask(world: Any, content: str, model: str, person: str = "analyst", *groups: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    token = world.token(person, ("analysts", *groups))
    return world.chat(content, model=model, headers={"authorization": f"Bearer {token}", **named})


def ticket_of(answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    return answer.headers["x-extproc-approval"]


def codes_of(world: Any, answer: httpx.Response) -> list[str]:
    return [record["event_code"] for record in world.records_of(answer.headers["x-extproc-exchange"])]


def grant(world: Any, ticket: str, token: str = "", expect: int = 0) -> None:
    cli(world, "approvals", "grant", ticket, "--reason", "fine", token=token or approver(world), expect=expect)


def test_the_same_key_and_body_come_back_to_one_approval(world) -> None:
    def again(content: str) -> httpx.Response:
        return ask(world, content, "brief-1", idempotency_key="key-1")

    first, second, other = again("marker-key"), again("marker-key"), again("marker-key, another")
    ticket = ticket_of(first)
    assert ticket_of(second) == ticket
    assert ticket_of(other) != ticket
    attached = world.await_record(
        lambda r: r["event_code"] == "approval.attach" and (r.get("approval") or {}).get("id") == ticket
    )
    assert attached["detail"] == {"instead_of": f"apr-{second.headers['x-extproc-exchange']}"}
    grant(world, ticket)
    assert again("marker-key").status_code == 200
    assert ticket_of(again("marker-key")) != ticket
    assert len(world.upstream.requests("marker-key")) == 1


def test_a_window_serves_its_person_and_ends_with_its_uses(world) -> None:
    ticket = ticket_of(ask(world, "marker-window 1", "window-1"))
    assert ticket_of(ask(world, "marker-window 2", "window-1")) != ticket
    grant(world, ticket)
    ticket_of(ask(world, "marker-window 3", "window-1", "somebody-else"))
    served = [ask(world, f"marker-window {n}", "window-1") for n in (4, 5)]
    assert [answer.status_code for answer in served] == [200, 200]
    assert codes_of(world, served[0])[:4] == [
        "approval.open", "approval.attach", "approval.use", "inference.request"
    ]  # fmt: skip
    ticket_of(ask(world, "marker-window 6", "window-1"))
    assert len(world.upstream.requests("marker-window")) == 2


def test_two_people_grant_what_was_asked_for_with_a_reason(world) -> None:
    bare = ask(world, "marker-two", "twofold-1")
    assert (bare.status_code, bare.json()["error"]["code"]) == (400, "approval_reason_missing")
    ticket = ticket_of(ask(world, "marker-two", "twofold-1", x_extproc_reason="report for 4111 1111 1111 1111"))
    shown = cli(world, "approvals", "show", ticket)
    assert "report for" in shown
    assert "4111 1111" not in shown
    grant(world, ticket)
    grant(world, ticket, expect=1)
    ticket_of(ask(world, "marker-two", "twofold-1", x_extproc_approval=ticket))
    assert not world.upstream.requests("marker-two")
    grant(world, ticket, token=world.token("second-approver", ("approvers",)))
    assert ask(world, "marker-two", "twofold-1", x_extproc_approval=ticket).status_code == 200
    assert len(world.upstream.requests("marker-two")) == 1


def test_an_emergency_goes_on_at_once_for_who_is_on_call(world) -> None:
    held = ask(world, "marker-urgent, held", "urgent-1", x_extproc_emergency="the plant is down")
    ticket_of(held)
    gone = ask(world, "marker-urgent, gone", "urgent-1", "anna", "on-call", x_extproc_emergency="the plant is down")
    assert gone.status_code == 200
    assert codes_of(world, gone)[:3] == ["approval.emergency", "approval.use", "inference.request"]
    assert "approval.emergency" not in codes_of(world, held)
    assert len(world.upstream.requests("marker-urgent")) == 1
    cli(
        world,
        "approvals",
        "review",
        f"apr-{gone.headers['x-extproc-exchange']}",
        "--reason",
        "it was",
        token=approver(world),
    )
