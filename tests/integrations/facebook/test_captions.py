"""Captions on a Facebook page: by locale, repeated without harm, taken back; what people made there stays."""

from dataclasses import replace

import pytest
from builders.captions import OTHER, SRT, CaptionDesk
from builders.youtube import Clock
from peers.certificates import make_certificate
from peers.facebook import Facebook, GraphRefusal

from vidd.errors import FaultCode, Refused
from vidd.integrations.facebook import captions
from vidd.integrations.facebook.account import Account
from vidd.integrations.facebook.captions import Options
from vidd.model.publication import Publication, Receipt
from vidd.ports import Encoder, Tools

TOKEN = "EAAPAGETOKEN1001SECRET"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def double(certificate):
    made = Facebook()
    made.page(token=TOKEN)
    with made.serving(certificate):
        yield made


class Desk(CaptionDesk):
    """One publication of captions for a film of the page."""

    def __init__(self, double, certificate, directory):
        self.film = double.add_film()
        account = Account(token=TOKEN, page="1001", url=double.url, video_url=double.url, ca=certificate.file)
        tools = Tools(directory, Encoder(directory / "ffmpeg"), Clock(), accounts={"page": account})
        receipt = {"url": "https://www.facebook.com/v", "facts": {"video": self.film.id, "account": "page"}}
        super().__init__(directory, tools, captions, Options(), "facebook", receipt)


@pytest.fixture
def desk(double, certificate, tmp_path):
    return Desk(double, certificate, tmp_path)


async def test_each_language_goes_out_as_a_file_of_its_locale(desk):
    receipt = await desk.files(en=SRT, pt=OTHER, es_ES=SRT).publish()
    assert desk.film.captions == {"en_US": SRT, "pt_BR": OTHER, "es_ES": SRT}
    facts = {"video": desk.film.id, "account": "page", "locales": ["en_US", "pt_BR", "es_ES"], "notes": []}
    assert receipt == Receipt("https://www.facebook.com/v", facts)


async def test_the_settings_name_other_locales(desk):
    desk.options = Options(locales={"en": "en_GB"})
    await desk.files(en=SRT).publish()
    assert list(desk.film.captions) == ["en_GB"]


async def test_a_language_without_a_locale_is_refused_before_anything_is_sent(desk):
    with pytest.raises(Refused, match="'gsw' is not known: write it under locales") as refused:
        await desk.files(en=SRT, gsw=SRT).publish()
    assert refused.value.code is FaultCode.BAD_SETTINGS
    assert desk.film.captions == {}


async def test_a_locale_that_facebook_does_not_know_is_refused_with_its_words(desk):
    desk.options = Options(locales={"en": "en_XX"})
    with pytest.raises(Refused, match=r"filename\.locale\.srt"):
        await desk.files(en=SRT).publish()


async def test_captions_that_a_person_made_stay_and_those_of_facebook_itself_give_way(desk):
    desk.film.captions = {"en_US": b"by hand --> x", "de_DE": b"heard"}
    desk.film.automatic = {"de_DE"}
    receipt = await desk.files(en=SRT, de=OTHER).publish()
    assert desk.film.captions == {"en_US": b"by hand --> x", "de_DE": OTHER}
    assert (receipt.facts["locales"], len(receipt.facts["notes"])) == (["de_DE"], 1)


async def test_a_follow_up_replaces_the_captions_before_it_and_deletes_what_is_not_wanted_any_more(desk):
    desk.replaced = await desk.files(en=SRT, de=SRT).publish()
    desk.publication = Publication("02CAPTIONS", "facebook_captions", "facebook_captions", desk.tools.clock.now())
    await desk.files(en=OTHER).publish()
    assert desk.film.captions == {"en_US": OTHER}


async def test_a_retraction_deletes_those_of_vidd_and_can_be_repeated(desk, double):
    await desk.files(en=SRT).publish()
    desk.film.captions["fr_FR"] = b"by hand"
    assert "(en_US)" in await captions.retract(desk.options, desk.context)
    assert desk.film.captions == {"fr_FR": b"by hand"}
    double.films.clear()
    await captions.retract(desk.options, desk.context)


async def test_without_a_receipt_there_is_nothing_to_retract(desk):
    assert "no captions" in await captions.retract(desk.options, desk.context)


async def test_a_token_that_was_revoked_is_refused_with_what_to_do(desk, double):
    double.revoked[TOKEN] = 460
    with pytest.raises(Refused, match="does not accept the token") as refused:
        await desk.files(en=SRT).publish()
    assert refused.value.code is FaultCode.UNAUTHORIZED


async def test_a_server_that_fails_for_a_moment_is_asked_again(desk, double):
    double.goes_wrong("caption", "answer", refusal=GraphRefusal(500, 2, "An unexpected error", is_transient=True))
    await desk.files(en=SRT).publish()
    assert desk.film.captions == {"en_US": SRT}


async def test_a_job_that_follows_no_video_is_refused_with_what_there_is(desk):
    desk.job = replace(desk.job, facts={"published": {"receipts": {"youtube": {"url": "x", "facts": {}}}}})
    with pytest.raises(Refused, match="it has: youtube"):
        await desk.files(en=SRT).publish()


async def test_text_without_times_is_no_captions(desk):
    with pytest.raises(Refused, match="no captions with times"):
        await desk.publish()


async def test_the_check_names_an_account_that_is_not_there(desk):
    assert "the page that has the video" in await captions.check(desk.options, desk.tools)
    with pytest.raises(Refused, match="There is no account 'other'"):
        await captions.check(Options(account="other"), desk.tools)
