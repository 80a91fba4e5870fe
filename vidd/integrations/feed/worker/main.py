"""Parses a feed, in a child: `python -m vidd.integrations.feed.worker.main`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from vidd.integrations.feed.worker.entries import read_feed
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


def _read(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    posts, notes = read_feed(
        base64.b64decode(question["content"]),
        question["name"],
        question["count"],
        url=question["url"],
        content_type=question["content_type"],
    )
    return {"posts": [post.to_json() for post in posts], "notes": notes}


if __name__ == "__main__":
    serve({"read": _read})
