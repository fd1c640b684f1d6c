"""What anybody may read: a JWK set with the two documents that name it, and how the console is."""

import json

from starlette.requests import Request
from starlette.responses import Response

from extproc.console.parts import parts_of
from extproc.console.token import GRANT_TYPE
from extproc.console.token_keys import ALGORITHM, jwk_set

_JSON = "application/json"


async def jwks(request: Request) -> Response:
    """The public keys (RFC 7517). Raises `TokenKeysUnfit`."""
    parts = parts_of(request)
    keys = parts.keys.published(parts.clock()) if parts.keys else ()
    return Response(jwk_set(keys), media_type="application/jwk-set+json")


async def discovery(request: Request) -> Response:
    """Authorization server metadata (RFC 8414), as far as there is anything to say."""
    settings = parts_of(request).settings
    if settings.token is None:
        return Response("{}", status_code=404, media_type=_JSON)
    document = {
        "issuer": settings.token.issuer,
        "jwks_uri": f"{settings.url}/jwks.json",
        "token_endpoint": settings.token_url,
        "grant_types_supported": [GRANT_TYPE],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "subject_types_supported": ["public"],
    }
    return Response(json.dumps(document), media_type=_JSON)


async def health(request: Request) -> Response:
    """Whether anything new may begin: without the log nobody is let in."""
    ready = parts_of(request).log.accepting()
    return Response(json.dumps({"ready": ready}), status_code=200 if ready else 503, media_type=_JSON)


async def alive(_: Request) -> Response:
    """That the process answers at all: what it needs may be away, and starting it again would not bring that back."""
    return Response(json.dumps({"alive": True}), media_type=_JSON)
