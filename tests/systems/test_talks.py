"""A conference's story against real servers: a recording in a bucket becomes a talk in the library, and people know."""

import json
import signal
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from peers.daemon import Place, talk, until
from peers.postfix import mail_host
from peers.servers import ministack

from vidd.media.probe.client import probe_report

pytestmark = pytest.mark.daemon

SETTINGS = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"
[limits]
disk_reserve = "1MiB"
[ffmpeg]
path = "{root}/ffmpeg"
[retry]
first = "200ms"
[accounts.library]
kind = "s3"
endpoint_url = "{s3}"
region = "us-east-1"
access_key = "AKIDEXAMPLE"
[accounts.post]
kind = "smtp"
host = "localhost"
port = {smtp}
security = "starttls"
ca_file = "{ca}"
user = "team"
[sources.recordings]
kind = "sqs"
account = "library"
queue_url = "{queue}"
wait = "1s"
pipeline = "talks"
[sources.programme]
kind = "sheet"
path = "programme.csv"
refresh = "500ms"
settle = "0s"
[pipelines.talks]
programme = "programme"
[[pipelines.talks.steps]]
kind = "trim"
fade = "500ms"
[[pipelines.talks.steps]]
kind = "describe"
[[pipelines.talks.publish]]
kind = "s3"
account = "library"
bucket = "library"
[[pipelines.talks.notify]]
kind = "mail"
account = "post"
sender = "Talk videos <talks@example.org>"
[[pipelines.talks.notify]]
kind = "sheet"
path = "programme.csv"
"""
SECRETS = {"VIDD_ACCOUNTS__LIBRARY__SECRET_KEY": "SECRETEXAMPLE", "VIDD_ACCOUNTS__POST__PASSWORD": "s3cret"}
# This MiniStack does not encode the keys of its events, so a plus would not come through; test_s3_event.py has it.
NAME = "Centre Stage ü_t1_000000_000003.mp4"


class Cloud:
    """Buckets `recordings` and `library`, and the queue that is told of the first."""

    def __init__(self, url):
        def client(service):
            return boto3.client(
                service,
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="AKIDEXAMPLE",
                aws_secret_access_key="SECRETEXAMPLE",
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
            )

        self.s3, self.sqs = client("s3"), client("sqs")
        self.s3.create_bucket(Bucket="recordings")
        self.s3.create_bucket(Bucket="library")
        self.queue = self.sqs.create_queue(QueueName="recordings")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        told = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
        self.s3.put_bucket_notification_configuration(Bucket="recordings", NotificationConfiguration=told)

    def library(self):
        return {one["Key"]: one for one in self.s3.list_objects_v2(Bucket="library").get("Contents", ())}

    def left(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def close(self):
        self.s3.close()
        self.sqs.close()


@contextmanager
def conference(place: Place):
    with ministack() as url, mail_host() as post:
        cloud = Cloud(url)
        try:
            place.config.write_text(
                SETTINGS.format(
                    root=place.root, s3=url, queue=cloud.queue, smtp=post.starttls, ca=post.certificate.file
                )
            )
            people = {"speakers": "Ada; Alan", "emails": "ada@example.org; alan@example.org"}
            place.programme(talk("t1", title="Wörking älone", **people), talk("t2"))
            yield cloud, post
        finally:
            cloud.close()


async def check_story(place, cloud, post):
    """One video, whole; one mail each; the sheet right; the queue empty; nothing left behind."""
    (key,) = cloud.library()
    video = place.root / "downloaded.mp4"
    cloud.s3.download_file("library", key, str(video))
    report = await probe_report(video)
    assert report["video"][0]["duration"] == pytest.approx(3.0, abs=1 / 25)
    head = cloud.s3.head_object(Bucket="library", Key=key)
    assert head["ContentType"] == "video/mp4"
    assert head["ContentLength"] == video.stat().st_size
    row = place.rows()["t1"]
    assert row["status"] == "published"
    for who in ("ada", "alan"):
        (mail,) = post.delivered(who, 1)
        assert mail["Subject"] == 'Your talk "Wörking älone" is online'
        assert row["link"] in mail.get_body(("plain",)).get_content()
    assert row["link"].startswith("http")
    assert place.rows()["t2"]["status"] == "not uploaded"
    assert cloud.left() == 0
    assert list((place.root / "jobs").iterdir()) == []


async def test_an_object_in_the_bucket_becomes_a_talk_in_the_library_and_the_speakers_know(place, clip):
    with conference(place) as (cloud, post):
        cloud.sqs.send_message(QueueUrl=cloud.queue, MessageBody="this is no event")
        cloud.s3.upload_file(str(clip), "recordings", f"in/{NAME}")
        with place.daemon(**SECRETS) as daemon:
            daemon.ready()
            job = daemon.job("published")
            letters = until(lambda: daemon.ask("/api/dead-letters")[1]["dead_letters"], "the odd message is put aside")
            assert [one["body"] for one in letters] == ["this is no event"]
            status, health = daemon.ask("/health")
            assert (status, health["reasons"]) == (200, [])
            assert job["name"] == NAME
            assert "SECRETEXAMPLE" not in json.dumps(job) + daemon.log.read_text()
            assert "s3cret" not in daemon.log.read_text()
            daemon.stopped()
        await check_story(place, cloud, post)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "SIGTERM"])
async def test_a_daemon_stopped_in_the_middle_and_started_again_publishes_once(place, clip, number):
    with conference(place) as (cloud, post):
        place.slow()
        cloud.s3.upload_file(str(clip), "recordings", f"in/{NAME}")
        with place.daemon(**SECRETS) as daemon:
            daemon.ready().encoding()
            daemon.signal(number)
            if number is signal.SIGTERM:
                daemon.signal(number)
            daemon.ended()
        assert cloud.library() == {}
        place.quick()
        with place.daemon(**SECRETS) as daemon:
            daemon.ready().job("published")
            daemon.stopped()
        await check_story(place, cloud, post)
