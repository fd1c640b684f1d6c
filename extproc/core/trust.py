"""Types that keep what has not been masked away from storage.

`Masked` is the only type that a release to a peer, the journal and a digest take. Only `extproc.core.masking` and
`extproc.core.dialects` make one. `Unmasked` does not print and has no digest.
"""

from dataclasses import dataclass, field
from typing import NewType

Masked = NewType("Masked", bytes)
"""Bytes in which every finding has been replaced; safe to send on and to record (encrypted)."""

Uninspected = NewType("Uninspected", bytes)
"""Bytes that a connection's `opaque` lets through unread: they may be sent on, and are stored nowhere."""

Passed = Masked | Uninspected
"""What may be sent on."""

Sealed = NewType("Sealed", bytes)
"""Ciphertext that only the deployment's custodian opens; safe to record. Only a `SealOriginal` makes one."""


@dataclass(frozen=True, slots=True)
class Unmasked:
    """Bytes as they arrived. Not printable, not hashable, not storable."""

    data: bytes = field(repr=False)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Secret:
    """A credential. Prints as `Secret(…)`; compare with `hmac.compare_digest` at the edge, never here."""

    value: str = field(repr=False)
