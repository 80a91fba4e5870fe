import json

import pytest
from builders.timelines import Reading
from peers.feeds import feeds, item, rss
from pydantic import ValidationError

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.feed import timeline
from vidd.integrations.feed.account import Account
from vidd.integrations.feed.document import Document, KeptDocuments
from vidd.transfer import public_fetch

pytestmark = pytest.mark.slow

THREE = rss(item(1, "<p>One</p>"), item(3, "<p>Three</p>"), item(2, "<p>Two</p>"))


def account(served, **changes):
    return Account(**{"url": f"{served.url}/{{user}}", "private_addresses": True, "timeout": 5, **changes})


async def test_the_newest_posts_of_a_users_feed_are_read_and_saved_once(tmp_path):
    async with feeds(ada=THREE) as served:
        run = Reading(timeline, account(served), tmp_path)
        pages = await run.read("@ada", 2)
    assert ([post.text for post in pages.posts], pages.complete) == (["Three", "Two"], True)
    assert run.saved == [pages]
    assert "application/rss+xml" in served.seen[0]["Accept"]


async def test_a_feed_in_a_file_needs_no_network_and_is_below_the_state_directory(tmp_path):
    (tmp_path / "loops.xml").write_bytes(THREE)
    pages = await Reading(timeline, Account(path="loops.xml"), tmp_path).read("ada")
    assert [post.text for post in pages.posts] == ["Three", "Two", "One"]
    with pytest.raises(Refused, match=r"There is no feed gone\.xml: put it there") as raised:
        await Reading(timeline, Account(path="gone.xml"), tmp_path).read("ada")
    assert raised.value.code is FaultCode.NOT_FOUND
    (tmp_path / "loops.xml").write_bytes(THREE + b" " * 2**20)
    with pytest.raises(Refused, match=r"has more than 1 MiB: raise `largest`"):
        await Reading(timeline, Account(path="loops.xml", largest=2**20), tmp_path).read("ada")


@pytest.mark.parametrize(
    ("etag", "modified"),
    [('"one"', None), (None, "Fri, 20 Nov 2026 10:00:00 GMT"), ('W/"x"', "Fri, 20 Nov 2026 10:00:00 GMT")],
)
async def test_a_feed_that_has_not_changed_is_not_sent_again(tmp_path, etag, modified):
    async with feeds(ada=THREE) as served:
        served.etag, served.modified = etag, modified
        run = Reading(timeline, account(served), tmp_path)
        first, again = await run.read("ada"), await run.read("ada")
        assert (served.sent, again.posts) == (1, first.posts)
        served.documents["/ada"] = rss(item(9, "<p>New</p>"))
        served.etag = '"two"'
        assert [post.text for post in (await run.read("ada")).posts] == ["New"]
        assert served.sent == 2


async def test_a_feed_without_a_validator_is_always_read_anew(tmp_path):
    async with feeds(ada=THREE) as served:
        run = Reading(timeline, account(served), tmp_path)
        await run.read("ada")
        await run.read("ada")
    assert served.sent == 2
    assert all("If-None-Match" not in headers for headers in served.seen)


def test_only_as_many_documents_are_kept_as_there_is_room_for():
    kept = KeptDocuments()
    for number in range(5):
        kept.keep(f"{number}", {"ETag": "x"}, Document("n", "u", bytes(30 * 2**20)))
    assert [kept.find(str(number)) is not None for number in range(5)] == [False, False, False, True, True]
    kept.keep("4", {}, Document("n", "u", b""))
    assert kept.find("4") is None


@pytest.mark.parametrize(
    ("status", "headers", "fate", "words"),
    [
        (404, {}, Refused, r"The feed http://127\.0\.0\.1:\d+/ada cannot be read: 127\.0\.0\.1 answered 404\. Correct the address\."),
        (410, {}, Refused, "answered 410"),
        (503, {"Retry-After": "90"}, RetryLater, "answered 503. vidd will retry"),
        (304, {}, Refused, "says that it has not changed"),
    ],
)  # fmt: skip
async def test_a_feed_that_cannot_be_read_is_a_sentence_with_its_address(tmp_path, status, headers, fate, words):
    async with feeds(ada=THREE) as served:
        served.status, served.headers = status, headers
        with pytest.raises(fate, match=words) as raised:
            await Reading(timeline, account(served), tmp_path).read("ada")
    if fate is RetryLater:
        assert raised.value.after == 90


async def test_a_rate_limit_is_waited_for(tmp_path):
    async with feeds(ada=THREE) as served:
        served.status, served.headers = 429, {"Retry-After": "120"}
        with pytest.raises(RetryLater) as raised:
            await Reading(timeline, account(served), tmp_path).read("ada")
    assert (raised.value.after, raised.value.counts, raised.value.code) == (120, False, FaultCode.RATE_LIMITED)


async def test_a_feed_that_is_too_large_is_refused_before_all_of_it_is_read(tmp_path):
    async with feeds(ada=THREE * 100) as served:
        with pytest.raises(Refused, match="cannot be read: It has more than"):
            await Reading(timeline, account(served, largest=10_000), tmp_path).read("ada")


async def test_a_user_who_may_give_any_address_does_not_reach_the_house(tmp_path):
    async with feeds(ada=THREE) as served:
        for address in (
            f"{served.url}/ada",
            served.url.replace("127.0.0.1", "localhost") + "/ada",
            "http://169.254.169.254/latest",
        ):
            with pytest.raises(Refused, match="fetches from public addresses only") as raised:
                await Reading(timeline, Account(), tmp_path).read(address)
            assert raised.value.code is FaultCode.FORBIDDEN
    assert served.seen == []


async def test_a_feed_that_no_parser_gets_through_is_refused_and_leaves_no_child(tmp_path, monkeypatch):
    (tmp_path / "loops.xml").write_bytes(THREE)
    monkeypatch.setattr(timeline, "_WORKER", "no.such.module")
    with pytest.raises(Refused, match=r"The parser fails at the feed .* \(exit code 1"):
        await Reading(timeline, Account(path="loops.xml"), tmp_path).read("ada")
    monkeypatch.undo()
    monkeypatch.setattr(timeline, "_SECONDS", 0.1)
    with pytest.raises(RetryLater, match=r"took longer than 0\.1 s"):
        await Reading(timeline, Account(path="loops.xml"), tmp_path).read("ada")


@pytest.mark.parametrize(
    ("values", "text", "user", "address"),
    [
        ({"url": "https://a.b/@{user}.rss"}, " @ada ", "ada", "https://a.b/@ada.rss"),
        ({"url": "https://a.b/?of={user}"}, "ada@c.d", "ada@c.d", "https://a.b/?of=ada%40c.d"),
        ({"url": "https://{user}.a.b/rss"}, "ada", "ada", "https://ada.a.b/rss"),
        ({"url": "https://a.b/feed"}, "ada", "ada", "https://a.b/feed"),
        ({}, "https://a.b/feed?x=1#top", "https://a.b/feed?x=1", "https://a.b/feed?x=1"),
    ],
)  # fmt: skip
def test_a_user_is_a_name_in_the_accounts_address_or_an_address(values, text, user, address):
    own = Account(**values)
    assert timeline.own_user(text, own) == user
    assert timeline.own_user(user, own) == user
    assert own.address(user) == address


@pytest.mark.parametrize(
    "text", ["", "@", "..", "../../etc", "a/b", "a b", "a\0", "a?b", "a#b", "é", ".a", "x" * 101, "a\r\nb", "%2e%2e"]
)
def test_a_name_that_would_lead_elsewhere_is_refused(text):
    for values in ({"url": "https://a.b/@{user}.rss"}, {"path": "x.xml"}):
        with pytest.raises(Refused, match="is no user of a feed"):
            timeline.own_user(text, Account(**values))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "ftp://a.b",
        "file:///etc/passwd",
        "https://",
        "https://u:p@a.b/",
        "http://a.b:99999/",
        "https://a.b/\x00",
        "https://[a",
        "http:a",
        "https://a.b/" + "x" * 2000,
    ],
)
def test_what_is_no_address_of_a_feed_is_refused(text):
    with pytest.raises(Refused, match="is no address of a feed"):
        timeline.own_user(text, Account())


def test_an_account_that_is_not_there_is_named():
    with pytest.raises(Refused, match="no account of kind feed"):
        timeline.own_user("ada", None)


@pytest.mark.parametrize(
    "values",
    [
        {"url": "ftp://a"},
        {"url": "https://u@a.b/"},
        {"url": "https://a.b/", "path": "x"},
        {"largest": 1},
        {"url": "https://a b/"},
    ],
)
def test_an_account_of_no_use_is_refused(values):
    with pytest.raises(ValidationError):
        Account(**values)


def test_the_addresses_that_a_proxy_is_named_for_are_the_accounts():
    assert Account(url="https://{user}.a.b/rss").targets == ("https://user.a.b/rss",)
    assert Account().targets == ()
    assert json.loads(Account().model_dump_json())["largest"] == public_fetch.LARGEST
