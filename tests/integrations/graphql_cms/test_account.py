import asyncio

import pytest
from builders.cms import CmsSourceContext, the_options, the_tools, watching
from peers.cms import a_cms, a_video
from pydantic import ValidationError

from vidd.errors import Refused
from vidd.integrations.graphql_cms import source
from vidd.integrations.graphql_cms.account import Account

LOGIN = {"email": "vidd@example.org", "password": "correct horse"}


@pytest.fixture
async def cms():
    async with a_cms() as cms:
        cms.token = "s3cret-token"
        cms.login = ("vidd@example.org", "correct horse")
        cms.shelf.put(a_video(1))
        yield cms


async def hears_and_asks(cms, context, options=None):
    """Whether both ways in are open."""
    async with watching(options or the_options(), context):
        await context.until(lambda: context.looks and context.is_up)
        await cms.heard.wait()
        cms.shelf.put(a_video(2))
        await context.until(lambda: len(context.arrivals) == 2)


async def test_a_token_goes_with_every_request(cms, tmp_path):
    context = CmsSourceContext(the_tools(tmp_path, cms.url, token="s3cret-token"))
    await hears_and_asks(cms, context)
    assert cms.greetings == [{}]


async def test_a_token_can_go_into_the_greeting_too(cms, tmp_path):
    context = CmsSourceContext(the_tools(tmp_path, cms.url, token="s3cret-token", init_token="access_token"))
    await hears_and_asks(cms, context)
    assert cms.greetings == [{"access_token": "s3cret-token"}]
    context = CmsSourceContext(the_tools(tmp_path, cms.url, token="s3cret-token", init_token="Authorization"))
    await hears_and_asks(cms, context)
    assert cms.greetings[-1] == {"Authorization": "Bearer s3cret-token"}


@pytest.mark.slow
async def test_a_token_that_is_refused_is_said_tried_again_after_long_waits_and_taken_once_it_is_right(cms, tmp_path):
    cms.token = "another-token"
    context = CmsSourceContext(the_tools(tmp_path, cms.url, token="s3cret-token"))
    async with watching(the_options(refused_wait="15m"), context):
        await context.until(lambda: context.downs and context.pauses)
        assert not context.is_up
        assert 22 < context.pauses[0] < 38
        for _ in range(6):
            context.wake()
            before = len(context.pauses)
            await context.until(lambda before=before: len(context.pauses) > before)
        # In between it is asked for what is there, every catch_up at the latest.
        assert max(context.pauses) == 300.0
        cms.token = "s3cret-token"
        while not cms.heard.is_set():
            context.wake()
            await asyncio.sleep(0)
        await context.until(lambda: context.is_up and context.arrivals)
    assert "4403" in context.downs[0]
    assert not any("s3cret" in sentence for sentence in context.downs)


async def test_somebody_with_a_password_logs_in_and_is_known_by_the_cookie(cms, tmp_path):
    context = CmsSourceContext(the_tools(tmp_path, cms.url, **LOGIN))
    await hears_and_asks(cms, context)
    assert cms.logins == ["vidd@example.org"]


async def test_a_cms_that_sets_no_cookie_is_given_its_session_as_a_token(cms, tmp_path):
    cms.sets_cookie = False
    context = CmsSourceContext(the_tools(tmp_path, cms.url, **LOGIN))
    await hears_and_asks(cms, context)


async def test_a_wrong_password_is_said_without_telling_it(cms, tmp_path):
    context = CmsSourceContext(the_tools(tmp_path, cms.url, email="vidd@example.org", password="tr0ub4dor"))
    async with watching(the_options(), context):
        await context.until(lambda: context.downs and context.pauses)
    assert "refuses logging in as vidd@example.org (Authentication failed.)" in context.downs[0]
    assert "tr0ub4dor" not in str(context.downs)
    with pytest.raises(Refused, match="Authentication failed"):
        await source.check(the_options(), context.tools)


async def test_a_session_that_has_lasted_is_begun_anew_before_it_shows_an_empty_list(cms, tmp_path):
    context = CmsSourceContext(the_tools(tmp_path, cms.url, **LOGIN, login_lasts="30m"))
    async with watching(the_options(), context):
        await context.until(lambda: context.looks)
        cms.token = "the next session"
        cms.shelf.put(a_video(2), tell=False)
        context.tools.clock.forward(1800)
        await context.look()
    assert context.names == ["cm000001", "cm000002"]
    assert len(cms.logins) == 2


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"url": "ftp://cms.example.org"}, "url"),
        ({"url": "https://me:secret@cms.example.org"}, "url"),
        ({"ws_url": "https://cms.example.org"}, "ws_url"),
        ({"email": "a@example.org"}, "go together"),
        ({"email": "a@example.org", "password": "p", "token": "t"}, "not both"),
        ({"token": "two\nlines"}, "one line of ASCII"),
        ({"login": "mutation {"}, "no GraphQL"),
        ({"login": "query { a }"}, "must be one mutation"),
        ({"login": "mutation { a }"}, "no variable"),
    ],
)
def test_an_account_that_cannot_be_used_is_refused(given, fault):
    with pytest.raises(ValidationError, match=fault):
        Account(**{"url": "https://cms.example.org/graphql", **given})


def test_subscriptions_are_at_the_same_address_unless_another_is_given():
    assert Account(url="https://cms.example.org/graphql").socket_url == "wss://cms.example.org/graphql"
    assert Account(url="http://cms/graphql", ws_url="wss://live/graphql").socket_url == "wss://live/graphql"
