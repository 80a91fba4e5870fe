import asyncio

import pytest
from builders.web import NOON, TOKEN, FakeControl, a_job, free_port, open_port
from peers.chromium import needs_chromium, open_tab

from vidd.model.event import JobMoved, Progressed, PublicationMoved
from vidd.model.job import State
from vidd.model.media import Artifact, Audio, Media, Outcome, StepRecord, Video
from vidd.model.publication import Publication, PublicationState, Receipt

pytestmark = [pytest.mark.browser, needs_chromium]

HOSTILE = [
    "<img src=x onerror=\"document.title='taken'\">.mp4",
    "\"'><script>document.title='taken'</script>",
    "&lt;b&gt;${document.title='taken'}{{7*7}}",
    "line\none\u202egpj.4pm\u2028",
    "-rf ../../etc/passwd",
    "\U0001f3a5" * 40 + "n" * 300,
]


def row(job):
    return f"document.querySelector('[data-id=\"{job.id}\"]')"


async def test_a_job_that_moves_shows_up_without_a_reload():
    control = FakeControl()
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until("document.getElementById('empty').innerText.includes('vidd submit FILE')")
        await tab.run("window.mark = 1")
        job = a_job(State.WORKING, talk="7f3c")
        control.store.put(job)
        control.hub.observe(JobMoved(job, State.READY))
        await tab.until(f"{row(job)}.innerText.includes('working') && {row(job)}.innerText.includes('7f3c')")
        control.hub.observe(Progressed(job.id, "trim", 3.0, 12.0, "s", 2.44))
        await tab.until(f"{row(job)}.querySelector('progress').value === 0.25")
        assert "25 %, 2.4\u00d7" in await tab.run(f"{row(job)}.innerText")
        control.hub.observe(JobMoved(job.evolve(state=State.PUBLISHING), State.WORKING))
        receipt = Receipt("https://library.example/talk.mp4")
        sent = Publication(job.id, "library", "s3", NOON, state=PublicationState.DONE, receipt=receipt)
        control.hub.observe(PublicationMoved(sent, "talks"))
        await tab.until(f"{row(job)}.querySelector('a').href === 'https://library.example/talk.mp4'")
        control.hub.observe(
            JobMoved(job.evolve(state=State.PUBLISHING).evolve(state=State.PUBLISHED), State.PUBLISHING)
        )
        await tab.until(f"{row(job)}.innerText.includes('published')")
        assert await tab.run("document.getElementById('announcement').textContent") == "keynote.mp4: published"
        assert await tab.run("window.mark") == 1
        assert tab.errors == []


async def test_hostile_names_are_shown_as_text():
    control = FakeControl()
    jobs = [a_job(State.REFUSED, name=name, talk=name, pipeline=name, reason=name) for name in HOSTILE]
    control.store.put(*jobs)
    control.store.letters = [(NOON, HOSTILE[0], HOSTILE[1], HOSTILE[0])]
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until(f"document.querySelectorAll('#rows tr').length === {len(jobs)}")
        for job in jobs:
            assert await tab.run(f"{row(job)}.querySelector('.name').textContent") == job.name
        assert await tab.run("document.querySelectorAll('#rows img, #rows script, #letters img').length") == 0
        assert await tab.run("document.title") == "vidd"
        assert tab.errors == []


async def test_only_web_addresses_become_links():
    control = FakeControl()
    job = a_job(State.PUBLISHED)
    control.store.put(job)
    receipt = Receipt("javascript://x/%0Adocument.title='taken'")
    control.store.sendings[job.id] = [
        Publication(job.id, "f", "folder", NOON, state=PublicationState.DONE, receipt=receipt)
    ]
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until(f"{row(job)} !== null")
        assert await tab.run("document.querySelectorAll('#rows a').length") == 0
        assert "javascript:" in await tab.run(f"{row(job)}.innerText")


async def test_nothing_sticks_out_at_phone_width_and_it_is_still_a_table_to_a_screen_reader():
    control = FakeControl()
    control.store.put(*(a_job(State.REFUSED, name="n" * 300, talk="t" * 90, reason="r" * 300) for _ in range(3)))
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.look(360, 800)
        await tab.until("document.querySelectorAll('#rows tr').length === 3")
        assert await tab.run("document.documentElement.scrollWidth") == 360
        nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
        assert (roles.count("table"), roles.count("columnheader"), roles.count("row")) == (1, 5, 4)


CHECK = {
    "id": "1",
    "duration": 600.0,
    "pictures": 15000,
    "lane": "full",
    "why": "The quick cut did not stand its check: a picture is missing.",
    "black": [[61.0, 200.0]],
    "frozen": [[250.0, 590.0]],
    "silent": [[]],
    "loudness": [{"integrated": -23.1, "range": 4.0, "peak": -2.0}],
    "offset": [{"at": 1.5, "sound": 0.003, "picture": 0.0, "by": "packets"}],
}


def made(job, *, role="talk", check=CHECK):
    media = Media("mov", 600.0, 98_000_000, (Video("h264", 1280, 720, 25.0),), (Audio("aac", 48000, 2),))
    talk = Artifact(role, "talk.mp4", 98_000_000, media=media, facts={"check": check} if check else {})
    return [StepRecord(job.id, "trim", "trim", "f", Outcome((talk,)), 1.5)]


FILES = "[...document.querySelectorAll('.files')]"


async def test_the_files_of_a_job_are_shown_with_what_their_check_found():
    control = FakeControl()
    job = a_job(State.HELD, reason="The check found: talk: The video is black.")
    control.store.put(job, a_job(State.READY))
    control.store.records[job.id] = made(job)
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until("document.querySelectorAll('#rows tr').length === 2")
        assert await tab.run(f"{FILES}.map((part) => part.hidden).join()") == "true,false"
        await tab.run(f"{row(job)}.querySelector('summary').click()")
        await tab.until(f"{row(job)}.querySelectorAll('.files li').length === 1")
        assert (await tab.run(f"{row(job)}.querySelector('.files li').innerText")).split("\n") == [
            "talk 10:00, h264 1280x720, 25 frames/s, 15000 frames, aac -23.1 LUFS, peak -2.0 dBFS, in sync to 3 ms, 98.0 MB",
            "Encoded in full: The quick cut did not stand its check: a picture is missing.",
            "A person decides: The video is black from 1:01 to 3:20 (2 min 19 s).",
            "Noted: The video stands still from 4:10 to 9:50 (5 min 40 s).",
        ]
        assert tab.errors == []


async def test_files_that_are_looked_at_follow_the_job_and_foreign_words_in_them_are_text():
    control = FakeControl()
    job = a_job(State.WORKING)
    control.store.put(job)
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until(f"{row(job)} !== null")
        await tab.run(f"{row(job)}.querySelector('summary').click()")
        await tab.until(f"{row(job)}.querySelector('.files').innerText.includes('No file has been made yet.')")
        control.store.records[job.id] = made(job, role=HOSTILE[0], check={**CHECK, "why": HOSTILE[0]})
        held = job.evolve(state=State.HELD)
        control.store.put(held)
        control.hub.observe(JobMoved(held, State.WORKING))
        await tab.until(f"{row(job)}.querySelector('.files').innerText.includes('in sync')")
        assert await tab.run(f"{row(job)}.querySelector('.files .name').textContent") == HOSTILE[0]
        assert await tab.run("document.querySelectorAll('#rows img').length") == 0
        control.store.records[job.id] = made(job, check=None)
        control.store.put(held.evolve(state=State.PUBLISHING))
        control.hub.observe(JobMoved(held.evolve(state=State.PUBLISHING), State.HELD))
        await tab.until(f"{row(job)}.querySelector('.files').innerText.includes('98 MB')")
        assert tab.errors == []


@pytest.mark.parametrize("dark", [False, True])
async def test_words_stand_out_from_their_ground(dark):
    control = FakeControl()
    jobs = [a_job(state, reason="r") for state in State]
    control.store.put(*jobs)
    policy = {"check": {"black": "refuse", "frozen": "hold"}}
    held = next(job for job in jobs if job.state is State.HELD).evolve(settings=policy)
    control.store.put(held)
    control.store.records[held.id] = made(held)
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.look(dark=dark)
        await tab.until(f"document.querySelectorAll('#rows tr').length === {len(State)}")
        await tab.run(f"{row(held)}.querySelector('summary').click()")
        await tab.until(f"{row(held)}.querySelectorAll('.finding').length === 3")
        faint = await tab.run("""(() => {
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
            return [...document.querySelectorAll("td *, th, h1, h2, header p, footer a, button, #watchers span")]
                .filter((node) => node.innerText)
                .map((node) => {
                    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
                    return [node.innerText, (a + 0.05) / (b + 0.05)];
                })
                .filter(([, contrast]) => contrast < 4.5);
        })()""")
        assert faint == []


async def test_the_filters_are_worked_with_the_keyboard():
    control = FakeControl()
    control.store.put(a_job(State.REFUSED), a_job(State.READY), a_job(State.PUBLISHED))
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until("document.querySelectorAll('#rows tr').length === 3")
        for _ in range(3):
            await press(tab, "Tab")
        assert await tab.run("document.activeElement.innerText") == "Needs a person 1"
        await press(tab, "Enter", "\r")
        await tab.until("document.querySelectorAll('#rows tr').length === 1")
        assert await tab.run("document.activeElement.ariaPressed") == "true"
        assert "refused" in await tab.run("document.getElementById('rows').innerText")


async def press(tab, key, text=""):
    code = {"Tab": 9, "Enter": 13}[key]
    for what in ("keyDown", "keyUp"):
        more = {"text": text} if text and what == "keyDown" else {}
        await tab.call("Input.dispatchKeyEvent", type=what, key=key, code=key, windowsVirtualKeyCode=code, **more)


async def test_a_pause_and_an_unwell_daemon_are_said_at_the_top():
    control = FakeControl()
    async with open_port(control) as (_, url), open_tab(url) as tab:
        await tab.until("document.getElementById('health-text').innerText.startsWith('All is well')")
        assert await tab.run("document.getElementById('version').innerText") == (
            "vidd 0.1.0, ffmpeg 7.1, 5.0 GB free; encodes at once: 3."
        )
        control.paused = True
        control.well = control.well.__class__(
            ok=False, version="0", since=NOON, reasons=("The disk is full.",), slots=control.well.slots
        )
        control.hub.send("daemon", lambda: {"paused": True})
        await tab.until("document.getElementById('reasons').innerText === 'The disk is full.'")
        assert await tab.run("document.getElementById('paused').hidden") is False


async def test_where_a_token_is_asked_the_page_asks_for_it():
    control = FakeControl()
    control.store.put(a_job(State.READY))
    async with open_port(control, listen="0.0.0.0:0") as (_, url), open_tab(url) as tab:
        for token, then in (
            ("wrong", "document.getElementById('sign-in-fault').innerText.startsWith('That is not')"),
            (TOKEN, "document.querySelectorAll('#rows tr').length === 1 && document.getElementById('sign-in').hidden"),
        ):
            await tab.until("!document.getElementById('sign-in').hidden")
            await tab.run(f"document.getElementById('token').value = {token!r}")
            await tab.run("document.querySelector('#sign-in button').click()")
            await tab.until(then)


async def test_the_page_finds_a_restarted_daemon_again():
    listen, after = f"127.0.0.1:{free_port()}", FakeControl()
    after.store.put(a_job(State.READY, name="new.mp4"))
    async with asyncio.timeout(60), open_tab("about:blank") as tab:
        async with open_port(FakeControl(), listen=listen) as (_, url):
            await tab.call("Page.navigate", url=url)
            await tab.until("document.getElementById('live').innerText === 'Live'")
        await tab.until("document.getElementById('live').innerText.includes('does not answer')")
        async with open_port(after, listen=listen):
            await tab.until("document.getElementById('rows').innerText.includes('new.mp4')")
