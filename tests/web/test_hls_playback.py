"""Chromium plays the HLS ladder to its end by Media Source Extensions, and changes the rendition at every segment."""

import pytest
from aiohttp import web
from footage import clips
from peers.chromium import needs_chromium, open_tab

from vidd.files.content_type import content_type
from vidd.steps import transcode

pytestmark = [pytest.mark.browser, pytest.mark.media, needs_chromium]

PAGE = """<!doctype html><link rel="icon" href="data:,"><script>
const lines = async (address) => (await (await fetch(address)).text()).split("\\n");
async function feed(buffer, lists) {
  const segments = await Promise.all(lists.map(async (list) => (await lines("hls/" + list)).filter((line) => /m4s$/.test(line))));
  for (const number of segments[0].keys()) {
    const which = number % lists.length, base = "hls/" + lists[which].replace(/[^/]+$/, "");
    for (const name of ["init.mp4", segments[which][number]]) {
      buffer.appendBuffer(await (await fetch(base + name)).arrayBuffer());
      await new Promise((done, fail) => { buffer.onupdateend = done; buffer.onerror = () => fail(new Error(base + name)); });
    }
  }
}
async function play() {
  const master = await lines("hls/master.m3u8"), video = document.querySelector("video"), source = new MediaSource();
  const widths = new Set();
  video.onresize = () => widths.add(video.videoWidth);
  video.src = URL.createObjectURL(source);
  await new Promise((done) => source.addEventListener("sourceopen", done, {once: true}));
  const [shown, heard] = /CODECS="([^"]+)"/.exec(master.join())[1].split(",");
  const buffers = [source.addSourceBuffer(`video/mp4; codecs="${shown}"`), source.addSourceBuffer(`audio/mp4; codecs="${heard}"`)];
  await feed(buffers[0], master.filter((line) => line && !line.startsWith("#")));
  await feed(buffers[1], [/TYPE=AUDIO.*URI="([^"]+)"/.exec(master.join("\\n"))[1]]);
  const ranges = buffers.map(({buffered}) => [buffered.length, buffered.start(0), buffered.end(0)]);
  source.endOfStream();
  video.playbackRate = 4;
  await video.play();
  await new Promise((done) => { video.onended = done; });
  return {ranges, widths: [...widths].sort((a, b) => a - b), end: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames};
}
</script><video muted></video>"""


async def test_a_browser_plays_every_frame_of_the_ladder_across_changes_of_the_rendition(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=8, size="160x90")
    sizes = [{"height": height, "video_bitrate": "200k"} for height in (90, 48)]
    options = transcode.Options.model_validate({"renditions": sizes, "hls": True, "preset": "ultrafast"})
    await transcode.run(options, clips.Watched(tmp_path, source, name="talk.mp4").context)

    async def page(_):
        return web.Response(text=PAGE, content_type="text/html")

    async def file(request):
        path = tmp_path / "hls" / request.match_info["path"]
        return web.Response(body=path.read_bytes(), headers={"Content-Type": content_type(path.name)})

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/hls/{path:.+}", file)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with open_tab(f"http://127.0.0.1:{runner.addresses[0][1]}/") as tab:
            await tab.until("document.querySelector('video')")
            played = await tab.run("play()")
            assert tab.errors == []
    finally:
        await runner.cleanup()
    assert played["frames"] == 200
    assert played["widths"] == [86, 160]
    assert played["end"] == pytest.approx(8, abs=0.05)
    for number, begin, end in played["ranges"]:
        assert (number, begin) == (1, 0)
        assert end == pytest.approx(8, abs=0.05)
