"""Chromium plays slideshows that vidd's own port serves, to the end."""

from contextlib import asynccontextmanager

import pytest
from builders.slides import GREYS, slides_step
from builders.web import FakeControl, open_port
from footage import clips
from peers.chromium import needs_chromium, open_tab

from vidd.ports import Reply, SourceRoute
from vidd.steps import slideshow

pytestmark = [pytest.mark.browser, pytest.mark.media, needs_chromium]

FILES = {"mp4": "slideshow.mp4", "webm": "slideshow.webm", "av1": "slideshow-av1.mp4", "ogg": "slideshow.ogg"}
PLAY = """new Promise((done) => {
    const video = document.querySelector('video');
    const tell = () => done({
        width: video.videoWidth, height: video.videoHeight, duration: video.duration, at: video.currentTime,
        ended: video.ended, error: video.error && video.error.code, played: video.currentSrc.split('/').pop(),
    });
    video.addEventListener('ended', tell);
    video.addEventListener('error', tell);
    video.muted = true;
    video.play().catch(() => {});
})"""
SEEK = """new Promise((done, fail) => {
    const video = document.querySelector('video'), canvas = document.createElement('canvas');
    video.addEventListener('error', fail);
    video.addEventListener('seeked', () => {
        canvas.getContext('2d').drawImage(video, 0, 0, 8, 8);
        done(canvas.getContext('2d').getImageData(4, 4, 1, 1).data[0]);
    }, {once: true});
    video.currentTime = AT;
})"""


@asynccontextmanager
async def page(directory, html):
    """A tab with this page, on the port that serves the files of a directory below /video/."""
    types = {".mp4": "video/mp4", ".webm": "video/webm", ".ogg": "video/ogg"}

    async def film(call):
        path = directory / call.named["name"]
        return Reply(file=path, content_type=types[path.suffix])

    async def show(_call):
        policy = {"Content-Security-Policy": "default-src 'none'; media-src 'self'; img-src data:"}
        return Reply(200, f"<!doctype html><link rel=icon href='data:,'>{html}", "text/html", policy)

    control = FakeControl()
    control.brought += (
        SourceRoute("GET", "/video/{name}", film, "A video.", public=True),
        SourceRoute("GET", "/display", show, "The player.", public=True),
    )
    async with open_port(control) as (_, url), open_tab(f"{url}/display") as tab:
        await tab.until("document.querySelector('video')")
        yield tab


async def made(directory, **more):
    _, context = slides_step(directory / "job", 3)
    music = directory / "music.wav"
    clips.ffmpeg("-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000", music)
    options = slideshow.Options.model_validate({"seconds": 0.5, "music": str(music), **more})
    outcome = await slideshow.run(options, context)
    await context.tools.shared.close()
    return outcome.artifacts


@pytest.mark.parametrize("name", ["mp4", "webm", "av1"])
async def test_a_browser_plays_a_format_to_its_end_and_seeks_to_each_slide(tmp_path, name):
    await made(tmp_path, formats=[name])
    async with page(tmp_path / "job", f'<video preload="auto" src="/video/{FILES[name]}"></video>') as tab:
        played = await tab.run(PLAY)
        assert (played["width"], played["height"], played["ended"], played["error"]) == (160, 120, True, None)
        assert played["duration"] == pytest.approx(1.5, abs=1 / 30)
        assert played["at"] == pytest.approx(played["duration"], abs=0.001)
        for slide in (1, 0, 2):
            assert await tab.run(SEEK.replace("AT", f"{slide / 2 + 0.001}")) == pytest.approx(GREYS[slide], abs=5)
        assert tab.errors == []


async def test_a_browser_without_theora_passes_over_ogg_and_plays_the_next_source(tmp_path):
    artifacts = await made(tmp_path, formats=["ogg", "mp4"])
    assert [artifact.path for artifact in artifacts[:2]] == ["slideshow.mp4", "slideshow.ogg"]
    ogg = artifacts[1]
    assert (ogg.content_type, ogg.facts["type"]) == ("video/ogg", 'video/ogg; codecs="theora, vorbis"')
    sources = "".join(
        f"<source src='/video/{artifact.path}' type='{artifact.facts['type']}'>" for artifact in (ogg, artifacts[0])
    )
    async with page(tmp_path / "job", f"<video>{sources}</video>") as tab:
        played = await tab.run(PLAY)
        assert (played["played"], played["ended"], played["width"]) == ("slideshow.mp4", True, 160)
        # Without its codecs Chromium would play the music and show nothing.
        assert await tab.run(f"document.createElement('video').canPlayType('{ogg.facts['type']}')") == ""
        assert await tab.run("document.createElement('video').canPlayType('video/ogg')") == "maybe"
    # It is a whole video all the same.
    frames = clips.pictures(tmp_path / "job/slideshow.ogg")
    assert [clips.brightness(frame) for _, frame in frames] == sorted(clips.brightness(frame) for _, frame in frames)
    assert len(frames) == 3
