"""Where things are: every object key follows from who wrote it, and nothing else."""

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum

from extproc.audit.refusal import AuditRefused

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_EPOCH = r"\d{8}T\d{6}Z-[0-9a-f]{16}"
_ORIGIN = re.compile(rf"(?P<deployment>{_NAME})/(?P<writer>{_NAME})/(?P<epoch>{_EPOCH})", re.ASCII)
_KEY = re.compile(
    rf"v1/(?P<plane>evidence|content|keys|registry)/(?P<deployment>{_NAME})/(?P<day>\d{{4}}/\d{{2}}/\d{{2}})"
    rf"/(?P<writer>{_NAME})/(?P<epoch>{_EPOCH})(?P<rest>\.json|/\d{{10}}\.[a-z.]+)",
    re.ASCII,
)


class Part(StrEnum):
    """What a segment is stored as. The value is the file's suffix."""

    EVIDENCE = ".jsonl"
    CONTENT = ".content"
    KEYS = ".keys.jsonl"
    MANIFEST = ".manifest.json"


class Plane(StrEnum):
    """What an object is for, and so how it is kept. The value is the folder below `v1/`."""

    EVIDENCE = "evidence"
    """Evidence lines and manifests: under the strictest lock, like everything that is not of another plane."""
    CONTENT = "content"
    KEYS = "keys"
    """Key bags are never locked: an exchange is shredded by taking its key away."""

    @classmethod
    def of(cls, key: str) -> "Plane":
        """Whatever is neither content nor a key bag is evidence."""
        folder = key.split("/", 2)[1] if key.startswith("v1/") else ""
        return cls(folder) if folder in (cls.CONTENT, cls.KEYS) else cls.EVIDENCE


_PLANES = {
    Part.EVIDENCE: Plane.EVIDENCE,
    Part.CONTENT: Plane.CONTENT,
    Part.KEYS: Plane.KEYS,
    Part.MANIFEST: Plane.EVIDENCE,
}
_SUFFIXES = frozenset(part.value for part in Part)


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """One writer's epoch: one process lifetime. Sorts by writer, then time."""

    deployment: str
    writer: str
    epoch: str

    def __str__(self) -> str:
        return f"{self.deployment}/{self.writer}/{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Raises `AuditRefused` for anything that could not be a path."""
        match = _ORIGIN.fullmatch(text)
        if match is None:
            raise AuditRefused("a deployment, writer or epoch name is not acceptable")
        return cls(match["deployment"], match["writer"], match["epoch"])

    def object_key(self, part: Part, segment: int) -> str:
        """`v1/<plane>/<deployment>/<yyyy>/<mm>/<dd>/<writer>/<epoch>/<segment>.…`"""
        return f"v1/{_PLANES[part]}/{self.folder}/{segment:010d}{part}"

    @property
    def registry_key(self) -> str:
        """The write-once object that says that this epoch exists."""
        return f"v1/registry/{self.folder}.json"

    @property
    def started_ms(self) -> int:
        """When the epoch began, by its name, to the second; 0 for a name that is no time."""
        try:
            moment = dt.datetime.strptime(self.epoch[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        except ValueError:
            return 0
        return int(moment.timestamp() * 1000)

    @property
    def folder(self) -> str:
        """Where it stands within each plane. Planes list their epochs in the order of this."""
        day = f"{self.epoch[:4]}/{self.epoch[4:6]}/{self.epoch[6:8]}"
        return f"{self.deployment}/{day}/{self.writer}/{self.epoch}"


@dataclass(frozen=True, slots=True)
class ObjectName:
    """A parsed object key. `part` and `segment` are None for a registry entry."""

    origin: Origin
    part: Part | None
    segment: int


def parse_key(key: str) -> ObjectName | None:
    """What an object key names, or None when this program never wrote it."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    origin = Origin(match["deployment"], match["writer"], match["epoch"])
    rest = match["rest"]
    if rest == ".json":
        return ObjectName(origin, None, 0) if key == origin.registry_key else None
    segment, suffix = int(rest[1:11]), rest[11:]
    if segment == 0 or suffix not in _SUFFIXES or key != origin.object_key(Part(suffix), segment):
        return None
    return ObjectName(origin, Part(suffix), segment)


def segment_file(segment: int, suffix: str) -> str:
    """A segment's file in the spool; `.journal` while it is written."""
    return f"{segment:010d}{suffix}"


JOURNAL = ".journal"
