"""A web server whose answers stop in the middle."""

import http.server
import threading
from contextlib import contextmanager, suppress

from peers.daemon import DEADLINE


class _Served(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content, stop_after = self.server.content, self.server.stop_after
        self.server.firsts.append(
            first := int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        )
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("ETag", '"1"')
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[first:stop_after])
        self.wfile.flush()
        if self.server.go_on.wait(DEADLINE):
            with suppress(OSError):
                self.wfile.write(content[max(first, stop_after) :])

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served(content: bytes, *, stop_after: int):
    """A web server with one file at every path; the answers stop in the middle until `go_on` is set.

    `url` is its address, `firsts` the numbers of the first bytes it was asked for.
    """
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Served) as server:
        server.content, server.stop_after, server.go_on, server.firsts = content, stop_after, threading.Event(), []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()
