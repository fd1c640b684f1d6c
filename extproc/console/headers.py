"""What every answer of the console carries, and the one host that it answers for. Plain ASGI."""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Files of ours only. With Trusted Types no script makes HTML of a text, by `innerHTML` or otherwise."""
_ALWAYS: Final = {
    "cache-control": "no-store",
    "content-security-policy": CONTENT_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",  # with `no-referrer` browsers say `Origin: null` of our own forms
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_ANY_HOST: Final = frozenset({"/healthz", "/livez", "/readyz"})
"""Asked by address, by whatever watches the process."""

_SHARED: Final = "/static/"
"""The same for everybody, and asked for anew each time: another version has other files under the same names."""


class Guarded:
    """Headers on every answer; another host than our own is not served, so that no name can be pointed at us.

    Nor is a body of two lengths, by which a request can hide in another one.
    """

    def __init__(self, app: ASGIApp, url: str) -> None:
        self._app = app
        parts = urlsplit(url)
        default = 443 if parts.scheme == "https" else 80
        self._hosts = {parts.netloc.lower(), f"{(parts.hostname or '').lower()}:{parts.port or default}"}
        self._headers = dict(_ALWAYS)
        if parts.scheme == "https":
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                if scope["path"].startswith(_SHARED):
                    headers["cache-control"] = "no-cache"
            await send(message)

        hosts = [value for name, value in scope["headers"] if name == b"host"]
        own = len(hosts) == 1 and hosts[0].decode("latin-1").lower() in self._hosts
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
            closing = {"connection": "close"}  # RFC 9112 §6.1: what stands before us may have seen another end of it
            await PlainTextResponse("A body has one length.\n", 400, closing)(scope, receive, send_guarded)
        elif own or scope["path"] in _ANY_HOST:
            await self._app(scope, receive, send_guarded)
        else:
            await PlainTextResponse("This host is not served here.\n", 421)(scope, receive, send_guarded)
