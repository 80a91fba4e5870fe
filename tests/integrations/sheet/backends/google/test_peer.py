"""Google's own client at the double: what it takes and gives is what the real service would."""

import json
from contextlib import ExitStack

import google_auth_httplib2
import httplib2
import pytest
from google.oauth2.service_account import Credentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError
from peers.certificates import make_certificate
from peers.oauth import OAuth
from peers.sheets import READING, SHEETS, Sheets

pytestmark = pytest.mark.peer


@pytest.fixture
def far(tmp_path):
    double = Sheets(OAuth())
    certificate = make_certificate(tmp_path)
    with double.serving(certificate):
        double.certificate = certificate.file
        double.book().add("Day 1", [["uuid", "status"], ["t-1", "uploaded"], ["007", "=B2"]])
        yield double


@pytest.fixture
def client(far):
    """Google's client of a service, signed in."""
    key = json.loads(far.oauth.add_service_account(f"{far.url}/token", scopes=(SHEETS, READING)))
    signed = Credentials.from_service_account_info(key, scopes=[SHEETS, READING])
    with ExitStack() as opened:

        def made(name="sheets", version="v4", root=""):
            http = google_auth_httplib2.AuthorizedHttp(signed, http=httplib2.Http(ca_certs=str(far.certificate)))
            opened.callback(http.close)
            return discovery.build(
                name, version, http=http, static_discovery=True, client_options={"api_endpoint": far.url + root}
            )

        yield made


def test_googles_client_reads_all_tabs_at_once(far, client):
    found = (
        client()
        .spreadsheets()
        .values()
        .batchGet(spreadsheetId="book-1", ranges=["'Day 1'!A1:B9", "'Day 1'!A:A"], valueRenderOption="FORMULA")
        .execute()
    )
    assert [value_range["values"] for value_range in found["valueRanges"]] == [
        [["uuid", "status"], ["t-1", "uploaded"], [7.0, "=B2"]],
        [["uuid"], ["t-1"], [7.0]],
    ]


def test_googles_client_writes_values(far, client):
    body = {"valueInputOption": "RAW", "data": [{"range": "'Day 1'!B2", "values": [["=not a formula"]]}]}
    client().spreadsheets().values().batchUpdate(spreadsheetId="book-1", body=body).execute()
    assert far.book().tabs[0].cells[1][1].value == {"stringValue": "=not a formula"}


def test_googles_client_copies_writes_and_is_told_what_stood_there(far, client):
    body = {
        "requests": [
            {
                "addSheet": {
                    "properties": {
                        "sheetId": 99,
                        "title": "kept",
                        "hidden": True,
                        "gridProperties": {"rowCount": 3, "columnCount": 2},
                    }
                }
            },
            {
                "copyPaste": {
                    "source": {"sheetId": 7, "startRowIndex": 0, "endRowIndex": 3},
                    "destination": {"sheetId": 99},
                    "pasteType": "PASTE_VALUES",
                }
            },
            {
                "updateCells": {
                    "start": {"sheetId": 7, "rowIndex": 1, "columnIndex": 1},
                    "rows": [{"values": [{"userEnteredValue": {"stringValue": "published"}, "note": "so"}]}],
                    "fields": "userEnteredValue,note",
                }
            },
        ],
        "includeSpreadsheetInResponse": True,
        "responseIncludeGridData": True,
    }
    answer = client().spreadsheets().batchUpdate(spreadsheetId="book-1", body=body).execute()
    first, kept = answer["updatedSpreadsheet"]["sheets"]
    assert kept["properties"]["hidden"] is True
    assert kept["data"][0]["rowData"][1]["values"][1]["userEnteredValue"] == {"stringValue": "uploaded"}
    assert first["data"][0]["rowData"][1]["values"][1]["note"] == "so"


def test_a_batch_with_one_bad_request_changes_nothing(far, client):
    good = {
        "updateCells": {
            "start": {"sheetId": 7, "rowIndex": 1, "columnIndex": 1},
            "rows": [{"values": [{"userEnteredValue": {"stringValue": "published"}}]}],
            "fields": "userEnteredValue",
        }
    }
    for bad in (
        {"updateCells": {**good["updateCells"], "start": {"sheetId": 7, "rowIndex": 3}}},
        {"updateCells": {**good["updateCells"], "fields": "userEnteredVolume"}},
        {"updateCells": {**good["updateCells"], "strat": {}}},
        {"copyPaste": {"source": {"sheetId": 8}, "destination": {"sheetId": 7}}},
        {"copyPaste": {"source": {"sheetId": 7}, "destination": {"sheetId": 7}, "pasteType": "PASTE_ALL"}},
        {"addSheet": {"properties": {"title": "day 1"}}},
    ):
        with pytest.raises(HttpError) as refused:
            client().spreadsheets().batchUpdate(spreadsheetId="book-1", body={"requests": [good, bad]}).execute()
        assert refused.value.status_code == 400
    assert far.book().tabs[0].text(2, 1) == "uploaded"


def test_googles_client_asks_drive_for_the_version(far, client):
    files = client("drive", "v3", "/drive/v3/").files()
    before = files.get(fileId="book-1", fields="version").execute()
    far.book().apply([{"updateSheetProperties": {"properties": {"sheetId": 7, "title": "x"}, "fields": "title"}}])
    assert int(files.get(fileId="book-1", fields="version").execute()["version"]) == int(before["version"]) + 1


def test_who_may_not_is_told_so_as_google_does(far, client):
    far.allowed = set()
    with pytest.raises(HttpError) as refused:
        client().spreadsheets().get(spreadsheetId="book-1").execute()
    assert (refused.value.status_code, refused.value.reason) == (403, "The caller does not have permission")
    far.allowed = None
    with pytest.raises(HttpError) as refused:
        client().spreadsheets().get(spreadsheetId="book-2").execute()
    assert refused.value.status_code == 404
