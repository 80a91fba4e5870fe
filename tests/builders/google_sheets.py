"""vidd's sheet at the double of Google Sheets: over TLS, or without a network where hundreds of runs must be quick."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import urlencode, urlsplit

from peers.oauth import OAuth
from peers.sheets import READING, SHEETS, Lost, Sheets

from builders.mail import NOON, HeldClock
from vidd.errors import OutcomeUnknown, RetryLater
from vidd.integrations.google.api import Answer, Api
from vidd.integrations.sheet.backends.google import api as google_api
from vidd.integrations.sheet.backends.google.account import Account
from vidd.ports import Encoder, ShortMemory, Tools
from vidd.ports.shared import Shared

ROBOT = "robot@project.example"
BOOK = "https://docs.google.com/spreadsheets/d/book-1/edit#gid=7"
GOOGLE = {"spreadsheet": BOOK, "account": "google"}


@contextmanager
def unserved():
    """A double that is called without a network."""
    far = Sheets()
    try:
        yield far
    finally:
        far._loop.close()


def signing(far, **changes):
    """An account at a double that is served."""
    key = far.oauth.add_service_account(f"{far.url}/token", ROBOT, scopes=(SHEETS, READING))
    return Account(
        **{
            "service_account": key,
            "sheets_url": far.url,
            "drive_url": far.url,
            "token_url": f"{far.url}/token",
            "ca": far.certificate,
            **changes,
        }
    )


def served(certificate):
    """A double with its sign-in; used in `with far.serving(certificate)`."""
    far = Sheets(OAuth())
    far.certificate = certificate.file
    far.oauth.now = NOON.timestamp
    return far


def tools_at(far, state, account=None, memory=None, clock=None):
    return Tools(
        state=state,
        encoder=Encoder("ffmpeg"),
        clock=clock or HeldClock(),
        accounts={"google": account or signing(far)},
        memory=memory or ShortMemory(),
    )


def restarted(tools):
    """The tools after a restart: nothing is left of what the daemon shared."""
    return replace(tools, encoder=replace(tools.encoder, shared=Shared()))


class _Near(Api):
    """Calls a double that is not served at all, which its tokens lead to."""

    async def exchange(self, call):
        target = urlsplit(call.url).path + (f"?{urlencode(call.params)}" if call.params else "")
        try:
            status, body = self.tokens.far.answer(call.method, target, call.headers or {}, call.data or b"")
        except Lost as error:
            if call.repeatable:
                raise RetryLater("The connection was lost.") from error
            raise OutcomeUnknown("The connection was lost.") from error
        found = {} if status != 429 else {"Retry-After": "3"}
        return Answer(status, found, json.loads(json.dumps(body)))


def near(monkeypatch, far):
    """Have vidd's client call the double directly; returns an account for it."""

    def google(name, _account, _scopes, tools):
        return _Near(SimpleNamespace(name=name, far=far), tools.clock)

    monkeypatch.setattr(google_api, "google", google)
    return Account(service_account='{"client_email": "robot@project.example"}')
