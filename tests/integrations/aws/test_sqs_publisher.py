import asyncio
import json
from dataclasses import replace

import pytest
from builders.aws import an_account
from builders.mail import LINK, NOON, TALK, Sent, job, tools
from peers.faulty_proxy import faulty_proxy
from peers.servers import ministack
from pydantic import ValidationError

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.aws import sqs_publisher
from vidd.integrations.aws.account import client
from vidd.model.job import State
from vidd.model.publication import Publication, Receipt

NASTY = 'He said "no",\n<b>\\</b> & {"admin": true} \u2028 Überraschung 🎉 \ud800 \x00 \ufffe'
ADDRESSES = {
    "youtube": Receipt(url="https://youtu.be/x"),
    "library": Receipt(url="https://library.example.org/t-1.mp4"),
    "archive": Receipt(),
}


@pytest.fixture(scope="module")
def server():
    with ministack() as url:
        yield url


@pytest.fixture
async def proxy(server):
    async with faulty_proxy(server) as proxy:
        yield proxy


class Queue:
    """A queue as its consumer sees it."""

    def __init__(self, account, url):
        self.account, self.url = account, url

    async def all(self):
        found = []
        async with client(self.account, "sqs") as queue:
            while True:
                answer = await queue.receive_message(
                    QueueUrl=self.url,
                    MaxNumberOfMessages=10,
                    WaitTimeSeconds=0,
                    MessageAttributeNames=["All"],
                    AttributeNames=["All"],
                )
                if not answer.get("Messages"):
                    return found
                for message in answer["Messages"]:
                    found.append(message)
                    await queue.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


async def make_queue(server, name, **attributes):
    account = an_account(server)
    async with client(account, "sqs") as made:
        url = (await made.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]
    return Queue(account, url)


@pytest.fixture
async def queue(server, request):
    return await make_queue(server, f"q{abs(hash(request.node.name))}")


@pytest.fixture
async def fifo(server, request):
    return await make_queue(server, f"q{abs(hash(request.node.name))}.fifo", FifoQueue="true")


def telling(tmp_path, server, **changes):
    notice = Publication(job().id, "sqs", "sqs", NOON, notice=True, edition=changes.pop("edition", 1))
    kept = tools(tmp_path, library=an_account(server))
    return Sent(tmp_path, kind="sqs", **{"tools": kept, "publication": notice, "receipts": ADDRESSES, **changes})


def options(queue, /, **changes):
    given = {"account": "library", **changes}
    return sqs_publisher.Options(**given if "queue" in given else {**given, "queue_url": queue.url})


async def publish(tried, queue, /, **changes):
    async with asyncio.timeout(60):
        return await sqs_publisher.publish(options(queue, **changes), tried.context())


async def reconcile(tried, queue, /, **changes):
    return await sqs_publisher.reconcile(options(queue, **changes), tried.context())


def attributes(message):
    return {
        name: message_attribute["StringValue"]
        for name, message_attribute in message.get("MessageAttributes", {}).items()
    }


def send(method, _path):
    return method == "POST"


@pytest.mark.slow
async def test_the_jobs_facts_come_as_json_with_an_id_beside_them(queue, server, tmp_path):
    receipt = await publish(telling(tmp_path, server), queue)
    (message,) = await queue.all()
    body = json.loads(message["Body"])
    assert (body["job"], body["uuid"], body["title"]) == ("06abcdefghijkmnp", "t-1", "Loops & more")
    assert body["urls"] == {"youtube": "https://youtu.be/x", "library": "https://library.example.org/t-1.mp4"}
    assert attributes(message) == {
        "id": "06abcdefghijkmnp_sqs_1",
        "type": "job.published",
        "job": "06abcdefghijkmnp",
        "uuid": "t-1",
    }
    assert receipt.facts == {
        "id": "06abcdefghijkmnp_sqs_1",
        "at": "2026-11-20T12:00:00Z",
        "queue": queue.url.rpartition("/")[2],
        "message_id": message["MessageId"],
    }


async def test_a_failure_comes_with_its_reason(queue, server, tmp_path):
    failed = job(state=State.UNSURE, reason="s3: Nobody knows.")
    await publish(telling(tmp_path, server, job=failed, event="unsure"), queue, on="failed")
    (message,) = await queue.all()
    body = json.loads(message["Body"])
    assert (body["type"], body["reason"]) == ("job.unsure", "s3: Nobody knows.")
    assert attributes(message)["type"] == "job.unsure"


async def test_a_retraction_is_a_message_of_its_own_type(queue, server, tmp_path):
    await publish(telling(tmp_path, server, event="retracted"), queue)
    (message,) = await queue.all()
    assert json.loads(message["Body"])["state"] == "retracted"
    assert attributes(message)["type"] == "job.retracted"


def test_consumers_of_talkbots_queues_are_told_of_no_retraction():
    asked = {"account": "library", "queue": "q"}
    assert sqs_publisher.Options(**asked).tells_retraction
    assert not sqs_publisher.Options(**asked, retractions=False).tells_retraction
    assert not sqs_publisher.Options(**asked, format="talkbot").tells_retraction
    assert not sqs_publisher.Options(**asked, format="template", body="{{ title }}", body_is="text").tells_retraction
    assert sqs_publisher.Options(**asked, format="template", body="{}", retractions=True).tells_retraction


async def test_a_queue_is_found_by_its_name(queue, server, tmp_path):
    await publish(telling(tmp_path, server), queue, queue=queue.url.rpartition("/")[2])
    assert len(await queue.all()) == 1


async def test_a_consumer_of_talkbots_output_finds_what_it_knows(queue, server, tmp_path):
    await publish(telling(tmp_path, server), queue, format="talkbot")
    (message,) = await queue.all()
    told = {"youtube_url": "https://youtu.be/x", "s3_url": "https://library.example.org/t-1.mp4", "uid": "t-1"}
    assert attributes(message) == {**told, "id": "06abcdefghijkmnp_sqs_1"}
    assert json.loads(message["Body"]) == {
        "Body": {
            name: {"DataType": "String", "StringValue": value} for name, value in {**told, "vimeo_url": ""}.items()
        }
    }


async def test_a_consumer_of_talkbots_transcription_finds_the_address_that_is_named(queue, server, tmp_path):
    names = {"s3_url": "youtube", "vimeo_url": "archive", "youtube_url": "nobody"}
    await publish(telling(tmp_path, server), queue, format="transcription", urls=names)
    (message,) = await queue.all()
    assert json.loads(message["Body"])["Body"] == {
        "uuid": "t-1",
        "s3_url": "https://youtu.be/x",
        "vimeo_url": "",
        "youtube_url": "",
    }


@pytest.mark.parametrize("how", [{}, {"format": "template", "body": '{"title": "{{ title }}"}'}])
async def test_any_title_arrives_as_valid_json(queue, server, tmp_path, how):
    tried = telling(tmp_path, server, talk=replace(TALK, title=NASTY))
    await publish(tried, queue, **how, attributes={"title": "{{ title }}"})
    (message,) = await queue.all()
    shown = NASTY.replace("\ud800", "\ufffd").replace("\ufffe", "\ufffd")
    assert json.loads(message["Body"])["title"] == shown
    assert attributes(message)["title"] == shown.replace("\x00", "\ufffd")


async def test_a_template_may_make_a_plain_text(queue, server, tmp_path):
    await publish(telling(tmp_path, server), queue, format="template", body="{{ uuid }}", body_is="text")
    (message,) = await queue.all()
    assert message["Body"] == "t-1"


async def test_an_attribute_without_a_value_is_left_out(queue, server, tmp_path):
    tried = telling(tmp_path, server, talk=None, job=job(talk=None), receipts=LINK)
    await publish(tried, queue, attributes={"nothing": "", "some": "x"})
    (message,) = await queue.all()
    assert set(attributes(message)) == {"id", "type", "job", "some"}


async def test_a_lost_answer_of_a_standard_queue_leads_to_the_same_id_again(queue, server, proxy, tmp_path):
    proxy.next_time(send, "drop reply")
    receipt = await publish(telling(tmp_path, proxy.url), queue)
    found = await queue.all()
    assert [attributes(message)["id"] for message in found] == [receipt.facts["id"]] * 2
    assert found[0]["Body"] == found[1]["Body"]


async def test_after_a_restart_the_same_id_is_sent_again(queue, server, proxy, tmp_path):
    proxy.next_time(send, "drop reply", times=9)
    tried = telling(tmp_path, proxy.url)
    with pytest.raises(RetryLater):
        await publish(tried, queue)
    proxy.troubles.clear()
    tried._made["tools"].clock.advance(3600)
    assert await reconcile(tried, queue) is None
    await publish(tried, queue)
    found = await queue.all()
    assert len(found) > 1
    assert len({(message["Body"], attributes(message)["id"]) for message in found}) == 1


@pytest.mark.slow
async def test_a_fifo_queue_holds_one_message_after_a_lost_answer(fifo, proxy, tmp_path):
    proxy.next_time(send, "drop reply", times=2)
    await publish(telling(tmp_path, proxy.url), fifo)
    (message,) = await fifo.all()
    assert len(proxy.of("POST")) == 3
    assert message["Attributes"]["MessageGroupId"] == "t-1"
    assert message["Attributes"]["MessageDeduplicationId"] == "06abcdefghijkmnp_sqs_1"


@pytest.mark.slow
async def test_another_edition_is_another_message(fifo, server, tmp_path):
    for edition in (1, 2, 2):
        await publish(telling(tmp_path, server, edition=edition), fifo)
    assert [attributes(message)["id"] for message in await fifo.all()] == [
        "06abcdefghijkmnp_sqs_1",
        "06abcdefghijkmnp_sqs_2",
    ]


async def test_a_group_that_no_queue_takes_becomes_its_checksum(fifo, server, tmp_path):
    await publish(telling(tmp_path, server), fifo, group="{{ title }}")
    (message,) = await fifo.all()
    group = message["Attributes"]["MessageGroupId"]
    assert len(group) == 64
    assert group.isalnum()


async def test_where_a_second_message_does_harm_a_lost_answer_is_shown(queue, proxy, tmp_path):
    proxy.next_time(send, "drop reply")
    tried = telling(tmp_path, proxy.url)
    for ask in (publish, reconcile):
        with pytest.raises(OutcomeUnknown, match="ask its receiver for the id 06abcdefghijkmnp_sqs_1"):
            await ask(tried, queue, repeat=False)
    assert len(await queue.all()) == 1


async def test_where_a_second_message_does_harm_a_clear_answer_still_leads_to_another_attempt(queue, proxy, tmp_path):
    proxy.next_time(send, 503)
    tried = telling(tmp_path, proxy.url)
    with pytest.raises(RetryLater):
        await publish(tried, queue, repeat=False)
    assert await reconcile(tried, queue, repeat=False) is None
    await publish(tried, queue, repeat=False)
    assert len(await queue.all()) == 1


@pytest.mark.slow
async def test_a_fifo_queue_is_trusted_to_drop_a_second_one_for_less_than_five_minutes(fifo, proxy, tmp_path):
    proxy.next_time(send, "drop reply")
    tried = telling(tmp_path, proxy.url)
    with pytest.raises(RetryLater, match="the queue will drop a second one"):
        await publish(tried, fifo, repeat=False)
    clock = tried._made["tools"].clock
    clock.advance(200)
    assert await reconcile(tried, fifo, repeat=False) is None
    proxy.next_time(send, 503)
    with pytest.raises(RetryLater):
        await publish(tried, fifo, repeat=False)
    clock.advance(60)
    with pytest.raises(OutcomeUnknown, match="ask its receiver"):
        await reconcile(tried, fifo, repeat=False)
    assert len(await fifo.all()) == 1


async def test_a_message_that_is_too_large_is_refused_before_anything_goes_out(queue, proxy, tmp_path):
    tried = telling(tmp_path, proxy.url)
    with pytest.raises(Refused, match=r"has .* bytes, and the queue .* takes 1024"):
        await publish(tried, queue, largest=1024, attributes={"more": "x" * 700})
    assert proxy.seen == []
    assert tried.tokens == []


async def test_a_message_counts_in_bytes_with_its_attributes(queue, server, tmp_path):
    def the(length):
        return {"format": "template", "body": "ü" * length, "body_is": "text", "largest": 1024}

    # The id's attribute has 2 + 6 + 22 bytes.
    await publish(telling(tmp_path, server), queue, **the(497))
    with pytest.raises(Refused, match="has 1026 bytes"):
        await publish(telling(tmp_path, server), queue, **the(498))


async def test_a_template_with_an_unknown_field_is_refused(queue, server, tmp_path):
    with pytest.raises(Refused, match="unknown field"):
        await publish(telling(tmp_path, server), queue, attributes={"x": "{{ nothing }}"})
    with pytest.raises(Refused, match="body of the message is empty"):
        await publish(telling(tmp_path, server), queue, format="template", body="{{ '' }}", body_is="text")


async def test_a_queue_that_does_not_exist_is_refused(queue, server, tmp_path):
    with pytest.raises(Refused, match="queue does not exist"):
        await publish(telling(tmp_path, server), queue, queue="nowhere")


async def test_a_check_asks_for_the_queue_and_sends_nothing(queue, server, tmp_path):
    kept = tools(tmp_path, library=an_account(server))
    assert "can be reached; vidd sent nothing" in await sqs_publisher.check(options(queue), kept)
    assert await queue.all() == []


async def test_a_check_finds_a_queue_that_takes_less(server, tmp_path):
    small = await make_queue(server, "small", MaximumMessageSize="2048")
    kept = tools(tmp_path, library=an_account(server))
    with pytest.raises(Refused, match="takes 2048 bytes at most: set `largest`"):
        await sqs_publisher.check(options(small), kept)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"queue": "a", "queue_url": "b"}, "either queue_url or queue"),
        ({}, "either queue_url or queue"),
        ({"queue": "a", "format": "template"}, "go together"),
        ({"queue": "a", "urls": {"x": "youtube"}}, "not x"),
        ({"queue": "a", "attributes": {"id": "x"}}, "set by vidd"),
        ({"queue": "a", "format": "talkbot", "retractions": True}, "no words for a retraction"),
        ({"queue": "a", "attributes": {"AWS.x": "x"}}, "pattern"),
        ({"queue": "a", "attributes": {f"a{number}": "x" for number in range(7)}}, "10 attributes at most"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(setting, words):
    with pytest.raises(ValidationError, match=words):
        sqs_publisher.Options(**{"account": "library", **setting})
