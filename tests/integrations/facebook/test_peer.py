"""The double of the Graph API, certified by the provider's own client."""

import hashlib
import os

import pytest
from peers.certificates import make_certificate
from peers.facebook import Facebook, GraphRefusal
from peers.service import Service

pytest.importorskip("facebook_business")


FILE = os.urandom(3 * 2**20 + 4711)


@pytest.fixture
def double(tmp_path):
    service = Facebook()
    service.page("act_77", "Advertiser", "EAAADTOKEN")
    certificate = make_certificate(tmp_path)
    with service.serving(certificate):
        service.ca = str(certificate.file)
        yield service


@pytest.fixture
def video(double, tmp_path, monkeypatch):
    """The provider's video object; its uploader's host is written into it, so requests to it are turned round."""
    from facebook_business.adobjects.advideo import AdVideo
    from facebook_business.api import FacebookAdsApi
    from facebook_business.session import FacebookSession

    session = FacebookSession("1", "the app's secret", "EAAADTOKEN")
    session.requests.verify = double.ca
    session.requests.trust_env = False
    send = session.requests.request

    def turned(method, url, **more):
        for host in ("https://graph-video.facebook.com", "https://graph.facebook.com"):
            url = url.replace(host, double.url)
        return send(method, url, **more)

    monkeypatch.setattr(session.requests, "request", turned)
    double.app_secret = "the app's secret"
    path = tmp_path / "talk.mp4"
    path.write_bytes(FILE)
    video = AdVideo(parent_id="act_77", api=FacebookAdsApi(session, "v26.0"))
    video[AdVideo.Field.filepath] = str(path)
    yield video
    session.requests.close()


def uploaded(video, **how):
    from facebook_business.video_uploader import VideoUploadSession

    return VideoUploadSession(video, **how).start()


def test_the_providers_own_uploader_brings_a_file_whole(double, video):
    made = uploaded(video, wait_for_encoding=True, interval=0)
    film = double.films[made["id"]]
    assert film.sha256 == hashlib.sha256(FILE).hexdigest()
    assert film.title == "talk.mp4"
    assert double.count("transfer") == 4


@pytest.mark.slow
def test_the_providers_own_uploader_goes_on_at_the_offset_an_error_names(double, video):
    """A chunk is counted and its answer is replaced, so that the client sends it twice and is told where it stands."""
    refusal = GraphRefusal(500, 2, "Service temporarily unavailable", is_transient=True)
    double.goes_wrong("transfer", "answer", refusal=refusal, after=True, skip=1)
    made = uploaded(video)
    assert double.wrong_offsets == 1
    assert double.films[made["id"]].sha256 == hashlib.sha256(FILE).hexdigest()


def test_the_providers_own_client_reads_the_errors(double, video):
    from facebook_business.exceptions import FacebookRequestError

    double.revoked["EAAADTOKEN"] = 463
    with pytest.raises(FacebookRequestError) as caught:
        uploaded(video)
    assert (caught.value.api_error_code(), caught.value.api_error_subcode()) == (190, 463)
    assert caught.value.http_status() == 400


def test_what_the_protocol_does_not_know_is_refused(double, video):
    from facebook_business.exceptions import FacebookRequestError

    with pytest.raises(FacebookRequestError) as caught:
        video.get_api_assured().call("POST", ("act_77", "advideos"), {"upload_phase": "start", "size": 5})
    assert caught.value.api_error_code() == 100


def test_it_is_a_service():
    assert issubclass(Facebook, Service)
