import asyncio
from datetime import UTC, datetime

import pytest
import strawberry
from aiohttp import web
from builders.cms import QUERY_SINCE, CmsSourceContext, the_options, the_tools, watching
from peers.cms import GRAPHQL_WS_PROTOCOL, Query, Shelf, Subscription, a_cms, a_video

from vidd.errors import RetryLater
from vidd.integrations.graphql_cms import source
from vidd.ports import ShortMemory


@pytest.fixture
async def cms():
    async with a_cms() as cms:
        yield cms


@pytest.fixture
def context(cms, tmp_path):
    return CmsSourceContext(the_tools(tmp_path, cms.url))


async def heard(cms):
    async with asyncio.timeout(60):
        await cms.heard.wait()


async def test_an_upload_arrives_as_soon_as_the_cms_tells_of_it(cms, context):
    async with watching(the_options(fetch_account="cloud", priority=3), context):
        await context.until(lambda: context.looks)
        await heard(cms)
        cms.shelf.put(a_video(7))
        await context.until(lambda: context.arrivals)
    (arrival,) = context.arrivals
    assert arrival.key == "cms:uploads:cm000007@2026-11-03T08:00:07Z"
    assert (arrival.location, arrival.name) == ("pcloud:5007", "cm000007.mp4")
    assert (arrival.pipeline, arrival.priority) == ("cms", 3)
    facts = dict(arrival.facts)
    assert facts.pop("object") == {name: value for name, value in a_video(7).items() if name != "title"}
    assert facts == {
        "id": "cm000007",
        "file_id": "5007",
        "folder_id": "9007",
        "uploaded_at": "2026-11-03T08:00:07Z",
        "account": "cloud",
        "talk": None,
    }
    assert context.is_up


async def test_an_upload_without_a_folder_has_no_fact_of_that_name(cms, context):
    cms.shelf.put(a_video(1, pCloudAnnotationsFolderId=None))
    async with watching(the_options(), context):
        await context.until(lambda: context.arrivals)
    assert "folder_id" not in context.arrivals[0].facts


async def test_what_was_uploaded_before_anybody_listened_arrives_with_the_oldest_first(cms, context):
    for number in (3, 1, 2):
        cms.shelf.put(a_video(number))
    async with watching(the_options(), context):
        await context.until(lambda: context.looks)
    assert context.names == ["cm000001", "cm000002", "cm000003"]


@pytest.mark.slow
async def test_an_upload_that_falls_between_two_connections_arrives_after_the_next(cms, context):
    async with watching(the_options(), context):
        await heard(cms)
        cms.shelf.put(a_video(1))
        await context.until(lambda: context.arrivals)
        await cms.stop()
        await context.until(lambda: not context.is_up)
        cms.shelf.put(a_video(2))
        await cms.start()
        while not cms.heard.is_set():
            context.wake()
            await asyncio.sleep(0)
        await context.until(lambda: len(context.arrivals) == 2 and context.is_up)
        cms.shelf.put(a_video(3))
        await context.until(lambda: len(context.arrivals) == 3)
    assert context.names == ["cm000001", "cm000002", "cm000003"]
    assert all("CMS" in sentence for sentence in context.downs)


async def test_an_event_that_was_lost_is_made_good_by_the_next_question(cms, context):
    async with watching(the_options(catch_up="5m"), context):
        await context.until(lambda: context.looks)
        cms.shelf.put(a_video(1), tell=False)
        await context.look()
        assert context.names == ["cm000001"]
        await context.look()
        assert context.pauses[:3] == [5.0, 300.0, 300.0]


async def test_events_that_come_twice_or_late_are_one_upload_each(cms, context):
    async with watching(the_options(), context):
        await context.until(lambda: context.looks)
        await heard(cms)
        for number in (2, 1, 2, 1):
            cms.shelf.put(a_video(number))
        cms.shelf.tell(a_video(2, uploadedAt="2026-11-03T09:00:02+01:00"))
        cms.shelf.put(a_video(9))
        await context.until(lambda: "cm000009" in context.names)
        await context.look()
    assert sorted(context.names) == ["cm000001", "cm000002", "cm000009"]
    assert len(context.handed) == 3


async def test_uploads_of_the_same_moment_are_all_taken(cms, context):
    for number in range(5):
        cms.shelf.put(a_video(number, uploadedAt="2026-11-03T08:00:00.000Z"))
    async with watching(the_options(query=QUERY_SINCE, since_variable="since", overlap=0), context):
        await context.until(lambda: context.looks)
        cms.shelf.put(a_video(5, uploadedAt="2026-11-03T08:00:00.000Z"), tell=False)
        await context.look()
    assert context.names == [f"cm{number:06}" for number in range(6)]


async def test_an_object_that_is_uploaded_anew_is_new_work(cms, context):
    cms.shelf.put(a_video(1))
    async with watching(the_options(), context):
        await context.until(lambda: context.looks)
        cms.shelf.put(a_video(1, uploadedAt="2026-11-03T10:00:00.000Z"), tell=False)
        await context.look()
    assert [arrival.facts["uploaded_at"] for arrival in context.arrivals] == [
        "2026-11-03T08:00:01Z",
        "2026-11-03T10:00:00Z",
    ]


async def test_an_upload_without_its_file_waits_for_it_and_shows_even_after_a_restart(cms, tmp_path):
    memory = ShortMemory()
    cms.shelf.put(a_video(1, pCloudFileId=None))
    first = CmsSourceContext(the_tools(tmp_path, cms.url, memory=memory))
    options = the_options(query=QUERY_SINCE, since_variable="since", recheck="1m")
    async with watching(options, first):
        await first.until(lambda: first.looks)
        await heard(cms)
        # A list that is filtered by time has none without a time.
        cms.shelf.put(a_video(2, uploadedAt=None))
        await first.until(lambda: "2 uploads wait" in first.notes[-1])
        await first.look()
    assert first.arrivals == []
    assert "2 uploads wait" in first.notes[-1]
    assert first.pauses[-1] == 60.0
    second = CmsSourceContext(the_tools(tmp_path, cms.url, memory=memory))
    second.tools.clock.forward(7200)
    async with watching(options, second):
        await second.until(lambda: second.looks)
        # It may turn out to be an old one.
        cms.shelf.put(a_video(2, uploadedAt="2026-03-01T08:00:00.000Z"), tell=False)
        await second.look()
        assert second.notes[-1] == "The upload cm000001 waits for its file id, since 2026-05-01 12:00 UTC."
        cms.shelf.put(a_video(1), tell=False)
        await second.look()
    assert second.names == ["cm000002", "cm000001"]
    assert second.notes[-1] is None
    assert await memory.recall("cms:uploads:waiting") == {}


async def test_an_upload_that_waited_and_was_deleted_is_no_longer_waited_for(cms, context):
    cms.shelf.put(a_video(1, pCloudFileId=None))
    cms.shelf.put(a_video(2))
    async with watching(the_options(), context):
        await context.until(lambda: context.looks)
        del cms.shelf.videos["cm000001"]
        await context.look()
    assert context.notes[-1] is None


async def test_an_empty_list_takes_nothing_away_from_what_waits(cms, context):
    cms.shelf.put(a_video(1, pCloudFileId=None))
    async with watching(the_options(), context):
        await context.until(lambda: context.looks)
        cms.shelf.videos.clear()
        await context.look()
    assert "cm000001" in context.notes[-1]


async def test_after_the_first_look_only_what_is_new_or_waits_is_asked_for(cms, context):
    cms.shelf.put(a_video(1, uploadedAt="2026-04-30T08:00:00.000Z"))
    cms.shelf.put(a_video(2, uploadedAt="2026-05-01T10:00:00.000Z"))
    options = the_options(query=QUERY_SINCE, since_variable="since", overlap="1h", whole="6h")
    async with watching(options, context):
        await context.until(lambda: context.looks)
        await context.look()
        cms.shelf.put(a_video(3, uploadedAt="2026-05-01T06:00:00.000Z", pCloudFileId=None))
        await context.until(lambda: context.notes[-1])
        await context.look()
        context.tools.clock.forward(6 * 3600)
        await context.look()
    asked = [query["since"] for query in cms.shelf.asked]
    assert asked == [
        "1970-01-01T00:00:00.000Z",
        "2026-05-01T09:00:00Z",
        "2026-05-01T05:00:00Z",
        "1970-01-01T00:00:00.000Z",
    ]


async def test_a_clock_of_the_cms_that_was_ahead_hides_nothing_once_it_is_right(cms, context):
    cms.shelf.put(a_video(1, uploadedAt="2099-01-01T00:00:00.000Z"))
    options = the_options(query=QUERY_SINCE, since_variable="since", overlap="10m")
    async with watching(options, context):
        await context.until(lambda: context.looks)
        cms.shelf.put(a_video(2, uploadedAt="2026-05-01T12:00:01.000Z"), tell=False)
        await context.look()
    assert context.names == ["cm000001", "cm000002"]


async def test_a_clock_of_the_cms_that_goes_back_loses_nothing(cms, context):
    cms.shelf.put(a_video(1, uploadedAt="2026-05-01T11:00:00.000Z"))
    options = the_options(query=QUERY_SINCE, since_variable="since", overlap="10m", whole="1h")
    async with watching(options, context):
        await context.until(lambda: context.looks)
        await heard(cms)
        cms.shelf.put(a_video(2, uploadedAt="2026-05-01T03:00:00.000Z"))
        await context.until(lambda: len(context.arrivals) == 2)
        cms.shelf.put(a_video(3, uploadedAt="2026-05-01T04:00:00.000Z"), tell=False)
        context.tools.clock.forward(3600)
        await context.look()
    assert context.names == ["cm000001", "cm000002", "cm000003"]


async def test_what_could_not_be_recorded_is_asked_for_again(cms, tmp_path):
    memory = ShortMemory()
    cms.shelf.put(a_video(1))
    options = the_options(query=QUERY_SINCE, since_variable="since")
    broken = CmsSourceContext(the_tools(tmp_path, cms.url, memory=memory))
    broken.refuse = RetryLater("The store is down.")
    async with asyncio.timeout(60):
        with pytest.raises(RetryLater, match="store is down"):
            await source.watch(options, broken)
    assert await memory.recall("cms:uploads") == {}
    whole = CmsSourceContext(the_tools(tmp_path, cms.url, memory=memory))
    async with watching(options, whole):
        await whole.until(lambda: whole.looks)
    assert whole.names == ["cm000001"]
    assert (await memory.recall("cms:uploads"))["known_to"] == "2026-05-01T12:00:00+00:00"


async def test_uploads_before_the_beginning_are_left_alone(cms, context):
    cms.shelf.put(a_video(1))
    cms.shelf.put(a_video(2, uploadedAt="2026-11-04T00:00:00.000Z"))
    options = the_options(begin=datetime(2026, 11, 4, tzinfo=UTC))
    async with watching(options, context):
        await context.until(lambda: context.looks)
    assert context.names == ["cm000002"]
    assert [listed.name for listed in await source.audit(options, context.tools, "uploads")] == ["cm000002"]


async def test_without_a_subscription_it_asks_and_asks(cms, context):
    cms.shelf.put(a_video(1))
    async with watching(the_options(subscription="", catch_up="2m"), context):
        await context.until(lambda: context.looks)
        cms.shelf.put(a_video(2), tell=False)
        await context.look()
        await context.until(lambda: context.pauses == [120.0, 120.0])
    assert context.names == ["cm000001", "cm000002"]
    assert context.is_up


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["auto", "graphql-ws"])
async def test_the_older_protocol_is_spoken_where_the_cms_knows_no_other(tmp_path, protocol):
    async with a_cms(protocols=(GRAPHQL_WS_PROTOCOL,)) as cms:
        context = CmsSourceContext(the_tools(tmp_path, cms.url))
        options = the_options(protocol=protocol)
        async with watching(options, context):
            await heard(cms)
            cms.shelf.put(a_video(1))
            await context.until(lambda: context.arrivals)
        assert "over graphql-ws" in await source.check(options, context.tools)


async def test_an_event_that_brings_no_object_is_put_aside_and_has_the_cms_asked(cms, context):
    async with watching(the_options(), context):
        await context.until(lambda: context.looks)
        await heard(cms)
        cms.shelf.put(a_video(1), tell=False)
        cms.shelf.tell(a_video(1, id=None))
        await context.until(lambda: context.arrivals and context.dead)
    ((body, reason),) = context.dead
    assert "nothing at 'videoObjectCreated'" in reason
    assert "Cannot return null" in body


async def test_an_object_that_is_none_is_put_aside_once_however_often_it_is_listed(cms, tmp_path):
    memory = ShortMemory()
    cms.shelf.put(a_video(1, id=""))
    cms.shelf.put(a_video(2))

    async def watched():
        context = CmsSourceContext(the_tools(tmp_path, cms.url, memory=memory))
        async with watching(the_options(), context):
            await context.until(lambda: context.looks)
            await context.look()
        assert context.names == ["cm000002"]
        return context.dead

    ((body, reason),) = await watched()
    assert reason == "The CMS brought something that is no upload: it has no 'id'."
    assert "5001" in body
    assert await watched() == []


async def test_an_upload_whose_file_has_an_impossible_address_is_put_aside(cms, context):
    cms.shelf.put(a_video(1, pCloudFileId="../../etc/passwd"))
    async with watching(the_options(recording="file:///videos/{{ file_id }}"), context):
        await context.until(lambda: context.looks)
    assert context.arrivals == []
    assert "the address 'file:///videos/../../etc/passwd'" in context.dead[0][1]


@strawberry.type
class Empty:
    nothing: str = ""


async def test_a_schema_without_the_subscription_is_said_and_the_uploads_arrive_by_asking(tmp_path):
    async with a_cms(schema=strawberry.Schema(query=Query)) as cms:
        cms.shelf.put(a_video(1))
        context = CmsSourceContext(the_tools(tmp_path, cms.url))
        async with watching(the_options(), context):
            await context.until(lambda: context.looks and not context.is_up)
            cms.shelf.put(a_video(2), tell=False)
            await context.look()
        assert context.names == ["cm000001", "cm000002"]
        assert "subscription" in context.downs[-1]


async def test_a_schema_without_the_list_is_said_and_the_uploads_arrive_by_the_subscription(tmp_path):
    async with a_cms(schema=strawberry.Schema(query=Empty, subscription=Subscription)) as cms:
        context = CmsSourceContext(the_tools(tmp_path, cms.url))
        async with watching(the_options(), context):
            await heard(cms)
            await context.until(lambda: context.downs)
            cms.shelf.put(a_video(1))
            await context.until(lambda: context.arrivals and not context.is_up)
        assert "Cannot query field 'videoObjects'" in context.downs[-1]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda: web.Response(text="<html>"), "is not a GraphQL answer"),
        (lambda: web.json_response([1]), "is not a GraphQL answer"),
        (lambda: web.json_response({"data": {"other": []}}), "has no list at 'videoObjects' (it has other)"),
        (lambda: web.json_response({"data": {"videoObjects": 7}}), "has no list at 'videoObjects'"),
        (lambda: web.Response(status=503), "answered 503"),
        (lambda: web.Response(status=302, headers={"Location": "/"}), "redirects (302)"),
        (lambda: web.Response(status=404), "There is no GraphQL (404)"),
        (lambda: web.Response(status=401), "does not allow (401)"),
        (lambda: web.json_response({"errors": [{"message": "No such field."}]}, status=400), "No such field."),
        (lambda: web.json_response({"errors": [{"message": "Away.", "path": ["videoObjects"]}]}), "failed at asking"),
        (
            lambda: web.json_response({"errors": [{"message": "No.", "extensions": {"code": "FORBIDDEN"}}]}),
            "does not allow asking for the objects (No.)",
        ),
    ],
)
async def test_an_answer_that_is_none_is_one_sentence_and_the_watcher_goes_on(cms, context, answer, sentence):
    cms.shelf.put(a_video(1))
    cms.answers.append(answer())
    async with watching(the_options(), context):
        await context.until(lambda: context.downs)
        await context.look()
    assert sentence in context.downs[0]
    assert context.names == ["cm000001"]
    assert context.is_up


async def test_an_answer_in_part_is_taken_in_and_asked_for_again(cms, context):
    memory = context.tools.memory
    cms.shelf.put(a_video(1))
    half = {"data": {"videoObjects": [a_video(1), None]}, "errors": [{"message": "One is broken.", "path": ["x"]}]}
    cms.answers.append(web.json_response(half))
    async with watching(the_options(), context):
        await context.until(lambda: context.downs)
        assert context.names == ["cm000001"]
        assert await memory.recall("cms:uploads") == {}
        await context.look()
    assert "One is broken." in context.downs[0]
    assert context.is_up


@pytest.mark.slow
async def test_a_question_about_the_settings_finds_everything_as_it_should_be(cms, context):
    cms.shelf.put(a_video(1))
    cms.shelf.put(a_video(2, pCloudFileId=None))
    sentence = await source.check(the_options(), context.tools)
    assert "2 objects are listed, 1 of them not complete yet" in sentence
    assert "the subscription stands, over graphql-transport-ws" in sentence


async def test_the_audit_lists_what_would_arrive_and_what_is_in_its_way(tmp_path):
    shelf = Shelf()
    for video in (a_video(1), a_video(2, pCloudFileId=None), a_video(3, id="")):
        shelf.put(video)
    async with a_cms(shelf) as cms:
        listed = await source.audit(the_options(), the_tools(tmp_path, cms.url), "uploads")
    by_name = {upload.name[:8]: upload for upload in listed}
    assert by_name["cm000001"].arrival.key == "cms:uploads:cm000001@2026-11-03T08:00:01Z"
    assert (by_name["cm000002"].waits, by_name["cm000002"].why) == (True, "It waits for its file id.")
    ((other,)) = [upload for upload in listed if not upload.name.startswith("cm")]
    assert (other.arrival, other.waits, other.why) == (None, False, "It is no upload: it has no 'id'.")
