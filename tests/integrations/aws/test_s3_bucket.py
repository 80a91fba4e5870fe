"""Buckets and queues that `vidd check --create` makes, and who may read them. ministack keeps what it is told, and enforces nothing."""

import json
import re

import pytest
from aiohttp import web
from builders.aws import Bucket, Desk, a_job, an_account, the_tools
from peers.servers import ministack, rclone_s3
from pydantic import ValidationError
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.errors import FaultCode, Refused
from vidd.integrations.aws import s3_publisher, sqs_publisher, sqs_source
from vidd.integrations.aws.account import client

pytestmark = pytest.mark.peer

BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)


@pytest.fixture(scope="module")
def server():
    with ministack() as url:
        yield url


@pytest.fixture
def name(request):
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-50:].strip("-")


class Library:
    """A bucket in the settings, and what the server says of it."""

    def __init__(self, tmp_path, url, name, *, region="eu-west-1", **options):
        self.account, self.name = an_account(url, region=region), name
        self.tools = the_tools(tmp_path, library=self.account)
        self.options = s3_publisher.Options(account="library", bucket=name, **options)

    async def create(self):
        return await s3_publisher.create(self.options, self.tools)

    async def check(self):
        return await s3_publisher.check(self.options, self.tools)

    async def ask(self, call, **more):
        async with client(self.account, "s3") as s3:
            return await getattr(s3, call)(Bucket=self.name, **more)

    async def publish(self, tmp_path):
        desk = Desk(a_job("file:///x.mp4"), tmp_path, self.tools).add("talk", "talk.mp4", b"talk")
        return await s3_publisher.publish(self.options, desk.context)


@pytest.mark.parametrize(("region", "constraint"), [("eu-west-1", "eu-west-1"), ("us-east-1", None)])
async def test_a_bucket_is_made_in_the_accounts_region_and_only_once(tmp_path, server, name, region, constraint):
    library = Library(tmp_path, server, name, region=region)
    with pytest.raises(Refused, match="The bucket does not exist"):
        await library.check()
    assert await library.create() == f"vidd made the bucket {name} in {region}."
    assert (await library.ask("get_bucket_location")).get("LocationConstraint") == constraint
    assert await library.create() is None
    assert "can be reached and read" in await library.check()


async def test_another_server_makes_one_too(tmp_path):
    (tmp_path / "data").mkdir()
    with rclone_s3(tmp_path / "data") as url:
        library = Library(tmp_path, url, "library", region="us-east-1")
        library.account = library.tools.accounts["library"]
        assert (tmp_path / "data" / "library").exists() is False
        await library.create()
        assert (tmp_path / "data" / "library").is_dir()


async def test_a_new_bucket_is_opened_by_a_policy_for_downloads_and_not_for_lists(tmp_path, server, name):
    library = Library(tmp_path, server, name, access="public-read")
    assert (await library.create()).endswith("eu-west-1, open for downloads.")
    (statement,) = json.loads((await library.ask("get_bucket_policy"))["Policy"])["Statement"]
    assert statement == {
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*",
    }  # fmt: skip
    assert "can be reached" in await library.check()


async def test_a_new_bucket_is_kept_private_and_one_that_is_open_is_a_fault(tmp_path, server, name):
    library = Library(tmp_path, server, name, access="private", link="presigned")
    assert (await library.create()).endswith("eu-west-1, kept private.")
    assert (await library.ask("get_public_access_block"))["PublicAccessBlockConfiguration"] == BLOCKED
    assert "can be reached" in await library.check()
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:Get*"], "Resource": "*"}
    await library.ask("put_bucket_policy", Policy=json.dumps({"Statement": statement}))
    with pytest.raises(Refused, match="has a policy by which everybody may download: remove it"):
        await library.check()


async def test_a_bucket_that_was_there_is_left_as_it_is_and_the_check_says_what_to_do(tmp_path, server, name):
    library = Library(tmp_path, server, name, access="public-read")
    await Bucket(library.account, name).make()
    assert await library.create() is None
    with pytest.raises(Refused, match=r"is not open for downloads: give it a policy .* or set acl"):
        await library.check()
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
    behind_a_condition = statement | {"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}
    await library.ask("put_bucket_policy", Policy=json.dumps({"Statement": [behind_a_condition]}))
    with pytest.raises(Refused, match="is not open for downloads"):
        await library.check()
    await library.ask("put_bucket_policy", Policy=json.dumps({"Statement": [statement]}))
    assert "can be reached" in await library.check()
    await library.ask("put_public_access_block", PublicAccessBlockConfiguration=BLOCKED)
    with pytest.raises(Refused, match="restricts its public policy"):
        await library.check()


async def test_objects_are_opened_by_their_acl_where_the_settings_say_so(tmp_path, server, name):
    library = Library(tmp_path, server, name, access="public-read", acl="public-read")
    await library.create()
    await library.publish(tmp_path)
    (key,) = await Bucket(library.account, name).keys()
    grants = (await library.ask("get_object_acl", Key=key))["Grants"]
    assert ("http://acs.amazonaws.com/groups/global/AllUsers", "READ") in [
        (grant["Grantee"].get("URI"), grant["Permission"]) for grant in grants
    ]
    # ministack says of every bucket that its owner owns all objects, as AWS does of new ones.
    with pytest.raises(Refused, match="takes no ACLs"):
        await library.check()


async def test_without_access_the_bucket_and_its_objects_stay_as_they_are(tmp_path, server, name):
    library = Library(tmp_path, server, name)
    await library.create()
    await library.publish(tmp_path)
    (key,) = await Bucket(library.account, name).keys()
    assert len((await library.ask("get_object_acl", Key=key))["Grants"]) == 1
    with pytest.raises(Exception, match="NoSuchBucketPolicy"):
        await library.ask("get_bucket_policy")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"access": "private"}, "nobody can open a plain link to what is private"),
        ({"access": "private", "link": "presigned", "acl": "public-read"}, "opens what access keeps private"),
        ({"access": "open"}, "Input should be 'public-read' or 'private'"),
    ],
)
def test_what_contradicts_itself_is_a_fault(options, why):
    with pytest.raises(ValidationError, match=why):
        s3_publisher.Options(account="library", bucket="b", **options)


class Provider:
    """Answers requests for a bucket by (method, query), else with 404."""

    def __init__(self, answers):
        self.answers, self.seen = answers, []

    async def answer(self, request):
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await request.read()
        sub = next(iter(request.query), "")
        self.seen.append((request.method, sub))
        status, code, headers = self.answers.get((request.method, sub), (404, "NoSuchBucketPolicy", {}))
        text = "" if request.method == "HEAD" else f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        return web.Response(status=status, text=text if status != 200 else "", headers=headers)


@pytest.fixture
async def provider():
    provider = Provider({})
    runner = web.ServerRunner(web.Server(provider.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield provider
    await runner.cleanup()


@pytest.mark.parametrize(
    ("answers", "said", "code"),
    [
        ({("HEAD", ""): (403, "", {})}, "belongs to somebody else", FaultCode.FORBIDDEN),
        (
            {("HEAD", ""): (404, "", {}), ("PUT", ""): (409, "BucketAlreadyExists", {})},
            "belongs to somebody else",
            FaultCode.FORBIDDEN,
        ),
        (
            {("HEAD", ""): (301, "", {"x-amz-bucket-region": "eu-north-1"})},
            "lies in eu-north-1, not in eu-west-1: correct region of the account",
            FaultCode.BAD_SETTINGS,
        ),
        (
            {("HEAD", ""): (404, "", {}), ("PUT", ""): (400, "InvalidBucketName", {})},
            "The provider refused making the bucket library: InvalidBucketName",
            FaultCode.REJECTED,
        ),
        (
            {("HEAD", ""): (404, "", {}), ("PUT", ""): (403, "AccessDenied", {})},
            "The account may not do this",
            FaultCode.FORBIDDEN,
        ),
    ],
)
async def test_a_bucket_that_cannot_be_made_is_refused_in_a_sentence(tmp_path, provider, answers, said, code):
    provider.answers = answers
    with pytest.raises(Refused, match=said) as refused:
        await Library(tmp_path, provider.url, "library").create()
    assert refused.value.code == code


async def test_a_bucket_that_somebody_made_meanwhile_is_not_changed(tmp_path, provider):
    provider.answers = {("HEAD", ""): (404, "", {}), ("PUT", ""): (409, "BucketAlreadyOwnedByYou", {})}
    assert await Library(tmp_path, provider.url, "library", access="public-read").create() is None
    assert provider.seen == [("HEAD", ""), ("PUT", "")]


async def test_a_server_without_public_access_blocks_makes_buckets_all_the_same(tmp_path, provider):
    provider.answers = {
        ("HEAD", ""): (404, "", {}),
        ("PUT", ""): (200, "", {}),
        ("DELETE", "publicAccessBlock"): (501, "NotImplemented", {}),
        ("PUT", "policy"): (200, "", {}),
    }
    assert "open for downloads" in await Library(tmp_path, provider.url, "library", access="public-read").create()
    assert provider.seen[-1] == ("PUT", "policy")


async def test_an_object_with_an_acl_that_the_bucket_does_not_take_is_refused_in_a_sentence(tmp_path, provider):
    provider.answers = {
        ("HEAD", ""): (404, "", {}),
        ("GET", "list-type"): (404, "NoSuchKey", {}),
        ("PUT", ""): (400, "AccessControlListNotSupported", {}),
        ("GET", ""): (404, "NoSuchKey", {}),
    }
    library = Library(tmp_path, provider.url, "library", acl="public-read")
    with pytest.raises(Refused, match=r"The bucket takes no ACLs .* remove acl of the publisher") as refused:
        await library.publish(tmp_path)
    assert refused.value.code == FaultCode.BAD_SETTINGS


@pytest.mark.parametrize("name", ["recordings", "notices.fifo"])
async def test_a_queue_is_made_once_and_one_with_an_address_is_not(tmp_path, server, name):
    tools = the_tools(tmp_path, library=an_account(server, region="eu-west-1"))
    options = sqs_publisher.Options(account="library", queue=name, **({"group": "g"} if "fifo" in name else {}))
    assert await sqs_publisher.create(options, tools) == f"vidd made the queue {name}."
    assert await sqs_publisher.create(options, tools) is None
    source = sqs_source.Options(account="library", queue=name, pipeline="talks")
    assert await sqs_source.create(source, tools) is None
    async with client(tools.accounts["library"], "sqs") as sqs:
        url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
        attributes = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    assert attributes.get("FifoQueue", "false") == str("fifo" in name).lower()
    addressed = sqs_source.Options(account="library", queue_url=f"{server}/000000000000/lost", pipeline="talks")
    assert await sqs_source.create(addressed, tools) is None


def test_the_command_makes_what_is_missing_and_says_so(tmp_path, server):
    config = tmp_path / "vidd.toml"
    config.write_text(
        f"""
        [daemon]
        state = "{tmp_path}/state"
        listen = "127.0.0.1:0"
        [accounts.library]
        kind = "s3"
        endpoint_url = "{server}"
        region = "eu-west-1"
        access_key = "AK"
        secret_key = "SK-and-more"
        [sources.queue]
        kind = "sqs"
        account = "library"
        queue = "command-queue"
        pipeline = "talks"
        [[pipelines.talks.publish]]
        kind = "s3"
        account = "library"
        bucket = "command-bucket"
        access = "public-read"
        """
    )

    def run(*words):
        ended = CliRunner().invoke(app, ["check", "--config", str(config), *words])
        return ended.exit_code, ended.stdout

    code, said = run("--online")
    assert code != 0
    assert said.count("does not exist") == 2
    code, said = run("--create")
    assert code == 0, said
    assert "vidd made the queue command-queue. The queue command-queue can be reached" in said
    assert "vidd made the bucket command-bucket in eu-west-1, open for downloads. The bucket command-bucket can" in said
    code, said = run("--create")
    assert (code, said.count("vidd made")) == (0, 0)
