"""A talk is published; its captions follow, from its speech, to YouTube and the library; whatever fails, the talk is out."""

import json
import re
from contextlib import contextmanager

import pytest
from footage.speech import SENTENCE, speech_video
from peers.certificates import make_certificate
from peers.daemon import until
from peers.daemon_texts import talk
from peers.oauth import CLIENT_ID, CLIENT_SECRET
from peers.youtube import YouTube

pytestmark = pytest.mark.daemon

ACCOUNT = """
[accounts.channel]
kind = "youtube"
client_id = "{client}"
client_secret = "{secret}"
refresh_token = "{token}"
token_url = "{youtube}/token"
api_url = "{youtube}"
ca = "{ca}"
"""
CAPTIONS = """
[[pipelines.talks.publish]]
kind = "youtube"
account = "channel"
retract = "private"
poll = "200ms"

[sources.captions]
kind = "published"
of = "talks"
pipeline = "captions"

[[pipelines.captions.steps]]
kind = "captions"
[pipelines.captions.steps.engine]
{engine}

[[pipelines.captions.publish]]
kind = "youtube_captions"
settle = "0s"
[[pipelines.captions.publish]]
kind = "folder"
label = "library"
path = "library"
name = "{{{{ talk.id }}}}{{{{ suffix }}}}"
retract = "delete"
[[pipelines.captions.notify]]
kind = "mail"
outbox = "told"
to = ["team@example.org"]
sender = "vidd@example.org"
on = "failed"
"""
SPHINX = 'kind = "pocketsphinx"'
# A recogniser whose words are what the file `words` says; it waits while there is a file `wait`.
SCRIPT = """#!/bin/sh
echo run >> "$1/runs"
while [ -e "$1/wait" ]; do sleep 0.05; done
cp "$1/words.srt" "$2.srt"
"""
PROGRAM = 'kind = "program"\nargv = ["{root}/recogniser", "{root}", "{{{{ output }}}}"]'
SRT = "1\n00:00:00,500 --> 00:00:02,000\n{}\n"


@contextmanager
def studio(place, engine, *changes):
    """A place whose talks go to a YouTube, and whose captions this engine makes."""
    (place.root / "tls").mkdir()
    certificate = make_certificate(place.root / "tls")
    youtube = YouTube()
    (place.root / "recogniser").write_text(SCRIPT)
    (place.root / "recogniser").chmod(0o755)
    (place.root / "words.srt").write_text(SRT.format("So it is"))
    with youtube.serving(certificate):
        account = ACCOUNT.format(
            client=CLIENT_ID,
            secret=CLIENT_SECRET,
            token=youtube.oauth.sign_in(),
            youtube=youtube.url,
            ca=certificate.file,
        )
        place.settings(
            ('fade = "500ms"', 'fade = "0s"'),
            *changes,
            more=account + CAPTIONS.format(engine=engine.format(root=place.root)),
        )
        yield youtube


def tracks(youtube):
    """(language, text) of the caption tracks of each video."""
    with youtube.lock:
        return {
            video.id: {caption["snippet"]["language"]: caption["media"].decode() for caption in video.captions}
            for video in youtube.videos.values()
        }


def library(place):
    return sorted(path.name for path in (place.root / "library").glob("*"))


def the_captions(running, state):
    return running.job(state, pipeline="captions")


def test_the_captions_of_a_talk_arrive_after_it_with_its_words_at_their_times(place, tmp_path):
    [[(_, start, end), (_, again, until_then)]] = speech_video(
        tmp_path / "talk.mp4", (1.0, SENTENCE, 2.0, SENTENCE, 0.5)
    )
    length = int(until_then) + 1
    with studio(place, SPHINX) as youtube, place.daemon() as running:
        place.drop(tmp_path / "talk.mp4", f"Main_t1_000000_0000{length:02}.mp4")
        talk_job = running.job("published", pipeline="talks")
        made = the_captions(running, "published")
        [video] = youtube.videos
        words = json.loads((place.root / "library/t1.json").read_text())["words"]
        assert [word["word"] for word in words] == 2 * SENTENCE.split()
        for word, true in ((words[0], start), (words[9], again)):
            assert abs(word["start"] - true) < 0.5
        for word, true in ((words[8], end), (words[17], until_then)):
            assert abs(word["end"] - true) < 0.5
        assert library(place) == ["t1.json", "t1.srt", "t1.txt", "t1.vtt"]
        srt = (place.root / "library/t1.srt").read_text()
        assert tracks(youtube) == {video: {"en": srt}}
        assert [" ".join(block.split("\n")[2:]) for block in srt.strip().split("\n\n")] == [SENTENCE, SENTENCE]
        assert made["created"] > talk_job["created"]
        log = running.log.read_text()
        out = re.search(rf'"job": "{talk_job["id"]}".*"state": "published"', log)
        first = re.search(rf'"job": "{made["id"]}"', log)
        assert out is not None
        assert out.start() < first.start()
        running.stopped()
    assert list((place.root / "published/captions").iterdir()) == []


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        ('kind = "program"\nargv = ["a-recogniser-that-is-not-there", "{{{{ output }}}}"]', "no program"),
        ('kind = "program"\nargv = ["sh", "-c", "echo no model; exit 3"]', "no model"),
        ('kind = "program"\nargv = ["sleep", "60"]\nstall = "300ms"', "made no progress"),
        (SPHINX, "No speech was recognised"),
    ],
    ids=["missing", "crashing", "hanging", "silent"],
)
def test_a_recogniser_that_is_missing_crashes_hangs_or_hears_nothing_leaves_the_talk_out(place, clip, engine, sentence):
    retries = ('[retry]\nfirst = "200ms"', '[retry]\nfirst = "200ms"\nattempts = 2')
    with studio(place, engine, retries) as youtube, place.daemon() as running:
        place.drop(clip)
        talk_job = running.job("published", pipeline="talks")
        failed = the_captions(running, "refused")
        assert sentence in failed["reason"]
        [video] = youtube.videos.values()
        assert (video.status["uploadStatus"], video.captions) == ("processed", [])
        until(lambda: list((place.root / "told").glob("*.eml")), "people are told")
        assert running.ask(f"/api/jobs/{talk_job['id']}")[1]["state"] == "published"
        assert library(place) == []
        running.stopped()


def test_a_rework_makes_new_captions_in_place_of_the_old_and_a_retraction_takes_them_back(place, clip):
    kept = ("[pipelines.talks]\n", '[pipelines.talks]\nkeep = "1d"\n')
    with studio(place, PROGRAM, kept) as youtube, place.daemon() as running:
        place.drop(clip)
        talk_job = running.job("published", pipeline="talks")
        first = the_captions(running, "published")
        [video] = youtube.videos
        [track] = [caption["id"] for caption in youtube.videos[video].captions]
        (place.root / "words.srt").write_text(SRT.format("So it was"))
        code, _, said = place.vidd("rework", talk_job["id"], "--step", "trim", "--set", "trim.crf=30")
        assert (code, said) == (0, "")
        until(lambda: running.ask(f"/api/jobs/{first['id']}")[1]["state"] == "cancelled", "the old captions gave way")
        second = the_captions(running, "published")
        assert second["id"] != first["id"]
        assert [caption["id"] for caption in youtube.videos[video].captions] == [track]
        assert "So it was" in tracks(youtube)[video]["en"]
        assert "So it was" in (place.root / "library/t1.srt").read_text()

        until(lambda: running.ask(f"/api/jobs/{talk_job['id']}")[1]["state"] == "published", "the talk rests")
        assert place.vidd("retract", talk_job["id"])[0] == 0
        until(
            lambda: running.ask(f"/api/jobs/{second['id']}")[1]["state"] == "cancelled", "the captions are taken back"
        )
        assert tracks(youtube) == {video: {}}
        assert library(place) == []
        running.stopped()


@pytest.mark.parametrize(
    ("target", "when", "where"),
    [
        ("vidd.engine.handover:hand_over", "before", "True"),
        ("vidd.engine.job_run:hand_over", "after", "True"),
        (
            "vidd.stores.sqlite.store:SqliteStore.save",
            "after",
            "args[1].state == 'published' and args[1].pipeline == 'talks'",
        ),
        ("vidd.stores.sqlite.store:SqliteStore.admit", "after", "args[1] and args[1][0].pipeline == 'captions'"),
    ],
)
def test_a_daemon_killed_between_talk_and_captions_makes_them_once_afterwards(place, clip, target, when, where):
    with studio(place, PROGRAM) as youtube:
        with place.daemon(fate={"target": target, "when": when, "where": where}) as running:
            place.drop(clip)
            assert running.ended() == -9
        with place.daemon() as running:
            the_captions(running, "published")
            assert len(running.jobs(pipeline="captions")) == len(youtube.videos) == 1
            [track] = tracks(youtube).values()
            assert "So it is" in track["en"]
            assert (place.root / "runs").read_text().count("run") == 1
            running.stopped()


def test_captions_that_wait_leave_room_for_talks(place, clip):
    few = ("[limits]\n", "[limits]\njobs = 2\n")
    with studio(place, PROGRAM, few) as youtube:
        place.programme(talk("t1"), talk("t2"), talk("t3"))
        (place.root / "wait").touch()
        with place.daemon() as running:
            for number in (1, 2):
                place.drop(clip, f"Main_t{number}_000000_000003.mp4")
            until(lambda: len(youtube.videos) == 2, "two talks are out")
            until((place.root / "runs").exists, "a recogniser runs")
            until(lambda: len(running.jobs(pipeline="captions")) == 2, "both have captions to come")
            place.drop(clip, "Main_t3_000000_000003.mp4")
            until(lambda: len(youtube.videos) == 3, "the third talk is out")
            assert all(not found for found in tracks(youtube).values())
            (place.root / "wait").unlink()
            until(lambda: all(tracks(youtube).values()), "all have captions")
            running.stopped()
