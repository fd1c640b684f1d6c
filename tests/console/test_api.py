"""The JSON API: who sees and decides what, what is refused and how, and that its document tells no lies."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import extproc.approvals
from extproc.console.api import OPERATIONS
from extproc.console.api_problem import ProblemCode, status_of
from extproc.core.approval import ApprovalState, shown_digest
from extproc.local.issuer import RunningIssuer
from tests.console.callers import PAN, Calls, calling
from tests.console.conftest import World

STEPS = ("decide", "revoke", "review", "withdraw")


@pytest.fixture
async def api(world: World, dev_issuer: tuple[Path, RunningIssuer]) -> AsyncIterator[Calls]:
    async with calling(world, *dev_issuer) as calls:
        yield calls


def verdict(seen: str, word: str = "grant", reason: str = "quarterly report") -> dict[str, str]:
    return {"verdict": word, "reason": reason, "seen": seen}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:extproc:problem:{body['code']}"
    return answer.status_code, body["code"]


async def test_two_approvers_grant_what_needs_two(api: Calls) -> None:
    api.open(quorum=2)
    shown = (await api.client.get("/approvals/apr-1", headers=api.headers("bob", "approvers"))).json()
    first = await api.client.post(
        "/approvals/apr-1/decide", json=verdict(shown["seen"]), headers=api.headers("bob", "approvers")
    )
    assert (first.status_code, first.json()["state"], first.json()["grants"]) == (200, "pending", 1)
    again = await api.client.post(
        "/approvals/apr-1/decide", json=verdict(shown["seen"]), headers=api.headers("bob", "approvers")
    )
    assert code_of(again) == (409, "already_voted")
    last = await api.client.post(
        "/approvals/apr-1/decide", json=verdict(shown["seen"]), headers=api.headers("carol", "risk")
    )
    assert (last.status_code, last.json()["state"]) == (200, "granted")
    assert [(vote["name"], vote["channel"]) for vote in last.json()["votes"]] == [("Bob", "api"), ("Carol", "api")]
    repeated = await api.client.post(
        "/approvals/apr-1/decide", json=verdict(shown["seen"]), headers=api.headers("carol", "risk")
    )
    assert code_of(repeated) == (409, "already_voted"), "sent twice is told from too late"
    assert [said for said in api.recorded if said[1] == "succeeded"] == [("approval.decide", "succeeded", None)] * 2
    assert api.world.log.records[0].src_address == "192.0.2.7:4711"


async def test_revoked_reviewed_withdrawn(api: Calls) -> None:
    approver = api.headers("bob", "approvers")
    seen = shown_digest(api.open())
    await api.client.post("/approvals/apr-1/decide", json=verdict(seen), headers=approver)
    revoked = await api.client.post("/approvals/apr-1/revoke", json={"reason": "wrong"}, headers=approver)
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    api.open("apr-2", emergency=True)
    reviewed = await api.client.post("/approvals/apr-2/review", json={"reason": "an outage"}, headers=approver)
    assert reviewed.json()["reviewed_by_uid"] == f"{api.issuer}|bob"
    api.open("apr-3")
    withdrawn = await api.client.post("/approvals/apr-3/withdraw", headers=api.headers("analyst"))
    assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "withdrawn")


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        (("analyst", "approvers"), 403, "own_request"),
        (("ANALYST", "approvers"), 403, "own_request"),
        (("bob", "readers"), 403, "role_missing"),
        (("bob", "auditors"), 403, "role_missing"),
        (("bob",), 403, "role_missing"),
    ],
)
async def test_who_does_not_decide(api: Calls, who: tuple[str, ...], status: int, code: str) -> None:
    seen = shown_digest(api.open())
    refused = await api.client.post("/approvals/apr-1/decide", json=verdict(seen), headers=api.headers(*who))
    assert code_of(refused) == (status, code)
    assert api.recorded[-1][1:] == ("refused", code), "the attempt is recorded"
    assert api.store.find("apr-1", api.now).state is ApprovalState.PENDING  # type: ignore[union-attr]


async def test_an_approver_of_another_rule_does_not_decide(api: Calls) -> None:
    seen = shown_digest(api.open(approver_groups=("risk",)))
    for step, body in (("decide", verdict(seen)), ("revoke", {"reason": "x"})):
        refused = await api.client.post(f"/approvals/apr-1/{step}", json=body, headers=api.headers("bob", "approvers"))
        assert refused.status_code in {403, 409}
    assert api.store.find("apr-1", api.now).state is ApprovalState.PENDING  # type: ignore[union-attr]


async def test_a_program_reads_and_never_decides(api: Calls) -> None:
    robot = api.headers("robot", "approvers", "admins", gty="client-credentials")
    seen = shown_digest(api.open())
    assert (await api.client.get("/approvals", headers=robot)).json()["approvals"][0]["approval_id"] == "apr-1"
    refused = await api.client.post("/approvals/apr-1/decide", json=verdict(seen), headers=robot)
    assert code_of(refused) == (403, "role_missing")
    text = await api.client.get("/approvals/apr-1", params={"include": "request"}, headers=robot)
    assert code_of(text) == (403, "role_missing")


async def test_the_masked_request_is_for_approvers_and_recorded_first(api: Calls) -> None:
    api.open()
    wanted = {"include": "request"}
    shown = await api.client.get("/approvals/apr-1", params=wanted, headers=api.headers("bob", "approvers"))
    assert shown.json()["request"][0] == {"role": "user", "text": "Pay with [PAN], please."}
    assert api.recorded == [("audit.read", "succeeded", None)]
    assert api.world.log.records[0].approval.id == "apr-1"  # type: ignore[union-attr]
    for who in (("rita", "readers"), ("analyst",), ("ada", "auditors")):
        refused = await api.client.get("/approvals/apr-1", params=wanted, headers=api.headers(*who))
        assert code_of(refused) == (403, "role_missing")
    assert (await api.client.get("/approvals/apr-1", headers=api.headers("bob", "approvers"))).json()["request"] is None
    api.world.log.broken = True
    unrecorded = await api.client.get("/approvals/apr-1", params=wanted, headers=api.headers("bob", "approvers"))
    assert code_of(unrecorded) == (503, "unavailable")


async def test_a_requester_sees_their_own_and_nobody_elses(api: Calls) -> None:
    seen = shown_digest(api.open())
    api.open("apr-2", requester_uid=f"{api.issuer}|other")
    await api.client.post("/approvals/apr-1/decide", json=verdict(seen), headers=api.headers("bob", "approvers"))
    own = api.headers("analyst")
    listed = (await api.client.get("/approvals", headers=own)).json()["approvals"]
    assert [each["approval_id"] for each in listed] == ["apr-1"]
    shown = (await api.client.get("/approvals/apr-1", headers=own)).json()
    assert (shown["state"], shown["grants"], shown["decision_reason"]) == ("granted", 1, "quarterly report")
    assert (shown["votes"], shown["decided_by_uid"], shown["decided_by_name"]) == ([], "", "")
    for path, code in (("apr-2", "unknown"), ("apr-none", "unknown"), ("x%00y", "unknown")):
        assert code_of(await api.client.get(f"/approvals/{path}", headers=own)) == (404, code)
    other = await api.client.post("/approvals/apr-2/withdraw", headers=own)
    assert code_of(other) == (404, "unknown")
    approver = await api.client.post("/approvals/apr-2/withdraw", headers=api.headers("bob", "approvers"))
    assert code_of(approver) == (403, "other_requester")
    for query in ({"requester": f"{api.issuer}|other"}, {"mine": "true"}):
        assert code_of(await api.client.get("/approvals", params=query, headers=own)) == (403, "role_missing")


async def test_pages_and_filters(api: Calls) -> None:
    for number in range(5):
        api.open(f"apr-{number}", created_at=api.now + number // 2, rule="bulk" if number % 2 else "names")
    reader, found, cursor = api.headers("rita", "readers"), [], ""
    while True:
        page = (await api.client.get("/approvals", params={"limit": 2, "cursor": cursor}, headers=reader)).json()
        found += [each["approval_id"] for each in page["approvals"]]
        cursor = page["next"]
        if not cursor:
            break
    assert found == ["apr-4", "apr-3", "apr-2", "apr-1", "apr-0"]

    async def listed(headers: dict[str, str] = reader, **query: Any) -> list[str]:
        answer = await api.client.get("/approvals", params=query, headers=headers)
        return [each["approval_id"] for each in answer.json()["approvals"]]

    assert await listed(rule="bulk") == ["apr-3", "apr-1"]
    assert await listed(state=["granted", "refused"]) == []
    assert len(await listed(state=["granted", "pending"])) == 5
    assert await listed(api.headers("bob", "approvers"), mine="true", limit=1) == ["apr-4"]
    assert await listed(api.headers("rita", "readers"), mine="true") == []
    assert await listed(requester="nobody") == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=201", "limit=x", "limit=1&limit=2", "state=nodded", "colour=red", "cursor=%21",
        "cursor=W251bGwsMV0", "mine=yes", "rule=%00", "rule=" + "x" * 501, "state=pending&" * 33, "cursor=WzFlOTk5LCJ4Il0",
    ],
)  # fmt: skip
async def test_queries_that_are_not_understood(api: Calls, query: str) -> None:
    answer = await api.client.get(f"/approvals?{query}", headers=api.headers("rita", "readers"))
    assert code_of(answer) == (400, "parameter_invalid")


async def test_sessions_are_facts_of_the_index(api: Calls) -> None:
    reader = api.headers("rita", "readers")
    page = (await api.client.get("/sessions", headers=reader)).json()
    assert (page["sessions"], page["count"], page["counted_all"]) == ([], 0, True)
    assert code_of(await api.client.get("/sessions/none", headers=reader)) == (404, "not_found")
    assert code_of(await api.client.get("/sessions?x=1", headers=reader)) == (400, "parameter_invalid")
    for asked in ("verdict=nonsense", "effect=nonsense", "effect=ALLOW"):
        assert code_of(await api.client.get(f"/sessions?{asked}", headers=reader)) == (400, "parameter_invalid")
    assert (await api.client.get("/sessions?verdict=blocked&effect=deny", headers=reader)).status_code == 200
    assert code_of(await api.client.get("/sessions", headers=api.headers("analyst"))) == (403, "role_missing")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("/sessions?effect=nonsense", "effect"), ("/sessions?verdict=x&effect=y", "verdict"),
        ("/sessions?limit=0", "limit"), ("/sessions?colour=red", "colour"), ("/sessions?4111111111111111=1", ""),
        ("/approvals?limit=1&limit=2", "limit"), ("/approvals?rule=%00", "rule"), ("/approvals?cursor=%21", "cursor"),
        ("/approvals?state=pending&state=nodded", "state"), ("/approvals?" + "state=pending&" * 33, ""),
        ("/approvals/apr-1?include=all", "include"), ("/approvals/apr-1?%1b=1", ""),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_named_and_never_what_it_said(api: Calls, asked: str, field: str) -> None:
    problem = (await api.client.get(asked, headers=api.headers("rita", "readers"))).json()
    assert (problem.pop("code"), problem.pop("field")) == ("parameter_invalid", field)
    assert not any(said in problem["detail"] for said in ("nonsense", "red", "4111", "nodded", "\x1b"))
    problem.pop("detail")
    assert problem == {
        "type": "urn:extproc:problem:parameter_invalid",
        "title": "A query parameter is unknown, stands twice or has no such value.",
        "status": 400,
    }


@pytest.mark.parametrize(
    ("asked", "field", "detail"),
    [
        ("/sessions?from=2026-11-29T12:00", "from", "since_ms, until_ms"),
        ("/sessions?since_ms=2026-11-29T12:00", "since_ms", "From then on, in Unix milliseconds."),
        ("/sessions/none?x=1", "x", "There are no parameters."),
    ],
)  # fmt: skip
async def test_what_a_parameter_takes_is_said_to_whoever_gave_something_else(
    api: Calls, asked: str, field: str, detail: str
) -> None:
    problem = (await api.client.get(asked, headers=api.headers("rita", "readers"))).json()
    assert (problem["code"], problem["field"]) == ("parameter_invalid", field)
    assert detail in problem["detail"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"verdict": "Grant"}, "verdict"), ({"verdict": 1}, "verdict"), ({"reason": "x" * 4001}, "reason"),
        ({"seen": "0"}, "seen"), ({"seen": None}, "seen"), ({"now": 0}, "now"), ({"4111111111111111": 0}, ""),
    ],
)  # fmt: skip
async def test_a_wrong_field_of_a_body_is_named_and_never_what_it_said(
    api: Calls, changed: dict[str, Any], field: str
) -> None:
    body = {**verdict(shown_digest(api.open())), **changed}
    answer = await api.client.post("/approvals/apr-1/decide", json=body, headers=api.headers("bob", "approvers"))
    assert (code_of(answer), answer.json()["field"]) == ((400, "body_invalid"), field)
    assert all(str(value) not in answer.text for value in ("Grant", "xxxx", "4111"))


async def test_a_field_that_a_body_lacks_is_named(api: Calls) -> None:
    seen, approver = shown_digest(api.open()), api.headers("bob", "approvers")
    for body, field in (({"reason": "x"}, "verdict"), ({"verdict": "grant", "seen": seen}, "reason"), ([1], "")):
        answer = await api.client.post("/approvals/apr-1/decide", json=body, headers=approver)
        assert (code_of(answer), answer.json()["field"]) == ((400, "body_invalid"), field)


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"reason": " "}, (422, "reason_empty"), "reason"), ({"reason": "x" * 2000}, (422, "reason_too_long"), "reason"),
        ({"seen": "0" * 64}, (409, "other_view"), "seen"),
    ],
)  # fmt: skip
async def test_a_field_that_the_rules_refuse_is_named(
    api: Calls, changed: dict[str, Any], code: tuple[int, str], field: str
) -> None:
    body = {**verdict(shown_digest(api.open())), **changed}
    answer = await api.client.post("/approvals/apr-1/decide", json=body, headers=api.headers("bob", "approvers"))
    assert (code_of(answer), answer.json()["field"]) == (code, field)


def test_the_documentation_has_every_code_beside_its_status() -> None:
    readme = (Path(extproc.approvals.__file__).parent / "README.md").read_text("utf-8")
    table = readme.partition("| status | `code` |\n")[2].partition("\n\n")[0].splitlines()[1:]
    told = {code: row.split("|")[1] for row in table for code in re.findall(r"`([a-z_]+)`", row)}
    codes = {*ProblemCode, *(code for each in OPERATIONS for code in each.described.refusals)}
    assert set(told) == {code.value for code in codes}
    assert [code for code in codes if str(status_of(code)) not in told[code.value]] == []


async def test_tokens_that_are_not_accepted(api: Calls) -> None:
    api.open()
    good = api.token("bob", "approvers")
    for headers, code in (
        ({}, "token_missing"),
        ({"cookie": f"__Host-extproc-session={good}"}, "token_missing"),
        ({"x-api-key": good}, "token_missing"),
        ({"authorization": f"Basic {good}"}, "token_invalid"),
        ({"authorization": f"Bearer {good[:-8]}AAAAAAAA"}, "token_invalid"),
        ({"authorization": f"Bearer {api.token('bob', 'approvers', exp=1)}"}, "token_invalid"),
        ({"authorization": f"Bearer {api.token(PAN, 'approvers')}"}, "token_invalid"),
    ):
        answer = await api.client.get("/approvals", headers=headers)
        assert code_of(answer) == (401, code)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="extproc"')
    twice = [("authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")]
    assert code_of(await api.client.get("/approvals", headers=twice)) == (401, "token_invalid")
    assert all(event == "auth.fail" for event, _, _ in api.recorded)
    assert PAN.replace(" ", "") not in repr(api.world.log.records).replace(" ", "")


async def test_an_address_that_fails_too_often_is_not_heard(api: Calls) -> None:
    api.open()
    for _ in range(10):
        assert (await api.client.get("/approvals")).status_code == 401
    locked = await api.client.get("/approvals", headers=api.headers("bob", "approvers"))
    assert code_of(locked) == (429, "too_many_failures")
    assert 0 < int(locked.headers["retry-after"]) <= 60
    assert api.recorded[-1][2] == "too_many_failures"
    api.world.now[0] += 61
    assert (await api.client.get("/approvals", headers=api.headers("bob", "approvers"))).status_code == 200


async def test_who_tries_their_own_request_again_and_again_is_locked_out(api: Calls) -> None:
    seen, own = shown_digest(api.open()), api.headers("analyst", "approvers")
    codes = [
        (await api.client.post("/approvals/apr-1/decide", json=verdict(seen), headers=own)).json()["code"]
        for _ in range(11)
    ]
    assert codes == ["own_request"] * 10 + ["too_many_failures"]


async def test_a_card_number_in_a_reason_is_masked_before_anything(api: Calls) -> None:
    seen, approver = shown_digest(api.open()), api.headers("bob", "approvers")
    body = verdict(seen, "grant", f"the client of {PAN} asked")
    answer = await api.client.post("/approvals/apr-1/decide", json=body, headers=approver)
    assert "asked" in answer.json()["decision_reason"]
    kept = answer.text + repr(api.world.log.records) + repr(api.store.find("apr-1", api.now))
    assert PAN not in kept
    assert PAN.replace(" ", "") not in kept


async def test_reasons_that_are_not_kept(api: Calls) -> None:
    seen, approver = shown_digest(api.open()), api.headers("bob", "approvers")
    for reason, expected in (
        (" \n", (422, "reason_empty")),
        ("x" * 1001, (422, "reason_too_long")),
        ("x" * 4001, (400, "body_invalid")),
        ("a\r\nset-cookie: x=y\x1b[2J", (422, "reason_unprintable")),
    ):
        answer = await api.client.post("/approvals/apr-1/decide", json=verdict(seen, reason=reason), headers=approver)
        assert code_of(answer) == expected
        assert "set-cookie" not in answer.headers
    assert api.store.find("apr-1", api.now).votes == ()  # type: ignore[union-attr]


async def test_bodies_that_are_not_read(api: Calls) -> None:
    seen, approver = shown_digest(api.open()), api.headers("bob", "approvers")
    good = json.dumps(verdict(seen)).encode()
    kind = {"content-type": "application/json"}
    twice = good.replace(b'{"verdict": "grant"', b'{"verdict": "refuse", "verdict": "grant"')
    for body, headers, expected in (
        (b"x" * 40_000, kind, (413, "body_too_large")),
        (b"[" * 30_000, kind, (400, "body_invalid")),
        (b"{", kind, (400, "body_invalid")),
        (b"", kind, (400, "body_invalid")),
        (b"\xff\xfe", kind, (400, "body_invalid")),
        (twice, kind, (400, "body_invalid")),
        (json.dumps(verdict(seen) | {"now": 0}).encode(), kind, (400, "body_invalid")),
        (json.dumps(verdict(seen, "Grant")).encode(), kind, (400, "body_invalid")),
        (json.dumps(verdict("0")).encode(), kind, (400, "body_invalid")),
        (good, {"content-type": "application/x-www-form-urlencoded"}, (415, "body_not_json")),
        (good, {"content-type": "text/plain"}, (415, "body_not_json")),
        (good, kind | {"content-encoding": "gzip"}, (415, "body_not_json")),
        (json.dumps(verdict("0" * 64)).encode(), kind, (409, "other_view")),
    ):
        answer = await api.client.post("/approvals/apr-1/decide", content=body, headers={**approver, **headers})
        assert code_of(answer) == expected, body[:60]
    assert api.store.find("apr-1", api.now).votes == ()  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "POST\t"])
async def test_no_other_method_decides(api: Calls, method: str) -> None:
    seen, approver = shown_digest(api.open()), api.headers("bob", "approvers")
    answer = await api.client.request(
        method,
        "/approvals/apr-1/decide",
        json=verdict(seen),
        headers={**approver, "x-http-method-override": "POST", "x-method-override": "POST"},
    )
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert api.store.find("apr-1", api.now).votes == ()  # type: ignore[union-attr]


async def test_paths_that_lead_nowhere(api: Calls) -> None:
    approver = api.headers("bob", "approvers")
    for path in ("/", "/approvals/", "/approvals/apr-1/decide/", "/approvals/../approvals/x", "/nothing"):
        answer = await api.client.get(path, headers=approver)
        assert answer.status_code == 404, path
    overridden = await api.client.post("/approvals/apr-1", headers={**approver, "x-http-method-override": "GET"})
    assert code_of(overridden) == (405, "method_not_allowed")


async def test_what_goes_wrong_says_nothing_of_what_it_met(api: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(api.store), "find", fail)
    answer = await api.client.get("/approvals/apr-1", headers=api.headers("bob", "approvers"))
    assert code_of(answer) == (500, "failed")
    assert "secret" not in answer.text


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every object complete and closed: nothing is left out, nothing else is said."""
    for shape in document["components"]["schemas"].values():
        if shape.get("type") == "object":
            shape["additionalProperties"] = False
            shape["required"] = list(shape["properties"])
    return document


async def test_the_document_is_openapi_and_every_answer_is_in_it(api: Calls) -> None:
    document = (await api.client.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    effect = next(each for each in document["paths"]["/sessions"]["get"]["parameters"] if each["name"] == "effect")
    assert sorted(effect["schema"]["enum"]) == ["allow", "deny", "hold"]
    strict, seen = closed(document), shown_digest(api.open())
    approver, reader = api.headers("bob", "approvers"), api.headers("rita", "readers")
    api.open("apr-2", emergency=True, limits=(("max_tokens", 5),))
    api.open("apr-3")
    said: set[tuple[str, str, str]] = set()

    async def ask(method: str, template: str, name: str = "", **asked: Any) -> None:
        path = template.replace("{approval_id}", name).replace("{exchange_id}", name)
        answer = await api.client.request(method, path, **asked)
        responses = document["paths"][template][method.lower()]["responses"]
        described = responses[str(answer.status_code)]["content"][answer.headers["content-type"]]["schema"]
        OAS31Validator({**strict, **described}).validate(answer.json())
        said.add((method, template, str(answer.status_code)))

    decide, one = "/approvals/{approval_id}/decide", "/approvals/{approval_id}"
    await ask("POST", decide, "apr-1", json=verdict(seen), headers=approver)
    await ask("POST", decide, "apr-1", json=verdict(seen), headers=approver)
    await ask("POST", decide, "apr-1", json={}, headers=approver)
    await ask("POST", decide, "apr-1", json=verdict(seen), headers=reader)
    await ask("POST", decide, "apr-9", json=verdict(seen), headers=approver)
    await ask("POST", decide, "apr-3", json=verdict(shown_digest(api.open("apr-3a")), reason=" "), headers=approver)
    await ask("POST", "/approvals/{approval_id}/revoke", "apr-1", json={"reason": "x"}, headers=approver)
    await ask("POST", "/approvals/{approval_id}/revoke", "apr-1", json={"reason": "x"}, headers=approver)
    await ask("POST", "/approvals/{approval_id}/review", "apr-2", json={"reason": "x"}, headers=approver)
    await ask("POST", "/approvals/{approval_id}/review", "apr-2", json={"reason": "x"}, headers=approver)
    await ask("POST", "/approvals/{approval_id}/withdraw", "apr-3", headers=api.headers("analyst"))
    await ask("POST", "/approvals/{approval_id}/withdraw", "apr-3", headers=api.headers("analyst"))
    await ask("GET", "/approvals", headers=reader)
    await ask("GET", "/approvals", headers=reader, params={"limit": 0})
    await ask("GET", one, "apr-1", headers=approver, params={"include": "request"})
    await ask("GET", one, "apr-1", headers=api.headers("analyst"))
    await ask("GET", one, "apr-9", headers=reader)
    await ask("GET", "/sessions", headers=reader)
    await ask("GET", "/sessions", headers=reader, params={"effect": "nonsense"})
    await ask("GET", "/sessions/{exchange_id}", "none", headers=reader)
    await ask("GET", "/sessions")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(method, path) for method, path, _ in said}


async def test_the_document_names_the_routes_and_no_other(api: Calls) -> None:
    """What answers 405 to a made-up method is a route; the document itself is the one that it does not describe."""
    document = (await api.client.get("/openapi.json")).json()
    from extproc.console.api import api_routes

    routes = {
        (method, route.path)  # type: ignore[attr-defined]
        for route in api_routes(api.parts)[0].app.routes  # type: ignore[attr-defined]
        for method in route.methods or ()  # type: ignore[attr-defined]
    }
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert routes == described | {("GET", "/openapi.json")}
