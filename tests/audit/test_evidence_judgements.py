"""Each status of a requirement follows from facts: change one, and the status changes. Nothing passes by itself."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from extproc.audit.anchor.head import AlarmName
from extproc.audit.evidence.facts import Facts
from extproc.audit.evidence.limits import limits_of
from extproc.audit.evidence.requirement import Status
from extproc.audit.evidence.requirements import REQUIREMENTS
from extproc.audit.evidence.self_test import run_self_test
from extproc.audit.evidence.subject import Listener, Subject
from extproc.audit.keys.register import DAY_MS, KeyFact, Provider, Purpose
from extproc.audit.names import Origin
from extproc.audit.reading.reader import Evidence
from extproc.audit.settings import NO_OBJECT_LOCK_SENTENCE, AuditSettings, DirectoryStore, S3Store
from extproc.audit.stores.inspect import MEANINGS, Finding, Inspection, Result, Rule
from extproc.audit.verify.anchored import Anchored
from extproc.audit.verify.remembered import Remembered
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings, Style
from extproc.core.policy import Effect, HoldTerms, Match, Policy
from extproc.core.policy import Rule as PolicyRule
from extproc.core.record import Actor, ApprovalRef, EventCode, Outcome, PolicyRef, Record, Resource

NOW = 100 * DAY_MS
JUDGES = {each.number: each.judge for each in REQUIREMENTS}
ORIGIN = Origin("test", "worker-0", "20260101T000000Z-00000000000000aa")
ANALYSTS = PolicyRule("analysts", Effect.ALLOW, Match(groups=("analysts",)), "", None)
HELD = PolicyRule("held", Effect.HOLD, Match(groups=("interns",)), "", HoldTerms(("leads",), 1.0, 1.0, detach=True))
ADA = Actor(uid="https://idp|ada", client="console", methods=("mfa",))


def happened(code: EventCode, *, days_ago: float = 1.0, actor: Actor = ADA, **fields: object) -> Record:
    return Record(
        event_code=code,
        time_ms=int(NOW - days_ago * DAY_MS),
        actor=actor,
        status=fields.pop("status", Outcome.SUCCEEDED),
        src_address="192.0.2.7",
        resource=Resource(connection="llama", operation="chat", protocol="HTTP/1.1"),
        **fields,
    )


REQUEST = happened(EventCode.INFERENCE_REQUEST, policy=PolicyRef(digest="d", effect="allow", rule="analysts"))
BEAT = happened(EventCode.LOG_HEARTBEAT, detail={"clock": "synchronised", "store_lag_seconds": 3.0})
LATE_BEAT = happened(EventCode.LOG_HEARTBEAT, detail={"clock": "unsynchronised", "store_lag_seconds": 901.0})
FAILED = happened(EventCode.CONTROL_FAILURE, status=Outcome.FAILED, detail={"control": "audit_store"}, days_ago=2)
RESTORED = happened(EventCode.CONTROL_RESTORED, detail={"control": "audit_store"}, days_ago=1)


def inspected(*broken: Rule, days_ago: float = 1.0) -> Record:
    found = [Finding(rule, Result.NOT_ENFORCED if rule in broken else Result.ENFORCED) for rule in MEANINGS]
    return happened(EventCode.STORE_INSPECT, days_ago=days_ago, detail=Inspection("s3", "place", tuple(found)).detail())


def key(purpose: Purpose = Purpose.SIGNING, provider: Provider = Provider.KMS, *, days: int = 10) -> KeyFact:
    return KeyFact(
        id=f"{purpose}-{days}",
        purpose=purpose,
        algorithm="a",
        provider=provider,
        created_ms=NOW - DAY_MS,
        expires_ms=NOW + days * DAY_MS,
    )


def retired(fact: KeyFact) -> KeyFact:
    return msgspec.structs.replace(fact, active=False)


def subject(*records: Record, **changes: object) -> Subject:
    """A deployment on S3 with keys in a KMS, in which `records` happened."""
    facts = Facts(0, NOW)
    for seq, record in enumerate(records, 1):
        facts.add(Evidence(ORIGIN, seq, 1, record, b""))
    settings = AuditSettings("test", Path("spool"), Path("keys"), S3Store("bucket"))
    masking = MaskingSettings()
    return replace(
        Subject(
            facts=facts,
            settings=settings,
            policy=Policy("sha256:d", "test", (ANALYSTS,), masking),
            listener=Listener(tls=True, client_certificates=False),
            keys=(key(), key(Purpose.CONTENT)),
            self_test=SELF_TEST,
            verify_exit=0,
            now_ms=NOW,
        ),
        **changes,
    )


SELF_TEST = run_self_test(Scanner(MaskingSettings()))
MISSED = tuple(msgspec.structs.replace(answer, right=False) for answer in SELF_TEST)


def on(store: object = None, **changes: object) -> AuditSettings:
    return replace(AuditSettings("test", Path("spool"), Path("keys"), store or S3Store("bucket")), **changes)


def policy(*rules: PolicyRule, **masking: object) -> Policy:
    return Policy("sha256:d", "test", rules, MaskingSettings(**masking))


def approval(state: str) -> Record:
    return happened(EventCode.APPROVAL_DECIDE, approval=ApprovalRef(id="a", state=state))


OPEN_TO_ALL = PolicyRule("all", Effect.ALLOW, Match(), "", None)
CASES = [
    ("3.2.1", subject(REQUEST), "not covered"),
    ("3.2.1", subject(happened(EventCode.AUDIT_RETENTION_CHECK, detail={"over_age": 0})), "supported"),
    ("3.2.1", subject(happened(EventCode.AUDIT_RETENTION_CHECK, detail={"over_age": 1})), "not covered"),
    ("3.2.1", subject(happened(EventCode.AUDIT_RETENTION_CHECK, detail={"over_age": 0}, days_ago=93)), "not covered"),
    ("3.3.1", subject(REQUEST), "enforced"),
    ("3.3.1", subject(), "supported"),
    ("3.3.1", subject(REQUEST, self_test=MISSED), "not covered"),
    ("3.3.1.2", subject(REQUEST, happened(EventCode.INFERENCE_END, not_inspected={"image": 1})), "supported"),
    ("3.4.1", subject(REQUEST), "enforced"),
    ("3.4.1", subject(REQUEST, self_test=()), "not covered"),
    ("3.5.1", subject(REQUEST), "enforced"),
    ("3.5.1.1", subject(REQUEST), "enforced"),
    ("3.5.1.1", subject(REQUEST, policy=policy(ANALYSTS, request_styles={"pan": Style.TOKEN})), "not covered"),
    (
        "3.5.1.1",
        subject(REQUEST, policy=policy(ANALYSTS, request_styles={"pan": Style.TOKEN}), keys=(key(Purpose.MASK),)),
        "enforced",
    ),
    ("3.6.1.2", subject(), "enforced"),
    ("3.6.1.2", subject(keys=(key(), key(Purpose.CONTENT, Provider.FILE))), "not covered"),
    ("3.6.1.2", subject(keys=(key(), key(Purpose.CONTENT), key(Purpose.MASK, Provider.FILE))), "not covered"),
    ("3.6.1.2", subject(keys=(key(), key(Purpose.CONTENT), key(Purpose.DIGEST, Provider.FILE))), "enforced"),
    ("3.6.1.2", subject(keys=(key(), retired(key(Purpose.CONTENT, Provider.FILE)))), "not covered"),
    ("3.6.1.2", subject(keys=(key(), retired(key(Purpose.SIGNING, Provider.FILE)))), "enforced"),
    ("3.6.1.2", subject(keys=()), "not covered"),
    ("3.7.4", subject(), "enforced"),
    ("3.7.4", subject(keys=(key(days=0),)), "not covered"),
    ("3.7.4", subject(keys=()), "not covered"),
    ("4.2.1", subject(), "supported"),
    ("4.2.1", subject(listener=Listener(tls=False, client_certificates=False)), "not covered"),
    ("7.2.1", subject(REQUEST), "enforced"),
    ("7.2.1", subject(), "supported"),
    ("7.2.1", subject(REQUEST, policy=policy()), "not covered"),
    ("7.2.3", subject(approval("granted"), policy=policy(ANALYSTS, HELD)), "enforced"),
    ("7.2.3", subject(approval("refused"), policy=policy(ANALYSTS, HELD)), "supported"),
    ("7.2.3", subject(REQUEST), "not covered"),
    ("7.3.3", subject(REQUEST), "enforced"),
    ("7.3.3", subject(REQUEST, policy=policy(OPEN_TO_ALL)), "not covered"),
    ("8.2.1", subject(REQUEST), "enforced"),
    ("8.2.1", subject(REQUEST, msgspec.structs.replace(REQUEST, actor=Actor(uid="anonymous"))), "not covered"),
    ("8.4.1", subject(REQUEST), "not covered"),
    ("8.4.2", subject(REQUEST), "supported"),
    ("8.4.2", subject(REQUEST, msgspec.structs.replace(REQUEST, actor=Actor(uid="https://idp|bob"))), "not covered"),
    ("8.4.2", subject(), "not covered"),
    ("10.2.1", subject(BEAT), "enforced"),
    ("10.2.1", subject(BEAT, verify_exit=1), "supported"),
    ("10.2.1.1", subject(REQUEST), "enforced"),
    ("10.2.1.1", subject(BEAT), "supported"),
    ("10.2.1.1", subject(), "not covered"),
    ("10.2.2", subject(REQUEST), "enforced"),
    ("10.2.2", subject(REQUEST, msgspec.structs.replace(REQUEST, src_address="")), "not covered"),
    ("10.3.2", subject(inspected()), "enforced"),
    ("10.3.2", subject(), "supported"),
    ("10.3.2", subject(inspected(Rule.SHORTEN)), "supported"),
    ("10.3.2", subject(inspected(days_ago=93)), "supported"),
    ("10.3.2", subject(inspected(days_ago=2), inspected(Rule.SHORTEN)), "supported"),
    ("10.3.2", subject(inspected(), settings=on(DirectoryStore(Path("store")))), "not covered"),
    (
        "10.3.2",
        subject(inspected(), settings=on(S3Store("bucket", accept_no_object_lock=NO_OBJECT_LOCK_SENTENCE))),
        "not covered",
    ),
    (
        "10.3.2",
        subject(inspected(), happened(EventCode.LOG_START, detail={"accept_no_object_lock": NO_OBJECT_LOCK_SENTENCE})),
        "not covered",
    ),
    ("10.3.3", subject(BEAT), "enforced"),
    ("10.3.3", subject(BEAT, LATE_BEAT), "supported"),
    ("10.3.3", subject(BEAT, settings=on(DirectoryStore(Path("store")))), "not covered"),
    ("10.3.4", subject(BEAT), "enforced"),
    ("10.3.4", subject(BEAT, verify_exit=1), "not covered"),
    ("10.3.4", subject(BEAT, verify_exit=2), "supported"),
    ("10.5.1", subject(BEAT), "enforced"),
    ("10.5.1", subject(BEAT, settings=on(DirectoryStore(Path("store")))), "supported"),
    ("10.5.1", subject(BEAT, settings=on(S3Store("bucket", retention_days=30))), "not covered"),
    ("10.5.1", subject(happened(EventCode.AUDIT_RETENTION_CHECK, detail={"unlocked": 1})), "not covered"),
    ("10.6.1", subject(BEAT), "supported"),
    ("10.6.1", subject(BEAT, settings=on(refuse_unsynchronised_clock=True)), "enforced"),
    ("10.6.1", subject(BEAT, LATE_BEAT, settings=on(refuse_unsynchronised_clock=True)), "not covered"),
    ("10.7.2", subject(BEAT), "supported"),
    ("10.7.2", subject(BEAT, FAILED), "enforced"),
    ("10.7.3", subject(FAILED, RESTORED), "supported"),
    ("10.7.3", subject(FAILED), "not covered"),
    ("11.5.2", subject(verify_exit=2), "not covered"),
]


@pytest.mark.parametrize(("number", "given", "status"), CASES, ids=[f"{at}-{case[0]}" for at, case in enumerate(CASES)])
def test_a_status_follows_from_the_facts(number: str, given: Subject, status: str) -> None:
    assert JUDGES[number](given).status == status


def test_no_requirement_says_enforced_where_nothing_was_seen_and_nothing_holds() -> None:
    bare = subject(
        policy=policy(OPEN_TO_ALL),
        keys=(),
        self_test=(),
        verify_exit=2,
        settings=on(DirectoryStore(Path("store")), content_retention_days=1),
        listener=Listener(tls=False, client_certificates=False),
    )
    said = {number: judge(bare).status.value for number, judge in JUDGES.items()}
    assert [number for number, status in said.items() if status == "enforced"] == []


SHOWN = {Status.ENFORCED, Status.SUPPORTED}


def anchored(alarm: str) -> Anchored:
    return Anchored("anchor.test", Remembered({}), 0, {(alarm, "test"): "what it saw"})


@pytest.mark.parametrize(
    "changes",
    [{"verify_exit": 1}, {"anchored": anchored(AlarmName.MEMORY_ROLLED_BACK)}],
    ids=["a finding", "an open alarm"],
)
def test_what_rests_on_records_is_not_shown_by_a_log_that_does_not_hold(changes: dict[str, object]) -> None:
    doubted = subject(REQUEST, BEAT, FAILED, RESTORED, inspected(), **changes)
    answers = {each.number: each.answer(doubted) for each in REQUIREMENTS}
    assert {each.number for each in REQUIREMENTS if answers[each.number].status in SHOWN} == {
        "3.6.1.1", "3.6.1.2", "3.7.4", "3.7.5", "4.2.1"
    }  # fmt: skip
    assert answers["10.2.1.1"].status is Status.NOT_PROVEN
    assert answers["10.2.1.1"].limits[0].endswith("what records say is not proven")


def test_a_silent_writer_and_an_incomplete_proof_leave_records_what_they_are() -> None:
    for changes in ({"anchored": anchored(AlarmName.SILENT)}, {"verify_exit": 2}):
        quiet = subject(REQUEST, **changes)
        assert {each.answer(quiet).status for each in REQUIREMENTS} == {*SHOWN, Status.NOT_COVERED}


def test_an_opening_that_was_another_approval_is_not_counted() -> None:
    opened = [happened(EventCode.APPROVAL_OPEN, status=Outcome.HELD) for _ in range(3)]
    instead = {"instead_of": "apr-1"}
    attached = happened(EventCode.APPROVAL_ATTACH, detail=instead)
    left = happened(EventCode.APPROVAL_WITHDRAW, status=Outcome.ABANDONED, detail=instead)
    by_ticket = happened(EventCode.APPROVAL_ATTACH)
    assert JUDGES["7.2.3"](subject(*opened, attached, left, by_ticket)).facts["opened"] == 1


def test_a_period_without_records_shows_nothing() -> None:
    assert {each.answer(subject()).status for each in REQUIREMENTS} == {Status.NOT_SHOWN, Status.NOT_COVERED}


def test_numbers_and_facts_are_there_for_every_requirement() -> None:
    for judge in JUDGES.values():
        judgement = judge(subject(REQUEST))
        assert judgement.by
        assert judgement.facts


def test_what_an_inspection_saw_missing_is_a_limit() -> None:
    def limits(*records: Record) -> str:
        return " ".join(limits_of(subject(*records)))

    assert "was not inspected" in limits()
    assert "was not inspected" not in limits(inspected())
    assert MEANINGS[Rule.SHORTEN].expected in limits(inspected(Rule.SHORTEN))
    start = happened(EventCode.LOG_START, detail={"accept_no_object_lock": NO_OBJECT_LOCK_SENTENCE})
    assert NO_OBJECT_LOCK_SENTENCE in limits(start)


def test_shreddings_are_counted_by_what_they_destroyed() -> None:
    done = [
        happened(EventCode.ADMIN_SHRED_DONE, detail=detail)
        for detail in (
            {"exchange": "x", "keys": 1},
            {"exchange": "x", "keys": 1},
            {"exchange": "y", "keys": 0},
            {"keys": 7},
        )
    ]
    facts = JUDGES["3.2.1"](subject(*done)).facts
    assert (facts["transcripts shredded by two people"], facts["over-age keys destroyed"]) == (1, 7)
    assert JUDGES["12.10.7"](subject(*done)).facts["transcripts shredded by two people"] == 1


def test_who_waited_for_a_decision_in_vain_was_refused_by_nobody() -> None:
    waited = happened(EventCode.APPROVAL_WAIT_OVER, status=Outcome.HELD, status_detail="approval_pending")
    facts = subject(waited, happened(EventCode.POLICY_DENY, status=Outcome.REFUSED, status_detail="denied")).facts
    assert (facts.wait_over, list(facts.refusals)) == (1, [(("policy.deny", "denied"), 1)])


def test_a_client_that_left_was_refused_by_nobody() -> None:
    left = happened(EventCode.REQUEST_REFUSE, status=Outcome.ABANDONED, status_detail="client_gone")
    refused = happened(EventCode.REQUEST_REFUSE, status=Outcome.REFUSED, status_detail="body_malformed")
    facts = subject(left, refused).facts
    assert (facts.abandoned, list(facts.refusals)) == (1, [(("request.refuse", "body_malformed"), 1)])
    said = JUDGES["10.2.1.4"](subject(left, refused)).facts
    assert (said["request.refuse"], said["not refused: the client left"]) == (1, 1)
    assert JUDGES["10.2.1.4"](subject(left)).status == "supported"
    shown = JUDGES["3.4.1"](subject(REQUEST, happened(EventCode.INFERENCE_END), left, refused)).facts
    assert (shown["exchanges let through"], shown["exchanges ended in all"]) == (1, 3)


def test_keys_are_counted_as_the_table_lists_them() -> None:
    keys = tuple(key(purpose, Provider.FILE) for purpose in Purpose)
    assert JUDGES["3.6.1.2"](subject(keys=keys)).facts == {
        "keys in files": 4,
        "of them for account data or the log": 3,
    }
    assert JUDGES["3.5.1.1"](subject(keys=keys)).facts["mask keys in use"] == 1


def test_another_policy_than_the_one_in_force_now_is_a_limit() -> None:
    """`REQUEST` names the policy `d`, and the one in force is `sha256:d`."""
    assert any("other policy than" in limit for limit in limits_of(subject(REQUEST)))
    now = msgspec.structs.replace(REQUEST, policy=PolicyRef(digest="sha256:d", effect="allow", rule="analysts"))
    assert not any("other policy than" in limit for limit in limits_of(subject(now)))


def test_bodies_that_a_connection_lets_through_are_listed() -> None:
    """By direction, operation and connection; and no requirement on what is stored counts as enforced by us alone."""
    end = happened(EventCode.INFERENCE_END, not_inspected={"opaque_response": 1, "image": 2})
    limits = " ".join(limits_of(subject(REQUEST, end, end)))
    assert "2 response bodies of `chat` on connection `llama` went through without being looked into" in limits
    assert "4 image(s)" in limits
    assert JUDGES["3.3.1.2"](subject(REQUEST, end)).status is Status.SUPPORTED


def test_a_begun_inspection_is_none() -> None:
    begun = happened(EventCode.STORE_INSPECT, days_ago=0.5, detail={"state": "begun"})
    assert subject(begun).capabilities() is None
    assert subject(inspected(), begun).inspected_days_ago() == 1


def test_a_period_ends_before_its_end() -> None:
    at = [happened(EventCode.AUTH_FAIL, days_ago=days) for days in (100.00001, 100, 0.00001, 0)]
    assert subject(*at).facts.events == {EventCode.AUTH_FAIL: 2}


def test_sealed_originals_are_said_with_their_key_and_who_opened_them() -> None:
    off = JUDGES["3.5.1"](subject(REQUEST)).facts["sealed originals"]
    assert off == "off; openings: 0"
    configured = subject(REQUEST, settings=on(sealed_key=Path("custodian.key.pub")))
    assert str(JUDGES["3.5.1"](configured).facts["sealed originals"]).startswith("on, HPKE to the key of `audit.")
    started = happened(EventCode.LOG_START, detail={"sealed_to": "00112233aabbccdd"})
    seen = subject(REQUEST, started, happened(EventCode.SEALED_OPEN), happened(EventCode.SEALED_OPEN_REQUEST))
    said = JUDGES["3.5.1"](seen).facts["sealed originals"]
    assert said == f"on, HPKE to the key 00112233aabbccdd; openings: 1 ({ADA.uid}: 1)"
