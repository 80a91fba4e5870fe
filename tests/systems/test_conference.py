"""Talkbot's story, whole: a file name in; YouTube, Facebook, the library, mails and the sheet out; then the sheet steers."""

import json
from contextlib import ExitStack, contextmanager
from email import message_from_bytes
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from peers.certificates import make_certificate
from peers.daemon import until
from peers.facebook import Facebook
from peers.oauth import CLIENT_ID, CLIENT_SECRET, OAuth
from peers.servers import ministack
from peers.sheets import READING, SHEETS, Sheets
from peers.youtube import YouTube

pytestmark = pytest.mark.daemon

SETTINGS = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"
grace = "5s"
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
access_key = "test"
secret_key = "test"
[accounts.channel]
kind = "youtube"
client_id = "{client}"
client_secret = "{secret}"
refresh_token = "{token}"
token_url = "{youtube}/token"
api_url = "{youtube}"
ca = "{ca}"
[accounts.page]
kind = "facebook"
page = "1001"
token = "EAAPAGETOKEN1001SECRET"
url = "{facebook}"
video_url = "{facebook}"
ca = "{ca}"
[accounts.google]
kind = "google"
service_account_file = "{root}/robot.json"
sheets_url = "{sheets}"
drive_url = "{sheets}"
ca = "{ca}"

[sources.recordings]
kind = "folder"
path = "in"
pipeline = "talks"
settle = "100ms"
rescan = "500ms"
[sources.programme]
kind = "sheet"
spreadsheet = "book-1"
account = "google"
refresh = "1s"

[pipelines.talks]
programme = "programme"
[[pipelines.talks.steps]]
kind = "trim"
fade = "500ms"
preset = "ultrafast"
[[pipelines.talks.steps]]
kind = "describe"
[[pipelines.talks.publish]]
kind = "youtube"
account = "channel"
privacy = "public"
retract = "delete"
poll = "500ms"
[[pipelines.talks.publish]]
kind = "facebook"
account = "page"
look_again = "500ms"
[[pipelines.talks.publish]]
kind = "s3"
label = "library"
account = "library"
bucket = "library"
retract = "delete"
[[pipelines.talks.notify]]
kind = "mail"
outbox = "outbox"
[[pipelines.talks.notify]]
kind = "sheet"
spreadsheet = "book-1"
account = "google"
"""
HEADINGS = [
    "uuid",
    "title",
    "description",
    "speakers",
    "emails",
    "stage",
    "exclude",
    "private",
    "resend mail",
    "status",
]
HEADINGS += ["link", "library link"]
ROW = ["t1", "On <Looms>", "How they weave.", "Ada; Grace", "ada@t1.example; grace@t1.example", "Main Stage"]
OTHER = ["t2", "Kept back", "", "Ada", "ada@t2.example", "Main Stage", "1"]


@contextmanager
def conference(place):
    with ExitStack() as stack:
        (place.root / "tls").mkdir()
        certificate = make_certificate(place.root / "tls")
        youtube, facebook, sheets = YouTube(), Facebook(), Sheets(OAuth())
        youtube.looks, youtube.lag = 2, 1.0
        for one in (youtube, facebook, sheets):
            stack.enter_context(one.serving(certificate))
        s3 = stack.enter_context(ministack())
        library = boto3.client(
            "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        stack.callback(library.close)
        library.create_bucket(Bucket="library")
        facebook.page()
        key = sheets.oauth.add_service_account(f"{sheets.url}/token", "robot@project.example", scopes=(SHEETS, READING))
        (place.root / "robot.json").write_text(key)
        tab = sheets.book().add("Main Stage", [HEADINGS, ROW, OTHER], height=20, width=16)
        place.config.write_text(
            SETTINGS.format(
                root=place.root, s3=s3, youtube=youtube.url, facebook=facebook.url, sheets=sheets.url,
                ca=certificate.file, token=youtube.oauth.sign_in(), client=CLIENT_ID, secret=CLIENT_SECRET,
            )
        )  # fmt: skip
        yield SimpleNamespace(youtube=youtube, facebook=facebook, sheets=sheets, library=library, tab=tab)


def cell(world, talk, heading):
    with world.sheets.lock:
        return world.tab.text(world.tab.row_of(talk), HEADINGS.index(heading))


def write(world, talk, heading, text):
    with world.sheets.lock:
        world.tab.type(world.tab.row_of(talk), HEADINGS.index(heading), text)
        world.sheets.book().version += 1


def letters(place):
    return sorted(message_from_bytes(one.read_bytes())["To"] for one in (place.root / "outbox").glob("*.eml"))


def keys(world):
    return [one["Key"] for one in world.library.list_objects_v2(Bucket="library").get("Contents", ())]


def test_a_talk_goes_everywhere_follows_its_row_and_is_taken_back(place, clip):
    with conference(place) as world, place.daemon() as running:
        place.drop(clip, "Main_t1_000000_000003.mp4")
        place.drop(clip, "Main_t2_000000_000003.mp4")
        job = running.job("published")
        [video] = world.youtube.videos.values()
        [film] = world.facebook.published()
        link = f"https://youtu.be/{video.id}"
        assert job["link"] == link
        assert (video.snippet["title"], video.status["privacyStatus"]) == ("On \u2039Looms\u203a", "public")
        assert video.snippet["description"] == "Ada and Grace\n\nHow they weave."
        assert {"Ada", "Grace", "Main Stage"} < set(video.snippet["tags"])
        [playlist] = world.youtube.titled("Main Stage")
        assert [one[1] for one in playlist.items] == [video.id]
        assert "Ada and Grace" in film.description
        assert (film.sha256, len(keys(world))) == (video.arrived.sum, 1)
        assert letters(place) == ["Ada <ada@t1.example>", "Grace <grace@t1.example>"]
        until(lambda: cell(world, "t1", "status") == "published", "the row says so")
        assert cell(world, "t1", "link") == link
        assert keys(world)[0] in cell(world, "t1", "library link")
        [excluded] = [one for one in running.jobs() if one["state"] == "excluded"]

        write(world, "t1", "description", "How they weave today.")
        until(lambda: "today" in video.snippet["description"], "the video's description follows")
        until(lambda: "today" in film.description, "the page's too")
        write(world, "t1", "private", "1")
        until(lambda: video.status["privacyStatus"] == "private", "the video is private")
        write(world, "t1", "private", "")
        until(lambda: video.status["privacyStatus"] == "public", "it is public again")
        write(world, "t1", "resend mail", "1")
        until(lambda: len(letters(place)) == 4, "both mails are out once more")
        assert (len(world.youtube.videos), len(world.facebook.published())) == (1, 1)

        write(world, "t2", "exclude", "")
        until(lambda: len(world.youtube.videos) == 2, "what is no longer excluded goes out")
        until(lambda: cell(world, "t2", "status") == "published", "its row says so")
        until(lambda: running.ask(f"/api/jobs/{excluded['id']}")[1]["state"] == "published", "it is published")

        until(lambda: running.ask(f"/api/jobs/{job['id']}")[1]["state"] == "published", "it rests")
        code, _, said = place.vidd("retract", job["id"])
        assert (code, said) == (0, "")
        until(lambda: running.ask(f"/api/jobs/{job['id']}")[1]["state"] == "cancelled", "it was taken back")
        assert [one.id for one in world.youtube.videos.values()] != [video.id]
        assert video.id not in world.youtube.videos
        assert [one.id for one in world.facebook.published() if one.id == film.id] == []
        assert len(keys(world)) == 1
        until(lambda: cell(world, "t1", "status") == "retracted", "the row says that it is gone")
        assert cell(world, "t1", "link") == ""
        assert json.dumps(running.ask(f"/api/jobs/{job['id']}")[1]).count("retracted") >= 3
