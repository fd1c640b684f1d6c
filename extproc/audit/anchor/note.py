"""Signed notes of C2SP (c2sp.org/signed-note) with its two Ed25519 signature types, so that others can read our heads.

A note is a text, an empty line, and signature lines: em dash, key name, base64 of a 4-byte key id and the signature.
Type 0x01 signs the text. Type 0x04 is a timestamped cosignature (c2sp.org/tlog-cosignature): a witness saw it then.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from extproc.audit.refusal import AuditRefused

_DASH = "\N{EM DASH} "
_ID_BYTES, _TIME_BYTES, _KEY_BYTES = 4, 8, 32
MAX_SIGNATURES = 100
"""More than anybody needs; C2SP asks for at least 16."""
MAX_NOTE_BYTES = 1024 * 1024


class Algorithm(IntEnum):
    """The assigned signature type identifiers that are used here."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name: `<name>+<key id in hex>+<base64 of type and key>`."""

    name: str
    algorithm: Algorithm
    public: Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Raises `AuditRefused`."""
        name, plus, rest = text.partition("+")
        key_id, plus, material = rest.partition("+")
        data = decode_base64(material)
        if not plus or data is None or len(data) != 1 + _KEY_BYTES or data[0] not in set(Algorithm):
            raise AuditRefused("the verifier key is not an Ed25519 one, `name+hash+base64`")
        key = cls(_name(name), Algorithm(data[0]), Ed25519PublicKey.from_public_bytes(data[1:]))
        if key_id != key.key_id.hex():
            raise AuditRefused("the verifier key's hash does not belong to its name and key")
        return key

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self._material).digest()[:_ID_BYTES]

    @property
    def _material(self) -> bytes:
        return bytes([self.algorithm]) + self.public.public_bytes_raw()

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._material).decode()}"


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Signs under a name. The key does not print."""

    name: str
    key: Ed25519PrivateKey = field(repr=False)

    def verifier(self, algorithm: Algorithm) -> VerifierKey:
        return VerifierKey(_name(self.name), algorithm, self.key.public_key())

    def sign(self, text: str) -> str:
        """A signature line of type 0x01."""
        return self._line(Algorithm.ED25519, self.key.sign(text.encode()))

    def cosign(self, text: str, seconds: int) -> str:
        """A signature line of type 0x04; `seconds` is POSIX time."""
        signature = self.key.sign(_cosigned(text, seconds))
        return self._line(Algorithm.COSIGNATURE, seconds.to_bytes(_TIME_BYTES, "big") + signature)

    def _line(self, algorithm: Algorithm, signature: bytes) -> str:
        data = self.verifier(algorithm).key_id + signature
        return f"{_DASH}{self.name} {base64.b64encode(data).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifiedNote:
    """A text that the key signed. `seconds`: when, by the cosigner's clock; 0 for type 0x01."""

    text: str
    seconds: int


def make_note(text: str, *lines: str) -> bytes:
    """The stored form of a text and its signature lines. Raises `AuditRefused` when it would not be read again."""
    data = f"{text}\n{''.join(lines)}".encode()
    _split(data)
    return data


def verify_note(data: bytes, key: VerifierKey) -> VerifiedNote:
    """The text and when it was signed, by `key` alone; other keys' lines are passed over.

    Raises `AuditRefused` for anything that is no note, has no signature of the key, or one that does not hold.
    """
    text, signatures = _split(data)
    moments = [
        _verify(text, key, signature)
        for name, key_id, signature in signatures
        if (name, key_id) == (key.name, key.key_id)
    ]
    if not moments:
        raise AuditRefused(f"the note has no signature of {key.name}")
    return VerifiedNote(text, max(moments))


def _verify(text: str, key: VerifierKey, signature: bytes) -> int:
    seconds, message = 0, text.encode()
    if key.algorithm is Algorithm.COSIGNATURE:
        seconds = int.from_bytes(signature[:_TIME_BYTES], "big")
        signature, message = signature[_TIME_BYTES:], _cosigned(text, seconds)
    try:
        key.public.verify(signature, message)
    except InvalidSignature as error:
        raise AuditRefused(f"the note's signature of {key.name} does not hold") from error
    return seconds


def _cosigned(text: str, seconds: int) -> bytes:
    if not 0 <= seconds < 1 << 63:
        raise AuditRefused("a cosignature's time is out of range")
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _split(data: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text, and name, key id and signature of each line."""
    if len(data) > MAX_NOTE_BYTES:
        raise AuditRefused("the note is too long")
    try:
        note = data.decode()
    except UnicodeDecodeError as error:
        raise AuditRefused("the note is not UTF-8") from error
    if any(character < " " and character != "\n" for character in note):
        raise AuditRefused("the note has control characters")
    # The last empty line ends the text: what looks like a signature before it is text.
    end = note.rfind("\n\n")
    lines = note[end + 2 :].split("\n")
    if end < 0 or len(lines) < 2 or lines.pop() or len(lines) > MAX_SIGNATURES:
        raise AuditRefused("the note has no text with signature lines behind it")
    return note[: end + 1], [_parse_line(line) for line in lines]


def _parse_line(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    data = decode_base64(encoded)
    if not line.startswith(_DASH) or not space or data is None or len(data) <= _ID_BYTES:
        raise AuditRefused("a line of the note is no signature line")
    return _name(name), data[:_ID_BYTES], data[_ID_BYTES:]


def _name(name: str) -> str:
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise AuditRefused("a key name is empty or holds a space or a plus")
    return name


def decode_base64(text: str) -> bytes | None:
    """Standard base64, in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None
