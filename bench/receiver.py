"""A TLS server that takes uploads as fast as Python's ssl can and throws them away; its own cost is the same for all.

python bench/receiver.py CERTIFICATE KEY       prints its port; speaks just enough of YouTube, Facebook and plain PUT
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

_BLOCK = 2**18
_PIECE = 64 * 2**20
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RANGE = re.compile(rb"content-range: *bytes (?:(\d+)-(\d+)|\*)/(\d+)", re.IGNORECASE)

_FIXED: dict[str, Any] = {
    "/token": {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"},
    "/channels": {
        "items": [{"id": "UC1", "snippet": {"title": "c"}, "contentDetails": {"relatedPlaylists": {"uploads": "UU1"}}}]
    },
    "/youtube/v3/videos": {
        "items": [{"id": "v1", "status": {"uploadStatus": "processed", "privacyStatus": "unlisted"}}]
    },
    "/v1": {
        "id": "v1",
        "status": {"video_status": "ready"},
        "published": True,
        "permalink_url": "/1/videos/v1/",
    },
}


@dataclass
class Far:
    """What the services remember. `port` is this server's."""

    port: int
    held: int = 0
    size: int = 0

    def answer(self, line: str, head: bytes, body: bytes) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON for a request; of a large one `body` is only the beginning."""
        method, path = line.split(" ")[:2]
        if method == "POST" and path.startswith("/upload/youtube/v3/videos"):
            self.held = 0
            return 200, {"Location": f"https://127.0.0.1:{self.port}/session"}, {}
        if path == "/session":
            return self._session(head)
        if method == "POST" and path.endswith("/videos"):
            return self._facebook(body)
        return 200, {}, next((document for part, document in _FIXED.items() if part in path), {})

    def _session(self, head: bytes) -> tuple[int, dict[str, str], Any]:
        match = _RANGE.search(head)
        if match and match[2]:
            self.held = int(match[2]) + 1
        if match and self.held == int(match[3]):
            return 200, {}, {"id": "v1"}
        return 308, {"Range": f"bytes=0-{self.held - 1}"} if self.held else {}, {}

    def _facebook(self, body: bytes) -> tuple[int, dict[str, str], Any]:
        if b"start_offset" in body and b"upload_phase" in body and b"transfer" in body:
            self.held = min(self.size, self.held + _PIECE)
        elif b"finish" in body:
            return 200, {}, {"success": True}
        else:
            found = re.search(rb"file_size(?:=|\"\r\n(?:[^\r\n]+\r\n)*\r\n)(\d+)", body)
            self.held, self.size = 0, int(found[1]) if found else 0
        end = min(self.size, self.held + _PIECE)
        return 200, {}, {
            "video_id": "v1",
            "upload_session_id": "s1",
            "start_offset": str(self.held),
            "end_offset": str(end),
        }  # fmt: skip


def serve(line: ssl.SSLSocket, far: Far) -> None:
    """Answer requests on one connection until it ends."""
    block = bytearray(_BLOCK)
    rest = b""
    while True:
        while b"\r\n\r\n" not in rest:
            more = line.recv(65536)
            if not more:
                return
            rest += more
        head, _, body = rest.partition(b"\r\n\r\n")
        if b"100-continue" in head.lower():
            line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        match = _LENGTH.search(head)
        length = int(match[1]) if match else 0
        kept, left = body[:length], length - len(body[:length])
        rest = body[length:]
        while left:
            count = line.recv_into(block, min(left, _BLOCK))
            if not count:
                return
            if len(kept) < 4096:
                kept += block[:count]
            left -= count
        status, headers, document = far.answer(head.partition(b"\r\n")[0].decode(), head, kept)
        payload = json.dumps(document).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(payload)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        line.sendall(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + payload)


def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = Far(listening.getsockname()[1])
        print(far.port, flush=True)
        while True:
            plain, _ = listening.accept()
            threading.Thread(target=_one, args=(plain, context, far), daemon=True).start()


def _one(plain: socket.socket, context: ssl.SSLContext, far: Far) -> None:
    try:
        with context.wrap_socket(plain, server_side=True) as line:
            serve(line, far)
    except OSError as error:
        print(f"{time.time():.3f} {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
