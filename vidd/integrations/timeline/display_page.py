"""The page on which a video is watched, and until then its progress is. It needs no script."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined, Template

from vidd.ports import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.timeline.progress import Progress
    from vidd.integrations.timeline.videos import Video

REFRESH = 3
"""Seconds after which the page of an unfinished video asks again."""
_HERE = files("vidd.integrations.timeline")


@dataclass(frozen=True, slots=True)
class _Assets:
    template: Template
    style: str
    policy: str


@lru_cache(maxsize=1)
def _assets() -> _Assets:
    style = _HERE.joinpath("display.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; media-src 'self'; img-src 'self' data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_HERE.joinpath("display.html.j2").read_text("utf-8"))
    return _Assets(template, style, policy)


def player_page(video: Video, origin: str) -> Reply:
    """The page with the player, its sources in the order in which browsers should try them, and links to download."""
    return _page(200, f"Posts of {video.user}", video=video, address=f"{origin}/display/{video.id}", origin=origin)


def progress_page(user: str, progress: Progress) -> Reply:
    """The page of a video that is not finished, which asks again by itself; or of one that there will not be."""
    headers = {} if progress.finished else {"Refresh": str(REFRESH)}
    return _page(200, f"Posts of {user}", headers, progress=progress)


def absent_page(sentence: str, status: int = 404) -> Reply:
    """The page where there is no video."""
    return _page(status, "No video", sentence=sentence)


def _page(status: int, title: str, headers: Mapping[str, str] | None = None, **fields: object) -> Reply:
    assets = _assets()
    given = {"video": None, "progress": None, "sentence": None, "address": "", "origin": "", **fields}
    html = assets.template.render(title=title, style=assets.style, **given)
    return Reply(status, html, "text/html", {"Content-Security-Policy": assets.policy, **(headers or {})})
