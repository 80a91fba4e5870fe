"""The programme in Google Sheets, at a double of it: read, written, and left as people want it."""

import asyncio
from itertools import pairwise

import pytest
from builders.google_sheets import BOOK, GOOGLE, ROBOT, near, restarted, served, tools_at, unserved
from builders.mail import LINK, NOON, HeldInlet, Sent, job, watching
from peers.certificates import make_certificate
from peers.field_masks import Invalid

from vidd.errors import Refused, RetryLater
from vidd.integrations.sheet import publisher as notice
from vidd.integrations.sheet import source
from vidd.integrations.sheet.backends.google.api import spreadsheet_id
from vidd.model.publication import Receipt
from vidd.model.talk import Status, TalkStatus

URL = "https://video.example.org/t-1"
ROWS = [["uuid", "title", "status", "link"], ["t-1", "Loops", "", ""], ["t-2", "Secrets", "", ""]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def far(certificate):
    """The double over TLS, with a programme."""
    made = served(certificate)
    with made.serving(certificate):
        made.book().add("Day 1", ROWS)
        yield made


class Bench:
    """The notice at a double without a network."""

    def __init__(self, far, tools, state):
        self.far, self.tools, self.state = far, tools, state

    @property
    def book(self):
        return self.far.book()

    @property
    def tab(self):
        return self.book.visible()[0]

    def context(self, talk="t-1", receipts=LINK):
        return Sent(self.state, kind="sheet", tools=self.tools, receipts=receipts, job=job(talk=talk)).context()

    async def publish(self, talk="t-1", receipts=LINK, **changes):
        return await notice.publish(notice.Options(**GOOGLE, **changes), self.context(talk, receipts))

    async def follow(self, *standings, **changes):
        await notice.follow(notice.Options(**GOOGLE, **changes), standings, self.tools)

    def once(self, act, phase="before", pattern=":batchUpdate", skip=0):
        """Do something at one coming request."""
        left = [skip]

        def hand(now, line):
            if now == phase and pattern in line:
                if left[0] == 0:
                    left[0] -= 1
                    act()
                elif left[0] > 0:
                    left[0] -= 1

        self.far.hand = hand


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The notice at a double without a network, which has an empty spreadsheet."""
    with unserved() as far:
        yield Bench(far, tools_at(far, tmp_path, near(monkeypatch, far)), tmp_path)


@pytest.fixture
def context(desk):
    desk.book.add("Day 1", ROWS, height=20, width=8)
    return desk


# Over TLS, with the sign-in.


@pytest.mark.slow
async def test_the_row_says_published_and_where_and_all_else_stays(far, tmp_path):
    tools = tools_at(far, tmp_path)
    context = Sent(tmp_path, kind="sheet", tools=tools, receipts=LINK, job=job()).context()
    options = notice.Options(**GOOGLE)
    assert await notice.reconcile(options, context) is None
    receipt = await notice.publish(options, context)
    assert far.book().tab("Day 1").texts() == [ROWS[0], ["t-1", "Loops", "published", URL], ["t-2", "Secrets"]]
    assert receipt == Receipt(facts={"row": 2, "tab": "Day 1"})
    assert await notice.reconcile(options, context) == receipt
    assert [tab.title for tab in far.book().visible()] == ["Day 1"]


@pytest.mark.slow
async def test_an_unchanged_sheet_is_not_read_again(far, tmp_path):
    context = HeldInlet(tmp_path, now=NOON)
    context.tools = tools_at(far, tmp_path)

    def reads():
        return len([line for line in far.lines if line == "GET /v4/spreadsheets/book-1"])

    async with watching(source.watch(source.Options(**GOOGLE), context), context):
        assert [talk.id for talk in context.readings[-1]] == ["t-1", "t-2"]
        await context.look(60)
        assert (len(context.readings), reads()) == (2, 1)
        far.book().tabs[0].type(2, 1, "Loops again")
        far.book().version += 1
        await context.look(60)
        assert (context.readings[-1][0].title, reads()) == ("Loops again", 2)


async def test_without_the_right_to_ask_for_versions_the_sheet_is_simply_read(far, tmp_path):
    far.drive_right = False
    context = HeldInlet(tmp_path, now=NOON)
    context.tools = tools_at(far, tmp_path)
    async with watching(source.watch(source.Options(**GOOGLE), context), context):
        await context.look(60)
    assert [talk.id for talk in context.readings[1]] == ["t-1", "t-2"]
    assert len([line for line in far.lines if "/drive/" in line]) == 1


async def test_a_sheet_that_is_not_shared_is_refused_with_the_address_to_share_it_with(far, tmp_path):
    tools = tools_at(far, tmp_path)
    far.allowed = set()
    with pytest.raises(Refused, match="share it with that address") as refused:
        await source.check(source.Options(**GOOGLE), tools)
    assert ROBOT in str(refused.value)
    far.allowed = None
    with pytest.raises(Refused, match="knows no spreadsheet 'book-2': correct `spreadsheet`"):
        await notice.check(notice.Options(spreadsheet="book-2", account="google"), tools)


async def test_both_sides_can_be_checked(far, tmp_path):
    tools = tools_at(far, tmp_path)
    assert await source.check(source.Options(**GOOGLE), tools) == "2 talks, 0 excluded, 0 with a fault"
    assert await notice.check(notice.Options(**GOOGLE), tools) == "2 talks have a row"


@pytest.mark.parametrize("after", [True, False])
async def test_a_lost_reply_is_looked_after_at_once(far, tmp_path, after):
    tools = tools_at(far, tmp_path)
    far.misstep("POST", ":batchUpdate", "drop", after=after, skip=1)
    context = Sent(tmp_path, kind="sheet", tools=tools, receipts=LINK, job=job()).context()
    await notice.publish(notice.Options(**GOOGLE), context)
    assert far.book().tab("Day 1").texts()[1] == ["t-1", "Loops", "published", URL]
    assert len(far.called("POST", ":batchUpdate")) == (2 if after else 3)


async def test_too_many_requests_are_again_later_as_google_says(far, tmp_path):
    tools = tools_at(far, tmp_path)
    body = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
    far.misstep("POST", ":batchUpdate", "status", status=429, body=body, headers={"Retry-After": "90"})
    context = Sent(tmp_path, kind="sheet", tools=tools, receipts=LINK, job=job()).context()
    with pytest.raises(RetryLater, match="429") as later:
        await notice.publish(notice.Options(**GOOGLE), context)
    assert later.value.after == 90


# What people do at the same moment.


async def test_a_row_that_moved_between_reading_and_writing_is_found_and_nobody_elses_is_touched(context):
    await context.follow(TalkStatus("t-2", Status.PROCESSING))
    context.once(lambda: context.tab.insert_row(2, "t-3", "New", "by hand", "https://by.hand"))
    await context.publish()
    assert context.tab.texts()[1:] == [
        ["t-3", "New", "by hand", "https://by.hand"],
        ["t-1", "Loops", "published", URL],
        ["t-2", "Secrets", "processing"],
    ]


async def test_what_a_person_types_between_reading_and_writing_stays_with_a_note(context):
    await context.follow(TalkStatus("t-1", Status.PROCESSING))
    context.once(lambda: context.tab.type(2, 2, "wait for Ada"))
    receipt = await context.publish()
    assert context.tab.texts()[1] == ["t-1", "Loops", "wait for Ada", URL]
    assert receipt.facts["kept"] == {"status": "published"}
    assert context.tab.cells[1][2].note.startswith("vidd: ")
    assert "published" in context.tab.cells[1][2].note


async def test_a_persons_formula_of_that_moment_comes_back_as_a_formula(context):
    await context.follow(TalkStatus("t-1", Status.PROCESSING))
    context.once(lambda: context.tab.type(2, 2, "=A2"))
    with pytest.raises(Refused, match="a formula stands where vidd writes"):
        await context.publish()
    assert context.tab.cells[1][2].value == {"formulaValue": "=A2"}


async def test_the_note_of_a_conflict_follows_it_and_goes_with_it(context):
    await context.follow(TalkStatus("t-1", Status.PROCESSING))
    context.tab.type(2, 2, "on hold")
    await context.follow(TalkStatus("t-1", Status.PROCESSING))
    assert context.tab.cells[1][2].note == ""
    await context.follow(TalkStatus("t-1", Status.PROCESSED))
    assert "processed" in context.tab.cells[1][2].note
    await context.follow(TalkStatus("t-1", Status.PUBLISHED))
    assert "published" in context.tab.cells[1][2].note
    assert context.tab.text(2, 2) == "on hold"
    context.tab.type(2, 2, "")
    await context.follow()
    assert (context.tab.text(2, 2), context.tab.cells[1][2].note) == ("published", "")


async def test_a_persons_note_is_not_replaced(context):
    context.tab.type(2, 2, "on hold")
    context.tab.cells[1][2].note = "Ada asked for it"
    await context.follow(TalkStatus("t-1", Status.PUBLISHED))
    assert context.tab.cells[1][2].note == "Ada asked for it"


async def test_a_link_that_a_person_corrected_stays(context):
    await context.publish()
    context.tab.type(2, 3, "https://better.example.org")
    await context.follow(TalkStatus("t-1", Status.PUBLISHED, URL))
    await context.publish(receipts={"library": Receipt(url="https://video.example.org/new")})
    assert context.tab.text(2, 3) == "https://better.example.org"
    assert "https://video.example.org/new" in context.tab.cells[1][3].note


async def test_columns_that_a_person_moves_at_that_moment_keep_their_own_words(context):
    await context.follow(TalkStatus("t-1", Status.PROCESSING))
    context.tab.type(2, 1, "Loops, corrected")
    context.once(lambda: context.tab.move_column(1, 2))
    await context.publish()
    assert context.tab.texts()[:2] == [
        ["uuid", "status", "title", "link"],
        ["t-1", "published", "Loops, corrected", URL],
    ]


async def test_a_row_without_an_id_gets_back_what_was_overwritten(context):
    context.once(lambda: context.tab.insert_row(2, "", "Coffee", "until ten"))
    await context.publish()
    assert context.tab.texts()[1:3] == [["", "Coffee", "until ten"], ["t-1", "Loops", "published", URL]]


async def test_a_heading_that_a_person_adds_at_that_moment_stays(desk):
    tab = desk.book.add("Day 1", [["uuid"], ["t-1"]], width=4)

    def add():
        tab.type(1, 1, "Remarks")
        tab.type(2, 1, "ask her")

    desk.once(add)
    await desk.publish()
    assert tab.texts() == [["uuid", "Remarks", "status", "link"], ["t-1", "ask her", "published", URL]]


async def test_a_tab_that_is_full_grows_for_the_columns_that_are_missing(desk):
    tab = desk.book.add("Day 1", [["uuid"], ["t-1"]])
    await desk.publish()
    assert tab.texts() == [["uuid", "status", "link"], ["t-1", "published", URL]]


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_crash_between_writing_and_putting_back_is_healed_at_the_next_start(context, phase, monkeypatch):
    await context.follow(TalkStatus("t-2", Status.PROCESSING), TalkStatus("t-1", Status.PROCESSED))

    class Killed(BaseException):
        pass

    def move():
        context.tab.move_row(3, 2)
        context.tab.type(2, 2, "t-2 by hand")
        context.far.hand = kill

    def kill(now, line):
        # The reply to the writing never comes, or vidd dies when it comes to put it right.
        if (
            (now, ":batchUpdate" in line) == ("after", True)
            if phase == "after"
            else ":batchUpdate" in line and now == "before"
        ):
            context.far.hand = lambda *_: None
            raise Killed

    context.once(move)
    with pytest.raises(Killed):
        await context.publish()
    assert context.tab.texts()[1] == ["t-2", "Secrets", "published", URL]
    context.tools = restarted(context.tools)
    await context.follow(TalkStatus("t-1", Status.PUBLISHED, URL))
    assert context.tab.texts()[1:] == [["t-2", "Secrets", "t-2 by hand"], ["t-1", "Loops", "published", URL]]


async def test_a_row_that_is_gone_is_refused_and_one_that_is_put_back_is_written(context):
    context.tab.delete_row(2)
    with pytest.raises(Refused, match="'t-1' has no row in the spreadsheet book-1 any more: put the row back"):
        await context.publish()
    context.tab.insert_row(3, "t-1", "Loops")
    await context.publish()
    assert context.tab.texts()[2] == ["t-1", "Loops", "published", URL]


async def test_one_tab_for_each_stage(context):
    other = context.book.add("Stage B", [["Programme of stage B"], ["link", "id"], ["", "u-1"]], width=5)
    await context.follow(TalkStatus("u-1", Status.PUBLISHED, "https://u"), TalkStatus("t-1", Status.FAILED))
    assert other.texts() == [["Programme of stage B"], ["link", "id", "status"], ["https://u", "u-1", "published"]]
    assert context.tab.texts()[1][2] == "failed"
    other.title = "Stage B, renamed"
    await context.follow(TalkStatus("u-1", Status.FAILED))
    assert other.texts()[2][2] == "failed"


async def test_a_tab_that_was_named_and_renamed_is_refused_with_those_there_are(context):
    context.tab.title = "Monday"
    with pytest.raises(Refused, match=r"no tab 'Day 1', it has Monday: rename it back, or correct `tab`"):
        await context.publish(tab="Day 1")


async def test_a_hidden_tab_that_a_person_uncovers_is_still_no_programme(context):
    await context.publish()
    for tab in context.book.tabs:
        tab.hidden = False
        tab.title = f"{tab.title} uncovered"
    await context.publish("t-2")
    assert context.tab.texts()[2] == ["t-2", "Secrets", "published", URL]


async def test_texts_that_look_like_formulas_stay_texts(context):
    await context.publish(receipts={"library": Receipt(url='=HYPERLINK("https://x")')})
    assert context.tab.cells[1][3].value == {"stringValue": '=HYPERLINK("https://x")'}


async def test_ids_that_are_numbers_are_found_as_people_see_them(context):
    context.tab.type(2, 0, "1234")
    await context.publish("1234")
    assert context.tab.text(2, 2) == "published"


async def test_the_library_has_a_link_of_its_own(context):
    receipts = {
        "youtube": Receipt(url="https://y"),
        "s3": Receipt(url="https://lib"),
        "facebook": Receipt(url="https://f"),
    }
    await context.publish(receipts=receipts)
    assert context.tab.texts()[:2] == [
        ["uuid", "title", "status", "link", "library link"],
        ["t-1", "Loops", "published", "https://y", "https://lib"],
    ]
    await context.publish("t-2", receipts=receipts, link_of="facebook", library_of="youtube")
    assert context.tab.texts()[2] == ["t-2", "Secrets", "published", "https://f", "https://y"]


@pytest.mark.slow
async def test_two_hundred_talks_due_at_once_make_few_writes_and_all_rows_right(desk):
    talks = [f"t-{number}" for number in range(200)]
    tab = desk.book.add("Day 1", [["uuid", "title", "status", "link"], *([talk, "", "", ""] for talk in talks)])
    times = []
    now = desk.tools.clock.now
    desk.far.hand = lambda phase, line: times.append(now()) if phase == "before" and "POST" in line else None
    async with asyncio.timeout(60):
        await asyncio.gather(
            *(desk.publish(talk, {"s3": Receipt(url=f"https://{talk}")}) for talk in talks),
            desk.follow(*(TalkStatus(talk, Status.PUBLISHED, f"https://{talk}") for talk in talks)),
        )
    assert tab.texts()[1:] == [[talk, "", "published", f"https://{talk}"] for talk in talks]
    assert all((later - sooner).total_seconds() >= 2 for sooner, later in pairwise(times))
    assert len(times) <= 5


async def test_a_sheet_that_people_change_all_the_time_is_again_later(context):
    number = iter(range(1000))

    def hand(phase, line):
        if phase == "before" and ":batchUpdate" in line:
            context.tab.insert_row(2, "", f"row {next(number)}")

    context.far.hand = hand
    with pytest.raises(RetryLater, match="changes all the time"):
        await context.publish()
    context.far.hand = lambda *_: None
    await context.publish()
    assert [row for row in context.tab.texts() if "published" in row or URL in row] == [
        ["t-1", "Loops", "published", URL]
    ]


async def test_what_google_will_never_take_is_refused_with_its_words(context):
    def hand(phase, line):
        if phase == "before" and ":batchUpdate" in line:
            raise Invalid("You are trying to edit a protected cell or object.")

    context.far.hand = hand
    with pytest.raises(Refused, match="INVALID_ARGUMENT"):
        await context.publish()


async def test_a_tab_that_lost_its_heading_leaves_the_programme_as_it_was(context, tmp_path):
    other = context.book.add("Stage B", [["uuid"], ["u-1"]])
    inlet = HeldInlet(tmp_path, now=NOON)
    inlet.tools = context.tools
    async with watching(source.watch(source.Options(**GOOGLE), inlet), inlet):
        for tab, heading in ((other, "uuid"), (context.tab, "uuid")):
            tab.type(1, 0, "Talk?")
            context.book.version += 1
            await inlet.look(60)
            assert "has lost its column 'uuid'" in inlet.standing
            assert len(inlet.readings) == 1
            tab.type(1, 0, heading)
        context.book.version += 1
        await inlet.look(60)
        assert [talk.id for talk in inlet.readings[-1]] == ["t-1", "t-2", "u-1"]


async def test_recordings_on_this_machine_need_a_directory_that_is_named(context, tmp_path):
    context.book.add("Stage B", [["uuid", "ready", "recording"], ["u-1", "yes", "journal.sqlite"]])
    inlet = HeldInlet(tmp_path, now=NOON)
    inlet.tools = context.tools
    async with watching(source.watch(source.Options(**GOOGLE), inlet), inlet):
        assert "set `recordings`" in inlet.dead[0][1]
        assert inlet.arrivals == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "give either path, or spreadsheet"),
        ({"path": "p.csv", **GOOGLE}, "give either path, or spreadsheet"),
        ({"spreadsheet": BOOK}, "come together"),
        ({"path": "p.csv", "account": "google"}, "come together"),
    ],
)
def test_a_sheet_is_in_one_place(options, why):
    for kind in (source, notice):
        with pytest.raises(ValueError, match=why):
            kind.Options(**options)


@pytest.mark.parametrize(
    "text", ["book-1", " book-1 ", BOOK, "https://docs.google.com/spreadsheets/u/1/d/book-1/edit?usp=sharing"]
)
def test_a_spreadsheet_is_named_by_its_address_or_its_id(text):
    assert spreadsheet_id(text) == "book-1"
