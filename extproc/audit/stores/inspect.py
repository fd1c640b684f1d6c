"""What a store was seen to enforce: the rules, what each means, and what follows from all of them together.

Nothing here asks: `inspect_s3` and `inspect_directory` do, with objects of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from extproc.audit.log.own_records import Detail


class Result(StrEnum):
    """What the store did when it was asked to break a rule."""

    ENFORCED = "enforced"
    NOT_ENFORCED = "not enforced"
    NOT_ASKED = "could not be asked"


class Rule(StrEnum):
    """What may be expected of a write-once store. The value stands in records, so it is kept for good."""

    OBJECT_LOCK = "object_lock"
    DELETE_LOCKED = "delete_locked"
    DELETE_LOCKED_BYPASS = "delete_locked_bypass"
    DELETE_MANY_LOCKED = "delete_many_locked"
    SHORTEN = "shorten"
    DOWNGRADE = "downgrade"
    SUSPEND_VERSIONS = "suspend_versions"
    OLDEST_STAYS = "oldest_stays"
    LIST_VERSIONS = "list_versions"
    LOCK_READABLE = "lock_readable"
    GOVERNANCE_DELETE = "governance_delete"
    GOVERNANCE_BYPASS = "governance_bypass"
    WRITE_NEW = "write_new"
    WRITE_ONCE = "write_once"
    WRITE_ONCE_MARKER = "write_once_marker"
    CHECKSUM = "checksum"
    CHECKSUM_HONEST = "checksum_honest"
    LOCK_NEEDS_DATE = "lock_needs_date"
    LOCK_IN_PAST = "lock_in_past"
    LOCK_NEEDS_CHECKSUM = "lock_needs_checksum"
    LOCK_NEEDS_LOCKING_BUCKET = "lock_needs_locking_bucket"
    BAG_DELETE = "bag_delete"
    BAG_DEFAULT = "bag_default"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a rule's name


@dataclass(frozen=True, slots=True)
class Meaning:
    """`expected` completes "The store …". `otherwise` is what it means when it does not; `needed`: the log's promise
    rests on it."""

    expected: str
    otherwise: str
    needed: bool


MEANINGS: Mapping[Rule, Meaning] = {
    Rule.OBJECT_LOCK: Meaning("locks objects", "whoever may delete in it can delete the log", True),
    Rule.DELETE_LOCKED: Meaning("keeps a locked version from being deleted", "evidence can be deleted", True),
    Rule.DELETE_LOCKED_BYPASS: Meaning(
        "keeps it from who asks to bypass governance", "an administrator can delete evidence", True
    ),
    Rule.DELETE_MANY_LOCKED: Meaning("keeps it from a bulk deletion", "evidence can be deleted in bulk", True),
    Rule.SHORTEN: Meaning("lets nobody shorten a lock", "evidence can be deleted after shortening its lock", True),
    Rule.DOWNGRADE: Meaning("lets nobody weaken a lock", "evidence can be deleted after weakening its lock", True),
    Rule.SUSPEND_VERSIONS: Meaning("keeps versions on", "evidence can be overwritten once versions are off", True),
    Rule.OLDEST_STAYS: Meaning(
        "keeps the first version under later ones", "evidence can be replaced without a trace", True
    ),
    Rule.LIST_VERSIONS: Meaning(
        "lists versions and delete markers", "`extproc audit verify` cannot see what was put on top", True
    ),
    Rule.LOCK_READABLE: Meaning("tells the lock of an object", "nobody can check how long it is kept", True),
    Rule.GOVERNANCE_DELETE: Meaning(
        "keeps governed versions from deletion", "transcripts can be deleted by who may delete", True
    ),
    Rule.GOVERNANCE_BYPASS: Meaning(
        "keeps governed versions even from who may bypass it",
        "who has the right to bypass governance can delete transcripts; `content_mode: COMPLIANCE` ends that",
        False,
    ),
    Rule.WRITE_NEW: Meaning("takes a write-once object", "nothing can be stored", True),
    Rule.WRITE_ONCE: Meaning(
        "refuses a second object of one name",
        "a duplicate is not refused: the oldest version counts, and `extproc audit verify` finds the other",
        False,
    ),
    Rule.WRITE_ONCE_MARKER: Meaning(
        "refuses it under a delete marker, too",
        "a delete marker and a newer object can be put on top: the oldest version counts, and `extproc audit verify` "
        "reports SHADOWED",
        False,
    ),
    Rule.CHECKSUM: Meaning(
        "refuses bytes that do not match their SHA-256",
        "what was damaged on the way is stored; each object is read back and compared where the store tells no SHA-256",
        False,
    ),
    Rule.CHECKSUM_HONEST: Meaning(
        "tells no SHA-256 that it did not compute", "damaged evidence is taken for stored", True
    ),
    Rule.LOCK_NEEDS_DATE: Meaning(
        "refuses a lock without an end", "another writer's mistake would store an object without a lock", False
    ),
    Rule.LOCK_IN_PAST: Meaning(
        "refuses a lock that is over already",
        "a wrong clock would store objects without a lock; ours is compared with the store's before each one",
        False,
    ),
    Rule.LOCK_NEEDS_CHECKSUM: Meaning(
        "refuses a lock without a checksum", "another writer's damaged object would be locked; ours carry one", False
    ),
    Rule.LOCK_NEEDS_LOCKING_BUCKET: Meaning(
        "refuses a lock in a bucket without Object Lock",
        "such a lock is lost in silence; the bucket is asked for Object Lock at start",
        False,
    ),
    Rule.BAG_DELETE: Meaning("deletes a key bag for good", "no exchange can be shredded", True),
    Rule.BAG_DEFAULT: Meaning("locks no key bag by default", "no exchange can be shredded", True),
    Rule.WRONG_SECRET: Meaning("refuses a wrong secret key", "whoever knows the key's id can write and read", True),
}
_IMMUTABLE = (
    Rule.OBJECT_LOCK,
    Rule.DELETE_LOCKED,
    Rule.DELETE_LOCKED_BYPASS,
    Rule.DELETE_MANY_LOCKED,
    Rule.SHORTEN,
    Rule.DOWNGRADE,
    Rule.SUSPEND_VERSIONS,
    Rule.OLDEST_STAYS,
)
_DIRECTORY = (
    "A directory is tamper-evident only: whoever may write to its disk can change and delete the log. "
    "`extproc audit verify` sees it; nothing prevents it. For write-once storage use a bucket with Object Lock."
)
STATE, DONE, BEGUN = "state", "done", "begun"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one rule. `because` is a fixed sentence or a code, empty where the result says it all."""

    rule: Rule
    result: Result
    because: str = ""

    @property
    def matters(self) -> bool:
        """It is not as the log's promise needs it."""
        return MEANINGS[self.rule].needed and self.result is not Result.ENFORCED


@dataclass(frozen=True, slots=True)
class Inspection:
    """`place` is the prefix below which it asked; `kept` the objects there that stay until their lock is over."""

    store: str
    place: str
    findings: tuple[Finding, ...]
    kept: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: all that matters is enforced; 1: something is not; 2: something could not be asked."""
        results = {finding.result for finding in self.findings if finding.matters}
        return 1 if Result.NOT_ENFORCED in results else 2 if results else 0

    def detail(self) -> Detail:
        """For the record `store.inspect`: the result of each rule."""
        head: Detail = {STATE: DONE, "store": self.store, "kept": len(self.kept), "exit_code": self.exit_code}
        return head | {finding.rule.value: finding.result.value for finding in self.findings}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an inspection that is in the log says of the store. Rules that it does not name were not asked."""

    store: str
    results: Mapping[Rule, Result]

    @property
    def immutable(self) -> bool:
        """Nobody can delete or replace evidence before its time (PCI DSS 10.3.2)."""
        return all(self.results.get(rule) is Result.ENFORCED for rule in _IMMUTABLE)

    @property
    def write_once(self) -> bool:
        """The store itself refuses a duplicate; otherwise the verifier finds it."""
        return self.results.get(Rule.WRITE_ONCE) is Result.ENFORCED

    @property
    def shreddable(self) -> bool:
        """A key can be taken away for good (PCI DSS 3.2.1)."""
        return self.results.get(Rule.BAG_DELETE) is Result.ENFORCED

    def sentences(self) -> tuple[str, ...]:
        """In plain words, the limits last."""
        if self.store == "directory":
            return (_DIRECTORY,)
        first = (
            "Nobody can delete or replace evidence before its time."
            if self.immutable
            else "It was not shown that evidence cannot be deleted or replaced before its time."
        )
        limits = [
            f"The store was not seen to do this: it {MEANINGS[rule].expected}. "
            f"{MEANINGS[rule].otherwise[0].upper()}{MEANINGS[rule].otherwise[1:]}."
            for rule in Rule
            if self.results.get(rule) is Result.NOT_ENFORCED
        ]
        return (first, *limits)


def capabilities(detail: Mapping[str, object]) -> Capabilities | None:
    """Of a `store.inspect` record's detail; None for the one that only says that an inspection began.

    Rules and results that this version does not know are passed over.
    """
    if detail.get(STATE) != DONE:
        return None
    rules, results = {rule.value for rule in Rule}, {result.value for result in Result}
    known = {Rule(name): Result(value) for name, value in detail.items() if name in rules and value in results}
    return Capabilities(str(detail.get("store", "")), known)
