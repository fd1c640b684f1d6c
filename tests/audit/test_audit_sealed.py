"""Sealed originals: what opens them, where they lie, and what reads past them."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from extproc.audit.log.content import ContentCipher, Piece, parse_content_frame
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention.sealed import (
    Sealer,
    fingerprint,
    load_custodian_key,
    load_private_key,
    open_original,
    splice,
    write_custodian_keys,
)
from extproc.core.originals import OriginalPlace
from extproc.core.record import Direction, EventCode
from extproc.core.trust import Masked, Unmasked

PAN = b"4111 1111 1111 1111"
KEY = X25519PrivateKey.generate()
ORIGIN = "test/worker-0/20260101T000000Z-00000000000000aa"
TO_MODEL, TO_CLIENT = Direction.TO_MODEL, Direction.TO_CLIENT
PLACE = OriginalPlace("x-1", TO_MODEL, 5, 5)
TEXT = b"card " + PAN


def seal(place: OriginalPlace = PLACE, text: bytes = TEXT) -> bytes:
    return Sealer(KEY.public_key(), ORIGIN)(place, Unmasked(text))


def test_the_custodian_opens_what_was_sealed() -> None:
    opened = open_original(KEY, ORIGIN, "x-1", TO_MODEL, seal())
    assert (opened.offset, opened.length, opened.text) == (5, 5, TEXT)
    assert "4111" not in repr(opened)
    assert seal() != seal()


@pytest.mark.parametrize(
    ("key", "origin", "exchange", "direction"),
    [
        (X25519PrivateKey.generate(), ORIGIN, "x-1", TO_MODEL),
        (KEY, ORIGIN.replace("worker-0", "worker-1"), "x-1", TO_MODEL),
        (KEY, ORIGIN, "x-2", TO_MODEL),
        (KEY, ORIGIN, "x-1", TO_CLIENT),
    ],
    ids=["key", "epoch", "exchange", "direction"],
)
def test_it_opens_in_its_own_place_only(key, origin, exchange, direction) -> None:
    with pytest.raises(AuditRefused):
        open_original(key, origin, exchange, direction, seal())


def test_no_byte_of_it_can_be_changed() -> None:
    """Among them those of the place and of the commitment, which stand in clear."""
    sealed = seal()
    for at in range(len(sealed)):
        changed = bytes((*sealed[:at], sealed[at] ^ 1, *sealed[at + 1 :]))
        with pytest.raises(AuditRefused):
            open_original(KEY, ORIGIN, "x-1", TO_MODEL, changed)
    for end in range(len(sealed)):
        with pytest.raises(AuditRefused):
            open_original(KEY, ORIGIN, "x-1", TO_MODEL, sealed[:end])


def test_the_commitment_is_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal texts have unequal commitments, and one under another nonce is found out."""
    assert seal()[25:57] != seal()[25:57]
    monkeypatch.setattr("extproc.audit.retention.sealed._commitment", lambda nonce, text: b"\0" * 32)
    wrong = seal()
    monkeypatch.undo()
    with pytest.raises(AuditRefused, match="committed"):
        open_original(KEY, ORIGIN, "x-1", TO_MODEL, wrong)


def test_the_key_pair_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "custodian.key"
    name = write_custodian_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = load_custodian_key(tmp_path / "custodian.key.pub")
    assert load_private_key(path).public_key() == public
    assert fingerprint(public).hex() == name
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        write_custodian_keys(path)
    assert path.read_bytes() == before
    path.chmod(0o640)
    with pytest.raises(AuditRefused, match="0600"):
        load_private_key(path)


def test_only_a_public_key_is_sealed_to(tmp_path: Path, log) -> None:
    write_custodian_keys(tmp_path / "custodian.key")
    with pytest.raises(AuditRefused, match="holds a private key"):
        load_custodian_key(tmp_path / "custodian.key")
    (tmp_path / "other").write_bytes(b"-----BEGIN PUBLIC KEY-----\n")
    for path in (tmp_path / "other", log.settings.keys / "deployment.pub"):
        with pytest.raises(AuditRefused, match="not an X25519 public key"):
            load_custodian_key(path)
    with pytest.raises(AuditRefused, match="cannot be read"):
        load_custodian_key(tmp_path / "none")


def test_originals_stand_in_the_place_of_what_was_masked() -> None:
    pieces = [Piece(TO_CLIENT, at, Masked(data)) for at, data in enumerate((b"one ", b"[PAN]", b" three"))]
    pieces.append(Piece(TO_MODEL, 9, Masked(b"asked")))
    opened = open_original(KEY, ORIGIN, "x-1", TO_CLIENT, seal(OriginalPlace("x-1", TO_CLIENT, 4, 5), PAN))
    assert splice(pieces, TO_CLIENT, [opened]) == b"one " + PAN + b" three"
    for misfit in ([opened, opened], [open_original(KEY, ORIGIN, "x-1", TO_MODEL, seal(PLACE, PAN))]):
        with pytest.raises(AuditRefused, match="do not fit"):
            splice(pieces[:1], TO_CLIENT, misfit)


def test_an_original_shares_the_key_of_its_exchange_and_is_bound_by_its_end(log, record, acks) -> None:
    journal = log.open()
    content = journal.open_content("x-1")
    sealed = Sealer(KEY.public_key(), journal.origin)(PLACE, Unmasked(TEXT))
    content.append(TO_MODEL, 1, Masked(b"card [PAN]"), acks)
    content.append(TO_MODEL.sealed, 1, sealed, acks)
    journal.append_record(record(EventCode.INFERENCE_REQUEST, "x-1"), acks)
    content.append(TO_CLIENT, 2, Masked(b"fine"), acks)
    journal.append_record(record(EventCode.INFERENCE_END, "x-1"), acks)
    assert all(acks.wait(5))
    origin = journal.origin
    journal.close()
    log.ship()
    transcript = read_transcript(log.look(), log.keys, "x-1")
    assert [(piece.direction, piece.data) for piece in transcript.pieces] == [
        (TO_MODEL, b"card [PAN]"),
        (TO_CLIENT, b"fine"),
    ]
    ((where, piece),) = transcript.sealed
    assert (where, piece.direction, piece.data) == (origin, TO_MODEL.sealed, sealed)
    assert transcript.closed
    assert log.verify().exit_code == 0
    stored = b"".join(path.read_bytes() for path in log.store_path.rglob("*") if path.is_file())
    assert sealed not in stored, "it is encrypted once more"


def test_a_reader_of_before_says_that_it_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It verifies such a transcript all the same: for that it need not be opened."""
    cipher = ContentCipher(os.urandom(32), ORIGIN, "x-1")
    frame = parse_content_frame(cipher.seal(1, [Piece(TO_MODEL.sealed, 1, Masked(b"sealed"))]))
    assert frame.direction == 3
    assert cipher.open(frame)[0].data == b"sealed"
    monkeypatch.setattr("extproc.audit.log.content._BY_NUMBER", {1: TO_MODEL, 2: TO_CLIENT})
    with pytest.raises(AuditRefused, match="does not open"):
        cipher.open(frame)
