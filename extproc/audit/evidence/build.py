"""Puts the pack together from what was counted and judged."""

from collections.abc import Mapping
from dataclasses import dataclass

from extproc.audit.evidence import rows
from extproc.audit.evidence.facts import Factors
from extproc.audit.evidence.limits import limits_of
from extproc.audit.evidence.pack import PACK_VERSION, ClockRow, FactorCounts, Pack, Store
from extproc.audit.evidence.rows import Clean
from extproc.audit.evidence.subject import PROVEN, Subject
from extproc.audit.verify.report import Report
from extproc.core.record import EventCode

EXIT_INCOMPLETE = 2


@dataclass(frozen=True, slots=True)
class Occasion:
    """Who made the pack and when; what was asked for. Unix milliseconds."""

    generated_ms: int
    generated_by: str
    program: str
    requested_from_ms: int
    requested_to_ms: int


def build_pack(subject: Subject, occasion: Occasion, report: Report, objects: Mapping[str, int], clean: Clean) -> Pack:
    """`objects`: how many the store lists, by plane. `clean` makes foreign text fit to be shown."""
    facts = subject.facts
    empty = facts.records == 0
    return Pack(
        version=PACK_VERSION,
        deployment=subject.settings.deployment,
        program=occasion.program,
        generated=rows.moment(occasion.generated_ms),
        generated_by=clean(occasion.generated_by),
        period=rows.span(facts.from_ms, facts.to_ms),
        requested=rows.span(occasion.requested_from_ms, occasion.requested_to_ms),
        empty=empty,
        exit_code=EXIT_INCOMPLETE
        if (empty or facts.problems) and subject.verify_exit == PROVEN
        else subject.verify_exit,
        not_read=tuple(map(clean, facts.problems[: rows.MAX_FINDINGS])),
        records=facts.records,
        records_incomplete=facts.incomplete,
        requirements=rows.requirements(subject, clean),
        proof=rows.proof(subject, report, clean),
        events=tuple(rows.event(facts, code, clean) for code in EventCode),
        refusals=rows.counts(facts.refusals, clean),
        abandoned=facts.abandoned,
        wait_over=facts.wait_over,
        access_to_log=rows.counts(facts.readers, clean),
        people=rows.counts(facts.people, clean),
        people_not_listed=facts.people.unnamed,
        decisions=rows.counts(facts.decisions, clean),
        incidents=rows.incidents(facts.incidents.found, clean),
        incidents_not_listed=facts.incidents.more,
        factors=_factors(facts.factors),
        keys=tuple(rows.key(each, subject.now_ms) for each in subject.keys),
        policy_in_force=subject.policy.digest,
        policies=rows.policies(facts, clean),
        masking=rows.masking(subject, clean),
        clock=ClockRow(
            reports={clean(name): count for name, count in sorted(facts.clock.reports.items())},
            error_ms_max=facts.clock.error_ms_max,
            step_ms_max=facts.clock.step_ms_max,
        ),
        retention_check=rows.note(facts.retention_check, clean),
        shreddings=rows.notes(facts.shreddings, clean),
        store=Store(
            settings=dict(subject.settings.store.words()),
            accepted=clean(facts.accepted),
            inspection=rows.note(facts.inspection, clean),
            shown=found.sentences() if (found := subject.capabilities()) is not None else (),
            objects=dict(objects),
            lag_seconds_max=facts.lag_seconds_max,
        ),
        limits=tuple(clean(sentence) for sentence in limits_of(subject)),
    )


def _factors(factors: Factors) -> FactorCounts:
    return FactorCounts(
        people=factors.people,
        several=factors.several,
        one=factors.one,
        not_said=factors.not_said,
        automated=factors.automated,
    )
