import asyncio
from dataclasses import replace

import pytest
from builders.mail import LINK, TALK, HeldClock, Sent
from peers.postfix import mail_host
from pydantic import SecretStr

from vidd.errors import Refused, RetryLater
from vidd.integrations.mail import publisher as mail_publisher
from vidd.integrations.mail.account import Account
from vidd.model.talk import Speaker
from vidd.ports import Encoder, Tools

pytestmark = pytest.mark.peer

OPTIONS = mail_publisher.Options(account="mx", sender="Video team <team@example.org>")


@pytest.fixture(scope="module")
def host():
    with mail_host() as running:
        yield running


def account(host, port, **changes):
    settings = {"security": "starttls", "user": "team", "password": SecretStr("s3cret"), **changes}
    return Account(host="127.0.0.1", port=port, ca_file=host.certificate.file, local_hostname="vidd.test", **settings)


def sent(tmp_path, server, **changes):
    tools = Tools(state=tmp_path, encoder=Encoder(tmp_path), clock=HeldClock(), accounts={"mx": server})
    return Sent(tmp_path, kind="mail", **{"tools": tools, "receipts": LINK, **changes})


async def inbox(host, who, title):
    """The mails about a talk, once one is there."""
    async with asyncio.timeout(60):
        count = 1
        while True:
            mails = await asyncio.to_thread(host.delivered, who, count)
            found = [mail for mail in mails if title in mail["Subject"]]
            if found:
                return found
            count = len(mails) + 1


async def test_speakers_read_their_mails_over_imap(tmp_path, host):
    talk = replace(TALK, title="Grüße aus dem Maschinenraum 🎬")
    await mail_publisher.publish(OPTIONS, sent(tmp_path, account(host, host.starttls), talk=talk).context())
    (ada,) = await inbox(host, "ada", talk.title)
    (alan,) = await inbox(host, "alan", talk.title)
    assert ada["Subject"] == f'Your talk "{talk.title}" is online'
    assert ada["To"] == "Ada Lovelace <ada@example.org>"
    assert ada["Message-ID"] != alan["Message-ID"]
    assert ada["Message-ID"].startswith("<06abcdefghijkmnp.mail.")
    words = ada.get_body(("plain",)).get_content()
    assert words.startswith("Hello Ada Lovelace,")
    assert "https://video.example.org/t-1" in words
    assert "<strong>Grüße" in ada.get_body(("html",)).get_content()


async def test_tls_from_the_first_byte_and_a_check_of_the_login(tmp_path, host):
    tried = sent(tmp_path, account(host, host.tls, security="tls"), talk=replace(TALK, title="By TLS"))
    assert "takes mail from team" in await mail_publisher.check(OPTIONS, tried.context().tools)
    await mail_publisher.publish(OPTIONS, tried.context())
    assert len(await inbox(host, "alan", "By TLS")) == 1


async def test_an_unknown_mailbox_is_refused_by_name_and_the_other_one_is_told(tmp_path, host):
    talk = replace(TALK, title="One is unknown", speakers=(Speaker("Eve", "eve@example.org"), TALK.speakers[0]))
    with pytest.raises(Refused, match=r"eve@example\.org: 550 .*User unknown.*1 of 2 mails are out"):
        await mail_publisher.publish(OPTIONS, sent(tmp_path, account(host, host.starttls), talk=talk).context())
    assert len(await inbox(host, "ada", "One is unknown")) == 1


async def test_greylisting_ends_with_one_mail(tmp_path, host):
    talk = replace(TALK, title="Grey", speakers=TALK.speakers[:1])
    server = account(host, host.greylisted, user=None, password=None)
    tried = sent(tmp_path, server, talk=talk)
    with pytest.raises(RetryLater, match="450"):
        await mail_publisher.publish(OPTIONS, tried.context())
    async with asyncio.timeout(60):
        while True:
            try:
                await mail_publisher.publish(OPTIONS, tried.context())
            except RetryLater:
                continue
            break
    assert len(await inbox(host, "ada", "Grey")) == 1


async def test_a_wrong_password_is_refused_at_once(tmp_path, host):
    wrong = account(host, host.starttls, password=SecretStr("hunter22"))
    with pytest.raises(Refused, match=r"refused the login of 'team' \(535\)") as refused:
        await mail_publisher.publish(OPTIONS, sent(tmp_path, wrong).context())
    assert "hunter22" not in str(refused.value)


async def test_a_sender_who_does_not_log_in_is_refused(tmp_path, host):
    anonymous = account(host, host.starttls, user=None, password=None)
    with pytest.raises(Refused, match="554"):
        await mail_publisher.publish(OPTIONS, sent(tmp_path, anonymous).context())


async def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path, host):
    unknown = account(host, host.starttls).model_copy(update={"ca_file": None})
    with pytest.raises(Refused, match="not to be trusted"):
        await mail_publisher.publish(OPTIONS, sent(tmp_path, unknown).context())
