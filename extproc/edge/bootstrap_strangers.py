"""Whom the listeners of the bootstrap take for a stranger: everybody, so that nobody's `x-envoy-*` counts."""

from typing import Any

from extproc.edge.bootstrap_classes import core, hcm


def nobody_is_internal() -> Any:
    """One address that no peer has: with an empty list Envoy 1.40 takes private and loopback addresses for internal."""
    nobody = core.CidrRange(address_prefix="255.255.255.255", prefix_len=32)
    return hcm.HttpConnectionManagerInternalAddressConfig(cidr_ranges=[nobody])
