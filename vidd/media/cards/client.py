"""Draws cards in children (`vidd.media.cards.worker.main`), several side by side."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from vidd.aio.shield import shield_to_end
from vidd.display_text import printable
from vidd.files.disk_space import check_free_space
from vidd.media.cards.settings import Look
from vidd.processes.cpus import usable_cpus
from vidd.processes.worker_client import (
    JsonLinesProcess,
    WorkerDied,
    ask_worker,
    retry_if_died,
    retry_if_interrupted,
    worker_argv,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vidd.ports import Encoder, StepContext

_WORKER = "vidd.media.cards.worker.main"
_MEMORY = 2 << 30
# Seconds. A card takes less than one of them.
_LONGEST = 120.0
_MOST_CHILDREN = 4
_MOST_NOTES = 200
# A child takes as long to start as it does for so many cards.
_CARDS_PER_CHILD = 6


@dataclass(frozen=True, slots=True)
class CardOrder:
    """A card to draw; its fields are the keys of the worker's JSON.

    post: by `Post.to_json`. number: its place, from 1. root: the directory of the posts. path: the card's file.
    with_pictures: whether files of pictures are opened.
    """

    post: Mapping[str, Any]
    number: int
    root: str
    path: str
    look: Look
    with_pictures: bool = True


async def check_worker(encoder: Encoder) -> None:
    """Raises Refused where something is missing that cards need."""
    with retry_if_died("looking for the fonts of cards"):
        await ask_worker(_WORKER, {"ask": "check"}, timeout=_LONGEST, memory=_MEMORY, nice=encoder.nice)


async def draw_cards(
    posts: Sequence[Mapping[str, Any]], root: Path, target: Path, look: Look, context: StepContext
) -> list[str]:
    """Draw `0001.png`, … into `target`, one for each post of the directory `root`; what is missing on them, in sentences.

    Raises Refused or RetryLater with the worker's sentence; RetryLater where it ended without one.
    """
    orders = [
        CardOrder(post, number, os.fspath(root), os.fspath(target / f"{number:04}.png"), look)
        for number, post in enumerate(posts, 1)
    ]
    notes: dict[int, list[str]] = {}

    def report(number: int, found: list[str]) -> None:
        notes[number] = found
        context.progress(float(len(notes)), float(len(orders)), "cards", None)

    limit = context.tools.encoder.threads or usable_cpus()
    count = max(1, min(_MOST_CHILDREN, limit, len(orders) // _CARDS_PER_CHILD))
    waiting = iter(orders)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(_Child(context).draw(waiting, report))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    # Strangers wrote the names in them. What an author lacks is told once.
    sentences = list(dict.fromkeys(printable(note, 400) for number in sorted(notes) for note in notes[number]))
    more = len(sentences) - _MOST_NOTES
    return [*sentences[:_MOST_NOTES], f"{more} more notes like these."] if more > 0 else sentences


class _Child:
    """A child that draws cards, one after the other."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._process = JsonLinesProcess(worker_argv(_WORKER), memory=_MEMORY, nice=context.tools.encoder.nice)

    async def draw(self, orders: Iterator[CardOrder], report: Callable[[int, list[str]], None]) -> None:
        """Draw cards as long as there are orders that no other child took."""
        try:
            for order in orders:
                check_free_space(self._context.directory, self._context.tools.encoder.disk_reserve)
                report(order.number, await self._draw(order))
        finally:
            await shield_to_end(self._process.close())

    async def _draw(self, order: CardOrder) -> list[str]:
        doing = f"drawing the card of post {order.number}"
        try:
            with retry_if_interrupted(doing, _LONGEST):
                return await self._ask(order)
        except WorkerDied:
            # A picture may bring a decoder down; the post has its card all the same.
            with retry_if_died(doing), retry_if_interrupted(doing, _LONGEST):
                return await self._ask(replace(order, with_pictures=False))

    async def _ask(self, order: CardOrder) -> list[str]:
        answer = await self._process.ask({"ask": "draw", "order": asdict(order)}, timeout=_LONGEST)
        return [str(note) for note in answer["notes"]]
