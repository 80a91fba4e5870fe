"""`vidd check` refuses what `vidd run` refuses: when it starts, or at the first job."""

import asyncio
import json
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.place import clip
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.daemon.app import Daemon
from vidd.daemon.preflight import inspect
from vidd.errors import Refused
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import read_settings
from vidd.stores.sqlite.store import SqliteStore

__all__ = ["clip"]
pytestmark = pytest.mark.daemon

SETTINGS = """
[daemon]
state = "{state}"
listen = "127.0.0.1:0"
grace = "1s"

[limits]
disk_reserve = "1MiB"

[retry]
attempts = 1

[accounts.post]
kind = "smtp"
host = "127.0.0.1"
port = 9

[accounts.library]
kind = "s3"
endpoint_url = "http://127.0.0.1:9"
access_key = "AK"
secret_key = "SK-and-more"

[sources.recordings]
kind = "folder"
path = "in"
suffixes = []
pipeline = "talks"

[[pipelines.talks.steps]]
kind = "command"
label = "note"
argv = ["sh", "-c", "echo it > note.txt"]
probe = false
outputs = [{{ path = "note.txt", role = "note" }}]

[[pipelines.talks.publish]]
kind = "folder"
path = "out"
"""
TRIM = 'kind = "command"', 'kind = "trim"\n{}\n[[pipelines.talks.steps]]\nkind = "command"'
PUBLISH = '[[pipelines.talks.publish]]\nkind = "folder"\npath = "out"'


def replaced(old, new):
    return lambda _state, text: text.replace(old, new)


def added(lines):
    return lambda _state, text: text + lines


def trimmed(lines):
    return lambda _state, text: text.replace(TRIM[0], TRIM[1].format(lines), 1)


def put(name, content):
    """A file in the state directory."""

    def change(state, text):
        path = state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return text

    return change


def newer_journal(state, text):
    with closing(sqlite3.connect(state / "journal.sqlite")) as journal:
        journal.execute("PRAGMA user_version=99")
    return text


def file_in_place_of_the_state(state, text):
    file = state.parent / "file"
    file.touch()
    return text.replace(f'state = "{state}"', f'state = "{file}"')


def path_too_long_for_a_socket(state, text):
    return text.replace(f'state = "{state}"', f'state = "{state}/{"long" * 30}"')


MAIL = '\n[[pipelines.talks.notify]]\nkind = "mail"\nto = ["ada@example.org"]\nsender = "team@example.org"\n'
BROKEN = {
    "account of another kind": replaced(
        PUBLISH, '[[pipelines.talks.publish]]\nkind = "s3"\naccount = "post"\nbucket = "b"'
    ),
    "account that is not there": replaced(
        PUBLISH, '[[pipelines.talks.publish]]\nkind = "s3"\naccount = "lost"\nbucket = "b"'
    ),
    "account of another kind, of a notice": added(f'{MAIL}account = "library"\n'),
    "account of another kind, by stage": added(
        '\n[[pipelines.talks.publish]]\nkind = "facebook"\naccounts = { main = "post" }\n'
    ),
    "account of another kind, of the store": added('\n[store]\nkind = "mongo"\naccount = "post"\n'),
    "account of another kind, of a source": added(
        '\n[sources.queue]\nkind = "sqs"\naccount = "post"\nqueue_url = "http://127.0.0.1:9/q"\npipeline = "talks"\n'
    ),
    "role that nothing makes, of a publisher": replaced('path = "out"', 'path = "out"\nfiles = ["tlak"]'),
    "role that nothing makes, of a step": replaced("probe = false", 'probe = false\nsource = "tlak"'),
    "role that is made later": trimmed('source = "note"'),
    "program that is not there": replaced('"sh"', '"no-such-program"'),
    "directory that is not there": replaced("probe = false", 'probe = false\ndirectory = "/no/such/directory"'),
    "secret that is not there": replaced("probe = false", 'probe = false\nsecrets = { KEY = "library.nothing" }'),
    "logo that is not there": trimmed('watermark = { image = "logo.png" }'),
    "logo that is no image": lambda state, text: put("logo.png", b"none")(
        state, trimmed('watermark = { image = "logo.png" }')(state, text)
    ),
    "intro that is not there": trimmed('sting_before = "intro.mp4"'),
    "font that is not there": trimmed('title_card = { fonts = ["lost.ttf"] }'),
    "background that is not there": trimmed('title_card = { image = "lost.png" }'),
    "template that cannot be read": replaced('path = "out"', 'path = "out"\nname = "{{ title"'),
    "template with an unknown field": replaced('path = "out"', 'path = "out"\nname = "{{ titel }}"'),
    "file of a template that is not there": added(f'{MAIL}text_file = "lost.j2"\n'),
    "file of a template that cannot be read": lambda state, text: put("text.j2", b"{{ title")(
        state, added(f'{MAIL}text_file = "text.j2"\n')(state, text)
    ),
    "pipeline that is not there": replaced('pipeline = "talks"', 'pipeline = "walks"'),
    "programme that is a folder": replaced(
        "[[pipelines.talks.steps]]", '[pipelines.talks]\nprogramme = "recordings"\n\n[[pipelines.talks.steps]]'
    ),
    "publisher that is not there": added(
        '\n[[pipelines.talks.notify]]\nkind = "sheet"\npath = "sheet.csv"\nstates = { lost = "youtube" }\n'
    ),
    "folder that is a file": put("out", b""),
    "ffmpeg that is not there": lambda state, text: trimmed("")(state, text + '\n[ffmpeg]\npath = "/no/such/ffmpeg"\n'),
    "address without a token": replaced("127.0.0.1:0", "0.0.0.0:0"),
    "address of another machine": replaced("127.0.0.1:0", "192.0.2.1:80"),
    "state that is a file": file_in_place_of_the_state,
    "state with a long path": path_too_long_for_a_socket,
    "jobs that are a file": put("jobs", b""),
    "socket that is a file": put("vidd.sock", b""),
    "journal that is none": put("journal.sqlite", b"no journal" * 100),
    "journal of a newer vidd": newer_journal,
}


@dataclass
class Setting:
    state: Path
    config: Path

    def checked(self) -> list[str]:
        """What `vidd check` has against the settings."""
        ended = CliRunner().invoke(app, ["check", "--json", "--config", str(self.config)])
        faults = [finding["sentence"] for finding in json.loads(ended.stdout) if not finding["ok"]]
        assert bool(faults) == (ended.exit_code != 0)
        return faults

    async def run(self) -> list[str]:
        """What a daemon has against them: when it starts, or of its first job."""
        try:
            settings = read_settings(self.config)
            async with asyncio.timeout(60):
                await Daemon(settings, lambda: settings).run(until_idle=True)
        except Refused as refused:
            return [refused.sentence]
        store = SqliteStore(self.state / "journal.sqlite")
        await store.open()
        try:
            (job,) = await store.jobs()
            publications = await store.publications(job.id)
        finally:
            await store.close()
        reasons = [job.reason] if job.state == "refused" else []
        return reasons + [publication.reason for publication in publications if publication.state == "refused"]


@pytest.fixture
def setting(tmp_path, clip):
    state = tmp_path / "state"
    (state / "in").mkdir(parents=True)
    (state / "in" / "talk.mp4").write_bytes(clip.read_bytes())
    config = tmp_path / "vidd.toml"
    config.write_text(SETTINGS.format(state=state))
    return Setting(state, config)


@pytest.mark.parametrize("name", BROKEN)
async def test_the_check_refuses_what_a_run_refuses(setting, name):
    setting.config.write_text(BROKEN[name](setting.state, setting.config.read_text()))
    before = sorted(path.relative_to(setting.state) for path in setting.state.rglob("*"))
    assert await asyncio.to_thread(setting.checked)
    assert sorted(path.relative_to(setting.state) for path in setting.state.rglob("*")) == before
    assert await setting.run()


async def test_an_address_that_is_taken_is_refused_by_both(setting):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        setting.config.write_text(setting.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        (said,) = await asyncio.to_thread(setting.checked)
        assert "something else listens there" in said
        assert await setting.run() == [said]


async def test_sound_settings_are_taken_by_both_also_beside_a_running_daemon(setting):
    assert await asyncio.to_thread(setting.checked) == []
    assert await setting.run() == []
    assert await asyncio.to_thread(setting.checked) == []
    settings = read_settings(setting.config)
    async with asyncio.timeout(60):
        daemon = Daemon(settings, lambda: settings)

        async def ask(_daemon):
            assert [finding async for finding in inspect(make_ready(settings), online=False) if not finding.ok] == []
            daemon.stop()

        await daemon.run(on_ready=ask)
