"""How long the parts of jobs took, and how long one will take by that. A part is a step or a publication."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_KEPT = 30
"""Newest runs of a part that count."""


@dataclass(frozen=True, slots=True)
class PartName:
    """A part of a pipeline, by its name, and its kind."""

    pipeline: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Amount:
    """How much work a job is: seconds of media, and bytes of the recording; None where unknown."""

    media: float | None = None
    size: float | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    seconds: float
    amount: Amount


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well the runs of a part follow a measure: the mean relative error, and seconds for each unit of it."""

    error: float
    rate: float
    measure: Callable[[Amount], float | None]


@dataclass
class Speeds:
    """Runs of parts, and what they say of the next one."""

    _runs: dict[tuple[str, str], deque[_Run]] = field(default_factory=dict)
    _fits: dict[tuple[str, str], list[_Fit]] = field(default_factory=dict)

    def add(self, part: PartName, seconds: float, amount: Amount) -> None:
        """Count a run that took so many seconds, without its wait for a slot."""
        for key in _keys(part):
            self._runs.setdefault(key, deque(maxlen=_KEPT)).append(_Run(max(0.0, seconds), amount))
            self._fits.pop(key, None)

    def predict(self, part: PartName, amount: Amount) -> float | None:
        """The seconds that the part will take; None if neither it nor its kind has run yet.

        The measure that fitted the earlier runs best decides: seconds of media, bytes, or the median of the runs.
        """
        key = next((key for key in _keys(part) if key in self._runs), None)
        if key is None:
            return None
        if key not in self._fits:
            fits = [fit for measure in _MEASURES if (fit := _fit(self._runs[key], measure)) is not None]
            self._fits[key] = sorted(fits, key=lambda fit: fit.error)
        return next(fit.rate * of for fit in self._fits[key] if (of := fit.measure(amount)))


def _keys(part: PartName) -> tuple[tuple[str, str], tuple[str, str]]:
    """The part in its pipeline, and its kind in any pipeline."""
    return (part.pipeline, part.name), ("", part.kind)


_MEASURES: Sequence[Callable[[Amount], float | None]] = (
    lambda amount: amount.media,
    lambda amount: amount.size,
    lambda _amount: 1.0,
)


def _fit(runs: Collection[_Run], measure: Callable[[Amount], float | None]) -> _Fit | None:
    """How well the runs follow a measure; None if it is not known of half of them."""
    known = [(run.seconds, of) for run in runs if (of := measure(run.amount))]
    if 2 * len(known) < len(runs):
        return None
    rate = median(seconds / of for seconds, of in known)
    error = sum(abs(seconds - rate * of) / max(seconds, 0.1) for seconds, of in known) / len(known)
    return _Fit(error, rate, measure)
