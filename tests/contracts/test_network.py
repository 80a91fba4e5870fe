"""What every network of posts promises (`vidd.ports.posts`)."""

import json

import pytest
from builders.aws import a_job, a_step_context, the_tools
from builders.timelines import Reading
from contracts.network_cases import CASES, TEXTS

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.timeline.networks import NETWORKS
from vidd.integrations.timeline.step import Options, run
from vidd.model.post import Post, PostPages
from vidd.pipelines.registry import ACCOUNTS

pytestmark = pytest.mark.peer


@pytest.fixture(params=CASES)
def network(request):
    return NETWORKS[request.param].load()


@pytest.fixture
def case(request, network, tmp_path):
    name = network.__name__.split(".")[-2]
    with CASES[name](tmp_path) as case:
        yield case


def test_every_network_is_promised_and_has_an_account_of_its_name():
    assert CASES.keys() == NETWORKS.keys()
    assert NETWORKS.keys() <= ACCOUNTS.keys()


async def test_the_newest_posts_are_read_newest_first_and_each_page_is_saved(network, case, tmp_path):
    run = Reading(network, case.account, tmp_path)
    pages = await run.read(case.user, 50)
    assert [post.text for post in pages.posts] == TEXTS[:50]
    assert run.saved[-1] == pages
    for saved in run.saved:
        assert saved.posts == pages.posts[: len(saved.posts)]


async def test_all_there_is_comes_where_more_is_wanted_and_the_reading_is_complete(network, case, tmp_path):
    pages = await Reading(network, case.account, tmp_path).read(case.user, 500)
    assert ([post.text for post in pages.posts], pages.complete) == (TEXTS, True)


async def test_a_reading_that_was_ended_after_a_page_goes_on_and_asks_for_no_page_twice(network, case, tmp_path):
    class Ended(Reading):
        async def _save(self, pages):
            await super()._save(pages)
            if pages.posts:
                raise InterruptedError

    whole = await Reading(network, case.account, tmp_path).read(case.user, 55)
    asked = case.requests()
    run, pages = Ended(network, case.account, tmp_path), PostPages()
    for _ in range(10):
        if pages.complete or len(pages.posts) >= 55:
            break
        with pytest.raises(InterruptedError):
            await run.read(case.user, 55, pages=pages)
        pages = run.saved[-1]
    assert pages.posts == whole.posts
    assert case.requests() == 2 * asked


async def test_a_server_that_is_not_there_is_asked_again_later(network, case, tmp_path):
    run = Reading(network, case.nowhere, tmp_path)
    with pytest.raises(RetryLater) as raised:
        await run.read(case.user)
    assert raised.value.code is FaultCode.UNREACHABLE
    assert run.saved == [] or run.saved[-1].posts == ()


async def test_an_account_that_there_is_not_is_refused(network, case, tmp_path):
    run = Reading(network, case.account, tmp_path)
    run.tools.accounts.clear()
    with pytest.raises(Refused) as raised:
        await run.read(case.user)
    assert raised.value.code is FaultCode.BAD_SETTINGS


async def test_the_step_makes_a_tree_of_the_posts(network, case, tmp_path):
    name = network.__name__.split(".")[-2]
    facts = {"user": f"@{case.user}", "network": name, "account": "friends", "count": 3}
    directory = tmp_path / "job"
    directory.mkdir()
    context = a_step_context(directory, a_job("timeline:1", facts=facts), the_tools(tmp_path, friends=case.account))
    outcome = await run(Options(private_addresses=True), context)
    document = json.loads((directory / "posts/posts.json").read_text())
    assert [Post.from_json(post).text for post in document["posts"]] == TEXTS[:3]
    assert outcome.facts == {"posts": 3, "user": case.user, "network": name, "notes": []}


def test_a_user_has_one_name_however_it_is_written(network, case):
    own = network.own_user(f" {case.user}\n", case.account)
    assert network.own_user(own, case.account) == own
    assert network.own_user(f"@{own}", case.account) == own


@pytest.mark.parametrize(
    "text",
    ["", " ", "@", "../../etc", "a/../b", "a\0b", "a\r\nSubject: b", "%00", "a b", "é" * 3, "x" * 5000, "\u202eada"],
)
def test_a_name_that_no_user_can_have_is_refused_with_a_sentence(network, case, text):
    with pytest.raises(Refused) as raised:
        network.own_user(text, case.account)
    assert raised.value.code is FaultCode.BAD_INPUT
    assert len(raised.value.sentence) < 400
    assert raised.value.sentence.isprintable()
