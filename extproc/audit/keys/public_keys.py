"""`deployment.pub`: the deployment's public keys in PEM, the one in force first. All that a verifier needs."""

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from extproc.audit.files import replace, write_new
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import PublicKey, TrustedKeys

PUBLIC_KEY = "deployment.pub"
MAX_PUBLIC_BYTES = 64 * 1024
"""Three hundred keys; a file beyond it is some other file."""
_BLOCK = re.compile(rb"-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*")


def load_public_key(path: Path) -> TrustedKeys:
    """A deployment's public keys from PEM: Ed25519, or ECDSA on P-256. Raises `AuditRefused`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PUBLIC_BYTES + 1)
        blocks = _BLOCK.findall(data)
        if not blocks or b"".join(blocks) != data.lstrip() or len(data) > MAX_PUBLIC_BYTES:
            raise ValueError  # noqa: TRY301 - the same answer as from the parser
        keys = tuple(_known(load_pem_public_key(block), path) for block in blocks)
    except FileNotFoundError as error:
        raise AuditRefused(f"{path} is not there") from error
    except (OSError, ValueError) as error:
        raise AuditRefused(f"{path} is not a readable public key") from error
    return TrustedKeys(keys)


def _known(key: object, path: Path) -> PublicKey:
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise AuditRefused(f"{path} holds a public key that is neither Ed25519 nor on P-256")


def algorithm_of(key: PublicKey) -> str:
    return "Ed25519" if isinstance(key, Ed25519PublicKey) else "ECDSA P-256 SHA-256"


def pin_public_key(directory: Path, key: PublicKey) -> None:
    """Write it once; later it must be the same. Raises `AuditRefused` when the file has another key first."""
    path = directory / PUBLIC_KEY
    if not path.exists():
        write_new(path, _pem(key))
    elif next(iter(load_public_key(path))) != key:
        raise AuditRefused(
            f"{path} names another key than the one that signs; `extproc audit rotate-keys` puts a new one first"
        )


def put_first(directory: Path, key: PublicKey) -> None:
    """From now on this key signs; what the others signed is verified with them."""
    path = directory / PUBLIC_KEY
    others = [each for each in load_public_key(path) if each != key] if path.exists() else []
    replace(path, b"".join(map(_pem, (key, *others))), mode=0o644)


def _pem(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
