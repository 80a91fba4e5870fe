"""Bar charts of days as SVG, drawn here: no script, no style but classes, and all of it as text for screen readers.

Without a style sheet the bars have the colour of the text, so that they show on light and on dark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from vidd.model.day_totals import Day

_WIDTH, _HEIGHT = 320, 150
_LEFT, _TOP, _BOTTOM = 34, 14, 20
_FLOOR = _HEIGHT - _BOTTOM
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of one number a day. `name` goes into ids and classes; None is a day that nobody measured.

    unit: follows the number in texts, such as "jobs".
    """

    name: str
    title: str
    unit: str
    days: Sequence[tuple[date, float | None]]


def charts_of(days: Sequence[Day]) -> list[Chart]:
    """The charts of what a daemon did: jobs published, jobs failed, encode speed, minutes published."""
    return [
        Chart("published", "Jobs published", "jobs", [(day.day, day.published) for day in days]),
        Chart("failed", "Jobs failed", "jobs", [(day.day, day.failed) for day in days]),
        Chart("speed", "Encode speed", "times real time", [(day.day, day.encode_speed) for day in days]),
        Chart("minutes", "Minutes published", "minutes", [(day.day, day.minutes) for day in days]),
    ]


def draw(chart: Chart) -> str:
    """The chart as an `<svg>` element to put into a page."""
    return "".join(_elements(chart))


def _elements(chart: Chart) -> Iterator[str]:
    ids = f"chart-{chart.name}-title", f"chart-{chart.name}-text"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart chart-{chart.name}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' role="img" aria-labelledby="{ids[0]}" aria-describedby="{ids[1]}">'
        f'<title id="{ids[0]}">{escape(chart.title)}</title><desc id="{ids[1]}">{escape(in_words(chart))}</desc>'
    )
    top = _round_up(max((value for _, value in chart.days if value is not None), default=0.0))
    for share in (0.0, 0.5, 1.0):
        yield from _line(top * share, _FLOOR - share * (_FLOOR - _TOP))
    width = (_WIDTH - _LEFT) / max(1, len(chart.days))
    for place, (day, value) in enumerate(chart.days):
        yield from _bar(chart, day, value, _Space(_LEFT + place * width, width, top))
    yield "</svg>"


@dataclass(frozen=True, slots=True)
class _Space:
    """Where a bar stands, and the number at the top of the chart."""

    x: float
    width: float
    top: float


def _line(value: float, y: float) -> Iterator[str]:
    yield (
        f'<line class="chart-line" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor"'
        f' stroke-opacity="0.2"/><text class="chart-number" x="{_LEFT - 5}" y="{y + 3:.1f}" text-anchor="end"'
        f' font-size="9" fill="currentColor">{_number(value)}</text>'
    )


def _bar(chart: Chart, day: date, value: float | None, space: _Space) -> Iterator[str]:
    middle = space.x + space.width / 2
    tip = f"{day:%A %d %B}: {_with_unit(chart, value)}"
    yield f"<g><title>{escape(tip)}</title>"
    if value is None:
        yield f'<text class="chart-none" x="{middle:.1f}" y="{_FLOOR - 4}" text-anchor="middle" font-size="9"'
        yield ' fill="currentColor" fill-opacity="0.6">?</text>'
    elif value > 0:
        height = max(1.0, value / space.top * (_FLOOR - _TOP))
        yield (
            f'<rect class="chart-bar" x="{space.x + space.width * 0.15:.1f}" y="{_FLOOR - height:.1f}"'
            f' width="{space.width * 0.7:.1f}" height="{height:.1f}" rx="2" fill="currentColor"/>'
        )
    yield (
        f'<text class="chart-day" x="{middle:.1f}" y="{_HEIGHT - 6}" text-anchor="middle" font-size="9"'
        f' fill="currentColor">{day:%a}</text></g>'
    )


def in_words(chart: Chart) -> str:
    """The numbers of a chart as a sentence."""
    return "; ".join(f"{day.isoformat()}: {_with_unit(chart, value)}" for day, value in chart.days) + "."


def _with_unit(chart: Chart, value: float | None) -> str:
    return "not measured" if value is None else f"{_number(value)} {chart.unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _round_up(value: float) -> float:
    """The next round number, for the top of a chart: at least 1."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value)
