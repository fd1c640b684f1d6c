"""Acceptance 11: every byte, every boundary and every place of a transcript counts, and one ciphertext has one key."""

import hmac
import itertools

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from extproc.audit.keys.keys import AuditKeys, FileContentKeys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.audit.log.content import ContentCipher, Piece, parse_content_frame
from extproc.audit.log.segment import CONTENT_LENGTH, CONTENT_MAGIC, pack_content, unpack_content
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.replay import Transcript, read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.core.reasons import Malformed
from extproc.core.record import Direction
from extproc.core.trust import Masked

ORIGIN = "test/worker-0/20260101T000000Z-00000000000000aa"
REFUSALS = (AuditRefused, Malformed)


class Stored:
    """One small transcript in a copy of a store, of which each object can be put in another form."""

    def __init__(self, log, memory) -> None:
        self.keys, self._store = log.keys, memory(log.store_path)
        (self._content,) = (key for key in self._store.objects if key.endswith(".content"))
        (self._bag,) = (key for key in self._store.objects if key.endswith(".keys.jsonl"))
        self.content, self.bag = self._store.objects[self._content], self._store.objects[self._bag]
        self.frames = unpack_content(self.content)

    def read(self, *, content: bytes | None = None, bag: bytes | None = None) -> Transcript | None:
        self._store.objects[self._content] = self.content if content is None else content
        self._store.objects[self._bag] = self.bag if bag is None else bag
        return read_transcript(Holdings.look(self._store, None, "test"), self.keys, "x-1")

    def refuses(self, **changed: bytes) -> bool:
        try:
            self.read(**changed)
        except REFUSALS:
            return True
        return False


@pytest.fixture
def stored(log, exchange, memory) -> Stored:
    journal = log.open()
    exchange(journal, "x-1")
    journal.close()
    log.ship()
    stored = Stored(log, memory)
    transcript = stored.read()
    assert transcript is not None
    assert (transcript.closed, len(transcript.pieces)) == (True, 4)
    return stored


def test_a_flip_at_every_byte_is_refused(stored):
    for offset in range(len(stored.content)):
        changed = bytearray(stored.content)
        changed[offset] ^= 1 << offset % 8
        assert stored.refuses(content=bytes(changed)), f"byte {offset}"


def test_a_cut_at_every_byte_is_refused(stored):
    for length in range(len(stored.content)):
        assert stored.refuses(content=stored.content[:length]), f"{length} bytes"


def test_more_at_every_frame_s_end_is_refused(stored):
    for number, frame in enumerate(stored.frames):
        for extra in (b"\x00", frame[-16:], frame):
            longer = [*stored.frames[:number], frame + extra, *stored.frames[number + 1 :]]
            assert stored.refuses(content=pack_content(longer)), f"frame {number}"
    for extra in (b"\x00", CONTENT_LENGTH.pack(0), CONTENT_MAGIC, CONTENT_LENGTH.pack(4) + b"more"):
        assert stored.refuses(content=stored.content + extra)


def test_each_other_order_or_number_of_frames_is_refused(stored):
    count = len(stored.frames)
    assert count >= 3
    for order in itertools.product(range(count), repeat=count):
        if order != tuple(range(count)):
            assert stored.refuses(content=pack_content([stored.frames[at] for at in order])), order
    for length in range(count):
        assert stored.refuses(content=pack_content(stored.frames[:length]))
    assert stored.refuses(content=pack_content([*stored.frames, stored.frames[-1]]))


def test_a_flip_at_every_byte_of_the_key_s_line_is_refused(stored):
    for offset in range(len(stored.bag) - 1):
        changed = bytearray(stored.bag)
        changed[offset] ^= 1 << offset % 8
        assert stored.refuses(bag=bytes(changed)), f"byte {offset}"


def test_a_frame_of_another_place_is_refused():
    """Another exchange, origin, direction, number or key: none opens here, also when its head is written over."""
    cipher = ContentCipher(bytes(32), ORIGIN, "x-1")
    pieces = (Piece(Direction.TO_MODEL, 1, Masked(b"one")),)
    foreign = [
        ContentCipher(bytes(32), ORIGIN, "x-2").seal(1, pieces),
        ContentCipher(bytes(32), ORIGIN.replace("aa", "ab"), "x-1").seal(1, pieces),
        ContentCipher(b"\x01" + bytes(31), ORIGIN, "x-1").seal(1, pieces),
    ]
    own = [cipher.seal(2, pieces), cipher.seal(1, [Piece(Direction.TO_CLIENT, 1, Masked(b"one"))])]
    ours = cipher.seal(1, pieces)
    assert cipher.open(parse_content_frame(ours)) == pieces
    head = len(cipher.head) + 5
    for frame in [*foreign, *own]:
        assert len(frame) == len(ours)
        for moved in ours[:head] + frame[head:], frame[:head] + ours[head:], frame:
            if moved in own:
                continue  # in its place
            with pytest.raises(AuditRefused):
                cipher.open(parse_content_frame(moved))


# Key commitment ------------------------------------------------------------------------------------------------------

_R = 0xE1 << 120


def _times(x: int, y: int) -> int:
    """In the field of GCM (NIST SP 800-38D section 6.3)."""
    z = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            z ^= y
        y = y >> 1 ^ (_R if y & 1 else 0)
    return z


def _power(x: int, exponent: int) -> int:
    result = 1 << 127
    while exponent:
        if exponent & 1:
            result = _times(result, x)
        x, exponent = _times(x, x), exponent >> 1
    return result


class _Gcm:
    """One key and nonce of AES-GCM, taken apart."""

    def __init__(self, okm: bytes) -> None:
        self.key, self.nonce, self.commitment = okm[:32], okm[32:44], okm[44:]
        encrypt = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor().update
        self.h = int.from_bytes(encrypt(bytes(16)))
        self.mask = int.from_bytes(encrypt(self.nonce + b"\x00\x00\x00\x01"))

    def tag(self, blocks: list[int]) -> int:
        y = 0
        for block in blocks:
            y = _times(y ^ block, self.h)
        return y ^ self.mask


def _two_key_ciphertext(one: _Gcm, two: _Gcm, context: bytes) -> bytes:
    """A ciphertext of 32 bytes and its tag that AES-GCM accepts under both: the second block is solved for."""
    aad = int.from_bytes(context.ljust(16, b"\x00"))
    lengths = len(context) * 8 << 64 | 32 * 8
    first = int.from_bytes(b"any first block!")
    difference = one.tag([aad, first, 0, lengths]) ^ two.tag([aad, first, 0, lengths])
    slope = _times(one.h, one.h) ^ _times(two.h, two.h)
    second = _times(difference, _power(slope, (1 << 128) - 2))
    tag = one.tag([aad, first, second, lengths])
    assert tag == two.tag([aad, first, second, lengths])
    return b"".join(part.to_bytes(16) for part in (first, second, tag))


def test_a_ciphertext_that_two_keys_accept_opens_under_the_one_it_commits_to():
    """AES-GCM alone accepts it under both keys: one ciphertext, two recordings. The commitment allows one."""
    context, salt = b"approval-1", bytes(range(24))
    keks = (b"\x01" * 32, b"\x02" * 32)
    halves = [_Gcm(HKDF(SHA512(), 76, salt, b"extproc seal\x00" + context).derive(kek)) for kek in keks]
    body = _two_key_ciphertext(*halves, context)
    plain = [AESGCM(half.key).decrypt(half.nonce, body, context) for half in halves]
    assert plain[0] != plain[1]
    for committed in range(2):
        sealed = b"\x01" + salt + halves[committed].commitment + body
        for used in range(2):
            keys = AuditKeys(_no_signing(), FileContentKeys(keks[used]))
            if used == committed:
                assert open_bytes(keys, context, sealed) == plain[used]
            else:
                with pytest.raises(Malformed):
                    open_bytes(keys, context, sealed)


def test_a_retired_key_opens_what_it_sealed_and_nothing_that_another_committed_to():
    old, new = b"\x01" * 32, b"\x02" * 32
    sealed = seal_bytes(AuditKeys(_no_signing(), FileContentKeys(old)), b"c", b"data")
    assert open_bytes(AuditKeys(_no_signing(), FileContentKeys(new, (old,))), b"c", sealed) == b"data"
    with pytest.raises(Malformed):
        open_bytes(AuditKeys(_no_signing(), FileContentKeys(new, (b"\x03" * 32,))), b"c", sealed)


def test_a_stream_opens_under_the_key_that_its_first_frame_commits_to():
    keys = [bytes([number]) * 32 for number in range(1, 20)]
    ciphers = [ContentCipher(key, ORIGIN, "x-1") for key in keys]
    assert len({cipher.commitment for cipher in ciphers}) == len(keys)
    frame = parse_content_frame(ciphers[0].seal(1, (Piece(Direction.TO_MODEL, 1, Masked(b"one")),)))
    for cipher in ciphers[1:]:
        assert not hmac.compare_digest(cipher.commitment, ciphers[0].commitment)
        with pytest.raises(AuditRefused):
            cipher.open(frame)


def test_another_key_in_the_bag_does_not_open_the_stream(stored):
    """A whole, well-sealed line of the same exchange, with another content key."""
    from extproc.audit.log.content import WrappedKey, wrap_key

    line = msgspec.json.decode(stored.bag, type=WrappedKey)
    other = ContentCipher(b"\x09" * 32, line.origin, "x-1")
    forged = msgspec.json.decode(wrap_key(stored.keys, other, b"\x09" * 32, line.origin, "x-1"), type=WrappedKey)
    for stream in (forged.stream, line.stream):
        bag = msgspec.json.encode(msgspec.structs.replace(forged, stream=stream)) + b"\n"
        assert stored.refuses(bag=bag)


def _no_signing():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(bytes(32))
