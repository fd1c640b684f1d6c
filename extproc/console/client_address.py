"""Who asks: the socket's peer, or whom the configured proxies before it say that they speak for."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.edge.settings_console import Network

MAX_HOPS: Final = 16
"""Of `X-Forwarded-For`, from the right: more proxies do not stand in one row."""


@dataclass(frozen=True, slots=True)
class Client:
    """`address` is whom failures are counted for; `source` what records say, with a port where it is known; `proxy` the
    peer that spoke for it, empty where the peer is the client."""

    address: str
    source: str
    proxy: str = ""


def find_client(peer: str, port: int, forwarded: Sequence[str], proxies: Sequence[Network]) -> Client:
    """The last hop that none of `proxies` is, by the values of `X-Forwarded-For` in their order.

    Each proxy adds at the right whom it heard, so what stands further left is only as good as the client's word. A hop
    that is no address ends the walk: the nearest proxy answers for it.
    """
    source = f"[{peer}]:{port}" if ":" in peer else f"{peer}:{port}"
    address, hops = _address(peer), _hops(forwarded)
    while hops and address is not None and _is_within(address, proxies):
        before = _address(hops.pop())
        if before is None:
            break
        address = before
    if address is None or address == _address(peer):
        return Client(peer, source)
    return Client(str(address), str(address), source)


def _hops(forwarded: Iterable[str]) -> list[str]:
    return [hop.strip() for value in forwarded for hop in value.split(",")][-MAX_HOPS:]


def is_within(peer: str, networks: Iterable[Network]) -> bool:
    """Whether the peer of a socket is in one of them; what is no address is in none."""
    address = _address(peer)
    return address is not None and _is_within(address, networks)


def _is_within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _address(hop: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Of `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7` or `[2001:db8::7]:4711`; IPv4 within IPv6 is IPv4."""
    host = hop
    if hop.startswith("["):
        host = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        host = hop.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed.ipv4_mapped or parsed
    return parsed
