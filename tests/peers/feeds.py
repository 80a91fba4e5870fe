"""Feeds as they are found: Mastodon's RSS, a blog's RSS, Atom; and a web server that gives them.

The server answers conditional requests (RFC 9110, 13) as it is told: `etag`, `modified`; `status` and `headers` of errors.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web

MEDIA = 'xmlns:media="http://search.yahoo.com/mrss/"'


def rss(*items: str, title: str = "Ada's loops", more: str = "", namespaces: str = MEDIA) -> bytes:
    """An RSS 2.0 feed of a blog."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" {namespaces}><channel><title>{title}</title>'
        f"<link>https://loops.example/blog/</link><description>On loops</description>{more}{''.join(items)}</channel></rss>"
    ).encode()


def item(number: int, html: str = "<p>Hello</p>", *, title: str = "", more: str = "") -> str:
    """An entry; Mastodon's have no title."""
    named = f"<title>{title}</title>" if title else ""
    return (
        f'<item><guid isPermaLink="true">https://loops.example/{number}</guid><link>https://loops.example/{number}</link>'
        f"<pubDate>Fri, 20 Nov 2026 10:{number % 60:02d}:00 +0000</pubDate>{named}"
        f"<description>{escape(html)}</description>{more}</item>"
    )


def media(url: str, kind: str = "image/png", *, alt: str = "", rating: str = "nonadult", thumbnail: str = "") -> str:
    """A picture or film as Mastodon's feeds have it."""
    medium = kind.partition("/")[0]
    described = f'<media:description type="plain">{escape(alt)}</media:description>' if alt else ""
    still = f'<media:thumbnail url="{thumbnail}"/>' if thumbnail else ""
    return (
        f'<media:content url="{url}" type="{kind}" fileSize="5" medium="{medium}">'
        f'<media:rating scheme="urn:simple">{rating}</media:rating>{described}{still}</media:content>'
    )


def mastodon_rss(*items: str) -> bytes:
    """The feed of a user of Mastodon 4.5."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:webfeeds="http://webfeeds.org/rss/1.0" '
        f"{MEDIA}><channel><title>Ada</title><description>Public posts from @ada@example.social</description>"
        "<link>https://example.social/@ada</link><image><url>https://files.example.social/ada.png</url><title>Ada</title>"
        "<link>https://example.social/@ada</link></image><lastBuildDate>Fri, 20 Nov 2026 10:00:00 +0000</lastBuildDate>"
        "<webfeeds:icon>https://files.example.social/ada.png</webfeeds:icon><generator>Mastodon v4.5.0</generator>"
        f"{''.join(items)}</channel></rss>"
    ).encode()


@dataclass
class Feeds:
    """What is at each path; `seen` are the headers of the requests, `sent` the number of bodies that went out."""

    documents: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    etag: str | None = None
    modified: str | None = None
    content_type: str = "application/rss+xml"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sent: int = 0

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.seen.append(dict(request.headers))
        self.paths.append(request.path_qs)
        if self.status != 200:
            return web.Response(status=self.status, headers=self.headers)
        content = self.documents.get(request.path)
        if content is None:
            return web.Response(status=404)
        validators = {"ETag": self.etag, "Last-Modified": self.modified}
        headers = {name: value for name, value in validators.items() if value}
        asked = (request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since"))
        if any(asked) and asked == (self.etag, self.modified):
            return web.Response(status=304, headers=headers)
        self.sent += 1
        return web.Response(body=content, headers={**headers, **self.headers, "Content-Type": self.content_type})


@asynccontextmanager
async def feeds(**documents: bytes):
    """A server with these documents, each at the path of its name."""
    served = Feeds({f"/{name}": content for name, content in documents.items()})
    runner = web.ServerRunner(web.Server(served.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield served
    finally:
        await runner.cleanup()
