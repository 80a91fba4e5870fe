"""A cut of a recording in S3: what is read of it, and what is done where the server is not what it seems."""

import asyncio
import json
from contextlib import nullcontext

import pytest
from builders.aws import Bucket, a_job, a_step_context, an_account, names_in, the_tools
from footage import clips
from peers.faulty_proxy import faulty_proxy
from peers.servers import ministack, rclone_s3

from vidd.errors import Refused, RetryLater
from vidd.integrations.aws.account import client
from vidd.integrations.aws.s3_download import PinnedObject
from vidd.integrations.aws.s3_file import S3File
from vidd.integrations.aws.s3_uri import s3_uri
from vidd.model.byte_ranges import NotInParts
from vidd.steps import fetch
from vidd.transfer.remote_file import RemoteFileChanged

pytestmark = pytest.mark.peer

MIB = 2**20
CUT = {"start": 120.0, "end": 180.0}
SMALL = fetch.Options(chunk=MIB, parallel=2)
SETTINGS = {
    "steps": [
        {"name": "fetch", "kind": "fetch", "options": {}},
        {"name": "trim", "kind": "trim", "options": {"source": "source"}},
    ],
    "publish": [],
    "notify": [],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "stage.mp4"
    return clips.long_recording(path, times=5, output=()).read_bytes()


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


def a_fetch(tmp_path, url, location, **facts):
    job = a_job(location, facts={"account": "library", **CUT, **facts}, settings=SETTINGS)
    return a_step_context(tmp_path / "job", job, the_tools(tmp_path, library=an_account(url)))


def in_part(tmp_path, outcome, data):
    assert names_in(tmp_path / "job") == ["source.mp4", "source.mp4.window.json"]
    got = (tmp_path / "job/source.mp4").read_bytes()
    there = json.loads((tmp_path / "job/source.mp4.window.json").read_text())["there"]
    assert len(got) == len(data)
    assert all(got[a:b] == data[a:b] for a, b in there)
    return outcome.artifacts[0].facts["window"]


async def test_little_more_than_the_minutes_of_the_cut_comes_over_the_wire(bucket, proxy, tmp_path, data):
    await bucket.put("talk.mp4", data)
    outcome = await fetch.run(SMALL, a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4")))
    facts = in_part(tmp_path, outcome, data)
    index = len(data) - data.index(b"moov")
    assert proxy.sent == facts["read"] <= 1.3 * len(data) * 60 / 300 + index
    assert len(proxy.seen) == facts["requests"]


async def test_bad_days_are_got_the_better_of(bucket, proxy, tmp_path, data):
    await bucket.put("talk.mp4", data)
    for how in (500, "cut", 503, "refuse", "cut"):
        proxy.next_time(lambda method, _: method == "GET", how)
    outcome = await fetch.run(SMALL, a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4")))
    in_part(tmp_path, outcome, data)


async def test_a_restart_reads_only_what_is_missing(bucket, proxy, tmp_path, data):
    await bucket.put("talk.mp4", data)
    context = a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4"))
    trouble = proxy.next_time(lambda m, _: m == "GET" and len(proxy.of("GET")) > 4, 503, times=99)
    with pytest.raises(RetryLater):
        await fetch.run(fetch.Options(chunk=MIB, parallel=1), context)
    trouble.times = 0
    facts = in_part(tmp_path, await fetch.run(SMALL, context), data)
    assert proxy.sent == facts["there"]
    assert facts["read"] < facts["there"]


async def test_an_object_replaced_between_two_attempts_is_not_mixed(bucket, proxy, tmp_path, data):
    await bucket.put("talk.mp4", data)
    other = bytearray(data)
    other[len(data) // 2] ^= 1
    context = a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4"))
    trouble = proxy.next_time(lambda m, _: m == "GET" and len(proxy.of("GET")) > 5, 503, times=99)
    with pytest.raises(RetryLater):
        await fetch.run(fetch.Options(chunk=MIB, parallel=1), context)
    trouble.times = 0
    await bucket.put("talk.mp4", bytes(other))
    facts = in_part(tmp_path, await fetch.run(SMALL, context), bytes(other))
    assert facts["read"] == facts["there"]


@pytest.mark.parametrize("known", [True, False])
async def test_an_object_replaced_in_the_middle_is_not_mixed(bucket, proxy, tmp_path, data, known):
    etag = (await bucket.put("talk.mp4", data))["ETag"].strip('"')
    other = bytearray(data)
    other[len(data) // 2] ^= 1
    proxy.next_time(lambda m, _: m == "GET" and len(proxy.of("GET")) == 4, "hold")
    facts = {"etag": etag} if known else {}
    context = a_fetch(tmp_path, proxy.url, s3_uri(bucket.name, "talk.mp4"), **facts)
    running = asyncio.create_task(fetch.run(SMALL, context))
    async with asyncio.timeout(60):
        await proxy.hanging.wait()
        await bucket.put("talk.mp4", bytes(other))
        proxy.released.set()
        if known:
            # Its new state is another arrival's.
            with pytest.raises(Refused, match="was replaced since it arrived"):
                await running
        else:
            in_part(tmp_path, await running, bytes(other))
    assert (tmp_path / "job/source.mp4").exists() is not known


async def test_a_server_that_forgets_ranges_is_asked_for_the_whole(bucket, server, tmp_path, data):
    # This one does where a version is named.
    async with client(bucket.account, "s3") as s3:
        await s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    version = (await bucket.put("talk.mp4", data))["VersionId"]
    context = a_fetch(tmp_path, server, s3_uri(bucket.name, "talk.mp4"), version=version)
    outcome = await fetch.run(fetch.Options(chunk=2**30), context)
    assert "does not give parts" in outcome.artifacts[0].facts["whole"]
    assert (tmp_path / "job/source.mp4").read_bytes() == data


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({}, None),
        ({"ETag": '"two"'}, RemoteFileChanged),
        ({"ContentRange": "bytes 101-110/999"}, NotInParts),
        ({"ContentRange": "bytes 100-109/998"}, NotInParts),
        ({"ContentRange": None}, NotInParts),
        ({"ContentLength": 11, "ContentRange": "bytes 100-110/999"}, NotInParts),
        ({"ContentLength": 0, "ContentRange": "bytes 100-99/999"}, NotInParts),
    ],
)
def test_an_answer_must_be_of_the_same_state_and_lie_where_it_was_asked_for(answer, why):
    far = S3File(None, PinnedObject("b", "k", 999, "one", None, None))
    right = {"ETag": '"one"', "ContentLength": 10, "ContentRange": "bytes 100-109/999"}
    with pytest.raises(why) if why else nullcontext():
        assert far._expected_size({**right, **answer}, 100, 110) == 10


async def test_a_server_that_does_not_enforce_if_match_is_watched(tmp_path, data):
    (tmp_path / "server/library").mkdir(parents=True)
    (tmp_path / "server/library/talk.mp4").write_bytes(data)
    other = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    with rclone_s3(tmp_path / "server") as url:
        context = a_fetch(tmp_path, url, "s3://library/talk.mp4")
        in_part(tmp_path, await fetch.run(SMALL, context), data)
        for left in (tmp_path / "job").iterdir():
            left.unlink()
        async with faulty_proxy(url) as proxy:
            proxy.next_time(lambda m, _: m == "GET" and len(proxy.of("GET")) == 4, "hold")
            running = asyncio.create_task(fetch.run(SMALL, a_fetch(tmp_path, proxy.url, "s3://library/talk.mp4")))
            async with asyncio.timeout(60):
                await proxy.hanging.wait()
                await Bucket(an_account(url), "library").put("talk.mp4", other)
                proxy.released.set()
                in_part(tmp_path, await running, other)
