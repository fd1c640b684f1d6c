"""Ask a directory what it keeps: a name once, and nothing more."""

import contextlib
import os
import shutil
from pathlib import Path

from extproc.audit.settings import DirectoryStore
from extproc.audit.stores.inspect import Finding, Inspection, Result, Rule
from extproc.audit.stores.store import Directory, Divergent, StoreFailed


def inspect_directory(settings: DirectoryStore) -> Inspection:
    """Asks with files of its own, which it takes away. Raises `StoreFailed` when nothing can be written, or when there
    is no such directory: it is not created.
    """
    Directory(settings).require_root()
    place = settings.directory / f"inspect-{os.urandom(8).hex()}"
    store = Directory(DirectoryStore(place))
    try:
        store.check()
        store.put_once("v1/keys/bag", b"one")
        store.put_once("v1/evidence/object", b"one")
        findings = (
            Finding(Rule.OBJECT_LOCK, Result.NOT_ENFORCED, "a directory has no locks"),
            Finding(Rule.WRITE_NEW, Result.ENFORCED),
            Finding(Rule.WRITE_ONCE, _refuses_another(store)),
            Finding(Rule.OLDEST_STAYS, _survives_overwriting(place / "v1/evidence/object")),
            Finding(Rule.DELETE_LOCKED, _survives_deletion(place / "v1/evidence/object")),
            Finding(Rule.BAG_DELETE, _goes(store)),
        )
    except OSError as error:
        raise StoreFailed(f"directory: {type(error).__name__}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Inspection("directory", place.name, findings)


def _refuses_another(store: Directory) -> Result:
    try:
        store.put_once("v1/evidence/object", b"two")
    except Divergent:
        return Result.ENFORCED
    return Result.NOT_ENFORCED


def _survives_overwriting(path: Path) -> Result:
    with contextlib.suppress(OSError):
        path.write_bytes(b"two")
    return Result.ENFORCED if path.read_bytes() == b"one" else Result.NOT_ENFORCED


def _survives_deletion(path: Path) -> Result:
    with contextlib.suppress(OSError):
        path.unlink()
    return Result.ENFORCED if path.exists() else Result.NOT_ENFORCED


def _goes(store: Directory) -> Result:
    store.delete_for_good("v1/keys/bag")
    return Result.NOT_ENFORCED if any(store.list("v1/keys")) else Result.ENFORCED
