"""Real servers for the tests, each on a free loopback port and ended by its pid."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from peers.certificates import Certificate

RCLONE_KEY, RCLONE_SECRET = "AKIDEXAMPLE123", "SECRETEXAMPLE123"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """A program that came from PyPI into this environment, or one on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"needs the test extra, which brings {name}")
    return found


def wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it was up")
        try:
            urllib.request.urlopen(url, timeout=2, context=ssl._create_unverified_context()).close()
        except urllib.error.HTTPError as answer:
            answer.close()
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)


@contextmanager
def running(argv: list[str], url: str, **environment: str):
    process = subprocess.Popen(
        argv,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until_up(url, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def ministack():
    """S3, SQS and the events between them; the address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "SERVICES": "s3,sqs",
    }
    with running([program("ministack")], url, **settings):
        yield url


@contextmanager
def rclone_s3(directory: Path, certificate: Certificate | None = None):
    """An S3 of another make, which checks the secret; the address. Buckets are the folders of `directory`."""
    port = free_port()
    url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    argv = [
        program("rclone"), "serve", "s3", "--config", os.devnull, "--addr", f"127.0.0.1:{port}",
        "--auth-key", f"{RCLONE_KEY},{RCLONE_SECRET}", str(directory),
    ]  # fmt: skip
    argv += ["--cert", str(certificate.file), "--key", str(certificate.key)] if certificate else []
    with running(argv, url):
        yield url
