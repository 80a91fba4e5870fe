"""Reads the posts of an RSS or Atom feed, newest first. A child parses it: feeds are by strangers."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused
from vidd.integrations.feed.account import Account
from vidd.integrations.feed.document import Document, read_document
from vidd.integrations.posts.pages import with_notes
from vidd.model.post import Post
from vidd.processes.worker_client import JsonLinesProcess, WorkerDied, retry_if_interrupted, worker_argv

if TYPE_CHECKING:
    from vidd.model.post import PostPages, PostQuery
    from vidd.ports import Tools

_WORKER = "vidd.integrations.feed.worker.main"
_SECONDS, _MEMORY = 300.0, 4 << 30


async def read_posts(
    query: PostQuery,
    account_name: str,
    tools: Tools,
    *,
    pages: PostPages,
    save: Callable[[PostPages], Awaitable[None]],
) -> PostPages:
    """Read the feed, which is one page; as `vidd.ports.posts` says."""
    document = await read_document(tools.account(account_name, Account), query.user, tools)
    answer = await _parse(document, query.count)
    posts = tuple(Post.from_json(post) for post in answer["posts"])
    pages = with_notes(replace(pages, posts=posts, complete=True), *answer["notes"])
    await save(pages)
    return pages


def own_user(text: str, account: Any, /) -> str:
    """A name without the @ before it, or a feed's address; as the account reads it."""
    if not isinstance(account, Account):
        raise Refused(
            "There is no account of kind feed to read posts with: add one to the settings.", code=FaultCode.BAD_SETTINGS
        )
    return account.own_user(text)


async def _parse(document: Document, count: int) -> dict[str, Any]:
    """The newest posts as JSON, and notes. Raises Refused for what is no feed, and for what the parser fails at."""
    question = {
        "ask": "read",
        "name": document.name,
        "url": document.url,
        "content": base64.b64encode(document.content).decode(),
        "content_type": document.content_type,
        "count": count,
    }
    worker = JsonLinesProcess(worker_argv(_WORKER), memory=_MEMORY)
    try:
        with retry_if_interrupted(f"reading the feed {document.name}", _SECONDS):
            return await worker.ask(question, timeout=_SECONDS)
    except WorkerDied as died:
        raise Refused(
            f"The parser fails at the feed {document.name} ({died}): correct the feed, or give another.",
            code=FaultCode.BAD_INPUT,
            said=died.stderr,
        ) from None
    finally:
        await worker.close()
