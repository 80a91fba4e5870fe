"""Pictures changed in a child, for data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.clients.orders import Silent, carry_out
from vidd.errors import AgainLater

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import Bench

_QUIET = 300.0
_MEMORY = 4 << 30


async def augment(wanted: Path, made: Path, bench: Bench, **orders: Any) -> dict[str, Any]:
    """Make all pictures of the file `wanted` and write to `made` what they are (`vidd.detect.augmenter` has the lines).

    `orders` are `quality`, `thumbnail` and `least`. How many `frames` there were, and how many were `unread`.
    """
    told = {"wanted": str(wanted), "made": str(made), **orders}
    try:
        return await carry_out("vidd.detect.augmenter", told, bench, quiet=_QUIET, memory=_MEMORY)
    except Silent as silent:
        raise AgainLater(f"The pictures could not be changed ({silent}).", said=silent.said) from None
