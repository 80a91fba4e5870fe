"""X's API v2 as its API descriptions have it (2.159 `tweet…`, 2.167 `post…`), for one lookup and one timeline.

It refuses what the description does not know: fields, expansions, sizes of pages, names, tokens. `users` are by name,
`timelines` the documents of a user's posts, newest first, in the naming `tweet…`; the answer is in the naming that was
asked for; `pages` are answers in place of those. `billed` are the ids of all posts that it answered with. It misbehaves
by `missteps`, `limit`, `cuts`, `loops`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from peers.service import Service

TOKEN = "AAAAAAAAAAAAAAAAAAAAAMLheAAAAAAA0%2BuSeid"
PROBLEMS = "https://api.twitter.com/2/problems"


def words(*lines: str) -> set[str]:
    return {word for line in lines for word in line.split()}


USER_FIELDS = words(
    "confirmed_email connection_status created_at description entities id is_identity_verified location",
    "name parody profile_banner_url profile_image_url protected public_metrics receives_your_dm subscription",
    "subscription_type url username verified verified_followers_count verified_type withheld",
)
MEDIA_FIELDS = words(
    "alt_text duration_ms height media_key non_public_metrics organic_metrics preview_image_url promoted_metrics",
    "public_metrics type url variants width",
)
_COMMON = (
    "article attachments card_uri community_id context_annotations conversation_id created_at display_text_range",
    "edit_controls entities geo id lang media_metadata non_public_metrics organic_metrics possibly_sensitive",
    "promoted_metrics public_metrics reply_settings scopes source suggested_source_links text withheld",
)
FIELDS = {
    "tweet": words(*_COMMON, "author_id edit_history_tweet_ids in_reply_to_user_id note_tweet referenced_tweets"),
    "post": words(*_COMMON, "article_title matched_media_notes note_post paid_partnership"),
}
_EXPANDED = (
    "article.cover_media attachments.media_keys attachments.poll_ids author_id entities.mentions.username",
    "in_reply_to_user_id",
)
EXPANSIONS = {
    "tweet": words(
        *_EXPANDED,
        "edit_history_tweet_ids referenced_tweets.id referenced_tweets.id.attachments.media_keys",
        "referenced_tweets.id.author_id",
    ),
    "post": words(*_EXPANDED, "edit_history_post_ids referenced_posts username"),
}
DEFAULTS = {"id", "text", "edit_history_tweet_ids"}


class Failure(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body


def problem(kind: str, title: str, detail: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "detail": detail, "type": f"{PROBLEMS}/{kind}", **more}


def usage_capped() -> dict[str, Any]:
    """The body of a 429 that no waiting mends."""
    return problem(
        "usage-capped", "UsageCapExceeded", "Usage cap exceeded: Monthly product cap", account_id="1", period="Monthly",
        scope="Product",
    )  # fmt: skip


def invalid(parameter: str, value: str, message: str) -> Failure:
    error = {"parameters": {parameter: [value]}, "message": message}
    body = problem("invalid-request", "Invalid Request", "One or more parameters to your request was invalid.")
    return Failure(400, {"errors": [error], **body})


class X(Service):
    """`limit` is how many requests are left until `reset` (epoch seconds); of coming answers only `cuts` bytes are sent."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, dict[str, Any]] = {}
        self.timelines: dict[str, list[dict[str, Any]]] = {}
        self.referenced: dict[str, dict[str, Any]] = {}
        self.media: dict[str, dict[str, Any]] = {}
        self.suspended: set[str] = set()
        self.namings = {"tweet", "post"}
        self.billed: list[str] = []
        self.sizes: list[int] = []
        self.limit: int | None = None
        self.reset = 0
        self.cuts: list[int] = []
        self.loops: str | None = None
        self.pictures: dict[str, bytes] = {}
        self.pages: Iterator[dict[str, Any]] | None = None

    def add(self, username: str, /, *posts: dict[str, Any], **user: Any) -> dict[str, Any]:
        """A user and posts of theirs, newest first."""
        made = {
            "id": str(1000 + len(self.users)), "username": username, "name": username.title(), "protected": False,
            "profile_image_url": f"{self.url}/pictures/{username}_normal.png", **user,
        }  # fmt: skip
        self.users[username] = made
        self.timelines[made["id"]] = [{"author_id": made["id"], **post} for post in posts]
        return made

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/2/users/by/username/{name}", self._lookup)
        app.router.add_get("/2/users/{id}/tweets", self._timeline)
        app.router.add_get("/pictures/{name}", self._picture)

    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/pictures/"):
            return await super()._answer(request, handler)
        headers = {}
        try:
            self._count(headers)
            self._authorize(request)
            body, status = await handler(request), 200
        except Failure as failure:
            body, status = failure.body, failure.status
        text = json.dumps(body)
        if self.cuts:
            text = text[: self.cuts.pop(0)]
        return web.Response(text=text, status=status, content_type="application/json", headers=headers)

    def _count(self, headers: dict[str, str]) -> None:
        if self.limit is None:
            return
        left = max(0, self.limit - 1)
        headers |= {
            "x-rate-limit-limit": "900",
            "x-rate-limit-remaining": str(left),
            "x-rate-limit-reset": str(self.reset),
        }
        if self.limit == 0:
            raise Failure(
                429, {"title": "Too Many Requests", "detail": "Too Many Requests", "type": "about:blank", "status": 429}
            )
        self.limit = left

    def _authorize(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Failure(
                401, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}
            )

    def _listed(self, request: web.Request, parameter: str, known: set[str]) -> list[str]:
        asked = [value for value in request.query.get(parameter, "").split(",") if value]
        for value in asked:
            if value not in known:
                raise invalid(
                    parameter, ",".join(asked),
                    f"The `{parameter}` query parameter value [{value}] is not one of [{','.join(sorted(known))}]",
                )  # fmt: skip
        return asked

    async def _lookup(self, request: web.Request) -> dict[str, Any]:
        name = request.match_info["name"]
        self._refuse_others(request, {"user.fields", "expansions", "tweet.fields", "post.fields"})
        fields = self._listed(request, "user.fields", USER_FIELDS)
        if not re.fullmatch(r"[A-Za-z0-9_]{1,15}", name):
            message = f"The `username` query parameter value [{name}] does not match ^[A-Za-z0-9_]{{1,15}}$"
            raise invalid("username", name, message)
        about = {"value": name, "resource_type": "user", "parameter": "username", "resource_id": name}
        if name in self.suspended:
            detail = f"User has been suspended: [{name}]."
            return {"errors": [problem("resource-not-found", "Forbidden", detail, **about)]}
        found = next((user for user in self.users.values() if user["username"].casefold() == name.casefold()), None)
        if found is None:
            detail = f"Could not find user with username: [{name}]."
            return {"errors": [problem("resource-not-found", "Not Found Error", detail, **about)]}
        return {"data": self._shown_user(found, fields)}

    def _shown_user(self, user: dict[str, Any], fields: list[str]) -> dict[str, Any]:
        return {field: value for field, value in user.items() if field in {"id", "name", "username", *fields}}

    def _refuse_others(self, request: web.Request, known: set[str]) -> None:
        for parameter in request.query:
            if parameter not in known:
                message = f"The query parameter [{parameter}] is not one of [{','.join(sorted(known))}]"
                raise invalid(parameter, request.query[parameter], message)

    async def _timeline(self, request: web.Request) -> dict[str, Any]:
        naming = "post" if "post.fields" in request.query else "tweet"
        known = {"max_results", "pagination_token", "exclude", "expansions", "user.fields", "media.fields"}
        self._refuse_others(request, known | {f"{name}.fields" for name in self.namings})
        fields = self._listed(request, f"{naming}.fields", FIELDS[naming])
        expansions = self._listed(request, "expansions", EXPANSIONS[naming])
        users = self._listed(request, "user.fields", USER_FIELDS)
        media = self._listed(request, "media.fields", MEDIA_FIELDS)
        exclude = self._listed(request, "exclude", {"replies", "retweets"})
        size = request.query.get("max_results", "10")
        if not size.isdecimal() or not 5 <= int(size) <= 100:
            raise invalid(
                "max_results", size, f"The `max_results` query parameter value [{size}] is not between 5 and 100"
            )
        self.sizes.append(int(size))
        if self.pages is not None:
            return next(self.pages)
        identity = request.match_info["id"]
        owner = next((user for user in self.users.values() if user["id"] == identity), None)
        if owner is None or owner.get("hidden"):
            about = {"value": identity, "resource_type": "user", "parameter": "id", "resource_id": identity}
            detail = f"Sorry, you are not authorized to see the user with id: [{identity}]."
            return {"errors": [problem("not-authorized-for-resource", "Authorization Error", detail, **about)]}
        token = request.query.get("pagination_token")
        start = self._start(token)
        page = self.timelines[identity][start : start + int(size)]
        following = f"t{start + int(size)}" if start + int(size) < len(self.timelines[identity]) else None
        shown = [post for post in page if not _excluded(post, exclude)]
        self.billed += [post["id"] for post in shown]
        answer = self._answered(shown, fields, expansions, users, media, naming)
        meta: dict[str, Any] = {"result_count": len(shown)}
        if shown:
            meta |= {"newest_id": shown[0]["id"], "oldest_id": shown[-1]["id"]}
        if self.loops or following:
            meta["next_token"] = self.loops or following
        return {**answer, "meta": meta}

    def _start(self, token: str | None) -> int:
        if token is None or token == self.loops:
            return 0
        if not re.fullmatch(r"t\d+", token):
            raise invalid(
                "pagination_token", token, f"The `pagination_token` query parameter value [{token}] is not valid"
            )
        return int(token[1:])

    def _answered(self, posts, fields, expansions, users, media, naming) -> dict[str, Any]:
        referenced = [
            self.referenced[ref["id"]]
            for post in posts
            for ref in post.get("referenced_tweets", ())
            if ref["id"] in self.referenced
        ]
        by_id = {user["id"]: user for user in self.users.values()}
        ids = [post["author_id"] for post in posts if "author_id" in expansions]
        if "referenced_tweets.id.author_id" in expansions:
            ids += [post["author_id"] for post in referenced]
        if "in_reply_to_user_id" in expansions:
            ids += [post["in_reply_to_user_id"] for post in posts if post.get("in_reply_to_user_id")]
        keys = [key for post in posts for key in post.get("attachments", {}).get("media_keys", ())]
        if naming == "post" or "referenced_tweets.id.attachments.media_keys" in expansions:
            keys += [key for post in referenced for key in post.get("attachments", {}).get("media_keys", ())]
        has_references = {"referenced_tweets.id", "referenced_posts"} & set(expansions)
        includes = {
            "users": [self._shown_user(by_id[identity], users) for identity in dict.fromkeys(ids) if identity in by_id],
            "media": [
                {field: value for field, value in self.media[key].items() if field in {"media_key", "type", *media}}
                for key in dict.fromkeys(keys) if key in self.media and "attachments.media_keys" in expansions
            ],
            "tweets": [self._shown(post, fields, naming) for post in referenced] if has_references else [],
        }  # fmt: skip
        includes = {name: found for name, found in includes.items() if found}
        if naming == "post" and "tweets" in includes:
            includes["posts"] = includes.pop("tweets")
        data = [self._shown(post, fields, naming) for post in posts]
        return {**({"data": data} if data else {}), **({"includes": includes} if includes else {})}

    def _shown(self, post: dict[str, Any], fields: list[str], naming: str) -> dict[str, Any]:
        # In the newer naming the ids come with their expansions.
        given = {"author_id", "in_reply_to_user_id", "referenced_tweets"} if naming == "post" else set()
        asked = {"note_tweet" if field == "note_post" else field for field in fields}
        shown = {field: value for field, value in post.items() if field in DEFAULTS | asked | given}
        if naming == "post":
            renames = {"note_tweet": "note_post", "referenced_tweets": "referenced_posts"}
            shown = {renames.get(field, field): value for field, value in shown.items()}
        return shown

    async def _picture(self, request: web.Request) -> web.Response:
        found = self.pictures.get(request.match_info["name"])
        # As some servers do, it says nothing about what is inside.
        return web.Response(status=404) if found is None else web.Response(body=found, content_type="text/plain")


def _excluded(post: dict[str, Any], exclude: list[str]) -> bool:
    types = {reference["type"] for reference in post.get("referenced_tweets", ())}
    return ("replies" in exclude and "replied_to" in types) or ("retweets" in exclude and "retweeted" in types)
