from datetime import UTC, datetime

import pytest
from builders.timelines import Reading, slices
from peers.bluesky import DID, HANDLE, Bluesky, a_facet, a_label, a_post, a_profile
from pydantic import ValidationError

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.bluesky import timeline
from vidd.integrations.bluesky.account import Account
from vidd.model.post import Picture, PostPages, Span

pytestmark = pytest.mark.peer

BOB = a_profile("bob.example", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", displayName="Bob")
SIGNED_IN_ONLY = a_profile("eve.example", "did:plc:cccccccccccccccccccccccc", labels=[a_label("!no-unauthenticated")])


def a_repost(post, at="2026-11-20T11:00:00.000Z"):
    return {"post": post, "reason": {"$type": "app.bsky.feed.defs#reasonRepost", "by": a_profile(), "indexedAt": at}}


def images(*names):
    return {
        "$type": "app.bsky.embed.images#view",
        "images": [
            {"thumb": f"https://cdn/{name}-s.jpg", "fullsize": f"https://cdn/{name}.jpg", "alt": name} for name in names
        ],
    }


def quoting(record):
    return {"$type": "app.bsky.embed.record#view", "record": record}


def a_quoted(author=BOB, **changes):
    return {
        "$type": "app.bsky.embed.record#viewRecord", "uri": f"at://{author['did']}/app.bsky.feed.post/3kq", "author": author,
        "value": {"text": "Inner", "createdAt": "2026-01-01T00:00:00Z"}, "labels": [], "indexedAt": "2026-01-01T00:00:00Z",
        **changes,
    }  # fmt: skip


@pytest.fixture
def far():
    far = Bluesky()
    with far.serving(None):
        yield far


def reading(far, tmp_path):
    return Reading(timeline, Account(url=f"{far.url}/", timeout=5), tmp_path)


async def read(far, tmp_path, count=20, **wishes):
    return await reading(far, tmp_path).read(HANDLE, count, **wishes)


async def test_a_post_is_read_with_its_author_facets_and_time(far, tmp_path):
    far.write(a_post(1, "✨ @bob.example hi", facets=[a_facet(4, 16, "mention", did=BOB["did"])]))
    [post] = (await read(far, tmp_path)).posts
    assert (post.text, slices(post)) == ("✨ @bob.example hi", [("@bob.example", "mention")])
    assert (post.author.name, post.author.handle, post.author.avatar) == (
        HANDLE, f"@{HANDLE}", Picture(url=f"https://cdn.example/{HANDLE}.jpg"),
    )  # fmt: skip
    assert post.url == f"https://bsky.app/profile/{DID}/post/3k00000000001"
    assert (post.id, post.created) == (
        f"at://{DID}/app.bsky.feed.post/3k00000000001",
        datetime(2026, 11, 20, 10, 1, tzinfo=UTC),
    )


async def test_pages_are_read_until_there_are_enough_and_never_more_is_asked_for(far, tmp_path):
    far.write(*(a_post(number) for number in range(250, 0, -1)))
    run = reading(far, tmp_path)
    pages = await run.read(f"@{HANDLE.upper()}", 230)
    assert len({post.id for post in pages.posts}) == 230
    asked = [call.path.partition("limit=")[2] for call in far.called("GET", "getAuthorFeed")]
    assert [words.partition("&")[0] for words in asked] == ["100", "100", "30"]
    assert [len(saved.posts) for saved in run.saved] == [100, 200, 230]


async def test_a_reading_goes_on_where_the_last_one_stopped(far, tmp_path):
    far.write(*(a_post(number) for number in range(150, 0, -1)))
    far.misstep(
        "GET", "cursor=", "status", status=502, body={"error": "UpstreamFailure", "message": "Upstream Failure"}
    )
    run = reading(far, tmp_path)
    with pytest.raises(RetryLater, match=r"failed \(502: UpstreamFailure: Upstream Failure\)"):
        await run.read(HANDLE, 150)
    assert len((await run.read(HANDLE, 150, pages=run.saved[-1])).posts) == 150
    assert len(far.called("GET", "getProfile")) == 1


async def test_short_and_empty_pages_are_not_the_end(far, tmp_path):
    far.pages = [
        ([{"post": a_post(3)}], "a"),
        ([], "b"),
        ([], "c"),
        ([{"post": a_post(2)}, {"post": a_post(3)}], "d"),
        ([{"post": a_post(1)}], None),
    ]
    pages = await read(far, tmp_path)
    assert ([post.id[-1] for post in pages.posts], pages.complete) == (["3", "2", "1"], True)
    assert "notes" not in pages.facts


@pytest.mark.parametrize("cursors", [["a"] * 5, ["a", "b"] * 5, [f"c{number}" for number in range(300)]])
async def test_cursors_that_lead_nowhere_end_the_reading(far, tmp_path, cursors):
    far.pages = [([{"post": a_post(1)}], cursor) for cursor in cursors]
    pages = await read(far, tmp_path)
    assert (len(pages.posts), pages.complete, pages.cursor) == (1, True, None)
    assert pages.facts["notes"] == [
        "The server goes on naming pages without posts that are wanted, so vidd stopped reading there."
    ]
    assert len(far.called("GET", "getAuthorFeed")) <= 22


async def test_reposts_name_who_passed_the_post_on_and_the_pin_is_shown_in_its_own_place(far, tmp_path):
    own = a_post(1)
    pin = {"post": own, "reason": {"$type": "app.bsky.feed.defs#reasonPin"}}
    far.write(pin, a_repost(own), a_repost(a_post(5, author=BOB)), own)
    posts = (await read(far, tmp_path)).posts
    assert [(post.author.name, post.reposted_by) for post in posts] == [
        (HANDLE, HANDLE),
        ("Bob", HANDLE),
        (HANDLE, None),
    ]
    assert len({post.id for post in posts}) == 3
    assert [post.reposted_by for post in (await read(far, tmp_path, reposts=False)).posts] == [None]


async def test_a_person_who_mostly_reposts_is_read_on_until_there_are_own_posts(far, tmp_path):
    far.write(
        *(a_repost(a_post(number, author=BOB), f"2026-11-20T11:{number % 60:02d}:00Z") for number in range(250)),
        a_post(2),
        a_post(1),
    )
    pages = await read(far, tmp_path, 1, reposts=False)
    assert ([post.author.name for post in pages.posts], "notes" in pages.facts) == ([HANDLE], False)
    assert len(far.called("GET", "getAuthorFeed")) == 3


async def test_replies_name_whom_they_answer_and_are_left_out_where_nobody_wants_them(far, tmp_path):
    def answering(number, parent):
        post = a_post(number, reply={"parent": {"uri": "at://x"}, "root": {"uri": "at://x"}})
        return {"post": post, "reply": {"root": parent, "parent": parent}}

    gone = {"$type": "app.bsky.feed.defs#notFoundPost", "uri": "at://x", "notFound": True}
    blocked = {
        "$type": "app.bsky.feed.defs#blockedPost",
        "uri": "at://x",
        "blocked": True,
        "author": {"did": "did:plc:x"},
    }
    parents = [a_post(9, author=BOB), a_post(9, author=SIGNED_IN_ONLY), gone, blocked]
    far.write(*(answering(8 - at, parent) for at, parent in enumerate(parents)), a_post(1))
    assert [post.replies_to for post in (await read(far, tmp_path)).posts] == ["@bob.example", None, None, None, None]
    assert len((await read(far, tmp_path, replies=False)).posts) == 1
    assert "filter=posts_no_replies" in far.calls[-1].path
    far.pages = [(far.items[DID], None)]
    assert len((await read(far, tmp_path, replies=False)).posts) == 1


async def test_each_kind_of_embed_is_its_pictures(far, tmp_path):
    gallery = [
        {"thumbnail": f"https://cdn/g{at}-s.jpg", "fullsize": f"https://cdn/g{at}.jpg", "alt": f"g{at}"}
        for at in range(20)
    ]
    video = {
        "$type": "app.bsky.embed.video#view",
        "cid": "x",
        "playlist": "https://v/p.m3u8",
        "thumbnail": "https://v/t.jpg",
        "alt": "A film",
    }
    both = {"$type": "app.bsky.embed.recordWithMedia#view", "media": images("m"), "record": quoting(a_quoted())}
    far.write(
        a_post(9, embed=images("a", "b")),
        a_post(8, embed={"$type": "app.bsky.embed.gallery#view", "items": gallery}),
        a_post(7, embed=video),
        a_post(6, embed=both),
        a_post(5, embed={**video, "thumbnail": None}),
        a_post(4, embed={"$type": "app.bsky.embed.hologram#view", "images": 5}),
        a_post(3, embed={"$type": "app.bsky.embed.images#view", "images": [{"thumb": "https://cdn/s.jpg"}]}),
    )
    posts = (await read(far, tmp_path)).posts
    assert posts[0].pictures == (Picture(url="https://cdn/a.jpg", alt="a"), Picture(url="https://cdn/b.jpg", alt="b"))
    assert [picture.url for picture in posts[1].pictures] == [f"https://cdn/g{at}.jpg" for at in range(20)]
    assert posts[2].pictures == (Picture(url="https://v/t.jpg", alt="A film", video=True),)
    assert (posts[3].pictures, posts[3].quoted.text) == ((Picture(url="https://cdn/m.jpg", alt="m"),), "Inner")
    assert posts[4].pictures == (Picture(url=None, alt="A film", video=True),)
    assert (posts[5].pictures, posts[6].pictures) == ((), (Picture(url="https://cdn/s.jpg"),))


async def test_a_link_card_is_its_picture_and_below_the_text_unless_the_text_has_the_link(far, tmp_path):
    uri = "https://www.example.org/a/long/path/to/an/article/of/loops"
    card = {
        "$type": "app.bsky.embed.external#view",
        "external": {"uri": uri, "title": "On loops", "description": "d", "thumb": "https://cdn/t.jpg"},
    }
    far.write(
        a_post(3, "Read", embed=card),
        a_post(2, "here", embed=card, facets=[a_facet(0, 4, "link", uri=uri)]),
        a_post(1, "", embed={**card, "external": {"uri": "https://a.b/", "title": ""}}),
    )
    below, linked, bare = (await read(far, tmp_path)).posts
    assert below.text == "Read\n\nOn loops\nwww.example.org/a/long/path/to/an/articl…"
    assert slices(below) == [("www.example.org/a/long/path/to/an/articl…", "link")]
    assert below.pictures == (Picture(url="https://cdn/t.jpg", alt="On loops"),)
    assert (linked.text, slices(linked)) == ("here", [("here", "link")])
    assert (bare.text, bare.spans, bare.pictures) == ("a.b", (Span(0, 3, "link"),), ())


async def test_a_quoted_post_is_shown_once_and_only_where_it_is_for_everybody(far, tmp_path):
    inner = a_quoted(
        embeds=[{"$type": "app.bsky.embed.recordWithMedia#view", "media": images("q"), "record": quoting(a_quoted())}]
    )
    records = [
        inner,
        a_quoted(SIGNED_IN_ONLY),
        {"$type": "app.bsky.embed.record#viewNotFound", "uri": "at://x", "notFound": True},
        {
            "$type": "app.bsky.embed.record#viewBlocked",
            "uri": "at://x",
            "blocked": True,
            "author": {"did": "did:plc:x"},
        },
        {"$type": "app.bsky.embed.record#viewDetached", "uri": "at://x", "detached": True},
        {"$type": "app.bsky.feed.defs#generatorView", "uri": "at://x", "displayName": "Loops", "creator": BOB},
    ]
    far.write(*(a_post(9 - at, embed=quoting(record)) for at, record in enumerate(records)))
    posts = (await read(far, tmp_path)).posts
    assert [post.quoted is not None for post in posts] == [True, False, False, False, False, False]
    quoted = posts[0].quoted
    assert (quoted.text, quoted.author.name, quoted.quoted) == ("Inner", "Bob", None)
    assert quoted.pictures == (Picture(url="https://cdn/q.jpg", alt="q"),)


async def test_who_shows_posts_to_people_who_are_signed_in_only_is_refused(far, tmp_path):
    far.people[HANDLE]["labels"] = [a_label("!no-unauthenticated")]
    far.write(a_post(1))
    with pytest.raises(Refused, match=f"@{HANDLE} shows posts only to people who are signed in to Bluesky") as raised:
        await read(far, tmp_path)
    assert raised.value.code is FaultCode.FORBIDDEN
    assert far.called("GET", "getAuthorFeed") == []
    far.people[HANDLE]["labels"] = [a_label("!no-unauthenticated", neg=True)]
    assert len((await read(far, tmp_path)).posts) == 1


async def test_reposts_of_people_who_show_posts_to_signed_in_people_only_are_left_out_with_a_note(far, tmp_path):
    hidden = {**a_post(3), "labels": [a_label("!hide")]}
    far.write(a_repost(a_post(5, author=SIGNED_IN_ONLY)), a_repost(a_post(4, author=SIGNED_IN_ONLY)), hidden, a_post(1))
    pages = await read(far, tmp_path)
    assert [post.id[-1] for post in pages.posts] == ["1"]
    assert pages.facts["notes"] == [
        "@eve.example shows posts to people who are signed in only, so vidd leaves them out.",
        f"Bluesky's moderators hide a post of @{HANDLE}, so vidd leaves it out.",
    ]


async def test_labels_of_moderators_hide_pictures_or_put_a_warning_before_the_post(far, tmp_path):
    far.write(
        {**a_post(2, embed=images("a")), "labels": [a_label("porn")]},
        {**a_post(1), "labels": [a_label("!warn"), a_label("spam")]},
    )
    adult, warned = (await read(far, tmp_path)).posts
    assert adult.pictures == (Picture(url=None, alt="a", why_missing="It is marked as adult content."),)
    assert (adult.warning, warned.warning) == ("", "Bluesky's moderators put a warning on this post.")


@pytest.mark.parametrize(
    ("error", "message", "code", "words"),
    [
        ("InvalidRequest", "Profile not found", FaultCode.NOT_FOUND, "there is no such account: correct the handle"),
        ("AccountTakedown", "Account has been suspended", FaultCode.FORBIDDEN, "Bluesky has taken the account down"),
        ("AccountDeactivated", "Account is deactivated", FaultCode.NOT_FOUND, "its owner has switched the account off"),
        ("InvalidRequest", "Error: actor must be a valid did or a handle", FaultCode.REJECTED, "correct what it names"),
    ],
)  # fmt: skip
async def test_what_the_appview_refuses_is_a_sentence_that_says_what_to_do(far, tmp_path, error, message, code, words):
    far.gone[HANDLE] = (error, message)
    with pytest.raises(Refused, match=words) as raised:
        await read(far, tmp_path)
    assert raised.value.code is code
    assert f"(400: {error}: {message})" in raised.value.sentence


async def test_a_rate_limit_is_waited_for_until_its_reset(far, tmp_path):
    date, reset = "Fri, 20 Nov 2026 12:00:00 GMT", int(datetime(2026, 11, 20, 12, 3, 20, tzinfo=UTC).timestamp())
    headers = {"RateLimit-Limit": "3000", "RateLimit-Remaining": "0", "RateLimit-Reset": str(reset), "Date": date}
    body = {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}
    far.misstep("GET", "getAuthorFeed", "status", status=429, body=body, headers=headers)
    with pytest.raises(RetryLater, match=f"vidd will go on with @{HANDLE} at 12:03 UTC") as raised:
        await read(far, tmp_path)
    assert (raised.value.after, raised.value.counts, raised.value.code) == (200, False, FaultCode.RATE_LIMITED)


@pytest.mark.parametrize(
    "headers", [{}, {"RateLimit-Reset": "nan"}, {"RateLimit-Reset": "1e400"}, {"RateLimit-Reset": "soon"}]
)
async def test_a_rate_limit_without_a_usable_time_is_waited_for_too(far, tmp_path, headers):
    far.misstep("GET", "getProfile", "status", status=429, body={}, headers=headers)
    with pytest.raises(RetryLater) as raised:
        await read(far, tmp_path)
    assert raised.value.after == 300


@pytest.mark.parametrize(("status", "body"), [(404, {}), (302, {}), (200, {"feed": 5}), (200, {}), (200, [])])
async def test_a_server_that_is_no_appview_is_refused(far, tmp_path, status, body):
    far.misstep("GET", "getAuthorFeed", "status", status=status, body=body)
    with pytest.raises(Refused, match="does not answer as an AppView of Bluesky does"):
        await read(far, tmp_path)


async def test_items_with_nothing_usable_in_them_are_cards_all_the_same(far, tmp_path):
    odd = [
        {"post": None}, {"post": {"record": 5, "author": [], "embed": "x", "labels": 1}, "reason": 5, "reply": []},
        {"post": {**a_post(1, "a\ud800b", facets={}), "uri": "http://[x", "indexedAt": "9999-99-99"}},
        {"post": {**a_post(2, createdAt="2050-01-01T00:00:00"), "author": {"handle": "x.y"}, "embed": quoting(None)}},
    ]  # fmt: skip
    for at, item in enumerate(odd):
        far.pages = [([item], None)]
        [post] = (await read(far, tmp_path)).posts
        assert PostPages.from_json(PostPages(posts=(post,)).to_json()).posts == (post,)
        assert (post.text, post.created) == [
            ("", None), ("", None), ("a\ufffdb", datetime(2026, 11, 20, 10, 1, tzinfo=UTC)),
            ("Hello", datetime(2026, 11, 20, 10, 2, 1, tzinfo=UTC)),
        ][at]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "user"),
    [("ada.bsky.social", "ada.bsky.social"), (" @Ada.Example.org ", "ada.example.org"), (DID, DID), ("did:web:example.org", "did:web:example.org"), ("https://bsky.app/profile/Ada.example.org/", "ada.example.org"), (f"https://bsky.app/profile/{DID}", DID)],
)  # fmt: skip
def test_a_user_is_the_same_however_it_is_written(text, user):
    assert timeline.own_user(text, Account()) == user


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "ada",
        "a b.c",
        "../../etc",
        "ada.",
        ".ada.b",
        "a..b",
        "-a.b",
        "a-.b",
        "did:plc:x",
        "did:key:z6Mk",
        "é.b",
        "a.b/c",
        "a.1",
        "x" * 64 + ".b",
        "a." * 130 + "b",
    ],
)
def test_a_name_that_nobody_can_have_is_refused(text):
    with pytest.raises(Refused, match="is no handle of Bluesky"):
        timeline.own_user(text, Account())


def test_an_account_that_is_not_there_is_named():
    with pytest.raises(Refused, match="no account of kind bluesky"):
        timeline.own_user(HANDLE, None)


def test_the_usual_appview_is_the_public_one():
    assert Account().targets == ("https://public.api.bsky.app",)
    with pytest.raises(ValidationError):
        Account(url="bsky.app")
