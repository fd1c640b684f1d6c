"""What lies sealed in the spool, looked at before it is stored for good: whole, as it was signed, and in its place.

A lock cannot be taken back, so what the disk or a stranger did to a file must not come under it.
"""

import hashlib
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from extproc.audit.log.registry import Entry
from extproc.audit.log.segment import Manifest, ObjectRef, key_digest
from extproc.audit.names import Origin, Part, segment_file
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.signed import Certificate, Domain, split_document, verify_document


class SpoolUnfit(AuditRefused):
    """A file in the spool is not what was sealed. A person looks, and moves its epoch's folder out of the spool."""


def verify_sealed(directory: Path, origin: Origin, segment: int) -> tuple[ObjectRef, ...]:
    """The objects that the manifest names and that are not here. Raises `SpoolUnfit`, FileNotFoundError or OSError.

    The signature is held against the manifest's own certificate; whether that is the deployment's the verifier says.
    Lines may have been taken out of a key bag.
    """
    path = directory / segment_file(segment, Part.MANIFEST)
    manifest = _parse_manifest(path)
    if (manifest.origin, manifest.location) != (str(origin), origin.object_key(Part.MANIFEST, segment)):
        raise SpoolUnfit(f"{path} belongs to {manifest.origin} segment {manifest.segment}")
    bag = directory / segment_file(segment, Part.KEYS)
    if manifest.key_lines and bag.exists():
        lines = {key_digest(line) for line in bag.read_bytes().splitlines()}
        if not lines <= set(manifest.key_lines):
            raise SpoolUnfit(f"{bag} is not what was sealed")
    named = {Part.EVIDENCE: manifest.evidence, Part.CONTENT: manifest.content}
    return tuple(ref for part, ref in named.items() if ref and not _is_here(directory, segment, part, ref))


def _parse_manifest(path: Path) -> Manifest:
    document = path.read_bytes()
    try:
        manifest = msgspec.json.decode(split_document(document)[0], type=Manifest)
        certificate = msgspec.json.decode(split_document(manifest.certificate.encode())[0], type=Certificate)
        signer = Ed25519PublicKey.from_public_bytes(bytes.fromhex(certificate.public_key))
        verify_document(signer, Domain.MANIFEST, document)
    except (AuditRefused, *NOT_PARSED) as error:
        raise SpoolUnfit(f"{path} is not what was sealed") from error
    return manifest


def _is_here(directory: Path, segment: int, part: Part, ref: ObjectRef) -> bool:
    path = directory / segment_file(segment, part)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    if digest != ref.sha256:
        raise SpoolUnfit(f"{path} is not what was sealed")
    return True


def verify_registered(path: Path, origin: Origin) -> tuple[bytes, Entry]:
    """This epoch's registry entry, at `path`, as stored and as read.

    Raises `SpoolUnfit`, FileNotFoundError or OSError.
    """
    document = path.read_bytes()
    try:
        entry = msgspec.json.decode(split_document(document)[0], type=Entry)
    except (AuditRefused, *NOT_PARSED) as error:
        raise SpoolUnfit(f"{path} is no registry entry") from error
    if (entry.origin, entry.location) != (str(origin), origin.registry_key):
        raise SpoolUnfit(f"{path} belongs to {entry.origin}")
    return document, entry
