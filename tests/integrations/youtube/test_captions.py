"""Caption tracks at YouTube: added once, updated in place, deleted again; what people made there stays."""

from dataclasses import replace

import pytest
from builders.captions import OTHER, SRT, CaptionDesk
from builders.youtube import Clock, an_account, the_tools
from peers.certificates import make_certificate
from peers.oauth import UPLOAD, YOUTUBE
from peers.youtube import YouTube

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.youtube import captions
from vidd.integrations.youtube.captions import Options
from vidd.integrations.youtube.quota import COSTS
from vidd.model.publication import Publication, Receipt


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def double(certificate):
    made = YouTube()
    with made.serving(certificate):
        yield made


class Desk(CaptionDesk):
    """One publication of captions for a video of the channel."""

    def __init__(self, double, certificate, directory, *, account=None, **settings):
        self.double = double
        self.video = double.add_video("On things")
        tools = the_tools(directory, account or an_account(double, certificate))
        assert isinstance(tools.clock, Clock)
        double.now = double.oauth.now = lambda: tools.clock.now().timestamp()
        facts = {"video": self.video.id, "account": "channel"}
        receipt = {"url": f"https://youtu.be/{self.video.id}", "facts": facts}
        super().__init__(directory, tools, captions, Options(**settings), "youtube", receipt)

    @property
    def tracks(self):
        return {caption["snippet"]["language"]: caption["media"] for caption in self.video.captions}


@pytest.fixture
def desk(double, certificate, tmp_path):
    return Desk(double, certificate, tmp_path)


async def test_each_language_is_a_track_and_the_receipt_names_them(desk):
    receipt = await desk.files(en=SRT, de=OTHER).publish()
    assert desk.tracks == {"en": SRT, "de": OTHER}
    ids = {caption["snippet"]["language"]: caption["id"] for caption in desk.video.captions}
    assert receipt == Receipt(
        f"https://youtu.be/{desk.video.id}",
        {"video": desk.video.id, "account": "channel", "tracks": ids, "notes": []},
    )


async def test_the_calls_cost_what_google_says_they_do(desk, double):
    await desk.files(en=SRT, de=OTHER).publish()
    assert double.spent == COSTS["captions.list"] + 2 * COSTS["captions.insert"]
    assert (COSTS["captions.insert"], COSTS["captions.update"], COSTS["captions.delete"]) == (400, 450, 50)


async def test_captions_that_a_person_made_stay_and_are_noted(desk, double):
    double.add_caption(desk.video, "en", b"by hand")
    receipt = await desk.files(en=SRT, de=OTHER).publish()
    assert desk.tracks == {"en": b"by hand", "de": OTHER}
    assert list(receipt.facts["tracks"]) == ["de"]
    assert "captions in en that vidd did not upload" in receipt.facts["notes"][0]


async def test_captions_that_youtube_made_itself_are_no_hindrance(desk, double):
    double.add_caption(desk.video, "en", b"heard", kind="ASR")
    desk.video.captions[0]["snippet"]["name"] = "automatic"
    receipt = await desk.files(en=SRT).publish()
    assert list(receipt.facts["tracks"]) == ["en"]
    assert [caption["media"] for caption in desk.video.captions] == [b"heard", SRT]


async def test_a_track_that_the_list_does_not_show_yet_is_not_added_again(desk, double):
    double.add_caption(desk.video, "en", b"by hand")
    double.lag = 1e12
    receipt = await desk.files(en=SRT).publish()
    assert desk.tracks == {"en": b"by hand"}
    assert "that vidd did not upload" in receipt.facts["notes"][0]


async def test_a_follow_up_updates_the_tracks_of_the_one_that_it_replaces(desk):
    first = await desk.files(en=SRT, de=SRT).publish()
    ids = dict(first.facts["tracks"])
    desk.replaced, desk.job = first, replace(desk.job, id="02CAPTIONS")
    desk.publication = Publication("02CAPTIONS", "youtube_captions", "youtube_captions", desk.tools.clock.now())
    second = await desk.files(en=OTHER).publish()
    assert desk.tracks == {"en": OTHER}
    assert second.facts["tracks"] == {"en": ids["en"]}


async def test_a_rework_of_the_captions_updates_them_in_place(desk):
    first = await desk.files(en=SRT).publish()
    desk.job = replace(desk.job, facts={**desk.job.facts, "rework": {"edition": 2, "step": "captions"}})
    second = await captions.replace_files(desk.options, desk.files(en=OTHER).context)
    assert desk.tracks == {"en": OTHER}
    assert second.facts["tracks"] == first.facts["tracks"]


async def test_a_replaced_track_that_somebody_deleted_is_added_anew(desk):
    first = await desk.files(en=SRT).publish()
    desk.video.captions.clear()
    desk.replaced = first
    desk.publication = Publication(desk.job.id, "youtube_captions", "youtube_captions", desk.tools.clock.now())
    second = await desk.files(en=OTHER).publish()
    assert desk.tracks == {"en": OTHER}
    assert second.facts["tracks"] != first.facts["tracks"]


async def test_a_retraction_deletes_the_tracks_of_vidd_only_and_can_be_repeated(desk, double):
    await desk.files(en=SRT).publish()
    double.add_caption(desk.video, "fr", b"by hand")
    assert "(en)" in await captions.retract(desk.options, desk.context)
    assert desk.tracks == {"fr": b"by hand"}
    await captions.retract(desk.options, desk.context)
    del double.videos[desk.video.id]
    await captions.retract(desk.options, desk.context)


async def test_without_a_receipt_there_is_nothing_to_retract(desk):
    assert "no caption track" in await captions.retract(desk.options, desk.context)


async def test_an_account_without_the_scope_is_told_which_one(double, certificate, tmp_path):
    token = double.oauth.sign_in(scopes=(YOUTUBE, UPLOAD))
    desk = Desk(double, certificate, tmp_path, account=an_account(double, certificate, refresh_token=token))
    with pytest.raises(Refused, match=r"youtube\.force-ssl") as refused:
        await desk.files(en=SRT).publish()
    assert refused.value.code is FaultCode.FORBIDDEN


async def test_a_video_of_another_channel_is_refused_with_what_to_do(desk):
    desk.video.channel = "UC-another"
    with pytest.raises(Refused, match="the channel that has the video"):
        await desk.files(en=SRT).publish()


async def test_a_deleted_video_is_refused(desk, double):
    del double.videos[desk.video.id]
    with pytest.raises(Refused) as refused:
        await desk.files(en=SRT).publish()
    assert refused.value.code is FaultCode.NOT_FOUND


async def test_captions_that_youtube_cannot_read_are_refused_with_its_reason(desk):
    with pytest.raises(Refused, match="unknownFormat"):
        await desk.files(en=b"no captions").publish()


async def test_a_used_up_quota_waits_for_the_next_day(desk, double):
    double.quota = 60
    with pytest.raises(RetryLater, match="used up") as fault:
        await desk.files(en=SRT).publish()
    assert not fault.value.counts


async def test_drafts_and_names_go_out_as_the_settings_say(double, certificate, tmp_path):
    desk = Desk(double, certificate, tmp_path, name="Made by vidd", draft=True)
    await desk.files(en=SRT).publish()
    [caption] = desk.video.captions
    assert (caption["snippet"]["name"], caption["snippet"]["isDraft"]) == ("Made by vidd", True)


@pytest.mark.parametrize(
    ("receipts", "sentence"),
    [({}, "it has: none"), ({"tube": {"url": None, "facts": {}}}, "it has: tube")],
)
async def test_a_job_that_follows_no_video_is_refused_with_what_there_is(desk, receipts, sentence):
    desk.job = replace(desk.job, facts={"published": {"receipts": receipts}})
    with pytest.raises(Refused, match=sentence):
        await desk.files(en=SRT).publish()


async def test_an_address_that_a_person_gave_names_the_video(desk):
    receipts = {"youtube": {"url": f"https://www.youtube.com/watch?v={desk.video.id}", "facts": {"resolved": "found"}}}
    desk.job = replace(desk.job, facts={"published": {"receipts": receipts}})
    with pytest.raises(Refused, match="which video of which account"):
        await desk.files(en=SRT).publish()
    desk.options = Options(account="channel")
    await desk.publish()
    assert desk.tracks == {"en": SRT}


async def test_text_without_times_is_no_captions(desk):
    with pytest.raises(Refused, match="no captions with times"):
        await desk.publish()


async def test_the_check_asks_the_account_only_where_one_is_named(desk):
    assert "the channel that has the video" in await captions.check(desk.options, desk.tools)
    assert "UC-somebody" in await captions.check(Options(account="channel"), desk.tools)
