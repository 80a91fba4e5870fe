"""The page without a browser: what it shows and does where no script runs."""

import re
from datetime import timedelta

import aiohttp
import pytest
from builders.web import NOON, TOKEN, FakeControl, a_job, open_port

from vidd.errors import Refused, RetryLater
from vidd.model.job import State
from vidd.model.publication import Publication, PublicationState, Receipt
from vidd.model.talk import Programme, Speaker, Talk

TALKS = [
    Talk("t1", "Größe und Maß", speakers=(Speaker("Zoë Grace"),), stage="Main Hall"),
    Talk("t2", "Smaller things", speakers=(Speaker("Ada"), Speaker("Bo")), stage="Side Stage"),
    Talk("t3", "Never recorded", speakers=(Speaker("Cy"),), stage="Side Stage"),
    Talk("t4", "Not for the public", stage="Main Hall", excluded=True),
    Talk("t5", "A row with a fault", stage="Main Hall", fault="The end comes before the start."),
]


@pytest.fixture
def control():
    control = FakeControl()
    control.store.rows["programme"] = TALKS
    control.store.programmes["programme"] = Programme("programme", NOON, len(TALKS))
    return control


@pytest.fixture
async def browser(control):
    async with open_port(control) as (_, url), Browser(url) as browser:
        yield browser


class Browser:
    """A browser without scripts: it follows links, keeps cookies, and sends the forms of the page as they are."""

    def __init__(self, url):
        self.url = url

    async def __aenter__(self):
        jar = aiohttp.CookieJar(unsafe=True)
        self._session = aiohttp.ClientSession(self.url, cookie_jar=jar, headers={"Accept": "text/html"})
        return self

    async def __aexit__(self, *_):
        await self._session.close()

    async def get(self, path):
        async with self._session.get(path) as response:
            return response.status, await response.text(), str(response.url.relative())

    async def sign_in(self):
        async with self._session.post("/sign-in", data={"token": TOKEN}) as response:
            assert response.status == 200

    async def send(self, path, **fields):
        """Open a form, fill it in, and send it with what it has hidden."""
        status, text, _ = await self.get(path)
        assert status == 200, text
        form = text[
            text.index('method="post" action="/jobs' if "/jobs/" in path else f'method="post" action="{path}') :
        ]
        action = re.search(r'action="([^"]+)"', form)[1]
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[: form.index("</form>")])
        data = [*hidden, *((name, value) for name, value in fields.items())]
        async with self._session.post(action, data=data) as response:
            return response.status, await response.text(), str(response.url.relative())


def of_talk(state, talk, **more):
    return a_job(
        state, talk=talk, settings={"programme": "programme", "publish": [{"name": "library", "kind": "s3"}]}, **more
    )


def words(text):
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


async def test_what_needs_a_person_runs_waits_and_was_done_is_read_without_a_script(control, browser):
    refused = of_talk(State.REFUSED, "t1", reason="The recording is too short: correct its times.")
    waiting = of_talk(State.WAITING, "t2", reason="The day's quota is used up.", until=NOON + timedelta(hours=3))
    done = of_talk(State.PUBLISHED, "t2")
    control.store.put(refused, waiting, done)
    receipt = Receipt("https://library.example/t2.mp4")
    control.store.sendings[done.id] = [
        Publication(done.id, "library", "s3", NOON, state=PublicationState.DONE, receipt=receipt)
    ]
    status, text, _ = await browser.get("/")
    assert status == 200
    said = words(text)
    assert "1 job needs you." in said
    assert f"Größe und Maß refused Zoë Grace · Main Hall · talks · {refused.id[-6:]} The recording is too short" in said
    assert "The day&#39;s quota is used up. Next try 2026-11-21 15:00 UTC" in said
    assert 'href="https://library.example/t2.mp4"' in text
    assert f'href="/jobs/{refused.id}/retry"' in text
    assert "All is well" not in text
    assert text.count(refused.name) == 0


async def test_what_was_done_in_the_last_days_is_drawn(control, browser):
    _, text, _ = await browser.get("/")
    assert len(re.findall(r'<svg xmlns="[^"]+" class="chart chart-\w+"', text)) == 4


async def test_the_whole_programme_is_there_with_talks_that_are_not_recorded_yet(control, browser):
    control.store.put(of_talk(State.REFUSED, "t1", reason="r"), of_talk(State.PUBLISHED, "t1"))
    _, text, _ = await browser.get("/")
    programme = words(text[text.index('id="programme"') : text.index('id="several"')])
    assert "1 published 2 not recorded yet 1 excluded 1 to be corrected" in programme
    assert "Smaller things Ada and Bo not recorded yet" in programme


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "All is well."),
        ({"held": True}, "1 job needs you."),
        ({"incomplete": True}, "1 job needs you."),
        ({"paused": True}, "vidd is paused."),
        ({"letters": True}, "1 message could not be read."),
    ],
)
async def test_all_is_well_only_where_nobody_is_needed(control, browser, change, verdict):
    if "held" in change:
        control.store.put(a_job(State.HELD))
    if "incomplete" in change:
        control.store.put(a_job(State.PUBLISHED, reason="Published, but not told: mail."))
    control.paused = "paused" in change
    control.store.letters = [(NOON, "s3", "no JSON", "<b>")] if "letters" in change else []
    _, text, _ = await browser.get("/")
    assert re.search(r'<p class="verdict \w+">([^<]+)</p>', text)[1] == verdict


async def test_the_address_says_which_jobs_are_listed(control, browser):
    jobs = [
        of_talk(State.PUBLISHED, "t1"),
        of_talk(State.REFUSED, "t2", reason="r"),
        a_job(State.READY, pipeline="cms"),
    ]
    control.store.put(*jobs)
    for query, found in (
        ("", [2, 1, 0]),
        ("state=published", [0]),
        ("state=person", [1]),
        ("state=waiting&pipeline=cms", [2]),
        ("stage=Side+Stage", [1]),
        ("text=grosse+zoe", [0]),
        ("text=maß+zoe", [0]),
        (f"text={jobs[2].id[-5:]}", [2]),
        ("state=nonsense", [2, 1, 0]),
    ):
        _, text, _ = await browser.get(f"/?{query}")
        listed = re.findall(r'name="job" value="(\w+)"', text)
        assert listed == [jobs[index].id for index in found], query


async def test_thousands_of_jobs_are_listed_page_by_page(control, browser):
    jobs = [a_job(State.PUBLISHED, changed=NOON - timedelta(days=2)) for _ in range(5000)]
    control.store.put(*jobs)
    _, text, _ = await browser.get("/")
    assert len(re.findall(r'name="job"', text)) == 50
    assert "5000 in all" in words(text)
    assert len(text) < 120_000
    following = re.search(r'href="([^"]+)" rel="next"', text)[1]
    _, text, _ = await browser.get(following.replace("&amp;", "&"))
    assert re.findall(r'name="job" value="(\w+)"', text)[0] == jobs[-51].id


async def test_who_has_not_signed_in_is_led_there_and_back(control, browser):
    job = a_job(State.REFUSED, reason="r")
    control.store.put(job)
    status, text, path = await browser.get(f"/jobs/{job.id}/retry")
    assert (status, path) == (200, f"/sign-in?next=/jobs/{job.id}/retry")
    assert 'name="token"' in text
    async with browser._session.post(f"/jobs/{job.id}/retry", data={}) as response:
        assert response.status == 401
    assert control.store.shelf[job.id].state is State.REFUSED


async def test_another_site_cannot_send_a_form(control, browser):
    job = a_job(State.REFUSED, reason="r")
    control.store.put(job)
    await browser.sign_in()
    for data, headers in (({"csrf": "guessed"}, {}), ({}, {"Sec-Fetch-Site": "cross-site"})):
        async with browser._session.post(f"/jobs/{job.id}/retry", data=data, headers=headers) as response:
            assert response.status == 403
    assert control.store.shelf[job.id].state is State.REFUSED


DONE = PublicationState.DONE
ACTS = [
    ("retry", State.REFUSED, {}, State.READY, "goes on behind the last step", "is queued again."),
    ("retry", State.UNSURE, {"replace": "on"}, State.READY, "asks the other side once more", "is queued again."),
    ("cancel", State.READY, {}, State.CANCELLED, "ends what runs for this job and removes its files", "was cancelled."),
    ("approve", State.HELD, {}, State.PUBLISHING, "vidd publishes it by library.", "goes out now."),
    ("reject", State.HELD, {"reason": "wrong cut"}, State.CANCELLED, "keeps your reason", "was rejected."),
    ("resolve", State.UNSURE, {"published": "https://x.example/1", "outcome": "published"}, State.READY, "what you saw", "goes on with what you saw."),
    ("resolve", State.UNSURE, {"outcome": "again"}, State.READY, "what you saw", "goes on with what you saw."),
    ("resend", State.PUBLISHED, {"name": "mail"}, State.READY, "gets them a second time", "sends its notices again."),
    ("retract", State.PUBLISHED, {}, State.READY, "takes back what library published", "is being taken back."),
    ("rework?step=analyse", State.PUBLISHED, {}, State.READY, "analyse runs: the rework begins here", "is made anew."),
    ("undo", State.PUBLISHED, {}, State.READY, "brings back the results", "gets its earlier results back."),
    ("priority", State.READY, {"priority": "7"}, State.READY, "this one has 0", "has its new priority."),
]  # fmt: skip


@pytest.mark.parametrize(("action", "state", "fields", "after", "will", "done"), ACTS)
async def test_each_action_says_what_will_happen_and_then_what_was_done(
    control, browser, action, state, fields, after, will, done
):
    job = of_talk(state, "t1", reason="r" if state is not State.READY else None)
    control.store.put(job)
    control.store.sendings[job.id] = [
        Publication(job.id, "library", "s3", NOON, state=DONE if state is State.PUBLISHED else PublicationState.UNSURE),
        Publication(job.id, "mail", "mail", NOON, notice=True, state=DONE),
    ]
    await browser.sign_in()
    _, text, _ = await browser.get(f"/jobs/{job.id}/{action}")
    assert will in words(text)
    assert control.store.shelf[job.id] == job
    status, text, path = await browser.send(f"/jobs/{job.id}/{action}", **fields)
    assert (status, path.partition("?")[0]) == (200, f"/jobs/{job.id}")
    assert f"” {done}" in words(text)
    assert control.store.shelf[job.id].state is after
    if action == "priority":
        assert control.store.shelf[job.id].priority == 7


@pytest.mark.parametrize(
    ("action", "state", "fields", "status", "sentence"),
    [
        ("reject", State.HELD, {"reason": " "}, 422, "reason: String should have at least 1 character."),
        ("priority", State.READY, {"priority": "5000"}, 422, "priority: Input should be less than or equal to 1000."),
        ("priority", State.READY, {"priority": "x"}, 422, "priority: Input should be a valid integer."),
        ("resolve", State.UNSURE, {"outcome": "published", "published": ""}, 422, "give either published"),
        ("approve", State.PUBLISHED, {}, 409, "cannot become"),
    ],
)
async def test_what_cannot_be_done_is_said_on_the_form_and_changes_nothing(
    control, browser, action, state, fields, status, sentence
):
    job = a_job(state)
    control.store.put(job)
    await browser.sign_in()
    found, text, path = await browser.send(f"/jobs/{job.id}/{action}", **fields)
    assert (found, path) == (status, f"/jobs/{job.id}/{action}")
    assert sentence in words(text)
    assert control.store.shelf[job.id] == job


async def test_a_rework_that_changes_options_shows_first_what_it_would_do(control, browser):
    job = a_job(State.PUBLISHED)
    control.store.put(job)
    await browser.sign_in()
    _, text, _ = await browser.get(f"/jobs/{job.id}/rework")
    assert "What it would do" not in text
    query = "set=analyse.rate%3D5%0D%0Aanalyse.name%3Dx+y&extra=--all"
    status, _, _ = await browser.send(f"/jobs/{job.id}/rework?{query}")
    assert status == 200
    assert control.store.shelf[job.id].reason == "None: {'analyse.rate': 5, 'analyse.name': 'x y'} ['--all']"
    control.store.put(job)
    status, text, _ = await browser.get(f"/jobs/{job.id}/rework?set=nothing")
    assert (status, "write STEP.OPTION=VALUE" in text) == (422, True)


async def test_several_jobs_are_done_at_once_and_one_that_is_refused_stops_no_other(control, browser):
    jobs = [a_job(State.REFUSED, reason="r"), a_job(State.REFUSED, reason="r"), a_job(State.PUBLISHED)]
    control.store.put(*jobs)
    await browser.sign_in()
    query = "&".join(f"job={job.id}" for job in jobs)
    _, text, _ = await browser.get(f"/jobs/selected?do=cancel&{query}&back=/?state=person")
    assert "vidd will say no: the job is published." in words(text)
    status, text, path = await browser.send(f"/jobs/selected?do=cancel&{query}&back=/?state=person")
    assert (status, path.partition("&")[0]) == (200, "/?state=person")
    assert "Cancel: 2 jobs done, 1 not." in words(text)
    assert [control.store.shelf[job.id].state for job in jobs] == [State.CANCELLED, State.CANCELLED, State.PUBLISHED]
    for asked, sentence in (
        ("do=cancel", "No job is selected"),
        (f"do=retract&{query}", "one job at a time"),
        ("do=x", "no action"),
    ):
        status, text, _ = await browser.get(f"/jobs/selected?{asked}")
        assert (status in {404, 422}, sentence in words(text)) == (True, True)
    status, text, _ = await browser.get(f"/jobs/selected?do=retry&job={jobs[0].id}&back=//evil.example/")
    assert "evil" not in text


async def test_the_daemon_is_paused_and_resumed(control, browser):
    await browser.sign_in()
    status, text, _ = await browser.send("/pause")
    assert (status, control.paused, "vidd is paused." in words(text)) == (200, True, True)
    status, text, _ = await browser.send("/resume")
    assert (status, control.paused, "vidd starts jobs again." in words(text)) == (200, False, True)


async def test_a_page_that_is_not_there_and_a_store_that_is_away_are_said_in_a_page(control, browser):
    status, text, _ = await browser.get("/jobs/zzzzzz")
    assert (status, "That did not work" in text) == (404, True)

    async def away(*_, **__):
        raise RetryLater("The store is away: it does not answer.")

    control.store.page = away
    status, text, _ = await browser.get("/")
    assert (status, "The store is away: it does not answer." in text) == (503, True)


HOSTILE = "<script>document.title='taken'</script>\"'><img src=x onerror=1>{{7*7}}\u202e"


async def test_hostile_words_are_text_on_every_page(control, browser):
    control.store.rows["programme"] = [Talk("t1", HOSTILE, speakers=(Speaker(HOSTILE),), stage=HOSTILE)]
    control.store.programmes["programme"] = Programme("programme", NOON + timedelta(1), 1)
    settings = {"programme": "programme", "steps": [{"name": HOSTILE, "kind": HOSTILE}], "publish": []}
    job = a_job(
        State.UNSURE, name=HOSTILE, talk="t1", pipeline=HOSTILE, reason=HOSTILE, settings=settings, facts={"x": HOSTILE}
    )
    control.store.put(job)
    receipt = Receipt("javascript://x/%0Aalert(1)")
    control.store.sendings[job.id] = [
        Publication(job.id, HOSTILE, HOSTILE, NOON, state=PublicationState.UNSURE, reason=HOSTILE, receipt=receipt)
    ]
    control.store.letters = [(NOON, HOSTILE, HOSTILE, HOSTILE)]
    await browser.sign_in()
    for path in (
        "/",
        f"/?text={HOSTILE}",
        f"/jobs/{job.id}",
        *(f"/jobs/{job.id}/{name}" for name in ("retry", "resolve", "rework")),
    ):
        _, text, _ = await browser.get(path)
        assert "<script>" not in text, path
        assert "<img src=x" not in text, path
        assert 'href="javascript' not in text, path
        assert "{{7*7}}" in text or path.startswith("/?"), path


async def test_a_video_is_served_in_ranges_while_its_file_is_there(control, browser, tmp_path):
    from vidd.model.media import Artifact, Outcome, StepRecord

    job = a_job(State.HELD)
    control.store.put(job)
    made = (
        Artifact("talk", "talk.mp4", 10),
        Artifact("notes", "notes.txt", 10, "text/plain"),
        Artifact("gone", "gone.mp4", 1),
    )
    control.store.records[job.id] = [StepRecord(job.id, "trim", "trim", "f", Outcome(made), 1.0)]
    control.files = tmp_path
    (tmp_path / job.id).mkdir()
    (tmp_path / job.id / "talk.mp4").write_bytes(b"0123456789")
    (tmp_path / job.id / "notes.txt").write_bytes(b"secret")
    async with browser._session.get(f"/jobs/{job.id}/video/talk", headers={"Range": "bytes=2-4"}) as response:
        assert (response.status, response.content_type, await response.read()) == (206, "video/mp4", b"234")
    for role in ("notes", "gone", "..%2ftalk"):
        assert (await browser.get(f"/jobs/{job.id}/video/{role}"))[0] == 404
    assert (await browser.get(f"/jobs/{job.id}/frames/first"))[0] == 404


async def test_a_refusal_of_an_action_keeps_what_was_filled_in(control, browser):
    job = a_job(State.HELD)
    control.store.put(job)

    async def reject(job, reason):
        raise Refused("Somebody else decides about this job.")

    control.commands.reject = reject
    await browser.sign_in()
    status, text, _ = await browser.send(f"/jobs/{job.id}/reject", reason="too dark")
    assert status == 422
    assert "Somebody else decides" in text
    assert ">too dark</textarea>" in text
