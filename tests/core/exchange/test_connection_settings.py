"""What a connection says of itself, in an exchange: its model's other name, its dialect, its limits, what stays unread."""

import json
from dataclasses import replace
from typing import Any

import pytest

from extproc.core import events as ev
from extproc.core.actions import ForwardRequest, ReleaseBody, ReleaseHeaders, Respond, StoreContent, StoreRecord
from extproc.core.connections import CONNECTION_HEADER, Candidates
from extproc.core.inspection import WholeRequest, inspect
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings, Side
from extproc.core.obliging import oblige
from extproc.core.policy import Obligations, Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.record import Record
from extproc.core.snapshot import Connection, Limits
from extproc.core.trust import Secret
from tests.core.exchange.conftest import PRINCIPAL, make_snapshot

CARD = "4111 1111 1111 1111"
KEY = Secret("server-key-0123456789")
MAPPED = Connection("gpu", credential=KEY, model_map={"gpt-4o": "llama-3-70b"})
BOTH = frozenset({(Operation.CHAT, Side.REQUEST), (Operation.CHAT, Side.RESPONSE)})


def forward(play: Any) -> ForwardRequest:
    (action,) = (action for action in play.actions if isinstance(action, ForwardRequest))
    return action


def refusal(play: Any) -> str:
    (action,) = (action for action in play.actions if isinstance(action, Respond))
    return f"{action.status} {json.loads(action.body)['error']['code']}"


def records(play: Any) -> list[Record]:
    return [each.record for each in play.stored if isinstance(each, StoreRecord)]


def contents(play: Any) -> bytes:
    return b"".join(each.data for each in play.stored if isinstance(each, StoreContent))


def released(play: Any) -> bytes:
    return b"".join(action.data for action in play.actions if isinstance(action, ReleaseBody))


def chat(model: str | None, content: str = "hello") -> dict[str, Any]:
    named = {"model": model} if model is not None else {}
    return {**named, "messages": [{"role": "user", "content": content}]}


# -- by model -----------------------------------------------------------------------------------------------------------

SEVERAL = (
    Connection("llama", models=("llama-*",), credential=Secret("llama-key-01234567")),
    Connection("phi", models=("phi-4",), credential=Secret("phi-key-0123456789")),
)


@pytest.mark.parametrize(("model", "name"), [("llama-3-70b", "llama"), ("phi-4", "phi")])
def test_the_body_names_the_model_server(play: Any, model: str, name: str) -> None:
    """The policy, the record, the route and the credential are those of one and the same connection."""
    exchange = play(connections=SEVERAL)
    exchange.forwarded(chat(model))
    sent = dict(forward(exchange).mutation.set)
    assert sent[CONNECTION_HEADER] == name.encode()
    assert sent["authorization"].startswith(f"Bearer {name}-key".encode())
    assert {record.resource.connection for record in records(exchange)} == {name}
    assert exchange.exchange.labels["connection"] == name


def test_an_envoy_that_calls_its_route_otherwise_is_told_that(play: Any) -> None:
    exchange = play(connections=(Connection("gpu", credential=KEY, route="gpu.0a1b2c3d"),))
    exchange.forwarded(chat("m"))
    assert dict(forward(exchange).mutation.set)[CONNECTION_HEADER] == b"gpu.0a1b2c3d"
    assert {record.resource.connection for record in records(exchange)} == {"gpu"}
    assert exchange.exchange.labels["connection"] == "gpu"


def test_a_model_that_nobody_serves_is_refused_and_recorded(play: Any) -> None:
    exchange = play(connections=SEVERAL)
    exchange.forwarded(chat("gpt-4o"))
    assert refusal(exchange) == "404 no_such_model"
    assert [record.status_detail for record in records(exchange)] == ["no_such_model"]


def test_the_clients_own_word_of_a_connection_does_not_count(play: Any) -> None:
    exchange = play(connections=SEVERAL)
    exchange.request_headers(x_extproc_connection="phi")
    exchange.verified()
    exchange.body(chat("llama-3"))
    mutation = forward(exchange).mutation
    assert CONNECTION_HEADER in mutation.remove
    assert dict(mutation.set)[CONNECTION_HEADER] == b"llama"


# -- mapped names -------------------------------------------------------------------------------------------------------


def test_a_mapped_name_is_replaced_and_nothing_else(play: Any) -> None:
    body = b'{ "messages":[{"role":"user",\t"content":"the \\"model\\":\\"gpt-4o\\" \\u00e9"}],\n "model" : "gpt-4o" }'
    exchange = play(connections=(MAPPED,))
    exchange.forwarded(body)
    assert forward(exchange).body == body.replace(b': "gpt-4o"', b': "llama-3-70b"')
    assert forward(exchange).changed
    assert contents(exchange) == forward(exchange).body
    (intent,) = records(exchange)
    assert (intent.resource.model, intent.detail["model_sent"]) == ("gpt-4o", "llama-3-70b")


def test_a_name_that_is_not_mapped_passes(play: Any) -> None:
    exchange = play(connections=(MAPPED,))
    exchange.forwarded(body := json.dumps(chat("llama-3-8b")).encode())
    assert forward(exchange).body == body
    assert not forward(exchange).changed
    assert "model_sent" not in records(exchange)[0].detail


@pytest.mark.parametrize("model", ["llama-3-70b", "", None])
def test_only_mapped_refuses_every_other_name_and_none(play: Any, model: str | None) -> None:
    exchange = play(connections=(Connection("gpu", model_map={"gpt-4o": "llama-3-70b"}, only_mapped=True),))
    exchange.forwarded(chat(model))
    assert refusal(exchange) == ("404 no_such_model" if model else "404 no_model_named")


def test_a_name_in_a_path_is_replaced_there(play: Any) -> None:
    exchange = play(connections=(Connection("t", "/triton", model_map={"gpt-4o": "org/m 1"}),))
    exchange.request_headers("/triton/v2/models/%67pt-4o/versions/1/infer?x=1")
    exchange.verified()
    exchange.body({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}]})
    assert dict(forward(exchange).mutation.set)[":path"] == b"/triton/v2/models/org%2Fm%201/versions/1/infer?x=1"
    assert records(exchange)[0].resource.model == "gpt-4o"


def test_an_answer_says_the_clients_name(play: Any) -> None:
    exchange = play(connections=(MAPPED,))
    exchange.forwarded(chat("gpt-4o"))
    exchange.response_headers("application/json")
    answer = {"model": "llama-3-70b", "choices": [{"message": {"content": f"{CARD} llama-3-70b", "model": "x"}}]}
    exchange.response_body(json.dumps(answer).encode(), eos=True)
    said = json.loads(released(exchange))
    assert said["model"] == "gpt-4o"
    assert said["choices"][0]["message"] == {"content": "[PAN] llama-3-70b", "model": "x"}


def test_a_stream_says_the_clients_name_in_every_event(play: Any) -> None:
    exchange = play(connections=(MAPPED,))
    exchange.forwarded(chat("gpt-4o"))
    exchange.response_headers()
    for piece in ("4111 1111", " 1111 1111", ' "model": "llama"'):
        delta = {"model": "llama-3-70b", "choices": [{"index": 0, "delta": {"content": piece}}]}
        exchange.response_body(b"data: " + json.dumps(delta).encode() + b"\n\n")
    exchange.response_body(b"data: [DONE]\n\n", eos=True)
    events = [json.loads(line[6:]) for line in released(exchange).splitlines() if line.startswith(b"data: {")]
    assert {event["model"] for event in events} == {"gpt-4o"}
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events) == '[PAN] "model": "llama"'
    assert contents(exchange).endswith(released(exchange))


@pytest.mark.parametrize(
    ("path", "listing", "said"),
    [
        ("/v1/models", '{"data":[{"id":"llama-3-70b"},{"id":"phi-4"}]}', '{"data":[{"id":"gpt-4o"},{"id":"phi-4"}]}'),
        ("/v1/models/gpt-4o", '{"id":"llama-3-70b"}', '{"id":"gpt-4o"}'),
        ("/api/tags", '{"models":[{"name":"llama-3-70b","model":"llama-3-70b"}]}', '{"models":[{"name":"gpt-4o","model":"gpt-4o"}]}'),
    ],
    ids=["OpenAI", "one model", "Ollama"],
)  # fmt: skip
def test_a_listing_says_the_clients_names(play: Any, path: str, listing: str, said: str) -> None:
    exchange = play(connections=(MAPPED,))
    exchange.request_headers(path, "GET", eos=True)
    exchange.verified()
    exchange.response_headers("application/json")
    exchange.response_body(listing.encode(), eos=True)
    assert released(exchange) == said.encode()
    assert contents(exchange).endswith(said.encode())


# -- dialect and limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dialect", "operation"), [("openai", "unknown"), ("ollama", "chat"), ("any", "chat")])
def test_a_path_of_another_server_is_unknown_on_a_dialect(play: Any, dialect: str, operation: str) -> None:
    exchange = play(connections=(Connection("m", dialect=dialect),))
    exchange.request_headers("/api/chat")
    exchange.verified()
    exchange.body(chat("m"))
    assert {record.resource.operation for record in records(exchange)} == {operation}


def test_administration_is_recognised_on_every_dialect(play: Any) -> None:
    exchange = play(connections=(Connection("m", dialect="openai"),))
    exchange.request_headers("/api/pull")
    exchange.verified()
    exchange.body({"model": "m"})
    assert refusal(exchange) == "403 policy_denied"


@pytest.mark.parametrize(("most", "code"), [(100, "413 body_too_large"), (10_000, "")])
def test_a_connections_own_limit_holds(play: Any, most: int, code: str) -> None:
    exchange = play(connections=(Connection("m", limits=Limits(max_body_bytes=most)),))
    exchange.forwarded(chat("m", "x" * 200))
    assert (refusal(exchange) if code else "") == code


def test_an_answer_is_bounded_by_its_connections_limit(play: Any) -> None:
    exchange = play(connections=(Connection("m", limits=Limits(max_response_bytes=20)),))
    exchange.forwarded(chat("m"))
    exchange.response_headers("application/json")
    exchange.response_body(b'{"content": "more than twenty"}', eos=True)
    assert refusal(exchange) == "502 response_too_large"


# -- opaque -------------------------------------------------------------------------------------------------------------

OPAQUE = Connection("m", credential=KEY, opaque=BOTH)
BYTES = b"\x00\xff not JSON, " + CARD.encode()


def test_an_opaque_request_goes_on_as_it_came_and_is_kept_nowhere(play: Any) -> None:
    exchange = play(connections=(OPAQUE,))
    exchange.request_headers(content_type="application/octet-stream", x_note=CARD)
    exchange.verified()
    exchange.body(BYTES)
    action = forward(exchange)
    assert (action.body, action.opaque, action.changed) == (None, BYTES, False)
    assert "authorization" in action.mutation.remove
    assert dict(action.mutation.set)["x-note"] == b"[PAN]"
    assert contents(exchange) == b""
    (intent,) = records(exchange)
    assert intent.not_inspected == {"opaque_request": 1}
    assert intent.request_digest


def test_an_opaque_request_is_authorized_all_the_same(play: Any) -> None:
    admin = frozenset({(Operation.MODEL_ADMIN, Side.REQUEST)})
    exchange = play(connections=(Connection("m", opaque=admin),))
    exchange.request_headers("/api/blobs/sha256-1", content_type="application/octet-stream")
    exchange.verified()
    exchange.body(BYTES)
    assert refusal(exchange) == "403 policy_denied"
    assert not [action for action in exchange.actions if isinstance(action, ForwardRequest)]


def test_what_is_not_listed_is_read(play: Any) -> None:
    """Another operation of the connection, and the other direction of a listed one."""
    one_way = frozenset({(Operation.CHAT, Side.RESPONSE)})
    for path, opaque in (("/v1/embeddings", BOTH), ("/v1/chat/completions", one_way)):
        exchange = play(connections=(Connection("m", opaque=opaque),))
        exchange.request_headers(path)
        exchange.verified()
        exchange.body(BYTES)
        assert refusal(exchange) == "400 body_malformed"


def test_an_opaque_answer_leaves_as_it_comes_and_is_kept_nowhere(play: Any) -> None:
    exchange = play(connections=(OPAQUE,))
    exchange.forwarded(chat("m"))
    exchange.response_headers("image/png", x_note=CARD)
    first = exchange.response_body(BYTES)
    assert [type(action) for action in first] == [ReleaseHeaders, ReleaseBody]
    exchange.response_body(b"end", eos=True)
    assert released(exchange) == BYTES + b"end"
    assert contents(exchange) == b""
    end = records(exchange)[-1]
    assert end.not_inspected == {"opaque_request": 1, "opaque_response": 1}
    assert end.measures is not None
    assert end.measures.response_bytes == len(BYTES) + 3
    (headers,) = (action for action in exchange.actions if isinstance(action, ReleaseHeaders))
    assert dict(headers.mutation.set)["x-note"] == b"[PAN]"


def test_the_last_opaque_byte_waits_for_the_closing_record(play: Any) -> None:
    exchange = play(connections=(OPAQUE,))
    exchange.forwarded(chat("m"))
    exchange.response_headers("image/png")
    exchange.auto_sync = False
    exchange.response_body(b"first")
    assert exchange.response_body(b"last", eos=True)
    assert released(exchange) == b"first"
    exchange.sync()
    assert released(exchange) == b"firstlast"


def test_an_opaque_answer_with_the_servers_credential_is_cut(play: Any) -> None:
    exchange = play(connections=(OPAQUE,))
    exchange.forwarded(chat("m"))
    exchange.response_headers("image/png")
    exchange.response_body(b"x" + KEY.value.encode(), eos=True)
    assert released(exchange) == b""
    assert records(exchange)[-1].status_detail == "response_credential"


def test_what_the_proxy_answers_itself_is_read(play: Any) -> None:
    exchange = play(connections=(OPAQUE,))
    exchange.forwarded(chat("m"))
    attributes = ev.Attributes(response_details="upstream_reset")
    headers = ev.Headers(((":status", b"503"), ("content-type", b"text/plain")))
    exchange.feed(ev.ResponseHeaders(headers, False, attributes, exchange.tick()))
    exchange.response_body(CARD.encode(), eos=True)
    assert released(exchange) == b"[PAN]"


@pytest.mark.parametrize("side", list(Side))
def test_an_obliged_mask_refuses_what_is_not_looked_into(side: Side) -> None:
    snapshot = replace(make_snapshot(), scanners={"strict": Scanner(MaskingSettings())})
    connection = Connection("m", opaque=frozenset({(Operation.CHAT, side)}))
    request = WholeRequest(
        principal=PRINCIPAL,
        candidates=Candidates((connection,), "/v1/chat/completions"),
        operation=Operation.CHAT,
        headers=ev.Headers(((":path", b"/v1/chat/completions"),)),
        body=json.dumps(chat("m")).encode(),
        now_unix=0.0,
        source_address="local",
    )
    inspected = inspect(snapshot, request, snapshot.scanner, snapshot.scanner.aliases())
    assert oblige(snapshot, inspected, Obligations()).sent is inspected
    with pytest.raises(Malformed) as refused:
        oblige(snapshot, inspected, Obligations(masking="strict"))
    assert refused.value.reason is Reason.OBLIGATION_UNMET
