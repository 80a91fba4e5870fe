import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from builders.aws import NOW, Desk, QuickClock, a_job
from peers.certificates import make_certificate
from peers.facebook import Facebook, GraphRefusal

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.facebook import publisher as facebook_publisher
from vidd.integrations.facebook.account import Account
from vidd.model.retry import RetryRule, next_try
from vidd.model.talk import Speaker, Talk
from vidd.pipelines.validation import make_ready
from vidd.ports import Encoder, Tools
from vidd.settings.schema import SettingsFault, read_settings

TESTS = Path(__file__).parents[2]
FILE = os.urandom(3 * 2**20 + 4711)
SUM = hashlib.sha256(FILE).hexdigest()
TOKEN = "EAAPAGETOKEN1001SECRET"
TALK = Talk(
    "t1",
    title="On Looms",
    description="How they weave.",
    stage="Main Stage",
    speakers=(Speaker("Ada"), Speaker("Grace", "g@example.org")),
)


class MovableClock(QuickClock):
    """Stands still until it is moved; sleeping moves it."""

    def __init__(self):
        super().__init__()
        self.at = NOW

    def now(self):
        return self.at

    async def sleep(self, seconds):
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)

    def forward(self, seconds):
        self.at += timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def service(certificate):
    service = Facebook()
    service.page()
    with service.serving(certificate):
        service.ca = certificate.file
        yield service


def an_account(service, **changes):
    values = {"token": TOKEN, "page": "1001", "url": service.url, "video_url": service.url, "ca": service.ca}
    return Account(**{**values, **changes})


@pytest.fixture
def desk(service, tmp_path):
    tools = Tools(tmp_path, Encoder("ffmpeg"), MovableClock(), {"stage-a": an_account(service)})
    made = Desk(a_job("file:///x.mp4", talk="t1"), tmp_path, tools, talk=TALK)
    made.facts = {"title": "On Looms", "description": "Ada and Grace\n\nHow they weave.", "speakers": "Ada and Grace"}
    return made.add("talk", "out.mp4", FILE)


OPTIONS = facebook_publisher.Options(account="stage-a")


def the_options(**changes):
    return facebook_publisher.Options(**{"account": "stage-a", **changes})


async def attempt(desk, options=OPTIONS):
    """As the engine does it: whoever began is asked first, and what nobody knows is asked at once."""
    if desk.begun:
        found = await facebook_publisher.reconcile(options, desk.context)
        if found is not None:
            return found
    desk.begun = True
    try:
        return await facebook_publisher.publish(options, desk.context)
    except OutcomeUnknown as unknown:
        found = await facebook_publisher.reconcile(options, desk.context)
        if found is None:
            raise RetryLater("it did not arrive") from unknown
        return found


async def to_the_end(desk, options=OPTIONS, most=30):
    """Attempt until there is a receipt, each time after the wait that was asked for; the sentences on the way."""
    said = []
    for _ in range(most):
        try:
            return await attempt(desk, options), said
        except RetryLater as fault:
            said.append(fault)
            desk.tools.clock.forward(fault.after or 60)
    raise AssertionError([fault.sentence for fault in said])


Desk.begun = False


async def test_a_talk_arrives_whole_with_its_words_and_its_link(service, desk):
    receipt, said = await to_the_end(desk)
    (film,) = service.published()
    assert film.sha256 == SUM
    assert (film.title, film.description) == ("On Looms", "Ada and Grace\n\nHow they weave.")
    assert receipt.url == f"https://www.facebook.com/1001/videos/{film.id}/"
    assert receipt.facts["video"] == film.id
    assert receipt.facts["page"] == "1001"
    assert [fault.counts for fault in said] == [False]
    assert service.count("finish") == 1


async def test_session_and_video_are_saved_before_the_first_byte_goes_out(service, desk):
    service.goes_wrong("transfer", "answer", refusal=GraphRefusal(400, 190, "Invalid token", 460))
    with pytest.raises(Refused):
        await attempt(desk)
    (session,) = service.sessions
    assert desk.token["session"] == session
    assert desk.token["video"] == service.sessions[session].film.id


async def test_the_token_is_in_no_address_and_not_in_what_is_saved(service, desk):
    await to_the_end(desk)
    assert service.calls
    assert not any(TOKEN in call.path for call in service.calls)
    assert TOKEN not in str(desk.checkpoints)


@pytest.mark.slow
async def test_with_an_app_secret_every_call_is_proved(service, desk):
    service.app_secret = "the app's secret"
    with pytest.raises(Refused, match="app_secret"):
        await attempt(desk)
    desk.tools.accounts["stage-a"] = an_account(service, app_secret="the app's secret")
    await to_the_end(desk)
    assert len(service.published()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["start", "transfer", "finish"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("action", ["drop", "hang", "500", "transient"])
async def test_a_lost_reply_makes_no_second_video(service, desk, phase, after, action):
    if action == "hang":
        desk.tools.accounts["stage-a"] = an_account(service, read_timeout=2)
    refusals = {
        "500": GraphRefusal(500, 2, "Service temporarily unavailable"),
        "transient": GraphRefusal(400, 6001, "Please try again.", 1363030, is_transient=True),
    }
    kind = "answer" if action in refusals else action
    service.goes_wrong(phase, kind, refusal=refusals.get(action), after=after, skip=phase == "transfer")
    receipt, _ = await to_the_end(desk)
    (film,) = service.published()
    assert film.sha256 == SUM
    assert receipt.facts["video"] == film.id


async def test_a_finish_that_took_effect_is_not_asked_for_again(service, desk):
    service.goes_wrong("finish", "drop", after=True)
    service.looks = 3
    await to_the_end(desk)
    assert service.count("finish") == 1
    assert service.count("start") == 1


@pytest.mark.slow
async def test_a_video_that_shows_late_is_waited_for_and_not_sent_twice(service, desk):
    """After the finish nothing is to be seen, neither by its id nor in the listing, for a minute."""
    service.goes_wrong("finish", "drop", after=True)
    service.goes_wrong("look", "answer", refusal=GraphRefusal(400, 100, "Unsupported get request.", 33), times=2)
    service.unlisted = 1
    _, said = await to_the_end(desk)
    assert len(service.published()) == 1
    assert service.count("start") == 1
    assert all(not fault.counts for fault in said)


async def test_a_video_that_is_found_only_by_its_marker_gets_its_receipt(service, desk):
    service.goes_wrong("finish", "drop", after=True)
    service.goes_wrong("look", "answer", refusal=GraphRefusal(400, 100, "Unsupported get request.", 33), times=99)
    service.page_size = 2
    service.looks = -1
    receipt, _ = await to_the_end(desk)
    (film,) = service.published()
    assert receipt.facts["video"] == film.id
    assert service.count("start") == 1


async def test_the_marker_may_be_the_descriptions_last_line(service, desk):
    options = the_options(marker="description")
    service.goes_wrong("finish", "drop", after=True)
    receipt, _ = await to_the_end(desk, options)
    (film,) = service.published()
    assert re.fullmatch(r"#vidd[0-9a-f]{16}", film.description.splitlines()[-1])
    assert film.labels == []
    assert receipt.facts["video"] == film.id


async def test_an_upload_goes_on_at_the_offset_the_server_names(service, desk):
    """The saved offset is of the start; the server has more. Only one chunk goes over the line twice."""
    refusal = GraphRefusal(403, 200, "(#200) Subject does not have permission")
    service.goes_wrong("transfer", "answer", refusal=refusal, skip=2)
    with pytest.raises(Refused):
        await attempt(desk)
    assert desk.token["at"] == 0
    received = service.received
    await to_the_end(desk)
    assert service.wrong_offsets == 1
    assert service.count("start") == 1
    assert service.received - received == len(FILE) - 2 * service.chunk + service.chunk
    assert service.published()[0].sha256 == SUM


async def test_a_session_that_expired_is_begun_anew(service, desk):
    service.goes_wrong("transfer", "answer", refusal=GraphRefusal(403, 200, "no"), skip=2)
    with pytest.raises(Refused):
        await attempt(desk)
    service.expire_sessions()
    await to_the_end(desk)
    assert service.count("start") == 2
    (film,) = service.published()
    assert film.sha256 == SUM


async def test_a_session_that_expires_before_it_is_finished_is_begun_anew(service, desk):
    gone = GraphRefusal(400, 6000, "The upload session is invalid or has expired.", 1363041)
    service.goes_wrong("finish", "answer", refusal=gone)
    await to_the_end(desk)
    assert service.count("start") == 2
    assert len(service.published()) == 1


@pytest.mark.slow
async def test_a_session_that_expired_under_a_lost_finish_is_begun_anew(service, desk):
    """The finish never arrived; the video is shown as expired, which is no fault of the file."""
    service.goes_wrong("finish", "drop")
    with pytest.raises(RetryLater):
        await attempt(desk)
    service.expire_sessions()
    receipt, _ = await to_the_end(desk)
    (film,) = service.published()
    assert receipt.facts["video"] == film.id
    assert service.did.count(("start", 200)) == 2


@pytest.mark.slow
async def test_a_session_used_by_a_finish_nobody_saw_is_looked_for_once_more(service, desk):
    """The video is hidden for longer than `settle`; the session's end says that it may be there all the same."""
    service.goes_wrong("finish", "drop", after=True)
    service.goes_wrong("look", "answer", refusal=GraphRefusal(400, 100, "Unsupported get request.", 33), times=2)
    service.unlisted = 2
    _, said = await to_the_end(desk)
    assert len(service.published()) == 1
    assert any("vidd will look for the video" in fault.sentence for fault in said)


@pytest.mark.slow
async def test_two_restarts_in_the_middle_make_one_video(service, desk):
    class Killed(BaseException):
        pass

    context = desk.context

    async def killed(_token):
        await context.sent(_token)
        raise Killed

    service.goes_wrong("transfer", "answer", refusal=GraphRefusal(403, 200, "no"), skip=1)
    with pytest.raises(Refused):
        await attempt(desk)
    with pytest.raises(Killed):
        await facebook_publisher.publish(OPTIONS, replace(desk.context, sent=killed))
    receipt, _ = await to_the_end(desk)
    (film,) = service.published()
    assert receipt.facts["video"] == film.id
    assert (film.sha256, service.count("start"), service.count("finish")) == (SUM, 1, 1)


async def test_a_400_waits_six_hours_and_then_goes_on(service, desk):
    service.goes_wrong("start", "answer", refusal=GraphRefusal(400, 100, "Invalid parameter"))
    with pytest.raises(RetryLater) as caught:
        await attempt(desk)
    assert caught.value.after == 6 * 3600
    assert caught.value.counts
    assert "2026-11-03 15:00 UTC" in caught.value.sentence
    assert "1363" not in caught.value.sentence
    desk.tools.clock.forward(6 * 3600)
    await to_the_end(desk)
    assert len(service.published()) == 1


@pytest.mark.parametrize("phase", ["transfer", "finish"])
async def test_after_a_400_in_the_middle_the_upload_begins_anew(service, desk, phase):
    service.goes_wrong(phase, "answer", refusal=GraphRefusal(400, 6000, "There was a problem."))
    _, said = await to_the_end(desk)
    assert said[0].after == 6 * 3600
    assert service.count("start") == 2
    assert len(service.published()) == 1


async def test_a_400_that_answers_a_finish_which_took_effect_makes_no_second_video(service, desk):
    service.goes_wrong("finish", "answer", refusal=GraphRefusal(400, 6000, "There was a problem."), after=True)
    await to_the_end(desk)
    assert service.count("start") == 1
    assert len(service.published()) == 1


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (GraphRefusal(400, 190, "Error validating access token", 463), "token of the account 'stage-a'"),
        (GraphRefusal(400, 102, "Session key invalid"), "token of the account 'stage-a'"),
        (GraphRefusal(403, 10, "Permission denied"), "account 'stage-a' may not"),
        (GraphRefusal(403, 200, "Permissions error"), "account 'stage-a' may not"),
        (GraphRefusal(400, 6000, "No permission", 1363042), "account 'stage-a' may not"),
        (GraphRefusal(400, 21, "Page ID 1001 was migrated to page ID 1002"), "page of the account 'stage-a' has moved"),
        (GraphRefusal(400, 2635, "deprecated version"), "set version of 'stage-a'"),
        (GraphRefusal(400, 6000, "too large", 1363023), "it is too large"),
    ],
    ids=lambda case: str(case.error["code"]) if isinstance(case, GraphRefusal) else "",
)
async def test_what_a_person_must_correct_is_refused_by_name(service, desk, refusal, words):
    service.goes_wrong("start", "answer", refusal=refusal)
    with pytest.raises(Refused, match=words) as caught:
        await attempt(desk)
    assert TOKEN not in caught.value.sentence


async def test_a_token_that_the_answer_quotes_is_not_repeated(service, desk):
    service.goes_wrong("start", "answer", refusal=GraphRefusal(400, 190, f"Malformed access token {TOKEN}"))
    with pytest.raises(Refused, match="Malformed access token …") as caught:
        await attempt(desk)
    assert TOKEN not in f"{caught.value} {caught.value.__cause__!r}"


@pytest.mark.slow
@pytest.mark.parametrize("code", [4, 17, 32, 613])
async def test_a_used_up_quota_waits_as_long_as_facebook_says(service, desk, code):
    usage = '{"1001":[{"type":"pages","call_count":100,"estimated_time_to_regain_access":7}]}'
    limit = GraphRefusal(400, code, "limit reached", headers={"X-Business-Use-Case-Usage": usage})
    service.goes_wrong("transfer", "answer", refusal=limit, skip=1)
    _, said = await to_the_end(desk)
    assert (said[0].after, said[0].counts) == (420, False)
    assert service.count("start") == 1
    assert len(service.published()) == 1


async def test_a_revoked_token_is_refused_and_a_new_one_goes_on_with_the_same_upload(service, desk):
    service.goes_wrong("transfer", "drop", skip=2, times=9)
    with pytest.raises(RetryLater):
        await attempt(desk)
    service.trouble.clear()
    service.revoked[TOKEN] = 460
    with pytest.raises(Refused, match="190/460"):
        await attempt(desk)
    service.tokens["EAANEWTOKEN"] = "1001"
    desk.tools.accounts["stage-a"] = an_account(service, token="EAANEWTOKEN")
    await to_the_end(desk)
    assert service.count("start") == 1
    assert len(service.published()) == 1


async def test_a_page_that_moved_is_named(service, desk):
    service.nodes["1001"].moved_to = "1002"
    with pytest.raises(Refused, match="page ID 1002"):
        await attempt(desk)


async def test_a_video_that_cannot_be_processed_is_refused_with_facebooks_reason_and_may_be_sent_anew(service, desk):
    service.fate, service.looks = "error", 0
    with pytest.raises(Refused, match="The video file is corrupt"):
        await to_the_end(desk)
    service.fate = "ready"
    receipt, _ = await to_the_end(desk)
    assert receipt.url
    assert [film.fate for film in service.published()] == ["error", "ready"]


@pytest.mark.slow
async def test_a_video_that_is_processed_for_too_long_is_shown_to_a_person(service, desk):
    service.looks = 10**6
    with pytest.raises(OutcomeUnknown, match="look at the page 1001"):
        await to_the_end(desk, the_options(processing="5m"))


@pytest.mark.slow
async def test_each_stage_has_its_page(service, desk):
    service.page("2002", "Side Stage", "EAASIDETOKEN")
    desk.tools.accounts["side"] = an_account(service, token="EAASIDETOKEN", page="2002")
    options = the_options(accounts={"Side Stage": "side"})
    await to_the_end(desk, options)
    assert (len(service.published("1001")), len(service.published("2002"))) == (1, 0)
    other = Desk(a_job("file:///y.mp4", id="02job"), desk.directory, desk.tools, talk=replace(TALK, stage="Side Stage"))
    other.add("talk", "out.mp4", FILE)
    receipt, _ = await to_the_end(other, options)
    assert receipt.facts["page"] == "2002"
    assert len(service.published("2002")) == 1
    with pytest.raises(Refused, match="stage 'Main Stage'"):
        await attempt(
            Desk(a_job("x"), desk.directory, desk.tools, talk=TALK), facebook_publisher.Options(accounts={"x": "side"})
        )


async def test_a_talk_that_changed_its_stage_meanwhile_is_asked_for_on_its_first_page(service, desk):
    service.page("2002", "Side Stage", "EAASIDETOKEN")
    desk.tools.accounts["side"] = an_account(service, token="EAASIDETOKEN", page="2002")
    options = the_options(accounts={"Side Stage": "side"})
    with pytest.raises(RetryLater):
        await attempt(desk, options)
    desk.talk = replace(TALK, stage="Side Stage")
    receipt, _ = await to_the_end(desk, options)
    assert receipt.facts["page"] == "1001"
    assert service.published("2002") == []


async def test_a_file_that_was_made_anew_is_not_mixed_with_the_old_one(service, desk):
    service.goes_wrong("transfer", "drop", skip=2, times=9)
    with pytest.raises(RetryLater):
        await attempt(desk)
    service.trouble.clear()
    anew = FILE[::-1]
    (desk.directory / "out.mp4").write_bytes(anew)
    os.utime(desk.directory / "out.mp4", ns=(1, 1))
    await to_the_end(desk)
    (film,) = service.published()
    assert film.sha256 == hashlib.sha256(anew).hexdigest()


async def test_without_described_words_the_talks_own_are_used(service, desk):
    desk.facts = {}
    await to_the_end(desk)
    (film,) = service.published()
    assert (film.title, film.description) == ("On Looms", "Ada and Grace\n\nHow they weave.")


async def test_a_template_with_an_unknown_field_is_refused_before_anything_is_sent(service, desk):
    with pytest.raises(Refused, match="unknown field"):
        await attempt(desk, the_options(title="{{ no_such }}"))
    assert service.calls == []


async def test_a_title_that_is_too_long_is_cut(service, desk):
    desk.facts["title"] = "<loom> & " + "x" * 400
    await to_the_end(desk)
    assert len(service.published()[0].title) == 255
    assert service.published()[0].title.startswith("<loom> & ")


async def test_a_private_talk_is_not_shown_to_everybody(service, desk):
    desk.talk = replace(TALK, private=True)
    receipt, _ = await to_the_end(desk)
    (film,) = service.published()
    assert not film.published
    assert receipt.facts["published"] is False


async def published(desk):
    """The receipt of a talk that is out."""
    receipt, _ = await to_the_end(desk)
    return receipt


def with_receipt(desk, receipt):
    context = desk.context
    return replace(context, publication=replace(context.publication, receipt=receipt))


@pytest.mark.slow
async def test_a_changed_description_follows_and_an_unchanged_one_is_not_written(service, desk):
    receipt = await published(desk)
    assert await facebook_publisher.amend(OPTIONS, with_receipt(desk, receipt)) == receipt
    assert service.updates == []
    desk.facts["description"] = "Grace\n\nIt was another talk."
    amended = await facebook_publisher.amend(OPTIONS, with_receipt(desk, receipt))
    assert service.updates == [{"description": "Grace\n\nIt was another talk."}]
    desk.facts["title"] = "On Knots"
    amended = await facebook_publisher.amend(OPTIONS, with_receipt(desk, amended))
    assert service.published()[0].title == amended.facts["title"] == "On Knots"
    assert amended.url == receipt.url


@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_reply_to_an_update_is_made_good(service, desk, after):
    receipt = await published(desk)
    desk.facts["description"] = "New words."
    service.goes_wrong("update", "drop", after=after)
    await facebook_publisher.amend(OPTIONS, with_receipt(desk, receipt))
    assert service.published()[0].description == "New words."


async def test_a_talk_that_becomes_private_is_hidden_where_facebook_lets_it(service, desk):
    receipt = await published(desk)
    desk.talk = replace(TALK, private=True)
    service.may_unpublish = False
    with pytest.raises(Refused, match="vidd retract"):
        await facebook_publisher.amend(OPTIONS, with_receipt(desk, receipt))
    assert service.published()[0].published
    service.may_unpublish = True
    amended = await facebook_publisher.amend(OPTIONS, with_receipt(desk, receipt))
    assert not service.published()[0].published
    assert amended.facts["published"] is False


async def test_a_video_is_taken_back_by_its_id_and_a_second_time_without_harm(service, desk):
    receipt = await published(desk)
    service.goes_wrong("delete", "drop", after=True)
    said = await facebook_publisher.retract(OPTIONS, with_receipt(desk, receipt))
    assert receipt.facts["video"] in said
    assert service.published() == []
    assert "no longer" in await facebook_publisher.retract(OPTIONS, with_receipt(desk, receipt))
    with pytest.raises(Refused, match="no longer on the page"):
        await facebook_publisher.amend(OPTIONS, with_receipt(desk, receipt))


async def test_the_check_says_which_page_answers(service, desk):
    assert await facebook_publisher.check(OPTIONS, desk.tools) == "The page Main Stage (1001) can be reached."
    service.page("2002", "Side Stage", "EAASIDETOKEN")
    desk.tools.accounts["stage-a"] = an_account(service, token="EAASIDETOKEN")
    with pytest.raises(Refused, match=r"belongs to 'Side Stage' \(2002\), not to the page 1001"):
        await facebook_publisher.check(OPTIONS, desk.tools)
    desk.tools.accounts["stage-a"] = an_account(service, page=None)
    with pytest.raises(Refused, match="names no page"):
        await facebook_publisher.check(OPTIONS, desk.tools)


async def test_a_cancelled_upload_leaves_a_session_that_goes_on(service, desk):
    service.goes_wrong("transfer", "hang", skip=1)
    task = asyncio.create_task(attempt(desk))
    async with asyncio.timeout(60):
        while service.trouble[0].times:  # noqa: ASYNC110 - the service runs in a thread of its own
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await to_the_end(desk)
    assert service.count("start") == 1
    assert len(service.published()) == 1


async def test_an_error_that_answers_a_finish_which_took_effect_gives_the_receipt_at_once(service, desk):
    service.looks = 0
    service.goes_wrong("finish", "answer", refusal=GraphRefusal(500, 1, "An unknown error occurred"), after=True)
    receipt = await attempt(desk)
    assert receipt.facts["video"] == service.published()[0].id


def test_a_page_that_answers_400_for_ever_is_given_up_after_a_day():
    hours, now = [], NOW
    while (
        now := next_try(RetryRule(), attempt=len(hours) + 1, since=NOW, now=now, after=21600, chance=0.5)
    ) is not None:
        hours.append((now - NOW).total_seconds() / 3600)
    assert hours == [6, 12, 18, 24]


@pytest.mark.slow
def test_an_upload_in_one_piece_does_not_go_through_memory(service, tmp_path):
    """The server asks for all of it at once; 2 GB take the same 70 MB."""
    size = 300 * 2**20
    with (tmp_path / "big.mp4").open("wb") as file:
        file.truncate(size)
    service.chunk = size
    account = an_account(service).model_dump(mode="json", exclude={"app_secret"}) | {"token": TOKEN}
    child = [sys.executable, str(TESTS / "peers/facebook_sender.py"), tmp_path / "big.mp4", json.dumps(account)]
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    ended = subprocess.run(
        child, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=120, check=True
    )
    assert service.published()[0].size == service.received == size
    assert int(ended.stdout) < 150 * 10**6


def test_settings_without_an_account_or_with_an_unknown_one_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__MAIN_STAGE__TOKEN", TOKEN)
    path = tmp_path / "vidd.toml"
    path.write_text(
        '[accounts.main_stage]\nkind = "facebook"\npage = "1 001"\n[sources.in]\nkind = "folder"\npath = "in"\n'
        '[[pipelines.talks.publish]]\nkind = "facebook"\n'
        '[[pipelines.talks.publish]]\nkind = "facebook"\naccounts = { "Side Stage" = "side" }\n'
    )
    with pytest.raises(SettingsFault) as caught:
        make_ready(read_settings(path))
    faults = "\n".join(caught.value.faults)
    assert "accounts.main_stage.page: " in faults
    assert re.search(r"pipelines\.talks\.publish\S*: .*give account, or accounts by stage", faults)
    assert "publish[1].accounts.Side Stage: there is no [accounts.side]" in faults
    assert TOKEN not in faults


@pytest.mark.parametrize("token", ["EAA\nx", "EAÄ", "EAA\x07"])
def test_a_token_is_one_line_of_ascii(token):
    with pytest.raises(ValueError, match="one line of ASCII"):
        Account(token=token, page="1")
    assert Account(token=" EAAx\n", page="1").token.get_secret_value() == "EAAx"
