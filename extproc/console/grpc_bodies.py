"""Messages that are none: refused in a sentence of ours. gRPC itself would answer with the class of its own error."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from extproc.console.api_problem import ProblemCode
from extproc.console.grpc_shapes import status

_NONE: Final = object()
_SENTENCE: Final = "The request is no message of this method."


class CheckedBodies(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Before every method of the server."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> grpc.RpcMethodHandler | None:
        handler = await continuation(handler_call_details)
        if handler is None:  # no such method
            return None
        checked = handler._replace(request_deserializer=_checked(handler.request_deserializer))
        if handler.response_streaming:
            return checked._replace(unary_stream=_streaming(handler.unary_stream))
        return checked._replace(unary_unary=_single(handler.unary_unary))


def _checked(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parsed(body: bytes) -> Any:
        try:
            return parse(body)
        except DecodeError:
            return _NONE

    return parsed


def _single(method: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answer(request: Any, context: Any) -> Any:
        return await (_refuse(context) if request is _NONE else method(request, context))

    return answer


def _streaming(method: Callable[[Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        if request is _NONE:
            await _refuse(context)
        async for each in method(request, context):
            yield each

    return answer


async def _refuse(context: Any) -> NoReturn:
    number, _ = status(ProblemCode.BODY_INVALID)
    context.set_trailing_metadata((("extproc-code", ProblemCode.BODY_INVALID.value),))
    await context.abort(number, _SENTENCE)
    raise AssertionError("aborted calls do not go on")
