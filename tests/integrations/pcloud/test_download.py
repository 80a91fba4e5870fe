import asyncio
import hashlib
import os
from dataclasses import replace

import pytest
from builders.aws import a_job, a_step_context, names_in
from builders.pcloud import an_account, by_password, certificate, no_line_left, service, the_tools
from peers.pcloud import says

from vidd.errors import Refused, RetryLater
from vidd.steps import fetch

pytestmark = pytest.mark.peer

__all__ = ["certificate", "no_line_left", "service"]
MIB = 2**20
DATA = os.urandom(5 * MIB + 3)
SMALL = fetch.Options(chunk=MIB, parallel=2)


@pytest.fixture
def uploaded(service):
    return service.put("/recordings/Ein Vortrag.mov", DATA)


def a_fetch(tmp_path, service, location, *, name="talk.mp4", reserve=0, **facts):
    tools = the_tools(tmp_path, service)
    tools = replace(tools, encoder=replace(tools.encoder, disk_reserve=reserve))
    return a_step_context(tmp_path / "job", a_job(location, name=name, facts={"account": "cloud", **facts}), tools)


def fetched(tmp_path, name="source.mp4"):
    assert names_in(tmp_path / "job") == [name]
    return (tmp_path / "job" / name).read_bytes()


async def test_a_file_comes_whole_by_its_id(service, uploaded, tmp_path):
    outcome = await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA
    [source] = outcome.artifacts
    sums = {"sha256": hashlib.sha256(DATA).hexdigest()}
    assert source.facts == {"file": uploaded.id, "name": "Ein Vortrag.mov", **sums}
    assert service.served == len(DATA)


@pytest.mark.parametrize("location", ["pcloud:/recordings/Ein%20Vortrag.mov", "pcloud:/recordings/Ein Vortrag.mov"])
async def test_a_file_comes_by_its_path(service, uploaded, tmp_path, location):
    await fetch.run(SMALL, a_fetch(tmp_path, service, location))
    assert fetched(tmp_path) == DATA


async def test_an_arrival_without_an_ending_gets_the_files_own(service, uploaded, tmp_path):
    outcome = await fetch.run(
        SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}", name="cm8ek9jj2003oqe0cfeqcou7s")
    )
    assert fetched(tmp_path, "source.mov") == DATA
    assert outcome.artifacts[0].content_type == "video/quicktime"


@pytest.mark.parametrize("refusal", [410, 403, 404])
async def test_a_link_that_expires_in_the_middle_is_replaced_and_the_rest_is_fetched(
    service, uploaded, tmp_path, refusal
):
    service.link_refusal = refusal
    service.cuts = [700_000, 300_000]
    await fetch.run(fetch.Options(chunk=16 * MIB), a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA
    assert service.served == len(DATA)
    assert service.count("getfilelink") == 3
    assert len([call for call in service.calls if call.status == refusal]) == 2


async def test_where_a_link_is_over_its_other_servers_are_not_asked(service, uploaded, tmp_path):
    service.expires_after = 2 * MIB
    await fetch.run(fetch.Options(chunk=MIB, parallel=1), a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA
    assert service.count("getfilelink") == 2
    assert len([call for call in service.calls if call.status == 410]) == 1


async def test_of_several_chunks_that_meet_an_expired_link_one_asks_for_the_next(service, uploaded, tmp_path):
    service.cuts = [1000]
    await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA
    assert service.count("getfilelink") == 2


async def test_a_content_server_that_is_down_is_passed_over(service, uploaded, tmp_path):
    service.dead_hosts = ["127.0.0.1:9"]
    await fetch.run(fetch.Options(chunk=16 * MIB), a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA
    assert service.count("getfilelink") == 1


async def test_a_server_that_is_slow_but_never_silent_is_waited_for(service, uploaded, tmp_path):
    service.slow = 0.25
    context = a_fetch(tmp_path, service, f"pcloud:{uploaded.id}")
    context.tools.accounts["cloud"] = an_account(service, read_timeout=2)
    await fetch.run(fetch.Options(chunk=16 * MIB), context)
    assert fetched(tmp_path) == DATA
    assert service.served == len(DATA)


async def test_links_that_never_hold_are_left_for_later(service, uploaded, tmp_path):
    service.cuts = [0] * 99
    with pytest.raises(RetryLater, match=r"connection was lost|link has expired"):
        await fetch.run(fetch.Options(chunk=MIB, parallel=1), a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert service.count("getfilelink") == 2


async def test_a_restart_goes_on_with_the_chunks_that_are_missing(service, uploaded, tmp_path):
    service.misstep("GET", "^/content/", "hang", skip=3, times=99)
    running = asyncio.create_task(
        fetch.run(fetch.Options(chunk=MIB, parallel=1), a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    )
    assert await asyncio.to_thread(service.hung.wait, 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    service.missteps.clear()
    assert service.served == 3 * MIB
    await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA
    assert service.served == len(DATA)


async def test_a_file_that_was_replaced_between_two_attempts_is_fetched_from_its_start(service, uploaded, tmp_path):
    service.misstep("GET", "^/content/", "drop", skip=3, times=99)
    with pytest.raises(RetryLater):
        await fetch.run(fetch.Options(chunk=MIB, parallel=1), a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    service.missteps.clear()
    service.put("/recordings/Ein Vortrag.mov", DATA[::-1])
    await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA[::-1]


async def test_a_file_that_is_replaced_while_it_comes_is_not_taken_for_either(service, uploaded, tmp_path):
    """Its second half is another one's; the checksum finds it out."""
    service.replaces_after = (2 * MIB, DATA[::-1])
    with pytest.raises(RetryLater, match="sha256 is not the promised one"):
        await fetch.run(fetch.Options(chunk=MIB, parallel=1), a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert names_in(tmp_path / "job") == []
    await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA[::-1]


@pytest.mark.parametrize("location", ["pcloud:99999", "pcloud:/recordings/none.mp4", "pcloud:/nowhere/at/all.mp4"])
async def test_a_file_that_does_not_exist_is_refused_by_name(service, uploaded, tmp_path, location):
    with pytest.raises(Refused) as refused:
        await fetch.run(SMALL, a_fetch(tmp_path, service, location))
    assert refused.value.sentence.startswith("There is no file ")
    assert location.removeprefix("pcloud:") in refused.value.sentence
    assert "'cloud'" in refused.value.sentence


@pytest.mark.parametrize("location", ["pcloud:", "pcloud:abc", "pcloud://host/file", "pcloud:/folder/", "pcloud:-1"])
async def test_a_location_that_names_no_file_is_refused(service, tmp_path, location):
    with pytest.raises(Refused, match="names no file on pCloud"):
        await fetch.run(SMALL, a_fetch(tmp_path, service, location))


async def test_a_file_of_somebody_else_is_refused(service, uploaded, tmp_path):
    service.folder("/recordings").mine = False
    with pytest.raises(Refused, match="may not do this on pCloud"):
        await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))


async def test_an_empty_file_is_refused(service, tmp_path):
    empty = service.put("/recordings/empty.mp4", b"")
    with pytest.raises(Refused, match=r"'empty\.mp4'\) on pCloud is empty"):
        await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{empty.id}"))


async def test_the_size_and_the_checksum_an_arrival_promised_are_compared(service, uploaded, tmp_path):
    with pytest.raises(Refused, match="was replaced since it arrived"):
        await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}", size=5))
    wrong = hashlib.md5(b"other").hexdigest()
    with pytest.raises(RetryLater, match="md5 is not the promised one"):
        await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}", checksum=f"md5:{wrong}"))
    right = hashlib.md5(DATA).hexdigest()
    await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}", size=len(DATA), checksum=f"md5:{right}"))
    assert fetched(tmp_path) == DATA


async def test_american_files_are_compared_by_sha1(service, uploaded, tmp_path):
    service.region = "us"
    outcome = await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert outcome.artifacts[0].facts["sha1"] == hashlib.sha1(DATA).hexdigest()


async def test_a_full_disk_waits(service, uploaded, tmp_path):
    with pytest.raises(RetryLater, match="kept in reserve") as full:
        await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}", reserve=2**60))
    assert full.value.counts is False
    assert service.served == 0


@pytest.mark.parametrize("method", ["stat", "checksumfile", "getfilelink"])
@pytest.mark.parametrize("body", [says(5000), {"result": 0}, {}, []], ids=["failed", "lacking", "empty", "a list"])
async def test_an_answer_that_makes_no_sense_is_asked_for_again(service, uploaded, tmp_path, method, body):
    service.misstep("POST", f"^/{method}$", "status", status=200, body=body)
    await fetch.run(SMALL, a_fetch(tmp_path, service, f"pcloud:{uploaded.id}"))
    assert fetched(tmp_path) == DATA


async def test_an_arrival_that_names_no_account_is_refused(service, uploaded, tmp_path):
    context = a_fetch(tmp_path, service, f"pcloud:{uploaded.id}", account=None)
    with pytest.raises(Refused, match="set account of the fetch step"):
        await fetch.run(SMALL, context)
    await fetch.run(fetch.Options(account="cloud"), context)
    assert fetched(tmp_path) == DATA


async def test_check_asks_whose_the_account_is(service, tmp_path):
    tools = the_tools(tmp_path, service)
    assert "(Ada@example.org) can be reached" in await fetch.check(fetch.Options(account="cloud"), tools)
    tools.accounts["cloud"] = an_account(service, token="WRONG4711SECRET")
    with pytest.raises(Refused, match="correct its token") as refused:
        await fetch.check(fetch.Options(account="cloud"), tools)
    assert "WRONG4711SECRET" not in refused.value.sentence


async def test_a_password_fetches_too(service, uploaded, tmp_path):
    context = a_fetch(tmp_path, service, f"pcloud:{uploaded.id}")
    context.tools.accounts["cloud"] = by_password(service)
    await fetch.run(SMALL, context)
    assert fetched(tmp_path) == DATA
