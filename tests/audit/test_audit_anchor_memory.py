"""The anchor's own memory: remembered before anything is given out, by one anchor at a time, and never believed damaged."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from extproc.audit.anchor import given as anchor_given
from extproc.audit.anchor.given import Giver
from extproc.audit.anchor.memory import Memory, open_memory
from extproc.audit.anchor.note import Algorithm
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import StoreFailed
from extproc.audit.verify.anchored import read_anchored
from tests.audit.anchoring import NAME, Witness, alarms, copies_in, epochs_of, rewrite


@pytest.fixture
def grow(log, exchange):
    """Another closed epoch of worker-1."""

    def grow(store) -> None:
        journal = log.open("worker-1")
        exchange(journal, "x")
        journal.close()
        log.ship()
        store.objects.update(type(store)(log.store_path).objects)

    return grow


@pytest.fixture
def store(log, memory, grow):
    log.store_path.mkdir(exist_ok=True)
    store = memory(log.store_path)
    grow(store)
    return store


@pytest.fixture
def witness(log, tmp_path) -> Witness:
    return Witness(tmp_path / "anchor", log.public)


def fails(*_: object, **__: object) -> None:
    raise OSError(5, "dies here")


def given(witness: Witness) -> dict[str, bytes]:
    """Every file that the anchor gave out."""
    return {
        path.relative_to(witness.directory).as_posix(): path.read_bytes()
        for path in witness.directory.rglob("*")
        if path.is_file() and path.suffix in (".note", ".jsonl")
    }


class TestDeath:
    def test_before_it_remembers_nothing_was_given_out_and_only_what_is_seen_then_is_signed(
        self, log, store, witness, monkeypatch
    ):
        monkeypatch.setattr(Memory, "commit", fails)
        with pytest.raises(OSError, match="dies here"):
            witness.watch(store)
        monkeypatch.undo()
        assert given(witness) == {}
        rewrite(store, log.keys.signing, epochs_of(store, "worker-1")[0])
        assert witness.watch(store).exit_code == 0
        (head,) = read_anchored(
            witness.directory, witness.signer.verifier(Algorithm.COSIGNATURE)
        ).remembered.heads.values()
        with witness.anchor(store) as anchor:
            assert [each.last for each in anchor.memory.heads.values()] == [head.last]

    def test_after_it_remembers_exactly_that_is_given_out_whatever_the_store_says_then(
        self, log, store, witness, monkeypatch
    ):
        monkeypatch.setattr(Giver, "give", lambda self, memory: fails() if memory.pending else None)
        with pytest.raises(OSError, match="dies here"):
            witness.watch(store)
        monkeypatch.undo()
        assert given(witness) == {}
        with witness.anchor(store) as anchor:
            (remembered,) = anchor.memory.heads.values()
        origin = epochs_of(store, "worker-1")[0]
        rewrite(store, log.keys.signing, origin)
        assert alarms(witness.watch(store)) == [("FORKED", f"worker-1/{origin.epoch}")]
        (head,) = read_anchored(
            witness.directory, witness.signer.verifier(Algorithm.COSIGNATURE)
        ).remembered.heads.values()
        assert head.last == remembered.last

    @pytest.mark.parametrize("step", ["put_once", "_append", "replace", "mark_given_out"])
    def test_while_it_gives_out_is_finished_with_the_same_bytes(self, store, witness, monkeypatch, tmp_path, step):
        witness.copies = copies_in(tmp_path / "copies")
        target = {"put_once": type(witness.copies), "mark_given_out": Memory}.get(step, anchor_given)
        monkeypatch.setattr(target, step, fails)
        with pytest.raises(OSError, match="dies here"):
            witness.watch(store)
        monkeypatch.undo()
        before = given(witness)
        passed = witness.watch(store, later_ms=60_000)
        assert (passed.exit_code, passed.epochs) == (0, 1)
        after = given(witness)
        assert {path: after[path] for path in before if path != "log.jsonl"} == {
            path: data for path, data in before.items() if path != "log.jsonl"
        }
        assert read_anchored(witness.directory, witness.signer.verifier(Algorithm.COSIGNATURE)).open_alarms == {}

    @pytest.mark.parametrize("calls", range(1, 8))
    def test_at_any_step_two_histories_are_never_both_given_out(
        self, log, store, *, grow, witness, monkeypatch, tmp_path, calls
    ):
        """It dies at the `calls`th step that makes something durable, then everything behind its last head is another
        history. Whatever was ever given out of an epoch is one history."""
        witness.copies = copies_in(tmp_path / "copies")
        witness.watch(store)
        grow(store)
        left = [calls]

        def dying(real):
            def step(*arguments: object, **named: object) -> object:
                left[0] -= 1
                if left[0] == 0:
                    raise OSError(5, "dies here")
                return real(*arguments, **named)

            return step

        steps = [(Memory, "commit"), (type(witness.copies), "put_once"), (anchor_given, "_append")]
        for owner, name in [*steps, (anchor_given, "replace"), (Memory, "mark_given_out")]:
            monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
        with contextlib.suppress(OSError):
            witness.watch(store)
        assert left[0] == 0, "there are as many steps"
        monkeypatch.undo()
        rewrite(store, log.keys.signing, epochs_of(store, "worker-1")[-1])
        passed = witness.watch(store)
        lines = [
            json.loads(line)
            for path in [*witness.directory.rglob("*.jsonl"), *(tmp_path / "copies").rglob("*.jsonl")]
            for line in path.read_bytes().splitlines()
        ]
        heads = {(line["origin"], line["size"], line["last"]) for line in lines if line["kind"] == "head"}
        assert len(heads) == len({origin for origin, _, _ in heads}) == 2
        assert passed.exit_code == (0 if calls == 1 else 1), "only what it did not remember yet could become another"
        key = witness.signer.verifier(Algorithm.COSIGNATURE)
        assert {
            (origin, head.size, head.last)
            for origin, head in read_anchored(witness.directory, key).remembered.heads.items()
        } == heads

    def test_within_a_commit_leaves_the_memory_as_it_was(self, store, witness, monkeypatch):
        real = Memory._write

        def write(self: Memory, table: str, key: str, document: bytes) -> None:
            if table == "ledger":
                raise sqlite3.OperationalError("disk I/O error")
            real(self, table, key, document)

        witness.watch(store)
        with witness.anchor(store) as anchor:
            before = dict(anchor.memory.heads), anchor.memory.ledger
            monkeypatch.setattr(Memory, "_write", write)
            with pytest.raises(OSError, match="could not be written"):
                anchor.watch(1)
            monkeypatch.undo()
            assert (anchor.memory.heads, anchor.memory.ledger) == before
        with witness.anchor(store) as anchor:
            assert (anchor.memory.heads, anchor.memory.ledger) == before

    def test_a_torn_line_of_its_own_log_is_written_again(self, store, witness, monkeypatch):
        monkeypatch.setattr(Memory, "mark_given_out", fails)
        with pytest.raises(OSError, match="dies here"):
            witness.watch(store)
        monkeypatch.undo()
        path = witness.directory / "log.jsonl"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        witness.watch(store)
        assert path.read_bytes() == whole


def test_two_anchors_do_not_share_a_memory(store, witness):
    with witness.anchor(store), pytest.raises(AuditRefused, match="another anchor is at work"):
        witness.watch(store)
    assert witness.watch(store).exit_code == 0


class TestDamage:
    @pytest.fixture
    def file(self, store, grow, witness) -> Path:
        witness.watch(store)
        grow(store)
        witness.watch(store)
        return witness.directory / "memory.sqlite3"

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM heads WHERE key = (SELECT max(key) FROM heads)",
            "DELETE FROM ledger",
            "DELETE FROM heads; DELETE FROM ledger",
            "UPDATE heads SET document = CAST(replace(document, '\"size\":', '\"size\":1') AS BLOB)",
            "UPDATE heads SET key = key || 'f' WHERE key = (SELECT max(key) FROM heads)",
            "UPDATE ledger SET document = CAST(replace(document, '\"heads\":2', '\"heads\":3') AS BLOB)",
            "DROP TABLE alarms",
        ],
        ids=lambda statement: statement.split(" WHERE")[0].replace(" ", "-")[:40],
    )
    def test_a_changed_or_missing_row_is_refused(self, store, witness, file, statement):
        with sqlite3.connect(file) as database:
            database.executescript(statement)
        database.close()
        with pytest.raises(AuditRefused):
            witness.watch(store)

    def test_a_damaged_file_is_refused_or_reads_as_it_was_written(self, store, witness, file):
        with witness.anchor(store) as anchor:
            heads, alarms_, ledger = anchor.memory.heads, anchor.memory.alarms, anchor.memory.ledger
        data = file.read_bytes()
        refused = 0
        for offset in range(0, len(data), 509):
            file.write_bytes(data[:offset] + bytes([data[offset] ^ 0x41]) + data[offset + 1 :])
            try:
                with open_memory(witness.directory, NAME, "test") as memory:
                    assert (memory.heads, memory.alarms, memory.ledger) == (heads, alarms_, ledger), offset
            except AuditRefused:
                refused += 1
        assert refused
        file.write_bytes(data[: len(data) // 2])
        with pytest.raises(AuditRefused):
            witness.watch(store)

    def test_a_lost_memory_is_not_begun_anew(self, store, witness, file):
        file.unlink()
        with pytest.raises(AuditRefused, match="no memory of it"):
            witness.watch(store)

    def test_the_memory_of_another_name_is_refused(self, store, witness, file):
        witness.signer = Witness(witness.directory, witness.public).signer
        object.__setattr__(witness.signer, "name", "other.test/prod")
        with pytest.raises(AuditRefused, match=r"is the memory of anchor\.test/prod"):
            witness.watch(store)


class TestRollback:
    @pytest.fixture
    def rolled_back(self, store, grow, witness, tmp_path):
        """The whole directory is as it was one pass ago."""

        def roll_back() -> None:
            witness.watch(store)
            shutil.copytree(witness.directory, tmp_path / "held")
            grow(store)
            witness.watch(store)
            shutil.rmtree(witness.directory)
            shutil.copytree(tmp_path / "held", witness.directory)

        return roll_back

    def test_is_seen_where_its_own_log_is_longer_in_its_write_once_store(self, store, witness, rolled_back, tmp_path):
        witness.copies = copies_in(tmp_path / "copies")
        rolled_back()
        before = given(witness)
        for _ in range(2):
            (alarm,) = witness.watch(store).open_alarms
            assert (alarm.name, alarm.where) == ("MEMORY_ROLLED_BACK", NAME)
        assert given(witness) == before, "nothing is signed meanwhile"

    def test_without_such_a_store_a_rollback_of_everything_is_not_seen(self, store, witness, rolled_back):
        rolled_back()
        assert witness.watch(store).exit_code == 0

    def test_of_the_memory_alone_is_refused(self, store, grow, witness):
        witness.watch(store)
        file = witness.directory / "memory.sqlite3"
        held = file.read_bytes()
        grow(store)
        witness.watch(store)
        file.write_bytes(held)
        with pytest.raises(AuditRefused, match="rolled back"):
            witness.watch(store)

    def test_an_empty_memory_beside_a_write_once_store_that_has_its_log(self, store, witness, tmp_path):
        witness.copies = copies_in(tmp_path / "copies")
        witness.watch(store)
        shutil.rmtree(witness.directory)
        (alarm,) = witness.watch(store).open_alarms
        assert alarm.name == "MEMORY_ROLLED_BACK"


def test_a_store_for_copies_that_fails_leaves_the_pass_to_the_next(store, grow, witness, tmp_path, monkeypatch):
    witness.copies = copies_in(tmp_path / "copies")
    witness.watch(store)
    grow(store)

    def away(*_: object) -> None:
        raise StoreFailed("unreachable")

    monkeypatch.setattr(type(witness.copies), "put_once", away)
    for _ in range(2):
        with pytest.raises(StoreFailed):
            witness.watch(store)
    monkeypatch.undo()
    assert witness.watch(store).exit_code == 0
    key = witness.signer.verifier(Algorithm.COSIGNATURE)
    assert len(read_anchored(witness.directory, key).remembered.heads) == 2
    copied = b"".join(path.read_bytes() for path in sorted((tmp_path / "copies").rglob("*.jsonl")))
    assert copied == (witness.directory / "log.jsonl").read_bytes()


def test_an_anchor_that_began_before_the_first_segment_goes_on(log, exchange, witness):
    """A CronJob may run in the first seconds of a gateway: the epoch is registered, and nothing of it is sealed."""
    journal = log.open()
    log.ship()
    assert witness.watch(log.store).exit_code == 0
    exchange(journal, "x")
    journal.close()
    log.ship()
    assert (witness.watch(log.store).exit_code, alarms(witness.watch(log.store))) == (0, [])
