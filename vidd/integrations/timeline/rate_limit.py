"""Limits how many calls an address may make in a minute."""

from __future__ import annotations

import math
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

_MOST = 10_000
_NETWORK_BITS = 64
_ROUNDING = 0.001
"""Seconds by which the sum of many intervals may be off."""


class RateLimit:
    """A token bucket for each address, full at first, which holds as many calls as a minute allows.

    What is kept of an address is the time at which its bucket will be full again; at most `_MOST` addresses, the ones that
    called last. The addresses of an IPv6 network of 64 bits count as one.
    """

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, address: str, per_minute: int, now: float) -> int | None:
        """Count a call at `now` (seconds); None if it is allowed, else the seconds until the next one is."""
        key, interval = _bucket(address), 60 / per_minute
        full_at = max(now, self._full_at.pop(key, now))
        wait = full_at + interval - now - 60
        self._full_at[key] = full_at if wait > _ROUNDING else full_at + interval
        while len(self._full_at) > _MOST:
            self._full_at.popitem(last=False)
        return math.ceil(wait) if wait > _ROUNDING else None


def _bucket(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - _NETWORK_BITS):x}"
