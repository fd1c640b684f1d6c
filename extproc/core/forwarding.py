"""Which headers cross the boundary. Pure functions from one side's headers to a mutation."""

from collections.abc import Iterable

from extproc.core.actions import HeaderMutation
from extproc.core.headers import Headers
from extproc.core.masking.masker import Masker
from extproc.core.snapshot import Connection

APPROVAL_HEADER = "x-extproc-approval"
EXCHANGE_HEADER = "x-extproc-exchange"
RECEIPT_HEADER = "x-audit-receipt"

# The caller's credentials, whatever name they come under: the model server never sees one.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})
# Headers that a model server might take for a statement about the caller. Only we make such statements.
_IDENTITY_PREFIXES = ("x-extproc-", "x-auth-", "x-audit-", "x-forwarded-user", "x-forwarded-email", "x-forwarded-group")
# `accept-encoding`: an answer we cannot read is an answer we cannot mask. `baggage`: it is not ours to give away.
_WITHHELD = frozenset({"accept-encoding", "baggage", "x-user", "x-remote-user", "remote-user", "te", "trailer"})
# Framing, routing and trace headers: a changed value would break the exchange, and none of them is free text.
_STRUCTURAL = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "host",
        "traceparent",
        "transfer-encoding",
        "x-forwarded-proto",
        "x-request-id",
    }
)


def _withheld_from_model(name: str) -> bool:
    return name in _CREDENTIALS or name in _WITHHELD or name.startswith(_IDENTITY_PREFIXES)


def _masked_values(names: Iterable[str], headers: Headers, masker: Masker) -> list[tuple[str, bytes]]:
    """The headers among `names` whose value holds a finding, with the masked value."""
    changed: list[tuple[str, bytes]] = []
    for name in names:
        if name.startswith((":", "x-envoy-")) or name in _STRUCTURAL:
            continue
        text = b", ".join(headers.all(name)).decode("latin-1")
        masked = masker.mask_text(text)
        if masked != text:
            changed.append((name, masked.encode("latin-1", "replace")))
    return changed


def _names_a_finding(name: str, masker: Masker) -> bool:
    """A header whose very name holds card data is dropped: a name cannot be masked."""
    return not name.startswith((":", "x-envoy-")) and masker.mask_text(name) != name


def mutate_request(headers: Headers, connection: Connection, masker: Masker) -> HeaderMutation:
    """Take away the caller's credentials and claims, mask the rest, add the model server's own credential."""
    names = dict.fromkeys(headers.names())
    remove = tuple(name for name in names if _withheld_from_model(name) or _names_a_finding(name, masker))
    changed = _masked_values((name for name in names if name not in remove), headers, masker)
    if connection.credential is not None:
        key = connection.credential.value.encode()
        bearer = connection.credential_header == "authorization"
        changed.append((connection.credential_header, b"Bearer " + key if bearer else key))
    return HeaderMutation(set=tuple(changed), remove=remove)


def mutate_response(headers: Headers, masker: Masker, exchange_id: str) -> HeaderMutation:
    """Mask the model server's headers, drop those only we may set, name the exchange."""
    names = dict.fromkeys(headers.names())
    ours = ("x-extproc-", "x-audit-")
    remove = tuple(
        name for name in names if name.startswith(ours) or name == "content-length" or _names_a_finding(name, masker)
    )
    changed = _masked_values((name for name in names if name not in remove), headers, masker)
    changed.append((EXCHANGE_HEADER, exchange_id.encode()))
    return HeaderMutation(set=tuple(changed), remove=remove)
