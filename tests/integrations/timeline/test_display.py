"""A finished video is put where the service shows it, is watched there, and is removed again."""

import asyncio
import os
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from builders.mail import Sent, artifact, job
from builders.timeline import Life

from vidd.errors import Refused, RetryLater
from vidd.files.tree import tree_artifact
from vidd.integrations.timeline import publisher
from vidd.integrations.timeline.publisher import Options
from vidd.integrations.timeline.videos import file_path, read_video, remove_old_videos
from vidd.model.job import State
from vidd.model.media import Media, Video

DAY = 86400
FINISHED = (State.READY, State.WORKING, State.PUBLISHING, State.PUBLISHED)
MADE = {"slideshow-webm": "slideshow.webm", "slideshow-mp4": "slideshow.mp4", "slideshow-av1": "slideshow-av1.mp4",
        "rendition-480p": "480p.mp4", "poster": "poster.jpg"}  # fmt: skip


class Page(HTMLParser):
    """What a page has: its elements with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag, attribute):
        return [attributes[attribute] for name, attributes in self.elements if name == tag and attribute in attributes]


@pytest.fixture
async def life(tmp_path):
    async with Life({"keep": "30d"}, tmp_path / "state").running() as life:
        yield life


def sent(state, made, *, video=f"ada-{'a' * 32}", **facts):
    """The publication of a job with these files."""
    directory = state.parent / "job"
    (directory / "cards").mkdir(parents=True, exist_ok=True)
    (directory / "cards/0001.png").write_bytes(b"png")
    media = Media("mp4", 60.0, 9, (Video("h264", 1920, 1080, 30.0),))
    artifacts = {
        role: replace(artifact(directory, role, role.encode(), name), media=media) for role, name in made.items()
    }
    artifacts["cards"] = tree_artifact("cards", directory, "cards")
    of_job = {"video_id": video, "user": "ada", "network": "x", "origin": "https://videos.example.org"}
    return Sent(directory, kind="display", state=state, job=job(facts=of_job), artifacts=artifacts, facts=facts)


def add_stream(given, directory):
    for name in ("master.m3u8", "720p/init.mp4", "720p/1.m4s"):
        (directory / "hls" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "hls" / name).write_text(name)
    given._made["artifacts"]["hls"] = tree_artifact("hls", directory, "hls")


async def publish(life, video, made=None, **facts):
    given = sent(life.state, made or MADE, video=video, **facts)
    return await publisher.publish(Options(), given.context())


async def test_a_browser_is_told_the_codecs_where_a_step_names_them(life):
    video = await life.begin()
    given = sent(life.state, {"slideshow-ogg": "slideshow.ogg"}, video=video)
    made = given._made["artifacts"]
    made["slideshow-ogg"] = replace(made["slideshow-ogg"], facts={"type": 'video/ogg; codecs="theora, vorbis"'})
    await publisher.publish(Options(), given.context())
    await life.move(video, *FINISHED)
    _, html, _ = await life.get(f"/display/{video}")
    assert Page(html).all("source", "type") == ['video/ogg; codecs="theora, vorbis"']


async def test_every_format_is_shown_and_can_be_downloaded_by_ranges_with_its_type(life):
    video = await life.begin()
    given = sent(life.state, MADE, video=video)
    add_stream(given, life.state.parent / "job")
    receipt = await publisher.publish(Options(), given.context())
    assert receipt.url == f"https://videos.example.org/display/{video}"
    await life.move(video, *FINISHED)
    status, html, _ = await life.get(f"/display/{video}")
    page = Page(html)
    names = [f"{video}{end}" for end in (".webm", ".mp4", "-av1.mp4", "-480p.mp4", "-hls/master.m3u8")]
    assert status == 200
    assert page.all("source", "src") == [f"../video/{name}" for name in names]
    assert page.all("a", "href") == [f"../video/{name}" for name in names[:-1]]
    assert page.all("video", "poster") == [f"../video/{video}.jpg"]
    types = ["video/webm", "video/mp4", "video/mp4", "video/mp4", "application/vnd.apple.mpegurl"]
    assert page.all("source", "type") == types
    assert "Posts of ada" in page.text
    assert " 0.0 kB" in page.text
    assert "480p, 1920 × 1080" in page.text  # noqa: RUF001
    for name, kind in zip(
        [*names, f"{video}-hls/720p/1.m4s", f"{video}.jpg"], [*types, "video/iso.segment", "image/jpeg"], strict=True
    ):
        async with life.http.get(f"/video/{name}", headers={"Range": "bytes=1-2"}) as answer:
            assert (answer.status, answer.content_type, len(await answer.read())) == (206, kind, 2)
        async with life.http.get(f"/video/{name}", headers={"If-None-Match": answer.headers["ETag"]}) as again:
            assert again.status == 304
    assert (await life.progress(video))["error"] is None


@pytest.mark.parametrize(
    ("asked", "order"),
    [("av1", ["-av1.mp4", ".mp4", "-480p.mp4", ".ogg"]), ("ogg", [".mp4", "-av1.mp4", "-480p.mp4", ".ogg"])],
)
async def test_a_player_tries_the_format_that_was_asked_for_first_and_ogg_last(tmp_path, asked, order):
    made = {"slideshow-ogg": "slideshow.ogg", "slideshow-mp4": "slideshow.mp4", "slideshow-av1": "slideshow-av1.mp4"}
    given = sent(tmp_path / "state", {**made, "rendition-480p": "480p.mp4"}, format=asked)
    await publisher.publish(Options(), given.context())
    [directory] = (tmp_path / "state/display").iterdir()
    shown = read_video(directory.parent, directory.name)
    assert [file.name.removeprefix(directory.name) for file in shown.files] == order


async def test_the_page_needs_no_script_and_allows_none(life):
    video = await life.begin()
    for states in ((), FINISHED):
        if states:
            await publish(life, video, notes=["Picture of post 3 is missing: <b>gone</b>."])
            await life.move(video, *states)
        _, html, headers = await life.get(f"/display/{video}")
        page = Page(html)
        assert {name for name, _ in page.elements} & {"script", "b", "iframe"} == set()
        assert not [
            name for _, attributes in page.elements for name in attributes if name.startswith("on") or name == "style"
        ]
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
    assert "Picture of post 3 is missing: <b>gone</b>." in page.text


async def test_until_it_is_finished_the_page_shows_the_progress_and_asks_again(life):
    video = await life.begin()
    status, html, headers = await life.get(f"/display/{video}")
    page = Page(html)
    assert (status, headers["Refresh"]) == (200, "3")
    assert "In queue" in page.text
    assert page.all("progress", "value") == ["0"]
    assert page.all("section", "role") == ["status"]


async def test_of_a_failure_the_page_has_the_sentence_and_asks_no_more(life):
    video = await life.begin()
    await life.move(video, State.READY, State.WORKING, State.REFUSED, reason="X has suspended @ada.")
    status, html, headers = await life.get(f"/display/{video}")
    assert (status, "Refresh" in headers) == (200, False)
    assert "X has suspended @ada." in Page(html).text


async def test_where_there_is_no_video_the_page_says_so(life):
    status, html, _ = await life.get("/display/nope")
    assert (status, "There is no video at this address." in Page(html).text) == (404, True)


@pytest.mark.parametrize(
    "path",
    [
        "nope", "..%2f..%2fjobs.sqlite", "%00", "ID/..%2f..%2fjobs.sqlite", "ID.mp4/..", "ID-hls/..%2f..", "ID/video.json",
        "ID-hls/.hidden", "ID", "ID.mp4%0a", "ID.",
    ],
)  # fmt: skip
async def test_no_other_file_can_be_asked_for(life, path):
    video = await life.begin()
    await publish(life, video)
    (life.state / "jobs.sqlite").write_text("secret")
    status, body, _ = await life.get(f"/video/{path.replace('ID', video)}")
    assert status == 404
    assert "secret" not in str(body)


@pytest.mark.parametrize("part", ["..", ".", "", ".hidden", "a/b", "a\0", "a\n", "a" * 82])
def test_no_part_of_an_address_leads_out_of_a_stream(tmp_path, part):
    stream = f"ada-{'a' * 32}-hls"
    assert file_path(tmp_path, stream, "720p", "1.m4s") == tmp_path / f"ada-{'a' * 32}" / stream / "720p/1.m4s"
    assert file_path(tmp_path, stream, part) is None
    assert file_path(tmp_path, stream, "720p", part) is None
    assert file_path(tmp_path, f"{stream}/{part}") is None


async def test_a_video_is_kept_for_so_long_and_then_its_address_says_that_it_was_removed(life):
    video, young = await life.begin(), await life.begin()
    for each in (video, young):
        await publish(life, each)
        await life.move(each, *FINISHED)
    now = life.clock.now().timestamp()
    for each, age in ((video, 30 * DAY), (young, 29 * DAY)):
        os.utime(life.state / "display" / each / "video.json", (now - age, now - age))
    leftover = life.state / "display/.ada.part"
    leftover.mkdir()
    os.utime(leftover, (now - 2 * DAY, now - 2 * DAY))
    assert remove_old_videos(life.state / "display", now, 30 * DAY) == 1
    assert [path.name for path in (life.state / "display").iterdir()] == [young]
    assert (await life.get(f"/video/{young}.mp4"))[0] == 200
    life.clock.forward(30 * DAY)
    progress = await life.progress(video)
    assert (progress["finished"], progress["error"]) == (
        True, "The video was removed: videos are kept for 30 days here.",
    )  # fmt: skip
    status, html, _ = await life.get(f"/display/{video}")
    assert (status, "kept for 30 days" in Page(html).text) == (410, True)
    assert (await life.get(f"/video/{video}.mp4"))[0] == 404


async def test_the_watcher_removes_what_is_too_old(tmp_path):
    life = Life({"keep": "1h"}, tmp_path / "state")
    async with life.running():
        video = await life.begin()
        await publish(life, video)
        old = life.clock.now().timestamp() - 3600
        os.utime(life.state / "display" / video / "video.json", (old, old))
        while life.clock._sleepers == []:  # noqa: ASYNC110 - until the watcher rests
            await asyncio.sleep(0)
        life.clock.forward(600)
        while (life.state / "display" / video).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_crash_after_the_rename_is_found_out_and_nothing_is_copied_again(tmp_path):
    given = sent(tmp_path / "state", MADE)
    receipt = await publisher.publish(Options(), given.context())
    assert await publisher.reconcile(Options(), given.context()) == receipt
    next((tmp_path / "state/display").rglob("*.webm")).write_bytes(b"other")
    assert await publisher.reconcile(Options(), given.context()) is None


async def test_a_rework_replaces_the_video_as_a_whole(tmp_path):
    state = tmp_path / "state"
    await publisher.publish(Options(), sent(state, MADE).context())
    again = sent(state, {"slideshow-mp4": "slideshow.mp4"})
    await publisher.replace_files(Options(), again.context())
    [directory] = (state / "display").iterdir()
    assert sorted(path.name for path in directory.iterdir()) == [f"{directory.name}.mp4", "video.json"]
    assert [file.role for file in read_video(state / "display", directory.name).files] == ["slideshow-mp4"]


async def test_a_retraction_removes_the_video_and_can_be_repeated(tmp_path):
    given = sent(tmp_path / "state", MADE)
    receipt = await publisher.publish(Options(), given.context())
    given._made["publication"] = replace(given._made["publication"], receipt=receipt)
    assert (await publisher.retract(Options(), given.context())).endswith("was removed.")
    assert list((tmp_path / "state/display").iterdir()) == []
    assert (await publisher.retract(Options(), given.context())).endswith("was removed before.")


async def test_on_a_full_disk_it_waits_and_shows_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publisher, "replace_tree", full)
    with pytest.raises(RetryLater, match="disk was full"):
        await publisher.publish(Options(), sent(tmp_path / "state", MADE).context())
    assert list((tmp_path / "state/display").iterdir()) == []


@pytest.mark.parametrize(
    ("made", "video", "sentence"),
    [({"poster": "poster.jpg"}, f"ada-{'a' * 32}", "There is no video to show"), (MADE, "../etc", "no id of a video")],
)
async def test_a_job_without_a_video_or_an_id_is_refused(tmp_path, made, video, sentence):
    with pytest.raises(Refused, match=sentence):
        await publisher.publish(Options(), sent(tmp_path / "state", made, video=video).context())


async def test_the_check_leaves_nothing_behind(tmp_path):
    given = sent(tmp_path / "state", {})
    assert "can be written to" in await publisher.check(Options(), given.context().tools)
    assert not (tmp_path / "state").exists()
