"""A cut of a recording on a web server: what is read of it, and what is done where the server is not what it seems."""

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders.aws import a_job, a_step_context, names_in, the_tools
from footage import clips
from peers.ranged_file import ranged_file

from vidd.errors import Refused, RetryLater
from vidd.files import disk_space
from vidd.model.span import reason_to_fetch_all
from vidd.steps import fetch
from vidd.transfer import sparse_download

pytestmark = pytest.mark.peer

MIB = 2**20
START, END = 240.0, 360.0
CUT = {"start": START, "end": END}
SMALL = fetch.Options(chunk=MIB)
TRIM = {"name": "trim", "kind": "trim", "options": {"source": "source", "fade": 3.0}}
OUT = {"name": "folder", "kind": "folder", "options": {"files": []}}


def a_pipeline(*steps, publish=(OUT,)):
    first = {"name": "fetch", "kind": "fetch", "options": {}}
    return {"steps": [first, *(steps or (TRIM,))], "publish": list(publish), "notify": []}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    place = tmp_path_factory.mktemp("recordings")
    clips.long_recording(place / "front.mp4", times=10)
    clips.long_recording(place / "back.mp4", times=10, output=())
    return place


@pytest.fixture(scope="module")
def data(recordings):
    return (recordings / "front.mp4").read_bytes()


def a_fetch(tmp_path, url, *, facts=CUT, settings=None, reserve=0, **changes):
    job = a_job(url, facts=facts, settings=settings or a_pipeline(), **changes)
    return a_step_context(tmp_path / "job", job, the_tools(tmp_path, reserve=reserve))


def in_part(tmp_path, outcome, data):
    """The facts of a file that is there in part; where it has anything, it has the right thing."""
    assert names_in(tmp_path / "job") == ["source.mp4", "source.mp4.window.json"]
    got = (tmp_path / "job/source.mp4").read_bytes()
    assert len(got) == len(data)
    there = json.loads((tmp_path / "job/source.mp4.window.json").read_text())["there"]
    assert all(got[a:b] == data[a:b] for a, b in there)
    return outcome.artifacts[0].facts["window"]


def whole(tmp_path, outcome, data):
    """Why a file is there whole, which it is."""
    assert names_in(tmp_path / "job") == ["source.mp4"]
    assert (tmp_path / "job/source.mp4").read_bytes() == data
    assert "window" not in outcome.artifacts[0].facts
    return outcome.artifacts[0].facts["whole"]


@pytest.mark.parametrize("where", ["front", "back"])
async def test_little_more_than_the_minutes_of_the_cut_comes_over_the_wire(tmp_path, recordings, where):
    data = (recordings / f"{where}.mp4").read_bytes()
    index = len(data) - data.index(b"moov") if where == "back" else data.index(b"mdat")
    async with ranged_file(data) as web:
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
        facts = in_part(tmp_path, outcome, data)
        assert web.sent == facts["read"] == facts["there"]
        assert len(web.asked) == facts["requests"] <= 12
    minutes = (END - START) / 600 * len(data)
    assert web.sent <= 1.2 * minutes + index
    assert facts["size"] == outcome.artifacts[0].size == len(data)
    for start, end in ((START, START + 3), (END - 3, END)):
        cut = clips.heard_and_seen(tmp_path / "job/source.mp4", start, end)
        assert cut == clips.heard_and_seen(recordings / f"{where}.mp4", start, end)


async def test_the_double_gives_its_parts_to_ffmpeg_as_to_vidd(recordings, data):
    async with ranged_file(data) as web:
        far = await asyncio.to_thread(clips.heard_and_seen, web.url, 300.0, 302.0)
        assert len(web.asked) > 1
    assert far == clips.heard_and_seen(recordings / "front.mp4", 300.0, 302.0)


async def test_the_disk_holds_only_what_was_read_and_the_reserve_counts_only_that(tmp_path, data, monkeypatch):
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: SimpleNamespace(free=MIB + len(data) // 2))
    async with ranged_file(data) as web:
        facts = in_part(tmp_path, await fetch.run(SMALL, a_fetch(tmp_path, web.url, reserve=MIB)), data)
    used = (tmp_path / "job/source.mp4").stat().st_blocks * 512
    assert facts["read"] <= used < facts["read"] + MIB


async def test_progress_is_told_of_what_the_cut_needs(tmp_path, data):
    told, moved = [], []
    async with ranged_file(data) as web:
        context = a_fetch(tmp_path, web.url)
        tools = replace(context.tools, observe=moved.append)
        context = replace(context, progress=lambda *progress: told.append(progress), tools=tools)
        facts = in_part(tmp_path, await fetch.run(SMALL, context), data)
    assert told[-1][:3] == (facts["there"], facts["there"], "bytes")
    assert sum(event.size for event in moved) == facts["read"]


async def test_a_talk_without_an_end_is_read_to_the_end_of_the_file(tmp_path, recordings, data):
    async with ranged_file(data) as web:
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url, facts={"start": 500.0}))
        in_part(tmp_path, outcome, data)
    cut = clips.heard_and_seen(tmp_path / "job/source.mp4", 590.0, 600.0)
    assert cut == clips.heard_and_seen(recordings / "front.mp4", 590.0, 600.0)


class TestARestart:
    async def broken_off(self, tmp_path, web, after):
        """An attempt that ends for good with the request after so many."""

        def tamper(number, answer):
            if number > after:
                answer.status, answer.body = 503, b""

        web.tamper = tamper
        with pytest.raises(RetryLater):
            await fetch.run(fetch.Options(chunk=MIB, parallel=1), a_fetch(tmp_path, web.url))
        web.tamper = lambda *_: None

    async def test_reads_only_what_is_missing(self, tmp_path, data):
        async with ranged_file(data) as web:
            straight = in_part(tmp_path, await fetch.run(SMALL, a_fetch(tmp_path, web.url)), data)["read"]
            (tmp_path / "job/source.mp4").unlink()
            (tmp_path / "job/source.mp4.window.json").unlink()
            web.sent, web.asked = 0, []
            await self.broken_off(tmp_path, web, 8)
            assert web.sent > straight // 2
            outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
            in_part(tmp_path, outcome, data)
            assert web.sent == straight

    async def test_after_the_file_got_its_name_and_before_it_was_recorded_reads_nothing(self, tmp_path, data):
        async with ranged_file(data) as web:
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))
            web.asked.clear()
            in_part(tmp_path, await fetch.run(SMALL, a_fetch(tmp_path, web.url)), data)
            assert web.asked == []

    async def test_does_not_trust_bytes_that_were_not_noted(self, tmp_path, data):
        # Killed between the data and the note: the disk may have written any of it, or none.
        async with ranged_file(data) as web:
            await self.broken_off(tmp_path, web, 6)
            noted = json.loads((tmp_path / "job/source.mp4.window.json").read_text())["there"]
            with (tmp_path / "job/source.mp4.window").open("r+b") as file:
                file.seek(noted[-1][1])
                file.write(b"\xff" * MIB)
            outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
            in_part(tmp_path, outcome, data)

    async def test_of_a_file_that_changed_meanwhile_begins_anew(self, tmp_path, data, recordings):
        other = (recordings / "back.mp4").read_bytes()
        async with ranged_file(data) as web:
            await self.broken_off(tmp_path, web, 4)
            web.data, web.etag, web.modified = other, '"two"', "Wed, 04 Nov 2026 09:00:00 GMT"
            in_part(tmp_path, await fetch.run(SMALL, a_fetch(tmp_path, web.url)), other)

    async def test_with_other_times_reads_what_they_need_more(self, tmp_path, data):
        async with ranged_file(data) as web:
            context = a_fetch(tmp_path, web.url)
            outcome = await fetch.run(SMALL, context)
            first = web.sent
            inside, longer = {"start": 250.0, "end": 300.0}, {"start": START, "end": END + 60}
            assert fetch.is_still_valid(SMALL, context, outcome)
            assert fetch.is_still_valid(SMALL, a_fetch(tmp_path, web.url, facts=inside), outcome)
            later = a_fetch(tmp_path, web.url, facts=longer)
            assert not fetch.is_still_valid(SMALL, later, outcome)
            in_part(tmp_path, await fetch.run(SMALL, later), data)
            assert web.sent - first < 70 / 600 * len(data)

    async def test_with_settings_that_need_all_of_it_fetches_all_of_it(self, tmp_path, data):
        async with ranged_file(data) as web:
            outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
            everything = a_fetch(tmp_path, web.url, settings=a_pipeline(publish=[named("s3", files=["source"])]))
            assert not fetch.is_still_valid(SMALL, everything, outcome)
            outcome = await fetch.run(SMALL, everything)
            assert "may need all of it" in whole(tmp_path, outcome, data)
            assert fetch.is_still_valid(SMALL, a_fetch(tmp_path, web.url), outcome)

    async def test_of_a_whole_download_that_was_broken_off_leaves_nothing_of_it(self, tmp_path, data):
        def tamper(number, answer):
            if number > 1:
                answer.status, answer.body = 503, b""
            answer.share = 0.5

        async with ranged_file(data, tamper=tamper) as web:
            context = a_fetch(tmp_path, web.url)
            with pytest.raises(RetryLater):
                await fetch.run(fetch.Options(chunk=MIB, ranged=False), context)
            assert names_in(tmp_path / "job") == ["source.mp4.part", "source.mp4.part.json"]
            web.tamper = lambda *_: None
            in_part(tmp_path, await fetch.run(SMALL, context), data)


def named(kind, **options):
    return {"name": kind, "kind": kind, "options": options}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        a_pipeline(named("describe")),
        a_pipeline(TRIM, named("transcode", source="source")),
        a_pipeline(named("transcode", source=""), TRIM),
        a_pipeline(TRIM, named("somebodys-own")),
        a_pipeline(TRIM, named("trim", source="talk", more={"logo": ["source"]})),
        a_pipeline(publish=[named("folder", files=["talk", "source"])]),
        a_pipeline(publish=[named("somebodys-own")]),
        a_pipeline(publish=[named("youtube", file="source")]),
    ],
)
async def test_a_recording_that_is_needed_for_more_than_the_cut_comes_whole(tmp_path, settings):
    assert reason_to_fetch_all(settings)


@pytest.mark.parametrize(
    "settings",
    [
        a_pipeline(),
        a_pipeline(TRIM, named("describe"), named("transcode", source=""), named("transcode", source="talk")),
        a_pipeline(publish=[named("s3", files=[]), named("mail"), named("youtube", file=None)]),
        a_pipeline(
            named(
                "trim",
                source="source",
                watermark={"image": "logo.png"},
                sting_before="source",
                title_card={"heading": "source"},
                loudness={"target": -23.0},
            )
        ),
    ],
)
async def test_a_recording_that_is_only_cut_comes_in_part(tmp_path, settings):
    assert reason_to_fetch_all(settings) is None


async def test_what_is_there_in_part_is_given_only_to_who_wants_a_part(tmp_path, data):
    async with ranged_file(data) as web:
        context = a_fetch(tmp_path, web.url)
        (source,) = (await fetch.run(SMALL, context)).artifacts
    later = replace(context, artifacts={"source": source})
    assert later.file("source", part=True) == tmp_path / "job/source.mp4"
    with pytest.raises(Refused, match="only what the cut needs was fetched"):
        later.file("source")


@pytest.mark.parametrize(
    ("options", "facts", "name", "why"),
    [
        ({"ranged": False}, CUT, "x.mp4", "settings say so"),
        ({}, {}, "x.mp4", "nearly all"),
        ({}, {}, "Main_t1_000100_999999.mp4", "not known"),
        ({}, {"start": 9, "end": 3}, "x.mp4", "ends before it begins"),
        ({}, {"end": 599.0}, "x.mp4", "nearly all"),
    ],
)
async def test_what_cannot_be_told_or_is_no_gain_is_fetched_whole(tmp_path, data, options, facts, name, why):
    async with ranged_file(data) as web:
        context = a_fetch(tmp_path, web.url, facts=facts, name=name)
        outcome = await fetch.run(fetch.Options(chunk=MIB, **options), context)
    assert why in whole(tmp_path, outcome, data)


async def test_a_file_of_another_kind_is_fetched_whole(tmp_path, recordings):
    clips.ffmpeg("-i", recordings / "minute.mp4", "-c", "copy", tmp_path / "in.mkv")
    data = (tmp_path / "in.mkv").read_bytes()
    async with ranged_file(data) as web:
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url, facts={"start": 10, "end": 20}))
    assert "no MP4 or MOV" in whole(tmp_path, outcome, data)


def ignores_ranges(_, answer):
    answer.status = 200


def refuses_ranges(number, answer):
    if number < 3:
        answer.status, answer.body = 416, b""


def gives_other_parts(number, answer):
    if number > 1 and answer.status == 206:
        answer.headers["Content-Range"] = answer.headers["Content-Range"].replace("bytes ", "bytes 1")


def says_no_part(number, answer):
    del answer.headers["Content-Range"]


def has_another_size_later(number, answer):
    if number > 1 and answer.status == 206:
        answer.headers["Content-Range"] += "0"


def gives_less_than_it_says(number, answer):
    if number > 1 and answer.status == 206:
        answer.body = answer.body[:-1]


def ends_early_without_saying(number, answer):
    if number > 1 and answer.status == 206:
        answer.body, answer.length = answer.body[:-9], False


def sends_more_than_it_says(number, answer):
    if number > 1 and answer.status == 206:
        answer.body, answer.length = answer.body + b"more", False


def compresses(_, answer):
    if answer.status == 206:
        answer.headers["Content-Encoding"] = "gzip"


def forgets_its_tag(number, answer):
    if number > 1 and answer.status == 206:
        del answer.headers["ETag"]


LIES = [
    refuses_ranges, gives_other_parts, says_no_part, has_another_size_later, gives_less_than_it_says,
    ends_early_without_saying, sends_more_than_it_says, compresses, forgets_its_tag,
]  # fmt: skip


@pytest.mark.parametrize("tamper", LIES, ids=lambda function: function.__name__)
async def test_a_server_that_lies_is_asked_for_the_whole(tmp_path, data, tamper):
    async with ranged_file(data) as web:

        def only_of_parts(number, answer):
            if answer.status == 206:
                tamper(number, answer)

        web.tamper = only_of_parts
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert "server" in whole(tmp_path, outcome, data)


async def test_a_server_without_ranges_is_asked_for_the_whole(tmp_path, data):
    async with ranged_file(data) as web:

        def tamper(_, answer):
            answer.status, answer.body = 200, data
            answer.headers.pop("Content-Range", None)

        web.tamper = tamper
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert "does not give parts" in whole(tmp_path, outcome, data)


@pytest.mark.parametrize("etag", [None, 'W/"one"'])
async def test_a_change_that_could_not_be_noticed_is_not_risked(tmp_path, data, etag):
    async with ranged_file(data, etag=etag, modified=None) as web:
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert "could be noticed" in whole(tmp_path, outcome, data)


@pytest.mark.parametrize("etag", [None, 'W/"one"'])
async def test_a_date_is_as_good_as_a_tag(tmp_path, data, etag):
    async with ranged_file(data, etag=etag) as web:
        in_part(tmp_path, await fetch.run(SMALL, a_fetch(tmp_path, web.url)), data)


async def test_a_redirect_is_followed_for_every_part(tmp_path, data):
    async with ranged_file(data) as web:
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url.replace("/files/talk.mp4", "/moved")))
    in_part(tmp_path, outcome, data)


async def test_short_trouble_and_broken_connections_are_got_the_better_of(tmp_path, data):
    def tamper(number, answer):
        if number % 3 == 0:
            answer.status, answer.body = 503, b""
        elif number % 3 == 1:
            answer.share = 0.6

    async with ranged_file(data, tamper=tamper) as web:
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    in_part(tmp_path, outcome, data)


async def test_a_server_that_gives_a_little_at_a_time_is_asked_for_more(tmp_path, data):
    def tamper(_, answer):
        start, size = answer.headers["Content-Range"].removeprefix("bytes ").partition("-")[0], len(data)
        answer.body = answer.body[:300_000]
        answer.headers["Content-Range"] = f"bytes {start}-{int(start) + len(answer.body) - 1}/{size}"

    async with ranged_file(data, tamper=tamper) as web:
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    in_part(tmp_path, outcome, data)


async def test_a_file_replaced_in_the_middle_is_read_anew_and_not_mixed(tmp_path, data, recordings):
    other = (recordings / "back.mp4").read_bytes()
    async with ranged_file(data) as web:

        def tamper(number, _):
            if number == 4:
                web.data, web.etag, web.modified = other, '"two"', "Wed, 04 Nov 2026 09:00:00 GMT"

        web.tamper = tamper
        in_part(tmp_path, await fetch.run(SMALL, a_fetch(tmp_path, web.url)), other)


async def test_a_file_of_a_new_tag_at_every_request_is_left_for_later_and_then_fetched_whole(tmp_path, data):
    async with ranged_file(data) as web:

        def tamper(number, answer):
            answer.headers["ETag"] = f'"{number}"'

        web.tamper = tamper
        with pytest.raises(RetryLater, match="replaced twice"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))
        assert web.sent < len(data)
        outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert "changed twice" in whole(tmp_path, outcome, data)


async def test_a_file_replaced_since_it_arrived_is_refused(tmp_path, data):
    async with ranged_file(data) as web:
        with pytest.raises(Refused, match="was replaced since it arrived"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url, facts={**CUT, "etag": '"zero"'}))
    assert web.sent < MIB


@pytest.mark.parametrize("status", [404, 403, 401, 410])
async def test_an_answer_that_will_not_change_is_refused_at_once(tmp_path, data, status):
    async with ranged_file(data) as web:

        def tamper(_, answer):
            answer.status, answer.body = status, b""

        web.tamper = tamper
        with pytest.raises(Refused, match=str(status)):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))
        assert len(web.asked) == 1


async def test_a_promised_sum_is_not_compared_and_the_facts_say_so(tmp_path, data):
    facts = {**CUT, "checksum": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
    async with ranged_file(data) as web:
        told = in_part(tmp_path, await fetch.run(SMALL, a_fetch(tmp_path, web.url, facts=facts)), data)
    assert "No checksum was compared" in told["sums"]


async def test_a_size_that_is_not_the_promised_one_is_noticed(tmp_path, data):
    async with ranged_file(data) as web:
        with pytest.raises(RetryLater, match="arrived instead"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url, facts={**CUT, "size": 1}))
    assert names_in(tmp_path / "job") == []


async def test_a_disk_that_knows_no_holes_gets_the_whole(tmp_path, data, monkeypatch):
    def filled(handle, size):
        Path(f"/proc/self/fd/{handle}").resolve().write_bytes(b"\0" * size)

    monkeypatch.setattr(sparse_download.os, "ftruncate", filled)
    async with ranged_file(data) as web:
        with monkeypatch.context():
            outcome = await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert "no holes" in whole(tmp_path, outcome, data)


async def test_a_cancelled_read_leaves_what_a_restart_goes_on_with(tmp_path, data):
    reached = asyncio.Event()

    def tamper(number, answer):
        if number == 5:
            reached.set()
            answer.share = 0.5

    async with ranged_file(data, tamper=tamper) as web:
        running = asyncio.create_task(fetch.run(fetch.Options(chunk=MIB, parallel=1), a_fetch(tmp_path, web.url)))
        async with asyncio.timeout(60):
            await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert names_in(tmp_path / "job") == ["source.mp4.window", "source.mp4.window.json"]
        before = web.sent
        straight = in_part(tmp_path, await fetch.run(SMALL, a_fetch(tmp_path, web.url)), data)
    assert straight["read"] < straight["there"] <= before + straight["read"]
