"""A plugin of proxy.py: the far side of a proxy, whose names nobody else knows.

Names below `.test` lead to this host; `refused.test` is not allowed. The proxy appends each host and port that it was
asked for to the file of the environment's FAR_SIDE_LOG.
"""

from __future__ import annotations

import os
from pathlib import Path

from proxy.http.exception import HttpRequestRejected
from proxy.http.proxy import HttpProxyBasePlugin


class FarSide(HttpProxyBasePlugin):
    def resolve_dns(self, host, port):
        return ("127.0.0.1" if host.endswith(".test") else None), None

    def before_upstream_connection(self, request):
        host = request.host.decode()
        with Path(os.environ["FAR_SIDE_LOG"]).open("a") as file:
            file.write(f"{request.method.decode()} {host}:{request.port}\n")
        if host == "refused.test":
            raise HttpRequestRejected(status_code=403, reason=b"Forbidden", body=b"<html>not from here</html>")
        return request
