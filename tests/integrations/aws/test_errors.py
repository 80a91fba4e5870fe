import aiohttp
import pytest
from botocore import exceptions as boto
from builders.aws import an_account

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.aws.account import Account, client, head, object_name
from vidd.integrations.aws.errors import fault_of, map_errors
from vidd.integrations.aws.s3_uri import parse_s3_uri, web_address


def an_answer(code, status, message="", **headers):
    data = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return boto.ClientError(data, "PutObject")


@pytest.mark.parametrize(
    ("code", "status", "fate", "words"),
    [
        ("SlowDown", 503, RetryLater, "busy"),
        ("TooManyRequests", 429, RetryLater, "busy"),
        ("RequestTimeout", 400, RetryLater, "busy"),
        ("InternalError", 500, RetryLater, "failed"),
        ("502", 502, RetryLater, "failed"),
        ("NotImplemented", 501, Refused, "refused"),
        ("AccessDenied", 403, Refused, "may not do this"),
        ("403", 403, Refused, "may not do this"),
        ("SignatureDoesNotMatch", 403, Refused, "credentials"),
        ("InvalidAccessKeyId", 403, Refused, "credentials"),
        ("ExpiredToken", 400, Refused, "credentials"),
        ("RequestTimeTooSkewed", 403, Refused, "clock"),
        ("NoSuchBucket", 404, Refused, "bucket does not exist"),
        ("NoSuchKey", 404, Refused, "was deleted"),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, Refused, "queue does not exist"),
        ("PreconditionFailed", 412, Refused, "was replaced"),
        ("InvalidObjectState", 403, Refused, "archive"),
        ("MetadataTooLarge", 400, Refused, "MetadataTooLarge"),
    ],
)
def test_each_answer_has_its_fate_and_a_sentence(code, status, fate, words):
    fault = fault_of(an_answer(code, status), "reading s3://a/b")
    assert type(fault) is fate
    assert words in fault.sentence
    assert "reading s3://a/b" in fault.sentence


@pytest.mark.parametrize("code", ["NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"])
def test_what_is_missing_is_told_with_the_command_that_creates_it(code):
    assert "`vidd check --create`" in fault_of(an_answer(code, 404), "looking at it").sentence


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (an_answer("InternalError", 500), OutcomeUnknown),
        (an_answer("SlowDown", 503), RetryLater),
        (an_answer("AccessDenied", 403), Refused),
        (boto.ReadTimeoutError(endpoint_url="u"), OutcomeUnknown),
        (boto.ConnectionClosedError(endpoint_url="u"), OutcomeUnknown),
        (boto.ConnectTimeoutError(endpoint_url="u"), RetryLater),
        (boto.EndpointConnectionError(endpoint_url="u", error=aiohttp.ClientOSError(104, "reset")), OutcomeUnknown),
        (aiohttp.ClientPayloadError(), OutcomeUnknown),
    ],
)
def test_a_commit_without_an_answer_leaves_a_doubt_only_where_it_may_have_gone_out(error, fate):
    assert type(fault_of(error, "completing s3://a/b", commits=True)) is fate


def test_an_answer_that_asks_for_time_gets_it():
    assert fault_of(an_answer("SlowDown", 503, **{"retry-after": "7"}), "x").after == 7


def test_what_the_provider_says_is_shown_in_one_short_line():
    fault = fault_of(an_answer("Odd", 400, "line\nline " + "x" * 900), "x")
    assert "\n" not in fault.sentence
    assert len(fault.sentence) < 300


async def test_an_account_without_keys_on_a_host_without_a_role_is_refused(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with client(Account(endpoint_url="http://127.0.0.1:9"), "s3") as s3:
        with pytest.raises(Refused, match="no credentials"):
            await head(s3, "b", "k")


async def test_a_key_that_no_provider_takes_is_refused_as_a_setting(monkeypatch):
    async with client(an_account("http://127.0.0.1:9"), "s3") as s3:
        with pytest.raises(Refused, match="do not allow"), map_errors("putting s3://x y/k"):
            await s3.put_object(Bucket="not a bucket", Key="k", Body=b"")


def test_one_key_without_the_other_is_no_account():
    with pytest.raises(ValueError, match="come together"):
        Account(access_key="AKID")


@pytest.mark.parametrize("url", ["ftp://host", "host:9000", "http://user:pass@host", "http://a b"])
def test_an_endpoint_is_an_address_without_secrets(url):
    with pytest.raises(ValueError, match="endpoint_url"):
        Account(endpoint_url=url)


def test_an_account_does_not_print_its_secrets():
    account = an_account("http://127.0.0.1:9", session_token="TOKEN77")
    assert "SECRETEXAMPLE123" not in f"{account!r} {account} {account.model_dump()}"
    assert "TOKEN77" not in f"{account!r} {account} {account.model_dump()}"


@pytest.mark.parametrize(
    ("account", "address"),
    [
        (Account(region="eu-west-1"), "https://lib.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC.mp4"),
        (Account(region="eu-west-1", addressing="path"), "https://s3.eu-west-1.amazonaws.com/lib/a%20b/%C3%BC.mp4"),
        (Account(endpoint_url="https://s3.example.org/"), "https://s3.example.org/lib/a%20b/%C3%BC.mp4"),
        (
            Account(endpoint_url="https://fra1.digitaloceanspaces.com", addressing="virtual"),
            "https://lib.fra1.digitaloceanspaces.com/a%20b/%C3%BC.mp4",
        ),
    ],
)
def test_a_link_has_the_form_its_provider_serves(account, address):
    assert web_address(account, "lib", "a b/ü.mp4") == address


@pytest.mark.parametrize("uri", ["s3://", "s3://b", "s3://b/", "s3:///k", "https://b/k", "b/k"])
def test_an_address_without_bucket_or_key_names_no_object(uri):
    with pytest.raises(Refused, match="names no object"):
        parse_s3_uri(uri)


def test_an_address_is_shown_in_one_short_line():
    text = object_name("b", "new\nline\u202e" + "x" * 900)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 160
