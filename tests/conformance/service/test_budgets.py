"""Budgets through the real Envoy and two workers, which share them in the approval store."""

import json
import time
from typing import Any

from tests.conformance.service.test_holds import cli

POLICY = """
apiVersion: extproc/v1
kind: Policy
name: budgets
rules:
  - {name: analysts, effect: allow, match: {groups: [analysts]}}
budgets:
  - name: calls
    match: {models: ["few-*"]}
    count: exchanges
    per: person
    window: 24h
    steps: [{at: 4, do: deny, text: Three calls a day.}]
  - name: cards
    match: {models: ["cards-*"]}
    count: distinct_cards
    per: person
    window: 24h
    steps:
      - {at: 2, do: log}
      - {at: 3, do: hold, text: Ask first., hold: {approvers: [approvers], wait: 1s, expire: 1h}}
      - {at: 5, do: deny, text: Too many cards.}
"""
PANS = ("5105105105105100", "4012888888881881", "378282246310005", "6011111111111117", "4222222222222")


def listed(world: Any, *arguments: str) -> list[dict[str, Any]]:
    return json.loads(cli(world, "budgets", "list", "--json", *arguments))


def await_used(world: Any, budget: str, count: int) -> None:
    """What an answer costs is charged while its last bytes are already read."""
    deadline = time.monotonic() + 20
    while [one["count"] for one in listed(world) if one["budget"] == budget] != [count]:
        assert time.monotonic() < deadline, listed(world)
        time.sleep(0.1)


def error_of(answer: Any) -> tuple[int, str, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["rule"], error["message"]


def test_budgets_through_envoy(own_world) -> None:
    """The fourth call is refused, the third card held, and without the store only those that have no budget go on."""
    world = own_world(policy_text=POLICY, workers=2)
    answers = [world.chat(f"call-{number}", model="few-1") for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert error_of(answers[3]) == (429, "budget_spent", "budget:calls", "Three calls a day.")
    assert 82_000 < int(answers[3].headers["retry-after"]) <= 90_000
    assert not world.upstream.requests("call-3")
    other = {"authorization": f"Bearer {world.token('berta', ('analysts',))}"}
    assert world.chat("call-other", model="few-1", headers=other).status_code == 200
    assert {(one["series"], one["count"]) for one in listed(world)} == {
        ("exchanges per person in 86400 s", n) for n in (1, 3)
    }

    assert world.chat(f"one {PANS[0]} two {PANS[1]}", model="cards-1").status_code == 200
    await_used(world, "cards", 2)
    assert world.chat(f"again {PANS[1]}", model="cards-1").status_code == 200
    held = world.chat(f"third {PANS[2]}", model="cards-1")
    assert error_of(held)[:3] == (202, "approval_pending", "budget:cards")
    denied = world.chat(f"bulk {PANS[2]}, {PANS[3]}, {PANS[4]}", model="cards-1")
    assert error_of(denied) == (403, "budget_of_cards_spent", "budget:cards", "Too many cards.")
    record = world.await_record(lambda r: r.get("exchange_id") == denied.headers["x-extproc-exchange"])
    assert (record["event_code"], record["status_detail"]) == ("policy.deny", "budget_of_cards_spent")
    assert record["decision"]["budgets"] == {"cards": 5}
    assert tuple(record["decision"]["logging"]) == ("budget:cards",)

    files = list(world.directory.rglob("approvals.db*"))
    assert files
    written = b"".join(path.read_bytes() for path in files)
    for pan in PANS:
        assert pan.encode() not in written

    for path in files:
        path.rename(path.with_name("away-" + path.name))
    assert error_of(world.chat("call-away", model="few-1", headers=other))[:2] == (503, "budgets_unavailable")
    assert world.chat("call-free", model="free-1").status_code == 200
    assert not world.upstream.requests("call-away")
