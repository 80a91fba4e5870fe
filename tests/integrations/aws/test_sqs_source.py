import asyncio
import json
from contextlib import suppress

import pytest
from builders.aws import Bucket, RecordingSourceContext, an_account, the_tools
from peers.faulty_proxy import faulty_proxy
from peers.servers import ministack

from vidd.errors import Refused, RetryLater
from vidd.integrations.aws import sqs_source
from vidd.integrations.aws.account import client
from vidd.integrations.aws.s3_event import read_message
from vidd.integrations.aws.sqs_source import arrival_of, is_wanted

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def server():
    with ministack() as url:
        yield url


@pytest.fixture
async def proxy(server):
    async with faulty_proxy(server) as proxy:
        yield proxy


class Queue:
    """A queue as a test looks at it, and a bucket whose events go into it."""

    def __init__(self, account, name, url):
        self.account, self.name, self.url = account, name, url
        self.bucket = Bucket(account, name)

    async def send(self, body):
        async with client(self.account, "sqs") as queue:
            await queue.send_message(QueueUrl=self.url, MessageBody=body if isinstance(body, str) else json.dumps(body))

    async def left(self):
        async with client(self.account, "sqs") as queue:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            answer = await queue.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
            return sum(int(answer["Attributes"][name]) for name in names)


@pytest.fixture
async def queue(server, request):
    account, name = an_account(server), f"b{abs(hash(request.node.name))}"
    async with client(account, "sqs") as made:
        url = (await made.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"}))["QueueUrl"]
        answer = await made.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    queue = Queue(account, name, url)
    await queue.bucket.make()
    wish = {"QueueArn": answer["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    async with client(account, "s3") as s3:
        await s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"QueueConfigurations": [wish]}
        )
    return queue


def the_inlet(tmp_path, url):
    return RecordingSourceContext(the_tools(tmp_path, library=an_account(url)))


def the_options(queue, **changes):
    given = {"account": "library", "queue_url": queue.url, "pipeline": "talks", "wait": 1, **changes}
    return sqs_source.Options(**given)


class Watching:
    """A watch that runs in the background for the length of a block; what it raises is raised at its end."""

    def __init__(self, options, context):
        self.options, self.context = options, context

    async def __aenter__(self):
        self.task = asyncio.create_task(sqs_source.watch(self.options, self.context))
        return self.context

    async def __aexit__(self, *_):
        async with asyncio.timeout(60):
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task


async def idle(context):
    """Until a look that began after now has found nothing."""
    async with asyncio.timeout(60):
        for _ in range(2):
            context.idle.clear()
            await context.idle.wait()


def an_event(key="talk.mp4", name="ObjectCreated:Put", **thing):
    s3 = {"bucket": {"name": "recordings"}, "object": {"key": key, "size": 5, "eTag": "e1", "sequencer": "1", **thing}}
    return {"eventName": name, "s3": s3}


async def test_an_object_put_into_the_bucket_arrives_and_the_queue_is_empty(queue, server, tmp_path):
    await queue.bucket.put("day 1/a+b ü.mp4", b"12345")
    async with Watching(the_options(queue), the_inlet(tmp_path, server)) as context:
        await context.until(lambda: context.arrivals)
        await idle(context)
    (arrival,) = context.arrivals
    assert arrival.name == "a+b ü.mp4"
    assert arrival.location == f"s3://{queue.name}/day%201/a%2Bb%20%C3%BC.mp4"
    assert (arrival.facts["key"], arrival.facts["size"], arrival.facts["account"]) == ("day 1/a+b ü.mp4", 5, "library")
    assert arrival.pipeline == "talks"
    assert context.dead == []
    assert await queue.left() == 0


async def test_a_multipart_upload_is_one_arrival(queue, server, tmp_path):
    async with client(queue.account, "s3") as s3:
        where = {"Bucket": queue.name, "Key": "big.mp4"}
        upload = {**where, "UploadId": (await s3.create_multipart_upload(**where))["UploadId"]}
        part = await s3.upload_part(**upload, PartNumber=1, Body=b"12345")
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    async with Watching(the_options(queue), the_inlet(tmp_path, server)) as context:
        await idle(context)
    assert [arrival.facts["key"] for arrival in context.arrivals] == ["big.mp4"]


async def test_events_that_were_not_asked_for_are_dropped_and_acknowledged(queue, server, tmp_path):
    await queue.bucket.put("notes.txt", b"x")
    await queue.bucket.put("talk.MP4", b"x")
    await queue.bucket.delete("notes.txt")
    async with Watching(the_options(queue), the_inlet(tmp_path, server)) as context:
        await idle(context)
    assert [arrival.name for arrival in context.arrivals] == ["talk.MP4"]
    assert context.dead == []
    assert await queue.left() == 0


async def test_a_message_that_is_no_event_is_put_aside_with_its_reason_and_does_not_come_again(queue, server, tmp_path):
    await queue.send("hello")
    await queue.send({"Records": [{"x": 1}, an_event()]})
    async with Watching(the_options(queue), the_inlet(tmp_path, server)) as context:
        await context.until(lambda: len(context.dead) == 2 and context.arrivals)
        await idle(context)
    reasons = dict(context.dead)
    assert "it is not JSON" in reasons["hello"]
    assert [arrival.name for arrival in context.arrivals] == ["talk.mp4"]
    assert await queue.left() == 0


async def test_one_message_told_twice_and_by_two_services_is_one_arrival(queue, server, tmp_path):
    await queue.send({"Records": [an_event(), an_event()]})
    await queue.send({"Type": "Notification", "Message": json.dumps({"Records": [an_event()]})})
    detail = {"bucket": {"name": "recordings"}, "object": {"key": "talk.mp4", "etag": "e1", "sequencer": "1"}}
    await queue.send({"detail-type": "Object Created", "detail": {**detail, "reason": "PutObject"}})
    async with Watching(the_options(queue), the_inlet(tmp_path, server)) as context:
        await idle(context)
    assert len(context.arrivals) == 1


async def test_a_message_is_kept_until_its_arrival_is_durable(queue, server, tmp_path):
    await queue.send({"Records": [an_event()]})
    context = the_inlet(tmp_path, server)
    context.refuse = RetryLater("The store is down.")
    with pytest.raises(RetryLater, match="store is down"):
        async with asyncio.timeout(60):
            await sqs_source.watch(the_options(queue), context)
    assert await queue.left() >= 1
    context.refuse = None
    async with Watching(the_options(queue), context):
        await context.until(lambda: context.arrivals)
        await idle(context)
    assert await queue.left() == 0


async def test_many_messages_are_taken_by_several_polls(queue, server, tmp_path):
    for number in range(25):
        await queue.send({"Records": [an_event(f"{number}.mp4")]})
    async with Watching(the_options(queue, polls=3, batch=4), the_inlet(tmp_path, server)) as context:
        await context.until(lambda: len(context.arrivals) == 25)
        await idle(context)
    assert await queue.left() == 0


async def test_a_lost_connection_is_said_waited_out_and_come_back_from(queue, proxy, tmp_path):
    proxy.next_time(lambda m, _: m == "POST", "refuse", times=4)
    proxy.next_time(lambda m, _: m == "POST", 503, times=2)
    await queue.send({"Records": [an_event()]})
    async with Watching(the_options(queue, polls=1), the_inlet(tmp_path, proxy.url)) as context:
        await context.until(lambda: context.arrivals)
        await idle(context)
    assert len(context.downs) >= 4
    assert "reading the queue" in context.downs[0]
    assert context.pauses[:3] == [1.0, 2.0, 4.0]
    assert context.ups > 0
    assert await queue.left() == 0


async def test_an_acknowledgement_that_gets_lost_brings_no_second_arrival(queue, proxy, tmp_path):
    await queue.send({"Records": [an_event()]})
    context = the_inlet(tmp_path, proxy.url)
    real = context.admit

    async def admit(arrivals):
        proxy.next_time(lambda m, _: m == "POST", "refuse")
        context.admit = real
        return await real(arrivals)

    context.admit = admit
    async with Watching(the_options(queue, polls=1), context):
        await context.until(lambda: context.downs)
        await context.until(lambda: context.arrivals)
        async with asyncio.timeout(60):
            while await queue.left():
                await idle(context)
    assert len(context.arrivals) == 1


async def test_cancelling_in_the_middle_of_a_long_poll_is_quick_and_loses_nothing(queue, server, tmp_path):
    context = the_inlet(tmp_path, server)
    async with Watching(the_options(queue, wait=20), context):
        async with asyncio.timeout(60):
            await context.idle.wait()
    await queue.send({"Records": [an_event()]})
    async with Watching(the_options(queue), context):
        await context.until(lambda: context.arrivals)


async def test_a_queue_can_be_given_by_its_name(queue, server, tmp_path):
    await queue.send({"Records": [an_event()]})
    options = sqs_source.Options(account="library", queue=queue.name, pipeline="talks", wait=1)
    async with Watching(options, the_inlet(tmp_path, server)) as context:
        await context.until(lambda: context.arrivals)
    assert "can be reached" in await sqs_source.check(options, context.tools)


async def test_a_queue_that_is_not_there_is_refused(server, tmp_path):
    context = the_inlet(tmp_path, server)
    options = sqs_source.Options(
        account="library", queue_url=f"{server}/000000000000/nowhere", pipeline="talks", wait=1
    )
    async with asyncio.timeout(60):
        with pytest.raises(Refused, match="queue does not exist"):
            await sqs_source.watch(options, context)
        with pytest.raises(Refused, match="queue does not exist"):
            await sqs_source.check(options, context.tools)


@pytest.mark.parametrize("given", [{}, {"queue": "a", "queue_url": "http://b"}])
def test_either_a_name_or_an_address_of_the_queue_is_needed(given):
    with pytest.raises(ValueError, match="either queue_url or queue"):
        sqs_source.Options(account="library", pipeline="talks", **given)


@pytest.mark.parametrize(
    ("key", "name", "counted"),
    [
        ("talk.mp4", "ObjectCreated:Put", True),
        ("talk.MXF", "ObjectCreated:Copy", True),
        ("talk.mp4", "ObjectRemoved:Delete", False),
        ("talk.mp4.txt", "ObjectCreated:Put", False),
        ("folder.mp4/", "ObjectCreated:Put", False),
    ],
)
def test_only_videos_that_came_into_being_count(key, name, counted):
    options = sqs_source.Options(account="library", queue="q", pipeline="talks")
    (event,) = read_message(json.dumps({"Records": [an_event(key, name)]})).events
    assert is_wanted(options, event) is counted


def test_without_endings_everything_counts_but_folders():
    options = sqs_source.Options(account="library", queue="q", pipeline="talks", suffixes=[])
    (event,) = read_message(json.dumps({"Records": [an_event("notes")]})).events
    assert is_wanted(options, event)


def test_an_arrival_names_the_account_its_object_is_read_with():
    options = sqs_source.Options(account="queues", object_account="library", queue="q", pipeline="talks")
    (event,) = read_message(json.dumps({"Records": [an_event(versionId="v1")]})).events
    arrival = arrival_of(options, event)
    assert (arrival.facts["account"], arrival.facts["version"]) == ("library", "v1")
    assert arrival.key == "s3://recordings/talk.mp4?version=v1"
