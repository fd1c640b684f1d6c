"""How often one address, or one person, may fail: a failure costs a signature's verification and a record."""

import ipaddress
from collections import OrderedDict
from typing import Final

MAX_FAILURES: Final = 10
"""Of one address in `WINDOW_SECONDS`: more than a person who has typed wrongly, fewer than a program that tries."""
WINDOW_SECONDS: Final = 60.0
MAX_ADDRESSES: Final = 4096
"""Remembered at once; the one that failed longest ago goes first."""


class Failures:
    """Counts per address; IPv6 by its /64, which one customer has. Or per person, by uid. For one event loop."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_seconds(self, address: str, now: float) -> int:
        """How long this address is not heard; 0: it is."""
        begun, count = self._counts.get(_network(address), (now, 0))
        left = begun + WINDOW_SECONDS - now
        return max(1, int(left)) if count >= MAX_FAILURES and left > 0 else 0

    def failed(self, address: str, now: float) -> bool:
        """One more; whether it is the one that locks. The window begins with the first."""
        name = _network(address)
        begun, count = self._counts.pop(name, (now, 0))
        if now - begun >= WINDOW_SECONDS:
            begun, count = now, 0
        self._counts[name] = begun, count + 1
        if len(self._counts) > MAX_ADDRESSES:
            self._counts.popitem(last=False)
        return count + 1 == MAX_FAILURES


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
