"""From counters to the pack's rows. Every text from a token, a request or an object's name goes through `clean`."""

from collections import Counter
from collections.abc import Callable, Iterable

from extproc.audit.evidence.facts import Facts
from extproc.audit.evidence.incidents import Incident
from extproc.audit.evidence.pack import (
    AnchorRow,
    Count,
    EventRow,
    Finding,
    IncidentRow,
    KeyRow,
    Masking,
    Note,
    PolicyRow,
    Proof,
    RequirementRow,
    Sample,
    Span,
)
from extproc.audit.evidence.requirements import REQUIREMENTS
from extproc.audit.evidence.subject import PROVEN, Subject
from extproc.audit.keys.register import KeyFact, state_of
from extproc.audit.reading.reader import Evidence, time_text
from extproc.audit.verify.anchored import Anchored
from extproc.audit.verify.findings import Name
from extproc.audit.verify.report import Report
from extproc.core.record import EventCode

Clean = Callable[[str], str]
"""Foreign text as it may be shown: masked, and in one line."""
VERDICTS = ("proven", "not proven: findings", "incomplete")
MAX_FINDINGS = 500
"""Of the verifier, in the pack; `extproc audit verify` prints them all."""


def moment(time_ms: int) -> str:
    """UTC to the millisecond, or empty for 0."""
    return time_text(time_ms) if time_ms else ""


def span(from_ms: int, to_ms: int) -> Span:
    return Span(start=moment(from_ms), end=moment(to_ms))


def requirements(subject: Subject, clean: Clean) -> tuple[RequirementRow, ...]:
    """Every row of the table, judged."""
    found = []
    for each in REQUIREMENTS:
        judgement = each.answer(subject)
        row = RequirementRow(
            number=each.number,
            old_number=each.old,
            title=each.title,
            status=judgement.status,
            by=judgement.by,
            facts=dict(judgement.facts),
            limits=tuple(map(clean, judgement.limits)),
        )
        found.append(row)
    return tuple(found)


def proof(subject: Subject, report: Report, clean: Clean) -> Proof:
    facts, spans = subject.facts, report.spans()
    findings = [
        Finding(name=str(each.name), where=clean(each.where), what=clean(each.told), level=each.level.name.lower())
        for each in report.findings[:MAX_FINDINGS]
    ]
    return Proof(
        exit_code=report.exit_code,
        verdict=VERDICTS[report.exit_code],
        reason=clean(_reason(report)),
        begins=moment(report.begins_ms),
        requested=span(facts.from_ms, facts.to_ms),
        proven=span(spans[0][0], spans[-1][1]) if spans else Span(),
        proven_spans=tuple(span(*each) for each in spans[:MAX_FINDINGS]),
        epochs=report.epochs,
        segments=report.segments,
        records=report.records,
        findings=tuple(findings),
        findings_total=report.against,
        anchor=_anchor(subject.anchored, clean),
    )


def _reason(report: Report) -> str:
    """What decided the answer, in words."""
    weighty = [each for each in report.findings if each.level is report.worst]
    if report.exit_code == PROVEN or not weighty:
        return ""
    begin = report.asked.from_ms
    if begin is not None and report.begins_ms > begin and report.against == 1 and weighty[0].name is Name.SHORT:
        return (
            f"the log begins at {moment(report.begins_ms)}; it is proven from {moment(report.first_ms)} on, "
            "and of the time before nothing is there to prove"
        )
    names = Counter(str(each.name) for each in weighty)
    return ", ".join(f"{count} {name}" for name, count in names.items()) + f"; the first: {weighty[0].what}"


def _anchor(anchored: Anchored | None, clean: Clean) -> AnchorRow | None:
    if anchored is None:
        return None
    alarms = sorted(anchored.open_alarms.items())
    return AnchorRow(
        name=clean(anchored.name),
        signed=moment(anchored.seconds * 1000),
        heads=len(anchored.remembered.heads),
        open_alarms=tuple(Finding(name=name, where=clean(where), what=clean(what)) for (name, where), what in alarms),
    )


def event(facts: Facts, code: EventCode, clean: Clean) -> EventRow:
    samples = tuple(_sample(item, clean) for item in facts.samples.get(code, ()))
    return EventRow(event=code.value, count=facts.events[code], samples=samples)


def _sample(item: Evidence, clean: Clean) -> Sample:
    record, resource = item.record, item.record.resource
    result = [record.status.value, record.status_detail, str(record.http_status or "")]
    affected = [resource.connection, resource.operation, resource.protocol, resource.model]
    return Sample(
        place=item.receipt,
        user=clean(f"{record.actor.uid} ({record.actor.name})" if record.actor.name else record.actor.uid),
        event=record.event_code.value,
        time=moment(record.time_ms),
        result=clean(" ".join(filter(None, result))),
        origin=clean(record.src_address),
        affected=clean(" ".join(filter(None, affected))),
    )


def counts(tally: Iterable[tuple[str | tuple[str, ...], int]], clean: Clean) -> tuple[Count, ...]:
    """In the tally's order."""
    return tuple(
        Count(names=tuple(map(clean, (names,) if isinstance(names, str) else names)), count=count)
        for names, count in tally
    )


def incidents(found: Iterable[Incident], clean: Clean) -> tuple[IncidentRow, ...]:
    """By their beginnings."""
    rows = []
    for each in sorted(found, key=lambda each: (each.start_ms or each.end_ms, each.control, each.writer)):
        duration_ms = each.duration_ms
        row = IncidentRow(
            control=clean(each.control),
            writer=each.writer,
            cause=clean(each.cause),
            start=moment(each.start_ms),
            end=moment(each.end_ms),
            duration_seconds=-1.0 if duration_ms is None else duration_ms / 1000,
            ended_by=("its process ended" if each.with_epoch else "restored") if each.end_ms else "",
            reports=each.reports,
        )
        rows.append(row)
    return tuple(rows)


def key(fact: KeyFact, now_ms: int) -> KeyRow:
    return KeyRow(
        id=fact.id,
        purpose=fact.purpose,
        algorithm=fact.algorithm,
        provider=fact.provider,
        created=moment(fact.created_ms),
        expires=moment(fact.expires_ms),
        state=state_of(fact, now_ms),
        falls_short=fact.falls_short,
    )


KEY_HEADINGS = ("Purpose", "State", "Algorithm", "Provider", "Created", "Cryptoperiod ends", "Key")


def key_cells(row: KeyRow) -> tuple[str, ...]:
    """Under `KEY_HEADINGS`."""
    return (row.purpose, row.state, row.algorithm, row.provider, row.created, row.expires, row.id)


def policies(facts: Facts, clean: Clean) -> tuple[PolicyRow, ...]:
    """By when they were first seen."""
    return tuple(
        PolicyRow(digest=clean(digest), first=moment(seen.first_ms), last=moment(seen.last_ms), records=seen.count)
        for digest, seen in sorted(facts.policies.items(), key=lambda item: (item[1].first_ms, item[0]))
    )


def masking(subject: Subject, clean: Clean) -> Masking:
    settings, facts = subject.policy.masking, subject.facts
    sides = (("request", settings.request_styles), ("response", settings.response_styles))
    return Masking(
        profile=settings.profile,
        styles={f"{kind}, {side}": style.value for side, styles in sides for kind, style in sorted(styles.items())},
        media=settings.media.value,
        catalogues=settings.catalogues,
        own_rules=len(settings.rules),
        findings=counts(sorted(facts.findings.items()), clean),
        not_inspected=counts(facts.not_inspected, clean),
        stripped=counts(facts.stripped, clean),
        self_test=subject.self_test,
    )


def note(item: Evidence | None, clean: Clean) -> Note | None:
    """One record, with what it says."""
    if item is None:
        return None
    record = item.record
    said = {clean(name): clean(value) if isinstance(value, str) else value for name, value in record.detail.items()}
    return Note(
        time=moment(record.time_ms),
        event=record.event_code.value,
        person=clean(record.actor.uid),
        place=item.receipt,
        said=said,
    )


def notes(items: Iterable[Evidence], clean: Clean) -> tuple[Note, ...]:
    found = (note(item, clean) for item in sorted(items, key=lambda item: (item.record.time_ms, item.origin, item.seq)))
    return tuple(each for each in found if each is not None)
