"""Draws posts as cards, a picture for each post, in order.

It works on a tree with `posts.json` and the files that it names, as the step `posts` leaves it. Every post gives exactly one card:
what cannot be shown is named on the card and in the fact `notes`. The same posts and settings give the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from vidd.aio.shield import in_thread
from vidd.display_text import printable
from vidd.errors import FaultCode, Refused
from vidd.files.disk_space import retry_if_full
from vidd.files.removal import remove
from vidd.files.tree import tree_artifact
from vidd.integrations.timeline.networks import NETWORKS
from vidd.media.cards.client import check_worker, draw_cards
from vidd.media.cards.settings import CardSize, Look, Theme
from vidd.model.media import Outcome
from vidd.settings.marks import Role
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from vidd.ports import StepContext, Tools

_WORK, _TREE, _POSTS = ".cards", "cards", "posts.json"


class Options(Base):
    """What the cards look like."""

    source: Annotated[str, Role()] = Field("posts", min_length=1, description="Role of the tree with the posts.")
    size: CardSize = Field("1080p", description="1080p is 1920x1080, 4:5 is 1080x1350, 9:16 is 1080x1920 pixels.")
    theme: Theme = Field("light", description="Dark letters on white, or light letters on a dark card.")
    time_zone: str = Field("UTC", description="The time zone of the dates on the cards, such as Europe/Warsaw.")

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"there is no time zone {name!r}: name one such as Europe/Warsaw") from None
        return name


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset({"cards"})


async def check_here(_options: Options, tools: Tools) -> None:
    """Look for FriBidi and libraqm, without which no Arabic is in order."""
    await check_worker(tools.encoder)


async def run(options: Options, context: StepContext) -> Outcome:
    """Make the tree `cards` (`0001.png`, …). Raises Refused where there are no posts, or where they cannot be read."""
    root = context.tree(options.source)
    network, posts = await in_thread(_read, root / _POSTS)
    work = context.directory / _WORK
    with retry_if_full():
        await in_thread(remove, work)
        work.mkdir()
    mark = NETWORKS[network].title if network in NETWORKS else network
    look = Look(options.size, options.theme, printable(mark, 40), options.time_zone)
    notes = await draw_cards(posts, root, work, look, context)
    await in_thread(_put_in_place, work, context.directory / _TREE)
    artifact = await in_thread(tree_artifact, "cards", context.directory, _TREE)
    return Outcome((artifact,), {"cards": len(posts), "notes": notes})


def _read(file: Path) -> tuple[str, list[Any]]:
    """The network and the posts."""
    try:
        document = json.loads(file.read_bytes())
        network, posts = str(document["network"]), list(document["posts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"There is no list of posts to draw cards of ({_POSTS}: {printable(repr(error), 120)}): correct the step before.",
            code=FaultCode.BAD_INPUT,
        ) from None
    if not posts:
        raise Refused("There are no posts to draw cards of.", code=FaultCode.NOT_FOUND)
    return network, posts


def _put_in_place(work: Path, final: Path) -> None:
    with retry_if_full():
        remove(final)
        work.rename(final)
