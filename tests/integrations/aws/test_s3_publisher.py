import asyncio
import os
from dataclasses import replace

import pytest
from builders.aws import Bucket, Desk, a_job, an_account, the_tools
from peers.faulty_proxy import faulty_proxy
from peers.servers import ministack, rclone_s3

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.aws import s3_publisher
from vidd.integrations.aws.s3_target import safe_key
from vidd.model.talk import Speaker, Talk

pytestmark = pytest.mark.peer

MIB = 2**20
PARTS = 5 * MIB
BIG = os.urandom(12 * MIB + 7)


@pytest.fixture(scope="module")
def server():
    with ministack() as url:
        yield url


@pytest.fixture
async def bucket(server, request):
    name = f"b{abs(hash(request.node.name))}"
    return await Bucket(an_account(server), name).make()


@pytest.fixture
async def proxy(server):
    async with faulty_proxy(server) as proxy:
        yield proxy


def a_desk(tmp_path, url, **changes):
    tools = the_tools(tmp_path, library=an_account(url, **changes))
    return Desk(a_job("file:///x.mp4"), tmp_path, tools)


def the_options(bucket, **changes):
    return s3_publisher.Options(
        **{"account": "library", "bucket": bucket.name, "part_size": PARTS, "parallel": 2, **changes}
    )


def completes(method, path):
    return method == "POST" and "uploadId=" in path


def puts_a_part(method, path):
    return method == "PUT" and "partNumber=" in path


def puts_an_object(method, path):
    return method == "PUT" and "partNumber=" not in path


async def test_a_small_file_arrives_with_type_marker_and_a_receipt(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"small")
    receipt = await s3_publisher.publish(the_options(bucket), desk.context)
    head = await bucket.head("01job/talk.mp4")
    assert await bucket.get("01job/talk.mp4") == b"small"
    assert head["ContentType"] == "video/mp4"
    assert head["Metadata"]["vidd-job"] == "01job"
    assert receipt.url == f"{server}/{bucket.name}/01job/talk.mp4"
    assert receipt.facts["size"] == 5
    assert receipt.facts["etag"] == head["ETag"].strip('"')
    assert await s3_publisher.reconcile(the_options(bucket), desk.context) == receipt


async def test_a_large_file_arrives_in_parts_and_whole(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", BIG)
    receipt = await s3_publisher.publish(the_options(bucket), desk.context)
    assert await bucket.get("01job/talk.mp4") == BIG
    assert receipt.facts["etag"].endswith("-3")
    assert desk.checkpoints[0]["files"]["talk"]["upload_id"]
    assert desk.was_sent


async def test_the_resume_token_is_saved_before_the_first_byte_goes_out(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    before = []
    context = desk.context

    async def checkpoint(token):
        before.append(len(proxy.of("PUT")))
        await context.checkpoint(token)

    await s3_publisher.publish(the_options(bucket), replace(context, checkpoint=checkpoint))
    assert before == [0]
    assert len(proxy.of("PUT")) == 3


async def test_an_upload_that_was_cut_off_goes_on_with_the_missing_parts(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    proxy.next_time(lambda m, p: puts_a_part(m, p) and "partNumber=3" in p, "hang")
    running = asyncio.create_task(s3_publisher.publish(the_options(bucket, parallel=1), desk.context))
    async with asyncio.timeout(60):
        await proxy.hanging.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    proxy.seen.clear()
    assert await s3_publisher.reconcile(the_options(bucket), desk.context) is None
    await s3_publisher.publish(the_options(bucket), desk.context)
    assert len(proxy.of("PUT")) == len(proxy.of("PUT", "partNumber=3")) == 1
    assert await bucket.get("01job/talk.mp4") == BIG
    assert await bucket.open_uploads() == []


async def test_an_upload_the_provider_forgot_is_begun_anew(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", BIG)
    await s3_publisher.publish(the_options(bucket), desk.context)
    await bucket.delete("01job/talk.mp4")
    forgotten = desk.token["files"]["talk"]["upload_id"]
    await s3_publisher.publish(the_options(bucket), desk.context)
    assert desk.token["files"]["talk"]["upload_id"] != forgotten
    assert await bucket.get("01job/talk.mp4") == BIG


async def test_a_file_that_changed_since_the_upload_began_is_sent_whole_and_the_old_upload_ended(
    bucket, proxy, tmp_path
):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    proxy.next_time(puts_a_part, 503, times=99)
    with pytest.raises(RetryLater):
        await s3_publisher.publish(the_options(bucket), desk.context)
    proxy.troubles.clear()
    assert len(await bucket.open_uploads()) == 1
    desk.add("talk", "out.mp4", BIG[::-1])
    await s3_publisher.publish(the_options(bucket), desk.context)
    assert await bucket.get("01job/talk.mp4") == BIG[::-1]
    assert await bucket.open_uploads() == []


@pytest.mark.parametrize(("data", "commits"), [(BIG, completes), (b"small", puts_an_object)], ids=["parts", "put"])
async def test_an_answer_lost_after_the_commit_is_found_by_asking(bucket, proxy, tmp_path, data, commits):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", data)
    # The HTTP client itself repeats a PUT once when its connection breaks.
    proxy.next_time(commits, "drop reply", times=2)
    with pytest.raises(OutcomeUnknown, match="look whether it is there"):
        await s3_publisher.publish(the_options(bucket), desk.context)
    receipt = await s3_publisher.reconcile(the_options(bucket), desk.context)
    sent = [line for line in proxy.seen if commits(*line.split(" ", 1))]
    assert await bucket.get("01job/talk.mp4") == data
    assert receipt.facts["size"] == len(data)
    assert len(sent) <= 2


async def test_a_put_that_the_http_client_repeats_is_known_as_ours(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", b"small")
    proxy.next_time(puts_an_object, "drop reply")
    assert (await s3_publisher.publish(the_options(bucket), desk.context)).facts["size"] == 5
    assert len(proxy.of("PUT")) == 2


async def test_a_completion_whose_answer_is_lost_is_not_sent_again(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    proxy.next_time(completes, "drop reply")
    with pytest.raises(OutcomeUnknown):
        await s3_publisher.publish(the_options(bucket), desk.context)
    assert len([line for line in proxy.seen if completes(*line.split(" ", 1))]) == 1
    proxy.seen.clear()
    receipt = await s3_publisher.reconcile(the_options(bucket), desk.context)
    assert receipt.facts["size"] == len(BIG)
    assert all(line.startswith("HEAD ") for line in proxy.seen)


async def test_a_server_error_at_the_commit_leaves_a_doubt_and_busy_does_not(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    proxy.next_time(completes, 500)
    with pytest.raises(OutcomeUnknown):
        await s3_publisher.publish(the_options(bucket), desk.context)
    assert await s3_publisher.reconcile(the_options(bucket), desk.context) is None
    proxy.next_time(completes, 503, headers={"Retry-After": "90"})
    with pytest.raises(RetryLater) as busy:
        await s3_publisher.publish(the_options(bucket), desk.context)
    assert busy.value.after == 90
    assert (await s3_publisher.publish(the_options(bucket), desk.context)).facts["size"] == len(BIG)


async def test_a_part_that_meets_a_bad_day_is_sent_again_and_the_others_are_not(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    for how in (500, 503, 429):
        proxy.next_time(lambda m, p: puts_a_part(m, p) and "partNumber=2" in p, how)
    await s3_publisher.publish(the_options(bucket), desk.context)
    assert len(proxy.of("PUT", "partNumber=2")) == 4
    assert len(proxy.of("PUT", "partNumber=1")) == 1
    assert await bucket.get("01job/talk.mp4") == BIG


async def test_an_object_of_another_job_is_not_replaced(bucket, server, tmp_path):
    first = a_desk(tmp_path, server).add("talk", "out.mp4", b"first")
    options = the_options(bucket, key="fixed.mp4")
    await s3_publisher.publish(options, first.context)
    second = replace(first, job=a_job("file:///y", id="02job"), token={}).add("talk", "out.mp4", b"second")
    with pytest.raises(Refused, match="overwrite = true"):
        await s3_publisher.publish(options, second.context)
    assert await bucket.get("fixed.mp4") == b"first"
    await s3_publisher.publish(the_options(bucket, key="fixed.mp4", overwrite=True), second.context)
    assert await bucket.get("fixed.mp4") == b"second"


async def test_an_object_nobody_marked_is_not_replaced(bucket, server, tmp_path):
    await bucket.put("fixed.mp4", b"by hand")
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"ours")
    with pytest.raises(Refused, match="is not this job's"):
        await s3_publisher.publish(the_options(bucket, key="fixed.mp4"), desk.context)
    assert await bucket.get("fixed.mp4") == b"by hand"


@pytest.mark.parametrize("data", [b"small", BIG], ids=["put", "parts"])
async def test_an_object_that_comes_while_ours_is_on_its_way_is_not_replaced(bucket, proxy, tmp_path, data):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", data)
    context = desk.context

    async def somebody_is_quicker(token):
        await bucket.put("fixed.mp4", b"theirs")
        await context.checkpoint(token)

    with pytest.raises(Refused, match="is not this job's"):
        await s3_publisher.publish(
            the_options(bucket, key="fixed.mp4"), replace(context, checkpoint=somebody_is_quicker)
        )
    assert await bucket.get("fixed.mp4") == b"theirs"
    assert await bucket.open_uploads() == []


async def test_the_same_job_replaces_its_own_earlier_version(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"first cut")
    await s3_publisher.publish(the_options(bucket), desk.context)
    desk.token = {}
    desk.add("talk", "out.mp4", b"second cut")
    await s3_publisher.publish(the_options(bucket), desk.context)
    assert await bucket.get("01job/talk.mp4") == b"second cut"


async def test_a_second_publish_of_what_is_there_sends_nothing(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    first = await s3_publisher.publish(the_options(bucket), desk.context)
    proxy.seen.clear()
    desk.token = {}
    assert (await s3_publisher.publish(the_options(bucket), desk.context)).facts == first.facts
    assert proxy.of("PUT") == proxy.of("POST") == []


async def test_several_files_get_keys_of_their_own_and_one_receipt(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server)
    desk.talk = Talk("t-1", title="On ü", speakers=(Speaker("Ada"),))
    desk.add("rendition-720p", "a.mp4", b"large").add("rendition-480p", "b.mp4", BIG).add("source", "s.mp4", b"no")
    receipt = await s3_publisher.publish(the_options(bucket), desk.context)
    assert sorted(await bucket.keys()) == ["t-1/talk-rendition-480p.mp4", "t-1/talk-rendition-720p.mp4"]
    assert [file["role"] for file in receipt.facts["files"]] == ["rendition-720p", "rendition-480p"]
    assert receipt.url.endswith("/t-1/talk-rendition-720p.mp4")
    assert await s3_publisher.reconcile(the_options(bucket), desk.context) == receipt


async def test_files_that_would_share_a_key_are_refused_before_anything_is_sent(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("a", "a.mp4", b"1").add("b", "b.mp4", b"2")
    with pytest.raises(Refused, match="role"):
        await s3_publisher.publish(the_options(bucket, key="{{ name }}{{ suffix }}"), desk.context)
    assert proxy.seen == []


async def test_metadata_and_headers_come_from_the_settings(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"small")
    desk.talk = Talk("t-1", title="Über\r\nX-Evil: 1")
    options = the_options(
        bucket, metadata={"title": "{{ talk.title }}"}, cache_control="max-age=60", content_type="video/x"
    )
    await s3_publisher.publish(options, desk.context)
    head = await bucket.head("t-1/talk.mp4")
    assert head["Metadata"]["title"] == "%C3%9Cber X-Evil: 1"
    assert (head["ContentType"], head["CacheControl"]) == ("video/x", "max-age=60")


@pytest.mark.parametrize(
    "name",
    ["with space+plus ü 🎬", "quo\"te's", "{{ job.id }}", "-leading", "semi;colon?query=1#hash%41", "ü" * 160],
)
async def test_a_hostile_key_arrives_as_it_is_written_and_its_link_leads_there(bucket, server, tmp_path, name):
    import aiohttp
    from yarl import URL

    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"small")
    desk.job = replace(desk.job, name=f"{name}.mp4")
    receipt = await s3_publisher.publish(the_options(bucket, key="in/{{ name }}{{ suffix }}"), desk.context)
    assert await bucket.keys() == [f"in/{name}.mp4"]
    async with aiohttp.ClientSession() as web, web.get(URL(receipt.url, encoded=True)) as answer:
        assert (answer.status, await answer.read()) == (200, b"small")
    assert (await s3_publisher.reconcile(the_options(bucket, key="in/{{ name }}{{ suffix }}"), desk.context)) == receipt


@pytest.mark.parametrize("key", ["../up.mp4", "/abs.mp4", "a//b.mp4", "a/../b.mp4", "new\nline.mp4", "", "x" * 1025])
async def test_a_key_that_leads_out_of_the_bucket_is_refused(key):
    with pytest.raises(Refused, match="file_name filter"):
        safe_key(key)


async def test_a_presigned_link_opens_without_an_account_and_ends(bucket, server, tmp_path):
    import aiohttp
    from yarl import URL

    # The only pair of keys whose signatures this server checks.
    desk = a_desk(tmp_path, server, access_key="test", secret_key="test").add("talk", "out.mp4", b"small")
    receipt = await s3_publisher.publish(the_options(bucket, link="presigned", expires="1h"), desk.context)
    assert "X-Amz-Expires=3600" in receipt.url
    async with aiohttp.ClientSession() as web, web.get(URL(receipt.url, encoded=True)) as answer:
        assert await answer.read() == b"small"
    tampered = receipt.url.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")
    async with aiohttp.ClientSession() as web, web.get(URL(tampered, encoded=True)) as answer:
        assert answer.status == 403


async def test_the_link_can_be_a_site_of_ones_own(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"small")
    desk.job = replace(desk.job, name="a b.mp4")
    options = the_options(bucket, public_url="https://video.example.org/{{ key }}", key="{{ name }}{{ suffix }}")
    assert (await s3_publisher.publish(options, desk.context)).url == "https://video.example.org/a%20b.mp4"


async def test_a_bucket_that_is_not_there_is_refused_by_name(server, tmp_path):
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"small")
    with pytest.raises(Refused, match="bucket does not exist"):
        await s3_publisher.publish(s3_publisher.Options(account="library", bucket="nowhere-at-all"), desk.context)
    with pytest.raises(Refused, match="bucket does not exist"):
        await s3_publisher.check(s3_publisher.Options(account="library", bucket="nowhere-at-all"), desk.tools)


async def test_a_provider_out_of_reach_is_asked_again_later(tmp_path):
    desk = a_desk(tmp_path, "http://127.0.0.1:9").add("talk", "out.mp4", b"small")
    options = s3_publisher.Options(account="library", bucket="b")
    with pytest.raises(RetryLater, match="cannot reach"):
        await s3_publisher.publish(options, desk.context)
    desk.token = {"files": {"talk": {"Bucket": "b", "Key": "01job/talk.mp4", "etag": "e", "size": 5}}}
    with pytest.raises(RetryLater, match="cannot reach"):
        await s3_publisher.reconcile(options, desk.context)


async def test_a_refused_upload_is_ended_at_the_provider(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    proxy.next_time(puts_a_part, 403, times=9)
    with pytest.raises(Refused, match="may not do this"):
        await s3_publisher.publish(the_options(bucket), desk.context)
    assert await bucket.open_uploads() == []


async def test_progress_ends_at_the_size_and_counts_every_byte_once(bucket, proxy, tmp_path):
    moved, seen = [], []
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    desk.tools = replace(desk.tools, observe=moved.append)
    context = replace(desk.context, progress=lambda *said: seen.append(said))
    await s3_publisher.publish(the_options(bucket), context)
    assert seen[-1][:3] == (len(BIG), len(BIG), "bytes")
    assert sum(event.size for event in moved) == len(BIG)
    assert {(event.kind, event.way) for event in moved} == {("s3", "upload")}


async def test_progress_is_not_misled_by_a_part_sent_twice(bucket, proxy, tmp_path):
    seen = []
    desk = a_desk(tmp_path, proxy.url).add("talk", "out.mp4", BIG)
    proxy.next_time(puts_a_part, 503, times=2)
    await s3_publisher.publish(the_options(bucket), replace(desk.context, progress=lambda *said: seen.append(said)))
    assert seen[-1][:2] == (len(BIG), len(BIG))
    assert max(done for done, *_ in seen) == len(BIG)


class TestAnotherMake:
    """A server that checks the secret, shows the plain MD5 of a multipart upload, and keeps markers only while it runs."""

    @pytest.fixture
    def disk(self, tmp_path):
        (tmp_path / "server" / "library").mkdir(parents=True)
        return tmp_path / "server"

    @pytest.fixture
    def foreign(self, disk):
        with rclone_s3(disk) as url:
            yield url

    async def test_a_large_file_arrives_and_is_recognised(self, foreign, disk, tmp_path):
        desk = a_desk(tmp_path, foreign).add("talk", "out.mp4", BIG)
        options = s3_publisher.Options(account="library", bucket="library", part_size=PARTS)
        receipt = await s3_publisher.publish(options, desk.context)
        assert (disk / "library/01job/talk.mp4").read_bytes() == BIG
        assert await s3_publisher.reconcile(options, desk.context) == receipt

    async def test_it_is_recognised_by_its_bytes_where_the_marker_was_lost(self, disk, tmp_path):
        options = s3_publisher.Options(account="library", bucket="library", part_size=PARTS)
        with rclone_s3(disk) as url:
            desk = a_desk(tmp_path, url).add("talk", "out.mp4", BIG)
            await s3_publisher.publish(options, desk.context)
        with rclone_s3(disk) as url:
            again = a_desk(tmp_path, url)
            again.artifacts, again.token = desk.artifacts, desk.token
            receipt = await s3_publisher.reconcile(options, again.context)
        assert receipt.facts["size"] == len(BIG)

    async def test_a_wrong_secret_is_refused_without_showing_it(self, foreign, tmp_path):
        desk = a_desk(tmp_path, foreign, secret_key="WRONGSECRET42").add("talk", "out.mp4", b"small")
        with pytest.raises(Refused, match="SignatureDoesNotMatch") as refusal:
            await s3_publisher.publish(s3_publisher.Options(account="library", bucket="library"), desk.context)
        assert "WRONGSECRET42" not in refusal.value.sentence
        assert "WRONGSECRET42" not in repr(desk.tools.accounts["library"])

    async def test_an_unknown_key_id_is_refused(self, foreign, tmp_path):
        desk = a_desk(tmp_path, foreign, access_key="AKIDNOBODY12").add("talk", "out.mp4", b"small")
        with pytest.raises(Refused, match="credentials"):
            await s3_publisher.publish(s3_publisher.Options(account="library", bucket="library"), desk.context)

    async def test_the_check_says_that_the_bucket_can_be_reached(self, foreign, tmp_path):
        desk = a_desk(tmp_path, foreign)
        assert "can be reached" in await s3_publisher.check(
            s3_publisher.Options(account="library", bucket="library"), desk.tools
        )


async def test_a_job_replaces_the_object_of_the_job_whose_place_it_takes_and_no_others(bucket, server, tmp_path):
    options = the_options(bucket, key="fixed.mp4")
    await s3_publisher.publish(options, a_desk(tmp_path, server).add("talk", "out.mp4", b"first").context)
    second = replace(a_desk(tmp_path, server), job=a_job("file:///y", id="02job", facts={"replaces": "01job"}))
    await s3_publisher.publish(options, second.add("talk", "out.mp4", b"second").context)
    assert await bucket.get("fixed.mp4") == b"second"
    third = replace(a_desk(tmp_path, server), job=a_job("file:///z", id="03job", facts={"replaces": "01job"}))
    with pytest.raises(Refused, match="is not this job's"):
        await s3_publisher.publish(options, third.add("talk", "out.mp4", b"third").context)
    assert await bucket.get("fixed.mp4") == b"second"


@pytest.mark.parametrize(("wanted", "left"), [("keep", b"film"), ("delete", None)])
async def test_objects_that_are_taken_back_are_kept_or_deleted_as_the_settings_say(
    bucket, server, tmp_path, wanted, left
):
    options = the_options(bucket, key="fixed.mp4", retract=wanted)
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"film")
    receipt = await s3_publisher.publish(options, desk.context)
    context = replace(desk.context, publication=desk.context.publication.evolve(receipt=receipt))
    for _ in range(2):
        assert ("was deleted" in await s3_publisher.retract(options, context)) is (wanted == "delete")
        assert (await bucket.get("fixed.mp4") if left else await bucket.keys()) == (left or [])


async def test_an_object_that_is_another_jobs_by_now_is_not_deleted(bucket, server, tmp_path):
    options = the_options(bucket, key="fixed.mp4", retract="delete", overwrite=True)
    first = a_desk(tmp_path, server).add("talk", "out.mp4", b"first")
    receipt = await s3_publisher.publish(options, first.context)
    second = replace(a_desk(tmp_path, server), job=a_job("file:///y", id="02job"))
    await s3_publisher.publish(options, second.add("talk", "out.mp4", b"second").context)
    context = replace(first.context, publication=first.context.publication.evolve(receipt=receipt))
    with pytest.raises(Refused, match="another job's by now"):
        await s3_publisher.retract(options, context)
    assert await bucket.get("fixed.mp4") == b"second"
