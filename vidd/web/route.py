"""A route of the port: what the routing table, the door and the OpenAPI document need to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from vidd.web.problem import Do


@dataclass(frozen=True, slots=True)
class Route:
    """`is_open` asks for no token, wherever the port listens.

    `head` lets HEAD be asked too; a stream that never ends should not.
    """

    method: str
    path: str
    do: Do
    is_open: bool = False
    head: bool = True
