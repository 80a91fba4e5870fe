import asyncio
import email
import email.policy
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from builders.mail import LINK, NOON, TALK, HeldClock, Sent, job
from peers.certificates import make_certificate
from peers.smtpd import rude_server, smtp_server
from pydantic import SecretStr, ValidationError

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.mail import publisher as mail_publisher
from vidd.integrations.mail.account import Account
from vidd.model.job import FAILURE, State
from vidd.model.publication import Publication
from vidd.model.talk import Speaker
from vidd.ports import Encoder, Tools


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


def account(port, **changes):
    settings = {"host": "127.0.0.1", "port": port, "security": "plain", "timeout": 5, "local_hostname": "vidd.test"}
    return Account(**{**settings, **changes})


def sent(tmp_path, server=None, **changes):
    accounts = {"mx": server} if server else {}
    kept = Tools(state=tmp_path, encoder=Encoder(tmp_path), clock=HeldClock(), accounts=accounts)
    return Sent(tmp_path, kind="mail", **{"tools": kept, "receipts": LINK, **changes})


def options(**changes):
    return mail_publisher.Options(**{"account": "mx", "sender": "Video team <team@example.org>", **changes})


def states(tried):
    return {address: recipient["state"] for address, recipient in tried.token["recipients"].items()}


def body(message, kind="plain"):
    return message.get_body((kind,)).get_content().replace("\r\n", "\n")


async def publish(tried, **changes):
    async with asyncio.timeout(60):
        return await mail_publisher.publish(options(**changes), tried.context())


async def reconcile(tried, **changes):
    async with asyncio.timeout(60):
        return await mail_publisher.reconcile(options(**changes), tried.context())


async def test_every_speaker_gets_a_mail_of_his_own_with_the_link(tmp_path):
    async with smtp_server() as post:
        receipt = await publish(sent(tmp_path, account(post.port)))
    assert post.recipients == ["ada@example.org", "alan@example.org"] == receipt.facts["recipients"]
    (_, first), (_, second) = post.mails()
    assert (first["To"], second["To"]) == ("Ada Lovelace <ada@example.org>", "Alan Turing <alan@example.org>")
    assert first["Subject"] == 'Your talk "Loops & more" is online'
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Date"].datetime == HeldClock().now()
    plain, html = body(first), body(first, "html")
    assert plain.startswith("Hello Ada Lovelace,\n\nyour talk")
    assert "https://video.example.org/t-1\n" in plain
    assert "Loops &amp; more" in html
    assert '<a href="https://video.example.org/t-1">' in html


async def test_the_message_id_is_the_same_for_the_same_job_notice_and_recipient(tmp_path):
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port)))
        await publish(sent(tmp_path, account(post.port)))
        await publish(sent(tmp_path, account(post.port), job=job(id="06zzzzzzzzzzzzzz")))
    ids = [message["Message-ID"] for _, message in post.mails()]
    assert ids[:2] == ids[2:4]
    assert len(set(ids)) == 4
    assert all(id_.endswith("@example.org>") for id_ in ids)


async def test_a_mail_that_a_person_asked_for_once_more_is_another_mail(tmp_path):
    again = Publication(job().id, "mail", "mail", NOON, notice=True)
    async with smtp_server() as post:
        for edition in (1, 2, 2, 3):
            await publish(sent(tmp_path, account(post.port), publication=again.evolve(edition=edition)), to=["a@b.c"])
    ids = [message["Message-ID"] for _, message in post.mails()]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3
    assert ids[0].startswith("<06abcdefghijkmnp.mail.")
    assert ids[1].startswith("<06abcdefghijkmnp.mail.2.")


async def test_a_line_break_in_a_title_or_a_name_makes_no_header(tmp_path):
    bad = "Loops\r\nBcc: eve@example.org\r\n\r\n\u202e\x1b\0hello"
    talk = replace(TALK, title=bad, speakers=(Speaker(bad, "ada@example.org"),))
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port), talk=talk))
    ((address, message),) = post.mails()
    assert address == "ada@example.org"
    assert message["Bcc"] is None
    assert message["Subject"] == 'Your talk "Loops Bcc: eve@example.org hello" is online'
    assert message["To"].addresses[0].addr_spec == "ada@example.org"


async def test_names_and_titles_beyond_ascii_arrive_as_they_are(tmp_path):
    talk = replace(TALK, title="Überraschung 🎉", speakers=(Speaker("Müller, Jürgen", "j@example.org"),))
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port), talk=talk))
    ((_, message),) = post.mails()
    assert message["Subject"] == 'Your talk "Überraschung 🎉" is online'
    assert message["To"].addresses[0].display_name == "Müller, Jürgen"
    assert "Überraschung 🎉" in body(message)
    assert post.taken[0][1].isascii()


async def test_markup_in_a_title_stays_text_in_the_html(tmp_path):
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port), talk=replace(TALK, title="<script>x</script>")))
    assert "<script>" not in body(post.mails()[0][1], "html")


async def test_a_title_from_a_file_name_that_is_no_text_can_still_be_mailed(tmp_path):
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port), talk=replace(TALK, title="a\udcffb")))
    assert post.mails()[0][1]["Subject"] == 'Your talk "a?b" is online'


async def test_copies_go_to_cc_and_bcc_and_only_cc_is_seen(tmp_path):
    async with smtp_server() as post:
        await publish(
            sent(tmp_path, account(post.port)), cc=["c@example.org"], bcc=["b@example.org"], reply_to=["r@example.org"]
        )
    seen = dict(post.mails())
    assert post.recipients == ["ada@example.org", "alan@example.org", "c@example.org", "b@example.org"]
    assert all(value["Cc"] == "c@example.org" and value["Bcc"] is None for value in seen.values())
    assert "b@example.org" not in post.taken[3][1].decode()
    assert seen["b@example.org"]["Reply-To"] == "r@example.org"
    assert "Hello Ada Lovelace and Alan Turing," in body(seen["c@example.org"])


async def test_recipients_can_come_from_a_template_and_nobody_is_told_twice(tmp_path):
    talk = replace(TALK, facts={"columns": {"Producer": "Pro <p@example.org>; ADA@example.org"}})
    to = ["{{ talk.facts.columns.Producer }}", "{% for s in talk.speakers %}{{ s.email }}\n{% endfor %}"]
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port), talk=talk), to=to)
    assert post.recipients == ["p@example.org", "ADA@example.org", "alan@example.org"]


async def test_nobody_to_tell_is_no_failure(tmp_path):
    talk = replace(TALK, speakers=(Speaker("Ada"),))
    receipt = await publish(sent(tmp_path, account(1), talk=talk))
    assert receipt.facts["recipients"] == []
    assert "Nobody to tell" in receipt.facts["notes"][0]


async def test_one_refused_recipient_does_not_stop_the_others_and_a_retry_asks_only_for_him(tmp_path):
    async with smtp_server() as post:
        post.answers["ada@example.org"] = ["550 no such mailbox"]
        tried = sent(tmp_path, account(post.port))
        with pytest.raises(Refused, match=r"ada@example\.org: 550 no such mailbox.*1 of 2 mails are out"):
            await publish(tried)
        assert post.recipients == ["alan@example.org"]
        await publish(tried)
    assert post.recipients == ["alan@example.org", "ada@example.org"]


async def test_greylisting_is_again_later_and_the_others_keep_theirs(tmp_path):
    async with smtp_server() as post:
        post.answers["alan@example.org"] = ["450 greylisted, come back"]
        tried = sent(tmp_path, account(post.port))
        with pytest.raises(RetryLater, match=r"alan@example\.org: 450 greylisted") as later:
            await publish(tried)
        assert later.value.after >= 60
        assert later.value.counts
        await publish(tried)
    assert post.recipients == ["ada@example.org", "alan@example.org"]


async def test_a_451_after_the_data_is_an_answer_and_so_again_later(tmp_path):
    async with smtp_server() as post:
        post.data_answers = ["451 disk full", "554 spam"]
        tried = sent(tmp_path, account(post.port))
        with pytest.raises(RetryLater, match="451 disk full"):
            await publish(tried)
        assert states(tried) == {"ada@example.org": "refused", "alan@example.org": "refused"}
        await publish(tried)
    assert post.recipients == ["ada@example.org", "alan@example.org"]


async def test_a_552_for_the_sender_refuses_it(tmp_path):
    async with smtp_server(data_size_limit=100) as post:
        with pytest.raises(Refused, match="552"):
            await publish(sent(tmp_path, account(post.port)))


async def test_a_connection_that_breaks_after_the_mail_leaves_one_unsure_and_sends_the_others(tmp_path):
    async with rude_server("body") as rude:
        tried = sent(tmp_path, account(rude.port))
        with pytest.raises(OutcomeUnknown, match=r"whether ada@example\.org got the mail: look for Message-ID <06abc"):
            await publish(tried)
        assert states(tried) == {"ada@example.org": "intent", "alan@example.org": "sent"}
        assert len(rude.bodies) == 2
        with pytest.raises(OutcomeUnknown, match=r"ada@example\.org"):
            await reconcile(tried)
        assert len(rude.bodies) == 2
        await publish(tried)  # a person asked for it
        assert len(rude.bodies) == 3
    assert states(tried) == {"ada@example.org": "sent", "alan@example.org": "sent"}


async def test_no_answer_in_time_after_the_mail_is_unsure_too(tmp_path):
    async with rude_server("never", hold=asyncio.Event()) as rude:
        with pytest.raises(OutcomeUnknown, match=r"ada@example\.org"):
            await publish(sent(tmp_path, account(rude.port, data_timeout=0.2), talk=one_speaker()))


def one_speaker():
    return replace(TALK, speakers=TALK.speakers[:1])


@pytest.mark.parametrize("at", ["ehlo", "mail", "rcpt"])
async def test_a_connection_that_breaks_before_the_mail_is_again_later(tmp_path, at):
    async with rude_server(at) as rude:
        tried = sent(tmp_path, account(rude.port), talk=one_speaker())
        with pytest.raises(RetryLater):
            await publish(tried)
        assert tried.tokens == []
        await publish(tried)
    assert len(rude.bodies) == 1


async def test_the_intent_is_recorded_after_the_recipient_was_taken_and_before_the_mail_goes_out(tmp_path):
    async with rude_server("never") as rude:
        tried = sent(tmp_path, account(rude.port), talk=one_speaker())
        seen = []

        async def look(token):
            seen.append((states(tried)["ada@example.org"], [line.split()[0] for line in rude.commands]))

        tried.on_checkpoint = look
        await publish(tried)
    assert seen == [("intent", ["EHLO", "MAIL", "RCPT"]), ("sent", ["EHLO", "MAIL", "RCPT", "DATA"])]


async def test_after_a_crash_in_the_middle_the_rest_is_sent_and_the_open_one_is_left_to_a_person(tmp_path):
    async with rude_server("never") as rude:
        tried = sent(tmp_path, account(rude.port))

        async def crash(token):
            raise RuntimeError("killed")

        tried.on_checkpoint = crash
        with pytest.raises(RuntimeError):
            await publish(tried)
        tried.on_checkpoint = None
        with pytest.raises(OutcomeUnknown, match=r"ada@example\.org"):
            await reconcile(tried)
    assert [command for command in rude.commands if command.startswith("RCPT")] == [
        "RCPT TO:<ada@example.org>",
        "RCPT TO:<alan@example.org>",
    ]
    assert states(tried) == {"ada@example.org": "intent", "alan@example.org": "sent"}


async def test_before_any_mail_went_out_a_crash_provably_sent_nothing(tmp_path):
    assert await reconcile(sent(tmp_path, account(1))) is None


async def test_a_cancelled_mail_that_is_out_waits_for_its_answer(tmp_path):
    hold = asyncio.Event()
    async with rude_server("never", hold=hold) as rude:
        tried = sent(tmp_path, account(rude.port), talk=one_speaker())
        task = asyncio.create_task(publish(tried))
        async with asyncio.timeout(60):
            await rude.holding.wait()
        task.cancel()
        await asyncio.sleep(0)
        hold.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert states(tried) == {"ada@example.org": "sent"}


async def test_a_refused_connection_is_again_later(tmp_path):
    with pytest.raises(RetryLater, match=r"127\.0\.0\.1:1 cannot be reached"):
        await publish(sent(tmp_path, account(1)))


async def test_a_server_that_says_nothing_is_again_later(tmp_path):
    async with rude_server("never", hold=asyncio.Event(), silent=True) as rude:
        with pytest.raises(RetryLater, match=r"did not answer within 0\.2 s"):
            await publish(sent(tmp_path, account(rude.port, timeout=0.2)))


async def test_starttls_and_a_login_before_the_mail(tmp_path, certificate):
    async with smtp_server(tls_context=certificate.server(), require_starttls=True, login=True) as post:
        secure = account(
            post.port, security="starttls", ca_file=certificate.file, user="team", password=SecretStr("s3cret")
        )
        await publish(sent(tmp_path, secure))
        told = await mail_publisher.check(options(), sent(tmp_path, secure).context().tools)
    assert len(post.recipients) == 2
    assert post.logins == [("team", "PLAIN")] * 2
    assert told == f"127.0.0.1:{post.port} takes mail from team"


async def test_tls_from_the_first_byte(tmp_path, certificate):
    async with smtp_server(implicit=certificate.server()) as post:
        await publish(sent(tmp_path, account(post.port, security="tls", ca_file=certificate.file)))
    assert len(post.recipients) == 2


async def test_a_wrong_password_is_refused_after_one_try_and_never_shown(tmp_path, certificate):
    async with smtp_server(tls_context=certificate.server(), require_starttls=True, login=True) as post:
        wrong = account(
            post.port, security="starttls", ca_file=certificate.file, user="team", password=SecretStr("hunter22")
        )
        with pytest.raises(Refused, match=r"refused the login of 'team' \(535\)") as refused:
            await publish(sent(tmp_path, wrong))
    assert len(post.logins) == 1
    assert "hunter22" not in f"{refused.value!r}{wrong!r}{refused.value.__context__!r}"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_nobody_is_refused(tmp_path, certificate, security):
    implicit = certificate.server() if security == "tls" else None
    explicit = {} if implicit else {"tls_context": certificate.server()}
    async with smtp_server(implicit=implicit, **explicit) as post:
        with pytest.raises(Refused, match=r"certificate of .* is not to be trusted"):
            await publish(sent(tmp_path, account(post.port, security=security)))
    assert post.taken == []


async def test_a_certificate_for_another_name_is_refused(tmp_path, tmp_path_factory):
    other = make_certificate(tmp_path_factory.mktemp("other"), names="DNS:other.example.org")
    async with smtp_server(tls_context=other.server()) as post:
        with pytest.raises(Refused, match="not to be trusted"):
            await publish(sent(tmp_path, account(post.port, security="starttls", ca_file=other.file)))


async def test_nothing_goes_out_unencrypted_where_starttls_is_missing(tmp_path):
    async with smtp_server() as post:
        with pytest.raises(Refused, match="offers no STARTTLS"):
            await publish(sent(tmp_path, account(post.port, security="starttls")))
    assert post.taken == []


async def test_tls_on_a_port_that_speaks_plain_is_refused_with_its_reason(tmp_path):
    async with smtp_server() as post:
        with pytest.raises(Refused, match="does not speak TLS"):
            await publish(sent(tmp_path, account(post.port, security="tls")))


async def test_a_login_the_server_does_not_offer_is_refused(tmp_path):
    async with smtp_server() as post:
        with pytest.raises(Refused, match="no login"):
            await publish(sent(tmp_path, account(post.port, user="a", password=SecretStr("b"))))


async def test_an_address_beyond_ascii_needs_a_server_that_knows_it(tmp_path):
    talk = replace(TALK, speakers=(Speaker("Jörg", "jörg@example.org"), TALK.speakers[1]))
    async with smtp_server() as post:
        with pytest.raises(Refused, match=r"supports no address like jörg@example\.org"):
            await publish(sent(tmp_path, account(post.port), talk=talk))
    assert post.recipients == ["alan@example.org"]
    async with smtp_server(enable_SMTPUTF8=True) as post:
        await publish(sent(tmp_path, account(post.port), talk=talk))
    assert post.recipients == ["jörg@example.org", "alan@example.org"]


async def test_a_domain_beyond_ascii_goes_out_as_the_dns_has_it(tmp_path):
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port)), to=["ada@bücher.example"])
    assert post.recipients == ["ada@xn--bcher-kva.example"]


async def test_a_domain_with_a_sharp_s_is_not_taken_for_another_domain(tmp_path):
    """IDNA 2003 sent it to strasse.de, which may be somebody else's."""
    talk = replace(TALK, speakers=(Speaker("Ada", "ada@faß.example"),))
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port)), to=["ada@straße.example"])
        await publish(sent(tmp_path, account(post.port), talk=talk))
    assert post.recipients == ["ada@xn--strae-oqa.example", "ada@xn--fa-hia.example"]


@pytest.mark.parametrize("domain", ["bücher", "bücher.local", "bücher.localhost", "bücher.test", "BÜCHER.example"])
async def test_names_of_a_local_network_are_accepted(tmp_path, domain):
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port)), to=[f"ada@{domain}"])
    assert post.recipients == [f"ada@{domain.lower().replace('bücher', 'xn--bcher-kva')}"]


async def test_a_domain_that_the_dns_cannot_have_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"'ada@-ü\.example' is no e-mail address"):
        await publish(sent(tmp_path), account=None, to=["ada@-ü.example"])


async def test_a_mail_recorded_under_the_domain_as_typed_is_not_sent_twice(tmp_path):
    state = {"ada@bücher.example": {"state": "sent", "message_id": "<x@example.org>"}}
    before = Publication(job().id, "mail", "mail", NOON, notice=True, token={"recipients": state})
    talk = replace(TALK, speakers=(Speaker("Ada", "ada@bücher.example"), TALK.speakers[1]))
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port), talk=talk, publication=before))
    assert post.recipients == ["alan@example.org"]


async def test_a_word_that_is_no_address_is_refused_and_the_others_are_told(tmp_path):
    async with smtp_server() as post:
        with pytest.raises(Refused, match="'nobody' is no e-mail address"):
            await publish(sent(tmp_path, account(post.port)), to=["nobody", "ada@example.org"])
    assert post.recipients == ["ada@example.org"]


async def test_the_outbox_holds_one_file_for_each_recipient(tmp_path):
    tried = sent(tmp_path)
    receipt = await publish(tried, account=None)
    written = sorted((tmp_path / "outbox").iterdir())
    assert sorted(receipt.facts["files"]) == [str(path) for path in written]
    assert all(path.suffix == ".eml" and path.name.startswith("06abcdefghijkmnp.mail.") for path in written)
    first = email.message_from_bytes(written[0].read_bytes(), policy=email.policy.default)
    assert f"{first['Message-ID'][1:].partition('@')[0]}.eml" == written[0].name


async def test_the_outbox_can_be_asked_after_a_crash(tmp_path):
    tried = sent(tmp_path)
    await publish(tried, account=None)
    before = {path: path.read_bytes() for path in (tmp_path / "outbox").iterdir()}
    tried.tokens = tried.tokens[:1]  # the first intent was the last thing that was recorded
    receipt = await reconcile(tried, account=None)
    assert len(receipt.facts["recipients"]) == 2
    assert {path: path.read_bytes() for path in (tmp_path / "outbox").iterdir()} == before


async def test_a_text_of_ones_own_comes_without_the_default_html(tmp_path):
    (tmp_path / "words.txt").write_text("{{ recipient.name }}: {{ link }}")
    tried = sent(tmp_path)
    receipt = await publish(tried, account=None, text_file="words.txt", subject="x", to=["Ada <ada@example.org>"])
    message = email.message_from_bytes(Path(receipt.facts["files"][0]).read_bytes(), policy=email.policy.default)
    assert message.get_content_type() == "text/plain"
    assert message.get_content().strip() == "Ada: https://video.example.org/t-1"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"subject": "{{ title"}, "the template cannot be read"),
        ({"sender": "nobody"}, "is no e-mail address"),
        ({"text": "a", "text_file": "b"}, "set text or text_file, not both"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(setting, words):
    with pytest.raises(ValidationError, match=words):
        mail_publisher.Options(**setting)


def test_a_user_without_a_password_is_refused_at_once():
    with pytest.raises(ValidationError, match="user and password go together"):
        Account(host="mx", user="team")


async def test_a_template_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(Refused, match="cannot be read"):
        await publish(sent(tmp_path), account=None, text_file="none.txt")


async def test_a_mail_about_a_job_without_a_fact_goes_out_with_a_mark_in_its_place_and_a_line_in_the_log(tmp_path):
    text = (
        "Rate {{ video.rate }}, {{ '%.1f MB' % (size / 1e6) }}, {{ facts.folder_id }}, {{ scenes | length }} scenes,"
        " {{ (bodies * 2) | round(1) }}{% if people > 3 %}, many{% endif %}{% for name in names %}{{ name }}{% endfor %}."
    )
    with structlog.testing.capture_logs() as logged:
        receipt = await publish(
            sent(tmp_path, facts={"video": {"size": 1}}),
            account=None, subject="Done: {{ id }}", text=text, html="<b>{{ id }}</b>", to=["lab@example.org"],
        )  # fmt: skip
    message = email.message_from_bytes(Path(receipt.facts["files"][0]).read_bytes(), policy=email.policy.default)
    assert message["Subject"] == "Done: (no id)"
    assert body(message).strip() == "Rate (no rate), nan MB, (no folder_id), 0 scenes, (no bodies)."
    assert body(message, "html").strip() == "<b>(no id)</b>"
    assert [(line["event"], line["to"]) for line in logged] == [("mail lacks a field", "mail")] * 3
    assert any("names an unknown field .rate, which" in line["reason"] for line in logged)


@pytest.mark.parametrize("html", [None, "<p>Done</p>\n<p>{{ link }}</p>\n<b>{{ id }}</b>"])
async def test_the_log_says_once_a_mail_which_line_has_the_field_that_is_missing(tmp_path, html):
    text = "Good day {{ recipient.name }},\n\nit is done.\n  Folder: {{ facts.folder_id }}\n"
    receivers = ["one@example.org", "two@example.org", "three@example.org"]
    with structlog.testing.capture_logs() as logged:
        await publish(sent(tmp_path), account=None, subject="Done", text=text, html=html, to=receivers)
    reasons = [line["reason"] for line in logged]
    assert reasons[0].startswith(
        "Line 4 of the template, 'Folder: {{ facts.folder_id }}', names an unknown field .folder_id"
    )
    assert [reason.partition(" names")[0] for reason in reasons[1:]] == (
        ["Line 3 of the template, '<b>{{ id }}</b>',"] if html else []
    )


async def test_a_recipient_that_a_missing_fact_names_is_named_and_the_others_are_told(tmp_path):
    with pytest.raises(Refused, match=r"names an unknown field \.owner, .*1 of 2 mails are out"):
        await publish(sent(tmp_path), account=None, text="x", to=["{{ facts.owner }}", "lab@example.org"])
    assert len(list((tmp_path / "outbox").iterdir())) == 1


async def test_a_template_that_fails_whatever_there_is_is_refused(tmp_path):
    with pytest.raises(Refused, match="cannot be used"):
        await publish(sent(tmp_path), account=None, text="{{ 1 / 0 }} {{ nobody }}", to=["lab@example.org"])


async def test_the_check_finds_a_slip_in_a_template_file(tmp_path):
    (tmp_path / "words.txt").write_text("{{ recipient.nmae }}: {{ link }}")
    where = sent(tmp_path).context().tools
    with pytest.raises(Refused, match=r"words.txt the template names recipient.nmae.*did you mean name"):
        await mail_publisher.check_here(mail_publisher.Options(text_file="words.txt"), where)
    (tmp_path / "words.txt").write_text("{{ recipient.name }}: {{ link }} {{ tags }}")
    await mail_publisher.check_here(mail_publisher.Options(text_file="words.txt"), where)
    assert "mails go into" in await mail_publisher.check(mail_publisher.Options(text_file="words.txt"), where)


async def test_certificates_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(Refused, match="holds no certificates"):
        await publish(sent(tmp_path, account(1, security="tls", ca_file="ca.pem")))


def test_the_test_authority_is_one_that_only_the_tests_trust(certificate):
    assert ssl.create_default_context(cafile=certificate.file).cert_store_stats()["x509"] == 1


async def test_a_speaker_whose_address_is_none_is_named_and_the_others_get_theirs(tmp_path):
    talk = replace(TALK, facts={"row": "row 3", "unusable": ["ada at example"]})
    tried = sent(tmp_path, talk=talk)
    with pytest.raises(Refused, match=r"'ada at example' in row 3 of the sheet is no e-mail address: correct it"):
        await publish(tried, account=None)
    assert len(list((tmp_path / "outbox").iterdir())) == len(TALK.speakers)


async def test_operators_are_told_why_a_job_failed_what_its_program_said_and_what_to_do(tmp_path):
    said = "Traceback (most recent call last):\n  File x\nRuntimeError: no frames"
    failed = job(
        state=State.REFUSED,
        reason="analyse.py failed (exit 1): RuntimeError: no frames.",
        facts={FAILURE: {"step": "analyse", "said": said, "log": "/var/lib/vidd/logs/06abcdefghijkmnp.log"}},
    )
    async with smtp_server() as post:
        await publish(
            sent(tmp_path, account(post.port), job=failed),
            on="failed", to=["ops@example.org, Lab <lab@example.org>", "boss@example.org"],
        )  # fmt: skip
    assert post.recipients == ["ops@example.org", "lab@example.org", "boss@example.org"]
    for _, message in post.mails():
        assert message["Subject"] == "Failed: Loops & more"
        text = body(message)
        assert "    analyse.py failed (exit 1): RuntimeError: no frames.\n" in text
        assert "Step:  analyse\n" in text
        assert "    Traceback (most recent call last):\n      File x\n    RuntimeError: no frames\n" in text
        assert "/var/lib/vidd/logs/06abcdefghijkmnp.log" in text
        assert "vidd retry 06abcdefghijkmnp" in text
        assert "library: https://video.example.org/t-1" in text
        assert message.get_body(("html",)) is None


async def test_operators_of_an_unsure_job_are_told_how_to_say_what_they_found(tmp_path):
    unsure = job(state=State.UNSURE, reason="s3: Nobody knows.")
    async with smtp_server() as post:
        await publish(sent(tmp_path, account(post.port), job=unsure), on="failed", to=["ops@example.org"])
    text = body(post.mails()[0][1])
    assert "vidd resolve 06abcdefghijkmnp --again" in text
    assert "The program" not in text
    assert "vidd retry" not in text


def test_speakers_are_never_told_of_failures_by_themselves_and_words_of_ones_own_are_kept():
    with pytest.raises(ValidationError, match="say in `to` who is told of failures"):
        options(on="failed")
    own = options(on="failed", to=["a@example.org"], subject="No!", text="{{ job.reason }}")
    assert (own.subject, own.text) == ("No!", "{{ job.reason }}")
    usual = options(on="failed", to=["a@example.org"])
    assert mail_publisher.Options.model_validate(usual.model_dump(mode="json")) == usual
