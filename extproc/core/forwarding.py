"""Which headers cross the boundary. Pure functions from one side's headers to a mutation."""

from collections.abc import Iterable, Iterator

from extproc.core.actions import HeaderMutation
from extproc.core.connections import CONNECTION_HEADER
from extproc.core.headers import Headers
from extproc.core.masking.masker import Masker
from extproc.core.snapshot import Connection
from extproc.core.trust import Secret

APPROVAL_HEADER = "x-extproc-approval"
EXCHANGE_HEADER = "x-extproc-exchange"
RECEIPT_HEADER = "x-audit-receipt"

# The caller's credentials, whatever name they come under: the model server never sees one.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "dpop"})
# Those that a proxy in front adds: they say again what the token says, in its words.
_FORWARDED_CREDENTIALS = (
    "x-forwarded-access-token",
    "x-goog-iap-",
    "x-amzn-oidc-",
    "x-ms-token-",
    "x-ms-client-principal",
)
MIN_CREDENTIAL_BYTES = 8
"""A shorter value is no secret, and may well be part of another."""
# Headers that a model server might take for a statement about the caller. Only we make such statements.
_IDENTITY_PREFIXES = ("x-extproc-", "x-auth-", "x-audit-", "x-forwarded-user", "x-forwarded-email", "x-forwarded-group")
# `accept-encoding`: an answer we cannot read is an answer we cannot mask. `baggage`: it is not ours to give away.
_WITHHELD = frozenset({"accept-encoding", "baggage", "x-user", "x-remote-user", "remote-user", "te", "trailer"})
# By which some servers take another method or path than the one that was judged.
_OVERRIDES = frozenset(
    {
        "x-http-method", "x-http-method-override", "x-method-override", "x-original-uri", "x-original-url",
        "x-rewrite-url", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-uri", "forwarded",
    }
)  # fmt: skip
# Framing and routing: a changed value would break the exchange, and none of them is free text.
_STRUCTURAL = frozenset({"connection", "content-length", "host", "transfer-encoding"})
# Headers that Envoy lets nobody change, beside `x-envoy-*`.
_GUARDED = frozenset({":authority", ":scheme", "host"})


def _withheld_from_model(name: str) -> bool:
    if name in _CREDENTIALS or name in _WITHHELD or name in _OVERRIDES:
        return True
    return name.startswith((*_IDENTITY_PREFIXES, *_FORWARDED_CREDENTIALS))


def _repeats(headers: Headers, secrets: Iterable[bytes]) -> frozenset[str]:
    """The headers that say one of the secrets again, under whatever name."""
    known = tuple(secrets)
    return frozenset(name for name, value in headers.pairs if any(secret in value for secret in known))


def caller_secrets(headers: Headers) -> tuple[bytes, ...]:
    """What the caller vouches for himself with: the value, and of a token also the signature, which makes it one."""
    named = [value for name in _CREDENTIALS - {"cookie"} for value in headers.all(name)]
    values = [value.split()[-1] for value in named if value.split()]
    said = (*values, *(value.rpartition(b".")[2] for value in values if b"." in value))
    return tuple(secret for secret in said if len(secret) >= MIN_CREDENTIAL_BYTES)


def _masked_values(names: Iterable[str], headers: Headers, masker: Masker) -> list[tuple[str, bytes]]:
    """The headers among `names` whose value holds a finding, or is one by the header's name, with the masked value."""
    changed: list[tuple[str, bytes]] = []
    for name in names:
        if name.startswith((":", "x-envoy-")) or name in _STRUCTURAL:
            continue
        value = b", ".join(headers.all(name))
        for encoding in _encodings(value):
            text = value.decode(encoding, "replace")
            masked = masker.mask_value(text, name.removeprefix("x-"))
            if masked != text:
                changed.append((name, str(masked).encode(encoding, "replace")))
                break
    return changed


def unmaskable_texts(headers: Headers) -> Iterator[str]:
    """The values that Envoy lets nobody change: with a finding in one of them the whole message is refused."""
    for name, value in headers.pairs:
        if name.startswith("x-envoy-") or name in _GUARDED:
            yield name if name.startswith("x-envoy-") else ""
            yield from (value.decode(encoding, "replace") for encoding in _encodings(value))


def _encodings(value: bytes) -> tuple[str, ...]:
    """As which a reader may read a header value."""
    return ("latin-1",) if value.isascii() else ("latin-1", "utf-8")


def names_a_number(traceparent: str, masker: Masker) -> bool:
    """Whether an id in it could be a card number in disguise. Of random ones, not one in a thousand could."""
    return traceparent[3:35].isdecimal() or masker.mask_text(traceparent) != traceparent


def _names_a_finding(name: str, masker: Masker) -> bool:
    """A header whose very name holds card data is dropped: a name cannot be masked."""
    return not name.startswith((":", "x-envoy-")) and masker.mask_text(name) != name


def _permitted(baggage: bytes, keys: frozenset[str]) -> bytes:
    """The members of W3C `baggage` that a model server may see, as they were written, with their properties."""
    members = (member.strip() for member in baggage.split(b","))
    return b",".join(one for one in members if one.partition(b"=")[0].strip().decode("latin-1") in keys)


def mutate_request(
    headers: Headers, connection: Connection, masker: Masker, baggage_keys: frozenset[str] = frozenset()
) -> HeaderMutation:
    """Take away the caller's credentials and claims, mask the rest, add the model server's own credential.

    Of `baggage`, what `baggage_keys` name goes on, masked.
    """
    baggage = _permitted(b",".join(headers.all("baggage")), baggage_keys) if baggage_keys else b""
    if baggage:
        kept = ((name, value) for name, value in headers.pairs if name != "baggage")
        headers = Headers((*kept, ("baggage", baggage)))
    names = dict.fromkeys(headers.names())
    repeated = _repeats(headers, caller_secrets(headers))
    remove = tuple(
        name
        for name in names
        if (_withheld_from_model(name) and not (baggage and name == "baggage"))
        or _names_a_finding(name, masker)
        or (name in repeated and name[:1] != ":")
        or (name == "traceparent" and names_a_number(headers.text(name), masker))
    )
    changed = _masked_values((name for name in names if name not in remove), headers, masker)
    if baggage and "baggage" not in (*remove, *dict(changed)):
        changed.append(("baggage", baggage))
    changed.append((CONNECTION_HEADER, (connection.route or connection.name).encode()))
    if connection.credential is not None:
        key = connection.credential.value.encode()
        bearer = connection.credential_header == "authorization"
        changed.append((connection.credential_header, b"Bearer " + key if bearer else key))
    return HeaderMutation(set=tuple(changed), remove=remove)


def mutate_response(
    headers: Headers, masker: Masker, exchange_id: str, credential: Secret | None = None
) -> HeaderMutation:
    """Mask the model server's headers, drop those only we set and those that say its credential; name the exchange."""
    secret = credential.value.encode() if credential else b""
    repeated = _repeats(headers, (secret,) if len(secret) >= MIN_CREDENTIAL_BYTES else ())
    names = dict.fromkeys(headers.names())
    ours = ("x-extproc-", "x-audit-")
    remove = tuple(
        name
        for name in names
        if name.startswith(ours) or name == "content-length" or _names_a_finding(name, masker) or name in repeated
    )
    changed = _masked_values((name for name in names if name not in remove), headers, masker)
    changed.append((EXCHANGE_HEADER, exchange_id.encode()))
    return HeaderMutation(set=tuple(changed), remove=remove)
