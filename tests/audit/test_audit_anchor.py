"""The anchor: what it has seen it never unlearns, and what is gone or other than it was it says in the next pass."""

import dataclasses
import datetime as dt
import json
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from extproc.audit.anchor.anchor import Anchor
from extproc.audit.anchor.checkpoint import Checkpoint
from extproc.audit.anchor.days import OLD_DAYS, Days
from extproc.audit.anchor.given import Giver, note_path
from extproc.audit.anchor.head import Head
from extproc.audit.anchor.memory import open_memory
from extproc.audit.anchor.note import Algorithm, verify_note
from extproc.audit.keys.keys import open_keys
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.keys.rotation import rotate_keys
from extproc.audit.log.segment import MANIFEST_VERSION, Manifest, line_digest, object_ref
from extproc.audit.merkle import MerkleTree
from extproc.audit.names import Origin, Part
from extproc.audit.reading.span import EVERYTHING
from extproc.audit.settings import DirectoryStore
from extproc.audit.signed import UNNAMED_KEY, Domain, Role, Signer, sign_document, split_document
from extproc.audit.verify.anchored import read_anchored, report_alarms
from extproc.audit.verify.epoch import Name
from extproc.audit.verify.report import Report
from tests.audit.anchoring import (
    DAY_MS,
    NAME,
    Marked,
    Witness,
    alarms,
    cut,
    cut_end,
    epochs_of,
    last_segment,
    remove,
    rewrite,
)
from tests.audit.conftest import Log, make_log, run_exchange


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Log:
    """Two epochs of worker-1 in one spool, one of worker-2 in a spool of its own. All are closed."""
    log = make_log(tmp_path_factory.mktemp("whole"))
    for number, settings in enumerate(
        [{"segment_bytes": 2_500}, {"segment_bytes": 2_500}, {"spool": log.settings.spool.with_name("other")}]
    ):
        each = log.with_(**settings)
        journal = each.open(f"worker-{1 if number < 2 else 2}")
        run_exchange(journal, f"x-{number}")
        run_exchange(journal, f"y-{number}")
        journal.close()
        each.ship()
    return log


@pytest.fixture
def log(whole, tmp_path) -> Log:
    """The same deployment in each test, with a spool and a store of its own."""
    return whole.with_(spool=tmp_path / "spool", store=DirectoryStore(tmp_path / "store"))


@pytest.fixture
def store(whole, memory):
    return memory(whole.store_path)


@pytest.fixture
def witness(log, tmp_path) -> Witness:
    return Witness(tmp_path / "anchor", log.public)


@pytest.fixture
def alone(log):
    """What `verify` says without anybody who remembers."""
    return lambda store: log.verify(store=store, spool=False)


@pytest.fixture
def anchored(log, witness):
    """What `verify` finds with what the anchor gave out."""

    def anchored(store, **more: bool) -> set[Name]:
        remembered = read_anchored(witness.directory, witness.signer.verifier(Algorithm.COSIGNATURE)).remembered
        report = log.verify(store=store, spool=False, remembered=remembered, **more)
        return {finding.name for finding in report.findings}

    return anchored


def test_every_head_is_co_signed_and_is_what_the_writer_signed(store, witness):
    passed = witness.watch(store)
    assert (passed.exit_code, passed.epochs, passed.open_alarms) == (0, 3, ())
    key = witness.signer.verifier(Algorithm.COSIGNATURE)
    for writer in ("worker-1", "worker-2"):
        for origin in epochs_of(store, writer):
            note = verify_note(note_path(witness.directory, str(origin)).read_bytes(), key)
            last = max(key for key in store.objects if origin.epoch in key and key.endswith(".manifest.json"))
            manifest = msgspec.json.decode(split_document(store.objects[last])[0], type=Manifest)
            root = bytes.fromhex(manifest.epoch_root)
            assert Checkpoint.parse(note.text) == Checkpoint(f"extproc/{origin}", manifest.epoch_size, root)
            assert note.seconds > 0
    assert witness.watch(store).moved == 0, "nothing is new"


def test_an_untouched_log_is_proven_against_the_anchor(store, witness, anchored):
    witness.watch(store)
    assert anchored(store) == set()


def test_a_growing_epoch_is_followed_segment_by_segment(log, exchange, memory, witness):
    journal = log.open("worker-1")
    exchange(journal, "x-1")
    journal.close()
    log.ship()
    first = witness.watch(memory(log.store_path))
    journal = log.open("worker-1")
    exchange(journal, "x-2")
    journal.close()
    log.ship()
    second = witness.watch(memory(log.store_path))
    assert (first.moved, second.moved, second.epochs) == (1, 1, 2)
    assert second.records == 2 * first.records


class TestRotation:
    """The anchor still has the public key file of before."""

    @pytest.fixture
    def rotated(self, log, memory, witness) -> Log:
        log = log.with_(keys=shutil.copytree(log.settings.keys, log.settings.spool.with_name("keys")))
        rotate_keys(log.settings, int(time.time() * 1000))
        after = Log(log.settings, open_keys(log.settings))
        for writer in ("worker-1", "worker-2"):
            after.open(writer).close()
        after.ship()
        passed = witness.watch(memory(after.store_path))
        assert [(alarm.name, alarm.what) for alarm in passed.open_alarms] == [("ALTERED", UNNAMED_KEY)] * 2
        return after

    def test_the_alarms_of_a_new_key_close_once_the_public_key_file_holds_it(self, rotated, memory, witness):
        later = witness.watch(memory(rotated.store_path), later_ms=3_000_000)
        assert len(later.open_alarms) == 2, "one cause has one alarm, also when it lasts"
        told = read_anchored(witness.directory, witness.signer.verifier(Algorithm.COSIGNATURE))
        report = Report(EVERYTHING)
        report_alarms(report, told)
        assert [finding.what.endswith(f"{UNNAMED_KEY} (this and 1 more epochs)") for finding in report.findings] == [
            True
        ]
        witness.public = load_public_key(rotated.settings.keys / PUBLIC_KEY)
        passed = witness.watch(memory(rotated.store_path))
        assert (passed.exit_code, passed.epochs) == (0, 2)
        told = read_anchored(witness.directory, witness.signer.verifier(Algorithm.COSIGNATURE))
        assert (told.open_alarms, len(told.remembered.heads)) == ({}, 2)

    def test_what_a_forger_signed_stays_open_also_behind_a_part_that_holds(self, rotated, memory, witness):
        store = memory(rotated.store_path)
        (forged,), (other,) = epochs_of(store, "worker-1"), epochs_of(store, "worker-2")
        rewrite(store, Ed25519PrivateKey.generate(), forged)
        witness.public = load_public_key(rotated.settings.keys / PUBLIC_KEY)
        passed = witness.watch(store)
        assert [(alarm.where, alarm.what) for alarm in passed.open_alarms] == [(str(forged), UNNAMED_KEY)]
        assert witness.watch(store).exit_code == 1
        assert passed.records < witness.watch(memory(rotated.store_path)).records
        assert witness.watch(memory(rotated.store_path)).exit_code == 0
        assert (
            str(other)
            in read_anchored(witness.directory, witness.signer.verifier(Algorithm.COSIGNATURE)).remembered.heads
        )


class TestEpochThatOutlivesItsRetention:
    """Its oldest segments go while it lives. Which ones may, the first that is left says."""

    @pytest.fixture
    def store(self, log, memory):
        journal = log.with_(segment_bytes=1_000).open("worker-1")
        for number in range(4):
            run_exchange(journal, f"x-{number}")
            begun = time.time_ns()
            while time.time_ns() < begun + 2_000_000:  # so that the last segments are younger than the first
                time.sleep(0.001)
        journal.close()
        log.ship()
        return memory(log.store_path)

    @pytest.mark.parametrize(
        ("gone", "over"),
        [((1, 2), True), ((2,), True), ((1, -2), False), ((-2,), False)],
        ids=["oldest", "old", "old-and-young", "young"],
    )
    def test_a_segment_may_go_when_the_next_one_was_begun_before_the_retention(self, store, witness, gone, over):
        witness.watch(store)
        (origin,) = epochs_of(store, "worker-1")
        count = last_segment(store)
        third, last = (
            msgspec.json.decode(split_document(store.objects[key])[0], type=Manifest).started_ms
            for key in (origin.object_key(Part.MANIFEST, segment) for segment in (3, count))
        )
        assert third < last
        names = {f"{segment if segment > 0 else count + 1 + segment:010d}." for segment in gone}
        for key in [key for key in store.objects if any(f"/{name}" in key for name in names)]:
            del store.objects[key]
        witness.retention_ms = 5_000
        with witness.anchor(store) as anchor:
            passed = anchor.watch(third + witness.retention_ms + 1)
        assert [alarm.name for alarm in passed.open_alarms] == ([] if over else ["GAP"])


class TestAttacks:
    """Each is whole in itself, so that `verify` alone proves it or cannot tell; the anchor's next pass sees it."""

    def test_the_last_epoch_is_dropped_together_with_its_registry_entry(self, store, witness, alone, anchored):
        witness.watch(store)
        before = witness.notes()
        last = epochs_of(store, "worker-1")[-1]
        remove(store, last)
        assert alone(store).exit_code == 0
        assert anchored(store) == {Name.EPOCH_MISSING}
        for _ in range(2):
            passed = witness.watch(store)
            assert (passed.exit_code, alarms(passed)) == (1, [("EPOCH_MISSING", f"worker-1/{last.epoch}")])
        assert witness.notes() == before

    def test_a_whole_writer_is_dropped(self, store, witness, alone, anchored):
        witness.watch(store)
        remove(store, *epochs_of(store, "worker-2"))
        assert alone(store).exit_code == 0
        assert anchored(store) == {Name.WRITER_MISSING}
        assert alarms(witness.watch(store)) == [("WRITER_MISSING", "worker-2")]

    def test_everything_is_dropped(self, store, witness):
        witness.watch(store)
        store.objects.clear()
        assert alarms(witness.watch(store)) == [("WRITER_MISSING", "worker-1"), ("WRITER_MISSING", "worker-2")]

    def test_everything_is_rewritten_with_a_stolen_deployment_key(self, log, store, witness, alone, anchored):
        witness.watch(store)
        before = witness.notes()
        origins = [*epochs_of(store, "worker-1"), *epochs_of(store, "worker-2")]
        for origin in origins:
            rewrite(store, log.keys.signing, origin)
        assert alone(store).exit_code == 0
        assert anchored(store) == {Name.FORKED}
        passed = witness.watch(store)
        assert alarms(passed) == [("FORKED", f"{origin.writer}/{origin.epoch}") for origin in sorted(origins)]
        assert witness.notes() == before, "the other history is never co-signed"

    def test_a_rewritten_epoch_that_goes_on_is_not_followed(self, log, store, witness, alone, anchored):
        """Only the first segments were seen; the rewritten history is longer than what is remembered."""
        origin = epochs_of(store, "worker-1")[0]
        held = {key: store.objects.pop(key) for key in list(store.objects) if origin.epoch in key and "00003." in key}
        assert held
        witness.watch(store)
        before = witness.notes()
        store.objects.update(held)
        rewrite(store, log.keys.signing, origin)
        assert alone(store).exit_code == 0
        assert anchored(store) == {Name.FORKED}
        assert alarms(witness.watch(store)) == [("FORKED", f"worker-1/{origin.epoch}")]
        assert witness.notes() == before

    def test_the_tail_of_a_living_epoch_is_cut(self, log, exchange, memory, witness, anchored):
        journal = log.with_(segment_bytes=1_500).open()
        for number in range(3):
            exchange(journal, f"x-{number}")
        journal.close()
        log.ship()
        store = memory(log.store_path)
        cut_end(store)
        whole = alone_young(log, store)
        witness.watch(store)
        cut(store)
        assert alone_young(log, store) == whole == {Name.OPEN}, "for `verify` it is an epoch that lives, as before"
        assert anchored(store, later=False) == {Name.TRUNCATED}
        assert [name for name, _ in alarms(witness.watch(store))] == ["TRUNCATED"]

    def test_a_segment_in_the_middle_is_taken_away(self, store, witness):
        witness.watch(store)
        origin = epochs_of(store, "worker-1")[0]
        del store.objects[origin.object_key(Part.EVIDENCE, 1)]
        assert alarms(witness.watch(store)) == [("GAP", f"worker-1/{origin.epoch}")]

    def test_only_the_evidence_of_an_epoch_is_dropped(self, store, witness):
        witness.watch(store)
        origin = epochs_of(store, "worker-1")[1]
        for key in [key for key in store.objects if origin.epoch in key and "/evidence/" in key]:
            del store.objects[key]
        assert alarms(witness.watch(store)) == [("EPOCH_MISSING", f"worker-1/{origin.epoch}")]

    def test_only_a_registry_entry_is_dropped(self, store, witness):
        witness.watch(store)
        origin = epochs_of(store, "worker-1")[1]
        del store.objects[origin.registry_key]
        assert alarms(witness.watch(store)) == [("EPOCH_MISSING", f"worker-1/{origin.epoch}")]

    def test_a_delete_marker_or_another_version_lies_over_an_object(self, store, witness):
        marked = Marked(store)
        assert witness.watch(marked).exit_code == 0
        origin = epochs_of(store, "worker-2")[0]
        key = origin.object_key(Part.MANIFEST, 1)
        marked.markers.add(key)
        (alarm,) = witness.watch(marked).open_alarms
        assert (alarm.name, alarm.where) == ("SHADOWED", key)
        marked.versions[origin.registry_key] = b"another"
        assert len(witness.watch(marked).open_alarms) == 2

    def test_the_same_bytes_twice_are_no_attack(self, store, witness):
        marked = Marked(store)
        key = epochs_of(store, "worker-2")[0].registry_key
        marked.versions[key] = store.objects[key]
        assert witness.watch(marked).exit_code == 0

    @pytest.mark.parametrize("plane", ["evidence", "registry"])
    def test_what_was_altered_before_it_was_seen_is_never_co_signed(self, store, witness, plane):
        for key in [key for key in store.objects if f"/{plane}/" in key]:
            data = store.objects[key]
            store.objects[key] = data.replace(b"a", b"b", 1)
        passed = witness.watch(store)
        assert {name for name, _ in alarms(passed)} == {"ALTERED"}
        assert (witness.notes(), passed.records) == ({}, 0)

    def test_an_epoch_of_another_deployments_key_is_not_co_signed(self, store, witness, tmp_path):
        from extproc.audit.keys.keys import AuditKeys

        witness.public = AuditKeys.load_or_create(tmp_path / "others").signing.public_key()
        assert {name for name, _ in alarms(witness.watch(store))} == {"ALTERED"}
        assert witness.notes() == {}


def resigned(log, store, origin: Origin, segment: int, **changes: object) -> None:
    """A manifest changed and signed by a certified key of the epoch."""
    key = origin.object_key(Part.MANIFEST, segment)
    manifest = msgspec.json.decode(split_document(store.objects[key])[0], type=Manifest)
    signer = Signer.certified(log.keys.signing, str(origin), Role.ADOPT, 1)
    forged = msgspec.structs.replace(manifest, **{"certificate": signer.certificate, **changes})
    store.objects[key] = sign_document(signer.key, Domain.MANIFEST, msgspec.json.encode(forged))


def test_a_forged_certificate_is_not_co_signed(log, store, witness):
    """Certified by a key that is not the deployment's; everything else holds."""
    origin = epochs_of(store, "worker-2")[0]
    rewrite(store, Ed25519PrivateKey.generate(), origin)
    assert alarms(witness.watch(store)) == [("ALTERED", f"worker-2/{origin.epoch}")]


@pytest.mark.parametrize("change", ["prev", "prev_root"])
def test_a_segment_that_only_claims_to_follow_is_not_co_signed(log, store, witness, change):
    origin = epochs_of(store, "worker-1")[0]
    resigned(log, store, origin, 2, **{change: "00" * 32})
    assert alarms(witness.watch(store)) == [("FORKED", f"worker-1/{origin.epoch}")]


@pytest.mark.parametrize(("change", "name"), [("root", "ALTERED"), ("epoch_root", "FORKED")])
def test_a_root_that_the_records_do_not_hash_to_is_not_co_signed(log, store, witness, change, name):
    origin = epochs_of(store, "worker-2")[0]
    resigned(log, store, origin, 1, **{change: "00" * 32})
    assert alarms(witness.watch(store)) == [(name, f"worker-2/{origin.epoch}")]


@pytest.mark.parametrize(("field", "value"), [("seq", 99), ("prev", "00" * 32), ("origin", "test/other/epoch")])
def test_records_that_do_not_follow_each_other_are_not_co_signed(log, store, witness, field, value):
    """Everything is hashed and signed well, and one record names another place in the chain."""
    origin = epochs_of(store, "worker-2")[0]
    key = origin.object_key(Part.EVIDENCE, 1)
    *lines, last = store.objects[key].splitlines()
    body = json.loads(last)
    body["chain"][field] = value
    lines.append(json.dumps(body, separators=(",", ":")).encode())
    tree = MerkleTree()
    for line in lines:
        tree.append(line)
    store.objects[key] = b"".join(line + b"\n" for line in lines)
    root = tree.root().hex()
    changes = {"root": root, "epoch_root": root, "last": line_digest(lines[-1])}
    resigned(log, store, origin, 1, evidence=object_ref(key, store.objects[key]), **changes)
    assert alarms(witness.watch(store)) == [("FORKED", f"worker-2/{origin.epoch}")]


def test_a_manifest_of_a_later_version_is_not_judged(log, store, witness):
    origin = epochs_of(store, "worker-2")[0]
    resigned(log, store, origin, 1, version=MANIFEST_VERSION + 1)
    assert alarms(witness.watch(store)) == [("UNREADABLE", f"worker-2/{origin.epoch}")]


def test_a_key_that_log_start_does_not_name_is_not_the_epochs(log, store, witness):
    origin = epochs_of(store, "worker-2")[0]
    other = Signer.certified(log.keys.signing, str(origin), Role.EPOCH, 1)
    key = origin.object_key(Part.MANIFEST, 1)
    manifest = msgspec.json.decode(split_document(store.objects[key])[0], type=Manifest)
    forged = msgspec.structs.replace(manifest, certificate=other.certificate)
    store.objects[key] = sign_document(other.key, Domain.MANIFEST, msgspec.json.encode(forged))
    assert alarms(witness.watch(store)) == [("FORKED", f"worker-2/{origin.epoch}")]


def test_an_adopted_epoch_is_followed_to_its_end(log, exchange, memory, witness):
    journal = log.with_(segment_bytes=1_500).open()
    exchange(journal, "x-open", end=False)
    journal._seal_last = lambda: None
    journal._queue.fail()
    journal._thread.join()
    journal._keeper._stopping = True
    journal._keeper.stop()
    journal._epoch.lock.release()
    log.adopt()
    log.ship()
    assert witness.watch(memory(log.store_path)).exit_code == 0
    with witness.anchor(memory(log.store_path)) as anchor:
        assert [head.ended for head in anchor.memory.heads.values()] == [True]


def test_a_long_log_is_remembered_in_steps(log, exchange, memory, witness):
    """And an epoch that was not read to its end is not called silent."""
    journal = log.with_(segment_bytes=1_500).open()
    for number in range(3):
        exchange(journal, f"x-{number}")
    journal.close()
    log.ship()
    store = memory(log.store_path)
    steps = []
    for _ in range(4):
        with witness.anchor(store) as anchor:
            passed = dataclasses.replace(anchor, max_segments=2).watch(int(time.time() * 1000) + 3_000_000)
            (head,) = anchor.memory.heads.values()
        steps.append((head.segment, passed.behind, passed.exit_code, passed.open_alarms))
    last = last_segment(store)
    assert steps[0] == (2, 1, 2, ())
    assert steps[-1] == (last, 0, 0, ())
    assert [segment for segment, *_ in steps] == [min(2 * step, last) for step in (1, 2, 3, 4)]


GOLDEN = sorted(path.parent for path in (Path(__file__).parent / "golden").glob("*/" + PUBLIC_KEY))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
def test_what_older_versions_wrote_is_co_signed_and_not_when_it_was_changed(golden, memory, witness):
    store, key = memory(golden / "store"), load_public_key(golden / PUBLIC_KEY)
    evidence = [data for name, data in store.objects.items() if "/evidence/" in name and name.endswith(".jsonl")]
    now_ms, ages = int(time.time() * 1000), 10_000 * DAY_MS
    with open_memory(witness.directory, NAME, "golden") as own:
        anchor = Anchor(store, key, own, Giver(witness.signer, None), ages, silence_ms=ages)
        passed = anchor.watch(now_ms)
        assert (passed.exit_code, passed.epochs) == (0, 2)
        assert passed.records == sum(len(data.splitlines()) for data in evidence)
        assert all(head.ended for head in own.heads.values())
        last = max(name for name in store.objects if name.endswith(".manifest.json"))
        store.objects[last] = store.objects[last].replace(b'"sealed_ms":1', b'"sealed_ms":2')
        assert anchor.watch(now_ms).exit_code == 1


class TestDays:
    """Days in which something may come are always looked at, the others in turn."""

    def head(self, day: dt.date, *, ended: bool = True) -> Head:
        return Head(origin=f"test/w/{day:%Y%m%d}T000000Z-0123456789abcdef", first_seen_ms=0, ended=ended)

    def test_every_old_day_has_its_turn(self):
        now = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
        days = [now.date() - dt.timedelta(days=number) for number in range(100, 300)]
        heads = {head.origin: head for head in map(self.head, days)}
        seen = [set(Days.due(heads, (), int(now.timestamp() * 1000), turn).due_days) for turn in range(7)]
        assert all({"2026/06/01", "2026/05/31"} <= each for each in seen)
        assert max(map(len, seen)) <= OLD_DAYS + 2
        assert set().union(*seen) >= {f"{day:%Y/%m/%d}" for day in days}

    def test_a_day_with_a_living_epoch_is_always_looked_at(self):
        now = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
        days = [now.date() - dt.timedelta(days=number) for number in range(100, 300)]
        living = self.head(dt.date(2025, 1, 2), ended=False)
        heads = {head.origin: head for head in [*map(self.head, days), living]}
        fresh = "test/w/20250103T000000Z-0123456789abcdef"
        for turn in range(7):
            due = Days.due(heads, (fresh,), int(now.timestamp() * 1000), turn)
            assert due.is_due(living.origin)
            assert due.is_due(fresh)


def alone_young(log, store) -> set[Name]:
    return {finding.name for finding in log.verify(store=store, spool=False, later=False).findings}


class TestSilence:
    QUIET_MS = 3 * 60_000 + 60_000

    @pytest.fixture
    def living(self, log, exchange, memory):
        journal = log.with_(segment_bytes=1_500).open()
        exchange(journal, "x-1")
        journal.close()
        log.ship()
        store = memory(log.store_path)
        self.end = cut_end(store)
        return store

    def test_a_living_epoch_that_says_nothing_any_more(self, living, witness):
        assert witness.watch(living).exit_code == 0
        (alarm,) = witness.watch(living, later_ms=self.QUIET_MS).open_alarms
        assert (alarm.name, alarm.where.split("/")[1]) == ("SILENT", "worker-0")

    def test_a_deployment_without_any_living_writer(self, store, witness):
        assert witness.watch(store).exit_code == 0
        assert alarms(witness.watch(store, later_ms=3_599_000)) == []
        (alarm,) = witness.watch(store, later_ms=3_700_000).open_alarms
        assert (alarm.name, alarm.where) == ("SILENT", "test")

    def test_an_epoch_that_was_registered_and_of_which_nothing_comes(self, store, witness):
        origin = epochs_of(store, "worker-2")[0]
        for key in [key for key in store.objects if origin.epoch in key and "/registry/" not in key]:
            del store.objects[key]
        assert witness.watch(store).exit_code == 0
        assert alarms(witness.watch(store, later_ms=1_600_000)) == [("SILENT", f"worker-2/{origin.epoch}")]

    def test_an_acknowledged_silence_is_over_when_it_speaks_again_and_else_stays_acknowledged(self, living, witness):
        witness.watch(living)
        (alarm,) = witness.watch(living, later_ms=self.QUIET_MS).open_alarms
        with witness.anchor(living) as anchor:
            anchor.acknowledge([alarm.id], "kim", "the node was drained", 1)
        assert witness.watch(living, later_ms=self.QUIET_MS).open_alarms == ()
        living.objects.update(self.end)
        assert witness.watch(living, later_ms=self.QUIET_MS).open_alarms == ()
        with witness.anchor(living) as anchor:
            assert anchor.memory.alarms == {}


class TestRetention:
    def test_what_is_older_may_vanish(self, store, witness):
        witness.watch(store)
        store.objects.clear()
        passed = witness.watch(store, later_ms=401 * DAY_MS)
        assert [name for name, _ in alarms(passed)] == ["SILENT"]
        assert [str(alarm.where) for alarm in passed.open_alarms] == ["test"]

    def test_what_is_younger_may_not(self, store, witness):
        witness.watch(store)
        store.objects.clear()
        passed = witness.watch(store, later_ms=399 * DAY_MS)
        assert {name for name, _ in alarms(passed)} == {"SILENT", "WRITER_MISSING"}


class TestAlarms:
    @pytest.fixture
    def alarmed(self, store, witness):
        witness.watch(store)
        origin = epochs_of(store, "worker-2")[0]
        held = dict(store.objects)
        remove(store, origin)
        (alarm,) = witness.watch(store).open_alarms
        return alarm, held

    def test_an_alarm_stays_open_when_the_store_is_put_right(self, store, witness, alarmed):
        alarm, held = alarmed
        store.objects.update(held)
        assert witness.watch(store).open_alarms == (alarm,)

    def test_an_acknowledged_alarm_is_closed_and_the_head_is_still_remembered(self, store, witness, alarmed):
        alarm, _ = alarmed
        before = witness.notes()
        with witness.anchor(store) as anchor:
            anchor.acknowledge([alarm.id], "kim", "restored from the second bucket", 1)
            with pytest.raises(Exception, match="no open alarm"):
                anchor.acknowledge([alarm.id], "kim", "again", 1)
        assert witness.watch(store).open_alarms == ()
        assert witness.notes() == before

    def test_another_finding_at_the_same_place_opens_it_again(self, store, witness, alarmed, log):
        _, held = alarmed
        store.objects.update(held)
        origin = epochs_of(store, "worker-1")[0]
        del store.objects[origin.object_key(Part.EVIDENCE, 1)]
        (gap,) = [alarm for alarm in witness.watch(store).open_alarms if alarm.name == "GAP"]
        with witness.anchor(store) as anchor:
            anchor.acknowledge([gap.id], "kim", "lost", 1)
        store.objects.update(held)
        del store.objects[origin.object_key(Part.EVIDENCE, 2)]
        assert [alarm.what for alarm in witness.watch(store).open_alarms if alarm.name == "GAP"] == [
            "segment 2 is gone"
        ]
