"""The key that an address means, however it is written."""

import pytest
from builders.aws import an_account

from vidd.integrations.aws.account import Account
from vidd.integrations.aws.s3_uri import key_of, web_address

KEY = "contents/up/task-0-Cam 1/ü+3.jpg"


@pytest.mark.parametrize(
    ("account", "bucket"),
    [
        (an_account("http://127.0.0.1:9"), "contents"),
        (an_account("https://objects.example.org", addressing="virtual"), "contents"),
        (Account(region="eu-central-1"), "contents"),
        (Account(), "with.dots"),
    ],
)
def test_the_key_comes_back_from_the_address_it_was_made_into(account, bucket):
    assert key_of(account, bucket, web_address(account, bucket, KEY)) == KEY
    assert key_of(account, bucket, f"{web_address(account, bucket, KEY)}?X-Amz-Signature=1") == KEY


@pytest.mark.parametrize(
    "address",
    [
        KEY,
        f"/{KEY}",
        f"./{KEY}",
        f"s3://elsewhere/{KEY}",
        "https://cdn.example/contents/up/task-0-Cam%201/%C3%BC%2B3.jpg",
    ],
)
def test_other_ways_to_write_it_are_understood(address):
    assert key_of(an_account("http://127.0.0.1:9"), "contents", address) == KEY


def test_nothing_is_no_key():
    assert key_of(an_account("http://127.0.0.1:9"), "contents", "  ") == ""
