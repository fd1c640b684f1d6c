"""Where an issuer publishes its keys: a file, an address, or its discovery document. All from the configuration."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from extproc.core.issuer import Issuer, is_trustworthy_url
from extproc.core.jws import parse_json_object
from extproc.core.reasons import Reason, Unavailable
from extproc.edge.bounded_file import read_bounded
from extproc.edge.direct import DIRECT

MAX_DOCUMENT_BYTES: Final = 512 * 1024
"""A discovery document or a JWK set. Large providers publish about 16 KiB, with certificates."""
MAX_BEARER_BYTES: Final = 16 * 1024
"""Of the token with which we ask for keys."""
FETCH_SECONDS: Final = 4.0
"""One answer, from connecting to its last byte. Two of them fit into the time that Envoy gives a request's headers."""


class KeySource:
    """Loads an issuer's published JWK set. Every failure is `Unavailable(IDENTITY_UNAVAILABLE)`."""

    def __init__(self, issuer: Issuer, client: httpx.AsyncClient) -> None:
        self._issuer = issuer
        self._client = client

    async def load(self) -> bytes:
        """The document as it is published now, of at most `MAX_DOCUMENT_BYTES`."""
        issuer = self._issuer
        if issuer.jwks_file:
            return await asyncio.to_thread(_read_document, Path(issuer.jwks_file))
        async with self._opened() as client:
            return await self._get(client, await self._discover(client) if issuer.discovery else issuer.jwks_url)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[httpx.AsyncClient]:
        """With an authority of its own the issuer is asked through a client of its own: the file may have changed."""
        if not self._issuer.ca_file:
            yield self._client
            return
        context = await asyncio.to_thread(_trusting, self._issuer.ca_file)
        async with httpx.AsyncClient(verify=context, mounts=DIRECT) as client:
            yield client

    async def _discover(self, client: httpx.AsyncClient) -> str:
        """The `jwks_uri` of OpenID Connect Discovery 1.0 §4.3: the document's issuer must be the one that was asked."""
        answer = await self._get(client, self._discovery_url())
        try:
            document = parse_json_object(answer)
        except ValueError:
            document = {}
        url = document.get("jwks_uri")
        if document.get("issuer") != self._issuer.issuer or not isinstance(url, str) or not is_trustworthy_url(url):
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
        return url

    def _discovery_url(self) -> str:
        return self._issuer.issuer.rstrip("/") + "/.well-known/openid-configuration"

    async def _get(self, client: httpx.AsyncClient, url: str) -> bytes:
        """The body of a 200 answer of bounded size. No redirect is followed, no encoding accepted."""
        body = bytearray()
        headers = {"accept": "application/json", "accept-encoding": "identity", **await self._credential(url)}
        try:
            async with (
                asyncio.timeout(FETCH_SECONDS),
                client.stream("GET", url, headers=headers, follow_redirects=False, timeout=FETCH_SECONDS) as answer,
            ):
                acceptable = answer.status_code == 200 and "content-encoding" not in answer.headers
                async for chunk in answer.aiter_raw():
                    body += chunk
                    if not acceptable or len(body) > MAX_DOCUMENT_BYTES:
                        acceptable = False
                        break
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            acceptable = False
        if not acceptable:
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
        return bytes(body)

    async def _credential(self, url: str) -> dict[str, str]:
        """Read anew each time, because such tokens are short-lived. Only for the origin that the configuration names:
        what a discovery document refers to elsewhere is asked without."""
        issuer = self._issuer
        if not issuer.token_file or _origin(url) != _origin(issuer.issuer if issuer.discovery else issuer.jwks_url):
            return {}
        return {"authorization": f"Bearer {await asyncio.to_thread(_read_bearer, Path(issuer.token_file))}"}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError):  # an SSLError is one
        pass
    raise Unavailable(Reason.IDENTITY_UNAVAILABLE)


def _read_bearer(path: Path) -> str:
    try:
        text = read_bounded(path).decode("ascii").strip()
    except (OSError, ValueError):
        text = ""
    if not text or len(text) > MAX_BEARER_BYTES or not text.isprintable() or " " in text:
        raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
    return text


def _read_document(path: Path) -> bytes:
    try:
        document = read_bounded(path)
    except OSError:
        document = b""
    if not document or len(document) > MAX_DOCUMENT_BYTES:
        raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
    return document
