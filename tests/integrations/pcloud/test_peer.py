"""The double of pCloud's API, certified by a public client of it."""

import hashlib
import os

import pytest
from builders.pcloud import PASSWORD, TOKEN, certificate, service

pytest.importorskip("pcloud")

__all__ = ["certificate", "service"]
FILE = os.urandom(300_011)


@pytest.fixture
def connect(service, monkeypatch):
    """The client is pointed here by a protocol of its own kind, and trusts the test's authority by httpx's variable."""
    from pcloud import PyCloud
    from pcloud.jsonprotocol import PCloudJSONConnection

    class Local:
        endpoint = f"{service.url}/"
        connection = PCloudJSONConnection

    monkeypatch.setitem(PyCloud.endpoints, "local", Local)
    monkeypatch.setenv("SSL_CERT_FILE", str(service.ca))
    made = []

    def connect(user="Ada@Example.org", password=PASSWORD, **how):
        made.append(PyCloud(user, password, endpoint="local", **how))
        return made[-1]

    yield connect
    for py_cloud in made:
        py_cloud.connection.session.close()


def test_the_client_logs_in_by_digest_and_reads_the_account(connect, service):
    client = connect()
    assert client.userinfo()["email"] == "Ada@example.org"
    assert service.logins == 1


def test_the_client_is_told_that_its_password_is_wrong(connect):
    from pcloud.api import AuthenticationError

    with pytest.raises(AuthenticationError, match="2000"):
        connect(password="wrong")


def test_the_client_is_let_in_by_a_token(connect):
    client = connect("", TOKEN, oauth2=True)
    assert client.listfolder(folderid=0)["result"] == 0
    assert connect("", "ANOTHERTOKEN", oauth2=True).listfolder(folderid=0)["result"] == 2094


def test_what_the_client_uploads_is_there_with_its_checksums_and_its_name(connect, service):
    client = connect()
    folder = client.createfolderifnotexists(folderid=0, name="Ordner ü")["metadata"]["folderid"]
    assert client.createfolderifnotexists(folderid=0, name="Ordner ü")["metadata"]["folderid"] == folder
    answer = client.uploadfile(data=FILE, filename="talk (1).mp4", folderid=folder)
    [about] = answer["metadata"]
    assert (about["size"], about["name"], about["parentfolderid"]) == (len(FILE), "talk (1).mp4", folder)
    sums = client.checksumfile(fileid=about["fileid"])
    assert sums["sha1"] == answer["checksums"][0]["sha1"] == hashlib.sha1(FILE).hexdigest()
    assert ("sha256" in sums, "md5" in sums) == (True, False)
    assert service.tree("/Ordner ü") == {"talk (1).mp4": FILE}
    listed = client.listfolder(folderid=0, recursive=1)["metadata"]["contents"]
    assert [content["name"] for content in listed[0]["contents"]] == ["talk (1).mp4"]


def test_an_overwriting_upload_keeps_the_id_and_a_rename_over_a_file_ends_it(connect, service):
    client = connect()
    first = client.uploadfile(data=b"one", filename="a.txt", folderid=0)["fileids"][0]
    assert client.uploadfile(data=b"two", filename="a.txt", folderid=0)["fileids"] == [first]
    second = client.uploadfile(data=b"three", filename="b.txt", folderid=0)["fileids"][0]
    renamed = client.renamefile(fileid=second, tofolderid=0, toname="a.txt")["metadata"]
    assert (renamed["fileid"], renamed["deletedfileid"]) == (second, first)
    assert client.stat(fileid=first)["result"] == 2009
    assert service.tree() == {"a.txt": b"three"}
    assert service.folder("/").files["a.txt"].revisions == [b"one", b"two"]


def test_the_client_finds_and_misses_files_by_path(connect):
    client = connect()
    client.uploadfile(data=b"one", filename="a.txt", folderid=0)
    assert client.file_exists(path="/a.txt")
    assert not client.file_exists(path="/b.txt")


def test_the_client_deletes(connect, service):
    client = connect()
    folder = client.createfolder(folderid=0, name="x")["metadata"]["folderid"]
    file = client.uploadfile(data=b"one", filename="a.txt", folderid=folder)["fileids"][0]
    assert client.deletefolder(folderid=folder)["result"] == 2006
    assert client.deletefile(fileid=file)["metadata"]["isdeleted"] is True
    assert client.deletefile(fileid=file)["result"] == 2009
    assert client.deletefolder(folderid=folder)["result"] == 0
    assert client.listfolder(folderid=folder)["result"] == 2005
    assert service.tree() == {}


def test_what_the_api_does_not_know_is_refused(connect):
    assert connect().listfolder(folderid=0, depth=3)["result"] == 1099
