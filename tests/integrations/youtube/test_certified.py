"""The double of YouTube, before vidd meets it: Google's own client takes it for the real thing."""

import hashlib
import io
import json

import google_auth_httplib2
import httplib2
import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaInMemoryUpload, MediaIoBaseUpload
from peers.certificates import make_certificate
from peers.oauth import CLIENT_ID, CLIENT_SECRET, UPLOAD
from peers.youtube import YouTube

PIECE = 256 * 1024
MOVIE = bytes(range(256)) * 3000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def double(certificate):
    made = YouTube()
    with made.serving(certificate):
        yield made


@pytest.fixture
def client(double, certificate):
    """Google's client; every request has a connection of its own pool, which it closes."""
    http = httplib2.Http(ca_certs=str(certificate.file))
    http.redirect_codes = http.redirect_codes - {308}
    refresh = double.oauth.sign_in()
    credentials = Credentials(
        None, refresh, token_uri=f"{double.url}/token", client_id=CLIENT_ID, client_secret=CLIENT_SECRET
    )
    document = dict(double.discovery.document, rootUrl=f"{double.url}/", baseUrl=f"{double.url}/")
    yield build_from(document, google_auth_httplib2.AuthorizedHttp(credentials, http=http))
    http.close()


def build_from(document, http):

    return build_from_document(json.dumps(document), http=http)


def upload(client, movie=MOVIE, **snippet):
    body = {"snippet": {"title": "A talk", "tags": ["a b", "c"], **snippet}, "status": {"privacyStatus": "unlisted"}}
    media = MediaIoBaseUpload(io.BytesIO(movie), "video/mp4", chunksize=PIECE, resumable=True)
    return client.videos().insert(part="snippet,status", body=body, media_body=media)


def finished(request):
    """Goes on after a 5xx as Google's samples do: by asking how far it came."""
    answer = None
    while answer is None:
        try:
            _, answer = request.next_chunk()
        except HttpError as error:
            if error.status_code < 500:
                raise
    return answer


def reason_of(raised):
    return json.loads(raised.value.content)["error"]["errors"][0]["reason"]


def test_googles_client_uploads_in_chunks_over_a_bad_day(client, double):
    double.misstep("PUT", "upload_id", "status", status=503, skip=1)
    double.sessions.takes = [PIECE, PIECE // 2, PIECE]
    video = finished(upload(client))
    kept = double.videos[video["id"]]
    assert kept.arrived.kept == MOVIE
    assert kept.arrived.sum == hashlib.sha256(MOVIE).hexdigest()
    assert len(double.videos) == 1
    assert any(
        call.headers.get("Content-Range") == f"bytes */{len(MOVIE)}" for call in double.called("PUT", "upload_id")
    )
    assert video["snippet"]["title"] == "A talk"


def test_googles_client_sees_processing_and_updates_the_whole_part(client, double):
    double.looks = 2
    video = finished(upload(client, description="words"))["id"]
    states = [
        client.videos().list(part="status", id=video).execute()["items"][0]["status"]["uploadStatus"] for _ in range(3)
    ]
    assert states == ["uploaded", "uploaded", "processed"]
    client.videos().update(
        part="snippet", body={"id": video, "snippet": {"title": "New", "categoryId": "28"}}
    ).execute()
    assert double.videos[video].snippet == {"title": "New", "categoryId": "28", "description": ""}
    client.videos().delete(id=video).execute()
    assert client.videos().list(part="id", id=video).execute()["items"] == []


def test_googles_client_makes_playlists_and_pages_through_them(client, double):
    video = finished(upload(client))["id"]
    for number in range(7):
        body = {"snippet": {"title": f"Stage {number}"}, "status": {"privacyStatus": "public"}}
        made = client.playlists().insert(part="snippet,status", body=body).execute()
    item = {"snippet": {"playlistId": made["id"], "resourceId": {"kind": "youtube#video", "videoId": video}}}
    client.playlistItems().insert(part="snippet", body=item).execute()
    request, titles = client.playlists().list(part="snippet", mine=True), []
    while request is not None:
        answer = request.execute()
        titles += [item["snippet"]["title"] for item in answer["items"]]
        request = client.playlists().list_next(request, answer)
    assert titles == [f"Stage {number}" for number in range(7)]
    there = client.playlistItems().list(part="contentDetails", playlistId=made["id"], videoId=video).execute()["items"]
    assert [item["contentDetails"]["videoId"] for item in there] == [video]
    client.playlistItems().delete(id=there[0]["id"]).execute()
    del double.playlists[made["id"]]
    with pytest.raises(HttpError) as raised:
        client.playlistItems().insert(part="snippet", body=item).execute()
    assert reason_of(raised) == "playlistNotFound"


def test_googles_client_finds_the_newest_uploads_after_the_lag(client, double):
    double.now = lambda: clock[0]
    clock = [1000.0]
    double.lag = 60
    first = finished(upload(client))["id"]
    channel = client.channels().list(part="contentDetails", mine=True).execute()["items"][0]
    uploads = channel["contentDetails"]["relatedPlaylists"]["uploads"]

    def listed():
        answer = client.playlistItems().list(part="contentDetails,snippet", playlistId=uploads).execute()
        return [item["contentDetails"]["videoId"] for item in answer["items"]]

    assert listed() == []
    clock[0] += 60
    second = finished(upload(client))["id"]
    assert listed() == [first]
    clock[0] += 60
    assert listed() == [second, first]


def test_googles_client_sets_a_thumbnail_and_brings_captions(client, double):
    video = finished(upload(client))["id"]
    client.thumbnails().set(videoId=video, media_body=MediaInMemoryUpload(b"\xff\xd8jpeg", "image/jpeg")).execute()
    assert double.videos[video].thumbnail == b"\xff\xd8jpeg"
    body = {"snippet": {"videoId": video, "language": "en", "name": ""}}
    words = b"1\n00:00:00,000 --> 00:00:01,000\nHello\n"
    media = MediaInMemoryUpload(words, "application/octet-stream")
    client.captions().insert(part="snippet", body=body, media_body=media).execute()
    listed = client.captions().list(part="snippet", videoId=video).execute()["items"]
    assert [item["snippet"]["language"] for item in listed] == ["en"]
    assert double.videos[video].captions[0]["media"].strip() == words.strip()
    with pytest.raises(HttpError) as raised:
        client.captions().insert(
            part="snippet", body=body, media_body=MediaInMemoryUpload(words, "text/plain")
        ).execute()
    assert reason_of(raised) == "captionExists"


@pytest.mark.parametrize(
    ("snippet", "reason"),
    [
        ({"title": "a" * 101}, "invalidTitle"),
        ({"title": "a < b"}, "invalidTitle"),
        ({"description": "ä" * 2501}, "invalidDescription"),
        ({"tags": ["a b" * 100, "c" * 198]}, "invalidTags"),
        ({"categoryId": "9999"}, "invalidCategoryId"),
        ({"colour": "red"}, "badRequest"),
        ({"title": 5}, "badRequest"),
        ({"publishedAt": "2026-01-01T00:00:00Z"}, "badRequest"),
    ],
)
def test_what_the_reference_forbids_is_refused(client, snippet, reason):
    with pytest.raises(HttpError) as raised:
        upload(client, **snippet).next_chunk()
    assert reason_of(raised) == reason


def test_quota_scopes_and_sessions_end(client, double, certificate):
    double.quota = 1600
    request = upload(client)
    request.next_chunk()
    double.sessions.expire()
    with pytest.raises(HttpError) as raised:
        request.next_chunk()
    assert raised.value.status_code == 404
    with pytest.raises(HttpError) as raised:
        client.channels().list(part="id", mine=True).execute()
    assert reason_of(raised) == "quotaExceeded"
    double.quota = None
    refresh = double.oauth.sign_in("uploader", (UPLOAD,))
    http = httplib2.Http(ca_certs=str(certificate.file))
    credentials = Credentials(
        None, refresh, token_uri=f"{double.url}/token", client_id=CLIENT_ID, client_secret=CLIENT_SECRET
    )
    document = dict(double.discovery.document, rootUrl=f"{double.url}/", baseUrl=f"{double.url}/")
    narrow = build_from(document, google_auth_httplib2.AuthorizedHttp(credentials, http=http))
    with pytest.raises(HttpError) as raised:
        narrow.channels().list(part="id", mine=True).execute()
    http.close()
    assert reason_of(raised) == "insufficientPermissions"
