import asyncio
import base64
import hashlib
import hmac
import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from builders.mail import LINK, NOON, TALK, Sent, job, tools
from peers.certificates import make_certificate
from peers.receivers import ROOM, SLACK, TOKEN, Receivers
from peers.servers import free_port
from pydantic import SecretStr, ValidationError

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.webhook import publisher as webhook_publisher
from vidd.integrations.webhook.account import Account
from vidd.integrations.webhook.signature import key_of, signature_headers
from vidd.model.job import State
from vidd.model.publication import Publication, Receipt

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
NASTY = 'He said "no",\n<b>\\</b> & {"admin": true} <!channel> \u2028 Überraschung 🎉 \ud800 \x00'


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("hooks"))


@pytest.fixture
def far(certificate):
    far = Receivers()
    with far.serving(certificate):
        yield far


@pytest.fixture
def account(far, certificate):
    def make(path="/hook", **changes):
        return Account(**{"url": far.url + path, "ca": certificate.file, "timeout": 5, **changes})

    return make


def telling(tmp_path, account, **changes):
    notice = Publication(job().id, "webhook", "webhook", NOON, notice=True, edition=changes.pop("edition", 1))
    return Sent(
        tmp_path,
        kind="webhook",
        **{"tools": tools(tmp_path, far=account), "publication": notice, "receipts": LINK, **changes},
    )


async def publish(tried, **options):
    async with asyncio.timeout(60):
        return await webhook_publisher.publish(
            webhook_publisher.Options(**{"account": "far", **options}), tried.context()
        )


async def reconcile(tried, **options):
    async with asyncio.timeout(60):
        return await webhook_publisher.reconcile(
            webhook_publisher.Options(**{"account": "far", **options}), tried.context()
        )


def template(body, **more):
    return {"format": "template", "body": body, **more}


async def test_the_jobs_facts_are_posted_as_json(far, account, tmp_path):
    receipts = {"library": LINK["library"], "youtube": Receipt(url="https://youtu.be/x"), "archive": Receipt()}
    receipt = await publish(telling(tmp_path, account(), receipts=receipts))
    (request,) = far.requests
    assert request.data == {
        "type": "job.published",
        "id": "06abcdefghijkmnp_webhook_1",
        "at": "2026-11-20T12:00:00Z",
        "job": "06abcdefghijkmnp",
        "pipeline": "talks",
        "state": "published",
        "edition": 1,
        "uuid": "t-1",
        "title": "Loops & more",
        "link": "https://video.example.org/t-1",
        "urls": {"library": "https://video.example.org/t-1", "youtube": "https://youtu.be/x"},
        "speakers": ["Ada Lovelace", "Alan Turing"],
    }
    assert b"@example.org" not in request.body  # speakers' addresses are nobody else's
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/json"
    assert receipt.facts == {
        "id": "06abcdefghijkmnp_webhook_1",
        "at": "2026-11-20T12:00:00Z",
        "to": far.url.removeprefix("https://"),
        "status": 204,
    }


async def test_the_receiver_can_verify_the_signature_over_the_bytes_that_came(far, account, tmp_path):
    await publish(telling(tmp_path, account(secret=SECRET, old_secret="the old one")), hub_signature=True)
    (request,) = far.requests
    sent_at = request.headers["webhook-timestamp"]
    content = f"{request.headers['webhook-id']}.{sent_at}.".encode() + request.body
    expected = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in (KEY, b"the old one")]
    assert request.headers["webhook-signature"] == f"v1,{expected[0]} v1,{expected[1]}"
    assert int(sent_at) == NOON.timestamp()
    hub = hmac.new(KEY, request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Hub-Signature-256"] == f"sha256={hub}"


def test_a_signature_is_that_of_the_published_example():
    made = signature_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    )
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_without_a_secret_there_is_an_id_and_no_signature(far, account, tmp_path):
    await publish(telling(tmp_path, account()))
    (request,) = far.requests
    assert request.headers["webhook-id"] == "06abcdefghijkmnp_webhook_1"
    assert "webhook-signature" not in request.headers


async def test_a_token_goes_as_bearer_or_in_the_header_that_is_named(far, account, tmp_path):
    await publish(telling(tmp_path, account(token="t0ken-of-ours")))
    await publish(telling(tmp_path, account(token="t0ken-of-ours", token_header="X-Gitlab-Token")))
    assert far.requests[0].headers["Authorization"] == "Bearer t0ken-of-ours"
    assert far.requests[1].headers["X-Gitlab-Token"] == "t0ken-of-ours"
    assert "Authorization" not in far.requests[1].headers


@pytest.mark.slow
@pytest.mark.parametrize("action", ["drop", "hang"])
async def test_a_lost_answer_leads_to_the_same_notice_again_and_the_receiver_holds_one(far, account, tmp_path, action):
    far.misstep("POST", "/hook", action, after=True)
    tried = telling(tmp_path, account(timeout=2, secret=SECRET))
    with pytest.raises(RetryLater, match="gave no answer; vidd will send the notice again, under the same id"):
        await publish(tried)
    tried._made["tools"].clock.advance(90)
    assert await reconcile(tried) is None
    await publish(tried)
    first, second = far.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 90
    assert len(far.held) == 1


async def test_another_edition_has_another_id_and_its_own_time(far, account, tmp_path):
    first = telling(tmp_path, account())
    await publish(first)
    second = telling(tmp_path, account(), edition=2)
    second.tokens = first.tokens
    second._made["tools"].clock.advance(3600)
    await publish(second)
    assert [request.data["id"].rpartition("_")[2] for request in far.requests] == ["1", "2"]
    assert far.requests[1].data["at"] == "2026-11-20T13:00:00Z"
    assert len(far.held) == 2


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_busy_receiver_is_told_later(far, account, tmp_path, status):
    far.misstep("POST", "/hook", "status", status=status, headers={"Retry-After": "120"})
    with pytest.raises(RetryLater, match=str(status)) as fault:
        await publish(telling(tmp_path, account()))
    assert fault.value.after == 120


async def test_no_receiver_makes_us_wait_for_longer_than_a_day(far, account, tmp_path):
    far.misstep("POST", "/hook", "status", status=429, headers={"Retry-After": "9" * 30})
    with pytest.raises(RetryLater) as fault:
        await publish(telling(tmp_path, account()))
    assert fault.value.after == timedelta(days=1).total_seconds()


async def test_a_receiver_that_is_gone_is_not_told_again(far, account, tmp_path):
    far.misstep("POST", "/hook", "status", status=410)
    with pytest.raises(Refused, match="does not want notices any more"):
        await publish(telling(tmp_path, account()))


async def test_a_redirect_is_not_followed_and_names_where_it_led(far, account, tmp_path):
    where = "https://user:pw@new.example.org:8443/hook?key=1"
    far.misstep("POST", "/hook", "status", status=308, headers={"Location": where})
    with pytest.raises(Refused) as fault:
        await publish(telling(tmp_path, account()))
    assert "redirects (308) to new.example.org:8443, which vidd does not follow" in fault.value.sentence
    assert "key=1" not in fault.value.sentence
    assert "pw" not in fault.value.sentence
    assert len(far.calls) == 1


async def test_a_refusal_carries_a_bounded_piece_of_the_answer_and_none_of_our_secrets(far, account, tmp_path):
    mine = account("/hook?key=abcdef123", token="t0ken-of-ours", secret=SECRET)
    words = f"no\n\x1b[2J t0ken-of-ours {SECRET} {far.url}/hook?key=abcdef123 " + "x" * 100_000
    far.misstep("POST", "/hook", "status", status=422, body={"error": words})
    with pytest.raises(Refused, match="answered 422") as fault:
        await publish(telling(tmp_path, mine))
    assert len(fault.value.sentence) < 400
    assert fault.value.sentence.isprintable()
    assert "[hidden]" in fault.value.sentence
    assert not any(secret in fault.value.sentence for secret in ("t0ken", SECRET[6:20], "abcdef123"))


@pytest.mark.slow
async def test_no_secret_reaches_a_log_an_error_or_the_journal(far, certificate, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    mine = Account(url=far.url + SLACK, ca=certificate.file, token="t0ken-of-ours", secret=SECRET, timeout=2)
    tried, said = telling(tmp_path, mine), []
    far.misstep("POST", "/services", "drop")
    far.misstep("POST", "/services", "status", status=400)
    far.misstep("POST", "/services", "status", status=302, headers={"Location": SLACK})
    for _ in range(3):
        with pytest.raises((RetryLater, Refused)) as fault:
            await publish(tried)
        said += [str(fault.value), repr(fault.value.__cause__)]
    closed = Account(url=f"https://127.0.0.1:{free_port()}{SLACK}", token="t0ken-of-ours")
    with pytest.raises(RetryLater, match="cannot be reached") as fault:
        await publish(telling(tmp_path, closed))
    said += [str(fault.value), repr(fault.value.__cause__)]
    said += [
        await webhook_publisher.check(webhook_publisher.Options(account="far"), tools(tmp_path, far=mine)),
        repr(mine),
    ]
    said += [str(mine.model_dump(mode="json")), json.dumps(tried.tokens)]
    said += [
        record.getMessage() for record in caplog.records if record.name != "aiohttp.access"
    ]  # that is the receiver's own
    for secret in ("T00000000", "XXXXXXXX", "t0ken-of-ours", SECRET, SECRET[6:]):
        assert not [line for line in said if secret in line], secret


async def test_nothing_is_open_after_a_certificate_that_is_not_trusted(far, tmp_path):
    tried = telling(tmp_path, Account(url=far.url + SLACK))
    with pytest.raises(Refused, match=r"certificate of 127.0.0.1:.* is not trusted"):
        await publish(tried, format="slack")
    assert far.calls == []
    assert await reconcile(tried, format="slack") is None


async def test_slack_gets_a_link_with_the_title_and_the_speakers(far, account, tmp_path):
    await publish(telling(tmp_path, account(SLACK)), format="slack")
    (message,) = far.messages
    assert message["text"] == "Loops &amp; more (Ada Lovelace and Alan Turing): https://video.example.org/t-1"
    (block,) = message["blocks"]
    assert block["text"]["text"] == ("*<https://video.example.org/t-1|Loops &amp; more>*\nAda Lovelace and Alan Turing")
    assert "webhook-id" not in far.requests[0].headers


async def test_a_failure_is_told_with_its_reason_and_the_state_of_the_job(far, account, tmp_path):
    failed = job(state=State.REFUSED, reason="analyse failed (exit 1): no people. <!channel>")
    await publish(telling(tmp_path, account(), job=failed, receipts={}, event="refused"), on="failed")
    await publish(
        telling(tmp_path, account(SLACK), job=failed, receipts={}, event="refused"), on="failed", format="slack"
    )
    told = far.requests[0].data
    assert (told["type"], told["state"], told["reason"], told["link"]) == (
        "job.refused", "refused", "analyse failed (exit 1): no people. <!channel>", None,
    )  # fmt: skip
    (message,) = far.messages
    assert message["text"] == (
        "Loops &amp; more (Ada Lovelace and Alan Turing) (refused): "
        "analyse failed (exit 1): no people. &lt;!channel&gt;"
    )


async def test_no_title_calls_a_channel_or_leaves_its_link_in_slack(far, account, tmp_path):
    talk = replace(TALK, title="<!channel> a|b\n<https://evil.example.org|c>" + "&" * 9000)
    await publish(telling(tmp_path, account(SLACK), talk=talk), format="slack")
    (message,) = far.messages
    marked = message["blocks"][0]["text"]["text"]
    assert marked.startswith(
        "*<https://video.example.org/t-1|&lt;!channel&gt; a¦b &lt;https://evil.example.org¦c&gt;&amp;"
    )
    assert marked.count("<") == marked.count(">") == 1
    assert "<" not in message["text"]


async def test_a_text_of_ones_own_keeps_its_own_markup_in_slack(far, account, tmp_path):
    await publish(telling(tmp_path, account(SLACK)), format="slack", text="<!here> _{{ title }}_ {{ urls.library }}")
    assert far.messages[0]["text"] == "<!here> _Loops &amp; more_ https://video.example.org/t-1"


@pytest.mark.parametrize(("action", "how"), [("drop", {}), ("hang", {}), ("status", {"status": 500})])
async def test_slack_is_not_told_twice_when_nobody_knows(far, account, tmp_path, action, how):
    far.misstep("POST", "/services", action, after=True, **how)
    tried = telling(tmp_path, account(SLACK, timeout=2))
    for ask in (publish, reconcile):
        with pytest.raises(OutcomeUnknown, match="look into the channel for 'Loops & more'"):
            await ask(tried, format="slack")
    assert len(far.messages) == 1


async def test_an_edition_that_never_went_out_is_not_unsure_because_another_was(far, account, tmp_path):
    far.misstep("POST", "/services", after=True)
    first = telling(tmp_path, account(SLACK))
    with pytest.raises(OutcomeUnknown):
        await publish(first, format="slack")
    second = telling(tmp_path, account(SLACK), edition=2)
    second.tokens = first.tokens
    assert await reconcile(second, format="slack") is None


async def test_slack_is_told_again_after_an_answer_that_says_it_was_not_taken(far, account, tmp_path):
    far.misstep("POST", "/services", "status", status=429, headers={"Retry-After": "30"})
    tried = telling(tmp_path, account(SLACK))
    with pytest.raises(RetryLater) as fault:
        await publish(tried, format="slack")
    assert fault.value.after == 30
    assert await reconcile(tried, format="slack") is None
    await publish(tried, format="slack")
    assert len(far.messages) == 1


async def test_a_person_may_say_that_slack_can_be_told_twice(far, account, tmp_path):
    far.misstep("POST", "/services", after=True)
    tried = telling(tmp_path, account(SLACK))
    with pytest.raises(RetryLater):
        await publish(tried, format="slack", repeat=True)
    assert await reconcile(tried, format="slack", repeat=True) is None


async def test_matrix_gets_one_message_however_often_it_is_sent(far, account, tmp_path):
    far.misstep("PUT", "/_matrix", after=True, times=2)  # aiohttp repeats a PUT once by itself
    tried = telling(tmp_path, account("/", token=TOKEN), talk=replace(TALK, title="<b>&</b>"))
    with pytest.raises(RetryLater, match="under the same id"):
        await publish(tried, format="matrix", room=ROOM)
    receipt = await publish(tried, format="matrix", room=ROOM)
    assert receipt.facts["event_id"] == "$event0"
    assert far.held == {
        "06abcdefghijkmnp_webhook_1": {
            "msgtype": "m.text",
            "body": "<b>&</b> (Ada Lovelace and Alan Turing): https://video.example.org/t-1",
            "format": "org.matrix.custom.html",
            "formatted_body": '<strong><a href="https://video.example.org/t-1">&lt;b&gt;&amp;&lt;/b&gt;</a></strong>'
            "<br>Ada Lovelace and Alan Turing",
        }
    }
    path = f"/_matrix/client/v3/rooms/{ROOM.replace('!', '%21').replace(':', '%3A')}/send/m.room.message/"
    assert [request.path for request in far.requests] == [f"{path}06abcdefghijkmnp_webhook_1"] * 3


async def test_a_matrix_server_says_in_its_body_how_long_to_wait(far, account, tmp_path):
    limit = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 2500}
    far.misstep("PUT", "/_matrix", "status", status=429, body=limit)
    with pytest.raises(RetryLater) as fault:
        await publish(telling(tmp_path, account("", token=TOKEN)), format="matrix", room=ROOM)
    assert fault.value.after == 2.5


async def test_a_revoked_matrix_token_is_refused_in_the_servers_words(far, account, tmp_path):
    with pytest.raises(Refused, match=r"answered 401 .*M_UNKNOWN_TOKEN"):
        await publish(telling(tmp_path, account("", token="another token")), format="matrix", room=ROOM)


@pytest.mark.parametrize("body", ['{"said": "{{ title }}"}', '{"said": {{ title | tojson }}}'])
async def test_no_title_breaks_out_of_the_json_of_a_template(far, account, tmp_path, body):
    talk = replace(TALK, title=NASTY)
    await publish(telling(tmp_path, account(), talk=talk), **template(body))
    assert far.requests[0].data == {"said": NASTY.replace("\ud800", "?")}


async def test_the_default_body_holds_any_title(far, account, tmp_path):
    await publish(telling(tmp_path, account(), talk=replace(TALK, title=NASTY)))
    assert far.requests[0].data["title"] == NASTY.replace("\ud800", "\ufffd")


async def test_a_template_writes_numbers_lists_and_what_is_missing_as_json(far, account, tmp_path):
    body = '{"n": {{ edition }}, "who": {{ talk.speakers | tojson }}, "none": {{ talk.start | tojson }}, "e": "{{ talk.start }}"}'
    await publish(telling(tmp_path, account()), **template(body, content_type="application/vnd.x+json; charset=utf-8"))
    assert far.requests[0].data == {
        "n": 1,
        "who": [{"name": speaker.name, "email": speaker.email, "cc": []} for speaker in TALK.speakers],
        "none": None,
        "e": "",
    }
    assert far.requests[0].headers["Content-Type"] == "application/vnd.x+json; charset=utf-8"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"a": {{ title }}}', "makes no valid JSON"),
        ('{"a": NaN}', "JSON has no NaN"),
        ('{"a": "{{ nothing }}"}', "unknown field nothing; known: "),
        ('{"a": {{ urls.vimeo | tojson }}}', "unknown field .*vimeo"),
        ('{"a": "{{ title.__class__ }}"}', "cannot be used|unknown field"),
    ],
)
async def test_a_template_that_cannot_work_is_refused_before_anything_goes_out(far, account, tmp_path, body, words):
    tried = telling(tmp_path, account())
    with pytest.raises(Refused, match=words):
        await publish(tried, **template(body))
    assert far.calls == []
    assert tried.tokens == []


async def test_a_text_is_sent_as_it_is_and_a_lost_answer_to_it_is_shown(far, account, tmp_path):
    tried = telling(tmp_path, account())
    how = template("talk={{ title | urlencode }}", content_type="application/x-www-form-urlencoded")
    await publish(tried, **how)
    assert far.requests[0].body == b"talk=Loops%20%26%20more"
    far.misstep("POST", "/hook", after=True)
    with pytest.raises(OutcomeUnknown, match="look there for 'Loops & more'"):
        await publish(tried, **how)
    far.misstep("PUT", "/hook", after=True, times=2)
    with pytest.raises(RetryLater):
        await publish(tried, **how, method="PUT")


async def test_a_title_with_a_line_break_makes_no_header(far, account, tmp_path):
    tried = telling(tmp_path, account(), talk=replace(TALK, title="a\r\nX-Evil: 1"))
    with pytest.raises(Refused, match="header X-Title would hold a line break"):
        await publish(tried, headers={"X-Title": "{{ title }}"})
    assert far.calls == []
    await publish(telling(tmp_path, account()), headers={"X-Title": "{{ title }}"})
    assert far.requests[0].headers["X-Title"] == "Loops & more"


async def test_a_check_says_where_it_would_go_and_sends_nothing(far, account, tmp_path):
    kept = tools(tmp_path, far=account(secret=SECRET))
    said = await webhook_publisher.check(webhook_publisher.Options(account="far"), kept)
    place = far.url.removeprefix("https://")
    assert said == f"Notices would go to {place} (vidd, signed); vidd sent nothing."
    assert far.calls == []


async def test_a_hub_signature_without_a_secret_is_refused(account, tmp_path):
    with pytest.raises(Refused, match="needs a secret"):
        await publish(telling(tmp_path, account()), hub_signature=True)
    with pytest.raises(Refused, match="needs a secret"):
        await webhook_publisher.check(
            webhook_publisher.Options(account="far", hub_signature=True), tools(tmp_path, far=account())
        )


async def test_an_authority_that_cannot_be_read_is_refused(account, tmp_path):
    with pytest.raises(Refused, match="holds no certificates"):
        await publish(telling(tmp_path, account(ca="none.pem")))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"format": "template"}, "go together"),
        ({"body": "{}"}, "go together"),
        ({"format": "matrix"}, "go together"),
        ({"format": "matrix", "room": "#alias:example.org"}, "pattern"),
        ({"format": "slack", "method": "PUT"}, "leave them out"),
        ({"format": "matrix", "room": "!a:b", "repeat": False}, "repeated by its nature"),
        (template("{}", method="PUT", repeat=False), "repeated by its nature"),
        ({"headers": {"Host": "x"}}, "set by vidd"),
        ({"headers": {"Webhook-Id": "x"}}, "set by vidd"),
        ({"headers": {"a b": "x"}}, "pattern"),
        (template("{{ a"), "cannot be read"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(setting, words):
    with pytest.raises(ValidationError, match=words):
        webhook_publisher.Options(**{"account": "far", **setting})


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "hooks.example.org", "https://u:p@h.example/", "https://", "https://h/\n"]
)
def test_an_address_that_is_none_is_refused_without_showing_it(url):
    with pytest.raises(ValidationError) as fault:
        Account(url=url)
    assert [error["msg"] for error in fault.value.errors(include_input=False)] == [
        "Value error, this is no http or https address without a user in it"
    ]


@pytest.mark.parametrize("secret", ["whsec_***", "whsec_QUJD!QUJD", "whsec_", ""])
def test_a_secret_that_is_none_is_refused(secret):
    with pytest.raises(ValidationError, match=r"base64|empty"):
        Account(url="https://a.example", secret=SecretStr(secret))
    assert key_of("plain") == b"plain"


async def test_names_that_look_alike_have_ids_of_their_own(far, account, tmp_path):
    for name in ("to.us", "to-us", "to us", "ü" * 80):
        notice = Publication(job().id, name, "webhook", NOON, notice=True)
        await publish(telling(tmp_path, account(), publication=notice))
    assert len(far.held) == 4
    assert all(identity.replace("_", "").replace("-", "").isalnum() and identity.isascii() for identity in far.held)
