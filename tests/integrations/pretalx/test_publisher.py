import asyncio

import pytest
from builders.mail import NOON, Sent, job, tools
from peers.pretalx import EVENT, READ, TOKEN, Pretalx, a_submission
from peers.servers import free_port
from pydantic import SecretStr

from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.pretalx import publisher as pretalx_publisher
from vidd.integrations.pretalx.account import Account
from vidd.model.publication import Publication, Receipt
from vidd.model.talk import Status, TalkStatus

pytestmark = pytest.mark.peer

VIDEO = "https://video.example.org/loops1"
RECEIPTS = {
    "youtube": Receipt(url=VIDEO),
    "library": Receipt(url="https://library.example.org/loops1"),
    "archive": Receipt(),
}


@pytest.fixture
def far():
    far = Pretalx()
    far.put(a_submission("LOOPS1", "Loops"), a_submission("KNOTS2", "Knots"))
    far.add_link("LOOPS1", "https://example.org/slides")
    with far.serving(None):
        yield far


@pytest.fixture
def kit(far, tmp_path):
    return tools(tmp_path, conference=Account(url=far.url, token=SecretStr(TOKEN), timeout=5))


def settings(**options):
    return pretalx_publisher.Options(**{"account": "conference", "event": EVENT, **options})


def telling(tmp_path, kit, **changes):
    notice = Publication(job().id, "pretalx", "pretalx", NOON, notice=True)
    made = {
        "tools": kit,
        "publication": notice,
        "receipts": RECEIPTS,
        "job": job(talk="LOOPS1"),
        "talk": None,
        **changes,
    }
    return Sent(tmp_path, kind="pretalx", **made).context()


def links(far, code="LOOPS1"):
    return [link for link, _, _ in far.links(code)]


def shown(talk, link, status=Status.PUBLISHED):
    return TalkStatus(talk, status, link, {"youtube": link} if link else {})


async def test_the_link_becomes_a_resource_beside_those_that_are_there(far, kit, tmp_path):
    receipt = await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    assert far.links("LOOPS1") == [("https://example.org/slides", "Slides", True), (VIDEO, "Recording", True)]
    assert receipt.facts == {"submission": "LOOPS1", "link": VIDEO}
    assert far.links("KNOTS2") == []


async def test_the_settings_say_which_link_with_which_words_for_whom(far, kit, tmp_path):
    options = settings(link_of="library", description="Download", public=False)
    await pretalx_publisher.publish(options, telling(tmp_path, kit))
    assert far.links("LOOPS1")[1:] == [("https://library.example.org/loops1", "Download", False)]


@pytest.mark.parametrize("link_of", ["archive", "folder", "elsewhere"])
async def test_a_publisher_without_an_address_is_refused(kit, tmp_path, link_of):
    with pytest.raises(Refused, match="Nothing that was published has an http address"):
        await pretalx_publisher.publish(settings(link_of=link_of), telling(tmp_path, kit))


async def test_a_link_that_is_there_already_is_not_added_twice(far, kit, tmp_path):
    far.add_link("LOOPS1", VIDEO, "by a person")
    await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    assert len(far.links("LOOPS1")) == 2
    assert far.called("POST", "resources") == []


async def test_the_notice_and_the_status_of_the_same_moment_write_one_link(far, kit, tmp_path):
    follow = pretalx_publisher.follow(settings(), [shown("LOOPS1", VIDEO)], kit)
    await asyncio.gather(pretalx_publisher.publish(settings(), telling(tmp_path, kit)), follow)
    assert links(far).count(VIDEO) == 1


@pytest.mark.parametrize(("action", "words"), [("drop", "did not answer"), ("status", "answered 503")])
async def test_after_a_lost_answer_vidd_asks_whether_the_link_arrived(far, kit, tmp_path, action, words):
    far.misstep("POST", "resources", action, after=True)
    with pytest.raises(OutcomeUnknown, match=words):
        await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    receipt = await pretalx_publisher.reconcile(settings(), telling(tmp_path, kit))
    assert receipt.facts["link"] == VIDEO
    await pretalx_publisher.follow(settings(), [shown("LOOPS1", VIDEO)], kit)
    assert links(far).count(VIDEO) == 1


async def test_a_link_that_did_not_arrive_is_provably_absent(far, kit, tmp_path):
    far.misstep("POST", "resources", "drop")
    with pytest.raises(OutcomeUnknown):
        await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    assert await pretalx_publisher.reconcile(settings(), telling(tmp_path, kit)) is None


async def test_another_link_takes_the_place_of_the_one_that_vidd_wrote(far, kit, tmp_path):
    await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    await pretalx_publisher.follow(settings(), [shown("LOOPS1", f"{VIDEO}-2")], kit)
    assert links(far) == ["https://example.org/slides", f"{VIDEO}-2"]


async def test_a_retracted_talk_loses_its_link_and_nothing_else(far, kit, tmp_path):
    await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    await pretalx_publisher.follow(settings(), [shown("LOOPS1", "", Status.RETRACTED)], kit)
    assert links(far) == ["https://example.org/slides"]


async def test_a_link_that_a_person_removed_stays_removed_and_one_that_a_person_wrote_stays(far, kit, tmp_path):
    await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    far.submissions["LOOPS1"]["resources"].clear()
    far.add_link("KNOTS2", VIDEO, "by a person")
    before = len(far.calls)
    await pretalx_publisher.follow(settings(), [shown("LOOPS1", VIDEO)], kit)
    assert len(far.calls) == before
    await pretalx_publisher.follow(settings(), [shown("KNOTS2", "", Status.RETRACTED)], kit)
    assert (links(far), links(far, "KNOTS2")) == ([], [VIDEO])


async def test_talks_that_are_under_way_or_gone_are_left_out_and_the_others_are_written(far, kit):
    statuses = [
        shown("LOOPS1", VIDEO, Status.PROCESSED), shown("GONE00", VIDEO), TalkStatus("KNOTS2", Status.PUBLISHED),
        shown("KNOTS2", f"{VIDEO}-k"),
    ]  # fmt: skip
    await pretalx_publisher.follow(settings(), statuses, kit)
    assert (links(far), links(far, "KNOTS2")) == (["https://example.org/slides"], [f"{VIDEO}-k"])
    await pretalx_publisher.follow(settings(link_of="youtube"), [shown("LOOPS1", VIDEO)], kit)
    assert VIDEO in links(far)


async def test_a_question_is_answered_with_the_link(far, kit, tmp_path):
    options = settings(question=11)
    await pretalx_publisher.publish(options, telling(tmp_path, kit))
    assert far.answers[11, "LOOPS1"]["answer"] == VIDEO
    assert (await pretalx_publisher.reconcile(options, telling(tmp_path, kit))).facts["link"] == VIDEO
    await pretalx_publisher.follow(options, [shown("LOOPS1", f"{VIDEO}-2")], kit)
    assert far.answers[11, "LOOPS1"]["answer"] == f"{VIDEO}-2"
    await pretalx_publisher.follow(options, [shown("LOOPS1", "", Status.RETRACTED)], kit)
    assert far.answers == {}
    assert await pretalx_publisher.reconcile(options, telling(tmp_path, kit)) is None
    assert links(far) == ["https://example.org/slides"]


async def test_a_persons_answer_stays_and_the_receipt_says_what_vidd_would_write(far, kit, tmp_path):
    far.answers[11, "LOOPS1"] = {"id": 1, "answer": "see our own site"}
    receipt = await pretalx_publisher.publish(settings(question=11), telling(tmp_path, kit))
    assert far.answers[11, "LOOPS1"]["answer"] == "see our own site"
    assert receipt.facts["notes"] == [f"The answer is a person's and stays; vidd would write: {VIDEO}"]


@pytest.mark.parametrize(
    ("prepare", "code", "words"),
    [
        (lambda far: far.permissions.update(READ), FaultCode.FORBIDDEN, r"403: .*`actions` to write links"),
        (lambda far: far.permissions.clear(), FaultCode.UNAUTHORIZED, "make a new one at /orga/me"),
        (lambda far: far.submissions.clear(), FaultCode.NOT_FOUND, "No Submission matches"),
        (
            lambda far: far.misstep("POST", "resources", "status", status=405, body={"detail": 'Method "POST" not allowed.'}),
            FaultCode.REJECTED, "this pretalx is too old",
        ),
        (
            lambda far: far.misstep("POST", "resources", "status", status=400, body={"link": ["Enter a valid URL."]}),
            FaultCode.REJECTED, "Enter a valid URL",
        ),
        (
            lambda far: far.misstep("GET", "submissions", "status", status=301, body={}),
            FaultCode.REJECTED, "sends vidd elsewhere",
        ),
    ],
)  # fmt: skip
async def test_what_pretalx_refuses_is_refused_with_what_to_do(far, kit, tmp_path, prepare, code, words):
    prepare(far)
    with pytest.raises(Refused, match=words) as refused:
        await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    assert refused.value.code is code
    assert TOKEN not in refused.value.sentence


async def test_too_many_requests_wait_for_as_long_as_pretalx_says(far, kit, tmp_path):
    far.misstep("POST", "resources", "status", status=429, headers={"Retry-After": "77"}, body={"detail": "Throttled."})
    with pytest.raises(RetryLater) as later:
        await pretalx_publisher.publish(settings(), telling(tmp_path, kit))
    assert (later.value.after, later.value.code) == (77.0, FaultCode.RATE_LIMITED)


async def test_a_server_that_cannot_be_reached_has_got_nothing(tmp_path):
    kit = tools(tmp_path, conference=Account(url=f"http://127.0.0.1:{free_port()}", token=SecretStr(TOKEN)))
    with pytest.raises(RetryLater, match="vidd cannot reach pretalx"):
        await pretalx_publisher.publish(settings(), telling(tmp_path, kit))


async def test_a_connection_that_breaks_while_vidd_only_asks_is_retried(far, kit, tmp_path):
    far.misstep("GET", "submissions", "drop", times=9)
    with pytest.raises(RetryLater, match="The connection to pretalx was lost"):
        await pretalx_publisher.publish(settings(), telling(tmp_path, kit))


async def test_a_job_without_a_talk_has_no_submission(kit, tmp_path):
    with pytest.raises(Refused, match="belongs to no talk"):
        await pretalx_publisher.publish(settings(), telling(tmp_path, kit, job=job(talk=None)))


async def test_the_check_asks_for_the_event_and_the_question(far, kit, tmp_path):
    told = await pretalx_publisher.check(settings(question=11), kit)
    assert told == "2 submissions; whether the token may write shows with the first talk"
    with pytest.raises(Refused, match="No Question matches"):
        await pretalx_publisher.check(settings(question=12), kit)
    with pytest.raises(Refused, match="has no token"):
        await pretalx_publisher.check(settings(), tools(tmp_path, conference=Account(url=far.url)))
