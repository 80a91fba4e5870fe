"""A laboratory: a CMS as a process, files beside it, a network between them and vidd, and somebody who uploads."""

from __future__ import annotations

import http.client
import json
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from footage.clips import film
from peers.cms import a_video
from peers.daemon import Place, Running, until
from peers.network import Network

SETTINGS = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"
grace = "5s"

[limits]
disk_reserve = "1MiB"
jobs = 8

[retry]
attempts = 1000
first = "200ms"
longest = "2s"

[accounts.lab]
kind = "cms"
url = "http://127.0.0.1:{cms}/api/graphql"
connect_timeout = "2s"
timeout = "2s"

[sources.uploads]
kind = "cms"
account = "lab"
pipeline = "cms"
recording = "http://127.0.0.1:{files}/{{{{ file_id }}}}"
ping = "500ms"
pong = "500ms"
greeting = "2s"
catch_up = "2s"
longest_wait = "1s"

[[pipelines.cms.publish]]
kind = "folder"
path = "out"
name = "{{{{ name }}}}{{{{ suffix }}}}"
"""
_UPLOAD = "mutation ($number: Int!) { createVideoObject(number: $number) { id } }"


def content(file_id: str) -> bytes:
    """What the file of this id holds."""
    return film(f"the film {file_id}\n".encode() * 20)


class _Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = content(self.path.removeprefix("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class CmsProcess:
    """The CMS, and somebody who uploads to it."""

    def __init__(self, place: Place, port: int) -> None:
        self.place, self.port = place, port
        self._shelf = place.root / "site" / "shelf.jsonl"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the CMS, and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "peers.cms", str(self.port), str(self._shelf)], env=self.place.environment()
        )
        until(lambda: self._ask("{ __typename }"), "the CMS answers")

    def kill(self) -> None:
        """Kill it, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ask(self, query: str, **variables: object) -> dict | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            body = json.dumps({"query": query, "variables": variables})
            connection.request("POST", "/api/graphql", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return answer["data"]

    def upload(self, number: int) -> None:
        """Upload once, however often the CMS has to be asked: the same number is the same video."""
        until(lambda: self._ask(_UPLOAD, number=number), f"the CMS takes upload {number}", 120)


@contextmanager
def a_cms(place: Place):
    """A CMS that is up."""
    cms = CmsProcess(place, _free_port())
    try:
        cms.start()
        yield cms
    finally:
        cms.kill()


class Lab:
    """Made by `a_lab`. Its CMS and its vidd are up, until they are killed."""

    def __init__(self, place: Place, network: Network, files: int, cms: int) -> None:
        self.place, self.network = place, network
        self.cms = CmsProcess(place, cms)
        self.start_cms, self.kill_cms, self.upload = self.cms.start, self.cms.kill, self.cms.upload
        self._daemon = ExitStack()
        self.vidd: Running
        self.kills = {"cms": 0, "vidd": 0, "network": 0}
        text = SETTINGS.format(root=place.root, cms=network.way_to(cms), files=network.way_to(files))
        place.config.write_text(text)

    def start_vidd(self) -> None:
        """Start the daemon; it need not be ready when this returns."""
        self.vidd = self._daemon.enter_context(self.place.daemon())

    def kill_vidd(self) -> None:
        """Kill it, whatever it is doing."""
        self.vidd.process.kill()
        self.vidd.process.wait()
        self._daemon.close()

    def close(self) -> None:
        """End what runs."""
        self._daemon.close()
        self.kill_cms()

    @contextmanager
    def uploading(self, number: int, every: float):
        """Somebody uploads so many, meanwhile; yields what tells whether he is done."""
        thread = threading.Thread(target=self._upload_all, args=(number, every), name="uploader")
        thread.start()
        try:
            yield lambda: not thread.is_alive()
        finally:
            thread.join(300)

    def _upload_all(self, number: int, every: float) -> None:
        for index in range(number):
            self.upload(index)
            time.sleep(every)

    def out(self) -> dict[str, bytes]:
        """The published files by name."""
        return {path.name: path.read_bytes() for path in (self.place.root / "out").iterdir()}


def expected(number: int) -> dict[str, bytes]:
    """What is to be published of so many uploads."""
    videos = [a_video(index) for index in range(number)]
    return {f"{video['id']}.mp4": content(video["pCloudFileId"]) for video in videos}


def _free_port() -> int:
    """A port below those that systems give out by themselves, so that nobody takes it while the CMS is dead."""
    chance = random.Random()
    while True:
        port = chance.randrange(15_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def a_lab(place: Place):
    """A laboratory in which everything is up; nothing of it runs on after the block."""
    files = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    files.daemon_threads = True
    serving = threading.Thread(target=files.serve_forever, name="files")
    serving.start()
    try:
        with Network().running() as network:
            lab = Lab(place, network, files.server_address[1], _free_port())
            try:
                lab.start_cms()
                lab.start_vidd()
                yield lab
            finally:
                lab.close()
    finally:
        files.shutdown()
        serving.join()
        files.server_close()
