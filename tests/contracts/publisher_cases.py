"""Every kind of publisher with something to publish and a far side to publish it to, for the suite of the promises."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from bson import ObjectId
from builders.aws import Bucket, a_job
from builders.aws import an_account as an_aws_account
from builders.datasets import Lab, Maker
from builders.google import signed_in
from peers.facebook import Facebook
from peers.faulty_proxy import faulty_proxy
from peers.pcloud import PCloud
from peers.pretalx import EVENT, TOKEN, Pretalx, a_submission
from peers.receivers import SLACK, Receivers
from peers.smtpd import Post, smtp_server
from peers.youtube import YouTube
from pydantic import SecretStr
from pymongo import MongoClient

from vidd.files.tree import tree_artifact
from vidd.integrations.aws.account import client
from vidd.model.frame_manifest import Sample, Task, TaskList
from vidd.model.job import Job
from vidd.model.media import Artifact
from vidd.model.publication import Receipt
from vidd.model.talk import Speaker, Talk
from vidd.pipelines.registry import account_module

MIB = 2**20
VIDEO = os.urandom(6 * MIB)
SUM = hashlib.sha256(VIDEO).hexdigest()
TREE = {"index.json": b"[]", "body/1.glb": b"one", "body/2.glb": b"two"}
TALK = Talk(
    "t-1", "On looms", "How they weave.", (Speaker("Ada", "ada@example.org"), Speaker("Grace", "grace@example.org"))
)
LIBRARY = {"library": Receipt("https://library.example.org/t-1")}
PAGE_TOKEN = "EAAPAGETOKEN1001SECRET"


@dataclass
class Case:
    """A publisher of `kind`, what it publishes, and a look at the far side.

    `held` lists what the far side holds, `expected` what it must hold once all is published. `lose` has the far side do
    what the committing request asks and then break the connection ("drop") or never answer ("hang"; `hangs` says when it has
    come to that). `can_tell` says
    whether a lost answer can be found out by asking. `counts` are facts of a receipt that count what an attempt did.
    """

    kind: str
    options: dict[str, Any]
    held: Callable[[], Awaitable[list[Any]]]
    expected: list[Any]
    directory: Path
    job: Job = field(default_factory=lambda: a_job("file:///x.mp4", talk="t-1"))
    accounts: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=lambda: {"title": "On looms"})
    receipts: dict[str, Receipt] = field(default_factory=lambda: dict(LIBRARY))
    lose: Callable[[str], Any] | None = None
    hangs: Callable[[], bool] = lambda: False
    can_tell: bool = True
    counts: frozenset[str] = frozenset()
    clock: Callable[[Any], None] = lambda _clock: None

    def __post_init__(self):
        self.directory = self.directory / self.job.id
        self.directory.mkdir(parents=True, exist_ok=True)

    def add_video(self):
        (self.directory / "talk.mp4").write_bytes(VIDEO)
        self.artifacts["talk"] = Artifact("talk", "talk.mp4", len(VIDEO))
        return self

    def add_tree(self):
        for name, data in TREE.items():
            (self.directory / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / "out" / name).write_bytes(data)
        self.artifacts["results"] = tree_artifact("results", self.directory, "out")
        return self


def looked_at(look):
    """An answer that needs no waiting, as one that does."""

    async def held():
        return look()

    return held


@asynccontextmanager
async def folder(_request, directory):
    def held():
        files = [path for path in (directory / "out").rglob("*") if path.is_file()]
        return sorted((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files)

    options = {"path": "out", "name": "talk.mp4"}
    yield Case("folder", options, looked_at(held), [("talk.mp4", SUM)], directory / "jobs").add_video()


@asynccontextmanager
async def folder_tree(_request, directory):
    def held():
        root = directory / "out"
        return sorted(
            (path.relative_to(root).as_posix(), path.read_bytes()) for path in root.rglob("*") if path.is_file()
        )

    expected = sorted((f"results/{name}", data) for name, data in TREE.items())
    options = {"path": "out", "name": "{{ role }}", "files": ["results"]}
    yield Case("folder", options, looked_at(held), expected, directory / "jobs").add_tree()


@asynccontextmanager
async def sheet(_request, directory):
    path = directory / "programme.csv"
    path.write_text("uuid,title,status,link\nt-1,One,,\nt-2,Two,,\n")
    os.utime(path, (0, 0))
    expected = ["t-1,One,published,https://library.example.org/t-1", "t-2,Two,,"]
    held = looked_at(lambda: path.read_text().splitlines()[1:])
    yield Case("sheet", {"path": str(path)}, held, expected, directory / "jobs")


@asynccontextmanager
async def outbox(_request, directory):
    held = looked_at(lambda: sorted(path.suffix for path in (directory / "outbox").glob("[!.]*")))
    options = {"outbox": "outbox", "sender": "team@example.org"}
    yield Case("mail", options, held, [".eml", ".eml"], directory / "jobs")


class ForgetfulPost(Post):
    """A mail server that takes a mail and then does not say so."""

    how = None
    hangs = False

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd calls it
        answer = await super().handle_DATA(server, session, envelope)
        how, self.how = self.how, None
        if how == "drop":
            server.transport.abort()
        elif how == "hang":
            self.hangs = True
            # The publisher waits for a mail that is under way, for some seconds.
            await asyncio.sleep(0.2)
            server.transport.abort()
        return answer


@asynccontextmanager
async def smtp(_request, directory):
    async with smtp_server(post=ForgetfulPost()) as post:
        account = account_module("smtp").Account(
            host="127.0.0.1", port=post.port, security="plain", timeout=30, local_hostname="vidd.test"
        )
        yield Case(
            "mail",
            {"account": "mx", "sender": "team@example.org"},
            looked_at(lambda: sorted(post.recipients)),
            ["ada@example.org", "grace@example.org"],
            directory / "jobs",
            accounts={"mx": account},
            lose=lambda how: setattr(post, "how", how),
            hangs=lambda: post.hangs,
            can_tell=False,
        )


@asynccontextmanager
async def webhook(request, directory):
    far = Receivers()
    with far.serving(certificate := request.getfixturevalue("certificate")):
        yield Case(
            "webhook",
            {"account": "far"},
            looked_at(lambda: list(far.held)),
            ["01job_webhook_1"],
            directory / "jobs",
            accounts={"far": account_module("webhook").Account(url=f"{far.url}/hook", ca=certificate.file, timeout=30)},
            lose=lambda how: far.misstep("POST", "/hook", how, after=True),
            hangs=far.hung.is_set,
        )


@asynccontextmanager
async def slack(request, directory):
    far = Receivers()
    with far.serving(certificate := request.getfixturevalue("certificate")):
        yield Case(
            "webhook",
            {"account": "far", "format": "slack", "text": "{{ title }}"},
            looked_at(lambda: [message["text"] for message in far.messages]),
            ["On looms"],
            directory / "jobs",
            accounts={"far": account_module("webhook").Account(url=far.url + SLACK, ca=certificate.file, timeout=30)},
            lose=lambda how: far.misstep("POST", SLACK, how, after=True),
            hangs=far.hung.is_set,
            can_tell=False,
        )


@asynccontextmanager
async def pretalx(_request, directory, **options):
    far = Pretalx()
    far.put(a_submission("t-1", "On looms"))
    link = LIBRARY["library"].url
    with far.serving(None):
        yield Case(
            "pretalx",
            {"account": "far", "event": EVENT, **options},
            looked_at(
                lambda: (
                    [found for found, _, _ in far.links("t-1")] + [answer["answer"] for answer in far.answers.values()]
                )
            ),
            [link],
            directory / "jobs",
            accounts={"far": account_module("pretalx").Account(url=far.url, token=SecretStr(TOKEN), timeout=30)},
            lose=lambda how: far.misstep("POST", "resources|answers", how, after=True),
            hangs=far.hung.is_set,
        )


def pretalx_answer(request, directory):
    return pretalx(request, directory, question=11)


LOST = {"drop": "drop reply", "hang": "lost"}


@asynccontextmanager
async def _queue(request, directory, *, ending="", attributes=None, **options):
    server = request.getfixturevalue("aws")
    direct, received = an_aws_account(server), []
    async with client(direct, "sqs") as queues:
        name = f"q{abs(hash(str(directory)))}{ending}"
        url = (await queues.create_queue(QueueName=name, Attributes=attributes or {}))["QueueUrl"]

    async def held():
        async with client(direct, "sqs") as queues:
            answer = await queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
        received.extend(json.loads(message["Body"])["job"] for message in answer.get("Messages", ()))
        return list(received)

    async with faulty_proxy(server) as proxy:
        yield Case(
            "sqs",
            {"account": "library", "queue_url": url.replace(server, proxy.url), **options},
            held,
            ["01job"],
            directory / "jobs",
            accounts={"library": an_aws_account(proxy.url)},
            lose=lambda how: proxy.next_time(lambda method, _path: method == "POST", LOST[how]),
            hangs=proxy.hanging.is_set,
            can_tell=bool(ending),
        )


def sqs(request, directory):
    """A standard queue whose receiver must not get a message twice."""
    return _queue(request, directory, repeat=False)


def sqs_fifo(request, directory):
    """A queue that drops the second message with the same id."""
    return _queue(request, directory, ending=".fifo", attributes={"FifoQueue": "true"})


@asynccontextmanager
async def s3(request, directory):
    server = request.getfixturevalue("aws")
    bucket = await Bucket(an_aws_account(server), f"b{abs(hash(str(directory)))}").make()

    async def held():
        return [(key, hashlib.sha256(await bucket.get(key)).hexdigest()) for key in await bucket.keys()]

    def completes(method, path):
        return method == "POST" and "uploadId=" in path

    async with faulty_proxy(server) as proxy:
        yield Case(
            "s3",
            {"account": "library", "bucket": bucket.name, "part_size": 5 * MIB},
            held,
            [("t-1/talk.mp4", SUM)],
            directory / "jobs",
            accounts={"library": an_aws_account(proxy.url)},
            lose=lambda how: proxy.next_time(completes, LOST[how]),
            hangs=proxy.hanging.is_set,
        ).add_video()


@asynccontextmanager
async def s3_tree(request, directory):
    server = request.getfixturevalue("aws")
    bucket = await Bucket(an_aws_account(server), f"b{abs(hash(str(directory)))}").make()

    async def held():
        return sorted([(key, await bucket.get(key)) for key in await bucket.keys()])

    async with faulty_proxy(server) as proxy:
        yield Case(
            "s3",
            {"account": "library", "bucket": bucket.name, "prefix": "results/7", "files": ["results"]},
            held,
            sorted((f"results/7/{name}", data) for name, data in TREE.items()),
            directory / "jobs",
            accounts={"library": an_aws_account(proxy.url)},
            lose=lambda how: proxy.next_time(lambda method, path: method == "PUT" and "glb" in path, LOST[how]),
            hangs=proxy.hanging.is_set,
            counts=frozenset({"sent", "sent_bytes", "equal", "dropped"}),
        ).add_tree()


@asynccontextmanager
async def pcloud(request, directory):
    far = PCloud()
    with far.serving(certificate := request.getfixturevalue("certificate")):
        far.folder("/results")
        account = account_module("pcloud").Account(
            region="eu", token="OAUTHTOKEN4711SECRET", url=far.url, ca=certificate.file
        )
        yield Case(
            "pcloud",
            {"account": "cloud", "folder": str(far.folder("/results").id), "files": ["results"]},
            looked_at(lambda: sorted(far.tree("/results").items())),
            sorted(TREE.items()),
            directory / "jobs",
            accounts={"cloud": account},
            lose=lambda how: far.misstep("POST", "^/renamefile", how, after=True),
            hangs=far.hung.is_set,
            counts=frozenset({"sent", "sent_bytes", "equal", "dropped"}),
        ).add_tree()


@asynccontextmanager
async def youtube(request, directory):
    far = YouTube()
    with far.serving(certificate := request.getfixturevalue("certificate")):
        account = signed_in(far, certificate, model=account_module("youtube").Account, api_url=far.url)

        def follow(clock):
            far.now = far.oauth.now = lambda: clock.now().timestamp()

        yield Case(
            "youtube",
            {"account": "channel", "chunk": "1MiB"},
            looked_at(lambda: [video.arrived.sum for video in far.videos.values()]),
            [SUM],
            directory / "jobs",
            accounts={"channel": account},
            # The first PUT asks how far the session is.
            lose=lambda how: far.misstep("PUT", "upload_id=", how, after=True, skip=6),
            hangs=far.hung.is_set,
            clock=follow,
        ).add_video()


@asynccontextmanager
async def facebook(request, directory):
    far = Facebook()
    far.page(token=PAGE_TOKEN)
    with far.serving(certificate := request.getfixturevalue("certificate")):
        account = account_module("facebook").Account(
            token=PAGE_TOKEN, page="1001", url=far.url, video_url=far.url, ca=certificate.file
        )
        yield Case(
            "facebook",
            {"account": "page"},
            looked_at(lambda: [video.sha256 for video in far.published()]),
            [SUM],
            directory / "jobs",
            accounts={"page": account},
            lose=lambda how: far.goes_wrong("finish", how, after=True),
            hangs=lambda: far.count("finish") > 0,
        ).add_video()


CAPTIONS = b"1\n00:00:00,500 --> 00:00:02,000\nSo it is\n"


def captioned(case, label, url, **facts):
    """The case with captions in two languages, and a job that follows one which was published there."""
    receipts = {label: {"url": url, "facts": facts}}
    case.job = replace(case.job, facts={"published": {"job": "01talk", "token": "t", "receipts": receipts}})
    for language in ("en", "de"):
        name = f"captions.{language}.srt"
        (case.directory / name).write_bytes(CAPTIONS)
        role = f"srt-{language}"
        case.artifacts[role] = Artifact(role, name, len(CAPTIONS), "application/x-subrip", facts={"language": language})
    return case


@asynccontextmanager
async def youtube_captions(request, directory):
    far = YouTube()
    video = far.add_video("On looms")
    with far.serving(certificate := request.getfixturevalue("certificate")):
        account = signed_in(far, certificate, model=account_module("youtube").Account, api_url=far.url)

        def follow(clock):
            far.now = far.oauth.now = lambda: clock.now().timestamp()

        case = Case(
            "youtube_captions",
            {},
            looked_at(lambda: [(caption["snippet"]["language"], caption["media"]) for caption in video.captions]),
            [("en", CAPTIONS), ("de", CAPTIONS)],
            directory / "jobs",
            accounts={"channel": account},
            lose=lambda how: far.misstep("POST", "captions", how, after=True),
            hangs=far.hung.is_set,
            clock=follow,
        )
        yield captioned(case, "youtube", f"https://youtu.be/{video.id}", video=video.id, account="channel")


@asynccontextmanager
async def facebook_captions(request, directory):
    far = Facebook()
    far.page(token=PAGE_TOKEN)
    film = far.add_film()
    with far.serving(certificate := request.getfixturevalue("certificate")):
        account = account_module("facebook").Account(
            token=PAGE_TOKEN, page="1001", url=far.url, video_url=far.url, ca=certificate.file
        )
        case = Case(
            "facebook_captions",
            {},
            looked_at(lambda: sorted(film.captions.items())),
            [("de_DE", CAPTIONS), ("en_US", CAPTIONS)],
            directory / "jobs",
            accounts={"page": account},
            lose=lambda how: far.goes_wrong("caption", how, after=True),
            hangs=lambda: far.count("caption") > 0,
        )
        yield captioned(case, "facebook", "https://facebook.example/v", video=film.id, account="page")


@asynccontextmanager
async def mongo_tasks(request, directory):
    account = request.getfixturevalue("account")
    far = MongoClient(account.uri.get_secret_value())
    database = far[account.database]
    project, upload = ObjectId(), ObjectId()
    database.AnnotationProject.insert_one({"_id": project, "contentUploads": []})
    database.AnnotationContentUpload.insert_one({"_id": upload, "projectId": project, "status": 0})
    tasks = [Task(number, f"task-{number}-cam", None, 2, 12 * number, 12 * number + 11) for number in range(2)]
    rows = [
        Sample(task.name, index, 12 * task.number + 6 * (index - 1), 0, 0.2, "00") for task in tasks for index in (1, 2)
    ]
    job = a_job(
        "file:///cam.mp4",
        facts={
            "upload_id": str(upload), "project_id": str(project), "request_type": 0, "force_write": 0,
            "auto_anno_version": 0, "content_path": "p/cam.mp4",
        },
    )  # fmt: skip

    async def held():
        [document] = database.AnnotationContentUpload.find()
        names = [task["taskName"] for task in database.AnnotationTask.find().sort("taskName")]
        return [document["status"], *names, database.AnnotationFrame.count_documents({})]

    place = "https://store.example/contents/u/"
    case = Case(
        "mongo_tasks",
        {"account": "base"},
        held,
        [1, "task-0-cam", "task-1-cam", 4],
        directory / "jobs",
        job=job,
        accounts={"base": account},
        receipts={"files": Receipt(place, {"trees": [{"role": "tasks", "url": place}]})},
    )
    listed = TaskList("cam.mp4", 5.0, 30.0, Fraction(1, 15360), 640, 360, 2, tasks)
    texts = {
        "manifest": "".join(json.dumps(row.to_json()) + "\n" for row in rows),
        "task_list": json.dumps(listed.to_json()),
    }
    for role, text in texts.items():
        (case.directory / role).write_text(text)
        case.artifacts[role] = Artifact(role, role, len(text), "application/json")
    (case.directory / "tasks/task-0-cam").mkdir(parents=True)
    (case.directory / "tasks/task-0-cam/1.jpg").write_bytes(b"x")
    case.artifacts["tasks"] = tree_artifact("tasks", case.directory, "tasks")
    yield case
    far.close()


@asynccontextmanager
async def data_set(request, directory):
    server, account = request.getfixturevalue("aws"), request.getfixturevalue("account")
    bucket = await Bucket(an_aws_account(server), f"b{abs(hash(str(directory)))}").make()
    lab = Lab(account, bucket, directory)
    maker = Maker(lab, directory / "made")
    version = lab.version(await lab.task(3))
    context, outcome = await maker.build(version)
    job = replace(context.job, id=context.directory.name)

    async def held():
        objects = sorted(await lab.objects())
        return [len(objects), lab.document(version)["taskStatus"]["state"]]

    async with faulty_proxy(server) as proxy:
        yield Case(
            "data_set",
            {"database": "mongo", "account": "store", "bucket": bucket.name},
            held,
            [3 * 3 + 3, "complete"],
            context.directory.parent,
            job=job,
            accounts={"mongo": account, "store": an_aws_account(proxy.url)},
            artifacts={artifact.role: artifact for artifact in outcome.artifacts},
            facts=dict(outcome.facts),
            lose=lambda how: proxy.next_time(lambda method, path: method == "PUT" and "3.jpg" in path, LOST[how]),
            hangs=proxy.hanging.is_set,
            counts=frozenset({"sent", "sent_bytes", "equal", "dropped"}),
        )
    lab.close()


@asynccontextmanager
async def display(_request, directory):
    video = f"ada-{'0' * 32}"
    facts = {"video_id": video, "origin": "https://videos.example.org", "user": "ada", "network": "x"}

    def held():
        files = [path for path in (directory / "display").rglob("*") if path.is_file() and path.suffix != ".json"]
        return sorted((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files)

    job = a_job("timeline:x/ada", facts=facts)
    case = Case("display", {}, looked_at(held), [(f"{video}.mp4", SUM)], directory / "jobs", job=job)
    (case.directory / "slideshow.mp4").write_bytes(VIDEO)
    case.artifacts["slideshow-mp4"] = Artifact("slideshow-mp4", "slideshow.mp4", len(VIDEO))
    yield case


CASES = {
    "data_set": data_set,
    "display": display,
    "facebook": facebook,
    "facebook_captions": facebook_captions,
    "folder": folder,
    "folder (tree)": folder_tree,
    "mail (outbox)": outbox,
    "mail (SMTP)": smtp,
    "mongo_tasks": mongo_tasks,
    "pcloud": pcloud,
    "pretalx": pretalx,
    "pretalx (answer)": pretalx_answer,
    "s3": s3,
    "s3 (tree)": s3_tree,
    "sheet": sheet,
    "sqs": sqs,
    "sqs (FIFO)": sqs_fifo,
    "webhook": webhook,
    "webhook (Slack)": slack,
    "youtube": youtube,
    "youtube_captions": youtube_captions,
}
"""By kind, with the variant in brackets."""

NO_ANSWER_TO_LOSE = {
    "display": "its commit is a rename on this machine",
    "folder": "its commit is a rename on this machine",
    "folder (tree)": "its commit is a rename on this machine",
    "mail (outbox)": "its commit is a rename on this machine",
    "sheet": "its commit is a rename on this machine",
    "mongo_tasks": "the driver repeats a write with its transaction number, and the server does it once",
}
"""The cases for which the promise about a lost answer means nothing, and why."""
