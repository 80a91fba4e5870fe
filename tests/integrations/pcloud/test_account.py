import asyncio

import pytest
from builders.pcloud import (
    PASSWORD,
    TOKEN,
    a_desk,
    add_tree,
    an_account,
    by_password,
    certificate,
    no_line_left,
    service,
    the_options,
    tools_of,
)
from peers.pcloud import says
from pydantic import ValidationError

from vidd.errors import Refused, RetryLater
from vidd.integrations.pcloud import publisher as pcloud_publisher
from vidd.integrations.pcloud.account import Account
from vidd.integrations.pcloud.api import connect
from vidd.integrations.pcloud.files import describe_account, list_folder
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import read_settings

__all__ = ["certificate", "no_line_left", "service"]


async def asked(account, tools=None):
    async with connect(tools or tools_of(account), "cloud") as client:
        return await describe_account(client)


async def test_a_token_is_shown_in_the_header(service):
    service.quota = 10 * 2**30
    service.put("/a.bin", bytes(3 * 2**20))
    said = "The pCloud account 'cloud' (Ada@example.org) can be reached; 3 MiB of 10.0 GiB are used."
    assert await asked(an_account(service)) == said
    assert service.calls[-1].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_a_password_logs_in_by_digest_and_only_once(service):
    tools = tools_of(by_password(service))
    for _ in range(3):
        assert "can be reached" in await asked(None, tools)
    assert service.logins == 1
    assert service.count("getdigest") == 1
    assert not any("Authorization" in call.headers for call in service.calls)


async def test_a_log_in_that_expired_is_made_again_once_whoever_notices_it(service):
    tools = tools_of(by_password(service))
    await asked(None, tools)
    service.expire_logins()
    async with connect(tools, "cloud") as client:
        await asyncio.gather(*(list_folder(client, 0) for _ in range(12)))
    assert service.logins == 2


async def test_a_connection_that_stays_logged_in_as_it_was_is_logged_out_first(service):
    service.stays_logged_in = True
    async with connect(tools_of(by_password(service)), "cloud") as client:
        assert await list_folder(client, 0) is not None
        service.misstep("POST", "^/listfolder$", "status", status=200, body=says(2000))
        assert await list_folder(client, 0) is not None
    assert service.logins == 2


async def test_a_log_in_that_expires_in_the_middle_of_an_upload_costs_one_more_sending(service, tmp_path):
    desk = add_tree(a_desk(tmp_path, service), {"a.json": b"1" * 1000})
    desk.tools.accounts["cloud"] = by_password(service)
    service.misstep("POST", "^/uploadfile$", "status", status=200, body=says(2000))
    await pcloud_publisher.publish(the_options(), desk.context)
    assert service.tree("/results/v1") == {"a.json": b"1" * 1000}
    assert service.logins == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password": "WRONGPASSWORD42"}, "correct its token, or user and password, and see whether its region"),
        ({"user": "nobody@example.org"}, "correct its token, or user and password, and see whether its region"),
    ],
)
async def test_a_wrong_password_is_refused_after_one_try_and_never_shown(service, changes, sentence):
    with pytest.raises(Refused, match=sentence) as refused:
        await asked(by_password(service, **changes))
    assert service.logins == 1
    assert "WRONGPASSWORD42" not in refused.value.sentence
    assert "WRONGPASSWORD42" not in repr(by_password(service, **changes))


async def test_an_account_with_a_second_factor_is_told_to_use_a_token(service):
    service.second_factor = True
    with pytest.raises(Refused, match="give a token in place of user and password"):
        await asked(by_password(service))


@pytest.mark.parametrize("result", [1000, 2000, 2094, 2095])
async def test_a_token_that_is_not_taken_is_refused_at_once(service, result):
    service.misstep("POST", "^/userinfo$", "status", status=200, body=says(result), times=9)
    with pytest.raises(Refused, match="does not accept the log-in of the account 'cloud'"):
        await asked(an_account(service))
    assert service.count("userinfo") == 1


async def test_too_many_log_ins_wait(service):
    service.misstep("POST", "^/userinfo$", "status", status=200, body=says(4000))
    with pytest.raises(RetryLater, match="limits the number of calls") as busy:
        await asked(by_password(service))
    assert (busy.value.after, busy.value.counts) == (300, False)


@pytest.mark.parametrize(("status", "after"), [(429, 77), (503, None), (500, None)])
async def test_statuses_without_a_result_are_fates_too(service, status, after):
    headers = {"Retry-After": str(after)} if after else {}
    service.misstep("POST", "^/userinfo$", "status", status=status, headers=headers, times=9)
    with pytest.raises(RetryLater) as later:
        await asked(an_account(service))
    assert later.value.after == after


async def test_a_certificate_of_nobody_known_is_refused(service):
    with pytest.raises(Refused, match="certificate is not trusted"):
        await asked(an_account(service, ca=None))


async def test_a_server_out_of_reach_is_asked_again_later():
    with pytest.raises(RetryLater, match="cannot reach the server"):
        await asked(Account(token=TOKEN, url="https://127.0.0.1:9"))


@pytest.mark.parametrize(("region", "host"), [("us", "https://api.pcloud.com"), ("eu", "https://eapi.pcloud.com")])
def test_each_region_has_a_host_of_its_own(region, host):
    assert Account(region=region, token=TOKEN).base_url == host


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, "either a token, or user and password"),
        ({"token": TOKEN, "user": "a", "password": "b"}, "either a token, or user and password"),
        ({"user": "a"}, "come together"),
        ({"token": "two\nlines"}, "one line"),
        ({"token": " "}, "one line"),
        ({"token": TOKEN, "url": "https://user@host"}, "url"),
    ],
)
def test_settings_that_cannot_log_in_are_faults(values, fault):
    with pytest.raises(ValidationError, match=fault):
        Account(**values)


def test_a_secret_comes_from_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "vidd.toml"
    path.write_text('[accounts.cloud]\nkind = "pcloud"\nregion = "eu"\nuser = "ada@example.org"\n')
    monkeypatch.setenv("VIDD_ACCOUNTS__CLOUD__PASSWORD", PASSWORD)
    account = make_ready(read_settings(path)).accounts["cloud"]
    assert account.password.get_secret_value() == PASSWORD
    assert PASSWORD not in repr(account)
