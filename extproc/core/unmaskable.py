"""What of a request can only be refused, not masked: its URL, and headers that Envoy lets nobody change."""

from urllib.parse import parse_qsl, unquote_to_bytes

from extproc.core.dialects.form import mask_field
from extproc.core.forwarding import unmaskable_texts
from extproc.core.headers import Headers
from extproc.core.inspection import carries_finding
from extproc.core.masking.scanner import Scanner
from extproc.core.reasons import Malformed, Reason

_MAX_ENCODINGS = 4
"""Of a URL, one inside the other; deeper ones are refused."""


def check_headers(scanner: Scanner, headers: Headers) -> None:
    """Raises `Malformed(HEADERS_INVALID)` for a finding in one that stays as it is."""
    if any(carries_finding(scanner, text) for text in unmaskable_texts(headers)):
        raise Malformed(Reason.HEADERS_INVALID)


def check_url(scanner: Scanner, raw: bytes, secrets: tuple[bytes, ...]) -> None:
    """A URL stands in logs that are not ours: one with card data or a credential is refused, not masked."""
    if any(secret in raw for secret in secrets):
        raise Malformed(Reason.URL_CREDENTIAL)
    if carries_finding(scanner, raw.decode("latin-1")) or _names_finding(scanner, raw):
        raise Malformed(Reason.URL_CARD_DATA)
    for _ in range(_MAX_ENCODINGS):
        decoded = unquote_to_bytes(raw)
        if carries_finding(scanner, decoded.decode("utf-8", "replace")):
            raise Malformed(Reason.URL_CARD_DATA)
        if decoded == raw or b"%" not in decoded:
            break
        raw = decoded
    else:
        raise Malformed(Reason.PATH_INVALID)


def _names_finding(scanner: Scanner, raw: bytes) -> bool:
    """Whether a query field's name announces its value as card data: `?card[cvv]=737`."""
    fields = parse_qsl(raw.partition(b"?")[2].decode("latin-1"), keep_blank_values=True)
    masker = scanner.masker()
    return any(mask_field(name, value, masker) != value for name, value in fields if value)
