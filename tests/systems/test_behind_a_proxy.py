"""A lab whose machines reach the world by a proxy only: every client goes through it, and nothing goes past it.

The far side is called far.test, a name that only the proxy knows. The proxy is proxy.py, in a process of its own.
"""

import asyncio
import socket
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from builders import google_sheets
from builders import youtube as youtube_builder
from builders.aws import Bucket, QuickClock
from builders.mail import HeldClock
from peers.certificates import make_certificate
from peers.cms import a_cms, a_video
from peers.facebook import Facebook
from peers.oauth import YOUTUBE
from peers.pcloud import PCloud
from peers.proxy import forward_proxy
from peers.receivers import SLACK, Receivers
from peers.servers import RCLONE_KEY, RCLONE_SECRET, free_port, ministack, rclone_s3
from peers.smtpd import rude_server, smtp_server
from peers.web_files import web_file
from peers.youtube import YouTube
from yarl import URL

from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.aws.account import Account as S3Account
from vidd.integrations.aws.account import client
from vidd.integrations.aws.errors import map_errors
from vidd.integrations.facebook.account import Account as FacebookAccount
from vidd.integrations.facebook.api import Chunk, graph
from vidd.integrations.google.account import GoogleAccount
from vidd.integrations.google.api import Call, google
from vidd.integrations.graphql_cms import source as cms_source
from vidd.integrations.graphql_cms.account import Account as CmsAccount
from vidd.integrations.graphql_cms.graphql import connect as connect_cms
from vidd.integrations.graphql_cms.websocket import ConnectionOptions, subscribe
from vidd.integrations.mail.account import Account as MailAccount
from vidd.integrations.mail.connection import connect as connect_mail
from vidd.integrations.pcloud.account import Account as PCloudAccount
from vidd.integrations.pcloud.api import connect as connect_pcloud
from vidd.integrations.pcloud.files import describe_account, download_links, stat
from vidd.integrations.webhook.account import Account as WebhookAccount
from vidd.integrations.webhook.delivery import Delivery, deliver
from vidd.ports import Encoder, Tools
from vidd.transfer.http_download import fetch_url
from vidd.transfer.partial_download import PartialDownload
from vidd.transfer.progress_meter import ProgressMeter

pytestmark = pytest.mark.peer

LOGIN = "lab:s3cr3t%40"
MAIL = b"Subject: On things\r\n\r\nIt is out.\r\n"
SUBSCRIPTION = "subscription { videoObjectCreated { id } }"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"), "DNS:far.test,DNS:localhost,IP:127.0.0.1")


@pytest.fixture(scope="module")
def open_proxy(tmp_path_factory):
    with forward_proxy(tmp_path_factory.mktemp("open")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def locked_proxy(tmp_path_factory):
    with forward_proxy(tmp_path_factory.mktemp("locked"), login="lab:s3cr3t@") as proxy:
        yield replace(proxy, url=proxy.url.replace("lab:s3cr3t@", LOGIN, 1))


@pytest.fixture(scope="module")
def stores(tmp_path_factory, certificate):
    """The addresses of two S3, with TLS and without."""
    with (
        rclone_s3(tmp_path_factory.mktemp("plain")) as plain,
        rclone_s3(tmp_path_factory.mktemp("over-tls"), certificate) as over_tls,
    ):
        yield {False: plain, True: over_tls}


@pytest.fixture(scope="module")
def queues():
    with ministack() as url:
        yield url


@dataclass(frozen=True)
class Way:
    """How a client is told of its proxy, and the accounts' settings that go with it."""

    proxy: object
    settings: dict

    def connects(self, url):
        """How many connections to the port of this address went through the proxy."""
        return len(self.asked(url))

    def asked(self, url):
        """What the proxy was asked for at the port of this address."""
        return self.proxy.asked(int(url.rpartition(":")[2].partition("/")[0]))


@pytest.fixture(params=["environment", "account"])
def way(request, monkeypatch, open_proxy, locked_proxy):
    looked_up = set()
    resolve = socket.getaddrinfo

    def record(host, *args, **named):
        looked_up.add(host)
        return resolve(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", record)
    if request.param == "account":
        monkeypatch.setenv("NO_PROXY", "*")
        yield Way(locked_proxy, {"proxy": locked_proxy.url})
    else:
        monkeypatch.setenv("https_proxy", open_proxy.url)
        monkeypatch.setenv("HTTP_PROXY", open_proxy.url)
        yield Way(open_proxy, {})
    assert looked_up == {"localhost"}


def far(service):
    """A service that has taken the far side's name."""
    service.url = service.url.replace("127.0.0.1", "far.test")
    return service


def tools_of(path=Path(), **accounts):
    return Tools(path, Encoder(Path("ffmpeg")), QuickClock(), accounts)


def connections(service):
    return len({call.line for call in service.calls})


async def test_a_cms_is_asked_and_subscribed_to(way, certificate, tmp_path):
    for tls, methods in ((certificate.server(), {"CONNECT far.test"}), (None, {"POST far.test", "CONNECT far.test"})):
        async with a_cms(tls=tls) as cms:
            url = f"http{'s' if tls else ''}://far.test:{cms.port}/api/graphql"
            account = CmsAccount(url=url, ca=certificate.file, **way.settings)
            async with subscribe(account, tools_of(tmp_path), SUBSCRIPTION, ConnectionOptions(ping=0)) as line:
                await cms.heard.wait()
                cms.shelf.put(a_video(7))
                assert [event.data for event in await line.batch()] == [{"videoObjectCreated": {"id": "cm000007"}}]
                answer = await line.cms.ask("{ videoObjects { id } }", doing="asking")
                assert answer.data == {"videoObjects": [{"id": "cm000007"}]}
            assert set(way.asked(cms.url)) == methods


async def test_pcloud_is_used_with_its_content_servers(way, certificate):
    service = PCloud()
    with service.serving(certificate):
        account = PCloudAccount(token="OAUTHTOKEN4711SECRET", url=far(service).url, ca=certificate.file, **way.settings)
        number = service.put("/talk.mp4", b"bytes of a talk").id
        async with connect_pcloud(tools_of(cloud=account), "cloud") as pcloud:
            (link, *_) = await download_links(pcloud, await stat(pcloud, {"fileid": number}))
            assert link.startswith("https://far.test:")
            async with pcloud.web.get(URL(link, encoded=True)) as answer:
                assert await answer.read() == b"bytes of a talk"
        assert connections(service) == way.connects(service.url) == 1


@pytest.mark.parametrize("tls", [True, False])
async def test_s3_takes_and_gives_an_object_and_checks_the_certificate(way, stores, certificate, request, tls):
    data = bytes(range(256)) * 8192
    settings = {"endpoint_url": stores[tls].replace("127.0.0.1", "far.test"), **way.settings}
    keys = {"access_key": RCLONE_KEY, "secret_key": RCLONE_SECRET}
    bucket = Bucket(S3Account(**settings, **keys, ca=certificate.file), f"b{abs(hash(request.node.name))}")
    await bucket.make()
    await bucket.put("talk.mp4", data)
    assert await bucket.get("talk.mp4") == data
    assert ("CONNECT far.test" if tls else "PUT far.test") in way.asked(stores[tls])
    if tls:
        with pytest.raises(Refused, match="certificate is not trusted"), map_errors("looking"):
            await Bucket(S3Account(**settings, **keys), bucket.name).head("talk.mp4")


async def test_sqs_takes_and_gives_a_message(way, queues):
    endpoint = queues.replace("127.0.0.1", "far.test")
    account = S3Account(endpoint_url=endpoint, access_key="AKIDEXAMPLE", secret_key="S", **way.settings)
    async with client(account, "sqs") as sqs:
        await sqs.create_queue(QueueName="talks")
        queue = f"{endpoint}/000000000000/talks"
        await sqs.send_message(QueueUrl=queue, MessageBody="arrived")
        answer = await sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)
        (message,) = answer["Messages"]
        await sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert message["Body"] == "arrived"
    assert "POST far.test" in way.asked(queues)


async def test_an_address_is_fetched(way, tmp_path, monkeypatch):
    # An arrival's address has no account.
    monkeypatch.setenv("http_proxy", way.proxy.url)
    monkeypatch.setenv("NO_PROXY", "other.test")
    async with web_file(b"bytes of a talk") as file:
        meter = ProgressMeter("fetch", "download", progress=lambda *_: None, observe=lambda _event: None)
        with closing(PartialDownload(tmp_path, "talk.mp4", chunk=2**20, reserve=0)) as download:
            await fetch_url(file.url.replace("127.0.0.1", "far.test"), download, meter, QuickClock())
            await download.commit()
        assert (tmp_path / "talk.mp4").read_bytes() == b"bytes of a talk"
        assert way.asked(file.url.partition("/files")[0]) == ["GET far.test"]


async def test_a_talk_is_uploaded_to_youtube_in_chunks(way, certificate, tmp_path):
    service = YouTube()
    with service.serving(certificate):
        account = youtube_builder.an_account(far(service), certificate, **way.settings)
        await youtube_builder.a_desk(service, certificate, tmp_path, account=account).attempt()
        (video,) = service.videos.values()
        assert video.arrived.size == len(youtube_builder.MOVIE)
        assert connections(service) == way.connects(service.url)


async def test_a_google_sheet_is_read(way, certificate):
    service = google_sheets.served(certificate)
    with service.serving(certificate):
        service.book()
        account = google_sheets.signing(far(service), **way.settings)
        tools = replace(tools_of(), clock=HeldClock())
        api = google("robot", account, [google_sheets.SHEETS], tools)
        answer = await api.call(Call("GET", f"{service.url}/v4/spreadsheets/book-1", "reading", {"fields": "sheets"}))
        assert answer.status == 200
        assert connections(service) == way.connects(service.url)


async def test_a_video_goes_to_facebook(way, certificate):
    service = Facebook()
    service.page()
    data = bytes(1024) * 700

    async def pieces():
        yield data

    with service.serving(certificate):
        url = far(service).url
        account = FacebookAccount(token="EAAPAGETOKEN1001SECRET", page="1001", url=url, video_url=url,
                                  ca=certificate.file, **way.settings)  # fmt: skip
        async with graph(account, "page", QuickClock()) as page:

            async def upload(phase, chunk=None, **form):
                return await page.upload({"upload_phase": phase, **form}, page="1001", doing=phase, chunk=chunk)

            begun = await upload("start", file_size=str(len(data)))
            session = {"upload_session_id": begun["upload_session_id"]}
            await upload("transfer", Chunk(pieces(), len(data)), start_offset="0", **session)
            assert await upload("finish", title="On things", **session) == {"success": True}
        assert [film.size for film in service.published()] == [len(data)]
        assert connections(service) == way.connects(service.url) == 1


def a_delivery(**changes):
    headers = {"webhook-id": "n1", "Content-Type": "application/json"}
    return Delivery(**{"method": "POST", "body": b'{"text": "out"}', "headers": headers, "repeatable": True,
                       "where": "there", **changes})  # fmt: skip


async def test_a_webhook_is_told(way, certificate, tmp_path):
    for tls, method in ((certificate, "CONNECT far.test"), (None, "POST far.test")):
        service = Receivers()
        with service.serving(tls):
            account = WebhookAccount(url=f"{far(service).url}/hook", ca=certificate.file, **way.settings)
            await deliver(account, tools_of(tmp_path), a_delivery())
            assert list(service.held) == ["n1"]
            assert way.asked(service.url) == [method]


@pytest.mark.parametrize("security", ["starttls", "tls", "plain"])
async def test_a_mail_goes_out_by_connect(way, certificate, tmp_path, security):
    tls = {"starttls": {"tls_context": certificate.server()}, "tls": {"implicit": certificate.server()}, "plain": {}}
    async with smtp_server(**tls[security]) as post:
        account = MailAccount(host="far.test", port=post.port, security=security, ca_file=certificate.file,
                              local_hostname="vidd.test", **way.settings)  # fmt: skip
        async with connect_mail(account, tools_of(tmp_path)) as line:
            await line.envelope("team@example.org", "ada@example.org")
            await line.data(MAIL)
        assert post.taken == [("ada@example.org", MAIL)]
        assert way.asked(f":{post.port}") == ["CONNECT far.test"]


async def ask_cms(settings, path):
    async with connect_cms(CmsAccount(url="https://far.test/graphql", **settings), tools_of(path)) as cms:
        await cms.ask("{ a }", doing="asking")


async def subscribe_to_cms(settings, path):
    account = CmsAccount(url="https://far.test/graphql", **settings)
    async with subscribe(account, tools_of(path), SUBSCRIPTION, ConnectionOptions()):
        pass


async def ask_pcloud(settings, _path):
    account = PCloudAccount(token="T", url="https://far.test", **settings)
    async with connect_pcloud(tools_of(cloud=account), "cloud") as pcloud:
        await describe_account(pcloud)


async def commit_to_s3(settings, _path):
    account = S3Account(endpoint_url="https://far.test", access_key="A", secret_key="S", **settings)
    async with client(account, "s3") as s3:
        with map_errors("storing", commits=True):
            await s3.put_object(Bucket="b", Key="k", Body=b"x")


async def sign_in_at_google(settings, _path):
    account = GoogleAccount(
        client_id="c", client_secret="s", refresh_token="r", token_url="https://far.test/t", **settings
    )
    await google("person", account, [YOUTUBE], tools_of()).call(
        Call("POST", "https://far.test/", "asking", repeatable=False)
    )


async def finish_at_facebook(settings, _path):
    account = FacebookAccount(token="T", url="https://far.test", video_url="https://far.test", **settings)
    async with graph(account, "page", QuickClock()) as page:
        await page.upload({"upload_phase": "finish"}, page="1", doing="publishing", commits=True)


async def tell_a_webhook(settings, path):
    account = WebhookAccount(url="https://far.test/hook", **settings)
    await deliver(account, tools_of(path), a_delivery(repeatable=False))


async def send_a_mail(settings, path):
    async with connect_mail(MailAccount(host="far.test", security="tls", **settings), tools_of(path)):
        pass


CLIENTS = [ask_cms, subscribe_to_cms, ask_pcloud, commit_to_s3, sign_in_at_google, finish_at_facebook, tell_a_webhook,
           send_a_mail]  # fmt: skip


@pytest.mark.parametrize("use", CLIENTS)
async def test_each_client_behind_a_proxy_that_is_down_sent_nothing_and_retries_later(use, tmp_path):
    port = free_port()
    with pytest.raises(
        RetryLater, match=f"The proxy http://localhost:{port} of the account cannot be reached"
    ) as caught:
        await use({"proxy": f"http://{LOGIN}@localhost:{port}"}, tmp_path)
    assert caught.value.code is FaultCode.PROXY_DOWN
    assert "far.test" not in caught.value.sentence
    assert "s3cr3t" not in caught.value.sentence


@pytest.mark.parametrize("use", CLIENTS)
async def test_each_client_behind_a_proxy_that_wants_a_login_is_refused_with_what_to_do(use, tmp_path, locked_proxy):
    for login, words in (("", "asks for a login"), ("lab:wr0ng@", "does not accept its login")):
        with pytest.raises(Refused, match=words) as caught:
            await use({"proxy": locked_proxy.url.replace(f"{LOGIN}@", login)}, tmp_path)
        assert caught.value.code is FaultCode.PROXY_REFUSED
        assert "wr0ng" not in caught.value.sentence


async def test_a_check_of_a_cms_names_a_proxy_that_is_down_once(tmp_path):
    account = CmsAccount(url="https://far.test/graphql", proxy=f"http://localhost:{free_port()}")
    options = cms_source.Options(account="lab", pipeline="cms")
    with pytest.raises(Refused) as caught:
        await cms_source.check(options, tools_of(tmp_path, lab=account))
    assert caught.value.sentence.count("The proxy http://localhost") == 1


@pytest.mark.parametrize("status", [502, 503])
async def test_a_page_of_the_proxy_in_place_of_an_answer_is_retried_later(tmp_path, status):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} Sorry\r\nContent-Type: text/html\r\n\r\n<html>Sorry.".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        proxy = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        for scheme in ("http", "https"):
            account = CmsAccount(url=f"{scheme}://far.test/graphql", proxy=proxy)
            with pytest.raises(RetryLater, match=str(status)):
                async with connect_cms(account, tools_of(tmp_path)) as cms:
                    await cms.ask("{ a }", doing="asking")


async def test_an_answer_that_is_lost_in_the_tunnel_leaves_the_outcome_unknown(way, certificate, tmp_path):
    receivers = Receivers()
    with receivers.serving(certificate):
        receivers.misstep("POST", "/services", after=True)
        account = WebhookAccount(url=far(receivers).url + SLACK, ca=certificate.file, **way.settings)
        with pytest.raises(OutcomeUnknown):
            await deliver(account, tools_of(tmp_path), a_delivery(repeatable=False))
        assert len(receivers.requests) == 1
    async with rude_server("body") as rude:
        account = MailAccount(
            host="far.test", port=rude.port, security="plain", local_hostname="vidd.test", **way.settings
        )
        async with connect_mail(account, tools_of(tmp_path)) as line:
            await line.envelope("team@example.org", "ada@example.org")
            with pytest.raises(OutcomeUnknown):
                await line.data(MAIL)
    assert len(rude.bodies) == 1


async def test_an_https_proxy_carries_uploads_and_mails(certificate, tmp_path):
    with forward_proxy(tmp_path / "proxy", certificate=certificate) as proxy:
        service = YouTube()
        with service.serving(certificate):
            account = youtube_builder.an_account(far(service), certificate, proxy=proxy.url)
            await youtube_builder.a_desk(service, certificate, tmp_path, account=account).attempt()
            assert connections(service) == len(proxy.asked(int(service.url.rpartition(":")[2])))
        async with smtp_server(tls_context=certificate.server()) as post:
            account = MailAccount(host="far.test", port=post.port, ca_file=certificate.file,
                                  local_hostname="vidd.test", proxy=proxy.url)  # fmt: skip
            async with connect_mail(account, tools_of(tmp_path)) as line:
                await line.envelope("team@example.org", "ada@example.org")
                await line.data(MAIL)
            assert post.taken == [("ada@example.org", MAIL)]
