"""The hooks of a step that its encodes call: slot, progress, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from vidd.model.event import Event
    from vidd.ports import StepContext


@dataclass(frozen=True, slots=True)
class StepHooks:
    """`slot()` is held while ffmpeg runs; `progress` and `observe` are those of the step and its tools."""

    slot: Callable[[], AbstractAsyncContextManager[None]]
    progress: Callable[[float, float | None, str, float | None], None]
    observe: Callable[[Event], None]

    @classmethod
    def of(cls, context: StepContext) -> StepHooks:
        """The hooks of a step."""
        return cls(context.slot, context.progress, context.tools.observe)
