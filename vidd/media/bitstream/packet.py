"""The type of PyAV's packets."""

from __future__ import annotations

from typing import Any, TypeAlias

# PyAV types the time of a packet as never None, but it may be.
Packet: TypeAlias = Any
