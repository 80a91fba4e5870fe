"""A conference whose programme is at pretalx: recordings from a folder, talks to S3, and the link back to pretalx."""

import email
import email.policy

import boto3
import pytest
from botocore.config import Config
from peers.daemon import until
from peers.pretalx import EVENT, TOKEN, Pretalx, a_submission
from peers.servers import ministack

from vidd.model.publication import PublicationState

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
[accounts.conference]
kind = "pretalx"
url = "{pretalx}"
[sources.recordings]
kind = "folder"
path = "in"
pipeline = "talks"
settle = "100ms"
rescan = "500ms"
[sources.programme]
kind = "pretalx"
account = "conference"
event = "{event}"
refresh = "500ms"
[pipelines.talks]
programme = "programme"
[[pipelines.talks.steps]]
kind = "trim"
fade = "500ms"
preset = "ultrafast"
[[pipelines.talks.steps]]
kind = "describe"
description = "{{{{ speakers }}}} on {{{{ talk.facts.track }}}}, {{{{ talk.facts.starts }}}}"
[[pipelines.talks.publish]]
kind = "s3"
account = "library"
bucket = "library"
[[pipelines.talks.notify]]
kind = "mail"
outbox = "outbox"
[[pipelines.talks.notify]]
kind = "pretalx"
account = "conference"
event = "{event}"
"""
SECRETS = {"VIDD_ACCOUNTS__LIBRARY__SECRET_KEY": "SECRETEXAMPLE", "VIDD_ACCOUNTS__CONFERENCE__TOKEN": TOKEN}


@pytest.fixture
def far():
    far = Pretalx()
    ada, alan = ("Ada Lovelace", "ada@example.org"), ("Alan Turing", "alan@example.org")
    far.put(
        a_submission("LOOPS1", "Loops, and how to leave them", ada, alan),
        a_submission("KNOTS2", "Not for the record", alan, do_not_record=True),
    )
    with far.serving(None):
        yield far


@pytest.fixture
def library():
    with ministack() as url:
        config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
        s3 = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="SECRETEXAMPLE", config=config,
        )  # fmt: skip
        s3.create_bucket(Bucket="library")
        yield s3
        s3.close()


def keys(library):
    return [found["Key"] for found in library.list_objects_v2(Bucket="library").get("Contents", ())]


def reasons(daemon):
    return " ".join(str(reason) for reason in daemon.ask("/health")[1]["reasons"])


def test_a_talk_goes_out_with_pretalxs_words_and_its_link_goes_back(place, clip, far, library):
    place.config.write_text(
        SETTINGS.format(root=place.root, s3=library.meta.endpoint_url, pretalx=far.url, event=EVENT)
    )
    with place.daemon(**SECRETS) as daemon:
        daemon.ready()
        place.drop(clip, "main_LOOPS1_000000_000003.mp4")
        place.drop(clip, "main_KNOTS2_000000_000003.mp4")
        until(lambda: {job["state"] for job in daemon.jobs()} == {"published", "excluded"}, "both talks are done with")
        (excluded,) = [job for job in daemon.jobs() if job["talk"] == "KNOTS2"]
        assert excluded["reason"] == (
            "The programme 'programme' excludes the talk KNOTS2: its speakers do not want it recorded."
        )
        (key,) = keys(library)
        ((link, words, public),) = far.links("LOOPS1")
        assert (link.rpartition("/")[2], words, public) == (key.rpartition("/")[2], "Recording", True)
        assert far.links("KNOTS2") == []
        (published,) = [job for job in daemon.jobs() if job["talk"] == "LOOPS1"]
        facts = daemon.ask(f"/api/jobs/{published['id']}")[1]
        assert "Ada Lovelace and Alan Turing on Weaving, 2026-11-20T10:00:00+01:00" in str(facts)
        mails = [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in (place.root / "outbox").glob("*.eml")
        ]
        assert sorted(mail["To"].addresses[0].addr_spec for mail in mails) == ["ada@example.org", "alan@example.org"]
        assert {mail["Subject"] for mail in mails} == {'Your talk "Loops, and how to leave them" is online'}
        assert TOKEN not in daemon.log.read_text() + str(facts)
        far.permissions.clear()
        until(lambda: "make a new one at /orga/me" in reasons(daemon), "health says that the token was revoked")
        assert "vidd goes on with the 2 talks that it read last." in reasons(daemon)
        daemon.stopped()
    with place.daemon(**SECRETS) as daemon:
        daemon.ready()
        until(lambda: "goes on with the 2 talks" in reasons(daemon), "the programme is still away")
        place.drop(clip, "again_KNOTS2_000000_000002.mp4")
        until(lambda: len(daemon.jobs(state="excluded")) == 2, "the last good copy says what must not be published")
        daemon.stopped()
    sent = place.journal(lambda store: store.publications(published["id"]))
    assert {publication.name: publication.state for publication in sent} == dict.fromkeys(
        ("s3", "mail", "pretalx"), PublicationState.DONE
    )
