"""P5 by search: unique card numbers and security codes are planted everywhere; afterwards nothing that was written holds one."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import random
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent import futures
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from extproc.approvals.store import ApprovalQuery
from extproc.approvals.store import open_store as open_approvals
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.audit.reading.exchanges import Query, find_exchanges
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Reader
from extproc.audit.reading.replay import read_transcript
from extproc.audit.retention.sealed import load_private_key, open_original, write_custodian_keys
from extproc.audit.stores.store import open_store as open_audit_store
from extproc.core.record import Direction

SCRIPTS = (0x0660, 0x0966, 0xFF10, 0x1D7CE)
"""Zeros: Arabic-Indic, Devanagari, full width, mathematical bold."""
ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")
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

    def in_script(self, zero: int) -> str:
        """In the decimal digits of another script, of which `zero` is the first."""
        return "".join(chr(zero + int(digit)) for digit in self.pan())

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


def answer_events(events: list[bytes], handler: Any, _: bytes) -> None:
    handler.chunks(200, "text/event-stream", events)


def drive(world: Any, planted: Planted, every: int = 1) -> list[bytes]:
    """Every surface once; returns the unmasked bytes whose digests must not be found either.

    One answer is cut in two at every place, or at one of `every` places.
    """
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
    for zero in SCRIPTS:
        assert send(chat(f"card {planted.in_script(zero)} please")).status_code == 200
    assert send(chat("in base64: " + base64.b64encode(f"card {planted.spaced()}".encode()).decode())).status_code == 200
    assert send(chat(f"in hex: {planted.pan().encode().hex()}")).status_code == 200
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in planted.pan())
    assert send(chat(f'{{"text": "card {escaped}"}}')).status_code == 200
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
    for cut in range(1, len(whole), every):
        world.stream_text("stream", [whole[:cut], whole[cut:]])
    originals.append(whole.encode())
    for zero in SCRIPTS:
        number = planted.in_script(zero)
        originals.append(f"no. {number}.".encode())
        deltas = [{"index": 0, "delta": {"content": piece}} for piece in ("no. ", *number, ".")]
        events = [b"data: " + json.dumps({"choices": [delta]}).encode() + b"\n\n" for delta in deltas]
        world.upstream.answer = partial(answer_events, [*events, b"data: [DONE]\n\n"])
        assert "[PAN]" in world.chat("scripts", stream=True).text
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


def everything_open(world: Any) -> dict[str, bytes]:
    """What the processes hold open and no folder lists: files in memory, and deleted ones. No core can be dumped."""
    found: dict[str, bytes] = {}
    processes = psutil.Process(world.guard.service.process.pid)
    for process in (processes, *processes.children(recursive=True)):
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(link)
                if target.startswith("/memfd:") or (target.endswith(" (deleted)") and target.startswith("/")):
                    found[f"{process.name()} {target}"] = link.read_bytes()
        limits = Path(f"/proc/{process.pid}/limits").read_text("ascii")
        if process.pid in world.worker_pids():
            assert re.search(r"Max core file size +0 +0 ", limits), "a core could be dumped"
    return found


def digests_of(text: bytes) -> Iterator[bytes]:
    """Every digest of a text that needs no key, in every way of writing it; a key of nothing is none."""
    for algorithm in ALGORITHMS:
        for raw in (hashlib.new(algorithm, text).digest(), hmac.digest(b"", text, algorithm)):
            yield from (raw, raw.hex().encode(), raw.hex().upper().encode())
            yield from (base64.b64encode(raw), base64.urlsafe_b64encode(raw))


def forms_of(pan: str) -> Iterator[bytes]:
    """A number in the ways in which something may have written it."""
    ascii_ = pan.encode()
    yield from (ascii_, ascii_.hex().encode(), pan.encode("utf-16-le"), pan.encode("utf-16-be"))
    yield from ("".join(chr(zero + int(digit)) for digit in pan).encode() for zero in SCRIPTS)
    yield "".join(f"\\u{ord(digit):04x}" for digit in pan).encode()
    for before in range(3):  # base64 of a text in which it stands: without the ends, which the rest of it shares
        yield base64.b64encode(bytes(before) + ascii_)[4 if before else 0 : -4]


def in_ascii_digits(data: bytes) -> bytes:
    """The decimal digits of every script as ASCII, and nothing between them that people write there."""
    text = data.decode("utf-8", "ignore")
    if text.isascii():
        return b""
    digits = {character: str(unicodedata.decimal(character)) for character in set(text) if character.isdecimal()}
    return re.sub(r"[\s\-.]", "", text.translate(str.maketrans(digits))).encode()


class Needles:
    """Many things to look for, in one pass over the data."""

    LENGTH = 8

    def __init__(self, forms: Iterable[bytes]) -> None:
        self._forms: dict[bytes, set[bytes]] = {}
        for form in forms:
            self._forms.setdefault(form[: self.LENGTH], set()).add(form)

    def find(self, data: bytes) -> bytes | None:
        for at in range(len(data) - self.LENGTH + 1):
            for form in self._forms.get(data[at : at + self.LENGTH], ()):
                if data.startswith(form, at):
                    return form
        return None


def test_the_search_finds_what_it_looks_for() -> None:
    """Its negative twin: in each form, somewhere in the middle."""
    pan = "4111111111111111"
    for form in forms_of(pan):
        assert Needles(forms_of(pan)).find(b"before " + form + b" behind") == form
    for form in digests_of(b"a body"):
        assert Needles(digests_of(b"a body")).find(b"\x00" + form) == form
    whole = base64.b64encode(f"card {pan} please".encode())
    assert Needles(forms_of(pan)).find(whole)
    assert (
        Needles(forms_of(pan)).find(
            in_ascii_digits(f"\uff14\uff11\uff11\uff11 {chr(0x661) * 4}-{chr(0xFF11) * 4} 1111".encode())
        )
        == pan.encode()
    )
    assert Needles([*forms_of(pan), *digests_of(b"a body")]).find(b"4111 1111 1111 111" * 50) is None


def everything_encrypted(world: Any) -> dict[str, bytes]:
    """What only the deployment's keys open: every transcript and every preview of an approval, in clear."""
    settings = world.guard.settings
    keys = AuditKeys.load_or_create(settings.audit.keys)
    holdings = Holdings.look(open_audit_store(settings.audit), settings.audit.spool, settings.deployment)
    found: dict[str, bytes] = {}
    for exchange in find_exchanges(Reader(holdings), Query()):
        transcript = read_transcript(holdings, keys, exchange.exchange_id)
        if transcript is not None:
            for direction in Direction:
                data = b"".join(bytes(p.data) for p in transcript.pieces if p.direction is direction)
                found[f"transcript of {exchange.exchange_id}, {direction}"] = data
            for at, (_, piece) in enumerate(transcript.sealed):
                found[f"sealed original {at} of {exchange.exchange_id}"] = bytes(piece.data)
    store = open_approvals(
        settings.approvals,
        seal=lambda context, data: seal_bytes(keys, context, data),
        unseal=lambda context, data: open_bytes(keys, context, data),
    )
    for approval in store.search(ApprovalQuery(), time.time()):
        found[f"preview of {approval.approval_id}"] = bytes(store.read_preview(approval.approval_id) or b"")
    store.close()
    return found


def opened_by_the_custodian(world: Any, key: X25519PrivateKey) -> Iterator[bytes]:
    """Every sealed original in clear."""
    settings = world.guard.settings
    keys = AuditKeys.load_or_create(settings.audit.keys)
    holdings = Holdings.look(open_audit_store(settings.audit), settings.audit.spool, settings.deployment)
    for exchange in find_exchanges(Reader(holdings), Query()):
        transcript = read_transcript(holdings, keys, exchange.exchange_id)
        for origin, piece in transcript.sealed if transcript is not None else ():
            crossing = next(direction for direction in Direction if direction.sealed is piece.direction)
            yield open_original(key, origin, exchange.exchange_id, crossing, piece.data).text


def holds_a_code(data: bytes, planted: Planted) -> bool:
    no_ids = UUID.sub(b"", data)
    return any(
        re.search(rb"(?<![0-9A-Za-z.])" + code.encode() + rb"(?![0-9A-Za-z.])", no_ids) is not None
        for code in planted.codes
    )


def test_p5_a_search_of_everything_finds_no_account_data(own_world, sink) -> None:
    sweep(own_world, sink, Planted())


def test_p5_with_sealed_originals_it_finds_none_either(own_world, sink, tmp_path: Path) -> None:
    """And what the custodian opens are card numbers, and no security code."""
    custodian = tmp_path / "custodian.key"  # beside the guard's folder, not in it
    write_custodian_keys(custodian)
    planted = Planted()
    sealing = {"sealed_originals": {"public_key": f"{custodian}.pub"}, "openers": ["privacy"]}
    world = sweep(own_world, sink, planted, every=4, overrides={"audit": sealing})
    opened = list(opened_by_the_custodian(world, load_private_key(custodian)))
    digits = re.sub(rb"\D", b"", b" ".join(opened))
    assert sum(pan.encode() in digits for pan in planted.pans) > 10
    assert not any(holds_a_code(text, planted) for text in opened)


def sweep(own_world: Any, sink: Any, planted: Planted, *, every: int = 1, **wanted: Any) -> Any:
    """The world, stopped, of which everything was searched."""
    from extproc.local.ports import free_port

    collected, endpoint = sink
    metrics_port = free_port()
    world = own_world(workers=1, otlp_endpoint=endpoint, metrics_port=metrics_port, **wanted)
    originals = drive(world, planted, every)
    metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10).content
    assert b"extproc" in metrics
    time.sleep(1.5)
    in_memory = everything_open(world)
    world.guard.service.stop()
    encrypted = everything_encrypted(world)
    exchanges = {record["exchange_id"] for record in world.records() if record.get("exchange_id")}
    assert len(exchanges) > len(planted.pans)
    assert exchanges_with_a_server_span(collected) == Counter(exchanges)
    written = {**everything_written(world, collected, metrics), **encrypted, **in_memory}
    assert any(name.endswith((".log", "access.log")) for name in written)
    assert len(planted.pans) > 10
    texts = [*originals, *(number.encode() for number in (*planted.pans, *planted.codes))]
    digests = Needles(form for text in texts for form in digests_of(text))
    numbers = Needles(form for pan in planted.pans for form in forms_of(pan))
    for name, data in written.items():
        assert digests.find(data) is None, f"an unkeyed digest of unmasked bytes stands in {name}"
        for text in (data, re.sub(rb"[ \-]", b"", data), in_ascii_digits(data)):
            assert numbers.find(text) is None, f"a card number stands in {name}"
        assert not holds_a_code(data, planted), f"a security code stands in {name}"
    assert b"model-key-of-ours" not in b"".join(
        data for name, data in written.items() if not name.endswith("model.key")
    )
    assert sum(b"[PAN]" in data for data in encrypted.values()) > 10
    assert any(name.startswith("preview") and b"[CVV]" in data for name, data in encrypted.items())
    assert any(name.startswith("sealed original") for name in encrypted) is bool(wanted)
    return world
