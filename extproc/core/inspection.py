"""A whole request, looked into: what the policy may judge, and its masked form. Pure; raises `Malformed`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from extproc.core.actions import HeaderMutation
from extproc.core.connections import Candidates
from extproc.core.dialects.form import FormRequest
from extproc.core.dialects.model_names import rename_request, sent_model
from extproc.core.dialects.request import ParsedRequest, needs_body, parse_request
from extproc.core.dialects.routing import path_model, rename_model
from extproc.core.forwarding import mutate_request
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.masking.aliases import Aliases
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Kind, Side
from extproc.core.policy import DecisionInput, Facts, Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.record import OPAQUE_REQUEST
from extproc.core.snapshot import Connection, Snapshot
from extproc.core.timing import Lap, no_lap
from extproc.core.trust import Masked, Uninspected


@dataclass(frozen=True, slots=True)
class WholeRequest:
    """Nothing more of it will come, and its caller is known.

    `candidates` are the model servers that its host and path leave, of which its model chooses one.
    """

    principal: Principal
    candidates: Candidates
    operation: Operation
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    now_unix: float
    source_address: str


@dataclass(frozen=True, slots=True)
class Inspected:
    """A request as one scanner sees and masks it. `aliases` name what is masked; `body` is None where there is none."""

    request: WholeRequest
    connection: Connection
    scanner: Scanner
    aliases: Aliases = field(repr=False)
    parsed: ParsedRequest | FormRequest | None
    facts: Facts
    body: Masked | None = field(repr=False)
    changed: bool
    stripped: tuple[str, ...]
    not_inspected: dict[str, int]
    mutation: HeaderMutation = field(repr=False)
    findings: Mapping[str, int]
    holds_pan: bool
    """In its body."""
    opaque: Uninspected | None = field(default=None, repr=False)
    """Instead of `body`: what arrived, where the connection lets it through unread."""
    model_sent: str = ""
    """What the model is called on the server, where that is another name than the client's."""

    def named(self, body: Masked) -> Masked:
        """A masked form of the body as the server is to read it: with its own name of the model."""
        return rename_request(self.parsed, body, self.model_sent) if self.parsed and self.model_sent else body

    def given(self) -> DecisionInput:
        """What the decision looks at, but for what is counted elsewhere."""
        request = self.request
        return DecisionInput(
            principal=request.principal,
            connection=self.connection.name,
            operation=request.operation,
            facts=self.facts,
            findings=self.findings,
            now_unix=request.now_unix,
            source_address=request.source_address,
        )


def carries_finding(scanner: Scanner, text: str) -> bool:
    return bool(scanner.masker().mask_text(text) != text)


def inspect(
    snapshot: Snapshot, request: WholeRequest, scanner: Scanner, aliases: Aliases, lap: Lap = no_lap
) -> Inspected:
    """Parse and mask it, body and headers. Raises `Malformed` for what cannot be judged or must not go on.

    `lap` hears when it is parsed (`parse`) and masked (`mask`).
    """
    masker, limits = scanner.masker(Side.REQUEST, aliases), snapshot.limits_of(request.candidates.first)
    parsed: ParsedRequest | FormRequest | None = None
    facts, masked, changed = Facts(), None, False
    stripped: tuple[str, ...] = ()
    not_inspected: dict[str, int] = {}
    body, headers = request.body, request.headers
    opaque = Uninspected(body) if (request.operation, Side.REQUEST) in request.candidates.first.opaque else None
    if opaque is not None:
        facts, not_inspected = Facts(body_bytes=len(body)), {OPAQUE_REQUEST: 1} if body else {}
    elif body or needs_body(request.operation):
        parsed = parse_request(request.operation, headers.content_type(), body, limits, scanner.settings.media)
        lap("parse")
        facts, not_inspected = parsed.facts, parsed.not_inspected
        if carries_finding(scanner, facts.model):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
        form = parsed.mask(masker)
        masked, stripped, changed = form.body, form.stripped, form.changed
    holds_pan = masked is not None and masker.findings.get(Kind.PAN, 0) > 0
    facts = _recordable(_with_model(facts, path_model(request.candidates.path)), scanner)
    connection = request.candidates.of_model(facts.model)
    sent = sent_model(connection, request.operation, facts.model)
    inspected = Inspected(
        request=request,
        connection=connection,
        scanner=scanner,
        aliases=aliases,
        parsed=parsed,
        facts=facts,
        body=masked,
        changed=changed,
        stripped=stripped,
        not_inspected=not_inspected,
        mutation=mutate_request(headers, connection, masker, snapshot.forward_baggage),
        findings=dict(masker.findings),
        holds_pan=holds_pan,
        opaque=opaque,
        model_sent="" if sent == facts.model else sent,
    )
    if inspected.model_sent:
        inspected = _renamed(inspected)
    lap("mask")
    return inspected


def _renamed(inspected: Inspected) -> Inspected:
    """Going on under the server's name of the model, in body and path. The rest of the path, and the query, stay."""
    request, mutation = inspected.request, inspected.mutation
    path = request.candidates.path
    if path_model(path):
        _, question, query = (request.headers.get(":path") or b"").partition(b"?")
        target = inspected.connection.path_prefix.rstrip("/") + rename_model(path, inspected.model_sent)
        mutation = replace(mutation, set=(*mutation.set, (":path", target.encode() + question + query)))
    if inspected.body is None:
        return replace(inspected, mutation=mutation)
    return replace(inspected, mutation=mutation, body=inspected.named(inspected.body), changed=True)


def _with_model(facts: Facts, named: str) -> Facts:
    """The facts, with the model that the path names. A body that names another is refused."""
    if not named or facts.model == named:
        return facts
    if facts.model:
        raise Malformed(Reason.BODY_MALFORMED)
    return replace(facts, model=named)


def _recordable(facts: Facts, scanner: Scanner) -> Facts:
    """What the decision sees of names, the record keeps: masked both times."""
    if not facts.tool_names:
        return facts
    masker = scanner.masker()
    return replace(facts, tool_names=tuple(map(masker.mask_text, facts.tool_names)))
