"""The revisions of the approval database, and what is done with one that is at another than the newest."""

import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from extproc.approvals.settings import Migrate
from extproc.core.printable import printable_line
from extproc.core.reasons import Reason, Unavailable

NEWEST = "0006"
"""The revision that this version reads and writes. A test compares it with the migrations."""
_MIGRATIONS = Path(__file__).parent / "migrations"

# Alembic keeps the running migration in module globals.
_one_migration = threading.Lock()


class Unusable(Unavailable):
    """A database that waiting does not help. `sentence` says what to do; it quotes nothing of the address."""

    def __init__(self, sentence: str) -> None:
        super().__init__(Reason.APPROVALS_UNAVAILABLE)
        self.sentence = sentence


def find_revision(connection: Connection) -> str:
    """The revision that a database is at, or "" where there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or "")


def to_newest(connection: Connection, migrate: Migrate) -> None:
    """All in the transaction of the caller, who lets in nobody else: it ends at the newest revision or changes nothing.

    An empty database is made in any case; there is nothing in it to lose. Raises `Unusable` for one that must be left
    as it is, `Unavailable` for what no revision leads to.
    """
    revision = find_revision(connection)
    if revision == NEWEST:
        return
    if revision > NEWEST:
        raise Unusable(
            f"The approval database is at revision {printable_line(revision)}, and this version knows {NEWEST}: "
            "run a version of extproc that is not older than the one that migrated it."
        )
    if revision and migrate is Migrate.MANUAL:
        raise Unusable(
            f"The approval database is at revision {printable_line(revision)} and {NEWEST} is needed: "
            "run `extproc approvals migrate`."
        )
    _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    # Imported where it is needed: at almost every start nothing is to be migrated.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _one_migration:
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise Unavailable(Reason.APPROVALS_UNAVAILABLE) from None
