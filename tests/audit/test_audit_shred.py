"""Acceptance 12: after shredding nothing opens the transcript, the chain holds, and no one person can do it."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from extproc.audit.log.content import WrappedKey
from extproc.audit.log.journal import write_once
from extproc.audit.names import Part
from extproc.audit.reading.exchanges import show_exchange
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention import shredding
from extproc.audit.retention.shred import Shredder, ShredFailed
from extproc.audit.retention.shred_request import SHRED, ShredCode
from extproc.audit.retention.two_people import (
    REQUEST_SECONDS,
    PersonRequest,
    RequestCode,
    RequestRefused,
    request_id_of,
)
from extproc.audit.stores.store import StoreFailed
from extproc.core.identity import Principal
from extproc.core.record import EventCode, Outcome

GROUP = "privacy"
ANNA, BERT, CARL = (
    Principal(issuer="https://idp.test", subject=name, name=name.title(), groups=groups)
    for name, groups in (("anna", (GROUP,)), ("bert", (GROUP, "other")), ("carl", ("other",)))
)
REASON = "a number that no rule knew"


class Two:
    """Two people and a log."""

    def __init__(self, log) -> None:
        self.log = log.with_(shredders=(GROUP,))
        self.erased: list[list[str]] = []

    def write(self, records) -> str:
        return write_once(self.log.settings, self.log.keys, SHRED.writer, records)

    def erase(self, approvals) -> int:
        self.erased.append(list(approvals))
        return len(approvals)

    def shredder(self, **changes) -> Shredder:
        return replace(Shredder(self.log.settings, self.log.store, self.write, self.erase, "host"), **changes)

    def ask(self, exchange_id: str, person: Principal = ANNA) -> PersonRequest:
        record = SHRED.record(
            EventCode.ADMIN_SHRED_REQUEST, person, exchange_id, source="host", detail={"reason": REASON}
        )
        return self.find(request_id_of(self.write([record])))

    def find(self, request_id: str) -> PersonRequest:
        return SHRED.find_request(self.log.look(), self.log.public, "test", request_id)

    def confirm(self, request: PersonRequest, person: Principal = BERT, **changes) -> int:
        return self.shredder(**changes).shred(request, person, "I agree", int(time.time() * 1000))

    def records(self, exchange_id: str):
        found = show_exchange(self.log.look(), exchange_id)
        return [item.record for item in found.records if item.record.event_code.startswith("admin.")]

    def keys_anywhere(self) -> set[str]:
        """Exchanges of which a wrapped key is in any file."""
        found = set()
        for path in [*self.log.store_path.rglob("*"), *self.log.settings.spool.rglob("*")]:
            for piece in path.read_bytes().split(b'{"origin"')[1:] if path.is_file() else []:
                try:
                    key = msgspec.json.decode(b'{"origin"' + piece.split(b"}")[0] + b"}", type=WrappedKey)
                except msgspec.DecodeError:
                    continue
                if key.wrapped.strip("-"):
                    found.add(key.exchange_id)
        return found

    def opens(self, exchange_id: str) -> bool:
        try:
            return bool(read_transcript(self.log.look(), self.log.keys, exchange_id).pieces)
        except AuditRefused:
            return False


@pytest.fixture
def two(shipped) -> Two:
    return Two(shipped)


def assert_tells(report) -> None:
    """The chain holds; that a key is absent is told, and no finding, because a record says that it was shredded."""
    assert report.exit_code == 0
    assert {str(finding.name) for finding in report.findings} == {"CONTENT_KEY_ABSENT"}


@pytest.mark.parametrize(
    "subject",
    ["Anna", "anna ", "\N{FULLWIDTH LATIN SMALL LETTER A}nna", "AN\N{NO-BREAK SPACE}NA"],
    ids=["case", "blank", "fullwidth", "both"],
)
def test_who_is_written_another_way_is_no_second_person(two, subject: str):
    with pytest.raises(RequestRefused) as refused:
        two.confirm(two.ask("x-3"), replace(ANNA, subject=subject, name="Somebody Else"))
    assert refused.value.code is RequestCode.OWN_REQUEST
    assert two.opens("x-3")


@pytest.mark.parametrize("again", [b"{ ", b'{"\\u006frigin":"elsewhere",'], ids=["a blank", "a field twice"])
def test_a_key_that_somebody_wrote_down_another_way_goes_too(two, again: bytes):
    for path in two.log.store_path.rglob("*.keys.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        spread = [msgspec.json.format(line, indent=0)[:-1].replace(b'":"', b'": "') + b"}\n" for line in lines]
        path.write_bytes(b"".join(lines) + b"".join(again + line.lstrip(b"{ ") for line in spread))
    assert two.confirm(two.ask("x-3")) == 1
    assert "x-3" not in two.keys_anywhere()
    assert not two.opens("x-3")
    assert two.opens("x-2")


def test_two_people_shred_one_transcript_and_the_others_stay(two):
    before = two.keys_anywhere()
    assert two.confirm(two.ask("x-3")) == 1
    assert two.keys_anywhere() == before - {"x-3"}
    assert [two.opens(f"x-{number}") for number in range(1, 5)] == [True, True, False, True]
    assert_tells(two.log.verify())
    asked, shred, done = two.records("x-3")
    assert (asked.actor.uid, shred.actor.uid) == ("https://idp.test|anna", "https://idp.test|bert")
    assert shred.detail["exchange"] == "x-3"
    assert shred.detail["requested_by"] == asked.actor.uid
    assert (shred.detail["reason"], shred.detail["confirmed"]) == (REASON, "I agree")
    assert shred.detail["keys_before"] != shred.detail["keys_after"]
    assert (done.event_code, done.detail["keys"]) == (EventCode.ADMIN_SHRED_DONE, 1)


def test_a_second_confirmation_destroys_and_records_nothing(two):
    first, second = two.ask("x-3"), two.ask("x-3")
    assert two.confirm(first) == 1
    before = two.records("x-3")
    assert (two.confirm(first), two.confirm(second)) == (0, 0)
    assert two.records("x-3") == before
    assert show_exchange(two.log.look(), "x-3").shredded.detail["request"] == first.id


def test_without_transcript_nothing_is_shredded(two, record):
    journal = two.log.open()
    journal.append_record(record(EventCode.POLICY_DENY, "x-no", status=Outcome.REFUSED, status_detail="policy_denied"))
    journal.close()
    with pytest.raises(RequestRefused) as refused:
        two.confirm(two.ask("x-no"))
    assert refused.value.code is ShredCode.NO_TRANSCRIPT
    assert [entry.event_code for entry in two.records("x-no")] == [EventCode.ADMIN_SHRED_REQUEST]


def test_a_key_that_was_lost_is_not_called_shredded(two):
    """Otherwise two people could excuse what somebody else destroyed."""
    for bag in two.log.store_path.rglob(f"*{Part.KEYS}"):
        bag.unlink()
    with pytest.raises(RequestRefused) as refused:
        two.confirm(two.ask("x-3"))
    assert refused.value.code is ShredCode.KEY_GONE
    assert two.log.verify().exit_code == 1


def test_a_copy_that_was_made_before_is_the_exception(two, tmp_path: Path):
    """As the documentation says: who has a copy of the key bags and the key files can still read it."""
    shutil.copytree(two.log.store_path, tmp_path / "copy")
    two.confirm(two.ask("x-3"))
    copy = two.log.with_(store=replace(two.log.settings.store, directory=tmp_path / "copy"), spool=tmp_path / "none")
    assert read_transcript(copy.look(), copy.keys, "x-3").pieces


@pytest.mark.parametrize(
    ("person", "shredders", "code"),
    [
        (ANNA, (GROUP,), RequestCode.OWN_REQUEST),
        (CARL, (GROUP,), RequestCode.NOT_IN_GROUP),
        (BERT, (), RequestCode.NOBODY_MAY),
    ],
    ids=["the requester", "another group", "no group set"],
)
def test_who_may_not_confirm_destroys_nothing(two, person, shredders, code):
    request = two.ask("x-3")
    with pytest.raises(RequestRefused) as refused:
        two.confirm(request, person, settings=two.log.with_(shredders=shredders).settings)
    assert refused.value.code is code
    assert two.opens("x-3")
    assert EventCode.ADMIN_SHRED not in {record.event_code for record in two.records("x-3")}


def test_nobody_may_when_no_group_is_named(two):
    with pytest.raises(RequestRefused) as refused:
        SHRED.check_person((), ANNA)
    assert "audit.shredders" in refused.value.sentence


@pytest.mark.parametrize("age_seconds", [REQUEST_SECONDS, -301])
def test_a_request_has_a_day(two, age_seconds):
    request = two.ask("x-3")
    assert SHRED.open_requests(two.log.look(), two.log.public, "test", request.asked_ms) == [request]
    later = request.asked_ms + age_seconds * 1000
    assert SHRED.open_requests(two.log.look(), two.log.public, "test", later) == []
    with pytest.raises(RequestRefused) as refused:
        two.shredder().shred(request, BERT, "late", later)
    assert refused.value.code is RequestCode.REQUEST_EXPIRED
    assert two.opens("x-3")


@pytest.mark.parametrize("request_id", ["", "../x", "x-3", "20260101T000000Z-00000000000000aa"])
def test_what_is_no_request_is_none(two, request_id):
    with pytest.raises(RequestRefused):
        two.find(request_id)


def test_a_forged_request_is_none(two):
    """A line that another hand put in the place of the signed one."""
    request = two.ask("x-3")
    (path,) = two.log.settings.spool.glob(f"epochs/*/{request.id}/*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"idp.test|anna", b"idp.test|carl"))
    with pytest.raises(RequestRefused):
        two.find(request.id)


def test_a_shipped_request_is_found(two):
    request = two.ask("x-3")
    two.log.ship()
    assert two.find(request.id) == request


class TestWhereTheKeyIs:
    @pytest.fixture
    def two(self, log) -> Two:
        return Two(log)

    def test_in_a_live_journal_it_is_refused_and_told(self, two, exchange):
        journal = two.log.open()
        exchange(journal, "x-1")
        request = two.ask("x-1")
        with pytest.raises(RequestRefused) as refused:
            two.confirm(request)
        assert refused.value.code is ShredCode.NOT_SEALED
        assert "after the segment is sealed" in refused.value.sentence
        journal.close()
        assert two.confirm(request) == 1
        assert not two.opens("x-1")

    def test_in_the_spool_it_is_destroyed_and_does_not_come_back(self, two, exchange):
        journal = two.log.open()
        exchange(journal, "x-1")
        exchange(journal, "x-2")
        journal.close()
        assert two.confirm(two.ask("x-1")) == 1
        assert two.keys_anywhere() == {"x-2"}
        two.log.ship()
        assert two.keys_anywhere() == {"x-2"}
        assert two.opens("x-2")
        assert_tells(two.log.verify())

    def test_beside_a_living_writer_what_is_sealed_is_destroyed(self, two, exchange):
        journal = two.log.with_(segment_bytes=1_500).open()
        exchange(journal, "x-1")
        exchange(journal, "x-2")
        exchange(journal, "x-3")
        two.log.ship()
        assert two.confirm(two.ask("x-1")) == 1
        assert (two.opens("x-1"), two.opens("x-2"), two.opens("x-3")) == (False, True, True)
        exchange(journal, "x-4")
        journal.close()
        two.log.ship()
        assert two.keys_anywhere() == {"x-2", "x-3", "x-4"}
        assert_tells(two.log.verify())

    def test_while_segments_are_shipped_it_waits_and_then_gives_up(self, two, exchange, monkeypatch):
        journal = two.log.open()
        exchange(journal, "x-1")
        journal.close()
        request = two.ask("x-1")
        monkeypatch.setattr(shredding, "SHIPPING_SECONDS", 0.05)
        with shredding.shipping_paused(two.log.settings.spool), pytest.raises(AuditRefused, match="being shipped"):
            two.confirm(request)
        assert two.opens("x-1")
        assert two.confirm(request) == 1

    def test_in_the_spool_and_in_the_store_after_half_a_shipment(self, two, exchange, monkeypatch):
        journal = two.log.open()
        exchange(journal, "x-1")
        journal.close()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            unlink = Path.unlink
            patch.setattr(Path, "unlink", lambda path, **more: _interrupt(unlink, path, **more))
            two.log.ship()
        assert two.confirm(two.ask("x-1")) == 2
        two.log.ship()
        assert two.keys_anywhere() == set()

    @pytest.mark.parametrize("lost", [None, Part.MANIFEST], ids=["all was stored", "all but the manifest"])
    def test_another_machine_s_spool_does_not_stop_shipping_for_it(self, two, exchange, tmp_path, lost):
        """It died between the store and its own removal: its bag has a key that the store's has not any more."""
        journal = two.log.open()
        exchange(journal, "x-1")
        exchange(journal, "x-2")
        journal.close()
        shutil.copytree(two.log.settings.spool, tmp_path / "other")
        two.log.ship()
        two.confirm(two.ask("x-1"))
        for path in two.log.store_path.rglob(f"*worker-0*/**/*{lost}"):
            path.unlink()
        assert two.log.with_(spool=tmp_path / "other").ship() == 1
        (bag,) = two.log.store_path.rglob(f"*{Part.KEYS}")
        assert b'"x-2"' in bag.read_bytes()
        assert b'"x-1"' not in bag.read_bytes()

    def test_in_quarantine_and_in_unfinished_files(self, two, exchange):
        journal = two.log.open()
        exchange(journal, "x-1")
        exchange(journal, "x-2")
        (path,) = two.log.settings.spool.glob("epochs/*/*/*.journal")
        torn = path.read_bytes()
        journal.close()
        two.log.ship()
        quarantine = two.log.settings.spool / "quarantine"
        quarantine.mkdir()
        (quarantine / "worker-0-e-0000000001.journal").write_bytes(b"damaged" + torn[100:])
        (bag,) = two.log.store_path.rglob(f"*{Part.KEYS}")
        (two.log.settings.spool / ".tmp-0011223344556677").write_bytes(bag.read_bytes().splitlines()[0][:-40])
        assert two.confirm(two.ask("x-1")) == 3
        assert two.keys_anywhere() == {"x-2"}
        assert (two.log.settings.spool / ".tmp-0011223344556677").read_bytes().endswith(b'"wrapped":"' + b"-" * 102)
        kept = (quarantine / "worker-0-e-0000000001.journal").read_bytes()
        assert len(kept) == len(torn) - 93
        assert kept.count(b'"wrapped":"--') == 1

    def test_an_exchange_under_way_is_not_shredded(self, two, exchange):
        journal = two.log.open()
        exchange(journal, "x-1", end=False)
        with pytest.raises(RequestRefused) as refused:
            two.confirm(two.ask("x-1"))
        assert refused.value.code is RequestCode.UNDER_WAY
        journal.close()

    def test_in_a_segment_far_from_its_records(self, two, record, acks):
        """A key that is not near the first record is looked for in the whole epoch."""
        from extproc.core.record import Direction
        from extproc.core.trust import Masked

        journal = two.log.with_(segment_bytes=300).open()
        content = journal.open_content("x-1")
        content.append(Direction.TO_MODEL, 1, Masked(b"early"), acks)
        for number in range(1, 5):
            acks.wait(number)
            journal.append_record(record(EventCode.AUTH_FAIL, f"y-{number}"), acks)
        acks.wait(5)
        journal.append_record(record(EventCode.INFERENCE_REQUEST, "x-1"), acks)
        journal.append_record(record(EventCode.INFERENCE_END, "x-1"), acks)
        acks.wait(7)
        journal.close()
        two.log.ship()
        assert two.confirm(two.ask("x-1")) == 1
        assert two.keys_anywhere() == set()


def _interrupt(unlink: Callable[..., None], path: Path, **more: bool) -> None:
    """Dies where shipped evidence would leave the spool."""
    if path.suffix == ".jsonl":
        raise KeyboardInterrupt
    unlink(path, **more)


class Crash(BaseException):
    pass


def _crash_at(step: str, two: Two) -> dict[str, object]:
    """The parts of a shredder that dies there."""
    store, written = two.log.store, []

    def write(records) -> str:
        (record,) = records
        if step == f"before {record.event_code}":
            raise Crash
        origin = two.write(records)
        written.append(record)
        if step == f"after {record.event_code}":
            raise Crash
        return origin

    class Store:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(store, name)

        def replace_key_bag(self, key: str, data: bytes) -> None:
            store.replace_key_bag(key, data)
            if step == "after the bag":
                raise Crash

    return {"write": write, "store": Store()}


STEPS = {
    "before admin.shred": True,
    "after admin.shred": True,
    "after the bag": False,
    "before admin.shred_done": False,
    "after admin.shred_done": False,
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_each_step_is_finished_by_repeating(two, step):
    request = two.ask("x-3")
    with pytest.raises(Crash):
        two.confirm(request, **_crash_at(step, two))
    assert two.opens("x-3") is STEPS[step]
    codes = [record.event_code for record in two.records("x-3")]
    assert two.opens("x-3") or EventCode.ADMIN_SHRED in codes, "destroyed without a record"
    two.confirm(request)
    assert not two.opens("x-3")
    assert "x-3" not in two.keys_anywhere()
    last = two.records("x-3")[-1]
    assert (last.event_code, last.detail["request"]) == (EventCode.ADMIN_SHRED_DONE, request.id)
    assert last.detail["keys"] == 1
    assert_tells(two.log.verify())


def test_a_store_that_refuses_is_a_recorded_failure_that_can_be_repeated(two):
    request = two.ask("x-3")

    class Refusing:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(two.log.store, name)

        def replace_key_bag(self, key: str, data: bytes) -> None:
            raise StoreFailed("AccessDenied")

    with pytest.raises(ShredFailed):
        two.confirm(request, store=Refusing())
    assert [record.event_code for record in two.records("x-3")][-1] is EventCode.ADMIN_SHRED_FAILED
    assert two.confirm(request) == 1


def test_a_key_that_stays_is_a_failure(two):
    class Lying:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(two.log.store, name)

        def replace_key_bag(self, key: str, data: bytes) -> None:
            return

    with pytest.raises(ShredFailed):
        two.confirm(two.ask("x-3"), store=Lying())


def test_without_its_record_nothing_is_destroyed(two):
    request = two.ask("x-3")

    def write(records) -> str:
        raise AuditRefused("full")

    with pytest.raises(AuditRefused):
        two.confirm(request, write=write)
    assert two.opens("x-3")


def test_the_masked_requests_of_its_approvals_go_too(log, exchange, record, acks):
    from extproc.core.record import ApprovalRef

    two = Two(log)
    journal = log.open()
    held = ApprovalRef(id="apr-1", state="pending")
    journal.append_record(record(EventCode.APPROVAL_OPEN, "x-1", approval=held), acks)
    acks.wait(1)
    exchange(journal, "x-1")
    journal.close()
    two.confirm(two.ask("x-1"))
    assert two.erased == [["apr-1"]]
    assert two.records("x-1")[-1].detail["previews"] == 1


def test_replay_says_when_and_why(two):
    two.confirm(two.ask("x-3"))
    with pytest.raises(AuditRefused, match=f"was shredded on .*: {REASON}"):
        read_transcript(two.log.look(), two.log.keys, "x-3")
