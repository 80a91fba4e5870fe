"""Every kind of source with something that arrives there, for the suite of the promises."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from builders.aws import an_account as an_aws_account
from builders.engine import job as a_job
from peers.cms import a_cms, a_video
from pydantic import SecretStr
from pymongo import MongoClient

from vidd.integrations.aws.account import client
from vidd.model.job import Job, State
from vidd.pipelines.registry import account_module
from vidd.ports import Call
from vidd.settings.secret import Account as Secret

AUTH_KEY = "a key of sixteen letters"


@dataclass
class Case:
    """A source of `kind` with one thing in it that becomes a job.

    `left` counts what the far side has that was not acknowledged, where it keeps such things. `ask` calls the source's
    routes as a client would, where the thing arrives by a call; it returns the status. `jobs` of other pipelines are in the
    store.
    """

    kind: str
    options: dict[str, Any]
    accounts: dict[str, Any] = field(default_factory=dict)
    left: Callable[[], Awaitable[int]] | None = None
    ask: Callable[[Any], Awaitable[int]] | None = None
    jobs: Sequence[Job] = ()


def recording(path):
    """A file that has stood still."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"video")
    os.utime(path, (0, 0))
    return path


@asynccontextmanager
async def folder(_request, directory):
    recording(directory / "drop/talk.mp4")
    yield Case("folder", {"path": "drop", "rescan": "100ms"})


@asynccontextmanager
async def published(_request, directory):
    kept = directory / "published/source/job-1-0123456789ab"
    recording(kept / "talk.mp4")
    record = {"job": "job-1", "token": "0123456789ab", "name": "Main_t1.mp4", "talk_id": "t1", "file": "talk.mp4"}
    (kept / "record.json").write_text(json.dumps(record))
    followed = a_job("job-1", pipeline="recordings", state=State.PUBLISHED)
    yield Case("published", {"of": "recordings", "pipeline": "talks"}, jobs=[followed])


@asynccontextmanager
async def sheet(_request, directory):
    path = directory / "programme.csv"
    recording(directory / "talk.mp4")
    path.write_text("uuid,title,ready,recording\nt-1,One,yes,talk.mp4\n")
    os.utime(path, (0, 0))
    yield Case("sheet", {"path": str(path), "refresh": "100ms", "pipeline": "talks"})


@asynccontextmanager
async def sqs(request, directory):
    account = an_aws_account(request.getfixturevalue("aws"))
    async with client(account, "sqs") as queues:
        name = f"q{abs(hash(str(directory)))}"
        url = (await queues.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"}))["QueueUrl"]
        record = {
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "b"}, "object": {"key": "talk.mp4", "size": 5, "eTag": "e", "sequencer": "1"}},
        }
        await queues.send_message(QueueUrl=url, MessageBody=json.dumps({"Records": [record]}))

    async def left():
        async with client(account, "sqs") as queues:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            answer = await queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    options = {"account": "library", "queue_url": url, "pipeline": "talks", "wait": 1}
    yield Case("sqs", options, {"library": account}, left)


@asynccontextmanager
async def cms(_request, _directory):
    async with a_cms() as far:
        far.shelf.put(a_video(7))
        options = {"account": "lab", "pipeline": "talks", "catch_up": "100ms"}
        yield Case("cms", options, {"lab": account_module("cms").Account(url=far.url)})


@asynccontextmanager
async def process_content(request, directory):
    account = request.getfixturevalue("account")
    far = MongoClient(account.uri.get_secret_value())
    project, upload = ObjectId(), ObjectId()
    far[account.database].AnnotationProject.insert_one({"_id": project, "contentUploads": []})
    far[account.database].AnnotationContentUpload.insert_one({"_id": upload, "projectId": project, "status": 0})
    recording(directory / "uploads/p1/images/1.jpg")
    fields = {
        "upload_id": str(upload), "auth_key": AUTH_KEY, "project_id": str(project), "frame_rate": 5,
        "content_path": "p1/images", "force_write": 0, "auto_anno_version": 0, "request_type": 0, "content_type": 2,
    }  # fmt: skip

    async def ask(routes):
        [route] = [route for route in routes if route.method == "POST"]
        return (await route.answer(Call(fields=fields))).status

    accounts = {"base": account, "caller": Secret(value=SecretStr(AUTH_KEY))}
    options = {"account": "base", "auth_key": "caller.value", "root": "uploads", "pipeline": "talks"}
    yield Case("process_content", options, accounts, ask=ask)
    far.close()


@asynccontextmanager
async def data_sets(request, _directory):
    account = request.getfixturevalue("account")
    far = MongoClient(account.uri.get_secret_value())
    _pending(far, account)
    yield Case("data_sets", {"account": "base", "pipeline": "talks", "rescan": "100ms"}, {"base": account})
    far.close()


@asynccontextmanager
async def data_sets_asked(request, _directory):
    account = request.getfixturevalue("account")
    far = MongoClient(account.uri.get_secret_value())
    version = _pending(far, account, state="new")

    async def ask(routes):
        [route] = [route for route in routes if route.path == "/api/data-sets"]
        return (await route.answer(Call(fields={"data_version_id": version}))).status

    yield Case("data_sets", {"account": "base", "pipeline": "talks", "rescan": "1h"}, {"base": account}, ask=ask)
    far.close()


@asynccontextmanager
async def timeline(_request, _directory):
    async def ask(routes):
        [route] = [route for route in routes if (route.method, route.path) == ("GET", "/video")]
        called = Call(query={"user": "ada"}, headers={"idempotency-key": "1"}, origin="http://localhost:5000")
        return (await route.answer(called)).status

    options = {"accounts": {"x": "birds"}, "pipeline": "talks"}
    yield Case("timeline", options, {"birds": account_module("x").Account(token=SecretStr("secret"))}, ask=ask)


def _pending(far, account, state="pending"):
    document = {
        "_id": ObjectId(), "dataSetGroupId": ObjectId(), "versionNo": "1", "taskList": [],
        "taskStatus": {"state": state, "tasks": []},
    }  # fmt: skip
    far[account.database].AnnotationDatasetVersion.insert_one(document)
    return str(document["_id"])


CASES = {
    "cms": cms,
    "data_sets": data_sets,
    "data_sets (asked for)": data_sets_asked,
    "folder": folder,
    "process_content": process_content,
    "published": published,
    "sheet": sheet,
    "sqs": sqs,
    "timeline": timeline,
}
"""By kind, with the variant in brackets."""
