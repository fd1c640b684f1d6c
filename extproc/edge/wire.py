"""Envoy's ext_proc messages <-> events and actions. Knows the processing modes; decides nothing.

Source: `envoy/service/ext_proc/v3/external_processor.proto` (Envoy 1.40). Header values travel as `raw_value`: Envoy
ignores `value`, and would set an empty header.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from google.protobuf import struct_pb2

from extproc.core.actions import ForwardRequest, HeaderMutation, Respond
from extproc.core.events import Attributes
from extproc.core.headers import Headers
from extproc.core.reasons import Malformed, Reason
from extproc.core.trust import Masked, Passed
from extproc.edge.gate import ALLOW, ANSWER, DECISION, DENY, GATE_HEADER, JUDGED, NAMESPACE
from extproc.pb import ext_proc_pb2 as pb

MAX_ANSWER_BYTES = 1024 * 1024
"""Of one body answer. Envoy takes 8 MiB in one message; smaller ones keep its buffers small."""
_ATTRIBUTES = "envoy.filters.http.ext_proc"
_OVERWRITE = pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_Mode = pb.ProcessingMode


class BodyMode(Enum):
    """How a direction's body travels. Every other mode would let bytes pass unseen, so the call is aborted."""

    BUFFERED = "buffered"
    DUPLEX = "duplex"


@dataclass(frozen=True, slots=True)
class Modes:
    """Of one gRPC stream, from the first message's `protocol_config` (field 11)."""

    request: BodyMode


def read_modes(message: pb.ProcessingRequest) -> Modes:
    """Request bodies BUFFERED or full duplex, responses full duplex. Raises `Malformed(MODES_UNSAFE)` otherwise."""
    if not message.HasField("protocol_config") or message.observability_mode:
        raise Malformed(Reason.MODES_UNSAFE)
    config = message.protocol_config
    if config.response_body_mode != _Mode.FULL_DUPLEX_STREAMED:
        raise Malformed(Reason.MODES_UNSAFE)
    if config.request_body_mode == _Mode.BUFFERED:
        return Modes(BodyMode.BUFFERED)
    if config.request_body_mode == _Mode.FULL_DUPLEX_STREAMED:
        return Modes(BodyMode.DUPLEX)
    raise Malformed(Reason.MODES_UNSAFE)


def read_headers(message: pb.HttpHeaders) -> Headers:
    return Headers(tuple((h.key, h.raw_value or h.value.encode()) for h in message.headers.headers))


def read_attributes(message: pb.ProcessingRequest) -> Attributes:
    """`request_attributes` and `response_attributes`; what is absent is empty."""
    if _ATTRIBUTES not in message.attributes:
        return Attributes()
    fields = message.attributes[_ATTRIBUTES].fields

    def text(name: str) -> str:
        return fields[name].string_value if name in fields else ""

    return Attributes(
        source_address=text("source.address"),
        tls_subject=text("connection.subject_peer_certificate"),
        tls_sha256=text("connection.sha256_peer_certificate_digest"),
        tls_uri=text("connection.uri_san_peer_certificate"),
        route_name=text("xds.route_name"),
        response_details=text("response.code_details"),
        response_flags=text("response.flags"),
        upstream_address=text("upstream.address"),
    )


def read_traceparent(message: pb.ProcessingRequest, metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Envoy's own span from the gRPC `metadata`; without a tracer in Envoy, the client's header. Empty: neither."""
    for key, value in metadata:
        if key == "traceparent":
            return value if isinstance(value, str) else str(value, "latin-1")
    for header in message.request_headers.headers.headers:
        if header.key == "traceparent":
            return str(header.raw_value, "latin-1")
    return ""


def _set_headers(mutation: pb.HeaderMutation, pairs: Iterable[tuple[str, bytes]]) -> None:
    for key, value in pairs:
        option = mutation.set_headers.add(append_action=_OVERWRITE)
        option.append.value = False
        option.header.key = key
        option.header.raw_value = value


def _fill_headers(mutation: pb.HeaderMutation, action: HeaderMutation, extra: Iterable[tuple[str, bytes]] = ()) -> None:
    mutation.remove_headers.extend(action.remove)
    _set_headers(mutation, action.set)
    _set_headers(mutation, extra)


def _fill_metadata(metadata: struct_pb2.Struct, labels: Mapping[str, str], decision: str) -> None:
    namespace = metadata.fields[NAMESPACE].struct_value
    namespace.fields[DECISION].string_value = decision
    for key, value in labels.items():
        namespace.fields[key].string_value = value


def _continue_headers() -> bytes:
    message = pb.ProcessingResponse()
    message.request_headers.response.SetInParent()
    return bytes(message.SerializeToString())


CONTINUE_REQUEST_HEADERS = _continue_headers()


@dataclass(frozen=True, slots=True)
class RequestShape:
    """How the request came: headers answered (BUFFERED), nothing but headers, ended by these trailers (None: not)."""

    headers_answered: bool
    headers_only: bool
    trailers: tuple[str, ...] | None


def request_answers(
    action: ForwardRequest, modes: Modes, shape: RequestShape, *, labels: Mapping[str, str]
) -> list[pb.ProcessingResponse | bytes]:
    """Let the request go on: the outstanding header or body message is answered, with the key of the request lock."""
    message = pb.ProcessingResponse()
    _fill_metadata(message.dynamic_metadata, labels, ALLOW)
    # The route is looked for again, now that the request says which model server was chosen.
    if shape.headers_answered:
        common = message.request_body.response
        common.clear_route_cache = True
        changed = action.body is not None and action.changed
        # BUFFERED keeps content-length, and a wrong one is a 500: set it with the body it counts.
        extra = (("content-length", str(len(action.body)).encode()),) if changed and action.body is not None else ()
        _fill_headers(common.header_mutation, action.mutation, extra)
        if changed and action.body is not None:
            common.body_mutation.body = action.body
        return [message]
    message.request_headers.response.clear_route_cache = True
    _fill_headers(message.request_headers.response.header_mutation, action.mutation)
    answers: list[pb.ProcessingResponse | bytes] = [message]
    if modes.request is BodyMode.DUPLEX and not shape.headers_only:
        body: Passed = action.opaque or action.body or Masked(b"")
        if body or shape.trailers is None:
            answers.extend(_body_answers(body, end_of_stream=shape.trailers is None, outer=_REQUEST_BODY))
        if shape.trailers is not None:
            answers.append(request_trailers_answer(shape.trailers))
    return answers


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _streamed_answer(outer: bytes, data: bytes, *, end_of_stream: bool) -> bytes:
    """`ProcessingResponse{<outer>{response{body_mutation{streamed_response{body, end_of_stream}}}}}`, serialized.

    One such message goes out per streamed event. Built as bytes it costs a third of the five nested messages; a test
    parses it back.
    """
    encoded = (b"\x0a" + _varint(len(data)) + data if data else b"") + (b"\x10\x01" if end_of_stream else b"")
    for tag in (b"\x1a", b"\x1a", b"\x0a", outer):  # streamed_response = 3, body_mutation = 3, response = 1, outer
        encoded = tag + _varint(len(encoded)) + encoded
    return encoded


_REQUEST_BODY, _RESPONSE_BODY = b"\x1a", b"\x22"  # fields 3 and 4 of ProcessingResponse


def _body_answers(data: Passed, *, end_of_stream: bool, outer: bytes) -> list[bytes]:
    if len(data) <= MAX_ANSWER_BYTES:
        return [_streamed_answer(outer, data, end_of_stream=end_of_stream)]
    pieces = [data[start : start + MAX_ANSWER_BYTES] for start in range(0, len(data), MAX_ANSWER_BYTES)]
    return [
        _streamed_answer(outer, piece, end_of_stream=end_of_stream and index == len(pieces) - 1)
        for index, piece in enumerate(pieces)
    ]


def response_headers_answer(
    mutation: HeaderMutation, gate_secret: str, extra: Iterable[tuple[str, bytes]]
) -> pb.ProcessingResponse:
    """Release response headers, with the marker that the response lock demands and strips; without a secret, with
    dynamic metadata in its place."""
    message = pb.ProcessingResponse()
    marker = ((GATE_HEADER, gate_secret.encode()),) if gate_secret else ()
    if not gate_secret:
        message.dynamic_metadata.fields[NAMESPACE].struct_value.fields[ANSWER].string_value = JUDGED
    _fill_headers(message.response_headers.response.header_mutation, mutation, (*marker, *extra))
    return message


def response_body_answers(data: Passed, *, end_of_stream: bool) -> list[bytes]:
    return _body_answers(data, end_of_stream=end_of_stream, outer=_RESPONSE_BODY)


def request_trailers_answer(names: Iterable[str]) -> pb.ProcessingResponse:
    """Trailers are not part of any model API: none goes on."""
    message = pb.ProcessingResponse()
    message.request_trailers.header_mutation.remove_headers.extend(names)
    return message


def response_trailers_answer(names: Iterable[str]) -> pb.ProcessingResponse:
    message = pb.ProcessingResponse()
    message.response_trailers.header_mutation.remove_headers.extend(names)
    return message


def immediate_answer(action: Respond, labels: Mapping[str, str]) -> pb.ProcessingResponse:
    """Without the marker: in answer to response headers it bypasses the filter that would strip it, and Envoy's
    response lock knows an immediate response as Envoy's own."""
    message = pb.ProcessingResponse()
    immediate = message.immediate_response
    immediate.status.code = action.status
    immediate.body = action.body
    immediate.details = action.details
    _set_headers(immediate.headers, action.headers)
    _fill_metadata(message.dynamic_metadata, labels, DENY)
    return message


def hold_answer(seconds: float) -> pb.ProcessingResponse:
    """`override_message_timeout`: counts once per state, needs `max_message_timeout`; all other fields are ignored."""
    message = pb.ProcessingResponse()
    message.override_message_timeout.FromNanoseconds(int(seconds * 1e9))
    return message
