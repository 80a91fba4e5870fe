"""What people do with a cut: watch it in a browser, over its joins, and jump about in it.

HEVC is not among these: Chromium of Debian has no decoder for it, as the last test says.
"""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from footage import clips
from footage.recordings import WIDTH, Recording, look, make
from footage.strategies import Times, cut
from peers.chromium import needs_chromium, open_tab

from vidd.media.branding.title_card import Card
from vidd.steps import frames

pytestmark = [pytest.mark.browser, needs_chromium]

TIMES = Times(1.3, 10.7, 2.0)
X264 = ("libx264", "-preset", "veryfast", "-crf", 20, "-g", 25, "-bf", 2)
OPENH264 = ("libopenh264", "-b:v", "1M", "-g", 25)
SVT = ("libsvtav1", "-preset", 10, "-crf", 30, "-g", 25)
AOM = ("libaom-av1", "-cpu-used", 8, "-usage", "realtime", "-crf", 30, "-g", 25)
# The recording, and the lane it is cut in; "dressed" has a sting and a card before it, and the sting after it.
KINDS = {
    "H.264 of the same encoder": (Recording(X264), "auto"),
    "H.264 of another encoder, whose parameters are beside the source's": (Recording(OPENH264, suffix="ts"), "auto"),
    "H.264 of another profile, sound in two tracks": (
        Recording((*X264, "-profile:v", "main", "-refs", 4), suffix="mkv", sounds=(("aac",), ("libopus",))),
        "auto",
    ),
    "H.264 of varying rate": (
        Recording((*X264, "-g", 12), rate="30", chosen="select='gt(mod(n,7),1)*gt(mod(n,11),3)'"),
        "auto",
    ),
    "AV1 of another encoder": (Recording(AOM, codec="av1"), "auto"),
    "AV1, 10 bits, WebM": (
        Recording(SVT, codec="av1", suffix="webm", pixels="yuv420p10le", sounds=(("libopus",),)),
        "auto",
    ),
    "encoded whole": (Recording(X264), "full"),
    "H.264 of another encoder, dressed": (Recording(OPENH264), "auto", "dressed"),
    "AV1, dressed": (Recording(SVT, codec="av1"), "auto", "dressed"),
    "encoded whole, dressed": (Recording(X264), "full", "dressed"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Of each kind the file and where its parts meet; of one encoded whole, where the fades end."""
    places = asyncio.Semaphore(2)

    def dress(directory):
        clips.recording(directory / "sting.mp4", seconds=1.5, rate="30", size="64x64")
        sting = str(directory / "sting.mp4")
        return {"sting_before": sting, "title_card": Card(seconds=1), "sting_after": sting}

    async def one(recording, lane, *dressed):
        async with places:
            source = await make(tmp_path_factory.mktemp("kind"), recording)
            path, check = await cut(source, TIMES, lane, **(dress(source.parent) if dressed else {}))
            assert check["lane"] == {"auto": "edges", "full": "full"}[lane], check["why"]
            joins = [join["at"] for join in check.get("joins", [])] or [TIMES.fade, TIMES.length - TIMES.fade]
            return path, joins

    async def everything():
        try:
            return await asyncio.gather(*(one(*kind) for kind in KINDS.values()))
        finally:
            await clips.ENCODER.shared.close()

    return dict(zip(KINDS, asyncio.run(everything()), strict=True))


@asynccontextmanager
async def served(paths):
    """A page with a video of each path, on loopback."""
    app = web.Application()
    videos = "".join(
        f'<video id="v{number}" src="/{number}.mp4" muted preload="auto"></video>' for number in range(len(paths))
    )

    async def page(_):
        return web.Response(
            text=f"<!doctype html><title>cuts</title>{videos}<script>{SCRIPT}</script>", content_type="text/html"
        )

    async def video(request):
        return web.FileResponse(paths[int(request.match_info["number"])])

    app.router.add_get("/", page)
    app.router.add_get(r"/{number:\d+}.mp4", video)
    app.router.add_get("/favicon.ico", page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


SCRIPT = """
const happens = (video, name) => new Promise((done, fail) => {
    if (video.error) return fail(new Error(video.error.message));
    const limit = setTimeout(() => fail(new Error(`no ${name} at ${video.currentTime}`)), 20000);
    const end = (how) => () => { clearTimeout(limit); how(); };
    video.addEventListener(name, end(done), {once: true});
    video.addEventListener('error', end(() => fail(new Error(video.error.message))), {once: true});
});
const ready = async (video) => { if (video.readyState < 2) await happens(video, 'loadeddata'); };
const seek = async (video, time) => { video.currentTime = time; await happens(video, 'seeked'); };
async function across(video, place) {
    await ready(video);
    await seek(video, place - 0.6);
    const shown = [];
    const note = (_, frame) => { shown.push(frame.mediaTime); video.requestVideoFrameCallback(note); };
    video.requestVideoFrameCallback(note);
    await video.play();
    while (video.currentTime < place + 0.6) await happens(video, 'timeupdate');
    video.pause();
    const quality = video.getVideoPlaybackQuality();
    return {shown, time: video.currentTime, dropped: quality.droppedVideoFrames, total: quality.totalVideoFrames,
            corrupted: quality.corruptedVideoFrames};
}
async function jump(video, times) {
    await ready(video);
    const reached = [];
    for (const time of times) { await seek(video, time); reached.push(video.currentTime); }
    return {reached, state: video.readyState, width: video.videoWidth, error: video.error && video.error.message};
}
"""


async def test_every_cut_plays_over_its_joins_and_can_be_jumped_about_in(made):
    paths, joins = zip(*made.values(), strict=True)
    chance = random.Random(4)
    times = [[round(chance.uniform(0, TIMES.length - 0.1), 3) for _ in range(10)] for _ in made]
    async with served(paths) as url, open_tab(url) as tab:
        await tab.run("document.readyState == 'complete' || new Promise((done) => addEventListener('load', done))")

        async def watched(number):
            video = f"document.getElementById('v{number}')"
            over = [await tab.run(f"across({video}, {place})") for place in joins[number]]
            return over, await tab.run(f"jump({video}, {json.dumps(times[number])})")

        seen = await asyncio.gather(*map(watched, range(len(made))))
        assert tab.errors == []
    for kind, places, wanted, (over, jumped) in zip(made, joins, times, seen, strict=True):
        for place, one in zip(places, over, strict=True):
            assert one["time"] >= place + 0.6, kind
            assert len([time for time in one["shown"] if time < place]) >= 3, (kind, one)
            assert len([time for time in one["shown"] if time >= place]) >= 3, (kind, one)
            assert one["shown"] == sorted(one["shown"]), kind
            assert (one["corrupted"], one["dropped"] < one["total"] / 2) == (0, True), (kind, one)
        assert jumped["reached"] == pytest.approx(wanted), kind
        assert (jumped["error"], jumped["width"]) == (None, 96), kind
        assert jumped["state"] >= 2, kind


DRAWN = """
(async () => {
    const video = document.getElementById('v0'), canvas = document.createElement('canvas');
    await ready(video);
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext('2d'), numbers = [];
    for (const time of TIMES) {
        // That it has sought does not say that the frame is there to be drawn yet.
        const presented = new Promise((done) => video.requestVideoFrameCallback(done));
        await seek(video, time);
        await presented;
        context.drawImage(video, 0, 0);
        const bright = (bit) => context.getImageData(8 * bit + 4, 16, 1, 1).data[0] > 125;
        numbers.push([...Array(12).keys()].reduce((sum, bit) => sum + (bright(bit) << bit), 0));
    }
    return {numbers, error: video.error && video.error.message};
})()
"""


async def test_a_browser_shows_the_frame_of_a_tasks_film_that_the_manifest_speaks_of(tmp_path):
    source = await make(
        tmp_path, Recording(X264, rate="30", chosen="select='gt(mod(n,7),1)*gt(mod(n,11),3)'", seconds=6)
    )
    watched = clips.Watched(tmp_path, source, name="in.mp4")
    await frames.run(frames.Options(rate=5), watched.context)
    rows = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    truth = await look(source)
    times = [(row["index"] - 0.5) / 5 for row in rows]
    async with served([tmp_path / "tasks" / "task-0-in" / "task-0-in.mp4"]) as url, open_tab(url) as tab:
        await tab.run("document.readyState == 'complete' || new Promise((done) => addEventListener('load', done))")
        shown = await tab.run(DRAWN.replace("TIMES", json.dumps(times)))
        assert tab.errors == []
    assert shown == {"numbers": [number_of(truth.pictures[row["frame"]]) for row in rows], "error": None}


def number_of(luma):
    return sum((luma[16 * WIDTH + 8 * bit + 4] > 125) << bit for bit in range(12))


async def test_what_is_not_looked_at_here_cannot_be_played_here():
    async with served([]) as url, open_tab(url) as tab:
        said = await tab.run("document.createElement('video').canPlayType('video/mp4; codecs=\"hvc1.1.6.L93.B0\"')")
    assert said == ""
