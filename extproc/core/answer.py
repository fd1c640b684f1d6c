"""The response side of one exchange: judged by its headers, masked, and kept back until it is durable."""

from extproc.core.actions import Action, HeaderMutation, ReleaseBody, ReleaseHeaders, ReleaseTrailers
from extproc.core.credential_watch import CredentialWatch
from extproc.core.dialects.model_names import AnsweredName, ListedNames
from extproc.core.dialects.observed import IN_RESPONSE
from extproc.core.dialects.response import OpaqueBody, ResponseFilter, open_response
from extproc.core.events import ResponseHeaders
from extproc.core.forwarding import mutate_response, unmaskable_texts
from extproc.core.inspection import carries_finding
from extproc.core.masking.aliases import Aliases
from extproc.core.masking.originals import OriginalMasker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Side
from extproc.core.outbox import Outbox
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.response_rules import ResponseWatch
from extproc.core.snapshot import Connection, Limits, Snapshot
from extproc.core.trust import Masked, Unmasked

_NOTHING = Masked(b"")
_NO_STATUS = 502
"""What a response counts as whose status is none."""


class SecondPass:
    """The same body through the same filter, with plain PANs as they were: each `feed` stands for what the first gave.

    Which characters wait, and which go on, does not depend on what stands for a find.
    """

    def __init__(
        self,
        masker: OriginalMasker,
        limits: Limits,
        operation: Operation,
        status: int,
        content_type: str,
    ) -> None:
        self._masker = masker
        self._filter = open_response(operation, status, content_type, self._masker, limits)

    def feed(self, data: bytes, *, end_of_stream: bool) -> Unmasked:
        """What is decided now. Raises `Malformed`, as the first pass does."""
        self._masker.renew()
        out = self._filter.feed(data) if data else _NOTHING
        if end_of_stream:
            out = Masked(out + self._filter.finish())
        return self._masker.original(out)


class Answer:
    """What the model server, or the proxy itself, answers. What is queued leaves by `release` and in no other way."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.status = 0
        self.local_reply = False
        """The proxy answered itself, before we had."""
        self.headers_queued = False
        self.headers_released = False
        self.opaque = False
        """Its body goes through as it comes: nobody looks into it, and nothing of it is stored."""
        self.called = ""
        """What the client calls the model, where its server was asked by another name."""
        self.filter: ResponseFilter | None = None
        """None: there is no body, or none yet."""
        self.watch: ResponseWatch | None = None
        """None: no response rule is for this exchange."""
        self._snapshot = snapshot
        self._scanner = snapshot.scanner
        self._masker = snapshot.scanner.masker(Side.RESPONSE)
        self._aliases: Aliases | None = None
        self._second: SecondPass | None = None
        self._original: Unmasked | None = None
        self._watch = CredentialWatch(None)
        self._name: AnsweredName | ListedNames | None = None
        self._mutation = HeaderMutation()
        self._outbox = Outbox()

    @property
    def findings(self) -> dict[str, int]:
        return dict(self._masker.findings)

    @property
    def said(self) -> str:
        """What the response rule that cut it tells the client; empty without one."""
        return self.watch.verdict.text if self.watch is not None and self.watch.verdict.cut else ""

    @property
    def cut_by(self) -> str:
        """The response rule that cut it; empty without one."""
        return self.watch.verdict.rule if self.watch is not None and self.watch.verdict.cut else ""

    @property
    def held_characters_max(self) -> int:
        return self._masker.held_characters_max

    @property
    def held_characters(self) -> int:
        """Held back by masking now, in all channels."""
        return self._masker.held_characters

    @property
    def waiting_bytes(self) -> int:
        """What waits for its record."""
        return self._outbox.waiting_bytes

    @property
    def released_bytes(self) -> int:
        return self._outbox.released_bytes

    @property
    def waits(self) -> bool:
        """Whether anything is still to be released."""
        return bool(self._outbox)

    def mask_by(self, scanner: Scanner, aliases: Aliases) -> None:
        """What the request named is named alike. Before anything is masked."""
        self._scanner, self._aliases = scanner, aliases
        self._masker = scanner.masker(Side.RESPONSE, aliases)

    def begin(
        self, event: ResponseHeaders, operation: Operation, connection: Connection | None, exchange_id: str
    ) -> None:
        """Judge a response by its headers. Raises `Malformed` with the reason for withholding it."""
        headers = event.headers
        status = headers.text(":status")
        self.status = int(status) if status.isdigit() and len(status) == 3 else _NO_STATUS
        if headers.is_encoded():
            raise Malformed(Reason.RESPONSE_ENCODED)
        credential = connection.credential if connection else None
        self._watch = CredentialWatch(credential)
        with IN_RESPONSE:
            unfit = any(carries_finding(self._scanner, text) for text in unmaskable_texts(headers))
            self._mutation = mutate_response(headers, self._masker, exchange_id, credential)
        if unfit or self.status < 200:  # no upgrade was let through that a 1xx could answer
            raise Malformed(Reason.RESPONSE_MALFORMED)
        if not event.end_of_stream:
            self._open(operation, headers.content_type(), connection)

    def _open(self, operation: Operation, content_type: str, connection: Connection | None) -> None:
        listed = connection is not None and (operation, Side.RESPONSE) in connection.opaque
        if listed and not self.local_reply:
            self.opaque, self.filter = True, OpaqueBody(self._masker)
            return
        limits = self._snapshot.limits_of(connection)
        self.filter = open_response(operation, self.status, content_type, self._masker, limits)
        if self._snapshot.seal is not None:
            originals = self._scanner.original_masker(Side.RESPONSE, self._aliases, self._snapshot.digest_key)
            self._second = SecondPass(originals, limits, operation, self.status, content_type)
        if operation is Operation.MODEL_LIST and connection is not None and connection.model_map:
            self._name = ListedNames(content_type, connection.model_map, self.called)
        elif self.called:
            self._name = AnsweredName(content_type, self.called)

    def feed(self, data: bytes, *, end_of_stream: bool) -> Masked:
        """What of the body is decided now, masked. Raises `Malformed`."""
        if self.filter is None:
            raise Malformed(Reason.PROTOCOL)
        self._original = None
        self._masker.renew()
        out = Masked(self.filter.feed(data)) if data else _NOTHING
        if end_of_stream:
            rest = self.filter.finish()
            if rest:
                out = Masked(out + rest)
        if not self._watch.passes(out):
            raise Malformed(Reason.RESPONSE_CREDENTIAL)
        if self._second is not None:
            original = self._second.feed(data, end_of_stream=end_of_stream)
            self._original = self._renamed_original(original) if original.data != out else None
        return self._name.restore(out) if self._name is not None else out

    def _renamed_original(self, original: Unmasked) -> Unmasked:
        """Stands for what leaves, the model's name and all."""
        return Unmasked(self._name.restore(Masked(original.data))) if self._name is not None else original

    def judge(self, out: Masked, at: float) -> None:
        """Count what `feed` has just returned. Raises `Malformed(RESPONSE_RULE)` where a rule cuts the answer."""
        if self.watch is not None:
            self.watch.see(self.filter, self._masker.findings, out, at)

    def take_original(self) -> Unmasked | None:
        """What stands for the bytes that `feed` returned last where it is to be sealed, once; else None."""
        original, self._original = self._original, None
        return original

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        """The dialect's own error event, with which a running answer ends; empty where it has none."""
        self._original = None  # of what is not released
        return self.filter.cut(sentence, code, exchange_id) if self.filter else _NOTHING

    def queue(self, ticket: int, data: Masked, *, end_of_stream: bool) -> None:
        """The body goes on, behind its headers, once `ticket` is durable."""
        if not self.headers_queued:
            self.headers_queued = True
            self._outbox.put(ticket, ReleaseHeaders(self._mutation, end_of_stream=self.filter is None))
        if self.filter is not None:
            self._outbox.put(ticket, ReleaseBody(data, end_of_stream))

    def queue_trailers(self, ticket: int) -> None:
        self._outbox.put(ticket, ReleaseTrailers(HeaderMutation()))

    def release(self, ticket: int) -> list[Action]:
        """What may leave now that everything up to `ticket` is durable."""
        released = self._outbox.release(ticket)
        self.headers_released = self.headers_released or bool(released)
        return released

    def withhold(self) -> None:
        """Nothing of what waits ever leaves."""
        self._outbox.clear()
