"""A transcription that another system makes: asked for once by SQS, and taken from the bucket when it is there."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from builders.aws import NOW, Bucket, QuickClock, a_job, an_account
from footage.clips import ENCODER
from peers.servers import ministack

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.aws import transcription_job
from vidd.integrations.aws.account import client
from vidd.integrations.aws.transcription_job import Options
from vidd.ports import StepContext, Tools
from vidd.steps import captions
from vidd.transcription.engine import Request

pytestmark = pytest.mark.peer

VTT = b"WEBVTT\n\n00:00.500 --> 00:01.500\nSo be\n"
RECEIPTS = {
    "youtube": {"url": "https://youtu.be/v1", "facts": {}},
    "library": {"url": "https://library.example/t1.mp4", "facts": {}},
    "archive": {"url": None, "facts": {}},
}


@pytest.fixture(scope="module")
def aws():
    with ministack() as url:
        yield url


class Clock(QuickClock):
    at = NOW

    def now(self):
        return self.at


@pytest.fixture
async def desk(aws, tmp_path, request):
    desk = Desk(aws, tmp_path, f"b{abs(hash(request.node.name))}")
    await desk.bucket.make()
    await desk.make_queue()
    return desk


class Desk:
    """A job whose talk was published, a queue, and the bucket that the results come to."""

    def __init__(self, aws, directory, name):
        self.account, self.directory, self.clock, self.name = an_account(aws), directory, Clock(), name
        self.bucket = Bucket(self.account, name)
        (directory / ".captions").mkdir()
        self.job = a_job("file:///talk.mp4", talk="t1", facts={"published": {"job": "01talk", "receipts": RECEIPTS}})

    async def make_queue(self, ending=""):
        attributes = {"FifoQueue": "true"} if ending else {}
        async with client(self.account, "sqs") as sqs:
            self.url = (await sqs.create_queue(QueueName=self.name + ending, Attributes=attributes))["QueueUrl"]

    def options(self, **changes):
        return Options(**{"kind": "sqs", "account": "library", "queue_url": self.url, "bucket": self.name, **changes})

    @property
    def context(self):
        tools = Tools(self.directory, ENCODER, self.clock, accounts={"library": self.account})
        return StepContext(self.job, self.directory, tools, None, {}, {}, lambda *_: None)

    def request(self, language="en", spoken="en"):
        audio = self.directory / ".captions" / f"audio.{language}.wav"
        return Request(self.context, audio, 4.0, self.directory / "talk.mp4", language, spoken)

    async def look(self, language="en", spoken="en", **changes):
        return await transcription_job.transcribe(self.options(**changes), self.request(language, spoken))

    async def waits(self, *languages, **changes):
        with pytest.raises(RetryLater) as fault:
            await self.look(*languages, **changes)
        return fault.value

    async def messages(self):
        async with client(self.account, "sqs") as sqs:
            answer = await sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
        return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


async def test_the_message_is_talkbots_and_goes_out_once_however_often_vidd_looks(desk):
    fault = await desk.waits()
    assert (fault.code, fault.counts, fault.after) == (FaultCode.PENDING, False, 60.0)
    assert "transcriptions/t1.vtt" in fault.sentence
    await desk.waits()
    assert await desk.messages() == [
        {
            "Body": {
                "uuid": "t1", "youtube_url": "https://youtu.be/v1", "vimeo_url": "",
                "s3_url": "https://library.example/t1.mp4",
            }
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "content", "exact"),
    [
        ("transcriptions/t1.vtt", VTT, False),
        ("transcriptions/t1.srt", b"1\n00:00:00,500 --> 00:00:01,500\nSo be\n", False),
        ("transcriptions/t1.json", b'{"words": [{"word": "So", "start": 0.5, "end": 1}]}', True),
    ],
)
async def test_the_result_is_taken_once_it_is_there(desk, key, content, exact):
    results = [f"transcriptions/{{{{ uuid }}}}{{{{ part }}}}.{suffix}" for suffix in ("vtt", "srt", "json")]
    await desk.waits(results=results)
    await desk.bucket.put(key, content)
    transcript = await desk.look(results=results)
    assert (transcript.words[0].text, transcript.words[0].start, transcript.exact) == ("So", 0.5, exact)


async def test_what_lay_there_before_is_no_answer_but_its_next_state_is(desk):
    await desk.bucket.put("transcriptions/t1.vtt", VTT.replace(b"So be", b"long ago"))
    await desk.waits()
    await desk.waits()
    await desk.bucket.put("transcriptions/t1.vtt", VTT)
    assert [word.text for word in (await desk.look()).words] == ["So", "be"]


async def test_another_language_has_a_message_and_a_key_of_its_own(desk):
    await desk.waits("de", "en")
    [message] = await desk.messages()
    assert (message["Body"]["language"], message["Body"]["spoken"]) == ("de", "en")
    await desk.bucket.put("transcriptions/t1.de.vtt", VTT)
    assert len((await desk.look("de", "en")).words) == 2


async def test_text_without_times_is_text_without_captions(desk):
    results = ["transcriptions/{{ uuid }}.txt"]
    await desk.waits(results=results)
    await desk.bucket.put("transcriptions/t1.txt", b"So be it.")
    transcript = await desk.look(results=results)
    assert (transcript.text, transcript.words) == ("So be it.", ())


async def test_after_the_limit_it_is_given_up_with_a_sentence_and_a_retry_asks_again(desk):
    await desk.waits(give_up="1h")
    desk.clock.at += timedelta(hours=1)
    with pytest.raises(Refused, match=r"Nothing appeared at s3://.*for 1 h") as refused:
        await desk.look(give_up="1h")
    assert refused.value.code is FaultCode.NOT_FOUND
    assert len(await desk.messages()) == 1
    await desk.waits(give_up="1h")
    assert len(await desk.messages()) == 1


async def test_a_daemon_that_died_before_it_knew_that_the_message_went_out_sends_it_again(desk):
    await desk.waits()
    note = desk.request().audio.with_suffix(".asked")
    note.write_text(json.dumps({**json.loads(note.read_text()), "sent": False}))
    await desk.waits()
    bodies = await desk.messages()
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


async def test_a_fifo_queue_gets_a_group(desk):
    await desk.make_queue(".fifo")
    await desk.waits()
    assert len(await desk.messages()) == 1


async def test_a_queue_is_found_by_its_name(desk):
    await desk.waits(queue_url=None, queue=desk.name)
    assert len(await desk.messages()) == 1


async def test_a_broken_result_is_refused_by_its_name(desk):
    await desk.waits()
    await desk.bucket.put("transcriptions/t1.vtt", b"WEBVTT\n\n00:aa --> 00:01.000\nx\n")
    with pytest.raises(Refused, match=r"t1\.vtt' cannot be read"):
        await desk.look()


async def test_a_job_of_no_talk_is_asked_for_by_its_own_id(desk):
    desk.job = replace(desk.job, talk=None, facts={})
    await desk.waits()
    [message] = await desk.messages()
    assert message["Body"] == {"uuid": "01job", "youtube_url": "", "vimeo_url": "", "s3_url": ""}


async def test_the_check_asks_for_queue_and_bucket_and_sends_nothing(desk):
    assert "can be reached" in await transcription_job.check(desk.options(), desk.context.tools)
    assert await desk.messages() == []
    with pytest.raises(Refused) as refused:
        await transcription_job.check(desk.options(queue_url=None, queue="none"), desk.context.tools)
    assert refused.value.code is FaultCode.NOT_FOUND
    with pytest.raises(Refused, match="No bucket is named"):
        await transcription_job.check(desk.options(bucket=None), desk.context.tools)


async def test_the_step_asks_for_all_languages_at_once_and_holds_no_slot_while_it_waits(desk, clip):
    (desk.directory / "source.mp4").hardlink_to(clip)
    from vidd.model.media import Artifact

    def slot():
        raise AssertionError("it holds a slot")

    context = replace(desk.context, artifacts={"source": Artifact("source", "source.mp4", 1)}, slot=slot)
    settings = captions.Options.model_validate(
        {"engine": desk.options().model_dump(mode="json"), "languages": ["en", "de"]}
    )
    with pytest.raises(RetryLater) as fault:
        await captions.run(settings, context)
    assert fault.value.code is FaultCode.PENDING
    assert len(await desk.messages()) == 2
    await desk.bucket.put("transcriptions/t1.vtt", VTT)
    with pytest.raises(RetryLater):
        await captions.run(settings, context)
    await desk.bucket.put("transcriptions/t1.de.vtt", VTT)
    outcome = await captions.run(settings, context)
    assert outcome.facts["languages"] == ["en", "de"]
    assert await desk.messages() == []
