import pytest
from builders.mail import HeldInlet, tools, watching
from peers.certificates import make_certificate
from peers.pretalx import EVENT, TOKEN, Pretalx, a_submission
from pydantic import SecretStr, ValidationError

from vidd.errors import Refused
from vidd.integrations.pretalx import source as pretalx_source
from vidd.integrations.pretalx.account import Account
from vidd.integrations.pretalx.submission import read_widget
from vidd.model.talk import Speaker

pytestmark = pytest.mark.peer

ADA, ALAN = ("Ada Lovelace", "ada@example.org"), ("Alan Turing", "alan@example.org")


@pytest.fixture
def far():
    far = Pretalx()
    far.put(
        a_submission("LOOPS1", "Loops", ADA, ALAN, description="At length.", tags=("threads",)),
        a_submission("KNOTS2", "Knots", ALAN, room="Side", do_not_record=True),
        a_submission("DRAFT3", "Drafts", ADA, state="submitted"),
        a_submission("LATER4", "Later", ADA, state="accepted", start=None, end=None),
    )
    far.add_link("LOOPS1", "https://example.org/slides")
    with far.serving(None):
        yield far


def account(far, **changes):
    return Account(**{"url": f"{far.url}/", "token": SecretStr(TOKEN), "timeout": 5, **changes})


def watch(far, tmp_path, *, given=None, **options):
    context = HeldInlet(tmp_path)
    context.tools = tools(tmp_path, conference=given or account(far))
    options = pretalx_source.Options(**{"account": "conference", "event": EVENT, **options})
    return context, watching(pretalx_source.watch(options, context), context)


async def test_the_api_gives_everything_with_the_speakers_addresses(far, tmp_path):
    context, watched = watch(far, tmp_path)
    async with watched:
        knots, later, loops = context.readings[-1]
    assert (loops.id, loops.title, loops.description) == ("LOOPS1", "Loops", "Loops, in short.\n\nAt length.")
    assert loops.speakers == (Speaker(*ADA), Speaker(*ALAN))
    assert (loops.stage, loops.keywords, loops.excluded, loops.fault) == ("Main", ("threads",), False, None)
    assert loops.facts == {
        "row": "'Loops' in Main at 2026-11-20 10:00", "notes": [], "unusable": [], "columns": {},
        "starts": "2026-11-20T10:00:00+01:00", "ends": "2026-11-20T10:30:00+01:00", "language": "en", "subtitle": "",
        "track": "Weaving", "abstract": "Loops, in short.", "url": "",
        "links": [{"title": "Slides", "url": "https://example.org/slides"}],
    }  # fmt: skip
    assert (knots.excluded, knots.why_excluded) == (True, "its speakers do not want it recorded")
    assert (later.stage, later.facts["starts"]) == ("", "")


async def test_the_export_gives_what_is_public_to_everybody(far, tmp_path):
    context, watched = watch(far, tmp_path, given=account(far, token=None))
    async with watched:
        loops, knots = context.readings[-1]
        assert (loops.id, loops.title, loops.stage) == ("LOOPS1", "Loops", "Main")
        assert loops.speakers == (Speaker(ADA[0]), Speaker(ALAN[0]))
        assert loops.facts["url"].endswith(f"/{EVENT}/talk/LOOPS1/")
        assert loops.facts["ends"] == "2026-11-20T10:30:00+01:00"
        assert knots.excluded
        await context.look(300)
        assert len(context.readings) == 2
    assert [call.path for call in far.calls] == [f"/{EVENT}/schedule/export/schedule.json"] * 2
    assert all("Authorization" not in call.headers for call in far.calls)


async def test_the_widget_gives_a_schedule_that_is_not_public(far, tmp_path):
    far.released = False
    context, watched = watch(far, tmp_path, given=account(far, token=None), read="widget")
    async with watched:
        loops, knots = context.readings[-1]
    assert (loops.id, loops.title, loops.stage, loops.description) == ("LOOPS1", "Loops", "Main", "Loops, in short.")
    assert loops.speakers == (Speaker(ADA[0]), Speaker(ALAN[0]))
    assert (loops.facts["track"], loops.facts["language"]) == ("Weaving", "en")
    assert (loops.facts["starts"], loops.facts["ends"]) == ("2026-11-20T10:00:00+01:00", "2026-11-20T10:30:00+01:00")
    assert knots.excluded
    with pytest.raises(Refused, match="has no public schedule"):
        await pretalx_source.check(
            pretalx_source.Options(account="conference", event=EVENT, read="export"),
            tools(tmp_path, conference=account(far, token=None)),
        )


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"talks": 5}'])
def test_a_widget_without_talks_is_refused(content):
    with pytest.raises(Refused, match="has no list of talks at its widget"):
        read_widget(content, "The event")


async def test_an_older_export_has_the_code_in_the_address_of_the_page_only(far, tmp_path, monkeypatch):
    schedule = Pretalx.schedule

    def older(self, origin):
        document = schedule(self, origin)
        for room in document["schedule"]["conference"]["days"][0]["rooms"].values():
            for event in room:
                del event["code"]
        return document

    monkeypatch.setattr(Pretalx, "schedule", older)
    context, watched = watch(far, tmp_path, read="export")
    async with watched:
        assert [talk.id for talk in context.readings[-1]] == ["LOOPS1", "KNOTS2"]


async def test_a_talk_that_is_given_twice_is_one_talk_at_its_first_time(far, tmp_path, monkeypatch):
    schedule = Pretalx.schedule

    def again(self, origin):
        document = schedule(self, origin)
        rooms = document["schedule"]["conference"]["days"][0]["rooms"]
        rooms["Side"].insert(
            0, {**rooms["Main"][0], "guid": "again", "date": "2026-11-21T10:00:00+01:00", "room": "Side"}
        )
        return document

    monkeypatch.setattr(Pretalx, "schedule", again)
    context, watched = watch(far, tmp_path, read="export")
    async with watched:
        loops = context.readings[-1][0]
    assert (loops.stage, loops.facts["starts"], loops.fault) == ("Main", "2026-11-20T10:00:00+01:00", None)


async def test_all_pages_are_read_by_the_servers_own_page_size(far, tmp_path):
    far.put(*(a_submission(f"TALK{number:02}", f"Talk {number}") for number in range(7)))
    far.page = 3
    context, watched = watch(far, tmp_path)
    async with watched:
        assert len(context.readings[-1]) == 10
    assert len(far.called("GET", "submissions")) == 4


@pytest.mark.parametrize("change", ["added", "removed", "swapped", "shrunk"])
async def test_a_list_that_changes_between_its_pages_is_read_anew(far, tmp_path, change):
    far.put(*(a_submission(f"TALK{number:02}", f"Talk {number}") for number in range(7)))
    far.page = 3

    def once():
        far.between_pages = lambda: None
        if change == "added":
            far.put(a_submission("AAAAAA", "First of all"))
        elif change == "removed":
            del far.submissions["KNOTS2"]
        elif change == "swapped":
            far.put(a_submission("AAAAAA", "First of all"))
            del far.submissions["TALK06"]
        else:
            far.submissions = {"LOOPS1": far.submissions["LOOPS1"]}

    far.between_pages = once
    context, watched = watch(far, tmp_path)
    async with watched:
        ids = [talk.id for talk in context.readings[-1]]
    accepted = [code for code, found in far.submissions.items() if found["state"] in {"accepted", "confirmed"}]
    assert sorted(ids) == sorted(accepted)


async def test_a_list_that_changes_with_every_page_leaves_the_last_good_copy(far, tmp_path):
    context, watched = watch(far, tmp_path)
    async with watched:
        far.put(*(a_submission(f"TALK{number:02}", f"Talk {number}") for number in range(7)))
        far.page, numbers = 3, iter(range(100, 200))
        far.between_pages = lambda: far.put(a_submission(f"AA{next(numbers)}", "More"))
        await context.look(300)
        assert "changed each time while vidd read their pages" in context.standing
        assert len(context.readings) == 1


@pytest.mark.parametrize(
    ("misstep", "words"),
    [
        ({"status": 401, "body": {"detail": "Invalid token."}}, r"401: Invalid token\..*make a new one at /orga/me"),
        (
            {"status": 403, "body": {"detail": "You do not have permission to perform this action."}},
            "403: You do not have permission.*give the token this event",
        ),
        (
            {"status": 429, "headers": {"Retry-After": "120"}, "body": {"detail": "Request was throttled."}},
            "too many requests",
        ),
        ({"status": 502, "body": {}}, "answered 502"),
    ],
)
async def test_what_pretalx_refuses_is_said_and_the_last_good_copy_goes_on(far, tmp_path, misstep, words):
    context, watched = watch(far, tmp_path)
    async with watched:
        far.misstep("GET", "submissions", "status", **misstep)
        await context.look(300)
        assert context.standing.endswith("vidd goes on with the 3 talks that it read last.")
        with pytest.raises(Refused, match=words):
            raise Refused(context.standing)
        assert TOKEN not in context.standing
        assert len(context.readings) == 1
        assert context.pauses[-1] == (120.0 if misstep["status"] == 429 else 60.0)
        await context.look(120)
        assert context.standing == "up"


async def test_a_token_that_was_revoked_is_said_by_the_check(far, tmp_path):
    far.permissions = {}
    options = pretalx_source.Options(account="conference", event=EVENT)
    with pytest.raises(Refused, match="the token is unknown, has expired or was revoked"):
        await pretalx_source.check(options, tools(tmp_path, conference=account(far)))


@pytest.mark.parametrize("token", [SecretStr(TOKEN), None])
async def test_an_event_that_is_not_there_is_said(far, tmp_path, token):
    options = pretalx_source.Options(account="conference", event="elsewhere")
    with pytest.raises(Refused, match=r"'elsewhere'.*correct `event`"):
        await pretalx_source.check(options, tools(tmp_path, conference=account(far, token=token)))


async def test_the_version_of_the_api_is_asked_for_and_one_that_is_gone_is_said(far, tmp_path):
    options = pretalx_source.Options(account="conference", event=EVENT)
    told = await pretalx_source.check(options, tools(tmp_path, conference=account(far, version="v1")))
    assert told == "3 talks, 1 excluded, 0 with a fault, 4 e-mail addresses of speakers"
    assert far.calls[-1].headers["Pretalx-Version"] == "v1"
    with pytest.raises(Refused, match=r"Unsupported version: v0.*set `version` of the account"):
        await pretalx_source.check(options, tools(tmp_path, conference=account(far, version="v0")))
    await pretalx_source.check(options, tools(tmp_path, conference=account(far)))
    assert "Pretalx-Version" not in far.calls[-1].headers


async def test_a_schedule_that_is_hidden_again_does_not_empty_the_programme(far, tmp_path):
    context, watched = watch(far, tmp_path)
    async with watched:
        far.submissions.clear()
        await context.look(300)
        await context.look(300)
        assert "has no talk any more" in context.standing
        assert len(context.readings) == 1


async def test_a_changed_talk_is_handed_in(far, tmp_path):
    context, watched = watch(far, tmp_path)
    async with watched:
        far.submissions["LOOPS1"]["title"] = "Loops, anew"
        far.submissions["LOOPS1"]["do_not_record"] = True
        await context.look(300)
        loops = context.readings[-1][-1]
    assert (loops.title, loops.excluded) == ("Loops, anew", True)


async def test_a_certificate_of_the_labs_own_is_trusted_where_the_account_names_it(tmp_path):
    certificate = make_certificate(tmp_path)
    far = Pretalx()
    far.put(a_submission("LOOPS1", "Loops", ADA))
    options = pretalx_source.Options(account="conference", event=EVENT)
    with far.serving(certificate):
        told = await pretalx_source.check(options, tools(tmp_path, conference=account(far, ca=certificate.file)))
        assert told.startswith("1 talks")
        with pytest.raises(Refused, match="certificate is not trusted"):
            await pretalx_source.check(options, tools(tmp_path, conference=account(far)))


def test_a_token_of_two_lines_is_no_token():
    with pytest.raises(ValidationError, match="one line of ASCII"):
        Account(token=SecretStr("a\nb"))
