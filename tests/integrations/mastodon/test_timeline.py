from datetime import UTC, datetime

import pytest
from builders.timelines import Reading, slices
from peers.mastodon import DOMAIN, TOKEN, Mastodon, a_status, an_account
from pydantic import SecretStr, ValidationError

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.mastodon import timeline
from vidd.integrations.mastodon.account import Account
from vidd.model.post import CustomEmoji, Picture, PostPages

pytestmark = pytest.mark.peer


@pytest.fixture
def far():
    far = Mastodon()
    with far.serving(None):
        yield far


def account(far, **changes):
    return Account(**{"url": f"{far.url}/", "domain": DOMAIN, "timeout": 5, **changes})


def reading(far, tmp_path, **changes):
    return Reading(timeline, account(far, **changes), tmp_path)


async def test_a_post_is_read_with_its_author_text_and_time(far, tmp_path):
    far.people["ada"] |= {
        "display_name": "Ada :cat:",
        "emojis": [{"shortcode": "cat", "url": "https://e/c.gif", "static_url": "https://e/c.png"}],
    }
    far.write(
        a_status(
            1,
            "<p>Hi <a href='https://x.org' class='mention hashtag'>#<span>loops</span></a></p>",
            edited_at="2026-11-21T00:00:00Z",
        )
    )
    [post] = (await reading(far, tmp_path).read("ada")).posts
    assert (post.id, post.text, slices(post)) == ("1", "Hi #loops", [("#loops", "hashtag")])
    assert (post.author.name, post.author.handle) == ("Ada :cat:", f"@ada@{DOMAIN}")
    assert post.author.avatar == Picture(url=f"https://files.{DOMAIN}/ada.png")
    assert post.author.emoji == (CustomEmoji("cat", "https://e/c.png"),)
    assert (post.url, post.created) == (f"https://{DOMAIN}/@ada/1", datetime(2026, 11, 20, 10, 1, tzinfo=UTC))


async def test_pages_are_read_until_there_are_enough_and_never_more_is_asked_for(far, tmp_path):
    far.write(*(a_status(number) for number in range(100, 0, -1)))
    run = reading(far, tmp_path)
    pages = await run.read("ada", 85)
    assert [post.id for post in pages.posts] == [str(number) for number in range(100, 15, -1)]
    assert [call.path.partition("?")[2] for call in far.called("GET", "statuses")] == [
        "limit=40", "limit=40&max_id=61", "limit=5&max_id=21",
    ]  # fmt: skip
    assert [len(saved.posts) for saved in run.saved] == [40, 80, 85]


async def test_a_reading_goes_on_where_the_last_one_stopped(far, tmp_path):
    far.write(*(a_status(number) for number in range(60, 0, -1)))
    far.misstep("GET", "max_id=", "status", status=503, body={"error": "down"})
    run = reading(far, tmp_path)
    with pytest.raises(RetryLater, match=r"failed \(503: down\)"):
        await run.read("ada", 60)
    pages = await run.read("ada", 60, pages=run.saved[-1])
    assert len(pages.posts) == 60
    assert len(far.called("GET", "lookup")) == 1
    assert [call.path.partition("?")[2] for call in far.called("GET", "statuses")] == [
        "limit=40",
        "limit=20&max_id=21",
        "limit=20&max_id=21",
    ]


@pytest.mark.parametrize(
    ("next_link", "words"),
    [
        (lambda link: link.rpartition("=")[0] + "=41", "naming pages without posts that are wanted"),
        (lambda link: link.replace("127.0.0.1", "elsewhere.example"), "a next page elsewhere"),
        (lambda link: link.replace("/statuses", "/followers"), "a next page elsewhere"),
        (lambda link: link.replace("max_id", "page"), "a next page elsewhere"),
        (lambda _: "http://[broken", "a next page elsewhere"),
    ],
)
async def test_a_next_page_that_repeats_or_leads_elsewhere_ends_the_reading(far, tmp_path, next_link, words):
    far.write(*(a_status(number) for number in range(80, 0, -1)))
    far.next_link = next_link
    pages = await reading(far, tmp_path).read("ada", 200)
    assert pages.complete
    assert len(pages.posts) in {40, 80}
    assert any(words in note for note in pages.facts["notes"]), pages.facts


async def test_a_reblog_is_the_whole_post_that_it_passes_on(far, tmp_path):
    bob = an_account("bob@far.example", "2002", display_name="")
    original = {**a_status(7, "<p>" + "long " * 100 + "</p>"), "account": bob, "url": "https://far.example/@bob/7"}
    far.people["ada"] |= {"display_name": "Ada :cat: L", "emojis": [{"shortcode": "cat", "url": "https://e/c.png"}]}
    far.write(a_status(9, "", reblog=original))
    [post] = (await reading(far, tmp_path).read("ada")).posts
    assert (post.id, post.reposted_by, post.author.handle, post.author.name) == (
        "9",
        "Ada L",
        "@bob@far.example",
        "bob",
    )
    assert (len(post.text), post.url) == (499, "https://far.example/@bob/7")


async def test_reblogs_and_replies_are_left_out_where_nobody_wants_them(far, tmp_path):
    own = {"in_reply_to_id": "1", "in_reply_to_account_id": "1001"}
    mentions = [{"id": "7", "username": "eve", "acct": "eve", "url": "x"}]
    other = {"in_reply_to_id": "2", "in_reply_to_account_id": "7", "mentions": mentions}
    original = {**a_status(3), "account": an_account("bob", "2002")}
    far.write(a_status(9, reblog=original), a_status(8, **other), a_status(7, **own), a_status(6))
    both = await reading(far, tmp_path).read("ada")
    assert [post.replies_to for post in both.posts] == [None, f"@eve@{DOMAIN}", f"@ada@{DOMAIN}", None]
    few = await reading(far, tmp_path).read("ada", replies=False, reposts=False)
    assert [post.id for post in few.posts] == ["7", "6"]
    assert far.calls[-1].path.endswith("?limit=20&exclude_replies=true&exclude_reblogs=true")


async def test_what_nobody_wants_is_left_out_though_the_server_does_not_know_how(far, tmp_path, monkeypatch):
    original = {**a_status(3), "account": an_account("bob", "2002")}
    far.write(a_status(9, reblog=original), a_status(8, in_reply_to_id="2", in_reply_to_account_id="7"), a_status(6))
    knowing = Mastodon._statuses
    monkeypatch.setattr(
        Mastodon,
        "_statuses",
        lambda self, request: knowing(self, request.clone(rel_url=request.rel_url.with_query({}))),
    )
    assert [post.id for post in (await reading(far, tmp_path).read("ada", replies=False, reposts=False)).posts] == ["6"]


async def test_content_warnings_polls_and_custom_emoji_are_kept(far, tmp_path):
    poll = {
        "id": "1",
        "options": [{"title": "Yes :ok:"}, {"title": "No"}],
        "emojis": [{"shortcode": "ok", "url": "https://e/ok.png"}],
    }
    far.write(
        a_status(
            1, "<p>Which?</p>", spoiler_text=" Spiders ", poll=poll, emojis=[{"shortcode": "cat", "url": "/cat.png"}]
        )
    )
    [post] = (await reading(far, tmp_path).read("ada")).posts
    assert (post.warning, post.text) == ("Spiders", "Which?\n\n○ Yes :ok:\n○ No")
    assert post.emoji == (CustomEmoji("cat", f"{far.url}/cat.png"), CustomEmoji("ok", "https://e/ok.png"))


async def test_each_kind_of_media_is_a_picture_or_a_still(far, tmp_path):
    media = [
        {"type": "image", "url": "https://f/1.png", "preview_url": "https://f/1s.png", "description": "One", "meta": {"focus": {"x": 1, "y": 5}}},
        {"type": "gifv", "url": "https://f/2.mp4", "preview_url": "https://f/2.png", "description": None},
        {"type": "video", "url": "https://f/3.mp4", "preview_url": None, "description": "Three"},
        {"type": "unknown", "url": None, "preview_url": None, "remote_url": "https://g/4.bin", "description": "Four"},
        {"type": "audio", "url": "https://f/5.mp3", "preview_url": "https://f/5.png", "description": ""},
        {"type": "image", "url": None, "preview_url": "/6s.png"},
    ]  # fmt: skip
    far.write(a_status(1, media_attachments=media))
    [post] = (await reading(far, tmp_path).read("ada")).posts
    assert post.pictures == (
        Picture(url="https://f/1.png", alt="One"),
        Picture(url="https://f/2.png", video=True),
        Picture(url=None, alt="Three", video=True),
        Picture(url=None, alt="Four"),
        Picture(url="https://f/5.png", video=True),
        Picture(url=f"{far.url}/6s.png"),
    )


async def test_pictures_that_the_author_marked_as_sensitive_are_not_shown(far, tmp_path):
    media = [{"type": "image", "url": "https://f/1.png", "description": "A wound"}]
    far.write(
        a_status(2, sensitive=True, media_attachments=media),
        a_status(1, sensitive=True, spoiler_text="Blood", media_attachments=media),
    )
    bare, warned = (await reading(far, tmp_path).read("ada")).posts
    assert bare.pictures == (Picture(url=None, alt="A wound", why_missing="Its author marked it as sensitive."),)
    assert (bare.text, warned.warning, warned.pictures[0].url) == ("Hello", "Blood", "https://f/1.png")


async def test_a_quoted_post_is_shown_where_its_author_agreed(far, tmp_path):
    line = '<p class="quote-inline">RE: <a href="https://x">x</a></p><p>So true</p>'
    inner = {**a_status(3, "<p>Inner</p>"), "account": an_account("bob", "2002")}
    deeper = {**inner, "quote": {"state": "accepted", "quoted_status": inner}}
    far.write(
        a_status(9, line, quote={"state": "accepted", "quoted_status": deeper}),
        a_status(8, line, quote={"state": "revoked", "quoted_status": inner}),
        a_status(7, line, quote=inner),
        a_status(6, line, quote={"state": "accepted", "quoted_status_id": "3"}),
        a_status(5, line, quote={"state": "accepted", "quoted_status": {**inner, "visibility": "private"}}),
    )
    posts = (await reading(far, tmp_path).read("ada")).posts
    assert [post.text.startswith("RE:") for post in posts] == [False, True, False, True, True]
    assert [post.quoted and post.quoted.text for post in posts] == ["Inner", None, "Inner", None, None]
    assert posts[0].quoted.quoted is None


async def test_posts_that_a_token_shows_to_followers_only_never_become_public(far, tmp_path):
    far.closed = True
    secret = {**a_status(3), "account": an_account("bob", "2002"), "visibility": "private"}
    far.write(
        a_status(4, visibility="direct"),
        a_status(3, visibility="private"),
        a_status(2, reblog=secret),
        a_status(1, visibility="unlisted"),
    )
    pages = await reading(far, tmp_path, token=SecretStr(TOKEN)).read("ada")
    assert [post.id for post in pages.posts] == ["1"]
    assert pages.facts["notes"] == [f"Posts of @ada@{DOMAIN} that are not for everybody are left out."]


async def test_a_rate_limit_is_waited_for_by_the_servers_own_clock(far, tmp_path):
    far.write(a_status(1))
    headers = {"X-RateLimit-Reset": "2026-11-20T14:05:00.123456Z", "Date": "Fri, 20 Nov 2026 14:01:00 GMT"}
    far.misstep("GET", "statuses", "status", status=429, body={"error": "Too many requests"}, headers=headers)
    with pytest.raises(RetryLater) as raised:
        await reading(far, tmp_path).read("ada")
    assert (round(raised.value.after), raised.value.counts, raised.value.code) == (240, False, FaultCode.RATE_LIMITED)
    assert raised.value.sentence == (
        f"{far.url.removeprefix('http://')} answers no more questions for now (429: Too many requests); vidd will go on with"
        f" @ada@{DOMAIN} at 12:04 UTC."
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "77"}, 77), ({}, 300), ({"X-RateLimit-Reset": "soon", "Retry-After": "5"}, 5), ({"X-RateLimit-Reset": "2001-01-01T00:00:00"}, 1)],
)  # fmt: skip
async def test_a_rate_limit_without_a_usable_time_is_waited_for_too(far, tmp_path, headers, seconds):
    far.misstep("GET", "lookup", "status", status=429, body={}, headers=headers)
    with pytest.raises(RetryLater) as raised:
        await reading(far, tmp_path).read("ada")
    assert raised.value.after == seconds


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (
            401,
            {"error": "This API requires an authenticated user"},
            FaultCode.UNAUTHORIZED,
            "closed to everybody without an account",
        ),
        (403, {"error": "Your login is currently disabled"}, FaultCode.FORBIDDEN, "give the token the scope read"),
        (404, {"error": "Record not found"}, FaultCode.NOT_FOUND, "it has no such user"),
        (410, {"error": "Gone"}, FaultCode.NOT_FOUND, "the user was deleted there"),
        (422, {"error": "Odd"}, FaultCode.REJECTED, r"\(422: Odd\); correct what it names"),
        (301, {}, FaultCode.BAD_SETTINGS, "it sends vidd to https://moved.example/: correct the server's address"),
    ],
)
async def test_what_the_server_refuses_is_a_sentence_that_says_what_to_do(far, tmp_path, status, body, code, words):
    far.misstep("GET", "lookup", "status", status=status, body=body, headers={"Location": "https://moved.example/"})
    with pytest.raises(Refused, match=words) as raised:
        await reading(far, tmp_path).read("ada")
    assert raised.value.code is code


async def test_a_wrong_token_is_not_called_a_closed_server_and_is_in_no_sentence(far, tmp_path):
    with pytest.raises(Refused, match="does not accept the token") as raised:
        await reading(far, tmp_path, token=SecretStr("wrong-token")).read("ada")
    assert "wrong-token" not in raised.value.sentence


async def test_a_suspended_account_is_refused_and_a_hidden_one_noted(far, tmp_path):
    far.write(a_status(1))
    far.people["ada"]["limited"] = True
    pages = await reading(far, tmp_path).read("ada")
    assert "hide the profile of @ada@example.social" in pages.facts["notes"][0]
    far.people["ada"]["suspended"] = True
    with pytest.raises(Refused, match=r"has suspended @ada@example\.social") as raised:
        await reading(far, tmp_path).read("ada")
    assert raised.value.code is FaultCode.FORBIDDEN


async def test_an_account_that_moved_says_where_to(far, tmp_path):
    far.people["ada"]["moved"] = an_account("ada@new.example", "3003")
    with pytest.raises(Refused, match=r"has moved to @ada@new.example and left no posts"):
        await reading(far, tmp_path).read("ada")
    far.write(a_status(1))
    pages = await reading(far, tmp_path).read("ada")
    assert pages.facts["notes"] == ["@ada@example.social has moved to @ada@new.example: newer posts are there."]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"id": 5}', b"[" * 100_000])
async def test_a_server_that_is_no_mastodon_is_refused(far, tmp_path, body, monkeypatch):
    from aiohttp import web

    async def answer(self, request):
        return web.Response(body=body)

    monkeypatch.setattr(Mastodon, "_answer", lambda self, request, handler: answer(self, request))
    with pytest.raises(Refused, match="does not answer as Mastodon does"):
        await reading(far, tmp_path).read("ada")


async def test_statuses_with_nothing_usable_in_them_are_cards_all_the_same(far, tmp_path):
    far.statuses["1001"] = [
        {"id": "3"},
        {"id": "2", "account": None, "content": 5, "media_attachments": {}, "emojis": [None, {}], "created_at": "yesterday", "reblog": [], "poll": [], "mentions": "x"},
        {"id": "1", "content": "a\ud800b", "account": {"acct": "ada", "avatar": "http://[x"}, "url": "http://[x"},
    ]  # fmt: skip
    posts = (await reading(far, tmp_path).read("ada")).posts
    assert [post.text for post in posts] == ["", "", "a\ufffdb"]
    assert PostPages.from_json(PostPages(posts=posts).to_json()).posts == posts


async def test_a_user_of_another_server_is_asked_for_there_without_the_token(far, tmp_path):
    other = Mastodon()
    other.people["eve"] = an_account("eve", "1001")
    with other.serving(None):
        other.write(a_status(5), user="eve")
        run = reading(far, tmp_path, token=SecretStr(TOKEN), servers={"Other.example": other.url})
        [post] = (await run.read("@Eve@other.EXAMPLE")).posts
    assert post.author.handle == "@eve@other.example"
    assert far.calls == []
    assert all("Authorization" not in call.headers for call in other.calls)
    with pytest.raises(
        Refused, match=r"may not ask the server 'third.example'.*example.social, other.example"
    ) as raised:
        await run.read("@eve@third.example")
    assert raised.value.code is FaultCode.FORBIDDEN


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("ada", "ada"),
        ("@Ada", "ada"),
        (" ada@example.social ", "ada"),
        ("@ada@EXAMPLE.social", "ada"),
        ("https://Example.social/@Ada/", "ada"),
        ("a.b-c_d", "a.b-c_d"),
    ],
)
def test_a_user_is_the_same_however_it_is_written(text, user):
    assert timeline.own_user(text, Account(url=f"https://{DOMAIN}")) == user


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "a b",
        "../../etc",
        "ada/../eve",
        "ada?x=1",
        "a\0",
        "ada@",
        "@@ada",
        "é",
        "x" * 101,
        "ada@a@b",
        "-",
        "ada\n",
    ],
)
def test_a_name_that_nobody_can_have_is_refused(text):
    with pytest.raises(Refused):
        timeline.own_user(text if text != "ada\n" else "ada\nx", Account(url=f"https://{DOMAIN}"))


def test_a_server_whose_address_is_not_what_its_handles_end_in_is_known_by_both():
    own = Account(url="https://social.example.org", domain="Example.org")
    for text in ("ada", "@ada@example.org", "@ada@social.example.org", "https://social.example.org/@ada"):
        assert timeline.own_user(text, own) == "ada"
        assert own.place(text).domain == "example.org"


def test_an_account_that_is_not_there_is_named():
    with pytest.raises(Refused, match="no account of kind mastodon"):
        timeline.own_user("ada", None)


@pytest.mark.parametrize(
    "values",
    [
        {"url": "example.social"},
        {"url": "https://a@b"},
        {"url": "https://a/b/c"},
        {"servers": {"b": "b"}},
        {"token": ""},
        {"token": "ä"},
    ],
)
def test_an_account_of_no_use_is_refused(values):
    with pytest.raises(ValidationError):
        Account(**{"url": f"https://{DOMAIN}", **values})
