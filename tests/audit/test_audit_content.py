"""Transcripts: encrypted for one exchange and place, bound to the record that ends it, nowhere in the clear."""

import base64
import os

import msgspec
import pytest

from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.audit.log.content import ContentCipher, Piece, WrappedKey, parse_content_frame, unwrap_key, wrap_key
from extproc.audit.log.registry import read_head
from extproc.audit.log.segment import pack_content, unpack_content
from extproc.audit.reading.exchanges import Query, find_exchanges
from extproc.audit.reading.reader import Reader
from extproc.audit.reading.replay import read_transcript
from extproc.audit.records.line import parse_mark, parse_record
from extproc.audit.refusal import AuditRefused
from extproc.core.reasons import Malformed
from extproc.core.record import Direction, EventCode
from extproc.core.trust import Masked

ORIGIN = "test/worker-0/20260101T000000Z-00000000000000aa"
PIECES = (
    Piece(Direction.TO_CLIENT, 5, Masked(b"one")),
    Piece(Direction.TO_CLIENT, 9, Masked(b"")),
    Piece(Direction.TO_CLIENT, 12, Masked("zwölf".encode())),
)


def test_a_replay_is_byte_for_byte_what_crossed_in_both_directions_with_its_times(log, exchange, story):
    journal = log.open()
    exchange(journal, "x-1")
    exchange(journal, "x-2")
    for place in ("journal", "store"):
        transcript = read_transcript(log.look(), log.keys, "x-1")
        assert [piece.data for piece in transcript.pieces] == [story[0], *story[1]], place
        assert [piece.at_us for piece in transcript.pieces] == [1_000, 2_000, 3_000, 4_000]
        assert [piece.direction for piece in transcript.pieces] == [Direction.TO_MODEL, *[Direction.TO_CLIENT] * 3]
        assert transcript.closed
        if place == "journal":
            journal.close()
            log.ship()
    assert read_transcript(log.look(), log.keys, "x-9") is None


def test_a_transcript_over_many_segments_and_megabytes(log, record, acks):
    journal = log.with_(segment_bytes=200_000, max_spool_bytes=1 << 30).open()
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"))
    content = journal.open_content("x")
    body = os.urandom(3_000_000)
    content.append(Direction.TO_MODEL, 0, Masked(body), acks)
    parts = [os.urandom(20_000) for _ in range(60)]
    for index, part in enumerate(parts):
        content.append(Direction.TO_CLIENT, index + 1, Masked(part), acks)
        acks.wait(index + 2)
    journal.append_record(record(EventCode.INFERENCE_END, "x"), acks)
    acks.wait(62)
    journal.close()
    log.ship()
    assert log.verify().exit_code == 0
    transcript = read_transcript(log.look(), log.keys, "x")
    assert [piece.data for piece in transcript.pieces] == [body, *parts]


def test_reading_works_at_every_moment_of_a_live_service(log, exchange):
    """Journal, sealed, shipped: a reader never misses an exchange that was acknowledged."""
    journal = log.with_(segment_bytes=1_500).open()
    for number in range(12):
        exchange(journal, f"x-{number}")
        found = [item.exchange_id for item in find_exchanges(Reader(log.look()), Query())]
        assert found == [f"x-{at}" for at in range(number + 1)]
        if number % 3 == 2:
            log.ship()
    journal.close()


@pytest.mark.parametrize("offset", range(0, 120, 3))
def test_no_byte_of_a_frame_can_be_changed(offset):
    cipher = ContentCipher(bytes(32), ORIGIN, "x")
    frame = bytearray(cipher.seal(1, PIECES))
    offset %= len(frame)
    frame[offset] ^= 1
    with pytest.raises(AuditRefused):
        cipher.open(parse_content_frame(bytes(frame)))


def test_a_frame_opens_in_its_own_place_only():
    cipher = ContentCipher(bytes(32), ORIGIN, "x")
    frame = parse_content_frame(cipher.seal(1, PIECES))
    assert cipher.open(frame) == PIECES
    moved = parse_content_frame(cipher.seal(2, PIECES).replace(b"\x00\x00\x00\x02", b"\x00\x00\x00\x01", 1))
    others = [
        ContentCipher(bytes(32), ORIGIN, "y"),
        ContentCipher(bytes(32), ORIGIN.replace("aa", "bb"), "x"),
        ContentCipher(b"\x01" * 32, ORIGIN, "x"),
    ]
    for other in others:
        with pytest.raises(AuditRefused):
            other.open(frame)
    with pytest.raises(AuditRefused):
        cipher.open(moved)


def test_a_wrapped_key_opens_the_stream_it_was_committed_to_and_no_other(tmp_path):
    keys = AuditKeys.load_or_create(tmp_path / "keys")
    cipher = ContentCipher(bytes(32), ORIGIN, "x")
    line = msgspec.json.decode(wrap_key(keys, cipher, bytes(32), ORIGIN, "x"), type=WrappedKey)
    opening = parse_content_frame(cipher.opening())
    assert unwrap_key(keys, line, opening).commitment == cipher.commitment
    foreign = ContentCipher(b"\x01" * 32, ORIGIN, "x")
    with pytest.raises(AuditRefused):
        unwrap_key(keys, line, parse_content_frame(foreign.opening()))
    with pytest.raises(Malformed):
        unwrap_key(keys, msgspec.structs.replace(line, exchange_id="y"), opening)
    with pytest.raises(Malformed):
        unwrap_key(AuditKeys.load_or_create(tmp_path / "other"), line, opening)


def test_a_dropped_frame_is_refused_by_the_replay(log, exchange):
    journal = log.open()
    exchange(journal, "x")
    journal.close()
    log.ship()
    (path,) = log.store_path.rglob("*.content")
    payloads = unpack_content(path.read_bytes())
    path.write_bytes(pack_content(payloads[:-1]))
    with pytest.raises(AuditRefused):
        read_transcript(log.look(), log.keys, "x")


def test_a_shredded_key_makes_one_transcript_unreadable_and_leaves_the_others(log, exchange):
    journal = log.open()
    exchange(journal, "x-1")
    exchange(journal, "x-2")
    journal.close()
    log.ship()
    (bag,) = log.store_path.rglob("*.keys.jsonl")
    kept = [line for line in bag.read_bytes().splitlines() if b'"x-1"' not in line]
    bag.write_bytes(b"\n".join(kept) + b"\n")
    with pytest.raises(AuditRefused):
        read_transcript(log.look(), log.keys, "x-1")
    assert read_transcript(log.look(), log.keys, "x-2").closed


def test_promise_5_no_transcript_and_no_key_is_in_any_file_in_the_clear(log, record, acks, tmp_path):
    """Searched while the journal is open, after sealing, after shipping; raw, in hexadecimal and in base64."""
    secret = b"a-unique-sentence-of-the-transcript-4711"
    journal = log.open()
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x"))
    content = journal.open_content("x")
    for direction in Direction:
        content.append(direction, 1, Masked(b"..." + secret + b"..."), acks)
    acks.wait(2)

    def search() -> None:
        kek = log.keys.content.key
        forms = [secret, secret.hex().encode(), base64.b64encode(secret)[:-4], base64.b64encode(b"..." + secret)[:-4]]
        for path in tmp_path.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert not any(form in data for form in forms), path
                assert kek not in data or path.parent == log.settings.keys, path

    search()
    journal.close()
    search()
    log.ship()
    search()
    assert b"".join(piece.data for piece in read_transcript(log.look(), log.keys, "x").pieces).count(secret) == 2


def test_nothing_prints_keys_or_content(log):
    texts = [repr(log.keys), str(log.keys), repr(PIECES[0])]
    assert not any("one" in text or log.keys.content.key.hex() in text or "Ed25519" in text for text in texts)


class TestSealedBytes:
    def test_opens_under_its_own_context_only(self, log):
        sealed = seal_bytes(log.keys, b"approval-1", b"preview")
        assert open_bytes(log.keys, b"approval-1", sealed) == b"preview"
        assert b"preview" not in sealed
        with pytest.raises(Malformed):
            open_bytes(log.keys, b"approval-2", sealed)

    def test_every_byte_counts(self, log):
        sealed = seal_bytes(log.keys, b"c", b"preview")
        for offset in range(len(sealed)):
            changed = bytearray(sealed)
            changed[offset] ^= 1
            with pytest.raises(Malformed):
                open_bytes(log.keys, b"c", bytes(changed))
            with pytest.raises(Malformed):
                open_bytes(log.keys, b"c", sealed[:offset])

    def test_is_never_the_same_twice(self, log):
        assert seal_bytes(log.keys, b"c", b"x") != seal_bytes(log.keys, b"c", b"x")


class TestKeyFiles:
    def test_are_private_and_the_same_every_time(self, tmp_path):
        first = AuditKeys.load_or_create(tmp_path / "keys")
        second = AuditKeys.load_or_create(tmp_path / "keys")
        assert first.content.key == second.content.key
        assert first.signing.private_bytes_raw() == second.signing.private_bytes_raw()
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
        assert modes["deployment.key"] == modes["content.key"] == 0o600

    @pytest.mark.parametrize("name", ["deployment.key", "content.key"])
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_open_to_others_are_refused(self, tmp_path, name, mode):
        AuditKeys.load_or_create(tmp_path)
        (tmp_path / name).chmod(mode)
        with pytest.raises(AuditRefused):
            AuditKeys.load_or_create(tmp_path)

    @pytest.mark.parametrize("name", ["deployment.key", "content.key"])
    def test_one_of_two_gone_is_not_made_anew(self, tmp_path, name):
        AuditKeys.load_or_create(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(AuditRefused):
            AuditKeys.load_or_create(tmp_path)

    def test_a_foreign_public_key_or_a_short_key_is_refused(self, tmp_path):
        AuditKeys.load_or_create(tmp_path / "a")
        AuditKeys.load_or_create(tmp_path / "b")
        (tmp_path / "a" / "deployment.pub").write_bytes((tmp_path / "b" / "deployment.pub").read_bytes())
        with pytest.raises(AuditRefused):
            AuditKeys.load_or_create(tmp_path / "a")
        (tmp_path / "b" / "content.key").write_bytes(b"short")
        with pytest.raises(AuditRefused):
            AuditKeys.load_or_create(tmp_path / "b")


@pytest.mark.parametrize("parse", [parse_mark, parse_record])
@pytest.mark.parametrize("line", [b'{"chain":{"origin":"\xc3("}}', b'{"origin":"\xff"}', b"\xff", b"{", b""])
def test_bytes_that_are_no_utf_8_are_refused_like_any_other(parse, line):
    with pytest.raises(AuditRefused):
        parse(line)


def test_a_spool_s_newest_entry_that_is_no_utf_8_is_refused(tmp_path):
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "head.json").write_bytes(b'{"spool":"\xff"}')
    with pytest.raises(AuditRefused):
        read_head(tmp_path)
