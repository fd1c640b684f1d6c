"""`evidence.html`: the pack for people. It prints, needs no colour and no script, and loads nothing."""

from collections.abc import Iterable
from importlib.resources import files
from xml.etree.ElementTree import Element

from extproc.audit.evidence.html import Content, document, element, items, section, table
from extproc.audit.evidence.pack import AnchorRow, Count, Note, Pack, RequirementRow, Sample, Span, Value
from extproc.audit.evidence.rows import KEY_HEADINGS, key_cells
from extproc.audit.keys.register import NOT_MET
from extproc.audit.reading.reader import time_text

_NONE = "none"
_A_MOMENT_MS = 100_000_000_000
"""1973 in Unix milliseconds: a larger number is a moment, a smaller one a length of time."""


def render_page(pack: Pack) -> bytes:
    """The whole page."""
    style = files("extproc.audit.evidence").joinpath("page.css").read_text("utf-8")
    return document(
        f"Evidence of {pack.deployment}",
        style,
        *_head(pack),
        _limits(pack),
        _requirements(pack),
        _proof(pack),
        _events(pack),
        _incidents(pack),
        _access(pack),
        _factors(pack),
        _keys(pack),
        _policies(pack),
        _masking(pack),
        _clock(pack),
        _store(pack),
        _retention(pack),
    )


def _head(pack: Pack) -> list[Content]:
    statuses = [row.status for row in pack.requirements]
    tally = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    told: list[Content] = [
        element("h1", f"Evidence of {pack.deployment}"),
        element("p", "For an assessment against PCI DSS v4.0.1; numbers of v3.2.1 stand beside."),
    ]
    if pack.empty:
        told.append(element("p", "No record was found in the period. This pack shows nothing.", css="alarm"))
    if pack.not_read:
        sentence = "Not every record could be read: every number may be too small."
        told.append(element("div", sentence, items(pack.not_read), css="alarm"))
    rows = [
        ("Period", _between(pack.period)),
        ("Asked for", _between(pack.requested)),
        ("Made", f"{pack.generated} by {pack.generated_by}, with {pack.program}"),
        ("Records in the period", str(pack.records)),
        ("The log in the period", verdict_of(pack)),
        ("Requirements", tally),
    ]
    return [*told, table((), rows, css="facts")]


def verdict_of(pack: Pack) -> str:
    """The verifier's answer with what decided it."""
    proof = pack.proof
    return f"{proof.verdict}: {proof.reason}" if proof.reason else proof.verdict


def _between(span: Span) -> str:
    return f"{span.start} up to {span.end}" if span.end else "nothing"


def _limits(pack: Pack) -> Element:
    return section("What this pack does not show", items(pack.limits))


def _label(name: str) -> str:
    """A name of a record's detail, in words."""
    return name.removesuffix("_ms").replace("_", " ")


def _said(name: str, value: Value) -> str:
    """Its value as people write it: yes and no, moments in UTC, lengths of time with their unit."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float() if name.endswith("_ms"):
            if not value:
                return _NONE
            return time_text(int(value)) if value >= _A_MOMENT_MS else f"{value:g} ms"
        case _:
            return str(value)


def _requirements(pack: Pack) -> Element:
    key = (
        "Enforced: the service made it so, and the period shows it at work. Supported: the service does its part, the "
        "rest is elsewhere or did not occur. Not proven: it rests on records, and the log does not hold. Not shown in "
        "this period: it has no record. Not covered: nothing here meets it. The wording is our own."
    )
    rows: list[tuple[Content, ...]] = [
        (row.number, row.old_number, row.title, _status(row.status), _grounds(row)) for row in pack.requirements
    ]
    return section(
        "Requirement by requirement",
        element("p", key),
        table(("v4.0.1", "v3.2.1", "About", "Status", "By what, and from which facts"), rows),
    )


def _status(status: str) -> Element:
    return element("strong", status, css=status.replace(" ", "-"))


def _grounds(row: RequirementRow) -> Element:
    facts = (f"{name}: {value}" for name, value in row.facts.items())
    return element(
        "div",
        items(row.by),
        element("p", "; ".join(facts), css="counted"),
        *(element("p", f"Limit: {limit}.", css="limit") for limit in row.limits),
    )


def _proof(pack: Pack) -> Element:
    proof = pack.proof
    rows = [
        ("Answer", verdict_of(pack)),
        ("Requested", _between(proof.requested)),
        ("Proven", "; ".join(_between(each) for each in proof.proven_spans) or _between(proof.proven)),
        ("Looked at", f"{proof.epochs} epoch(s), {proof.segments} segment(s), {proof.records} record(s)"),
        ("The log's first epoch was registered", proof.begins or "not known"),
        ("Findings, without what only tells", str(proof.findings_total)),
        ("Remembered outside of the store", _outside(proof.anchor)),
    ]
    rows_found = ((each.name, each.level, each.where, each.what) for each in proof.findings)
    findings = table(("Finding", "Weighs", "Where", "What"), rows_found)
    return section("Is the log whole?", table((), rows, css="facts"), *([findings] if proof.findings else []))


def _outside(anchor: AnchorRow | None) -> str:
    if anchor is None:
        return "nobody was asked"
    alarms = "; ".join(f"{each.name} {each.where} {each.what}" for each in anchor.open_alarms) or _NONE
    return f"{anchor.heads} head(s), by {anchor.name}, last co-signed {anchor.signed}; open alarms: {alarms}"


def _events(pack: Pack) -> Element:
    rows = ((each.event, str(each.count)) for each in pack.events)
    samples = [sample for each in pack.events for sample in each.samples]
    fields = ("Kind of event", "User", "Date and time", "Result", "Origin", "Affected", "Place in the log")
    return section(
        "What happened (10.2.1)",
        table(("Event", "Records"), rows),
        element("h3", "Samples, by the six things of 10.2.2"),
        table(fields, (_sample(sample) for sample in samples), css="samples"),
        element("h3", "Refused, by event and reason"),
        _counts(("Event", "Reason"), pack.refusals),
        element("p", f"Left by their clients before anything was let through, refused by nobody: {pack.abandoned}."),
        element("p", f"Held, undecided when the wait was over, and answered with a ticket: {pack.wait_over}."),
        element("h3", "Approvals, by who decided"),
        _counts(("Who", "Decision"), pack.decisions),
    )


def _sample(sample: Sample) -> list[Content]:
    six = (sample.event, sample.user, sample.time, sample.result, sample.origin, sample.affected)
    return [*(element("mark", each) for each in six), sample.place]


def _counts(headings: tuple[str, ...], counts: Iterable[Count]) -> Element:
    rows = [[*each.names, str(each.count)] for each in counts]
    return table((*headings, "Count"), rows) if rows else element("p", _NONE)


def _incidents(pack: Pack) -> Element:
    rows = [
        (
            each.control,
            each.writer,
            each.start or "before the period",
            each.end or "open",
            f"{each.duration_seconds:.3f}" if each.duration_seconds >= 0 else "not known",
            each.cause,
            each.ended_by,
            str(each.reports),
        )
        for each in pack.incidents
    ]
    headings = ("Control", "Writer", "Start", "End", "Seconds", "Cause", "Ended by", "Reports")
    more = [element("p", f"{pack.incidents_not_listed} more are not listed.")] if pack.incidents_not_listed else []
    return section(
        "Failures of controls, and pauses of the log (10.7)",
        table(headings, rows) if rows else element("p", _NONE),
        *more,
    )


def _access(pack: Pack) -> Element:
    more = [element("p", f"{pack.people_not_listed} exchanges of others.")] if pack.people_not_listed else []
    return section(
        "Access",
        element("h3", "To the log, by person (10.2.1.3)"),
        _counts(("Who", "Operation"), pack.access_to_log),
        element("h3", "To models, by caller"),
        _counts(("Who",), pack.people),
        *more,
    )


def _factors(pack: Pack) -> Element:
    factors = pack.factors
    share = f"{factors.several} of {factors.people}" if factors.people else "no exchange of a person"
    rows = [
        ("Exchanges of people with several factors", share),
        ("With one factor, or a method that is none of RFC 8176", str(factors.one)),
        ("Whose token names no method", str(factors.not_said)),
        ("Exchanges of programs (subject and client are the same), not counted", str(factors.automated)),
    ]
    return section("Authentication with several factors (8.4.2)", table((), rows, css="facts"))


def _keys(pack: Pack) -> Element:
    notes = [element("p", NOT_MET, css="limit")] if any(each.falls_short for each in pack.keys) else []
    return section("Keys (3.7.4)", table(KEY_HEADINGS, map(key_cells, pack.keys)), *notes)


def _policies(pack: Pack) -> Element:
    rows = [(each.digest, each.first, each.last, str(each.records)) for each in pack.policies]
    return section(
        "Policies in force",
        element("p", f"The policy file now: {pack.policy_in_force}"),
        table(("Digest", "First seen", "Last seen", "Records"), rows) if rows else element("p", _NONE),
    )


def _masking(pack: Pack) -> Element:
    masking = pack.masking
    rows = [
        ("Profile", masking.profile),
        ("Styles other than labels", ", ".join(f"{what}: {style}" for what, style in masking.styles.items()) or _NONE),
        ("Catalogues, rules of its own", f"{', '.join(masking.catalogues) or _NONE}; {masking.own_rules}"),
        ("Images, sound and files", masking.media),
    ]
    tested = (
        (
            each.name,
            each.expected or "nothing",
            ", ".join(each.found) or "nothing",
            "right" if each.right else element("strong", "wrong"),
        )
        for each in masking.self_test
    )
    return section(
        "Masking",
        table((), rows, css="facts"),
        element("h3", "Found and taken out"),
        _counts(("Kind", "In the"), masking.findings),
        element("h3", "Let through without being looked into"),
        _counts(("Kind",), masking.not_inspected),
        element("h3", "Fields taken out of requests"),
        _counts(("Field",), masking.stripped),
        element("h3", "Self-test of the detectors, now"),
        table(("Case", "Expected", "Found", "Answer"), tested),
    )


def _clock(pack: Pack) -> Element:
    rows = [
        *((f"Starts and heartbeats that say: {what}", str(count)) for what, count in pack.clock.reports.items()),
        ("Largest error that the kernel estimated, ms", f"{pack.clock.error_ms_max:g}"),
        ("Largest step between two heartbeats, ms", str(pack.clock.step_ms_max)),
    ]
    return section("Clocks (10.6)", table((), rows, css="facts"))


def _store(pack: Pack) -> Element:
    store = pack.store
    rows = [
        *((f"Setting: {_label(name)}", _said(name, value)) for name, value in store.settings.items()),
        *((f"Objects: {plane}", str(count)) for plane, count in store.objects.items()),
        ("Longest lag in a heartbeat, seconds", f"{store.lag_seconds_max:g}"),
        ("Accepted in words", store.accepted or "nothing"),
    ]
    inspected = _note(store.inspection) if store.inspection else element("p", "Not inspected in the period.")
    return section(
        "The store (10.3, 10.5)",
        table((), rows, css="facts"),
        element("h3", "Inspection"),
        *(element("p", sentence) for sentence in store.shown),
        inspected,
    )


def _retention(pack: Pack) -> Element:
    check = _note(pack.retention_check) if pack.retention_check else element("p", "No check in the period.")
    rows = [
        (
            each.time,
            each.event,
            each.person,
            ", ".join(f"{_label(name)} {_said(name, value)}" for name, value in each.said.items()),
        )
        for each in pack.shreddings
    ]
    return section(
        "Retention (3.2.1)",
        element("h3", "Newest check"),
        check,
        element("h3", "Shreddings"),
        table(("Time", "Event", "Who", "What is said"), rows) if rows else element("p", _NONE),
    )


def _note(note: Note) -> Element:
    rows = [
        ("When, by whom", f"{note.time}, {note.person}"),
        ("Place in the log", note.place),
        *((_label(name), _said(name, value)) for name, value in note.said.items()),
    ]
    return table((), rows, css="facts")
