"""The posts of a person at X, by the API's both namings, and what X says when it does not give them."""

import itertools
import json

import pytest
from builders.aws import NOW, the_tools
from builders.posts import an_account, tweet
from peers.x import TOKEN, X, problem, usage_capped
from pydantic import ValidationError

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.x.account import Account
from vidd.integrations.x.timeline import own_user, read_posts
from vidd.model.post import PostPages, PostQuery

BOTH = pytest.mark.parametrize("fields", ["tweet", "post"])
RATE = {"x-rate-limit-limit": "900", "x-rate-limit-remaining": "0"}


@pytest.fixture
def x():
    x = X()
    with x.serving(None):
        yield x


class Reading:
    """Reads a timeline as a job does: `saved` is what it would go on from."""

    def __init__(self, x, state, **account):
        self.x, self.saved = x, PostPages()
        self.tools = the_tools(state, birds=an_account(x, **account))

    async def save(self, pages):
        self.saved = PostPages.from_json(json.loads(json.dumps(pages.to_json())))

    async def read(self, user="ada", count=20, **how):
        query = PostQuery(user=user, count=count, **how)
        pages = await read_posts(query, "birds", self.tools, pages=self.saved, save=self.save)
        return pages.posts


@pytest.fixture
def reading(x, tmp_path):
    return Reading(x, tmp_path)


def spans(post):
    return [(post.text[span.start : span.end], span.kind) for span in post.spans]


# ---- what a post has


@BOTH
async def test_a_post_has_its_author_text_time_and_pictures(x, tmp_path, fields):
    x.media = {
        "3_1": {"media_key": "3_1", "type": "photo", "url": "https://pbs.example/a.jpg", "alt_text": "R&amp;D"},
        "7_2": {"media_key": "7_2", "type": "video", "preview_image_url": "https://pbs.example/b.jpg", "width": 1},
        "16_3": {"media_key": "16_3", "type": "animated_gif", "preview_image_url": "https://pbs.example/c.jpg"},
    }
    raw = "Hi &lt;b&gt; @bob https://t.co/pic"
    urls = [{"start": 18, "end": 34, "url": "https://t.co/pic", "display_url": "pic.x.com/pic", "media_key": "3_1"}]
    mentions = [{"start": 13, "end": 17, "username": "bob", "id": "9"}]
    keys = [*x.media, "3_gone"]
    x.add(
        "ada",
        tweet(5, raw, entities={"urls": urls, "mentions": mentions}, attachments={"media_keys": keys}),
        name="Ada <b>&amp; Co</b> \u0300\u0301",
        profile_image_url="https://pbs.example/profile/ada_normal.jpg",
    )
    [post] = await Reading(x, tmp_path, fields=fields).read()
    assert (post.id, post.text, spans(post)) == ("5", "Hi <b> @bob", [("@bob", "mention")])
    assert (post.author.name, post.author.handle) == ("Ada <b>& Co</b> \u0300\u0301", "@ada")
    assert post.author.avatar.url == "https://pbs.example/profile/ada.jpg"
    assert post.url == "https://x.com/ada/status/5"
    assert post.created.isoformat() == "2026-11-20T12:30:00+00:00"
    assert [(picture.url, picture.alt, picture.video) for picture in post.pictures] == [
        ("https://pbs.example/a.jpg", "R&D", False), ("https://pbs.example/b.jpg", "", True),
        ("https://pbs.example/c.jpg", "", True), (None, "", False),
    ]  # fmt: skip
    assert post.pictures[3].why_missing == "X names no address of it."


@BOTH
async def test_a_long_post_has_its_whole_text_with_the_entities_of_that(x, tmp_path, fields):
    whole = "\u2728 " + "long " * 5000 + "@bob https://t.co/a https://t.co/pic"
    urls = [{"start": whole.index("https://t.co/a"), "end": whole.index("https://t.co/a") + 14, "url": "https://t.co/a",
             "display_url": "example.org"}]  # fmt: skip
    picture = {"start": 240, "end": 256, "url": "https://t.co/pic", "display_url": "pic.x.com/pic", "media_key": "3_1"}
    mentions = [{"start": whole.index("@bob"), "end": whole.index("@bob") + 4, "username": "bob"}]
    note = {"text": whole, "entities": {"urls": urls, "mentions": mentions, "hashtags": None}}
    x.add("ada", tweet(1, whole[:240] + "https://t.co/pic", note_tweet=note, entities={"urls": [picture]}))
    [post] = await Reading(x, tmp_path, fields=fields).read()
    assert post.text == "\u2728 " + "long " * 5000 + "@bob example.org"
    assert spans(post) == [("example.org", "link"), ("@bob", "mention")][::-1]


@BOTH
async def test_a_retweet_is_the_whole_post_of_who_wrote_it(x, tmp_path, fields):
    bob = x.add("bob", profile_image_url="https://pbs.example/bob_normal.jpg")
    x.media = {"3_1": {"media_key": "3_1", "type": "photo", "url": "https://pbs.example/a.jpg"}}
    whole = "All of it &amp; more, " + "word " * 60
    x.referenced["7"] = tweet(
        7, whole[:200], author_id=bob["id"], note_tweet={"text": whole}, attachments={"media_keys": ["3_1"]}
    )
    cut = f"RT @bob: {whole[:130]}\u2026"
    x.add("ada", tweet(8, cut, referenced_tweets=[{"type": "retweeted", "id": "7"}]), name="Ada L.")
    [post] = await Reading(x, tmp_path, fields=fields).read()
    assert post.text == "All of it & more, " + ("word " * 60).strip()
    assert (post.reposted_by, [picture.url for picture in post.pictures]) == ("Ada L.", ["https://pbs.example/a.jpg"])
    # The newer naming brings no author of posts that are passed on, but X names them in the cut text.
    assert post.author.handle == "@bob"
    assert post.url == "https://x.com/bob/status/7"


@BOTH
async def test_a_retweet_whose_original_is_gone_has_what_x_sent(x, tmp_path, fields):
    cut = "RT @bob: All of @ada\u2026"
    mentions = [{"start": 3, "end": 7, "username": "bob"}, {"start": 16, "end": 20, "username": "ada"}]
    references = [{"type": "retweeted", "id": "7"}]
    x.add("ada", tweet(8, cut, referenced_tweets=references, entities={"mentions": mentions}))
    [post] = await Reading(x, tmp_path, fields=fields).read()
    assert (post.author.handle, post.text, post.reposted_by) == ("@bob", "All of @ada\u2026", "Ada")
    assert spans(post) == [("@ada", "mention")]


@BOTH
async def test_a_quote_has_the_quoted_post_in_place_of_its_link(x, tmp_path, fields):
    bob = x.add("bob")
    x.referenced["7"] = tweet(7, "I said so", author_id=bob["id"], referenced_tweets=[{"type": "quoted", "id": "6"}])
    raw = "Right! https://t.co/q"
    urls = [{"start": 7, "end": 21, "url": "https://t.co/q", "expanded_url": "https://twitter.com/bob/status/7"}]
    x.add("ada", tweet(8, raw, referenced_tweets=[{"type": "quoted", "id": "7"}], entities={"urls": urls}))
    [post] = await Reading(x, tmp_path, fields=fields).read()
    assert post.text == "Right!"
    assert (post.quoted.text, post.quoted.author.handle, post.quoted.quoted) == ("I said so", "@bob", None)


async def test_a_quote_whose_original_is_gone_keeps_its_link(x, reading):
    raw = "Right! https://t.co/q"
    urls = [{"start": 7, "end": 21, "url": "https://t.co/q", "display_url": "x.com/bob/status/7", "expanded_url": "https://x.com/bob/status/7"}]  # fmt: skip
    x.add("ada", tweet(8, raw, referenced_tweets=[{"type": "quoted", "id": "7"}], entities={"urls": urls}))
    [post] = await reading.read()
    assert (post.text, post.quoted) == ("Right! x.com/bob/status/7", None)


@BOTH
async def test_an_answer_says_to_whom(x, tmp_path, fields):
    bob = x.add("bob")
    mentions = [{"start": 0, "end": 6, "username": "carol", "id": "77"}]
    x.add(
        "ada",
        tweet(3, "No", in_reply_to_user_id=bob["id"], referenced_tweets=[{"type": "replied_to", "id": "1"}]),
        tweet(2, "@carol no", in_reply_to_user_id="77", entities={"mentions": mentions}),
        tweet(1, "Nobody", in_reply_to_user_id="99"),
    )
    posts = await Reading(x, tmp_path, fields=fields).read()
    assert [post.replies_to for post in posts] == ["@bob", "@carol", None]


@pytest.mark.parametrize(
    "data", [[{"id": "1"}, {"id": "2", "text": None, "entities": 3, "attachments": [], "created_at": "soon"}, {}, 7]]
)
async def test_documents_that_lack_everything_become_posts_all_the_same(x, reading, data):
    x.add("ada")
    x.pages = iter([{"data": data, "includes": [], "meta": None}])
    posts = await reading.read()
    assert [(post.id, post.text, post.created, post.author.handle) for post in posts] == [
        ("1", "", None, "@ada"), ("2", "", None, "@ada"),
    ]  # fmt: skip


# ---- how many are asked for


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, [5]), (4, [5]), (5, [5]), (99, [99]), (100, [100]), (101, [96, 5]), (104, [99, 5]), (105, [100, 5]),
        (200, [100, 100]), (203, [100, 98, 5]),
    ],
)  # fmt: skip
async def test_no_more_posts_are_asked_for_than_are_wanted(x, reading, count, sizes):
    x.add("ada", *(tweet(number) for number in range(300, 0, -1)))
    posts = await reading.read(count=count)
    assert [post.id for post in posts] == [str(number) for number in range(300, 300 - count, -1)]
    assert x.sizes == sizes
    assert len(x.billed) == max(count, 5)


async def test_the_end_of_a_timeline_is_the_end(x, reading):
    x.add("ada", *(tweet(number) for number in range(130, 0, -1)))
    assert len(await reading.read(count=3200)) == 130
    assert reading.saved.complete
    assert x.sizes == [100, 100]


async def test_more_than_x_shows_is_said(x, reading):
    x.add("ada", tweet(1))
    await reading.read(count=4000)
    assert reading.saved.facts["notes"] == ["X shows the newest 3,200 posts only."]


async def test_answers_and_retweets_are_left_out_by_x_where_nobody_wants_them(x, reading):
    x.add(
        "ada",
        tweet(4, referenced_tweets=[{"type": "retweeted", "id": "9"}]),
        tweet(3, referenced_tweets=[{"type": "replied_to", "id": "8"}]),
        tweet(2),
    )
    assert [post.id for post in await reading.read(replies=False, reposts=False)] == ["2"]
    assert x.billed == ["2"]


async def test_a_page_without_posts_is_no_end(x, reading):
    replies = [tweet(number, referenced_tweets=[{"type": "replied_to", "id": "1"}]) for number in range(30, 10, -1)]
    x.add("ada", *replies, tweet(2))
    assert [post.id for post in await reading.read(count=5, replies=False)] == ["2"]


async def test_a_cursor_that_repeats_for_ever_ends(x, reading):
    x.add("ada", *(tweet(number) for number in range(5, 0, -1)))
    x.loops = "again"
    assert len(await reading.read(count=50)) == 5
    assert len(x.sizes) == 2


async def test_cursors_without_an_end_and_without_posts_end(x, reading):
    ada = x.add("ada")
    x.pages = ({"meta": {"result_count": 0, "next_token": f"t{number}"}} for number in itertools.count())
    assert await reading.read(count=50) == ()
    assert reading.saved.complete
    assert 5 < len(x.called("GET", f"/2/users/{ada['id']}/tweets")) < 20


async def test_what_was_read_is_gone_on_from(x, reading):
    x.add("ada", *(tweet(number) for number in range(250, 0, -1)))
    x.misstep("GET", "pagination_token=t200", "status", status=503, times=9)
    with pytest.raises(RetryLater):
        await reading.read(count=250)
    x.missteps.clear()
    assert len(await reading.read(count=250)) == 250
    assert len(x.billed) == len(set(x.billed)) == 250
    assert len(x.called("GET", "/2/users/by/username/ada")) == 1


async def test_a_cursor_that_x_does_not_know_any_more_begins_anew(x, reading):
    x.add("ada", *(tweet(number) for number in range(150, 0, -1)))
    await reading.read(count=100)
    reading.saved = PostPages(posts=reading.saved.posts, cursor="gone", facts=reading.saved.facts)
    with pytest.raises(RetryLater, match="does not know the page any more"):
        await reading.read(count=150)
    assert len(await reading.read(count=150)) == 150


# ---- what X refuses


@pytest.mark.parametrize(
    ("user", "sentence", "code"),
    [
        ("nobody", r"^X has no user @nobody: correct the name", FaultCode.NOT_FOUND),
        ("locked", r"^The posts of @locked are protected: only followers", FaultCode.FORBIDDEN),
        ("hidden", r"^The posts of @hidden are protected: only followers", FaultCode.FORBIDDEN),
        ("banned", r"^X has suspended @banned", FaultCode.FORBIDDEN),
    ],
)
async def test_a_timeline_that_nobody_may_read_has_its_sentence(x, reading, user, sentence, code):
    x.add("locked", tweet(1), protected=True)
    x.add("hidden", tweet(2), hidden=True)
    x.suspended.add("banned")
    with pytest.raises(Refused, match=sentence) as refused:
        await reading.read(user)
    assert refused.value.code is code
    assert x.billed == []


async def test_errors_beside_posts_do_not_hide_the_posts(x, reading):
    ada = x.add("ada", tweet(1))

    gone = problem("resource-not-found", "Not Found Error", "Could not find tweet with referenced_tweets.id: [7].")
    x.pages = iter([{"data": x.timelines[ada["id"]], "errors": [gone], "meta": {"result_count": 1}}])
    assert [post.id for post in await reading.read()] == ["1"]


async def test_a_rate_limit_is_waited_for_by_its_reset_and_uses_up_no_attempt(x, reading):
    x.add("ada", tweet(1))
    x.limit, x.reset = 1, int(NOW.timestamp()) + 600
    with pytest.raises(RetryLater, match="X's rate limit is reached at reading the posts of @ada; vidd will go on at 09:10 UTC") as later:  # fmt: skip
        await reading.read()
    assert (later.value.after, later.value.counts, later.value.code) == (601, False, FaultCode.RATE_LIMITED)
    assert len(x.calls) == 2


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({}, 60), ({**RATE, "x-rate-limit-reset": "soon"}, 60), ({**RATE, "x-rate-limit-reset": "5"}, 60),
        ({**RATE, "x-rate-limit-reset": "99999999999"}, 86400),
        ({"x-rate-limit-remaining": "700", "x-rate-limit-reset": "{30}", "x-app-limit-24hour-remaining": "0",
          "x-app-limit-24hour-reset": "{7200}"}, 7201),
    ],
)  # fmt: skip
async def test_the_wait_of_a_rate_limit_is_never_absurd(x, reading, headers, after):
    headers = {
        name: str(int(NOW.timestamp()) + int(value[1:-1])) if value[0] == "{" else value
        for name, value in headers.items()
    }
    x.misstep("GET", "/2/users/by", "status", status=429, body={"title": "Too Many Requests"}, headers=headers)
    with pytest.raises(RetryLater) as later:
        await reading.read()
    assert later.value.after == after


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, usage_capped()),
        (429, {**usage_capped(), "type": "https://api.x.com/2/problems/usage-capped/", "title": "?"}),
        (429, {"title": "UsageCapExceeded", "type": "about:blank"}),
        (402, {"title": "CreditsDepleted", "detail": "Your enrolled account does not have any credits", "status": 402}),
    ],
)
async def test_a_plan_that_is_used_up_is_refused_at_once(x, reading, status, body):
    headers = {"x-rate-limit-remaining": "299", "x-rate-limit-reset": "1800000000"}
    x.misstep("GET", "/2/", "status", status=status, body=body, headers=headers)
    with pytest.raises(Refused, match=r"^The plan of the account at X is used up .*buy credits") as refused:
        await reading.read()
    assert refused.value.code is FaultCode.QUOTA
    assert len(x.calls) == 1


async def test_a_token_that_x_does_not_accept_is_refused_and_never_shown(x, tmp_path):
    reading = Reading(x, tmp_path, token="Bearer-that-is-secret")
    with pytest.raises(Refused, match=r"^X refused \(401 Unauthorized\).* put the bearer token") as refused:
        await reading.read()
    assert refused.value.code is FaultCode.UNAUTHORIZED
    assert "secret" not in refused.value.sentence


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ({"title": "Client Forbidden", "reason": "client-not-enrolled", "detail": "…"}, "attach the app to a project"),
        (problem("unsupported-authentication", "Unsupported Authentication", "…"), "the app's bearer token"),
        ({"title": "Forbidden", "detail": "Forbidden"}, "see in X's developer console"),
    ],
)
async def test_a_403_says_what_the_app_lacks(x, reading, body, advice):
    x.misstep("GET", "/2/", "status", status=403, body=body)
    with pytest.raises(Refused, match=advice) as refused:
        await reading.read()
    assert refused.value.code is FaultCode.FORBIDDEN


async def test_a_naming_that_x_does_not_know_is_refused_with_what_to_set(x, tmp_path):
    x.add("ada", tweet(1))
    x.namings = {"post"}
    with pytest.raises(Refused, match=r"tweet\.fields.*set `fields` of the account to the other naming"):
        await Reading(x, tmp_path, fields="tweet").read()
    assert len(await Reading(x, tmp_path, fields="post").read()) == 1


@pytest.mark.parametrize("trouble", ["drop", "status", "cut"])
async def test_an_answer_that_is_not_whole_is_asked_for_again(x, reading, trouble):
    x.add("ada", tweet(1))
    if trouble == "cut":
        x.cuts = [30, 30]
    else:
        x.misstep("GET", "/2/", trouble, status=503, times=2)
    assert len(await reading.read()) == 1


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"action": "status", "status": 503}, "X answered 503 at looking up @ada; vidd will retry"),
        ({"action": "status", "status": 301, "headers": {"Location": "http://127.0.0.1:1/"}}, "X sends vidd elsewhere"),
        ({"action": "drop"}, "The connection to X was lost at looking up @ada"),
        ({"action": "status", "status": 404, "body": {}}, "correct `api_url` of the account"),
        ({"action": "status", "status": 200, "body": {}}, "X has no user @ada"),
    ],
)
async def test_what_goes_wrong_for_good_has_its_sentence(x, reading, how, sentence):
    x.misstep("GET", "/2/", times=9, **how)
    with pytest.raises((Refused, RetryLater), match=sentence):
        await reading.read()


async def test_half_an_answer_for_good_is_no_end_of_the_timeline(x, reading):
    x.add("ada", tweet(1))
    x.cuts = [50] * 9
    with pytest.raises(RetryLater, match="X sent no whole JSON at looking up @ada; vidd will retry"):
        await reading.read()


# ---- names and accounts


@pytest.mark.parametrize(
    "text", ["ada_1", "@ada_1", " @ada_1 ", "https://x.com/ada_1", "https://twitter.com/ada_1/", "x.com/@ada_1"]
)
def test_a_user_may_be_written_as_people_do(text):
    assert own_user(text, None) == "ada_1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "a" * 16,
        "../../etc",
        "ada lovelace",
        "ada\nbob",
        "ad\u0430",
        "a%00",
        "https://example.org/ada",
        "x.com/ada/x",
    ],
)
def test_what_can_be_no_user_is_refused(text):
    with pytest.raises(Refused, match="is no user name at X") as refused:
        own_user(text, None)
    assert refused.value.code is FaultCode.BAD_INPUT


def test_the_word_bearer_is_no_part_of_a_token():
    assert Account(token=f"Bearer {TOKEN}").headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("token", ["", "two words", "a\nb", "caf\u00e9"])
def test_a_token_that_is_none_is_refused(token):
    with pytest.raises(ValidationError) as error:
        Account(token=token)
    assert [fault["msg"] for fault in error.value.errors()] == ["Value error, a bearer token is one word of ASCII"]
