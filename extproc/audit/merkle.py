"""Merkle tree roots by RFC 6962 section 2.1, computed as leaves arrive, in memory logarithmic in their number."""

import hashlib


def leaf_hash(data: bytes) -> bytes:
    """`SHA-256(0x00 | data)`."""
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """Append leaves, ask for the root at any time."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []
        self.size = 0

    def append(self, data: bytes) -> None:
        level, node = 0, leaf_hash(data)
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
