import asyncio
import hashlib
import os
from datetime import UTC, datetime

import pytest
from builders.aws import a_job, a_step_context, names_in, the_tools
from peers.web_files import web_file

from vidd.errors import Refused, RetryLater
from vidd.steps import fetch
from vidd.transfer.http import public_url, retry_after

DATA = os.urandom(5 * 2**20 + 3)
SMALL = fetch.Options(chunk=2**20)


def a_fetch(tmp_path, url, reserve=0, **changes):
    return a_step_context(tmp_path / "job", a_job(url, **changes), the_tools(tmp_path, reserve=reserve))


def fetched(tmp_path):
    assert names_in(tmp_path / "job") == ["source.mp4"]
    return (tmp_path / "job/source.mp4").read_bytes()


async def test_a_file_comes_whole(tmp_path):
    async with web_file(DATA) as web:
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA


async def test_a_server_that_closes_at_forty_percent_is_noticed_and_the_rest_is_fetched(tmp_path):
    async with web_file(DATA, cuts=[0.4]) as web:
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA
    assert "Range" not in web.seen[0]
    assert int(web.seen[1]["Range"].removeprefix("bytes=").removesuffix("-")) > 2**20
    assert web.seen[1]["If-Range"] == '"one"'


async def test_a_server_that_always_cuts_is_got_the_better_of(tmp_path):
    async with web_file(DATA, cuts=[0.4] * 30) as web:
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA


async def test_a_chunked_answer_that_ends_early_is_noticed(tmp_path):
    async with web_file(DATA, cuts=[0.4], length=False) as web:
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA


async def test_a_server_that_gives_less_than_the_rest_is_asked_for_more(tmp_path):
    async with web_file(DATA, cuts=[0.4], most=2**20) as web:
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA


async def test_of_a_file_that_became_shorter_nothing_old_is_left_at_its_end(tmp_path):
    async with web_file(DATA, cuts=[0.9], etag=None) as web:
        context = a_fetch(tmp_path, web.url)

        async def sleep(_seconds):
            web.data = DATA[:1000]

        context.tools.clock.sleep = sleep
        await fetch.run(SMALL, context)
    assert fetched(tmp_path) == DATA[:1000]


async def test_a_server_without_ranges_is_read_from_the_start_again(tmp_path):
    async with web_file(DATA, cuts=[0.4, 0.6], ranges=False) as web:
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA


async def test_a_server_that_never_gets_further_is_left_for_later(tmp_path):
    async with web_file(DATA, cuts=[0.4] * 30, ranges=False) as web:
        with pytest.raises(RetryLater, match="connection was lost"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert len(web.seen) < 10


async def test_a_restart_goes_on_where_the_notes_end(tmp_path):
    async with web_file(DATA, cuts=[0.5]) as web:
        web.statuses = []
        with pytest.raises(RetryLater):
            await cut_off(tmp_path, web)
        web.cuts.clear()
        web.seen.clear()
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA
    assert web.seen[0]["Range"] == f"bytes={2 * 2**20}-"


async def cut_off(tmp_path, web):
    """An attempt that ends for good after half of the file."""
    web.cuts += [0.0] * 9
    await fetch.run(SMALL, a_fetch(tmp_path, web.url))


async def test_a_file_that_changed_between_two_attempts_is_fetched_from_its_start(tmp_path):
    async with web_file(DATA, cuts=[0.5]) as web:
        with pytest.raises(RetryLater):
            await cut_off(tmp_path, web)
        web.cuts.clear()
        web.data, web.etag = DATA[::-1], '"two"'
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA[::-1]


async def test_a_weak_tag_is_no_ground_to_resume_on_but_the_date_is(tmp_path):
    date = "Tue, 03 Nov 2026 09:00:00 GMT"
    async with web_file(DATA, etag='W/"one"', modified=date, cuts=[0.5]) as web:
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert fetched(tmp_path) == DATA
    assert web.seen[1]["If-Range"] == date


async def test_the_promised_size_and_sum_are_compared(tmp_path):
    async with web_file(DATA) as web:
        right = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
        await fetch.run(SMALL, a_fetch(tmp_path, web.url, facts={"checksum": right, "size": len(DATA)}))
        for wrong in ({"size": len(DATA) + 1}, {"checksum": "md5:00"}):
            with pytest.raises(RetryLater, match="fetch the file again"):
                await fetch.run(SMALL, a_fetch(tmp_path, web.url, facts=wrong))
            assert names_in(tmp_path / "job") == ["source.mp4"]


async def test_a_file_replaced_since_it_arrived_is_refused(tmp_path):
    async with web_file(DATA) as web:
        with pytest.raises(Refused, match="was replaced since it arrived"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url, facts={"etag": '"zero"'}))


async def test_an_empty_file_is_refused(tmp_path):
    async with web_file(b"") as web:
        with pytest.raises(Refused, match="is empty"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))


async def test_an_empty_file_of_no_said_length_is_refused(tmp_path):
    async with web_file(b"", length=False) as web:
        with pytest.raises(Refused, match="is empty"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))


@pytest.mark.parametrize("status", [404, 410, 401, 403, 400, 304])
async def test_an_answer_that_will_not_change_is_refused_at_once(tmp_path, status):
    async with web_file(DATA, statuses=[(status, {})]) as web:
        with pytest.raises(Refused, match=str(status)):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert len(web.seen) == 1


async def test_a_busy_server_is_left_for_as_long_as_it_asks(tmp_path):
    async with web_file(DATA, statuses=[(503, {"Retry-After": "120"})]) as web:
        with pytest.raises(RetryLater) as wait:
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))
    assert wait.value.after == 120


async def test_short_trouble_is_waited_out(tmp_path):
    async with web_file(DATA, statuses=[(500, {}), (429, {"Retry-After": "1"}), (502, {})]) as web:
        context = a_fetch(tmp_path, web.url)
        await fetch.run(SMALL, context)
    assert fetched(tmp_path) == DATA
    assert 1 in context.tools.clock.slept


async def test_a_redirect_is_followed_to_http_only(tmp_path):
    async with web_file(DATA) as web:
        web.statuses = [(302, {"Location": web.url})]
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
        web.statuses = [(302, {"Location": "file:///etc/passwd"})]
        with pytest.raises(Refused, match="not http or https"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))
        web.statuses = [(302, {"Location": web.url})] * 40
        with pytest.raises(Refused, match="circle"):
            await fetch.run(SMALL, a_fetch(tmp_path, web.url))


async def test_a_server_out_of_reach_is_asked_again_later(tmp_path):
    with pytest.raises(RetryLater, match="cannot reach"):
        await fetch.run(SMALL, a_fetch(tmp_path, "http://127.0.0.1:9/x.mp4"))


async def test_a_file_too_large_for_the_disk_is_not_begun(tmp_path):
    async with web_file(DATA) as web:
        with pytest.raises(RetryLater, match="kept in reserve") as wait:
            await fetch.run(SMALL, a_fetch(tmp_path, web.url, reserve=2**62))
    assert not wait.value.counts
    assert not (tmp_path / "job/source.mp4").exists()


async def test_a_cancelled_fetch_leaves_what_a_resume_needs(tmp_path):
    async with web_file(DATA, cuts=[0.7]) as web:
        context = a_fetch(tmp_path, web.url)
        reached = asyncio.Event()

        async def sleep(_seconds):
            reached.set()
            await asyncio.Event().wait()

        context.tools.clock.sleep = sleep
        running = asyncio.create_task(fetch.run(SMALL, context))
        async with asyncio.timeout(60):
            await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        web.seen.clear()
        await fetch.run(SMALL, a_fetch(tmp_path, web.url))
        assert web.seen[0]["Range"] == f"bytes={3 * 2**20}-"
    assert fetched(tmp_path) == DATA


def test_an_address_is_shown_without_what_may_be_secret():
    assert public_url("https://me:pass@host.example/a/b.mp4?X-Amz-Signature=1#x") == "https://host.example/a/b.mp4"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("Tue, 03 Nov 2026 09:01:00 GMT", 60),
        ("Tue, 03 Nov 2026 08:00:00 GMT", 0),
        ("soon", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value, seconds):
    assert retry_after(value, datetime(2026, 11, 3, 9, tzinfo=UTC)) == seconds
