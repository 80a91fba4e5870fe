"""The example of docs/how-to/write-an-integration.md works as it stands there."""

import re
import tomllib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from peers.daemon import until
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.pipelines import registry
from vidd.pipelines.registry import entry_of, model_of, publisher_module, source_module, step_module
from vidd.ports import kinds

PAGE = (Path(__file__).parents[2] / "docs/how-to/write-an-integration.md").read_text()
FILES = dict(re.findall(r'^```\w+ title="(.*?)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))
BRIEF = "[vidd.steps]\nchecksums = vidd_checksums\n[vidd.sources]\nweb_list = vidd_web_list\n"
SETTINGS = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"

[limits]
disk_reserve = "1MiB"

[retry]
first = "100ms"

[accounts.cloud]
kind = "nextcloud"
url = "{url}/files"
user = "vidd"
password_file = "cloud.secret"

[sources.list]
kind = "web_list"
url = "{url}/list.json"
every = "1s"
pipeline = "talks"

[[pipelines.talks.steps]]
kind = "checksums"

[[pipelines.talks.publish]]
kind = "nextcloud"
account = "cloud"
files = ["source", "checksums"]
"""


class Cloud(ThreadingHTTPServer):
    """A list of recordings, and a Nextcloud whose answer to the first file that it stores is lost."""

    daemon_threads = True

    def __init__(self, recording):
        super().__init__(("127.0.0.1", 0), Answers)
        self.recording, self.stored, self.requests, self.to_lose = recording, {}, [], 2  # aiohttp repeats a PUT once
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if self.path == "/list.json":
            text = f'[{{"name": "talk.mp4", "url": "{self.server.url}/talk.mp4", "changed": "1"}}]'
            self.answer(200, text.encode(), **{"Content-Type": "application/json"})
        else:
            self.answer(200, self.server.recording, ETag='"1"')

    def do_MKCOL(self):
        self.answer(201 if self.headers["Authorization"] == "Basic dmlkZDp0b2xkLXRvLW5vYm9keQ==" else 401)

    def do_HEAD(self):
        self.server.requests.append(("HEAD", self.path))
        known = self.server.stored.get(self.path)
        self.answer(404 if known is None else 200, known or b"")

    def do_PUT(self):
        self.server.requests.append(("PUT", self.path))
        self.server.stored[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.to_lose:
            self.server.to_lose -= 1
            self.close_connection = True
        else:
            self.answer(201)

    def do_DELETE(self):
        self.server.requests.append(("DELETE", self.path))
        self.answer(404 if self.server.stored.pop(self.path, None) is None else 204)

    def log_message(self, *_words):
        pass


@contextmanager
def serving(recording):
    with Cloud(recording) as cloud:
        thread = Thread(target=cloud.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield cloud
        finally:
            cloud.shutdown()
            thread.join()


def install(directory):
    """What pip makes of the packages: their files, and their entry points beside them."""
    points = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]
    text = "\n".join(
        f"[{group}]\n" + "\n".join(f"{name} = {module}" for name, module in rows.items())
        for group, rows in points.items()
    )
    for name, code in FILES.items():
        if name.endswith(".py"):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(code)
    (directory / "vidd_nextcloud/__init__.py").touch()
    described = directory / "vidd_nextcloud-0.1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: vidd-nextcloud\nVersion: 0.1.0\n")
    (described / "entry_points.txt").write_text(f"{text}\n{BRIEF}")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    registry._foreign.cache_clear()
    yield
    registry._foreign.cache_clear()


@pytest.mark.usefixtures("installed")
def test_the_kinds_of_the_page_keep_the_protocols_and_say_what_they_are():
    assert isinstance(publisher_module("nextcloud"), kinds.Publisher)
    assert isinstance(publisher_module("nextcloud"), kinds.Retracts)
    assert isinstance(step_module("checksums"), kinds.Step)
    assert isinstance(source_module("web_list"), kinds.Source)
    for family, kind in (("publishers", "nextcloud"), ("steps", "checksums"), ("sources", "web_list")):
        assert entry_of(family, kind).summary.endswith(".")
        assert [name for name, field in model_of(family, kind).model_fields.items() if not field.description] == []
    shown = CliRunner().invoke(app, ["kinds", "nextcloud"])
    assert "publisher nextcloud" in shown.output
    assert "account nextcloud" in shown.output


@pytest.mark.usefixtures("installed")
def test_the_settings_of_the_page_can_be_used(tmp_path):
    (tmp_path / "vidd.toml").write_text(FILES["vidd.toml"])
    environment = {"VIDD_ACCOUNTS__CLOUD__PASSWORD": "told-to-nobody", "VIDD_LIMITS__DISK_RESERVE": "1"}
    words = ["check", "--config", str(tmp_path / "vidd.toml"), "--state-dir", str(tmp_path)]
    checked = CliRunner().invoke(app, words, env=environment)
    assert (checked.exit_code, "publishes to nextcloud" in checked.output) == (0, True), checked.output


@pytest.mark.daemon
def test_a_recording_of_the_list_goes_to_nextcloud_once_though_an_answer_is_lost(place, clip):
    install(place.root / "site")
    with serving(clip.read_bytes()) as cloud:
        place.config.write_text(SETTINGS.format(root=place.root, url=cloud.url))
        (place.root / "cloud.secret").write_text("told-to-nobody\n")
        with place.daemon() as running:
            job = running.job("published")
            [publication] = job["publications"]
            path = f"/files/Talks/{job['id']}"
            assert publication["receipt"]["url"] == f"{cloud.url}{path}-source.mp4"
            assert cloud.stored.keys() == {f"{path}-source.mp4", f"{path}-checksums"}
            assert cloud.stored[f"{path}-source.mp4"] == clip.read_bytes()
            sent = [("PUT", f"{path}-source.mp4")]
            assert cloud.requests[:3] == [*sent, *sent, ("HEAD", f"{path}-source.mp4")]
            assert running.ask(f"/api/jobs/{job['id']}/retract", {})[0] < 300
            until(lambda: cloud.stored == {}, "what was published is taken back")
            running.stopped()
