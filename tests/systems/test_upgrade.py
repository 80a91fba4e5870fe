"""What version 0.1 left behind goes on: its settings, its journal in either store, and its state directory.

`tests/data/v0_1` was made by that version: a job for each point at which a daemon can die and for each state in which one
can rest. Addresses and the state directory's path have names in it, such as @STATE@.
"""

import asyncio
import csv
import json
import lzma
import os
import sqlite3
import tarfile
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from itertools import pairwise
from pathlib import Path

import pytest
from bson import json_util
from builders.aws import Bucket, an_account
from builders.mongodb import account, mongodb
from peers.daemon import until
from peers.daemon_texts import talk
from peers.daemon_web import served
from peers.receivers import Receivers
from peers.servers import ministack
from pymongo import MongoClient
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.model.job import MOVES, State
from vidd.model.publication import PublicationState
from vidd.pipelines.resolve import resolve
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import read_settings
from vidd.stores.mongodb.store import MongoStore
from vidd.stores.sqlite.store import SqliteStore

__all__ = ["account", "mongodb"]
pytestmark = pytest.mark.daemon
DATA = Path(__file__).parents[1] / "data" / "v0_1"
SETTINGS = sorted((DATA / "settings").glob("*.toml"))
GIVEN = "from the environment"
SECRETS = {
    "annotation.toml": ["CALLER__VALUE", "CONTENTS__ACCESS_KEY", "CONTENTS__SECRET_KEY"],
    "cms.toml": ["LAB__TOKEN", "PCLOUD__TOKEN", "POST__PASSWORD"],
    "talks.toml": [
        "LIBRARY__SECRET_KEY", "POST__PASSWORD", "CHANNEL__CLIENT_SECRET", "CHANNEL__REFRESH_TOKEN",
        "MAIN_STAGE__TOKEN", "SIDE_STAGE__TOKEN",
    ],
}  # fmt: skip
MEBIBYTE = 2**20
KEPT_IN_MONGODB = """
[store]
kind = "mongo"
account = "mongo"

[accounts.mongo]
kind = "mongodb"
uri = "{uri}"
database = "{database}"
"""


def packed(name: str, names: dict[str, str]) -> str:
    """A text of the data with what its names stand for."""
    return named(lzma.decompress((DATA / name).read_bytes()).decode(), names)


def named(text: str, names: dict[str, str]) -> str:
    for name, meaning in names.items():
        text = text.replace(f"@{name}@", meaning)
    return text


def plain(value):
    """As JSON has it, with times in UTC."""

    def text(one):
        return one.astimezone(UTC).isoformat() if isinstance(one, datetime) else str(one)

    return json.loads(json.dumps(value, default=text))


def lost(known, found, where: str = "") -> list[str]:
    """Where what was known is not found as it was; what is new besides, such as another option, is no loss."""
    if isinstance(known, dict) and isinstance(found, dict):
        return [
            one
            for name in known
            for one in lost(known[name], found.get(name, "nothing"), f"{where}.{name}" if where else name)
        ]
    if isinstance(known, list) and isinstance(found, list) and len(known) == len(found):
        return [one for at, (a, b) in enumerate(zip(known, found, strict=True)) for one in lost(a, b, f"{where}[{at}]")]
    return [] if known == found else [f"{where}: {found!r} in place of {known!r}"]


def sqlite_journal(path: Path, names: dict[str, str]) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(packed("journal.sql.xz", names))


def mongo_journal(account, names: dict[str, str]) -> None:
    with MongoClient(account.uri.get_secret_value()) as client:
        for name, documents in json_util.loads(packed("journal.mongo.json.xz", names)).items():
            client[account.database][name].insert_many(documents)


# Settings


@pytest.fixture(params=SETTINGS, ids=lambda path: path.name)
def settings(request, monkeypatch):
    for name in SECRETS.get(request.param.name, ()):
        monkeypatch.setenv(f"VIDD_ACCOUNTS__{name}", GIVEN)
    for name in ("DO_SPACES_KEY", "DO_SPACES_SECRET"):
        monkeypatch.setenv(name, GIVEN)
    return request.param


def test_old_settings_mean_what_they_meant(settings):
    expected = json.loads((DATA / "settings.json").read_text())[settings.name]
    ready = make_ready(read_settings(settings))
    sources = {name: [kind, options.model_dump(mode="json")] for name, (kind, options) in ready.sources.items()}
    accounts = {name: one.model_dump(mode="json") for name, one in ready.accounts.items()}
    daemon = ready.settings.model_dump(mode="json", exclude={"accounts", "sources", "pipelines"})
    found = {"pipelines": ready.pipelines, "sources": sources, "accounts": accounts, "settings": daemon}
    if "\nencodes = " not in settings.read_text():
        assert expected["settings"]["limits"].pop("encodes") == 2
        assert daemon["limits"]["encodes"] == "auto"
    assert lost(expected, plain(found)) == []


def test_old_settings_pass_the_check(settings, tmp_path):
    checked = CliRunner().invoke(app, ["check", "--json", "--config", str(settings), "--state-dir", str(tmp_path)])
    found = {one["about"]: one["ok"] for one in json.loads(checked.stdout)}
    assert found["settings"] is True, checked.stdout


# The journal


@pytest.fixture(params=["sqlite", "mongo"])
async def store(request, tmp_path):
    if request.param == "sqlite":
        sqlite_journal(tmp_path / "journal.sqlite", {})
        one = SqliteStore(tmp_path / "journal.sqlite")
    else:
        account = request.getfixturevalue("account")
        mongo_journal(account, {})
        one = MongoStore(account, "mongo", "another host")
    await one.open()
    yield one
    await one.close()


@pytest.fixture(scope="module")
def expected():
    return json.loads(packed("expected.json.xz", {}))


async def test_an_old_journal_has_every_job_with_its_history(store, expected):
    jobs = await store.jobs()
    assert {one.state for one in jobs} == set(State)
    found = {
        "jobs": [asdict(one) for one in jobs],
        "history": {one.id: await store.history(one.id) for one in jobs},
        "unfinished": await store.unfinished(),
        "next_due": await store.next_due(),
        "incomplete": await store.incomplete(),
        "counts": sorted([*key, count] for key, count in (await store.counts()).items()),
    }
    assert_as_it_was(expected, found)


async def test_an_old_journal_has_every_step_and_none_must_be_made_again(store, expected):
    jobs = await store.jobs()
    steps = {one.id: [asdict(step) for step in await store.steps(one.id)] for one in jobs}
    plans = {one.id: resolve(one.settings) for one in jobs}
    prints = {name: [(step.name, step.pool, step.fingerprint) for step in plan.steps] for name, plan in plans.items()}
    assert_as_it_was(expected, {"steps": steps, "prints": prints})


async def test_an_old_journal_has_every_publication(store, expected):
    jobs = await store.jobs()
    publications = {one.id: [asdict(each) for each in await store.publications(one.id)] for one in jobs}
    assert {each["state"] for one in publications.values() for each in one} == set(PublicationState)
    assert_as_it_was(expected, {"publications": publications})


async def test_an_old_journal_has_every_talk_and_word(store, expected):
    found = {
        "programme": asdict(await store.programme("programme")),
        "talks": [asdict(one) for one in await store.talks("programme")],
        "flags": {name: await store.get_flag(name) for name in expected["flags"]},
        "memory": {space: await store.recall(space) for space in expected["memory"]},
        "dead_letters": await store.dead_letters(),
    }
    assert_as_it_was(expected, found)


def assert_as_it_was(expected, found) -> None:
    assert lost({name: expected[name] for name in found}, plain(found)) == []


# The state directory


class Far(ExitStack):
    """The other sides of the old jobs: a web server, a receiver of notices, a bucket."""

    def __init__(self, recording: bytes) -> None:
        super().__init__()
        # An MP4 may have room in it that means nothing (ISO 14496-12, 8.1.2).
        large = recording + (4 * MEBIBYTE).to_bytes(4, "big") + b"free" + bytes(4 * MEBIBYTE - 8)
        self.web = self.enter_context(served(large, stop_after=len(large)))
        self.hooks = Receivers()
        self.enter_context(self.hooks.serving(None))
        url = self.enter_context(ministack())
        self.bucket = asyncio.run(Bucket(an_account(url), "library").make())
        addresses = {"WEB": self.web.url, "HOOKS": self.hooks.url, "S3": url}
        self.names = {name: one.removeprefix("http://") for name, one in addresses.items()}

    def told(self) -> list[tuple[str, str, int]]:
        """What the program was told: of which talk what, and of which edition."""
        said = [one.data for one in self.hooks.requests if one.path == "/hook"]
        return sorted((one["uuid"], one["type"], one["edition"]) for one in said)

    def chat(self) -> list[str]:
        """The messages in the chat by the first words of each."""
        return sorted(one["text"].partition(" (")[0] for one in self.hooks.messages)


def unpack(root: Path) -> bytes:
    """The old state directory; returns a recording that is in it."""
    with tarfile.open(DATA / "state.tar.xz") as tar:
        tar.extractall(root, filter="data")
    return (root / "given" / "Main_h1_000000_000003.mp4").read_bytes()


def name_places(root: Path, names: dict[str, str]) -> None:
    for path in [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]:
        before = path.read_bytes()
        if any(f"@{name}@".encode() in before for name in names):
            stat = path.stat()
            path.write_text(named(before.decode(), names), newline="")
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


class Old:
    """An old state directory and its journal, and the daemons of today on it."""

    def __init__(self, place, far: Far, names: dict[str, str], store) -> None:
        self.place, self.far, self.store = place, far, store
        self.known = json.loads(packed("expected.json.xz", names))
        self.made = datetime.fromisoformat(self.known["made"])

    def daemon(self, later: float = 0):
        """A daemon whose clock stands as many seconds after the old journal was last written."""
        ahead = self.made + timedelta(seconds=later) - datetime.now(UTC)
        return self.place.daemon(DAEMON_LATER=str(ahead.total_seconds()))

    def mails(self) -> Counter:
        found = [message_from_bytes(one.read_bytes()) for one in (self.place.root / "outbox").glob("*.eml")]
        return Counter(one["To"] for one in found)

    def out(self) -> set[str]:
        return {one.name for one in (self.place.root / "out").iterdir()}

    def rewrite(self, *more: dict[str, str], **changes: dict[str, str]) -> None:
        """Change rows of the programme, and add some."""
        rows = {name: {**row, **changes.get(name, {})} for name, row in self.place.rows().items()}
        heads = list(next(iter(rows.values())))
        with self.place.sheet.open("w", newline="") as file:
            writer = csv.DictWriter(file, heads, restval="")
            writer.writeheader()
            writer.writerows([*rows.values(), *more])

    def journal(self, ask):
        return self.place.journal(ask, self.store())


@pytest.fixture(params=["sqlite", "mongo"])
def old(request, place):
    with Far(unpack(place.root)) as far:
        names = {"STATE": str(place.root), **far.names}
        name_places(place.root, names)
        settings, store = named((DATA / "daemon.toml").read_text(), names), lambda: None
        if request.param == "sqlite":
            sqlite_journal(place.root / "journal.sqlite", names)
        else:
            account = request.getfixturevalue("account")
            mongo_journal(account, names)
            settings += KEPT_IN_MONGODB.format(uri=account.uri.get_secret_value(), database=account.database)

            def store():
                return MongoStore(account, "mongo", "the test")

        place.config.write_text(settings)
        yield Old(place, far, names, store)


WALKED = [f"w{number:02}" for number in range(27)]
GOES_ON = {
    **dict.fromkeys([*WALKED, "e1", "e4", "d1", "h2", "b1", "b2", "b3"], "published"),
    # Their cuts are finished; a person has not looked at them yet.
    **dict.fromkeys(["e2", "e3"], "held"),
    "c3": "cancelled",
    "u3": "unsure",
}
RESTS = {
    **dict.fromkeys(["p1", "p2", "p3", "p4", "p5", "b4"], "published"),
    **dict.fromkeys(["v1", "v2", "v3"], "waiting"),
    **dict.fromkeys(["r1", "r2", "r4", "r5", "holiday.mp4"], "refused"),
    **dict.fromkeys(["u1", "u2"], "unsure"),
    **dict.fromkeys(["c1", "c2", "x0", "s0", "s1", "s2", "s3"], "cancelled"),
    "h1": "held",
    "x1": "excluded",
}
OUT = ["p1", "p2", "p3", "p5", "u1", "u2", "u3", "v2", "v3", *WALKED[14:23]]
"""Their videos were out before."""


def known_as(job) -> str:
    """How the tests call a job: by its talk, or by its name."""
    return job["talk"] or job["name"].removesuffix(".mp4").replace("holiday", "holiday.mp4")


def states(daemon) -> dict[str, str]:
    """How each talk's newest job stands."""
    return {known_as(one): one["state"] for one in reversed(daemon.jobs(limit="1000"))}


def ids(daemon) -> dict[str, str]:
    return {known_as(one): one["id"] for one in reversed(daemon.jobs(limit="1000"))}


def comes_to(daemon, wanted: dict[str, str]) -> None:
    try:
        until(lambda: states(daemon) == wanted, "every job is where it belongs", 150)
    except AssertionError as error:
        found = states(daemon)
        wrong = {name: found.get(name) for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}
        error.add_note(f"{wrong}\n{daemon.log.read_text()[-6000:]}")
        raise


def resumed(old: Old) -> None:
    """The pause of before is kept; then all that was unfinished goes on, and nothing else."""
    with old.daemon() as daemon:
        assert daemon.ask("/health")[1]["paused"] is True
        assert {states(daemon)[name] for name in GOES_ON} <= {"seen", "ready", "published"}
        assert old.place.vidd("resume")[0] == 0
        comes_to(daemon, GOES_ON | RESTS)
        until(lambda: old.mails()["team@lab.example"] == 4, "the team knows of all that was refused")
        daemon.stopped()


def acted_on(old: Old) -> None:
    """An hour later people do what they can do, and what waited goes on by itself."""
    (old.place.root / "out" / "Talk-r2-r2.mp4").unlink()
    (old.place.root / "right").touch()
    old.rewrite(talk("r1"), talk("r4"), x1={"exclude": ""})
    with old.daemon(3600) as daemon:
        job = ids(daemon)
        acts = [
            *(("approve", name) for name in ("h1", "e2", "e3")),
            *(("retry", name) for name in ("c1", "p1", "r1", "r2", "r4", "r5", "holiday.mp4")),
            ("resolve", "u1", "--published", "https://chat.example.org/1"),
            ("resolve", "u2", "--again"),
            ("resolve", "u3", "--published", "https://chat.example.org/3"),
            ("rework", "p4", "--undo"),
        ]
        until(lambda: states(daemon)["x1"] == "published", "the rows have been read")
        for verb, name, *words in acts:
            code, *said = old.place.vidd(verb, job[name], *words)
            assert code == 0, (verb, name, said)
        out = dict.fromkeys([*GOES_ON, *RESTS], "published")
        over = {name: RESTS[name] for name in ("c2", "x0", "s0", "s1", "s2", "s3", "holiday.mp4")}
        comes_to(daemon, {**out, **over, "c3": "cancelled"})
        until(lambda: {("p1", "job.published", 1), ("p4", "job.published", 3)} <= {*old.far.told()}, "both are told")
        until(lambda: old.mails()["team@lab.example"] == 5, "the team knows that the holiday was refused again")
        # What the program had said before is still there.
        assert old.place.vidd("log", job["r5"])[1].count("\nlooked at it\n") == 2
        daemon.stopped()


def test_an_old_state_directory_goes_on_and_each_job_is_published_once(old):
    touched = {name: (old.place.root / "out" / f"Talk-{name}-{name}.mp4").stat().st_mtime_ns for name in OUT}
    resumed(old)
    old.journal(lambda store: assert_nothing_was_made_again(store, old.known))
    # Of p2, p3, b4 and others nothing went out again.
    assert old.far.chat() == ["Talk d1"]
    assert old.far.told() == [("c3", "job.retracted", 1), ("d1", "job.published", 1)]
    assert old.far.web.firsts in ([MEBIBYTE], [2 * MEBIBYTE])
    acted_on(old)
    assert old.place.alive() == []
    assert old.far.chat() == ["Talk d1", "Talk u2", "Talk v1", "Talk v3"]
    notices = [(name, "job.published", 1) for name in ("d1", "p1", "u1", "u2", "u3", "v1", "v2", "v3")]
    assert old.far.told() == sorted([("c3", "job.retracted", 1), ("p4", "job.published", 3), *notices])
    ours = [*WALKED, "e1", "e2", "e3", "d1", "h1", "h2", "c1", "p1", "p2", "p3", "p4", "p5"]
    ours += ["r1", "r2", "r4", "r5", "u1", "u2", "u3", "v1", "v2", "v3", "x1"]
    assert old.out() == {f"Talk-{name}-{name}.mp4" for name in ours} | {"e4-tasks"}
    after = {name: (old.place.root / "out" / f"Talk-{name}-{name}.mp4").stat().st_mtime_ns for name in OUT}
    assert after == touched
    (third,) = old.place.root.glob("kept/*/3")
    first, second = ((third.parent / f"{edition}/files/talk.mp4").read_bytes() for edition in (1, 2))
    assert (old.place.root / "out" / "Talk-p4-p4.mp4").read_bytes() == first != second
    told_by_mail = [*WALKED, "e1", "c1", "r1", "r2", "r4", "x1", "p5", "p5"]
    speakers = [f"{name} <{name.lower()}@{one}.example>" for name in ("Ada", "Grace") for one in told_by_mail]
    assert old.mails() == Counter(speakers) + Counter({"team@lab.example": 5})
    keys = sorted(key.partition("/")[0] for key in asyncio.run(old.far.bucket.keys()))
    assert keys == ["b1", "b2"]
    rows = old.place.rows()
    assert {name for name, row in rows.items() if row["status"] == "published"} == set(told_by_mail)
    old.journal(lambda store: assert_histories_make_sense(store, old.known))


async def assert_nothing_was_made_again(store, known) -> None:
    """Steps that were recorded have not run again, but for those that make words and no files."""
    for job in await store.jobs():
        recorded = [one for one in known["steps"][job.id] if one["kind"] != "describe"]
        found = {one.name: asdict(one) for one in await store.steps(job.id)}
        assert lost(recorded, plain([found[one["name"]] for one in recorded])) == [], job.name


async def assert_histories_make_sense(store, known) -> None:
    """What was recorded is still there, and each job went on by legal moves and came out once."""
    for job in await store.jobs():
        history, recorded = plain(await store.history(job.id)), known["history"][job.id]
        assert history[: len(recorded)] == recorded
        path = [State(state) for _, state, _ in history]
        assert all(after in MOVES[before] for before, after in pairwise(path))
        assert path[len(recorded) :].count(State.PUBLISHED) <= 1
