"""Merkle tree roots by RFC 6962 section 2.1, computed as leaves arrive, in memory logarithmic in their number."""

import hashlib
from collections.abc import Sequence

from extproc.audit.refusal import AuditRefused


def leaf_hash(data: bytes) -> bytes:
    """`SHA-256(0x00 | data)`."""
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """Append leaves, ask for the root at any time."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """A tree that goes on behind `size` leaves. Raises `AuditRefused` when the peaks are not of such a tree."""
        levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
        if len(levels) != len(peaks) or any(len(peak) != hashlib.sha256().digest_size for peak in peaks):
            raise AuditRefused("a tree of records has other peaks than its size says")
        self._peaks = list(zip(levels, peaks, strict=True))
        self.size = size

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of its perfect subtrees, largest first: with the size, all that it takes to go on."""
        return tuple(node for _, node in self._peaks)

    def append(self, data: bytes) -> None:
        self.append_leaf(leaf_hash(data))

    def append_leaf(self, node: bytes) -> None:
        """`node` is what `leaf_hash` gave."""
        level = 0
        while self._peaks and self._peaks[-1][0] == level:
            node = _node(self._peaks.pop()[1], node)
            level += 1
        self._peaks.append((level, node))
        self.size += 1

    def root(self) -> bytes:
        """The root of all leaves so far; of none, the SHA-256 of nothing."""
        if not self._peaks:
            return hashlib.sha256().digest()
        node = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            node = _node(peak, node)
        return node


def merkle_root(leaves: list[bytes]) -> bytes:
    """The root over leaf hashes that are all there: the same as of a tree they were appended to, and faster."""
    if not leaves:
        return hashlib.sha256().digest()
    sha256 = hashlib.sha256
    while len(leaves) > 1:
        pairs = zip(leaves[::2], leaves[1::2], strict=False)
        leaves = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + leaves[len(leaves) & ~1 :]
    return leaves[0]
