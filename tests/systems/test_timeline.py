"""The timeline service as its clients use it: a call, the progress, the page, the files, the mail.

The daemon runs the pipeline of etc/examples/timeline.toml on posts of a server that speaks as X does; only the pictures
are smaller and shown shorter.
"""

import email.policy
import json
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import av
import pytest
from builders.posts import PNG, tweet
from peers.chromium import needs_chromium, open_tab
from peers.daemon import Place, until
from peers.x import TOKEN, X

from vidd.cli.demo_daemon import free_port

pytestmark = pytest.mark.daemon

EXAMPLE = Path(__file__).parents[2] / "etc/examples/timeline.toml"
SHOWN, FPS = 0.5, 30


@dataclass
class Service:
    """The service, and what it reads from."""

    base: str
    x: X
    root: Path

    def ask(self, address, **headers):
        """Status, headers and body."""
        address = address if address.startswith("http") else self.base + address
        try:
            with urlopen(Request(address, headers=headers), timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except HTTPError as error:
            return error.code, error.headers, error.read()

    def json(self, address):
        return json.loads(self.ask(address)[2])

    def begin(self, **query):
        return self.json(f"/video?{urlencode(query)}")

    def end(self, address):
        """What the progress says at the end."""
        return until(lambda: (progress := self.json(address))["finished"] and progress, "the video is finished")


def settings(root, x, port):
    text = EXAMPLE.read_text()
    post = text.partition("[accounts.post]")[2].partition("\n\n")[0]
    for old, new in {
        'state = "/var/lib/vidd"': f'state = "{root}"',
        "127.0.0.1:5000": f"127.0.0.1:{port}",
        'kind = "x"\n': f'kind = "x"\napi_url = "{x.url}"\ntoken = "{TOKEN}"\n',
        f"[accounts.post]{post}\n\n": '[limits]\ndisk_reserve = "1MiB"\n\n',
        'account = "post"\n': "",
        "\nseconds = 3 ": f"\nseconds = {SHOWN} ",
        "# replies = false": "private_addresses = true  # replies = false",
        "# crossfade": 'size = "320x180"  # crossfade',
        "height = 720": "height = 144",
        "height = 480": "height = 96",
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    x, root, port = X(), tmp_path_factory.mktemp("timeline"), free_port()
    with x.serving(None):
        x.pictures["ada.png"] = PNG
        x.add("ada", tweet(3, "Three"), tweet(2, "Two &amp; a half"), tweet(1, "One"))
        x.add("empty")
        x.suspended.add("eve")
        x.add("eve", tweet(9))
        x.add("grace", tweet(9), protected=True)
        place = Place(root)
        place.config.write_text(settings(root, x, port))
        with place.daemon() as running:
            running.ready()
            yield Service(f"http://127.0.0.1:{port}", x, root)
            running.stopped()


def length(content, tmp_path):
    """Seconds of a video's first track, counted by its frames."""
    (tmp_path / "video").write_bytes(content)
    with av.open(str(tmp_path / "video")) as video:
        return sum(1 for _ in video.decode(video=0)) / FPS


def test_a_call_ends_with_files_that_play_a_page_that_shows_them_and_a_mail(service, tmp_path):
    answer = service.begin(user="@ada", format="webm", email="ada@example.org")
    assert answer["response"] == f"Creating video named {answer['video_id']}.webm."
    end = service.end(answer["progress_url"])
    assert (end["status"], end["percent"], end["error"]) == ("Video finished!", 100, None)
    for name, kind in (
        (".webm", "video/webm"),
        (".mp4", "video/mp4"),
        ("-144p.mp4", "video/mp4"),
        ("-96p.mp4", "video/mp4"),
    ):
        status, headers, content = service.ask(f"/video/{answer['video_id']}{name}")
        assert (status, headers["Content-Type"]) == (200, kind)
        assert length(content, tmp_path) == 3 * SHOWN
    status, headers, content = service.ask(f"/video/{answer['video_id']}.mp4", Range="bytes=4-7")
    assert (status, content) == (206, b"ftyp")
    status, _, page = service.ask(answer["display_url"])
    assert status == 200
    for name in (".webm", ".mp4", "-144p.mp4", "-96p.mp4"):
        assert f'<source src="../video/{answer["video_id"]}{name}"' in page.decode()
    [file] = (service.root / "outbox").glob("*.eml")
    mail = BytesParser(policy=email.policy.default).parsebytes(file.read_bytes())
    assert (mail["To"], mail["Subject"]) == ("ada@example.org", "Your video is ready!")
    assert answer["display_url"] in mail.get_content()


PLAY = """(async () => {
    const video = document.querySelector("video");
    const ended = new Promise(done => { video.onended = done; });
    video.muted = true;
    await video.play();
    await ended;
    return [video.currentSrc, video.videoWidth, video.currentTime];
})()"""


@needs_chromium
@pytest.mark.browser
async def test_a_browser_plays_each_format_to_the_end_or_the_next_one(service):
    answers = {form: service.begin(user="ada", format=form) for form in ("webm", "av1", "ogg")}
    played = {}
    async with open_tab("about:blank") as tab:
        for form, answer in answers.items():
            service.end(answer["progress_url"])
            await tab.call("Page.navigate", url=answer["display_url"])
            await tab.until("document.querySelector('video source')")
            address, *seen = await tab.run(PLAY)
            played[form] = address.removeprefix(f"{service.base}/video/{answer['video_id']}"), *seen
        assert tab.errors == []
    # Chromium plays no Theora any more, and takes another source.
    assert played == {
        form: (end, 320, 3 * SHOWN) for form, end in (("webm", ".webm"), ("av1", "-av1.mp4"), ("ogg", ".mp4"))
    }


def the_first_client(service, user):
    """Reads `url`, asks it until it says finished, and says that the video is ready."""
    answer = service.begin(user=user)
    end = service.end(answer["url"])
    return end, f"Video is ready! {answer['response']}"


def the_later_client(service, user):
    """Reads `progress_url` until it says finished, and names `display_url`."""
    answer = service.begin(user=user)
    end = service.end(answer["progress_url"])
    return end, f"Video is ready! Watch it at {answer['display_url']}"


@pytest.mark.parametrize("client", [the_first_client, the_later_client])
def test_both_original_clients_end_with_a_video(service, client):
    before = len(list((service.root / "outbox").glob("*.eml")))
    end, said = client(service, "ada")
    assert said.startswith("Video is ready!")
    assert (end["error"], (service.root / "display" / end["video_id"] / f"{end['video_id']}.mp4").is_file()) == (
        None,
        True,
    )
    # Nobody asked for a mail.
    assert len(list((service.root / "outbox").glob("*.eml"))) == before


@pytest.mark.parametrize("client", [the_first_client, the_later_client])
@pytest.mark.parametrize(
    ("user", "why"),
    [("nobody", "@nobody"), ("empty", "There are no posts"), ("eve", "suspended"), ("grace", "protected")],
)
def test_both_original_clients_end_too_where_there_will_be_no_video(service, client, user, why):
    end, _ = client(service, user)
    assert end["finished"] is True
    assert why in end["error"]
    assert not (service.root / "display" / end["video_id"]).exists()
    assert service.ask(f"/video/{end['video_id']}.mp4")[0] == 404
    status, _, page = service.ask(f"/display/{end['video_id']}")
    assert (status, why in page.decode()) == (200, True)


def test_a_rate_limit_is_said_with_its_end(service):
    service.x.limit, service.x.reset = 0, 4_000_000_000
    try:
        answer = service.begin(user="ada")
        progress = until(lambda: (told := service.json(answer["url"]))["detail"] and told, "it waits")
    finally:
        service.x.limit = None
    assert (progress["finished"], progress["status"]) == (False, "Generating images from ada's tweets")
    assert "rate limit" in progress["detail"]
    assert progress["until"] is not None


def test_what_there_is_not_is_said_in_json(service):
    for address, status in (("/progress/nope", 404), ("/video/nope", 404), ("/video", 422), ("/video?user=", 422)):
        answered, headers, body = service.ask(address)
        assert (answered, headers.get_content_type()) == (status, "application/problem+json")
        assert json.loads(body)["detail"]
