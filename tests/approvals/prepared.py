"""Databases that are at the newest revision, and empty, before a test opens them: copies of one that was migrated.

For tests of what is done with a database. How it comes to that revision is what `test_migrations.py` is about.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from extproc.approvals.database import open_database


@cache
def _newest() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "newest.db")
        open_database(f"sqlite:///{path}").close()
        return path.read_bytes()


def sqlite_at_newest(path: Path) -> str:
    """The address of the file, which is as it was where there is one already."""
    with suppress(FileExistsError), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_newest())
    return f"sqlite:///{path}"
