import asyncio

import pytest
from builders.web import NOON, TOKEN, FakeControl, a_job, free_port, open_port
from peers.chromium import needs_chromium, open_tab

from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.model.event import JobMoved, Progressed
from vidd.model.job import State
from vidd.model.media import Artifact, Audio, Media, Outcome, StepRecord, Video
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import Programme, Speaker, Talk

pytestmark = [pytest.mark.browser, needs_chromium]

HOSTILE = [
    "<img src=x onerror=\"document.title='taken'\">.mp4",
    "\"'><script>document.title='taken'</script>",
    "&lt;b&gt;${document.title='taken'}{{7*7}}",
    "line\none\u202egpj.4pm\u2028",
    "\U0001f3a5" * 40 + "n" * 300,
]
TALKS = [Talk("t1", "What the encoder saw", speakers=(Speaker("Ada"),), stage="Main Hall"), Talk("t2", "Not yet")]


def a_conference():
    control = FakeControl()
    control.store.rows["programme"] = TALKS
    control.store.programmes["programme"] = Programme("programme", NOON, len(TALKS))
    return control


def of_talk(state, **more):
    return a_job(state, talk="t1", settings={"programme": "programme"}, **more)


async def press(tab, *keys):
    for key in keys:
        code = {"Tab": 9, "Enter": 13, "Space": 32}.get(key, ord(key[0].upper()))
        text = {"Enter": "\r", "Space": " ", "Tab": ""}.get(key, key)
        named = " " if key == "Space" else key
        for what in ("keyDown", "keyUp"):
            more = {"text": text} if text and what == "keyDown" else {}
            await tab.call("Input.dispatchKeyEvent", type=what, key=named, windowsVirtualKeyCode=code, **more)


async def go(tab, address):
    """Open an address and wait until its script runs."""
    await tab.call("Page.navigate", url=address)
    await loaded(tab)


async def loaded(tab):
    await tab.run(
        "new Promise((done) => { const look = () => document.readyState === 'complete' && document.querySelector('main')"
        " ? done(true) : requestAnimationFrame(look); look(); })"
    )


async def sign_in(tab, url):
    await go(tab, f"{url}/sign-in")
    await tab.run(f"document.getElementById('token').value = {TOKEN!r}")
    await tab.run("document.querySelector('form').requestSubmit()")
    await tab.arrive("/")


async def test_a_job_that_moves_shows_up_without_a_reload():
    control = a_conference()
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until("document.getElementById('jobs').innerText.includes('vidd submit FILE')")
        await tab.run("window.mark = 1")
        job = of_talk(State.WORKING)
        control.store.put(job)
        control.hub.observe(JobMoved(job, State.READY))
        await tab.until("document.getElementById('running').innerText.includes('What the encoder saw')")
        event = Progressed(job.id, "trim", 3.0, 12.0, "s", 2.44)
        control.parts[job.id] = [event]
        control.hub.observe(event)
        await tab.until("document.querySelector('#running progress').value === 0.25")
        assert "25 % \u00b7 2.4\u00d7 \u00b7 4 s left" in await tab.run("document.getElementById('running').innerText")
        await tab.run("document.querySelector('[name=job]').checked = true")
        refused = job.evolve(state=State.REFUSED, reason="The recording is too short.")
        control.store.put(refused)
        control.hub.observe(JobMoved(refused, State.WORKING))
        await tab.until("document.querySelector('.verdict').innerText === '1 job needs you.'")
        assert "The recording is too short." in await tab.run("document.getElementById('needs').innerText")
        assert "Nothing runs." in await tab.run("document.getElementById('running').innerText")
        assert await tab.run("document.querySelector('[name=job]').checked") is True
        assert await tab.run("window.mark") == 1
        assert tab.errors == []


async def test_hostile_words_never_run_not_even_when_they_arrive_live():
    control = a_conference()
    jobs = [a_job(State.REFUSED, name=name, pipeline=name, reason=name) for name in HOSTILE]
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until("document.getElementById('jobs').innerText.includes('vidd submit FILE')")
        control.store.put(*jobs)
        for job in jobs:
            control.hub.observe(JobMoved(job, None))
        await tab.until(f"document.querySelectorAll('.job').length === {len(jobs)}")
        shown = await tab.run("[...document.querySelectorAll('.job .title')].map((title) => title.textContent)")
        assert sorted(shown) == sorted(job.name for job in jobs)
        assert await tab.run("document.querySelectorAll('main img, main script').length") == 0
        assert await tab.run("document.title") == "vidd"
        assert tab.errors == []


async def test_nothing_sticks_out_at_phone_width_and_a_screen_reader_finds_its_way():
    control = a_conference()
    control.store.put(*(a_job(State.REFUSED, name="n" * 300, talk="t" * 90, reason="r" * 300) for _ in range(3)))
    job = a_job(State.HELD, name="k" * 300)
    control.store.put(job)
    async with open_port(control) as (_, url), open_tab("about:blank") as tab:
        await tab.look(360, 800)
        for address in (url, f"{url}/jobs/{job.id}"):
            await go(tab, address)
            assert await tab.run("document.documentElement.scrollWidth") == 360, address
            nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
            roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
            assert (roles.count("main"), roles.count("banner")) == (1, 1)
            levels = [
                prop["value"]["value"]
                for node in nodes
                if node["role"]["value"] == "heading" and not node["ignored"]
                for prop in node["properties"]
                if prop["name"] == "level"
            ]
            assert levels.count(1) == 1
            unnamed = [
                node
                for node in nodes
                if not node["ignored"]
                and node["role"]["value"] in {"button", "link", "checkbox", "combobox", "searchbox", "region"}
                and not node["name"].get("value")
            ]
            assert unnamed == []


CHECK = {
    "id": "1",
    "duration": 600.0,
    "pictures": 15000,
    "black": [[61.0, 200.0]],
    "frozen": [[250.0, 590.0]],
    "silent": [[]],
    "loudness": [{"integrated": -23.1, "range": 4.0, "peak": -2.0}],
    "offset": [{"at": 1.5, "sound": 0.003, "picture": 0.0}],
    "joins": [{"at": 2.0}],
}


def made(job):
    media = Media("mov", 600.0, 98_000_000, (Video("h264", 1280, 720, 25.0),), (Audio("aac", 48000, 2),))
    talk = Artifact("talk", "talk.mp4", 98_000_000, media=media, facts={"check": CHECK})
    return [StepRecord(job.id, "describe", "describe", "f", Outcome((talk,)), 1.5, NOON)]


@pytest.mark.media
async def test_a_job_shows_its_video_its_edges_and_what_the_check_found(tmp_path):
    control = a_conference()
    job = of_talk(State.HELD, reason="The check found: talk: The video is black.")
    control.store.put(job)
    control.store.records[job.id] = made(job)
    control.files, folder = tmp_path, tmp_path / job.id
    folder.mkdir()
    clip = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    run = [default_ffmpeg(), "-loglevel", "error", *clip]
    for output in (["talk.mp4"], ["-frames:v", "1", "-update", "1", "talk.mp4.jpg"]):
        program = await asyncio.create_subprocess_exec(*run, *output, cwd=folder)
        assert await program.wait() == 0
    async with open_port(control) as (_, url), open_tab(f"{url}/jobs/{job.id}") as tab:
        await tab.until("document.getElementById('check').innerText.includes('in sync')")
        found = await tab.run("document.getElementById('check').innerText")
        assert "You decide The video is black from 1:01 to 3:20 (2 min 19 s)." in found
        assert "Noted The video stands still from 4:10 to 9:50 (5 min 40 s)." in found
        marks = await tab.run("[...document.querySelectorAll('.mark')].map((mark) => mark.textContent)")
        assert marks == [
            "black from 1:01 to 3:20 (2 min 19 s)",
            "stands still from 4:10 to 9:50 (5 min 40 s)",
            "at 0:01.5 audio and video are 3 ms apart",
            "a join at 0:02",
        ]
        played = await tab.run("""(async () => {
            const video = document.querySelector("video");
            video.muted = true;
            await video.play();
            await new Promise((done) => video.addEventListener("ended", done, {once: true}));
            return [video.videoWidth, video.duration, video.currentTime];
        })()""")
        assert played == [160, 1, 1]
        await tab.run("document.getElementById('frames').scrollIntoView()")
        sizes = "[...document.querySelectorAll('.frames img')].map((image) => image.complete && image.naturalWidth)"
        await tab.run("Promise.all([...document.querySelectorAll('.frames img')].map((image) => image.decode()))")
        assert await tab.run(sizes) == [160, 160]
        assert tab.errors == []


@pytest.mark.parametrize("dark", [False, True])
async def test_words_stand_out_from_their_ground(dark):
    control = a_conference()
    jobs = [a_job(state, reason="r") for state in State]
    control.store.put(*jobs)
    held = next(job for job in jobs if job.state is State.HELD)
    control.store.records[held.id] = made(held)
    control.letters = [(NOON, "s3", "no JSON", "<b>")]
    async with open_port(control) as (_, url), open_tab("about:blank") as tab:
        await tab.look(dark=dark)
        for address in (url, f"{url}/jobs/{held.id}"):
            await go(tab, address)
            assert await tab.run(CONTRAST) == [], address


CONTRAST = """(() => {
    const light = (colour) => {
        const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (node) => {
        const colour = getComputedStyle(node).backgroundColor;
        return colour === "rgba(0, 0, 0, 0)" ? ground(node.parentElement) : colour;
    };
    return [...document.querySelectorAll("body *")]
        .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
        .filter((node) => node.innerText && node.nodeName !== "OPTION" && !node.closest("svg"))
        .map((node) => {
            const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
            return [node.innerText, (a + 0.05) / (b + 0.05)];
        })
        .filter(([, contrast]) => contrast < 4.5);
})()"""


async def test_a_job_is_found_opened_and_decided_with_keys_alone():
    control = a_conference()
    held, other = of_talk(State.HELD, reason="The check found: black."), a_job(State.PUBLISHED)
    control.store.put(other, held)
    async with open_port(control) as (_, url), open_tab("about:blank") as tab:
        await sign_in(tab, url)
        await press(tab, "/", *"encoder", "Enter")
        await tab.arrive("/?text=encoder&state=&stage=")
        await press(tab, "?")
        assert await tab.run("document.getElementById('help').open") is True
        await press(tab, "Enter")
        assert await tab.run("document.getElementById('help').open") is False
        await press(tab, "j")
        assert await tab.run("document.activeElement.textContent") == "What the encoder saw"
        await press(tab, "j", "k", "x")
        assert await tab.run("document.querySelector('[name=job]').checked") is True
        await press(tab, "j", "k", "o")
        await tab.arrive(f"/jobs/{held.id}")
        await tab.until("document.activeElement === document.body")
        while await tab.run("document.activeElement.textContent.startsWith('Approve')") is False:
            await press(tab, "Tab")
        await press(tab, "Enter")
        await tab.arrive(f"/jobs/{held.id}/approve")
        assert await tab.run("document.activeElement.textContent") == "Approve"
        await press(tab, "Enter")
        await tab.arrive(f"/jobs/{held.id}?said=", begins=True)
        assert "goes out now." in await tab.run("document.querySelector('.said').innerText")
        assert control.store.shelf[held.id].state is State.PUBLISHING
        assert tab.errors == []


async def test_each_action_is_done_from_the_page_on_a_job_that_needs_it():
    control = a_conference()
    unsure = Publication("", "library", "s3", NOON, state=PublicationState.UNSURE, reason="The reply was lost.")
    cases = {
        "approve": (State.HELD, State.PUBLISHING, ""),
        "reject": (State.HELD, State.CANCELLED, "document.getElementById('reason').value = 'too dark'"),
        "resolve": (State.UNSURE, State.READY, "document.querySelector('[value=again]').click()"),
        "retry": (State.REFUSED, State.READY, ""),
        "resend": (State.PUBLISHED, State.READY, ""),
        "retract": (State.PUBLISHED, State.READY, ""),
        "priority": (State.READY, State.READY, "document.getElementById('priority').value = 9"),
        "cancel": (State.WAITING, State.CANCELLED, ""),
    }
    jobs = {action: of_talk(state, reason=None) for action, (state, _, _) in cases.items()}
    control.store.put(*jobs.values())
    for job in jobs.values():
        control.store.sendings[job.id] = [unsure.evolve(job=job.id)] if job.state is State.UNSURE else []
    async with open_port(control) as (_, url), open_tab("about:blank") as tab:
        await sign_in(tab, url)
        for action, (_, after, fill) in cases.items():
            job = jobs[action]
            await go(tab, f"{url}/jobs/{job.id}")
            await tab.run(f"document.querySelector('.actions a[href$=\"/{action}\"]').click()")
            await tab.arrive(f"/jobs/{job.id}/{action}")
            assert await tab.run("document.querySelector('.will').innerText.startsWith('vidd ')") is (
                action != "retract"
            )
            await tab.run(f"{fill or 0}; document.querySelector('form.ask button').click()")
            await tab.arrive(f"/jobs/{job.id}?said=", begins=True)
            assert await tab.run("document.querySelector('.said').innerText.length > 10")
            assert control.store.shelf[job.id].state is after, action
        assert control.store.shelf[jobs["priority"].id].priority == 9
        assert tab.errors == []


async def test_a_pause_and_an_unwell_daemon_are_said_at_the_top():
    control = FakeControl()
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until("document.querySelector('.verdict').innerText === 'All is well.'")
        control.paused = True
        control.well = control.well.__class__(ok=False, version="0", since=NOON, reasons=("The disk is full.",))
        control.hub.send("daemon", lambda: {"paused": True})
        await tab.until("document.querySelector('.banner.bad').innerText === 'The disk is full.'")
        assert "Paused" in await tab.run("document.querySelector('.banner.warn').innerText")
        assert await tab.run("document.querySelector('.verdict').innerText") == "vidd is paused."


async def test_the_page_finds_a_restarted_daemon_again():
    listen, after = f"127.0.0.1:{free_port()}", FakeControl()
    after.store.put(a_job(State.READY, name="new.mp4"))
    async with asyncio.timeout(60), open_tab("about:blank") as tab:
        async with open_port(FakeControl(), listen=listen) as (_, url):
            await go(tab, url)
        await tab.until("document.getElementById('live').innerText.includes('does not answer')")
        async with open_port(after, listen=listen):
            await tab.until("document.getElementById('jobs').innerText.includes('new.mp4')")
