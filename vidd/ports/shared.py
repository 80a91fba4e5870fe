"""Objects that the parts of one daemon share: pools of processes, sign-in tokens, locks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """One object of each class, made at the first `get` of the class.

    A daemon makes one `Shared` and hands it down with its tools, so that nothing needs a module global.
    """

    def __init__(self) -> None:
        self._objects: dict[type, Any] = {}

    def get(self, kind: type[T]) -> T:
        """The object of this class; the first call makes it, without arguments."""
        if kind not in self._objects:
            self._objects[kind] = kind()
        found: T = self._objects[kind]
        return found

    async def close(self) -> None:
        """Await `close()` of every object that has one, the newest first, and drop all objects."""
        while self._objects:
            _, shared = self._objects.popitem()
            close: Callable[[], Awaitable[None]] | None = getattr(shared, "close", None)
            if close is not None:
                await close()
