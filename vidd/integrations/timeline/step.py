"""Reads a person's posts from a social network, with their pictures, into a tree that cards are drawn from.

The tree `posts/` has `posts.json` (network, user, and the posts in order, newest first) and `media/` with the avatars,
pictures and custom emoji. What the network answered is saved after each request, since a request may cost money and a
rate limit may make the job wait between two of them. A picture that cannot be fetched never fails the job: the post says
why it is missing, and so do the notes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.display_text import printable
from vidd.errors import FaultCode, Refused
from vidd.files.atomic import commit, temporary_path
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import tree_artifact
from vidd.integrations.timeline.networks import find_network
from vidd.integrations.timeline.pictures import Pictures
from vidd.model.media import Outcome
from vidd.model.post import PostPages, PostQuery
from vidd.settings.types import Duration, Size
from vidd.settings.types import Options as Base
from vidd.transfer.public_fetch import LARGEST, public_web

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import StepContext

_TREE = "posts"
_PAGES = "posts-pages.json"
_MOST_NOTES = 50


class Options(Base):
    """Which posts are read, and how their pictures are fetched."""

    count: int = Field(20, ge=1, le=3200, description="How many posts, where the arrival does not say.")
    replies: bool = Field(True, description="Answers to other posts, too.")
    reposts: bool = Field(True, description="Posts of others that the person passed on, too.")
    parallel: int = Field(4, ge=1, le=16, description="Pictures fetched at once.")
    largest: Size = Field(Size(LARGEST), ge=2**20, le=2**30, description="Size above which a picture is left out.")
    total: Size = Field(
        Size(2**30), ge=2**10, description="Size of all pictures of a job above which the rest is left out."
    )
    timeout: Duration = Field(30.0, gt=0, le=600, description="Longest time that one picture may take.")
    private_addresses: bool = Field(
        False,
        description="Fetch pictures from private addresses and this host, too: for servers inside, whose posts are trusted.",
    )


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset({"posts"})


async def run(options: Options, context: StepContext) -> Outcome:
    """Make the tree of posts. Raises Refused for a timeline without posts, and as the network does."""
    request = _Request.of(options, context)
    pages = await _read_pages(request, context)
    posts, tree = pages.posts[: request.query.count], context.directory / _TREE
    async with public_web(
        private=options.private_addresses, largest=int(options.largest), seconds=options.timeout
    ) as web:
        pictures = Pictures(context, web, tree, "media", int(options.total))
        await pictures.fetch(posts, options.parallel)
    shown = [pictures.resolve(post) for post in posts]
    document = {"network": request.network, "user": request.query.user, "posts": [post.to_json() for post in shown]}
    await _write(tree / "posts.json", document)
    notes = [*pages.facts.get("notes", ()), *pictures.describe_missing(shown)]
    if len(notes) > _MOST_NOTES:
        notes = [*notes[:_MOST_NOTES], f"{len(notes) - _MOST_NOTES} more pictures are missing."]
    facts = {"posts": len(shown), "user": request.query.user, "network": request.network, "notes": notes}
    artifact = await in_thread(tree_artifact, "posts", context.directory, _TREE)
    return Outcome((artifact,), facts)


@dataclass(frozen=True)
class _Request:
    """What the arrival asks for."""

    network: str
    account: str
    query: PostQuery

    @classmethod
    def of(cls, options: Options, context: StepContext) -> _Request:
        """Raises Refused where the arrival does not say it."""
        facts = context.job.facts
        name, account = str(facts.get("network") or ""), str(facts.get("account") or "")
        network = find_network(name)
        user = network.load().own_user(str(facts.get("user") or ""), context.tools.accounts.get(account))
        count = facts.get("count")
        if count is None:
            count = options.count
        if not isinstance(count, int) or count < 1:
            raise Refused(f"The arrival asks for {count!r} posts: ask for 1 or more.")
        return cls(name, account, PostQuery(user=user, count=count, replies=options.replies, reposts=options.reposts))


async def _read_pages(request: _Request, context: StepContext) -> PostPages:
    """The pages, read on from where the last attempt came. Raises Refused for a timeline without posts."""
    file, asked = context.directory / _PAGES, asdict(request)
    count = request.query.count

    async def save(pages: PostPages) -> None:
        await _write(file, {"asked": asked, "pages": pages.to_json()})
        context.progress(min(len(pages.posts), count), count, "posts", None)

    pages = await in_thread(_saved_pages, file, asked)
    network = find_network(request.network)
    if not pages.complete and len(pages.posts) < count:
        pages = await network.load().read_posts(request.query, request.account, context.tools, pages=pages, save=save)
    if not pages.posts:
        # Whoever retries wants the network to be asked again.
        file.unlink(missing_ok=True)
        raise Refused(
            f"There are no posts of {printable(request.query.user, 80)} to show ({network.title}): wait until there are "
            "some, or ask for replies and reposts, too.",
            code=FaultCode.NOT_FOUND,
        )
    return pages


def _saved_pages(file: Path, asked: dict[str, Any]) -> PostPages:
    """What an attempt before has read; nothing where it asked for something else, or where the file is broken."""
    try:
        saved = json.loads(file.read_bytes())
        if saved["asked"] == asked:
            return PostPages.from_json(saved["pages"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return PostPages()


async def _write(final: Path, document: Any) -> None:
    with retry_if_full():
        part = temporary_path(final)
        await in_thread(part.write_bytes, json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
        await commit(part, final)
