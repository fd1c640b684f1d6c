"""P5 by search: unique card numbers and security codes are planted everywhere; afterwards nothing that was written holds one."""

import base64
import hashlib
import json
import random
import re
import time
from collections import Counter
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from extproc.approvals.store import open_store as open_approvals
from extproc.audit.holdings import Holdings
from extproc.audit.keys import AuditKeys
from extproc.audit.reader import Query, list_exchanges
from extproc.audit.replay import read_transcript
from extproc.audit.seal import open_bytes, seal_bytes
from extproc.audit.store import open_store as open_audit_store
from extproc.core.approval import ApprovalState
from extproc.core.record import Direction

UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def luhn_complete(prefix: str) -> str:
    for check in "0123456789":
        digits = [int(c) for c in prefix + check]
        total = sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(reversed(digits)))
        if total % 10 == 0:
            return prefix + check
    raise AssertionError


class Planted:
    """Unique test numbers, each used once."""

    def __init__(self) -> None:
        self.random = random.Random(20260101)
        self.pans: list[str] = []
        self.codes: list[str] = []

    def pan(self) -> str:
        pan = luhn_complete("4" + "".join(self.random.choice("0123456789") for _ in range(14)))
        self.pans.append(pan)
        return pan

    def spaced(self) -> str:
        pan = self.pan()
        return " ".join(pan[i : i + 4] for i in range(0, 16, 4))

    def code(self) -> str:
        """With a zero in front, as no duration, size or port has that stands in a log."""
        code = f"0{self.random.randint(100, 999)}"
        self.codes.append(code)
        return code


class Sink(trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self) -> None:
        self.bytes: list[bytes] = []
        self.spans: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.bytes.append(request.SerializeToString())
        if isinstance(request, trace_service_pb2.ExportTraceServiceRequest):
            scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
            self.spans += [span for scope in scopes for span in scope.spans]
            return trace_service_pb2.ExportTraceServiceResponse()
        return metrics_service_pb2.ExportMetricsServiceResponse()


def exchanges_with_a_server_span(collected: Sink) -> Counter[str]:
    """How many server spans arrived of each exchange; Envoy's own spans name none."""
    return Counter(
        pair.value.string_value
        for span in collected.spans
        if span.kind == trace_pb2.Span.SPAN_KIND_SERVER
        for pair in span.attributes
        if pair.key == "extproc.exchange_id"
    )


@pytest.fixture
def sink():
    server = grpc.server(futures.ThreadPoolExecutor(4))
    collected = Sink()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collected, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(collected, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collected, f"http://127.0.0.1:{port}"
    server.stop(0)


def drive(world: Any, planted: Planted) -> list[bytes]:
    """Every surface once; returns the unmasked bytes whose digests must not be found either."""
    originals: list[bytes] = []

    def send(document: dict[str, Any], **headers: str) -> httpx.Response:
        content = json.dumps(document).encode()
        originals.append(content)
        return httpx.post(
            world.guard.url + "/v1/chat/completions",
            content=content,
            headers={**world.headers(), "content-type": "application/json", **headers},
            timeout=60,
        )

    def chat(content: Any, **more: Any) -> dict[str, Any]:
        return {"model": "m", "messages": [{"role": "user", "content": content}], **more}

    assert send(chat(f"card {planted.spaced()} cvv {planted.code()}")).status_code == 200
    assert (
        send(chat([{"type": "text", "text": f"pan {planted.pan()} security code: {planted.code()}"}])).status_code
        == 200
    )
    arguments = json.dumps({"pan": int(planted.pan()), "cvv": planted.code()})
    call = {"id": "t", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    assert (
        send(
            {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": "x"}]}
        ).status_code
        == 200
    )
    assert send(chat("number", metadata={"card": int(planted.pan())}, user=planted.pan())).status_code == 200
    assert send(chat("header"), **{"x-note": f"card {planted.spaced()}"}).status_code == 200
    send(chat("bad json")).raise_for_status()
    httpx.post(
        world.guard.url + "/v1/chat/completions",
        content=b'{"broken ' + planted.pan().encode(),
        headers=world.headers(content_type="application/json"),
        timeout=30,
    )
    httpx.get(world.guard.url + "/v1/models?q=" + planted.pan(), headers=world.headers(), timeout=30)
    httpx.get(world.guard.url + "/v1/x/" + planted.pan(), headers=world.headers(), timeout=30)
    httpx.get(world.guard.url + "/v1/models", headers={"authorization": "Bearer " + planted.pan()}, timeout=30)
    send({**chat("model name"), "model": planted.pan()})
    send(chat(f"held {planted.spaced()} cvc {planted.code()}", max_tokens=4000))
    whole = f"answer {planted.spaced()} cvv {planted.code()} end"
    for cut in range(1, len(whole)):
        world.stream_text("stream", [whole[:cut], whole[cut:]])
    originals.append(whole.encode())
    error = {"error": {"message": f"bad {planted.pan()}"}}
    world.upstream.answer = lambda handler, _: handler.whole(
        500, "application/json", json.dumps(error).encode(), x_echo=planted.pan()
    )
    assert planted.pans[-1] not in str(world.chat("error").headers)
    world.upstream.answer = lambda handler, _: handler.whole(
        200, "application/json", b'{"broken ' + planted.pan().encode()
    )
    world.chat("broken answer")
    call = {
        "index": 0,
        "function": {"name": "pay", "arguments": json.dumps({"pan": int(planted.pan()), "cvv": planted.code()})},
    }
    message = {
        "role": "assistant",
        "content": planted.spaced(),
        "reasoning_content": planted.pan(),
        "tool_calls": [call],
    }
    choices = [
        {"index": n, "message": {**message, "content": planted.spaced()}, "finish_reason": "stop"} for n in (0, 1)
    ]
    answer = json.dumps(
        {"id": "c", "object": "chat.completion", "choices": choices, "total": int(planted.pan())}
    ).encode()
    originals.append(answer)
    world.upstream.answer = lambda handler, _: handler.whole(200, "application/json", answer)
    assert world.chat("a whole answer", n=2).json()["choices"][1]["message"]["content"] == "[PAN]"
    deltas = [{"reasoning_content": planted.spaced()}, {"tool_calls": [call]}, {"content": planted.spaced()}]
    events = [
        b"data: " + json.dumps({"choices": [{"index": n, "delta": d}]}).encode() + b"\n\n"
        for n in (0, 1)
        for d in deltas
    ]
    world.upstream.answer = lambda handler, _: handler.chunks(200, "text/event-stream", [*events, b"data: [DONE]\n\n"])
    streamed = world.chat("a streamed answer", stream=True, n=2)
    assert streamed.text.count("[PAN]") >= len(events)
    world.upstream.answer = None
    return originals


def everything_written(world: Any, collected: Sink, metrics: bytes) -> dict[str, bytes]:
    found = {"otlp": b"\n".join(collected.bytes), "metrics": metrics}
    for path in sorted(Path(world.directory).rglob("*")):
        if path.is_file():
            found[str(path.relative_to(world.directory))] = path.read_bytes()
    return found


def everything_encrypted(world: Any) -> dict[str, bytes]:
    """What only the deployment's keys open: every transcript and every preview of an approval, in clear."""
    settings = world.guard.settings
    keys = AuditKeys.load_or_create(settings.audit.keys)
    holdings = Holdings.look(open_audit_store(settings.audit), settings.audit.spool, settings.deployment)
    found: dict[str, bytes] = {}
    for exchange in list_exchanges(holdings, Query()):
        transcript = read_transcript(holdings, keys, exchange.exchange_id)
        if transcript is not None:
            for direction in Direction:
                data = b"".join(bytes(p.data) for p in transcript.pieces if p.direction is direction)
                found[f"transcript of {exchange.exchange_id}, {direction}"] = data
    store = open_approvals(
        settings.approvals,
        seal=lambda context, data: seal_bytes(keys, context, data),
        unseal=lambda context, data: open_bytes(keys, context, data),
    )
    for approval in store.search(list(ApprovalState), time.time(), 100):
        found[f"preview of {approval.approval_id}"] = bytes(store.read_preview(approval.approval_id) or b"")
    store.close()
    return found


def test_p5_a_search_of_everything_finds_no_account_data(own_world, sink) -> None:
    from extproc.local.ports import free_port

    collected, endpoint = sink
    metrics_port = free_port()
    world = own_world(workers=1, otlp_endpoint=endpoint, metrics_port=metrics_port)
    planted = Planted()
    originals = drive(world, planted)
    metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10).content
    assert b"extproc" in metrics
    time.sleep(1.5)
    world.guard.service.stop()
    encrypted = everything_encrypted(world)
    exchanges = {record["exchange_id"] for record in world.records() if record.get("exchange_id")}
    assert len(exchanges) > len(planted.pans)
    assert exchanges_with_a_server_span(collected) == Counter(exchanges)
    written = {**everything_written(world, collected, metrics), **encrypted}
    assert any(name.endswith((".log", "access.log")) for name in written)
    assert len(planted.pans) > 10
    digests = [
        needle
        for text in [*originals, *(pan.encode() for pan in planted.pans), *(code.encode() for code in planted.codes)]
        for algorithm in (hashlib.sha256, hashlib.sha1, hashlib.md5)
        for raw in [algorithm(text).digest()]
        for needle in (raw, raw.hex().encode(), base64.b64encode(raw))
    ]
    for name, data in written.items():
        squeezed = re.sub(rb"[ \-]", b"", data)
        for pan in planted.pans:
            assert pan.encode() not in data, f"a card number stands in {name}"
            assert pan.encode() not in squeezed, f"a card number stands in {name}"
        no_ids = UUID.sub(b"", data)
        for code in planted.codes:
            assert re.search(rb"(?<![0-9A-Za-z.])" + code.encode() + rb"(?![0-9A-Za-z.])", no_ids) is None, (
                f"a security code stands in {name}"
            )
        for digest in digests:
            assert digest not in data, f"an unkeyed digest of unmasked bytes stands in {name}"
    assert b"model-key-of-ours" not in b"".join(
        data for name, data in written.items() if not name.endswith("model.key")
    )
    assert sum(b"[PAN]" in data for data in encrypted.values()) > 10
    assert any(name.startswith("preview") and b"[CVV]" in data for name, data in encrypted.items())
