"""The keys of a service that starts: those that there are, or the first ones of a log that has not begun."""

import logging
from contextlib import suppress

from extproc.audit.keys.keys import AuditKeys, missing_public_keys, open_or_make_keys, there_are_keys
from extproc.audit.keys.public_keys import PUBLIC_KEY
from extproc.audit.log.foreign_log import refuse_foreign_log
from extproc.audit.log.registry import Registry, read_head
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.audit.stores.store import StoreFailed, open_store

_log = logging.getLogger("extproc.audit")


def first_keys(settings: AuditSettings) -> AuditKeys:
    """New ones are made only while spool and store hold no log of this deployment; and a new spool does not begin
    beside a log of other keys, as far as the store can be read. That retired public keys are gone is said.

    Raises `AuditRefused` or OSError."""
    if not there_are_keys(settings) and (where := _begun(settings)):
        raise AuditRefused(
            f"there are no keys in {settings.keys}, and {where} holds a log that was begun with another key: "
            "is `audit.keys` right?"
        )
    keys = open_or_make_keys(settings)
    if missing := missing_public_keys(settings.keys):
        _log.error(
            "%s names fewer keys than it did, so that a part of the log is not proven with it; put the missing ones "
            "back behind the first, from a copy that the anchor or a verifier has (SHA-256: %s)",
            settings.keys / PUBLIC_KEY,
            ", ".join(missing),
        )
    Registry(settings.spool, keys).refuse_another_key()
    if read_head(settings.spool) is None:
        with suppress(StoreFailed):  # the shipper looks again before it stores the first entry
            refuse_foreign_log(settings, open_store(settings))
    return keys


def _begun(settings: AuditSettings) -> str:
    """Where a log of this deployment is; empty when there is none."""
    if read_head(settings.spool) is not None:
        return str(settings.spool)
    try:
        stored = next(iter(open_store(settings).list(f"v1/registry/{settings.deployment}/")), None)
    except StoreFailed:  # a store that cannot be reached yet is waited for
        return ""
    return "" if stored is None else "the store"
