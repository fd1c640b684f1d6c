"""The honest floor: an ext_proc server with the same modes on the same grpcio that lets everything go on unread.

Run as `python -m bench.noop_server SOCKET`; it prints `ready`, and serves until its standard input closes.
"""

import asyncio
import gc
import sys
from typing import Any

import grpc
import uvloop

from extproc.pb import ext_proc_pb2 as pb

_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
_OPTIONS = [
    ("grpc.max_receive_message_length", 17 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
]
"""Those of the service itself."""


def _constant(field: str) -> bytes:
    message = pb.ProcessingResponse()
    getattr(message, field).SetInParent()
    return bytes(message.SerializeToString())


_CONTINUE = {
    field: _constant(field)
    for field in ("request_headers", "request_body", "request_trailers", "response_headers", "response_trailers")
}


def _serialize(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


async def _go_on(_: object, context: Any) -> None:
    """Answer every message so that its content passes as it came."""
    while True:
        message = await context.read()
        if message is grpc.aio.EOF:
            return
        which = message.WhichOneof("request")
        if which == "response_body":
            answer = pb.ProcessingResponse()
            streamed = answer.response_body.response.body_mutation.streamed_response
            streamed.body = message.response_body.body
            streamed.end_of_stream = message.response_body.end_of_stream
            await context.write(answer)
        else:
            await context.write(_CONTINUE[which])


async def _serve(socket: str) -> None:
    server = grpc.aio.server(options=_OPTIONS)
    method = grpc.stream_stream_rpc_method_handler(
        _go_on, request_deserializer=pb.ProcessingRequest.FromString, response_serializer=_serialize
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Process": method}),))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    grpc.aio.init_grpc_aio()
    uvloop.run(_serve(sys.argv[1]))
