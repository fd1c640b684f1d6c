"""How the log and its surroundings are judged: requirements 10 to 12."""

from collections.abc import Callable

from extproc.audit.evidence.requirement import Judgement, Requirement, Status, judged
from extproc.audit.evidence.subject import INSPECTION_DAYS, PROVEN, Subject
from extproc.audit.log.clock import Synchronised
from extproc.audit.settings import DirectoryStore, S3Store
from extproc.core.record import EventCode, Outcome

MONTHS_12_DAYS = 365
_GAP = "a gateway that an attacker controls can leave something out before it records"
_UNDECIDED = 2


def _recorded(*codes: EventCode, what: str, extra: tuple[str, ...] = ()) -> Callable[[Subject], Judgement]:
    """For kinds of events that must be in the log: shown by those of the period."""

    def judge(subject: Subject) -> Judgement:
        counts = {code: _without_abandoned(subject, code) for code in codes}
        facts: dict[str, str | int] = {code.value: count for code, count in counts.items()}
        if EventCode.REQUEST_REFUSE in codes:
            facts["not refused: the client left"] = subject.facts.abandoned
        return judged(
            (Status.ENFORCED, any(counts.values()) and subject.facts.incomplete == 0),
            (Status.SUPPORTED, subject.facts.records > 0),
            by=(what,),
            facts=facts,
            limits=extra if any(counts.values()) else (*extra, "no such event in the period"),
        )

    return judge


def _without_abandoned(subject: Subject, code: EventCode) -> int:
    """Where a client left before anything was let through, `request.refuse` is recorded, and nobody refused."""
    left = subject.facts.outcomes[code, Outcome.ABANDONED] if code is EventCode.REQUEST_REFUSE else 0
    return subject.facts.events[code] - left


def _active(subject: Subject) -> Judgement:
    alive = subject.count(EventCode.LOG_START, EventCode.LOG_HEARTBEAT)
    pauses = subject.count(EventCode.LOG_PAUSE)
    return judged(
        (Status.ENFORCED, alive > 0 and subject.verify_exit == PROVEN),
        (Status.SUPPORTED, alive > 0),
        by=("a request whose record is not durable is refused", "heartbeats while nothing happens"),
        facts={
            "starts": subject.count(EventCode.LOG_START),
            "heartbeats": subject.count(EventCode.LOG_HEARTBEAT),
            "pauses": pauses,
        },
        limits=(_GAP,),
    )


def _credentials(subject: Subject) -> Judgement:
    return judged(
        (Status.SUPPORTED, subject.count(EventCode.LOG_START, EventCode.ADMIN_KEY_ROTATE) > 0),
        by=("each start records the configuration's digest, each rotation of keys is a record",),
        facts={
            "configurations seen": len(subject.facts.configurations),
            "rotations of keys": subject.count(EventCode.ADMIN_KEY_ROTATE),
        },
        limits=("accounts and their rights are the identity provider's, and so are the records of their changes",),
    )


def _objects(subject: Subject) -> Judgement:
    administered = subject.facts.model_administration
    shreddings = subject.count(EventCode.ADMIN_SHRED, EventCode.ADMIN_SHRED_DONE)
    return judged(
        (Status.SUPPORTED, administered + shreddings + subject.count(EventCode.LOG_START) > 0),
        by=("requests that load, unload or change a model go through the same rules and records",),
        facts={"requests to administer models": administered, "records of shreddings": shreddings},
        limits=("what is done on the model server's host itself is recorded there",),
    )


def _fields(subject: Subject) -> Judgement:
    records, incomplete = subject.facts.records, subject.facts.incomplete
    return judged(
        (Status.ENFORCED, records > 0 and incomplete == 0),
        by=("a record without one of the six is not written, and its request is refused",),
        facts={"records": records, "with all six fields": records - incomplete},
    )


def _readable(subject: Subject) -> Judgement:
    return judged(
        (Status.SUPPORTED, subject.s3 and subject.facts.records > 0),
        by=("the store's own rights: a writer needs no right to read, a reader none to write",),
        facts={"readings recorded": subject.count(EventCode.AUDIT_READ)},
        limits=("the store's access rules are not looked at here",),
    )


def _locked(subject: Subject) -> Judgement:
    store, days = subject.settings.store, subject.inspected_days_ago()
    accepted = subject.facts.accepted
    locks = isinstance(store, S3Store) and not store.accept_no_object_lock and not accepted
    seen = subject.capabilities()
    passed = seen is not None and seen.immutable and days is not None and days <= INSPECTION_DAYS
    limits: tuple[str, ...] = (f"configured with the words: {accepted}",) if accepted else ()
    if isinstance(store, DirectoryStore):
        limits += ("a local directory is tamper-evident, not write-once: whoever owns the disk can delete",)
    elif not passed:
        limits += ("no inspection of the period shows that nobody can delete or replace evidence",)
    return judged(
        (Status.ENFORCED, locks and passed),
        (Status.SUPPORTED, locks),
        by=("S3 Object Lock in COMPLIANCE mode",) if locks else ("hash chain and signatures: changes are seen",),
        facts={"days since the newest inspection of the store": "not inspected" if days is None else days},
        limits=limits,
    )


def _prompt(subject: Subject) -> Judgement:
    lag, bound = subject.facts.lag_seconds_max, subject.settings.max_lag_seconds
    beats = subject.count(EventCode.LOG_HEARTBEAT)
    return judged(
        (Status.ENFORCED, subject.s3 and beats > 0 and lag <= bound),
        (Status.SUPPORTED, subject.s3),
        by=(f"`audit.max_lag` {bound:g}s: beyond it new requests are refused",),
        facts={"longest lag in a heartbeat, seconds": f"{lag:g}", "heartbeats": beats},
        limits=() if subject.s3 else ("a local directory is no central place",),
    )


def _unchanged(subject: Subject) -> Judgement:
    words = ("proven", "findings", "incomplete")
    return judged(
        (Status.ENFORCED, subject.verify_exit == PROVEN and subject.facts.records > 0),
        (Status.SUPPORTED, subject.verify_exit == _UNDECIDED and subject.facts.records > 0),
        by=("hash chain, signed manifests, registry of epochs; `extproc audit verify`",),
        facts={"verified now": words[subject.verify_exit], "heads remembered outside": _remembered(subject)},
        limits=()
        if subject.anchored
        else ("dropping the newest epochs together with their registry entries is seen only by an anchor outside",),
    )


def _remembered(subject: Subject) -> str | int:
    return len(subject.anchored.remembered.heads) if subject.anchored else "nobody was asked"


def _looked_at(subject: Subject) -> Judgement:
    failures = len(subject.facts.incidents.found)
    return judged(
        (Status.SUPPORTED, failures > 0 or subject.count(EventCode.AUDIT_READ) > 0),
        by=("control failures are records; `extproc audit list` filters refusals and findings",),
        facts={"control failures and pauses": failures, "readings recorded": subject.count(EventCode.AUDIT_READ)},
        limits=(
            "a daily automated review is not part of this service; records go to a SIEM by `extproc audit export`",
        ),
    )


def _kept(subject: Subject) -> Judgement:
    store = subject.settings.store
    locked = isinstance(store, S3Store) and not store.accept_no_object_lock
    days = store.retention_days
    lacking = subject.check_said("out_of_reach") + subject.check_said("unlocked")
    return judged(
        (Status.ENFORCED, locked and days >= MONTHS_12_DAYS and subject.facts.records > 0 and lacking == 0),
        (Status.SUPPORTED, days >= MONTHS_12_DAYS and lacking == 0),
        by=(f"retention {days}d" if locked else "nothing here deletes a record; nothing stops an administrator",),
        facts={
            "days that an object is kept": days if locked else "not enforced",
            "out of reach or unlocked at the newest retention check": lacking,
            "records": subject.facts.records,
        },
        limits=("storage classes that need hours to restore must not be used for the newest three months",),
    )


def _clock(subject: Subject) -> Judgement:
    reports = subject.facts.clock.reports
    right, wrong = reports[Synchronised.YES], reports.total() - reports[Synchronised.YES]
    refuses = subject.settings.refuse_unsynchronised_clock
    return judged(
        (Status.ENFORCED, refuses and right > 0 and wrong == 0),
        (Status.SUPPORTED, right > 0 and wrong == 0),
        by=(
            "`audit.refuse_unsynchronised_clock`" if refuses else "an unsynchronised clock is recorded, not refused",
            "the wall clock is held against the monotonic one and against the store's",
        ),
        facts={"reports of a synchronised clock": right, "other reports": wrong},
        limits=("time sources and their protection are the host's",),
    )


def _detected(subject: Subject) -> Judgement:
    found = subject.facts.incidents.found
    heard = subject.count(EventCode.LOG_HEARTBEAT, EventCode.LOG_START)
    return judged(
        (Status.ENFORCED, heard > 0 and bool(found)),
        (Status.SUPPORTED, heard > 0),
        by=("failures of the log, its store, its clock and its policy are recorded, and show in metrics and health",),
        facts={"failures and pauses": len(found)},
        limits=("who is alerted by those metrics is set elsewhere",),
    )


def _answered(subject: Subject) -> Judgement:
    found = subject.facts.incidents.found
    ended = sum(bool(each.end_ms) for each in found)
    return judged(
        (Status.SUPPORTED, bool(found) and ended == len(found)),
        (Status.SUPPORTED, not found and subject.facts.records > 0),
        by=("start, end, duration and cause are in this pack",),
        facts={"failures and pauses": len(found), "ended": ended, "open": len(found) - ended},
        limits=("remediation and what prevents another one are the deployment's to document",),
    )


def _weekly(subject: Subject) -> Judgement:
    return judged(
        (Status.SUPPORTED, subject.verify_exit == PROVEN),
        by=("`extproc audit verify`, run for this pack", "digests of program, configuration and policy at each start"),
        facts={"verified now": "yes" if subject.verify_exit == PROVEN else "no"},
        limits=("that it runs every week is set up elsewhere",),
    )


def _unexpected(subject: Subject) -> Judgement:
    found, shredded = sum(subject.facts.findings.values()), len(subject.facts.shredded)
    return judged(
        (Status.SUPPORTED, found + shredded > 0),
        by=("findings are counted by kind and person; `extproc audit shred` makes one transcript unreadable",),
        facts={"findings": found, "transcripts shredded by two people": shredded},
        limits=("the procedure for card data found where none should be is the deployment's",),
    )


LOG = (
    Requirement("10.2.1", "10.2", "The log is on, for every component and all card data", _active),
    Requirement(
        "10.2.1.1",
        "10.2.1",
        "Each person's access is recorded",
        _recorded(
            EventCode.INFERENCE_REQUEST,
            EventCode.INFERENCE_END,
            EventCode.INFERENCE_RECOVERED,
            EventCode.AUTH_LOGIN,
            EventCode.AUTH_LOGOUT,
            EventCode.AUTH_ISSUE,
            EventCode.SEALED_OPEN,
            what="a record of each request is durable before the model sees it",
        ),
    ),
    Requirement(
        "10.2.1.2",
        "10.2.2",
        "What administrators do is recorded",
        _recorded(
            EventCode.ADMIN_POLICY_CHANGE,
            EventCode.APPROVAL_DECIDE,
            EventCode.APPROVAL_REVOKE,
            EventCode.APPROVAL_EMERGENCY,
            EventCode.APPROVAL_REVIEW,
            EventCode.ADMIN_CONFIG_CHANGE,
            EventCode.ADMIN_CREDENTIAL_CHANGE,
            EventCode.ADMIN_BUDGET_RESET,
            EventCode.ADMIN_KEY_ROTATE,
            EventCode.ADMIN_NOTIFY_RETRY,
            EventCode.ADMIN_SESSIONS_END,
            EventCode.ADMIN_SHRED,
            EventCode.ADMIN_SHRED_DONE,
            what="changes of the policy and the configuration, decisions, rotations and shreddings are records",
            extra=("what is done on the host with a shell is recorded there",),
        ),
    ),
    Requirement(
        "10.2.1.3",
        "10.2.3",
        "Access to the log is recorded",
        _recorded(
            EventCode.AUDIT_READ,
            what="a reading is recorded before anything is shown",
            extra=("reading the store or a copy of it without `--config`, and proving it, leave no record here",),
        ),
    ),
    Requirement(
        "10.2.1.4",
        "10.2.4",
        "Attempts that were not allowed are recorded",
        _recorded(
            EventCode.AUTH_FAIL,
            EventCode.POLICY_DENY,
            EventCode.REQUEST_REFUSE,
            EventCode.PROXY_REPLY,
            EventCode.ADMIN_SHRED_REFUSED,
            EventCode.SEALED_OPEN_REFUSED,
            what="every refusal is a record, from a reserve when the disk is full",
        ),
    ),
    Requirement("10.2.1.5", "10.2.5", "Changes to identities and credentials are recorded", _credentials),
    Requirement(
        "10.2.1.6",
        "10.2.6",
        "Starting, stopping and pausing the log is recorded",
        _recorded(
            EventCode.LOG_START,
            EventCode.LOG_STOP,
            EventCode.LOG_PAUSE,
            EventCode.LOG_RESUME,
            EventCode.LOG_ADOPT,
            what="each epoch begins and ends with a record; an interrupted one is finished by another process",
        ),
    ),
    Requirement("10.2.1.7", "10.2.7", "Making and removing system objects is recorded", _objects),
    Requirement(
        "10.2.2", "10.3", "Every record says who, what, when, with what result, from where and on what", _fields
    ),
    Requirement("10.3.1", "10.5.1", "The log is read only by those whose job needs it", _readable),
    Requirement("10.3.2", "10.5.2", "The log cannot be modified", _locked),
    Requirement("10.3.3", "10.5.3", "The log is copied promptly to a central place that is hard to change", _prompt),
    Requirement("10.3.4", "10.5.5", "A change of the log is noticed", _unchanged),
    Requirement("10.4.1.1", "new", "The log is reviewed by automated means", _looked_at),
    Requirement("10.5.1", "10.7", "The log is kept for twelve months, three of them at hand", _kept),
    Requirement("10.6.1", "10.4", "Clocks are synchronized", _clock),
    Requirement("10.6.2", "10.4.1", "Systems have the correct and consistent time", _clock),
    Requirement("10.7.2", "10.8", "Failures of critical controls are detected and answered", _detected),
    Requirement("10.7.3", "10.8.1", "Such failures are documented with start, end and cause", _answered),
    Requirement("11.5.2", "11.5", "Changes of critical files are noticed, weekly at least", _weekly),
    Requirement("12.10.7", "new", "There is an answer to card data where none should be", _unexpected),
)
