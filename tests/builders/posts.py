"""Posts as X has them, pictures, and a job of the step `posts`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from peers.x import TOKEN, X

from builders.aws import a_job, a_step_context, the_tools
from vidd.integrations.x.account import Account
from vidd.ports import StepContext

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GIF = base64.b64decode("R0lGODlhAQABAAAAACwAAAAAAQABAAA=")


def tweet(identity: Any, text: str = "Hello", **more: Any) -> dict[str, Any]:
    """A document in the naming `tweet…`."""
    return {
        "id": str(identity), "text": text, "edit_history_tweet_ids": [str(identity)],
        "created_at": "2026-11-20T12:30:00.000Z", **more,
    }  # fmt: skip


def an_account(x: X, **changes: Any) -> Account:
    return Account.model_validate({"token": TOKEN, "api_url": x.url, **changes})


def a_posts_step(directory: Path, x: X, user: str = "ada", *, progress=lambda *_: None, **facts: Any) -> StepContext:
    """The context of a job that reads a timeline of `x`; `directory` is the job's."""
    directory.mkdir(parents=True, exist_ok=True)
    tools = the_tools(directory.parent, birds=an_account(x))
    job = a_job("timeline:1", facts={"user": user, "network": "x", "account": "birds", "count": 20, **facts})
    return a_step_context(directory, job, tools, progress)
