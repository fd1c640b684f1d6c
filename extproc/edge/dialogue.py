"""One stream's messages, as they come and as they are answered: which of them is Envoy waiting for an answer to?"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from extproc.core import events
from extproc.core.actions import AllowHold, ForwardRequest
from extproc.edge import wire
from extproc.pb import ext_proc_pb2 as pb


class Dialogue:
    """Reads messages into events and puts the answers whose form depends on what came before. Decides nothing."""

    def __init__(self, first: pb.ProcessingRequest, put: Callable[..., None]) -> None:
        """`put` takes what goes to Envoy. Raises `Malformed(MODES_UNSAFE)`: bytes would pass unseen."""
        self._modes = wire.read_modes(first)
        self._put = put
        self._headers_answered = False
        self._headers_only = False
        self._forwarded = False
        self._request_trailers: tuple[str, ...] | None = None
        self._response_trailers: tuple[str, ...] = ()

    @property
    def _buffered(self) -> bool:
        return self._modes.request is wire.BodyMode.BUFFERED

    def read(self, message: pb.ProcessingRequest) -> events.Event | None:
        """What the message says; `None` where nothing is to be decided about it."""
        at = time.monotonic()
        match message.WhichOneof("request"):
            case "response_body":
                body = message.response_body
                return events.ResponseBody(body.body, body.end_of_stream, at)
            case "request_headers":
                headers = wire.read_headers(message.request_headers)
                self._headers_only = message.request_headers.end_of_stream
                return events.RequestHeaders(headers, self._headers_only, wire.read_attributes(message), at)
            case "request_body":
                body = message.request_body
                return events.RequestBody(body.body, body.end_of_stream or self._buffered, at)
            case "response_headers":
                headers = wire.read_headers(message.response_headers)
                eos = message.response_headers.end_of_stream
                return events.ResponseHeaders(headers, eos, wire.read_attributes(message), at)
            case "request_trailers":
                names = _names(message.request_trailers)
                if self._forwarded:  # BUFFERED: they come once the body is answered
                    self._put(wire.request_trailers_answer(names))
                    return None
                self._request_trailers = names
                return events.RequestTrailers(at)
            case "response_trailers":
                self._response_trailers = _names(message.response_trailers)
                return events.ResponseTrailers(at)
            case _:
                return None  # a message kind of a later Envoy (flow control); it carries no content

    def await_body(self) -> None:
        """A buffered body comes once its headers are answered; a streamed one comes anyhow."""
        if self._buffered:
            self._headers_answered = True
            self._put(wire.CONTINUE_REQUEST_HEADERS)

    def forward(self, action: ForwardRequest, labels: Mapping[str, str]) -> None:
        self._forwarded = True
        shape = wire.RequestShape(self._headers_answered, self._headers_only, self._request_trailers)
        self._put(*wire.request_answers(action, self._modes, shape, labels=labels))

    def allow_hold(self, action: AllowHold) -> None:
        """Envoy waits for a buffered body's answer with a timeout; a streamed body has none."""
        if self._buffered:
            self._put(wire.hold_answer(action.seconds))

    def release_trailers(self) -> None:
        self._put(wire.response_trailers_answer(self._response_trailers))


def _names(message: Any) -> tuple[str, ...]:
    return tuple(header.key for header in message.trailers.headers)
