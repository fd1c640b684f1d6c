"""What runs here, by name and digest, for the record that begins an epoch of the audit log (PCI DSS 10.2.1.6)."""

import hashlib
from importlib.metadata import version
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def program_name() -> str:
    """Name and version."""
    return f"extproc {version('extproc')}"


def digest_package(folder: Path = _PACKAGE) -> str:
    """`sha256:<hex>` over every file of the package, each with its path and length. Takes milliseconds."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            data = path.read_bytes()
            whole.update(b"%s\0%d\0" % (path.relative_to(folder).as_posix().encode(), len(data)))
            whole.update(data)
    return f"sha256:{whole.hexdigest()}"


def digest_file(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes; empty when it cannot be read."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return ""


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
