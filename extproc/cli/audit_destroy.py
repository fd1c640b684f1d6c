"""What `extproc audit shred` and `extproc audit retention-check` destroy with, and how what goes wrong is said."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from extproc.cli.audit_where import fail

if TYPE_CHECKING:
    from extproc.approvals.store import ApprovalStore
    from extproc.audit.keys.keys import AuditKeys
    from extproc.edge.settings import Settings


@contextmanager
def destroying(settings: Settings, again: str) -> Iterator[tuple[AuditKeys, ApprovalStore]]:
    """The deployment's keys, and the approvals with their masked requests.

    Anything that goes wrong ends the command; `again` says what to do when it was recorded and not done to the end.
    """
    from extproc.approvals.store import open_store  # noqa: PLC0415
    from extproc.audit.keys.keys import open_keys  # noqa: PLC0415
    from extproc.audit.keys.seal import open_bytes, seal_bytes  # noqa: PLC0415
    from extproc.audit.refusal import AuditRefused  # noqa: PLC0415
    from extproc.audit.retention.shred import ShredFailed  # noqa: PLC0415
    from extproc.audit.stores.store import StoreFailed  # noqa: PLC0415
    from extproc.core.reasons import Unavailable  # noqa: PLC0415

    try:
        keys = open_keys(settings.audit)
        approvals = open_store(
            settings.approvals, functools.partial(seal_bytes, keys), functools.partial(open_bytes, keys)
        )
        try:
            yield keys, approvals
        finally:
            approvals.close()
    except ShredFailed as failed:
        fail(f"Recorded, and not done to the end ({failed}). {again}")
    except (AuditRefused, StoreFailed, OSError) as error:
        fail(f"Not done: {error}")
    except Unavailable:
        fail("Not done: the approval store cannot be reached, or nothing can be recorded.")
