"""vidd's publisher against the double that Google's own client was content with."""

import asyncio
import hashlib
from dataclasses import replace

import pytest
from builders.youtube import FACTS, MOVIE, PIECE, TALK, Killed, a_desk, an_account, creations, the_tools
from peers.certificates import make_certificate
from peers.youtube import YouTube

from vidd.errors import Refused, RetryLater
from vidd.integrations.youtube import publisher as youtube_publisher
from vidd.integrations.youtube.publisher import Options
from vidd.integrations.youtube.text import TextFitter, tags_length


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def double(certificate):
    made = YouTube()
    with made.serving(certificate):
        yield made


@pytest.fixture
def desk(double, certificate, tmp_path):
    return a_desk(double, certificate, tmp_path)


def only(double):
    """The one video there is, whole."""
    (video,) = double.videos.values()
    assert video.arrived.sum == hashlib.sha256(MOVIE).hexdigest()
    return video


async def test_a_talk_goes_out_with_its_words_in_chunks_and_into_the_stages_playlist(desk, double):
    receipt = await desk.attempt()
    video = only(double)
    assert receipt.url == f"https://youtu.be/{video.id}"
    assert video.snippet == {
        "title": "On things",
        "description": "Ada\n\nAll of them.",
        "tags": ["vidd-01ABCDEF", "Ada", "Main Stage"],
        "categoryId": "22",
    }
    assert video.status["privacyStatus"] == "unlisted"
    assert video.status["selfDeclaredMadeForKids"] is False
    (playlist,) = double.titled("Main")
    assert [item[1] for item in playlist.items] == [video.id]
    assert receipt.facts["playlists"] == [{"title": "Main", "id": playlist.id, "item": playlist.items[0][0]}]
    assert receipt.facts["channel"] == "UC-somebody"
    assert len(double.called("PUT", "upload_id")) == 4  # where it stands, and three chunks
    assert receipt.facts["notes"] == []


async def test_every_body_that_goes_out_is_right_by_the_discovery_schemas(desk, double, tmp_path):
    desk.add("sub", "en.srt", b"1\n00:00:00,000 --> 00:00:01,000\nHi\n", "application/x-subrip")
    desk.add("poster", "poster.jpg", b"\xff\xd8", "image/jpeg")
    changes = {"captions": {"sub": "en"}, "thumbnail": "poster", "language": "en", "license": "creativeCommon"}
    desk.options = Options(**{**desk.options.model_dump(), **changes})
    await desk.attempt()
    await desk.amend(facts={**FACTS, "title": "Other"}, talk=replace(TALK, private=True, stage="Side"))
    await desk.retract()
    names = [name for name, _ in double.bodies]
    assert set(names) == {
        "videos.insert", "videos.update", "playlists.insert", "playlistItems.insert", "captions.insert",
    }  # fmt: skip
    for name, body in double.bodies:
        assert double.discovery.faults(double.discovery.method(name).request, body) == []


async def test_the_session_is_saved_before_the_first_byte_and_never_said(desk, double, certificate):
    before = []
    desk.kill = lambda when, token: before.append((when, "session" in token, len(double.called("PUT", "."))))
    await desk.attempt()
    assert before[0] == ("before", True, 0)
    said = repr([desk.publication.receipt, desk.waits])
    assert "upload_id" not in said
    assert "secret" not in said


async def test_it_tells_nobody_before_youtube_has_processed_and_holds_no_place_meanwhile(desk, double):
    double.looks = 3
    with pytest.raises(RetryLater, match="still processing") as waits:
        await desk.attempt()
    assert (waits.value.counts, waits.value.after) == (False, 20)
    receipt = await desk.through()
    assert len(double.videos) == 1
    assert creations(double) == (1, 1)
    assert only(double).status["uploadStatus"] == "processed"
    assert receipt.facts["video"] in double.videos


async def test_it_asks_less_and_less_often_while_it_waits(desk, double):
    double.looks = 40
    await desk.through(most=60)
    gaps = [wait.after for wait in desk.waits]
    assert gaps[0] == 20
    assert gaps == sorted(gaps)
    assert gaps[-1] == 300


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ({"uploadStatus": "rejected", "rejectionReason": "duplicate"}, r"the channel has the same video already \(dup"),
        ({"uploadStatus": "failed", "failureReason": "codec"}, r"it cannot read the codec \(codec"),
        ({"uploadStatus": "deleted"}, "was deleted at YouTube"),
    ],
)
async def test_a_video_youtube_will_not_have_is_refused_in_words(desk, double, ends, words):
    double.looks, double.ends = 1, ends
    with pytest.raises(Refused, match=words):
        await desk.through()
    assert len(double.videos) == 1


# What is lost


LOSSES = {
    "the reply to the session": lambda double: double.misstep("POST", "/upload", after=True),
    "the reply to the first chunk": lambda double: double.misstep("PUT", "upload_id", after=True, skip=1),
    "the reply to the second chunk": lambda double: double.misstep("PUT", "upload_id", after=True, skip=2),
    "the reply to the last chunk": lambda double: double.misstep("PUT", "upload_id", after=True, skip=3),
    "the connection in a chunk": lambda double: double.sessions.cuts.append(PIECE + PIECE // 2),
    "the connection at the last bytes": lambda double: double.sessions.cuts.append(len(MOVIE)),
    "the answer of a middle chunk": lambda double: double.misstep("PUT", "upload_id", "status", status=503, skip=2),
    "a 500 after the commit": lambda double: double.misstep(
        "PUT", "upload_id", "status", status=500, after=True, skip=3
    ),
    "the reply to the playlist": lambda double: double.misstep("POST", "v3/playlists", after=True),
    "the reply to the playlist's item": lambda double: double.misstep("POST", "v3/playlistItems", after=True),
    "a list": lambda double: double.misstep("GET", "v3/videos", times=2),
    "half of a chunk": lambda double: double.sessions.takes.extend([PIECE, PIECE // 2, 0, PIECE]),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lag", [0, 100])
async def test_a_loss_makes_no_second_video_and_needs_nobody(desk, double, loss, lag):
    double.lag = lag
    LOSSES[loss](double)
    await desk.through()
    video = only(double)
    (playlist,) = double.titled("Main")
    assert [item[1] for item in playlist.items] == [video.id]
    assert creations(double)[1] == 1


@pytest.mark.parametrize("what", ["v3/playlists", "v3/playlistItems", "v3/captions"])
async def test_what_was_made_and_is_not_listed_yet_is_not_made_again_by_one_who_comes_early(
    double, certificate, tmp_path, what
):
    desk = a_desk(double, certificate, tmp_path, captions={"sub": "en"})
    desk.add("sub", "en.srt", b"1\nwords\n", "text/plain")
    double.lag = 100
    double.misstep("POST", what, after=True)
    for _ in range(3):
        with pytest.raises(RetryLater) as waits:
            await desk.attempt()
        assert not waits.value.counts
        desk.tools.clock.forward(10)
    await desk.through()
    (playlist,) = double.titled("Main")
    assert len(playlist.items) == len(only(double).captions) == 1


async def test_jobs_of_one_stage_that_come_at_once_share_a_playlist(desk, double, certificate, tmp_path):
    double.lag = 100
    desks = [desk]
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        desks.append(a_desk(double, certificate, folder, tools=desk.tools))
    receipts = await asyncio.gather(*(desk.attempt() for desk in desks))
    (playlist,) = double.titled("Main")
    assert {item[1] for item in playlist.items} == {receipt.facts["video"] for receipt in receipts}
    assert len(playlist.items) == 4


@pytest.mark.slow
@pytest.mark.parametrize("skip", [0, 1, 3])
async def test_a_server_that_hangs_is_left_and_asked_again(double, certificate, tmp_path, skip):
    account = an_account(double, certificate, read_timeout=2)
    desk = a_desk(double, certificate, tmp_path, account=account)
    double.misstep("PUT", "upload_id", "hang", after=bool(skip), skip=skip)
    await desk.through()
    only(double)
    assert creations(double) == (1, 1)


@pytest.mark.slow
async def test_a_server_that_takes_no_bytes_is_left(double, certificate, tmp_path):
    account = an_account(double, certificate, read_timeout=2)
    desk = a_desk(double, certificate, tmp_path, account=account, chunk=64 * PIECE)
    movie = bytes(48 * PIECE)
    desk.add("talk", "talk.mp4", movie, "video/mp4")
    double.misstep("PUT", "upload_id", "hang", skip=1)
    await desk.through()
    (video,) = double.videos.values()
    assert video.arrived.sum == hashlib.sha256(movie).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(5))
async def test_a_daemon_that_is_killed_at_any_record_goes_on_without_a_second_video(desk, double, when, nth):
    double.looks = 2
    seen = []

    def kill(at, token):
        if at == when:
            seen.append(token)
            if len(seen) == nth + 1:
                raise Killed

    desk.kill = kill
    await desk.through()
    only(double)
    assert creations(double)[1] == 1
    (playlist,) = double.titled("Main")
    assert len(playlist.items) == 1


async def test_an_upload_that_stopped_goes_on_with_the_missing_bytes_on_another_day(desk, double):
    double.misstep("PUT", "upload_id", "status", status=503, skip=2, times=99)
    with pytest.raises(RetryLater):
        await desk.attempt()
    double.missteps.clear()
    desk.tools.clock.forward(86400)
    double.calls.clear()
    await desk.through()
    only(double)
    sent = [
        call.headers["Content-Range"]
        for call in double.called("PUT", "upload_id")
        if "*" not in call.headers["Content-Range"]
    ]
    assert sent[0].startswith(f"bytes {PIECE}-")
    assert double.called("POST", "/upload") == []


async def test_a_session_that_expired_before_the_last_bytes_is_begun_anew(desk, double):
    double.misstep("PUT", "upload_id", "status", status=503, skip=2, times=99)
    with pytest.raises(RetryLater):
        await desk.attempt()
    double.missteps.clear()
    double.sessions.expire()
    await desk.through()
    only(double)
    assert creations(double)[0] == 2


@pytest.mark.parametrize("marker", ["tag", "description"])
async def test_a_session_that_ended_with_a_finished_video_is_found_by_its_marker_after_the_lag(
    double, certificate, tmp_path, marker
):
    desk = a_desk(double, certificate, tmp_path, marker=marker)
    double.lag, double.sessions.forgets, double.most_a_page = 100, True, 2
    for number in range(5):
        double.add_video(f"Other {number}", tags=(f"vidd-{number}",))
    double.misstep("PUT", "upload_id", after=True, skip=3)
    receipt = await desk.through()
    assert creations(double) == (1, 1)
    assert double.videos[receipt.facts["video"]].arrived.sum == hashlib.sha256(MOVIE).hexdigest()
    assert len(double.videos) == 6
    assert any(not wait.counts and "will look again" in wait.sentence for wait in desk.waits)


@pytest.mark.slow
async def test_a_session_that_ended_without_a_video_is_begun_anew_only_after_the_lag(desk, double):
    double.misstep("PUT", "upload_id", "drop", skip=3, times=99)
    with pytest.raises(RetryLater):
        await desk.attempt()
    double.missteps.clear()
    double.sessions.expire()
    begun = desk.tools.clock.now()
    await desk.through()
    only(double)
    assert creations(double)[0] == 2
    assert (desk.tools.clock.now() - begun).total_seconds() >= 120


async def test_a_title_that_others_have_too_is_no_reason_to_take_theirs(desk, double):
    double.add_video("On things")
    double.sessions.forgets = True
    double.misstep("PUT", "upload_id", after=True, skip=3)
    receipt = await desk.through()
    assert len(double.videos) == 2
    assert double.videos[receipt.facts["video"]].arrived.size == len(MOVIE)


# What is wrong


async def test_a_revoked_token_is_refused_by_the_accounts_name(double, certificate, tmp_path):
    refresh = double.oauth.sign_in()
    account = an_account(double, certificate, refresh_token=refresh)
    desk = a_desk(double, certificate, tmp_path, account=account)
    double.oauth.revoke(refresh)
    with pytest.raises(Refused, match=r"refresh token of the account channel .* \[accounts.channel\]"):
        await desk.attempt()
    assert double.videos == {}


async def test_an_access_token_that_ends_in_the_middle_is_renewed(desk, double):
    double.misstep("PUT", "upload_id", "status", status=401, skip=2)
    await desk.through()
    only(double)
    assert len(double.oauth.given) == 2


async def test_the_wrong_channel_gets_nothing(double, certificate, tmp_path):
    account = an_account(double, certificate, channel="UC-other")
    desk = a_desk(double, certificate, tmp_path, account=account)
    with pytest.raises(Refused, match="account channel is signed in to the channel UC-somebody instead of UC-other"):
        await desk.attempt()
    assert creations(double) == (0, 0)


async def test_each_stage_has_its_account(double, certificate, tmp_path):
    other = an_account(double, certificate, refresh_token=double.oauth.sign_in("side"))
    tools = the_tools(tmp_path, an_account(double, certificate), side=other)
    desk = a_desk(double, certificate, tmp_path, tools=tools, accounts={"Side": "side"})
    desk.talk = replace(TALK, stage="Side")
    receipt = await desk.attempt()
    assert receipt.facts["channel"] == "UC-side"
    assert receipt.facts["account"] == "side"
    # It stays on its channel when the talk moves to another stage.
    moved = await desk.amend(talk=TALK)
    assert moved.facts["account"] == "side"
    assert [playlist["title"] for playlist in moved.facts["playlists"]] == ["Main"]
    assert double.titled("Side")[0].items == []


async def test_a_day_that_is_used_up_is_waited_out_and_said(desk, double):
    double.quota = 100
    with pytest.raises(
        RetryLater, match="used up the quota of the day at YouTube: vidd will continue at 2026-05-02"
    ) as waits:
        await desk.attempt()
    assert not waits.value.counts
    assert waits.value.after == 19 * 3600 + 1  # midnight in Los Angeles is 07:00 UTC, and it is noon
    desk.tools.clock.forward(waits.value.after)
    double.quota = None
    await desk.through()
    only(double)


async def test_the_quota_is_counted_before_a_call_and_anew_each_day(double, certificate, tmp_path):
    account = an_account(double, certificate, daily=3000, daily_uploads=None, costs={"videos.insert": 1600})
    tools = the_tools(tmp_path, account)
    first = a_desk(double, certificate, tmp_path, tools=tools)
    await first.attempt()
    units, _ = await youtube_publisher.open_channel("channel", tools).quota.spent()
    assert units == double.spent
    second = a_desk(double, certificate, tmp_path, tools=tools)
    calls = len(double.called("POST", "/upload"))
    with pytest.raises(RetryLater, match="used up the 3000 units of quota of the day") as waits:
        await second.attempt()
    assert len(double.called("POST", "/upload")) == calls
    assert (await youtube_publisher.open_channel("channel", tools).quota.spent())[0] == double.spent
    tools.clock.forward(waits.value.after)
    await second.through()
    assert {name[:10] for name in await tools.memory.recall("youtube quota channel")} == {"2026-05-02"}
    assert len(double.videos) == 2


async def test_uploads_are_counted_apart(double, certificate, tmp_path):
    account = an_account(double, certificate, daily_uploads=1)
    desk = a_desk(double, certificate, tmp_path, account=account)
    await desk.attempt()
    again = a_desk(double, certificate, tmp_path, tools=desk.tools)
    with pytest.raises(RetryLater, match="used up the 1 uploads of the day"):
        await again.attempt()


@pytest.mark.slow
async def test_a_playlist_deleted_meanwhile_is_made_anew(desk, double, certificate, tmp_path):
    await desk.attempt()
    double.playlists.clear()
    desk2 = a_desk(double, certificate, tmp_path, tools=desk.tools)
    receipt = await desk2.attempt()
    (playlist,) = double.titled("Main")
    assert [item[1] for item in playlist.items] == [receipt.facts["video"]]


async def test_a_playlist_that_a_person_made_is_used(desk, double):
    double.most_a_page = 1
    double.add_playlist("Other")
    mine = double.add_playlist("Main")
    double.add_playlist("Main", "stranger")
    await desk.attempt()
    assert len(mine.items) == 1
    assert len(double.playlists) == 3


async def test_words_that_do_not_fit_are_mended_and_noted(desk, double):
    title = "On <b>things</b> " + "and more " * 12
    desk.facts = {"title": title, "description": "1 < 2 " + "ä" * 5000, "tags": ["word word"] * 2 + ["x" * 490, "ok"]}
    receipt = await desk.attempt()
    snippet = only(double).snippet
    assert snippet["title"].startswith("On \u2039b\u203athings")
    assert len(snippet["title"]) <= 100
    assert snippet["title"].endswith(("and\u2026", "more\u2026"))
    assert 4900 < len(snippet["description"].encode()) <= 5000
    assert snippet["tags"] == ["vidd-01ABCDEF", "word word", "ok"]
    assert len(receipt.facts["notes"]) == 5


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        (["a b", "c"], 7),
        (["a" * 499, "b"], 499),
        (["a" * 250, "b" * 249], 500),
        (["a " * 124 + "a", "b" * 248], 500),
        (["a " * 124 + "a", "b" * 249], 251),
        (["A", "a", "<a>", " a ", ""], 1),
    ],
)
def test_tags_are_counted_as_youtube_counts_them(tags, kept):
    assert tags_length(TextFitter().tags(tags)) == kept


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("word " * 19 + "words", "word " * 19 + "words"),
        ("word " * 19 + "words!", "word " * 18 + "word\u2026"),
        ("a" * 101, "a" * 99 + "\u2026"),
        ("a\n b\tc", "a b c"),
    ],
)
def test_a_title_is_cut_at_a_word(text, short):
    assert TextFitter().title(text) == short


async def test_words_that_do_not_fit_may_be_refused_instead(double, certificate, tmp_path):
    desk = a_desk(double, certificate, tmp_path, misfits="refuse")
    desk.facts = {**FACTS, "title": "a" * 101}
    with pytest.raises(Refused, match="The title has 101 characters"):
        await desk.attempt()
    assert creations(double) == (0, 0)


async def test_a_thumbnail_that_cannot_be_is_refused_before_anything_is_sent(double, certificate, tmp_path):
    desk = a_desk(double, certificate, tmp_path, thumbnail="poster")
    with pytest.raises(Refused, match="no 'poster'"):
        await desk.attempt()
    desk.add("poster", "big.png", bytes(2**21 + 1), "image/png")
    with pytest.raises(Refused, match="2 MB"):
        await desk.attempt()
    assert double.calls == []


async def test_thumbnail_and_captions_come_once_even_if_their_answers_are_lost(double, certificate, tmp_path):
    desk = a_desk(double, certificate, tmp_path, thumbnail="poster", captions={"sub": "en"})
    desk.add("poster", "poster.jpg", b"\xff\xd8", "image/jpeg").add("sub", "en.srt", b"1\nwords\n", "text/plain")
    double.misstep("POST", "thumbnails", after=True)
    double.misstep("POST", "captions", after=True)
    receipt = await desk.through()
    assert only(double).thumbnail == b"\xff\xd8"
    assert [caption["snippet"]["language"] for caption in only(double).captions] == ["en"]
    assert receipt.facts["notes"] == []


async def test_what_youtube_does_not_take_besides_the_video_is_noted(double, certificate, tmp_path):
    desk = a_desk(double, certificate, tmp_path, thumbnail="poster")
    desk.add("poster", "poster.jpg", b"", "image/jpeg")
    receipt = await desk.attempt()
    assert "did not accept the thumbnail" in receipt.facts["notes"][0]


async def test_a_time_of_publication_is_set(double, certificate, tmp_path):
    desk = a_desk(
        double,
        certificate,
        tmp_path,
        privacy="private",
        publish_at="{{ talk.facts.due }}",
        link="https://www.youtube.com/watch?v={{ video }}",
    )
    desk.talk = replace(TALK, facts={"due": "2026-06-01T12:00:00+02:00"})
    receipt = await desk.attempt()
    assert only(double).status["publishAt"] == "2026-06-01T12:00:00+02:00"
    assert receipt.url == f"https://www.youtube.com/watch?v={receipt.facts['video']}"
    with pytest.raises(ValueError, match="private"):
        Options(account="channel", publish_at="2026-06-01T12:00:00Z")


# What is changed later


async def test_a_changed_description_follows_and_what_a_person_set_stays(desk, double):
    await desk.attempt()
    video = only(double)
    video.snippet |= {"categoryId": "28", "title": "A title from the Studio", "tags": [*video.snippet["tags"], "added"]}
    video.status["embeddable"] = False
    receipt = await desk.amend(facts={**FACTS, "description": "New words", "tags": ["Ada", "new"]})
    assert video.snippet == {
        "title": "A title from the Studio",
        "description": "New words",
        "categoryId": "28",
        "tags": ["vidd-01ABCDEF", "Ada", "new", "added"],
    }
    assert video.status["embeddable"] is False
    assert receipt.facts["words"]["description"] == "New words"


async def test_an_amendment_that_changes_nothing_writes_nothing(desk, double):
    await desk.attempt()
    double.calls.clear()
    await desk.amend()
    assert {call.method for call in double.calls} == {"GET"}


async def test_an_amendment_whose_reply_is_lost_is_made_again(desk, double):
    await desk.attempt()
    double.misstep("PUT", "v3/videos", after=True)
    await desk.amend(facts={**FACTS, "title": "Other"})
    assert only(double).snippet["title"] == "Other"


@pytest.mark.slow
async def test_a_talk_that_becomes_private_is_hidden_and_comes_back(desk, double):
    await desk.attempt()
    await desk.amend(talk=replace(TALK, private=True))
    assert only(double).status["privacyStatus"] == "private"
    receipt = await desk.amend(talk=TALK)
    assert only(double).status["privacyStatus"] == "unlisted"
    assert receipt.facts["privacy"] == "unlisted"


@pytest.mark.slow
async def test_a_private_talk_is_uploaded_as_private(desk, double):
    desk.talk = replace(TALK, private=True)
    await desk.attempt()
    assert only(double).status["privacyStatus"] == "private"


@pytest.mark.slow
async def test_a_talk_that_moves_changes_its_playlist(desk, double):
    await desk.attempt()
    await desk.amend(talk=replace(TALK, stage="Side"))
    assert double.titled("Main")[0].items == []
    assert [item[1] for item in double.titled("Side")[0].items] == [only(double).id]


@pytest.mark.slow
async def test_taking_back_makes_private_or_deletes_and_may_be_done_twice(desk, double):
    await desk.attempt()
    video = only(double)
    assert "private" in await desk.retract()
    double.calls.clear()
    assert "private" in await desk.retract()
    assert double.called("PUT", ".") == []
    assert video.status["privacyStatus"] == "private"
    desk.options = Options(**{**desk.options.model_dump(), "retract": "delete"})
    assert "deleted" in await desk.retract()
    assert double.videos == {}
    assert "not at YouTube any more" in await desk.retract()
    with pytest.raises(Refused, match="was deleted at YouTube"):
        await desk.amend()


async def test_what_a_person_said_was_published_can_be_amended_by_its_address(desk, double):
    await desk.attempt()
    receipt = desk.publication.receipt
    desk.publication = replace(desk.publication, receipt=replace(receipt, facts={}), token={})
    again = await desk.amend(facts={**FACTS, "title": "Other"})
    assert only(double).snippet["title"] == "Other"
    assert again.facts["video"] == receipt.facts["video"]


async def test_the_check_names_the_channel(desk):
    assert await youtube_publisher.check(desk.options, desk.tools) == (
        "The account channel has the channel 'Channel of somebody' (UC-somebody)."
    )
