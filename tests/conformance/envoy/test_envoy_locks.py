"""The two locks, and what happens when the service fails: nothing goes on unjudged."""

import json
import time
from typing import Any

import httpx
import pytest

from extproc.edge import gate

PROMPT = b'{"prompt": "hello"}'
FROM_THE_MODEL = b"from the model"


def post(edge: Any, **kwargs: Any) -> httpx.Response:
    return httpx.post(f"{edge.url}/alpha/v1/chat/completions", content=PROMPT, timeout=10, **kwargs)


def test_a_judged_exchange_passes_and_the_marker_is_stripped(edge: Any) -> None:
    response = post(edge)
    assert response.status_code == 200
    assert response.content == edge.model.body
    assert [r.body for r in edge.model.received] == [PROMPT]
    assert not {gate.GATE_HEADER, gate.ORIGIN_HEADER} & set(response.headers)
    kinds = edge.service.kinds()
    assert kinds[:3] == ["request_headers", "request_body", "response_headers"]
    assert set(kinds[3:]) == {"response_body"}


def test_a_request_without_body_passes(edge: Any) -> None:
    response = httpx.get(f"{edge.url}/alpha/v1/models")
    assert response.status_code == 200
    assert edge.service.kinds()[0] == "request_headers"
    assert edge.model.received[0].target == "/v1/models"


@pytest.mark.parametrize("phase", ["request_headers", "request_body"])
def test_request_lock_stops_what_a_clean_close_would_let_on(edge: Any, phase: str) -> None:
    edge.service.plan = {phase: "close"}
    response = post(edge)
    assert response.status_code == 403
    assert edge.model.received == []


def test_request_lock_stops_a_request_that_was_answered_without_a_decision(edge: Any) -> None:
    edge.service.plan = {"request_body": "bare"}
    assert post(edge).status_code == 403
    assert edge.model.received == []


@pytest.mark.parametrize("way", ["close", "bare"])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_response_lock_withholds_a_model_answer_that_was_not_marked(edge: Any, way: str, status: int) -> None:
    edge.service.plan = {"response_headers": way}
    edge.model.status = status
    edge.model.headers = {"x-model": "secret-from-the-model", "set-cookie": "a=b"}
    response = post(edge)
    assert response.status_code == 502
    assert FROM_THE_MODEL not in response.content
    assert json.loads(response.content)["error"]["code"] == "gate"
    assert not {"x-model", "set-cookie", gate.GATE_HEADER, gate.ORIGIN_HEADER} & set(response.headers)


def test_response_lock_withholds_a_large_answer_without_buffering_it(edge: Any) -> None:
    edge.service.plan = {"response_headers": "close"}
    edge.model.body = FROM_THE_MODEL * 200_000
    response = post(edge)
    assert response.status_code == 502
    assert len(response.content) < 200


def test_response_lock_withholds_an_answer_without_body(edge: Any) -> None:
    edge.service.plan = {"response_headers": "close"}
    edge.model.body = b""
    assert post(edge).status_code == 502


@pytest.mark.parametrize("value", ["ok", "1", "x" * 40])
@pytest.mark.parametrize("origin", ["rbac_access_denied", ""])
def test_the_model_server_cannot_open_the_response_lock(edge: Any, value: str, origin: str) -> None:
    edge.service.plan = {"response_headers": "close"}
    edge.model.status = 403
    edge.model.headers = {gate.GATE_HEADER: value, gate.ORIGIN_HEADER: origin}
    response = post(edge)
    assert response.status_code == 502
    assert FROM_THE_MODEL not in response.content


def test_what_a_client_sends_as_gate_or_origin_goes_nowhere(edge: Any) -> None:
    response = post(edge, headers={gate.GATE_HEADER: "ok", gate.ORIGIN_HEADER: "ok"})
    assert response.status_code == 200
    assert edge.service.of("request_headers").header(gate.GATE_HEADER) is None
    assert edge.service.of("request_headers").header(gate.ORIGIN_HEADER) is None
    assert gate.GATE_HEADER not in edge.model.received[0].headers


@pytest.mark.parametrize("phase", ["request_headers", "request_body", "response_headers"])
def test_an_abort_before_the_answer_is_503(edge: Any, phase: str) -> None:
    edge.service.plan = {phase: "abort"}
    response = post(edge)
    assert response.status_code == 503
    assert FROM_THE_MODEL not in response.content
    assert bool(edge.model.received) == (phase == "response_headers")


def test_an_abort_in_the_answer_is_503_or_a_cut_and_never_a_whole_answer(edge: Any) -> None:
    # Which of the two depends on whether Envoy reads the abort together with the answer to the headers.
    edge.service.plan = {"response_body": "abort"}
    received = b""
    with httpx.stream("POST", f"{edge.url}/alpha/v1", content=PROMPT, timeout=10) as response:
        try:
            for chunk in response.iter_bytes():
                received += chunk
        except httpx.RemoteProtocolError:
            cut = True
        else:
            cut = False
    assert FROM_THE_MODEL not in received
    if cut:
        assert received == b""
    else:
        assert (response.status_code, json.loads(received)["error"]["code"]) == (503, "gateway_503")


def test_without_the_service_everything_is_503(start_edge: Any) -> None:
    """And it is not blamed on the model server, which nobody asked."""
    edge = start_edge(live_workers=0)
    answer = post(edge)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "gateway_503")
    assert httpx.get(f"{edge.url}/alpha").status_code == 503
    assert edge.model.received == []


@pytest.mark.parametrize("phase", ["request_headers", "request_body", "response_headers"])
@pytest.mark.parametrize("status", [202, 403, 413])
def test_an_immediate_response_needs_no_marker(edge: Any, phase: str, status: int) -> None:
    edge.service.plan = {phase: "respond"}
    edge.service.status = status
    edge.model.headers = {"x-model": "secret-from-the-model"}
    response = post(edge)
    assert (response.status_code, response.content) == (status, b"by the service")
    assert not {"x-model", gate.GATE_HEADER, gate.ORIGIN_HEADER} & set(response.headers)


def test_a_dead_worker_does_not_attract_the_requests(start_edge: Any) -> None:
    """Envoy takes it out of turn at the first failure, on a thread of its own: one or two more may meet it. After a second
    or more it has another try."""
    edge = start_edge(workers=2)
    statuses: list[int] = []
    began = time.monotonic()
    while len(statuses) < 40 and (len(statuses) < 20 or 503 in statuses[-10:]):
        statuses.append(post(edge).status_code)
    assert statuses.count(503) <= 3 + int(time.monotonic() - began)
