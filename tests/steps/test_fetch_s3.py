import asyncio
import hashlib
import os
from dataclasses import replace

import pytest
from builders.aws import Bucket, a_job, a_step_context, an_account, names_in, the_tools
from peers.faulty_proxy import faulty_proxy
from peers.servers import ministack, rclone_s3

from vidd.errors import Refused, RetryLater
from vidd.integrations.aws.account import client
from vidd.integrations.aws.s3_uri import parse_s3_uri, s3_uri
from vidd.steps import fetch

pytestmark = pytest.mark.peer

MIB = 2**20
DATA = os.urandom(5 * MIB + 3)
SMALL = fetch.Options(chunk=MIB, parallel=2)


@pytest.fixture(scope="module")
def server():
    with ministack() as url:
        yield url


@pytest.fixture
async def bucket(server, request):
    return await Bucket(an_account(server), f"b{abs(hash(request.node.name))}").make()


@pytest.fixture
async def proxy(server):
    async with faulty_proxy(server) as proxy:
        yield proxy


def a_fetch(tmp_path, url, location, *, reserve=0, **facts):
    job = a_job(location, facts={"account": "library", **facts})
    return a_step_context(tmp_path / "job", job, the_tools(tmp_path, reserve=reserve, library=an_account(url)))


def fetched(tmp_path):
    assert names_in(tmp_path / "job") == ["source.mp4"]
    return (tmp_path / "job/source.mp4").read_bytes()


def gets(method, path):
    return method == "GET"


async def test_an_object_comes_whole_and_says_how_far_it_is(bucket, server, tmp_path):
    await bucket.put("talk.mp4", DATA)
    said, moved = [], []
    context = a_fetch(tmp_path, server, s3_uri(bucket.name, "talk.mp4"))
    context = replace(
        context, progress=lambda *progress: said.append(progress), tools=replace(context.tools, observe=moved.append)
    )
    outcome = await fetch.run(SMALL, context)
    assert fetched(tmp_path) == DATA
    assert outcome.artifacts[0].facts["etag"] == hashlib.md5(DATA).hexdigest()
    assert said[-1][:3] == (len(DATA), len(DATA), "bytes")
    assert sum(event.size for event in moved) == len(DATA)


@pytest.mark.parametrize(
    "key",
    [
        "a b+c.mp4",
        "%41.mp4",
        "ü🎬.mp4",
        "../../up.mp4",
        "-rf.mp4",
        "quo\"te's.mp4",
        "q?x=1#y.mp4",
        "a//b.mp4",
        "ü" * 155 + ".mp4",
    ],
)
async def test_a_hostile_key_is_found_again_from_its_address(bucket, server, tmp_path, key):
    assert parse_s3_uri(s3_uri(bucket.name, key)) == (bucket.name, key)
    await bucket.put(key, b"here")
    await fetch.run(SMALL, a_fetch(tmp_path, server, s3_uri(bucket.name, key)))
    assert fetched(tmp_path) == b"here"


async def test_a_key_with_a_line_break_is_asked_for_as_it_is(bucket, proxy, tmp_path):
    with pytest.raises(Refused, match="There is no") as refusal:
        await fetch.run(SMALL, a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "new\nline.mp4")))
    assert "\n" not in refusal.value.sentence
    assert "new%0Aline.mp4" in proxy.seen[0]


async def test_a_connection_cut_in_a_part_is_taken_up_in_the_part(bucket, proxy, tmp_path):
    await bucket.put("talk.mp4", DATA)
    proxy.next_time(gets, "cut", times=3)
    await fetch.run(SMALL, a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4")))
    assert fetched(tmp_path) == DATA
    assert len(proxy.of("GET")) == 6 + 3


async def test_bad_answers_are_waited_out(bucket, proxy, tmp_path):
    await bucket.put("talk.mp4", DATA)
    for how in (500, 503, 429, "refuse"):
        proxy.next_time(gets, how)
    await fetch.run(SMALL, a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4")))
    assert fetched(tmp_path) == DATA


async def test_a_restart_fetches_only_the_parts_that_were_not_noted(bucket, proxy, tmp_path):
    await bucket.put("talk.mp4", DATA)
    one_by_one = fetch.Options(chunk=MIB, parallel=1)
    trouble = proxy.next_time(lambda method, _: method == "GET" and len(proxy.of("GET")) > 3, 503, times=99)
    context = a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4"))
    with pytest.raises(RetryLater):
        await fetch.run(one_by_one, context)
    trouble.times = 0
    proxy.seen.clear()
    outcome = await fetch.run(one_by_one, context)
    assert len(proxy.of("GET")) == 3
    assert fetched(tmp_path) == DATA
    assert outcome.artifacts[0].size == len(DATA)


async def test_an_object_replaced_between_two_attempts_is_refused_and_not_mixed(bucket, proxy, tmp_path):
    etag = (await bucket.put("talk.mp4", DATA))["ETag"].strip('"')
    proxy.next_time(lambda m, _: m == "GET" and len(proxy.of("GET")) > 2, 503, times=99)
    context = a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4"), etag=etag)
    with pytest.raises(RetryLater):
        await fetch.run(SMALL, context)
    proxy.troubles.clear()
    await bucket.put("talk.mp4", DATA[::-1])
    with pytest.raises(Refused, match="was replaced since it arrived"):
        await fetch.run(SMALL, context)
    await fetch.run(SMALL, a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4")))
    assert fetched(tmp_path) == DATA[::-1]


async def test_an_object_replaced_while_it_is_fetched_is_refused(bucket, proxy, tmp_path):
    await bucket.put("talk.mp4", DATA)
    proxy.next_time(lambda m, _: m == "GET" and len(proxy.of("GET")) == 3, "hold")
    running = asyncio.create_task(fetch.run(SMALL, a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4"))))
    async with asyncio.timeout(60):
        await proxy.hanging.wait()
        await bucket.put("talk.mp4", DATA[::-1])
        proxy.released.set()
        with pytest.raises(Refused, match="replaced"):
            await running
    assert not (tmp_path / "job/source.mp4").exists()


async def test_a_version_is_fetched_though_a_newer_one_is_there(bucket, server, tmp_path):
    async with client(bucket.account, "s3") as s3:
        await s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    version = (await bucket.put("talk.mp4", DATA))["VersionId"]
    await bucket.put("talk.mp4", b"newer")
    context = a_fetch(tmp_path, server, s3_uri(bucket.name, "talk.mp4"), version=version, size=len(DATA))
    await fetch.run(fetch.Options(), context)
    assert fetched(tmp_path) == DATA


async def test_a_server_that_serves_no_parts_is_refused_with_a_way_out(bucket, server, tmp_path):
    # This server forgets ranges where a version is named.
    async with client(bucket.account, "s3") as s3:
        await s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    version = (await bucket.put("talk.mp4", DATA))["VersionId"]
    with pytest.raises(Refused, match="set chunk"):
        await fetch.run(SMALL, a_fetch(tmp_path, server, s3_uri(bucket.name, "talk.mp4"), version=version))


async def test_a_deleted_object_is_refused_in_words_an_operator_understands(bucket, server, tmp_path):
    await bucket.put("talk.mp4", DATA)
    await bucket.delete("talk.mp4")
    with pytest.raises(Refused, match="was deleted since it arrived"):
        await fetch.run(SMALL, a_fetch(tmp_path, server, s3_uri(bucket.name, "talk.mp4")))


async def test_an_empty_object_is_refused(bucket, server, tmp_path):
    await bucket.put("talk.mp4", b"")
    with pytest.raises(Refused, match="is empty"):
        await fetch.run(SMALL, a_fetch(tmp_path, server, s3_uri(bucket.name, "talk.mp4")))


async def test_a_bucket_that_is_not_there_is_refused(server, tmp_path):
    with pytest.raises(Refused, match="bucket does not exist"):
        await fetch.run(SMALL, a_fetch(tmp_path, server, "s3://nowhere-at-all/talk.mp4"))


async def test_an_arrival_of_no_account_is_refused(tmp_path):
    with pytest.raises(Refused, match="names no account"):
        await fetch.run(SMALL, a_fetch(tmp_path, "http://127.0.0.1:9", "s3://b/k.mp4", account=None))


async def test_an_object_too_large_for_the_disk_is_waited_for(bucket, server, tmp_path):
    await bucket.put("talk.mp4", DATA)
    with pytest.raises(RetryLater, match="kept in reserve") as wait:
        await fetch.run(SMALL, a_fetch(tmp_path, server, s3_uri(bucket.name, "talk.mp4"), reserve=2**62))
    assert not wait.value.counts


async def test_a_provider_out_of_reach_is_asked_again_later(tmp_path):
    with pytest.raises(RetryLater, match="cannot reach"):
        await fetch.run(SMALL, a_fetch(tmp_path, "http://127.0.0.1:9", "s3://b/k.mp4"))


async def test_a_cancelled_fetch_ends_and_leaves_only_the_part_file(bucket, proxy, tmp_path):
    await bucket.put("talk.mp4", DATA)
    proxy.next_time(lambda m, _: m == "GET" and len(proxy.of("GET")) == 4, "hang")
    running = asyncio.create_task(fetch.run(SMALL, a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4"))))
    async with asyncio.timeout(60):
        await proxy.hanging.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all(name.startswith("source.mp4.part") for name in names_in(tmp_path / "job"))


async def test_bytes_that_are_not_the_promised_ones_are_thrown_away(bucket, server, tmp_path):
    await bucket.put("talk.mp4", DATA)
    context = a_fetch(tmp_path, server, s3_uri(bucket.name, "talk.mp4"), checksum="sha256:00")
    with pytest.raises(RetryLater, match="sha256 is not the promised one"):
        await fetch.run(SMALL, context)
    assert names_in(tmp_path / "job") == []
    await fetch.run(fetch.Options(verify=False), context)
    assert fetched(tmp_path) == DATA


class TestAnotherMake:
    """A server that checks the secret, does not enforce If-Match, and answers ranges with 200."""

    @pytest.fixture
    def disk(self, tmp_path):
        (tmp_path / "server" / "library").mkdir(parents=True)
        (tmp_path / "server/library/talk.mp4").write_bytes(DATA)
        return tmp_path / "server"

    async def test_an_object_comes_whole(self, disk, tmp_path):
        with rclone_s3(disk) as url:
            await fetch.run(SMALL, a_fetch(tmp_path, url, "s3://library/talk.mp4"))
        assert fetched(tmp_path) == DATA

    async def test_wrong_keys_are_refused_without_showing_them(self, disk, tmp_path):
        with rclone_s3(disk) as url:
            context = a_fetch(tmp_path, url, "s3://library/talk.mp4")
            context.tools.accounts["library"] = an_account(url, secret_key="WRONGSECRET42")
            with pytest.raises(Refused, match="does not accept the credentials") as refusal:
                await fetch.run(SMALL, context)
        assert "WRONGSECRET42" not in str(refusal.value)

    async def test_an_object_replaced_while_it_is_fetched_is_refused_all_the_same(self, disk, tmp_path):
        with rclone_s3(disk) as url:
            async with faulty_proxy(url) as proxy:
                proxy.next_time(lambda m, _: m == "GET" and len(proxy.of("GET")) == 3, "hold")
                running = asyncio.create_task(fetch.run(SMALL, a_fetch(tmp_path, proxy.url, "s3://library/talk.mp4")))
                async with asyncio.timeout(60):
                    await proxy.hanging.wait()
                    await Bucket(an_account(url), "library").put("talk.mp4", DATA[::-1])
                    proxy.released.set()
                    with pytest.raises(Refused, match="replaced while vidd fetched it"):
                        await running
