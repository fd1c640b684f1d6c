"""Proof of one sealed segment by itself: its manifest is signed and in its place, its objects are those it names.

Each check raises `Broken`. What follows from the segments before is not looked at here.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from extproc.audit.log.content import WrappedKey
from extproc.audit.log.segment import MANIFEST_VERSION, Manifest, ObjectRef, key_digest, split_content
from extproc.audit.merkle import leaf_hash, merkle_root
from extproc.audit.names import Origin, Part
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.signed import (
    Certificate,
    Domain,
    UnnamedKey,
    VerifyKey,
    split_document,
    unverified_certificate,
    verify_certificate,
    verify_document,
)
from extproc.audit.verify.findings import Broken, Name

Read = Callable[[Part], bytes | None]
ReadPieces = Callable[[], Iterator[bytes] | None]


@dataclass(frozen=True, slots=True)
class Signed:
    """A manifest whose signature holds, and the certificate of its signer."""

    manifest: Manifest
    certificate: Certificate


def verify_manifest(key: VerifyKey, origin: Origin, segment: int, document: bytes) -> Signed:
    """1 parses, 2 signed by a key that the deployment certified, 3 for this origin, 4 about this place, 5 of a known
    form. What is damaged fails before it is asked whose key signed the certificate."""
    try:
        manifest = msgspec.json.decode(split_document(document)[0], type=Manifest)
        certified = unverified_certificate(manifest.certificate)
        signer = Ed25519PublicKey.from_public_bytes(bytes.fromhex(certified.public_key))
        verify_document(signer, Domain.MANIFEST, document)
        certificate = verify_certificate(key, manifest.certificate)
    except UnnamedKey as error:
        raise Broken(Name.ALTERED, str(error), Part.MANIFEST) from error
    except (AuditRefused, *NOT_PARSED) as error:
        raise Broken(Name.ALTERED, "the manifest or its signature does not hold", Part.MANIFEST) from error
    place = (str(origin), segment, origin.object_key(Part.MANIFEST, segment))
    if (manifest.origin, manifest.segment, manifest.location) != place or certificate.origin != str(origin):
        raise Broken(
            Name.RELOCATED, f"the manifest belongs to {manifest.origin} segment {manifest.segment}", Part.MANIFEST
        )
    if manifest.version < 1:
        raise Broken(Name.ALTERED, f"a manifest of version {manifest.version}, which there never was", Part.MANIFEST)
    if manifest.version > MANIFEST_VERSION:
        raise Broken(
            Name.UNREADABLE,
            f"a manifest of version {manifest.version}; this verifier knows {MANIFEST_VERSION}",
            Part.MANIFEST,
        )
    return Signed(manifest, certificate)


def lines_of(evidence: bytes) -> Iterator[bytes]:
    """The lines of an evidence object, each without its newline."""
    start = 0
    while (end := evidence.find(b"\n", start)) >= 0:
        yield evidence[start:end]
        start = end + 1


def verify_evidence(manifest: Manifest, read: Read) -> tuple[bytes, list[bytes]]:
    """The evidence, and the leaf hashes of its lines."""
    evidence = read(Part.EVIDENCE)
    if evidence is None:
        raise Broken(Name.GAP, "the evidence object is missing", Part.EVIDENCE)
    _verify_object(manifest.evidence, evidence)
    if not (b"\n" + evidence).endswith(b"\n") or evidence.count(b"\n") != manifest.records:
        raise Broken(Name.ALTERED, "the evidence object has another number of records than was signed", Part.EVIDENCE)
    leaves = [leaf_hash(line) for line in lines_of(evidence)]
    if merkle_root(leaves).hex() != manifest.root:
        raise Broken(Name.ALTERED, "the records do not hash to the signed root", Part.EVIDENCE)
    return evidence, leaves


def verify_content(
    manifest: Manifest, read: ReadPieces, follow: Callable[[Iterable[memoryview]], None], *, listed: bool
) -> None:
    """`follow` is given the content's frames, none where the segment has no content, while they are read: what it makes
    of them holds only if nothing is raised. `listed`: the store lists a content object."""
    if manifest.content is None:
        if listed:
            raise Broken(Name.STRANGER, "a content object that was not signed", Part.CONTENT)
        follow(())
        return
    pieces = read()
    if pieces is None:
        raise Broken(Name.GAP, "the content object is missing", Part.CONTENT)
    digest, size = hashlib.sha256(), 0

    def digested() -> Iterator[bytes]:
        nonlocal size
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            yield piece

    refused: AuditRefused | None = None
    rest = digested()
    try:
        follow(split_content(rest))
    except AuditRefused as error:
        refused = error
    for _ in rest:  # what is altered is altered, whatever its frames say
        pass
    _verify_digest(manifest.content, size, digest.hexdigest(), Part.CONTENT)
    if refused is not None:
        raise Broken(Name.ALTERED, str(refused), Part.CONTENT) from refused


def _verify_object(ref: ObjectRef, data: bytes) -> None:
    _verify_digest(ref, len(data), hashlib.sha256(data).hexdigest(), Part.EVIDENCE)


def _verify_digest(ref: ObjectRef, size: int, sha256: str, part: Part) -> None:
    if (size, sha256) != (ref.size, ref.sha256):
        raise Broken(Name.ALTERED, f"the {part.name.lower()} object is not what was signed", part)


@dataclass(frozen=True, slots=True)
class KeyBag:
    """What is left of a segment's wrapped keys: the streams that have theirs, and how many were taken out."""

    streams: frozenset[tuple[str, str]]
    """Exchange and stream."""
    absent: int


def verify_keys(manifest: Manifest, read: Read, *, listed: bool) -> KeyBag:
    """Lines may have been taken out of a bag; each that is left is as it was signed, and in its place.

    A manifest of version 1 does not sign them: of its bag only the origin of each line can be told.
    """
    if not manifest.content_keys and not listed:
        return KeyBag(frozenset(), 0)
    lines = (read(Part.KEYS) or b"").split(b"\n")
    if lines.pop() != b"" or len(lines) > manifest.content_keys:
        raise Broken(Name.ALTERED, "the key bag is not made of lines that were signed", Part.KEYS)
    if manifest.version > 1 and not _is_part([key_digest(line) for line in lines], manifest.key_lines):
        raise Broken(Name.ALTERED, "the key bag has a line that was not signed", Part.KEYS)
    try:
        keys = [msgspec.json.decode(line, type=WrappedKey) for line in lines]
    except NOT_PARSED as error:
        raise Broken(Name.ALTERED, "the key bag has a line that does not parse", Part.KEYS) from error
    if any(key.origin != manifest.origin for key in keys):
        raise Broken(Name.RELOCATED, "the key bag has a line of another epoch", Part.KEYS)
    return KeyBag(frozenset((key.exchange_id, key.stream) for key in keys), manifest.content_keys - len(lines))


def _is_part(some: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether `some` is `whole` with items left out."""
    rest = iter(whole)
    return all(item in rest for item in some)
