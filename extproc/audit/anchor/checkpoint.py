"""Checkpoints of C2SP (c2sp.org/tlog-checkpoint): a tree's name, size and RFC 6962 root, the text of a signed note."""

import base64
import hashlib
import re
from dataclasses import dataclass

from extproc.audit.anchor.note import decode_base64
from extproc.audit.names import Origin
from extproc.audit.refusal import AuditRefused

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. `root` has 32 bytes."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Raises `AuditRefused`; extension lines are refused as well, since we never write any."""
        lines = text.split("\n")
        if len(lines) != 4 or not lines[0] or lines[3]:
            raise AuditRefused("the checkpoint is not one of three lines")
        root = decode_base64(lines[2])
        if _SIZE.fullmatch(lines[1]) is None:
            raise AuditRefused("the checkpoint's size is not a number")
        if root is None or len(root) != hashlib.sha256().digest_size:
            raise AuditRefused("the checkpoint's root is not a SHA-256")
        return cls(lines[0], int(lines[1]), root)


def epoch_origin(origin: Origin | str) -> str:
    """An epoch's origin line: `extproc/<deployment>/<writer>/<epoch>`."""
    return f"extproc/{origin}"
