"""What a verifier can find, and what it says about it."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from extproc.audit.names import Part


class Level(IntEnum):
    """How much a finding weighs. The value orders them."""

    TELLS = 0
    """Something to know. The log is proven."""
    INCOMPLETE = 1
    """Something is not proven, and nothing contradicts it."""
    FINDING = 2
    """Tampering or loss."""


class Name(StrEnum):
    """What can be found. The first group is tampering or loss, the second leaves things unproven, the third tells."""

    ALTERED = "ALTERED"
    """Stored bytes are not those that were signed."""
    GAP = "GAP"
    """Something between things that are there is missing."""
    ORDER = "ORDER"
    """Records do not follow each other."""
    RELOCATED = "RELOCATED"
    """An object that belongs to another place."""
    TRUNCATED = "TRUNCATED"
    """The end is missing."""
    FORKED = "FORKED"
    """Another history than the one before it, or than the one that is remembered."""
    SHADOWED = "SHADOWED"
    """A delete marker, or a version that the log did not sign, lies over what the log wrote first."""
    DIVERGENT_DUPLICATE = "DIVERGENT_DUPLICATE"
    """Two copies of one key differ, and both are the log's own: two versions that are both signed by its keys, so the
    key was stolen or an epoch had two writers; or the copy in the spool and the one in the store."""
    STRANGER = "STRANGER"
    """The log never wrote it."""
    EPOCH_MISSING = "EPOCH_MISSING"
    """Registered or remembered, and there is no evidence of it; other epochs of its writer are there."""
    WRITER_MISSING = "WRITER_MISSING"
    """Registered or remembered, and no epoch of it is there."""
    UNREGISTERED = "UNREGISTERED"
    """There is evidence of it, and no registry entry."""
    CORRUPT = "CORRUPT"
    """Damage that had been durable, found and put aside by an adopter."""
    CONTENT_KEY_ABSENT = "CONTENT_KEY_ABSENT"
    """A transcript cannot be decrypted any more. It only tells when the log says that somebody shredded it."""

    OPEN = "OPEN"
    """No end yet; more may come from where the writer lives."""
    UNADOPTED = "UNADOPTED"
    """The writer is dead and nobody has finished its journal."""
    UNREADABLE = "UNREADABLE"
    """Could not be read, or is of a newer form than this program knows."""
    SHORT = "SHORT"
    """The proven range is shorter than the requested one."""
    EMPTY = "EMPTY"
    """Nothing to prove."""

    UNCLEAN_END = "UNCLEAN_END"
    """A writer died; what it had acknowledged is there, and its end was written by an adopter."""
    LIVE = "LIVE"
    """Its writer lives, or the epoch goes on behind the requested range."""


_LEVELS = {
    Name.OPEN: Level.INCOMPLETE,
    Name.UNADOPTED: Level.INCOMPLETE,
    Name.UNREADABLE: Level.INCOMPLETE,
    Name.SHORT: Level.INCOMPLETE,
    Name.EMPTY: Level.INCOMPLETE,
    Name.UNCLEAN_END: Level.TELLS,
    Name.LIVE: Level.TELLS,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`where` is an origin with segment or record number, an object key, a writer or a time."""

    name: Name
    where: str
    what: str
    excused: bool = False
    """The log itself says that it was meant."""
    key: str = ""
    """The object's, where it is about one and `where` is not its key."""

    @property
    def told(self) -> str:
        """What is found, with the object's key."""
        return f"{self.what}: {self.key}" if self.key else self.what

    @property
    def level(self) -> Level:
        return Level.TELLS if self.excused else _LEVELS.get(self.name, Level.FINDING)


class Broken(Exception):
    """One thing does not hold; whoever looks at it says where. `part`: which of a segment's objects it is."""

    def __init__(self, name: Name, what: str, part: Part | None = None) -> None:
        super().__init__(what)
        self.name, self.what, self.part = name, what, part
