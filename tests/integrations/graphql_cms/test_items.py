import pytest
from aiohttp import web
from builders.cms import QUERY_PAGES, CmsSourceContext, the_options, the_tools, watching
from peers.cms import a_cms, a_video
from pydantic import ValidationError

from vidd.errors import RetryLater
from vidd.integrations.graphql_cms import source

PAGES = {"size": 4, "size_variable": "take", "offset_variable": "skip"}


@pytest.fixture
async def cms():
    async with a_cms() as cms:
        for number in range(10):
            cms.shelf.put(a_video(number))
        yield cms


@pytest.fixture
def context(cms, tmp_path):
    return CmsSourceContext(the_tools(tmp_path, cms.url))


def by_pages(**changes):
    return the_options(subscription="", query=QUERY_PAGES, paging={**PAGES, **changes})


async def test_a_long_list_is_read_to_its_end(cms, context):
    async with watching(by_pages(), context):
        await context.until(lambda: context.looks)
    assert context.names == [f"cm{number:06}" for number in range(10)]
    assert {query["take"] for query in cms.shelf.asked} == {4}


async def test_a_cms_that_gives_fewer_than_it_is_asked_for_is_read_to_its_end(cms, context):
    cms.most = 3
    async with watching(by_pages(size=500), context):
        await context.until(lambda: context.looks)
    assert len(context.names) == 10


async def test_what_is_deleted_between_two_pages_hides_nothing(cms, context):
    admit = context.admit

    async def admit_and_delete(arrivals):
        context.admit = admit
        del cms.shelf.videos["cm000000"], cms.shelf.videos["cm000001"]
        return await admit(arrivals)

    context.admit = admit_and_delete
    async with watching(by_pages(), context):
        await context.until(lambda: context.looks)
    assert sorted(context.names) == [f"cm{number:06}" for number in range(10)]


async def test_a_cms_that_does_not_follow_the_pages_is_said(cms, tmp_path):
    videos = [a_video(number) for number in range(4)]
    cms.answers += [web.json_response({"data": {"videoObjects": videos}}) for _ in range(6)]
    with pytest.raises(RetryLater, match="changed between pages"):
        await source.audit(by_pages(), the_tools(tmp_path, cms.url), "uploads")
    assert cms.answers == []


def a_page(numbers, cursor):
    edges = [{"node": a_video(number)} for number in numbers]
    return web.json_response({"data": {"videos": {"edges": edges, "pageInfo": {"endCursor": cursor}}}})


QUERY_CURSOR = """query ($first: Int!, $after: String) { videos: videoObjects(take: $first, since: $after) {
  edges { node { id pCloudFileId uploadedAt } } pageInfo { endCursor } } }"""
CURSOR = {"size": 2, "size_variable": "first", "cursor_variable": "after", "cursor": "videos.pageInfo.endCursor"}


def by_cursor():
    return the_options(subscription="", query=QUERY_CURSOR, objects="videos.edges.node", paging=CURSOR)


async def test_a_list_with_cursors_is_followed_to_its_end(cms, context):
    cms.answers += [a_page([1, 2], "b"), a_page([3], "c"), a_page([], None)]
    async with watching(by_cursor(), context):
        await context.until(lambda: context.looks)
    assert context.names == ["cm000001", "cm000002", "cm000003"]


async def test_cursors_that_go_in_a_circle_are_said(cms, context):
    cms.answers += [a_page([1], "b"), a_page([2], "c"), a_page([1], "b")]
    async with watching(by_cursor(), context):
        await context.until(lambda: context.downs)
    assert "the same pages again and again" in context.downs[0]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"query": "query {"}, "query: the document is no GraphQL"),
        ({"query": "{ a } "}, "query: the document does not select 'videoObjects'"),
        ({"query": "query { videoObjects { id uploadedAt } }"}, "query: the document does not select 'pCloudFileId'"),
        (
            {"subscription": "query { videoObjectCreated { id } }"},
            "subscription: the document must be one subscription",
        ),
        ({"subscription": "subscription { videoObjectCreated { id } }"}, "subscription: the document does not select"),
        ({"fields": {"folder_id": "folder"}}, "query: the document does not select 'folder'"),
        ({"since_variable": "since"}, "query: the document has no variable \\$since"),
        ({"query": "query ($n: Int!) { videoObjects(n: $n) { id pCloudFileId uploadedAt } }"}, "its variable \\$n"),
        ({"paging": {"size_variable": "take"}}, "either offset_variable or cursor_variable"),
        ({"paging": {"size_variable": "take", "cursor_variable": "after"}}, "go together"),
        ({"recording": "{{ "}, "the template cannot be read"),
        ({"begin": "2026-01-01T00:00:00"}, "timezone"),
    ],
)
def test_documents_that_do_not_fit_the_settings_are_refused_before_anybody_is_asked(given, fault):
    with pytest.raises(ValidationError, match=fault):
        the_options(**given)


def test_aliases_and_constants_fit():
    the_options(
        query="query ($n: Int!, $m: Int = 1) { videoObjects: clips(n: $n, m: $m) { id pCloudFileId: file { id } uploadedAt } }",
        variables={"n": 3},
        fields={"file_id": "pCloudFileId.id"},
    )
