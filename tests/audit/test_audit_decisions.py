"""What `extproc audit` shows of a decision: rules in shadow, and people told apart from service accounts."""

import json
from typing import Any

import pytest
from msgspec import structs

from extproc.core.decision_record import DecisionRef, RequestFacts, ResponseRef, ShadowRef
from extproc.core.record import Actor, EventCode

DECISION = DecisionRef(time_ms=1, facts=RequestFacts(choices=1), determining=("analysts", "staff"))
SHADOWS = {
    "s-changes": structs.replace(DECISION, shadow=(ShadowRef(rule="dry", effect="deny", would_change=True),)),
    "s-agrees": structs.replace(DECISION, shadow=(ShadowRef(rule="dry", effect="allow"),)),
    "s-cuts": structs.replace(DECISION, response=ResponseRef(shadow=("wet",))),
    "s-none": DECISION,
}


@pytest.fixture
def shadows(log: Any, record: Any) -> Any:
    journal = log.open()
    for exchange_id, decision in SHADOWS.items():
        kind = "service" if exchange_id == "s-none" else "person"
        for code in (EventCode.INFERENCE_REQUEST, EventCode.INFERENCE_END):
            actor = Actor(uid=f"https://idp|{kind}", name=f"the {kind}", kind=kind)
            journal.append_record(structs.replace(record(code, exchange_id), decision=decision, actor=actor))
    journal.close()
    log.ship()
    return log


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--shadow", "dry"], ["s-changes"]),
        (["--shadow", "wet"], ["s-cuts"]),
        (["--shadow", "other"], []),
        (["--kind", "service"], ["s-none"]),
        (["--kind", "person"], ["s-changes", "s-agrees", "s-cuts"]),
    ],
    ids=["a rule that would change", "a response rule that would cut", "no such rule", "services", "people"],
)
def test_exchanges_are_found_by_what_a_rule_in_shadow_would_change_and_by_who_asks(
    run: Any, shadows: Any, arguments: list[str], found: list[str]
) -> None:
    result = run("list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["exchange_id"] for line in result.stdout.splitlines()] == found


def test_a_service_account_is_told_from_a_person(run: Any, shadows: Any) -> None:
    rows = run("list").stdout.splitlines()
    assert [row for row in rows if "(service)" in row] == [row for row in rows if "s-none" in row]
    kinds = {json.loads(line)["kind"] for line in run("list", "--json").stdout.splitlines()}
    assert kinds == {"person", "service"}


def test_every_record_of_an_exchange_shows_its_decision(run: Any, shadows: Any) -> None:
    lines = [json.loads(line) for line in run("show", "--json", "s-changes").stdout.splitlines()]
    assert [line["unmapped"]["decision"]["shadow"][0]["rule"] for line in lines] == ["dry", "dry"]
    assert {line["actor"]["user"]["type_id"] for line in lines} == {1}
    assert {tuple(line["unmapped"]["decision"]["determining"]) for line in lines} == {("analysts", "staff")}
