import asyncio
import os
from dataclasses import replace

import pytest
from builders.aws import Bucket, Desk, a_job, an_account, the_tools
from peers.faulty_proxy import faulty_proxy
from peers.servers import ministack, rclone_s3

from vidd.errors import Refused, RetryLater
from vidd.files.tree import tree_artifact
from vidd.integrations.aws import s3_publisher
from vidd.integrations.aws.account import Account
from vidd.integrations.aws.s3_tree import outermost
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import SettingsFault, read_settings

pytestmark = pytest.mark.peer

MIB = 2**20
FILES = {
    "2d_poses/index.json": b"[]",
    "2d_poses/scene_000_poses.json": b'{"scene_no": 0}',
    "body/scene_000/1_0.glb": os.urandom(70_000),
    "body/scene_000/2_0.glb": b"",
    "notes ü+1.txt": b"text",
}
PREFIX = "annotations/cm8/"


@pytest.fixture(scope="module")
def server():
    with ministack() as url:
        yield url


@pytest.fixture
async def bucket(server, request):
    return await Bucket(an_account(server), f"b{abs(hash(request.node.nodeid))}").make()


@pytest.fixture
async def proxy(server):
    async with faulty_proxy(server) as proxy:
        yield proxy


def a_desk(tmp_path, url, files=FILES, **changes):
    (tmp_path / "job").mkdir(exist_ok=True)
    desk = Desk(
        a_job("file:///x.mp4", facts={"folder_id": "cm8"}),
        tmp_path / "job",
        the_tools(tmp_path, library=an_account(url)),
    )
    return with_tree(replace(desk, **changes), files)


def with_tree(desk, files, role="annotations"):
    root = desk.directory / role
    for old in sorted(root.rglob("*"), reverse=True):
        old.unlink() if old.is_file() else old.rmdir()
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    desk.artifacts[role] = tree_artifact(role, desk.directory, role)
    return desk


def the_options(bucket, **changes):
    values = {
        "account": "library",
        "bucket": bucket.name,
        "prefix": "annotations/{{ facts.folder_id }}",
        "part_size": 5 * MIB,
    }
    return s3_publisher.Options(**{**values, **changes})


async def there(bucket, prefix=PREFIX):
    return {key.removeprefix(prefix): await bucket.get(key) for key in await bucket.keys() if key.startswith(prefix)}


def puts(method, path):
    return method == "PUT"


async def test_a_tree_becomes_an_object_for_each_file_with_its_type_and_marker(bucket, server, tmp_path):
    receipt = await s3_publisher.publish(the_options(bucket, acl="private"), a_desk(tmp_path, server).context)
    assert await there(bucket) == FILES
    heads = {name: await bucket.head(PREFIX + name) for name in FILES}
    assert {name: head["ContentType"] for name, head in heads.items()} == {
        "2d_poses/index.json": "application/json",
        "2d_poses/scene_000_poses.json": "application/json",
        "body/scene_000/1_0.glb": "model/gltf-binary",
        "body/scene_000/2_0.glb": "model/gltf-binary",
        "notes ü+1.txt": "text/plain",
    }
    assert {head["Metadata"]["vidd-job"] for head in heads.values()} == {"01job"}
    size = sum(len(data) for data in FILES.values())
    assert receipt.url == f"{server}/{bucket.name}/{PREFIX}"
    assert receipt.facts["trees"] == [
        {"role": "annotations", "bucket": bucket.name, "prefix": PREFIX, "count": 5, "size": size, "url": receipt.url}
    ]
    assert [receipt.facts[name] for name in ("sent", "sent_bytes", "equal", "dropped")] == [5, size, 0, 0]


async def test_a_second_publish_sends_nothing(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url)
    await s3_publisher.publish(the_options(bucket), desk.context)
    proxy.seen.clear()
    receipt = await s3_publisher.publish(the_options(bucket), desk.context)
    assert [receipt.facts[name] for name in ("sent", "sent_bytes", "equal")] == [0, 0, 5]
    assert proxy.of("PUT") == proxy.of("POST") == proxy.of("HEAD") == []


async def test_only_what_changed_is_sent_even_where_the_size_is_the_same(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url)
    await s3_publisher.publish(the_options(bucket), desk.context)
    proxy.seen.clear()
    changed = {**FILES, "2d_poses/scene_000_poses.json": b'{"scene_no": 1}', "new.json": b"{}"}
    await s3_publisher.publish(the_options(bucket), with_tree(desk, changed).context)
    assert sorted(path.rpartition("/")[2] for path in proxy.of("PUT")) == ["new.json", "scene_000_poses.json"]
    assert await there(bucket) == changed


async def test_more_than_a_thousand_objects_are_listed_page_by_page_and_compared_without_asking_for_each(
    bucket, proxy, tmp_path
):
    files = {f"body/{number % 20:03}/{number}.glb": str(number).encode() for number in range(1010)}
    desk = a_desk(tmp_path, proxy.url, files)
    await s3_publisher.publish(the_options(bucket, at_once=16), desk.context)
    proxy.seen.clear()
    receipt = await s3_publisher.publish(the_options(bucket), desk.context)
    assert (receipt.facts["equal"], receipt.facts["sent_bytes"]) == (1010, 0)
    assert {line.partition(" ")[0] for line in proxy.seen} == {"GET"}
    assert len(proxy.seen) <= 3


@pytest.mark.parametrize("many", [8, 12])
async def test_so_many_are_under_way_at_once(bucket, proxy, tmp_path, many):
    """None is answered before that many are held at once."""
    desk = a_desk(tmp_path, proxy.url, {f"{number}.json": b"1" for number in range(20)})
    proxy.many = many
    proxy.next_time(puts, "hold", times=99)
    running = asyncio.create_task(s3_publisher.publish(the_options(bucket, at_once=many), desk.context))
    async with asyncio.timeout(60):
        await proxy.hanging.wait()
    assert proxy.held == many
    proxy.released.set()
    await running
    assert len(await bucket.keys()) == 20


class TestWhatIsNoLongerThere:
    @pytest.fixture
    async def desk(self, bucket, server, tmp_path):
        desk = a_desk(tmp_path, server)
        await s3_publisher.publish(the_options(bucket), desk.context)
        await bucket.put(f"{PREFIX}by-hand.txt", b"a person's")
        await bucket.put(f"{PREFIX}other.json", b"other", Metadata={"vidd-job": "02job"})
        await bucket.put("annotations/cm88/ours.json", b"beside", Metadata={"vidd-job": "01job"})
        return with_tree(desk, {"2d_poses/index.json": b"[]"})

    async def test_stays_without_delete(self, bucket, desk):
        await s3_publisher.publish(the_options(bucket), desk.context)
        assert (await there(bucket)).keys() == {*FILES, "by-hand.txt", "other.json"}

    async def test_is_dropped_with_delete_where_this_job_put_it_there_and_nowhere_else(self, bucket, desk):
        receipt = await s3_publisher.publish(the_options(bucket, delete=True), desk.context)
        assert (await there(bucket)).keys() == {"2d_poses/index.json", "by-hand.txt", "other.json"}
        assert "annotations/cm88/ours.json" in await bucket.keys()
        assert receipt.facts["dropped"] == 4

    async def test_with_overwrite_what_any_job_put_there_is_dropped_and_what_a_person_did_is_not(self, bucket, desk):
        await s3_publisher.publish(the_options(bucket, delete=True, overwrite=True), desk.context)
        assert (await there(bucket)).keys() == {"2d_poses/index.json", "by-hand.txt"}

    async def test_of_the_job_that_is_replaced_is_dropped_too(self, bucket, desk):
        job = replace(desk.job, id="03job", facts={**desk.job.facts, "replaces": "01job"})
        await s3_publisher.publish(the_options(bucket, delete=True), replace(desk, job=job, token={}).context)
        assert (await there(bucket)).keys() == {"2d_poses/index.json", "by-hand.txt", "other.json"}

    async def test_an_empty_tree_is_no_wish_to_drop_everything(self, bucket, desk):
        with pytest.raises(Refused, match="is empty"):
            await s3_publisher.publish(the_options(bucket, delete=True), with_tree(desk, {}).context)
        assert len(await there(bucket)) == 7


async def test_objects_of_another_job_are_not_replaced_unless_that_is_wanted(bucket, server, tmp_path):
    await s3_publisher.publish(the_options(bucket), a_desk(tmp_path, server).context)
    other = a_desk(tmp_path, server, {**FILES, "2d_poses/index.json": b"[1]"})
    other = replace(other, job=replace(other.job, id="02job"))
    with pytest.raises(Refused, match="overwrite = true"):
        await s3_publisher.publish(the_options(bucket), other.context)
    assert await there(bucket) == FILES
    await s3_publisher.publish(the_options(bucket, overwrite=True), other.context)
    assert (await there(bucket))["2d_poses/index.json"] == b"[1]"


@pytest.mark.parametrize("how", ["drop reply", 500, 503, 429, "late error"])
async def test_what_is_lost_on_the_way_is_looked_for_and_sent_again_only_where_it_is_not_there(
    bucket, proxy, tmp_path, how
):
    proxy.next_time(puts, how, times=3)
    receipt = await s3_publisher.publish(the_options(bucket), a_desk(tmp_path, proxy.url).context)
    assert await there(bucket) == FILES
    assert receipt.facts["sent"] == 5


async def test_an_answer_that_is_lost_after_the_commit_costs_no_second_sending(bucket, proxy, tmp_path):
    """The HTTP client itself repeats a PUT once when its connection breaks."""
    proxy.next_time(puts, "late error", times=99)
    await s3_publisher.publish(the_options(bucket), a_desk(tmp_path, proxy.url).context)
    assert await there(bucket) == FILES
    assert len(proxy.of("PUT")) == 5


async def test_nothing_is_sent_again_while_the_provider_cannot_be_asked(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url)
    proxy.next_time(puts, "late error", times=99)
    proxy.next_time(lambda method, path: method == "HEAD", 503, times=99)
    with pytest.raises(RetryLater):
        await s3_publisher.publish(the_options(bucket, at_once=1), desk.context)
    assert len(proxy.of("PUT")) == 1
    proxy.troubles.clear()
    assert await s3_publisher.reconcile(the_options(bucket), desk.context) is None
    await s3_publisher.publish(the_options(bucket), desk.context)
    assert await there(bucket) == FILES
    assert len(proxy.of("PUT")) == 5


async def test_reconcile_gives_the_receipt_of_what_is_there_and_none_of_what_is_not(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server)
    options = the_options(bucket, delete=True)
    assert await s3_publisher.reconcile(options, desk.context) is None
    receipt = await s3_publisher.publish(options, desk.context)
    found = await s3_publisher.reconcile(options, desk.context)
    assert (found.url, found.facts["trees"], found.facts["equal"]) == (receipt.url, receipt.facts["trees"], 5)
    await bucket.put(f"{PREFIX}2d_poses/index.json", b"{}")
    assert await s3_publisher.reconcile(options, desk.context) is None
    await s3_publisher.publish(the_options(bucket, overwrite=True), desk.context)
    await bucket.put(f"{PREFIX}old.json", b"old", Metadata={"vidd-job": "01job"})
    assert await s3_publisher.reconcile(options, desk.context) is None
    assert await s3_publisher.reconcile(the_options(bucket), desk.context) is not None
    assert await s3_publisher.reconcile(the_options(bucket, prefix="elsewhere"), desk.context) is None


async def test_a_large_file_of_a_tree_goes_on_with_the_parts_that_are_missing(bucket, proxy, tmp_path):
    big = os.urandom(12 * MIB + 7)
    desk = a_desk(tmp_path, proxy.url, {"big.glb": big, "a.json": b"1"})
    proxy.next_time(lambda m, p: m == "PUT" and "partNumber=3" in p, "hang")
    running = asyncio.create_task(s3_publisher.publish(the_options(bucket, at_once=1), desk.context))
    async with asyncio.timeout(60):
        await proxy.hanging.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert desk.token["parts"][f"{PREFIX}big.glb"]["upload_id"]
    proxy.seen.clear()
    await s3_publisher.publish(the_options(bucket), desk.context)
    assert len(proxy.of("PUT")) == len(proxy.of("PUT", "partNumber=3")) == 1
    assert await there(bucket) == {"big.glb": big, "a.json": b"1"}
    assert desk.token["parts"] == {}
    assert await bucket.open_uploads() == []


async def test_the_open_upload_of_a_large_file_that_changed_is_ended(bucket, proxy, tmp_path):
    desk = a_desk(tmp_path, proxy.url, {"big.glb": os.urandom(6 * MIB)})
    proxy.next_time(puts, 403, times=99)
    with pytest.raises(Refused, match="may not do this"):
        await s3_publisher.publish(the_options(bucket), desk.context)
    proxy.troubles.clear()
    assert await bucket.open_uploads() == []
    proxy.next_time(puts, 503, times=99)
    with pytest.raises(RetryLater):
        await s3_publisher.publish(the_options(bucket), desk.context)
    proxy.troubles.clear()
    assert len(await bucket.open_uploads()) == 1
    data = os.urandom(6 * MIB)
    await s3_publisher.publish(the_options(bucket), with_tree(desk, {"big.glb": data}).context)
    assert await there(bucket) == {"big.glb": data}
    assert await bucket.open_uploads() == []


async def test_files_and_trees_go_out_together(bucket, server, tmp_path):
    desk = a_desk(tmp_path, server).add("talk", "out.mp4", b"film")
    receipt = await s3_publisher.publish(the_options(bucket, prefix="t/{{ role }}"), desk.context)
    assert await bucket.get("01job/talk-talk.mp4") == b"film"
    assert await there(bucket, "t/annotations/") == FILES
    assert receipt.url.endswith("/01job/talk-talk.mp4")
    assert [file["role"] for file in receipt.facts["files"]] == ["talk"]
    assert [tree["role"] for tree in receipt.facts["trees"]] == ["annotations"]
    assert (await s3_publisher.reconcile(the_options(bucket, prefix="t/{{ role }}"), desk.context)).url == receipt.url


async def test_trees_in_one_place_keep_apart_and_drop_nothing_of_each_other(bucket, server, tmp_path):
    desk = with_tree(a_desk(tmp_path, server), {"extra.json": b"{}"}, role="more")
    options = the_options(bucket, delete=True)
    await s3_publisher.publish(options, desk.context)
    assert await there(bucket) == {**FILES, "extra.json": b"{}"}
    with_tree(desk, {"2d_poses/index.json": b"{}"}, role="more")
    with pytest.raises(Refused, match="Two files would be"):
        await s3_publisher.publish(options, desk.context)


@pytest.mark.parametrize("prefix", ["a//b", "a/../b", "x" * 1100])
async def test_a_prefix_that_makes_no_safe_key_is_refused_before_anything_is_sent(bucket, proxy, tmp_path, prefix):
    with pytest.raises(Refused, match="file_name filter"):
        await s3_publisher.publish(the_options(bucket, prefix=prefix), a_desk(tmp_path, proxy.url).context)
    assert proxy.seen == []


@pytest.mark.parametrize(("wanted", "left"), [("keep", FILES), ("delete", {})])
async def test_a_tree_that_is_taken_back_is_kept_or_deleted_as_the_settings_say(bucket, server, tmp_path, wanted, left):
    desk = a_desk(tmp_path, server)
    receipt = await s3_publisher.publish(the_options(bucket), desk.context)
    await bucket.put(f"{PREFIX}by-hand.txt", b"a person's")
    await bucket.put(f"{PREFIX}other.json", b"other", Metadata={"vidd-job": "02job"})
    context = replace(desk.context, publication=desk.context.publication.evolve(receipt=receipt), artifacts={})
    for _ in range(2):
        assert f"s3://{bucket.name}/{PREFIX}" in await s3_publisher.retract(
            the_options(bucket, retract=wanted), context
        )
        assert await there(bucket) == {**left, "by-hand.txt": b"a person's", "other.json": b"other"}


async def test_progress_counts_every_byte_that_is_to_be_sent_once(bucket, proxy, tmp_path):
    seen = []
    desk = a_desk(tmp_path, proxy.url)
    proxy.next_time(puts, 503, times=2)
    proxy.next_time(puts, "late error", times=2)
    await s3_publisher.publish(the_options(bucket), replace(desk.context, progress=lambda *said: seen.append(said)))
    size = sum(len(data) for data in FILES.values())
    assert seen[-1][:3] == (size, size, "bytes")


def test_a_prefix_within_another_is_listed_once():
    assert outermost(["a/", "a/b/", "c/", "c/"]) == ["a/", "c/"]
    assert outermost(["", "a/"]) == [""]


class TestSpaces:
    """The five variables that the original system was given."""

    @pytest.fixture
    def variables(self, monkeypatch):
        def put(**changes):
            values = {"KEY": "DO00KEY", "SECRET": "DOSECRET4711", "REGION": "fra1", "BUCKET": "premiere",
                      "ENDPOINT": "https://fra1.digitaloceanspaces.com", **changes}  # fmt: skip
            for name, value in values.items():
                monkeypatch.delenv(f"DO_SPACES_{name}", raising=False)
                if value is not None:
                    monkeypatch.setenv(f"DO_SPACES_{name}", value)

        return put

    def test_are_enough_for_an_account(self, variables):
        variables()
        account = Account(environment="DO_SPACES")
        assert (account.access_key, account.region, account.bucket) == ("DO00KEY", "fra1", "premiere")
        assert account.secret_key.get_secret_value() == "DOSECRET4711"
        assert account.endpoint_url == "https://fra1.digitaloceanspaces.com"
        assert "DOSECRET4711" not in repr(account)

    @pytest.mark.parametrize(
        "endpoint",
        [
            "fra1.digitaloceanspaces.com",
            "https://fra1.digitaloceanspaces.com/",
            "https://premiere.fra1.digitaloceanspaces.com",
        ],
    )
    def test_may_have_the_address_as_people_copy_it(self, variables, endpoint):
        variables(ENDPOINT=endpoint)
        assert Account(environment="DO_SPACES").endpoint_url == "https://fra1.digitaloceanspaces.com"

    def test_give_way_to_what_the_settings_say(self, variables):
        variables()
        account = Account(environment="DO_SPACES", bucket="other", secret_key="OTHER")
        assert (account.bucket, account.secret_key.get_secret_value()) == ("other", "OTHER")

    def test_that_are_missing_are_named(self, variables, tmp_path):
        variables(KEY=None, SECRET=None)
        path = tmp_path / "vidd.toml"
        path.write_text('[accounts.spaces]\nkind = "s3"\nenvironment = "DO_SPACES"\n')
        with pytest.raises(SettingsFault, match=r"accounts\.spaces: there is no DO_SPACES_KEY and no DO_SPACES_SECRET"):
            make_ready(read_settings(path))

    async def test_bring_a_tree_into_the_bucket_they_name(self, variables, bucket, server, tmp_path):
        variables(ENDPOINT=server, BUCKET=bucket.name)
        desk = a_desk(tmp_path, server)
        desk.tools.accounts["library"] = Account(environment="DO_SPACES")
        options = s3_publisher.Options(account="library", prefix="annotations/{{ facts.folder_id }}")
        await s3_publisher.publish(options, desk.context)
        assert await there(bucket) == FILES
        assert bucket.name in await s3_publisher.check(options, desk.tools)


async def test_a_publisher_without_any_bucket_is_refused(server, tmp_path):
    desk = a_desk(tmp_path, server)
    with pytest.raises(Refused, match="No bucket is named"):
        await s3_publisher.publish(s3_publisher.Options(account="library"), desk.context)


async def test_a_server_of_another_make_takes_a_tree_and_knows_it_again(tmp_path):
    (tmp_path / "server/library").mkdir(parents=True)
    options = s3_publisher.Options(account="library", bucket="library", prefix="annotations/x", part_size=5 * MIB)
    files = {**FILES, "big.glb": os.urandom(6 * MIB)}
    with rclone_s3(tmp_path / "server") as url:
        desk = a_desk(tmp_path, url, files)
        await s3_publisher.publish(options, desk.context)
        receipt = await s3_publisher.publish(options, desk.context)
    root = tmp_path / "server/library/annotations/x"
    assert {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()} == files
    assert (receipt.facts["sent"], receipt.facts["equal"]) == (0, 6)
