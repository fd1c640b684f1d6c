"""Proof of the register of epochs: each entry signed and in its place, numbered without gaps and chained per spool.

Remembers some 300 bytes of each entry: numbers do not follow the order in which a store lists.
"""

import hashlib
from dataclasses import dataclass, field

import msgspec

from extproc.audit.log.registry import Entry, Head
from extproc.audit.log.segment import ZERO
from extproc.audit.names import Origin
from extproc.audit.reading.span import Span
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.signed import UNNAMED_KEY, Domain, VerifyKey, split_document, verify_document
from extproc.audit.verify.findings import Broken, Finding, Name
from extproc.audit.verify.proven_time import Hole

_KEPT_MS = 365 * 86_400_000
"""An entry is kept for so long at least (PCI DSS 10.5.1). Its epoch may have lived on, so a younger one is missed also
where the requested range begins later."""


@dataclass(frozen=True, slots=True)
class _Link:
    origin: str
    prev: bytes
    digest: bytes
    registered_ms: int


def verify_entry(key: VerifyKey, origin: Origin, document: bytes) -> Entry:
    """Raises `Broken`."""
    entry = _unverified(document)
    try:
        verify_document(key, Domain.REGISTRY, document)
    except AuditRefused as error:
        raise Broken(Name.ALTERED, UNNAMED_KEY) from error
    if entry.origin != str(origin) or entry.location != origin.registry_key:
        raise Broken(Name.RELOCATED, f"the registry entry belongs to {entry.origin}")
    return entry


def _unverified(document: bytes) -> Entry:
    """What it says, whoever signed it. Raises `Broken`."""
    try:
        entry = msgspec.json.decode(split_document(document)[0], type=Entry)
        bytes.fromhex(entry.prev)
    except (AuditRefused, *NOT_PARSED) as error:
        raise Broken(Name.ALTERED, "the registry entry or its signature does not hold") from error
    return entry


@dataclass(slots=True)
class Register:
    """Takes entries in any order; `finish` holds them against each other and the newest against what is remembered."""

    key: VerifyKey
    asked: Span
    now_ms: int
    findings: list[Finding] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    """When epochs were registered whose entries are missing. How long they went on nobody knows."""
    unnamed: set[str] = field(default_factory=set)
    """Origins whose entry none of the given keys signed."""
    _chains: dict[str, dict[int, _Link]] = field(default_factory=dict)
    _unnamed_links: dict[tuple[str, int], str] = field(default_factory=dict)
    """By spool and number: the digest of such an entry. It proves nothing, but it is no entry that is missing."""

    def add(self, origin: Origin, document: bytes) -> Entry | None:
        """The epoch's entry, or None when it does not hold."""
        try:
            entry = verify_entry(self.key, origin, document)
        except Broken as broken:
            self._find(broken.name, origin.registry_key, broken.what)
            if broken.what == UNNAMED_KEY:
                self.unnamed.add(str(origin))
                claims = _unverified(document)
                self._unnamed_links[claims.spool, claims.number] = hashlib.sha256(document).hexdigest()
            return None
        chain = self._chains.setdefault(entry.spool, {})
        if entry.number in chain:
            self._find(Name.FORKED, origin.registry_key, f"two entries with number {entry.number}")
        digest = hashlib.sha256(document).digest()
        chain[entry.number] = _Link(entry.origin, bytes.fromhex(entry.prev), digest, entry.registered_ms)
        return entry

    def finish(self, head: Head | None) -> None:
        """Chains; and with `head`, that the newest entry of its spool is the one that the spool remembers."""
        for spool in sorted(self._chains):
            self._check_chain(spool, self._chains[spool])
        found = self._chains.get(head.spool, {}).get(head.number) if head is not None else None
        if head is not None and found is not None and found.digest.hex() != head.digest:
            self._find(Name.FORKED, head.origin, "the spool remembers another registry entry")

    def knows(self, head: Head) -> bool:
        """Whether the entry that the spool remembers is there."""
        known = head.number in self._chains.get(head.spool, {})
        return known or self._unnamed_links.get((head.spool, head.number)) == head.digest

    def reaches_back_to(self, moment_ms: int) -> bool:
        """Whether an epoch had been registered by then: what came between it and the next one would be missing here."""
        return any(link.registered_ms <= moment_ms for chain in self._chains.values() for link in chain.values())

    def begins_ms(self) -> int:
        """When the oldest entry was made, if each spool's entries are there from number 1 on; else 0."""
        if not self._chains or any(1 not in chain for chain in self._chains.values()):
            return 0
        return min(chain[1].registered_ms for chain in self._chains.values())

    def _check_chain(self, spool: str, chain: dict[int, _Link]) -> None:
        begin = self.asked.from_ms
        numbers = sorted(chain)
        if numbers[0] < 1:
            self._find(Name.ALTERED, chain[numbers[0]].origin, f"its registry entry has number {numbers[0]}")
        for before, number in zip([0, *numbers], numbers, strict=False):
            link = chain[number]
            asked = begin is None or link.registered_ms >= min(begin, self.now_ms - _KEPT_MS)
            if number != before + 1 and asked:
                self._missing(spool, before, number, chain)
            elif number == before + 1 and link.prev != (chain[before].digest if before else bytes.fromhex(ZERO)):
                self._find(Name.FORKED, link.origin, "its registry entry follows another history")

    def _missing(self, spool: str, before: int, number: int, chain: dict[int, _Link]) -> None:
        if all((spool, each) in self._unnamed_links for each in range(before + 1, number)):
            return  # they are there, and that they are not proven is told already
        where = f"registry of spool {spool} number {before + 1}"
        if before == 0 and self.asked.from_ms is not None:
            # Entries before the oldest one may lie before the range, their retention over, or reach into it.
            self._find(
                Name.SHORT, where, f"the entries before {chain[number].origin} are not there, and may lie in the range"
            )
            return
        more = f", and so is all up to number {number - 1}" if number - 1 > before + 1 else ""
        self._find(Name.EPOCH_MISSING, where, "the entry is missing" + more)
        self.holes.append((chain[before].registered_ms if before else 0, chain[number].registered_ms))

    def _find(self, name: Name, where: str, what: str) -> None:
        self.findings.append(Finding(name, where, what))
