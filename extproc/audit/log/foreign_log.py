"""Whether the store already holds a log under this deployment's name that was begun with other keys.

Two logs under one name prove neither: whoever has the keys of one takes the other's entries for forged. Under a lock
they would stay for years.
"""

import itertools

from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.audit.signed import Domain, verify_document
from extproc.audit.stores.store import ObjectStore, StoreFailed

_LOOKED_AT = 20
"""The oldest entries; one of ours among them is enough, so that a stranger's beside it stops nothing."""


def refuse_foreign_log(settings: AuditSettings, store: ObjectStore) -> None:
    """Raises `AuditRefused` when `deployment.pub` names no key of those that signed the register's oldest entries.

    A store that cannot be read is not judged.
    """
    trusted = load_public_key(settings.keys / PUBLIC_KEY)
    foreign = False
    try:
        for stored in itertools.islice(store.list(f"v1/registry/{settings.deployment}/"), _LOOKED_AT):
            try:
                verify_document(trusted, Domain.REGISTRY, store.get(stored.key, next(iter(stored.versions), "")))
            except FileNotFoundError:
                continue
            except AuditRefused:
                foreign = True
            else:
                return
    except StoreFailed:
        return
    if foreign:
        raise AuditRefused(
            f"the store holds a log of {settings.deployment} that was begun with another key than those in "
            f"{settings.keys / PUBLIC_KEY}: is `audit.keys` right, and is the name of the deployment its own? "
            "To go on with both, put that log's public key behind the others in that file"
        )
