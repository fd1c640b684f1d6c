"""What a decision obliges, seen from outside: by the model server, by the vendor's client, and in the records."""

import json
import time

import httpx
import openai
import pytest

from .conftest import disguise

PAN = "4111 1111 1111 1111"
POLICY = """
apiVersion: extproc/v1
kind: Policy
name: obliging
masking:
  profile: pci-strict
  styles: {pan: label}
  profiles:
    pseudonyms: {profile: pci-pii, styles: {pan: numbered}}
rules:
  - name: analysts
    effect: allow
    match: {groups: [analysts]}
  - name: short-answers
    effect: allow
    match: {groups: [analysts], models: [short], operations: [chat, text_completion, generate]}
    obligations: {max_tokens: 16, masking: pseudonyms, retention: 30d}
  - name: safe-in-the-store
    effect: allow
    match: {groups: [analysts], models: [stored]}
    obligations: {durability: store}
  - name: treasury
    effect: allow
    match: {groups: [treasurers]}
    require: {mfa: true, max_auth_age: 1h}
response_rules:
  - name: many-cards
    match: {models: [leaky]}
    when: 'response.findings.pan > 1'
    effect: cut
    text: This answer holds too many cards.
"""


@pytest.fixture(scope="module")
def obliging(make_world, tmp_path_factory):
    world, stop = make_world(tmp_path_factory.mktemp("obliging"), policy_text=POLICY, workers=1)
    yield world
    stop()


def client_of(world) -> openai.OpenAI:
    return openai.OpenAI(base_url=world.guard.url + "/v1", api_key=world.token(), max_retries=0)


def test_the_model_sees_the_limit_and_the_masks_of_the_obliged_profile(obliging) -> None:
    answer = obliging.chat(f"short one {PAN} for ann@example.com", model="short", max_tokens=4000)
    assert answer.status_code == 200
    (seen,) = obliging.upstream.requests("short one")
    sent = json.loads(seen.body)
    assert sent["max_tokens"] == 16
    assert sent["messages"][0]["content"] == "short one [PAN_1] for [EMAIL]"
    exchange_id = answer.headers["x-extproc-exchange"]
    intent = obliging.await_record(
        lambda record: record.get("exchange_id") == exchange_id and record["event_code"] == "inference.request"
    )
    assert intent["detail"]["clamped"] == "max_tokens"
    assert intent["detail"]["retention_days"] == 30
    done = intent["decision"]["carried_out"]
    assert (done["max_tokens"], done["masking"], done["retention_days"]) == (16, "pseudonyms", 30)


def test_where_there_is_no_limit_to_set_the_model_is_not_asked(obliging) -> None:
    answer = httpx.post(
        obliging.guard.url + "/v2/models/short/infer",
        json={"inputs": [{"name": "t", "shape": [1], "datatype": "BYTES", "data": ["never embedded"]}]},
        headers=obliging.headers(),
        timeout=30,
    )
    assert answer.status_code == 403
    assert "obligation_unmet" in answer.text
    assert obliging.upstream.requests("never embedded") == []


def test_the_vendors_client_sees_an_error_where_a_rule_cuts_the_stream(obliging) -> None:
    pieces = [disguise(piece) for piece in ("one apple ", f"{PAN} pear ", f"{PAN} plum ", "secret end")]
    told = []
    with client_of(obliging) as client:
        stream = client.chat.completions.create(
            model="leaky",
            stream=True,
            messages=[{"role": "user", "content": "go"}],
            extra_body={"pieces": pieces, "pause": 0.05},
        )
        exchange_id = stream.response.headers["x-extproc-exchange"]
        with pytest.raises(openai.APIError, match="too many cards"):
            for chunk in stream:
                told.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - what came before the error counts
    assert "".join(told).startswith("one apple")
    assert "plum" not in "".join(told)
    end = obliging.await_record(
        lambda record: record.get("exchange_id") == exchange_id and record["event_code"] == "inference.end"
    )
    assert (end["status"], end["status_detail"]) == ("cut", "response_rule")
    assert end["decision"]["response"]["rule"] == "many-cards"
    assert end["findings_response"]["pan"] == 2


def test_a_sign_in_that_is_too_weak_is_challenged_and_a_strong_one_passes(obliging) -> None:
    def ask(**claims) -> httpx.Response:
        token = obliging.token("treasurer", ("treasurers",), extra=claims)
        return obliging.chat("pay all", headers={"authorization": f"Bearer {token}"})

    weak = ask(amr=["pwd"])
    assert weak.status_code == 401
    challenge = weak.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert "max_age=3600" in challenge
    assert weak.json()["error"]["code"] == "step_up"
    record = obliging.await_record(lambda record: record.get("exchange_id") == weak.headers["x-extproc-exchange"])
    assert (record["event_code"], record["decision"]["step_up"]["rule"]) == ("auth.fail", "treasury")
    assert obliging.upstream.requests("pay all") == []
    assert ask(amr=["pwd", "mfa"], auth_time=int(time.time()) - 60).status_code == 200


def test_a_request_waits_until_its_intent_is_in_the_store(obliging) -> None:
    stored = obliging.guard.settings.audit.store
    seen: list[bool] = []

    def answer(handler, body) -> None:
        evidence = b"".join(path.read_bytes() for path in stored.directory.rglob("*.jsonl"))
        seen.append(b'"stored"' in evidence)
        handler.whole(200, "application/json", b"{}")

    obliging.upstream.answer = answer
    try:
        answered = obliging.chat("keep this", model="stored")
    finally:
        obliging.upstream.answer = None
    assert answered.status_code == 200
    assert seen == [True]
