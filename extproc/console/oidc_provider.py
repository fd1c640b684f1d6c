"""The OpenID provider of the console: its addresses, its keys, and the exchange of a code for an id_token."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from extproc.console.began import PendingOidc
from extproc.console.oidc_codes import OidcCode, OidcRefused
from extproc.console.oidc_token import Expected, login_issuer, person_of_id_token
from extproc.core.identity import Principal, UnverifiedToken, parse_token
from extproc.core.issuer import Issuer, is_trustworthy_url
from extproc.core.jws import MAX_TOKEN_CHARS, parse_json_object
from extproc.core.reasons import Malformed, Reason, Unavailable
from extproc.edge.bounded_file import read_bounded
from extproc.edge.direct import DIRECT
from extproc.edge.key_source import FETCH_SECONDS, MAX_DOCUMENT_BYTES
from extproc.edge.keys import IssuerKeys
from extproc.edge.settings_console import OidcSettings

METADATA_SECONDS: Final = 300.0
"""How long the discovery document serves; while the provider is away, the last one goes on."""
MAX_SECRET_BYTES: Final = 4096
_CLIENT_ERRORS: Final = frozenset({"invalid_client", "unauthorized_client"})


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """OpenID Connect Discovery 1.0 §3, as far as we use it. `end_session_url` is empty where there is none."""

    authorization_url: str
    token_url: str
    end_session_url: str
    posts_secret: bool
    """The provider takes the client's secret in the form only."""
    names_itself: bool
    """Its answers carry `iss` (RFC 9207), and one without is not its own."""


class OidcProvider:
    """One provider, for one event loop. `run` keeps its keys; without it nobody logs in."""

    def __init__(
        self,
        issuer: Issuer,
        settings: OidcSettings,
        callback_url: str,
        client: httpx.AsyncClient,
        clock: Callable[[], float],
    ) -> None:
        self.issuer = login_issuer(issuer, settings)
        self.settings = settings
        self._callback_url = callback_url
        self._client = client
        self._clock = clock
        self._keys = IssuerKeys(self.issuer, client, clock)
        self._metadata: ProviderMetadata | None = None
        self._metadata_at = float("-inf")

    async def run(self) -> None:
        """Fetches the keys until cancelled."""
        await self._keys.run()

    def trouble(self, _: float) -> str:
        """What is wrong with it now, in a word of ours; empty where nothing is."""
        return "keys" if self._keys.failing() else ""

    async def metadata(self) -> ProviderMetadata:
        """As it was published a few minutes ago at most, or last. Raises `Unavailable`."""
        now = self._clock()
        if self._metadata is None or not 0 <= now - self._metadata_at < METADATA_SECONDS:
            try:
                self._metadata = await self._discover()
            except Unavailable:
                if self._metadata is None:
                    raise
            self._metadata_at = now
        return self._metadata

    async def login_url(self, asked: PendingOidc) -> str:
        """Where the browser goes: the authorization request with state, nonce and PKCE's challenge.

        Raises `Unavailable`.
        """
        metadata = await self.metadata()
        fresh = {"prompt": "login"} if asked.fresh else {}
        url: str = prepare_grant_uri(
            metadata.authorization_url,
            client_id=self.settings.client_id,
            response_type="code",
            redirect_uri=self._callback_url,
            scope=list(self.settings.scopes),
            state=asked.request_id,
            nonce=asked.nonce,
            code_challenge=create_s256_code_challenge(asked.verifier),
            code_challenge_method="S256",
            **fresh,
        )
        return url

    async def logout_url(self, to: str) -> str:
        """Where the person ends the provider's session as well, and comes back `to` (OpenID Connect RP-Initiated Logout
        1.0); empty where the provider offers no such page or is away. No token is kept for it: the provider asks."""
        try:
            metadata = await self.metadata()
        except Unavailable:
            return ""
        if not metadata.end_session_url:
            return ""
        query = urlencode({"client_id": self.settings.client_id, "post_logout_redirect_uri": to})
        return f"{metadata.end_session_url}{'&' if '?' in metadata.end_session_url else '?'}{query}"

    async def person(self, code: str, asked: PendingOidc, now: float) -> Principal:
        """Who the code stands for. Raises `OidcRefused`, and `Unavailable` where the provider cannot be asked."""
        compact = await self._id_token(code, asked)
        try:
            outline = parse_token(UnverifiedToken(compact))
        except Malformed:
            outline = None
        if outline is None or outline.algorithm not in self.issuer.algorithms:
            raise OidcRefused(OidcCode.TOKEN_INVALID)
        key = self._keys.find(outline)
        if key is None:
            await self._keys.refetch()
            key = self._keys.find(outline)
        if key is None and not self._keys.judges():
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
        if key is None:
            raise OidcRefused(OidcCode.TOKEN_INVALID)
        return person_of_id_token(compact, self.issuer, key, Expected(self.settings, asked), now)

    async def _id_token(self, code: str, asked: PendingOidc) -> str:
        """RFC 6749 §4.1.3 with RFC 7636 §4.5. The access token that comes along is not kept."""
        metadata = await self.metadata()
        secret = await asyncio.to_thread(_read_secret, self.settings.client_secret_file)
        form: dict[str, str] = {"code_verifier": asked.verifier}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if not secret:
            form["client_id"] = self.settings.client_id
        elif metadata.posts_secret:
            form |= {"client_id": self.settings.client_id, "client_secret": secret}
        else:
            pair = f"{quote_plus(self.settings.client_id)}:{quote_plus(secret)}"  # RFC 6749 §2.3.1
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        body = prepare_token_request("authorization_code", redirect_uri=self._callback_url, code=code, **form)
        status, answer = await self._ask("POST", metadata.token_url, headers, body)
        document = _object(answer)
        if status in (400, 401):
            client = status == 401 or document.get("error") in _CLIENT_ERRORS
            raise OidcRefused(OidcCode.CLIENT_REFUSED if client else OidcCode.CODE_REFUSED)
        if status != 200:
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
        compact = document.get("id_token")
        if not isinstance(compact, str) or not compact or len(compact) > MAX_TOKEN_CHARS:
            raise OidcRefused(OidcCode.NO_ID_TOKEN)
        return compact

    async def _discover(self) -> ProviderMetadata:
        """The document's issuer must be the one that was asked (§4.3)."""
        url = self.issuer.issuer.rstrip("/") + "/.well-known/openid-configuration"
        status, answer = await self._ask("GET", url, {}, None)
        document = _object(answer)
        urls = [document.get(f"{name}_endpoint") for name in ("authorization", "token")]
        sound = all(isinstance(each, str) and is_trustworthy_url(each) for each in urls)
        if status != 200 or document.get("issuer") != self.issuer.issuer or not sound:
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
        ends = document.get("end_session_endpoint")
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return ProviderMetadata(
            authorization_url=str(urls[0]),
            token_url=str(urls[1]),
            end_session_url=ends if isinstance(ends, str) and is_trustworthy_url(ends) else "",
            posts_secret=isinstance(methods, list) and "client_secret_basic" not in methods,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> tuple[int, bytes]:
        """Status and body of bounded size. No redirect is followed, no encoding accepted. Raises `Unavailable`."""
        sent = {"accept": "application/json", "accept-encoding": "identity", **headers}
        received, status = bytearray(), 0
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            async with (
                asyncio.timeout(FETCH_SECONDS),
                self._opened() as client,
                client.stream(
                    method, url, headers=sent, content=body, follow_redirects=False, timeout=FETCH_SECONDS
                ) as answer,
            ):
                async for chunk in answer.aiter_raw():
                    received += chunk
                    if len(received) > MAX_DOCUMENT_BYTES:
                        break
                else:
                    status = answer.status_code
        if not status:
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
        return status, bytes(received)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[httpx.AsyncClient]:
        """With an authority of its own the provider is asked through a client of its own, as for its keys."""
        if not self.issuer.ca_file:
            yield self._client
            return
        try:
            context = await asyncio.to_thread(ssl.create_default_context, cafile=self.issuer.ca_file)
        except (OSError, ValueError):
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE) from None
        async with httpx.AsyncClient(verify=context, mounts=DIRECT) as client:
            yield client


def _object(answer: bytes) -> Mapping[str, Any]:
    """A JSON object; what is none has nothing in it."""
    try:
        return parse_json_object(answer)
    except ValueError:
        return {}


def _read_secret(path: Path | None) -> str:
    """As it stands in the file now; empty for a public client. Raises `Unavailable`."""
    if path is None:
        return ""
    try:
        secret = read_bounded(path).decode().strip()
    except (OSError, ValueError):
        secret = ""
    if not secret or len(secret) > MAX_SECRET_BYTES or not secret.isprintable():
        raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
    return secret
