"""The request as it arrives: what its headers alone decide, and its body until it is whole."""

from extproc.core.connections import Candidates, find_candidates
from extproc.core.dialects.routing import find_operation, normalize_path
from extproc.core.events import Attributes, RequestBody, RequestHeaders, RequestTrailers
from extproc.core.forwarding import caller_secrets
from extproc.core.headers import Headers
from extproc.core.inspection import WholeRequest
from extproc.core.ledger import Ledger
from extproc.core.presented import printable_subject, trust_domain
from extproc.core.principal import Principal
from extproc.core.reasons import ExchangeError, Malformed, Reason
from extproc.core.snapshot import Connection, Snapshot
from extproc.core.unmaskable import check_headers, check_url

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class Incoming:
    """Notes in the ledger what it reads. Raises `Malformed`, with the reason of the refusal, for what cannot go on."""

    def __init__(self, snapshot: Snapshot, ledger: Ledger) -> None:
        self.headers = Headers(())
        self.candidates: Candidates | None = None
        """None until the headers have come, and where they name no connection."""
        self.connection: Connection | None = None
        """None also while the body must say which."""
        self.whole = False
        """Nothing more of the request will come."""
        self._snapshot = snapshot
        self._ledger = ledger
        self._limits = snapshot.limits
        self._body: list[bytes] = []

    def begin(self, event: RequestHeaders) -> None:
        ledger, headers, snapshot = self._ledger, event.headers, self._snapshot
        self.headers, self.whole = headers, event.end_of_stream
        ledger.source = event.attributes.source_address or ledger.source
        self._note_peer(event.attributes)
        if headers.size_bytes() > snapshot.limits.max_header_bytes:
            raise Malformed(Reason.HEADERS_TOO_LARGE)
        method = headers.text(":method")
        if method not in _METHODS:
            raise Malformed(Reason.HEADERS_INVALID)
        ledger.protocol = f"HTTP {method}"
        if headers.get("upgrade") is not None:
            raise Malformed(Reason.UPGRADE_REFUSED)
        raw_path = headers.get(":path") or b""
        path = normalize_path(raw_path)
        self.candidates = candidates = find_candidates(snapshot.connections, headers.get(":authority") or b"", path)
        self._limits = snapshot.limits_of(candidates.first)
        if candidates.only is not None:
            self.choose(candidates.only)
        ledger.operation = find_operation(method, candidates.path, candidates.first.dialect)
        check_headers(snapshot.scanner, headers)
        check_url(snapshot.scanner, raw_path, caller_secrets(headers))

    def choose(self, connection: Connection) -> None:
        """The model server that the request is for."""
        self.connection = connection
        self._ledger.connection = connection.name

    def _note_peer(self, attributes: Attributes) -> None:
        """The client's certificate, which is known whether or not the caller will be."""
        if attributes.tls_subject or attributes.tls_uri:
            mask = self._snapshot.scanner.masker().mask_text
            spiffe_id = attributes.tls_uri if trust_domain(attributes.tls_uri) else ""
            self._ledger.peer_seen(mask(spiffe_id), mask(printable_subject(attributes.tls_subject)))

    def check_body(self) -> None:
        """What the headers say of a body that has not come yet."""
        if self.headers.is_encoded():
            raise Malformed(Reason.BODY_ENCODED)
        length = self.headers.text("content-length")
        if length.isdigit() and int(length[:20]) > self._limits.max_body_bytes:
            raise Malformed(Reason.BODY_TOO_LARGE)

    def add(self, event: RequestBody | RequestTrailers) -> None:
        """A piece of the body; trailers end it."""
        if isinstance(event, RequestBody):
            self._body.append(event.data)
            self._ledger.request_bytes += len(event.data)
            self.whole = self.whole or event.end_of_stream
        else:
            self.whole = True
        if self._ledger.request_bytes > self._limits.max_body_bytes:
            raise Malformed(Reason.BODY_TOO_LARGE)

    def take_whole(self, principal: Principal, at: float) -> WholeRequest:
        """All that is to be judged, as `principal` asks it; `take_body` says what becomes of the body."""
        if self.candidates is None:
            raise ExchangeError(Reason.INTERNAL)
        return WholeRequest(
            principal=principal,
            candidates=self.candidates,
            operation=self._ledger.operation,
            headers=self.headers,
            body=self.take_body(),
            now_unix=self._ledger.now_unix(at),
            source_address=self._ledger.source,
        )

    def take_body(self) -> bytes:
        """The whole body, which is not kept here any longer."""
        if self.headers.is_encoded():
            raise Malformed(Reason.BODY_ENCODED)
        body, self._body = b"".join(self._body), []
        return body

    def forget(self) -> None:
        """Nothing of the body is kept."""
        self._body = []
