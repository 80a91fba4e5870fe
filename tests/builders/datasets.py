"""A lab that annotates: tasks with films or pictures, frames with boxes, versions of data sets, and who makes them."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from bson import ObjectId
from peers.servers import ministack
from PIL import Image, ImageDraw
from pymongo import MongoClient

from builders.aws import Bucket, Desk, a_job, a_step_context, the_tools
from vidd.integrations.aws.account import client
from vidd.integrations.datasets import publisher, step

SIZE = (320, 180)
LABELS = [
    {"mainLabel": "car", "attributes": {}, "isEnabled": True},
    {"mainLabel": "car", "attributes": {"colour": "red"}, "isEnabled": False},
    {"mainLabel": "person", "attributes": {"pose": "standing"}, "isEnabled": True},
]
SPLIT = [{"percentage": 70}, {"percentage": 20}, {"percentage": 10}]


def picture(number: int, size=SIZE) -> Image.Image:
    """One that is unlike all others."""
    chance = random.Random(number)
    image = Image.new("RGB", size, tuple(chance.randrange(40, 220) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = chance.randrange(size[0] - 40), chance.randrange(size[1] - 30)
        draw.rectangle((x, y, x + 40, y + 30), fill=tuple(chance.randrange(256) for _ in range(3)))
    return image


def jpeg(number: int, size=SIZE) -> bytes:
    file = io.BytesIO()
    picture(number, size).save(file, "JPEG", quality=92)
    return file.getvalue()


def film(path: Path, frames: int, first: int = 0) -> bytes:
    """An H.264 film whose k-th picture is `picture(first + k)`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"crf": "12", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.time_base = Fraction(1, 5)
        for number in range(1, frames + 1):
            container.mux(stream.encode(av.VideoFrame.from_image(picture(first + number))))
        container.mux(stream.encode())
    return path.read_bytes()


def box(label="car", x=32.0, y=18.0, w=64.0, h=36.0, *, attributes=None):
    place = {"x": x, "y": y, "w": w, "h": h}
    boundaries = {"type": "rectangle", "label": label, "color": "#00d1ff", "attributeValues": attributes or {}, **place}
    return {"id": 1, "boundaries": boundaries, "attributeValues": {}}


def augmentations(**values):
    return {"IMAGE_LEVEL": [{"properties": [{"id": name, "values": given} for name, given in values.items()]}]}


@dataclass
class Lab:
    """A database and a bucket. What is read of the database comes with its ids as they are."""

    account: object
    bucket: Bucket
    root: Path

    def __post_init__(self):
        self.client = MongoClient(self.account.uri.get_secret_value())
        self.db = self.client[self.account.database]
        self.group = ObjectId()

    def close(self):
        self.client.close()

    async def task(self, frames=20, *, first=0, filmed=False, images=True, boxes=None):
        """A task whose frame k shows `picture(first + k)`, with a film, or a stored picture each."""
        task = ObjectId()
        name = f"task-{first}-cam"
        url = f"contents/up/{name}/{name}.mp4"
        if filmed:
            await self.bucket.put(url, film(self.root / f"{name}.mp4", frames, first))
        self.db.AnnotationTask.insert_one(
            {
                "_id": task, "taskName": name, "frameCount": frames, "S3_url": url if filmed else None,
                "videoResolutionWidth": SIZE[0], "videoResolutionHeight": SIZE[1], "datasetVersions": [],
            }
        )  # fmt: skip
        documents = []
        for number in range(1, frames + 1):
            key = f"contents/up/{name}/{number}.jpg"
            stored = images and not filmed
            if stored:
                await self.bucket.put(key, jpeg(first + number))
            given = boxes(number) if boxes else [box(), box("person", 200, 90, 40, 60, attributes={"pose": "standing"})]
            documents.append(
                {
                    "frameId": number, "taskId": task, "boxes": given, "status": 0, "datasetVersions": [],
                    **({"imageUrl": key} if stored else {}),
                }
            )  # fmt: skip
        if documents:
            self.db.AnnotationFrame.insert_many(documents)
        return task

    def version(self, *tasks, number="1", **changes):
        document = {
            "_id": ObjectId(), "dataSetGroupId": self.group, "versionNo": number, "taskList": list(tasks),
            "labelAttributeList": LABELS, "splitCount": SPLIT, "taskStatus": {"state": "pending", "tasks": []},
            **changes,
        }  # fmt: skip
        self.db.AnnotationDatasetVersion.insert_one(document)
        return str(document["_id"])

    def document(self, version):
        return self.db.AnnotationDatasetVersion.find_one({"_id": ObjectId(version)})

    def frames(self, task):
        return list(self.db.AnnotationFrame.find({"taskId": task}, sort=[("frameId", 1)]))

    def frame(self, task, number):
        return self.db.AnnotationFrame.find_one({"taskId": task, "frameId": number})

    async def objects(self, prefix="dataset/"):
        """The sums, by key."""
        found = {}
        async with client(self.bucket.account, "s3") as s3:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.name, Prefix=prefix)
            async for page in pages:
                found |= {content["Key"]: content["ETag"].strip('"') for content in page.get("Contents", ())}
        return found

    async def empty(self):
        """Take all data sets away."""
        for key in await self.objects():
            await self.bucket.delete(key)


@dataclass
class Maker:
    """Runs step and publisher as the engine would; `state` keeps the ledger, each `make` is a job of its own.

    `settings` are those that both have, besides the accounts.
    """

    lab: Lab
    state: Path
    jobs: int = 0
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def tools(self):
        return the_tools(self.state, mongo=self.lab.account, store=self.lab.bucket.account)

    def options(self, kind, **changes):
        values = {"database": "mongo", "account": "store", "bucket": self.lab.bucket.name, **self.settings}
        return kind.Options(**{**values, **changes})

    def context(self, version):
        self.jobs += 1
        job = a_job(f"data-set:{version}", facts={"data_set_version": version})
        directory = self.state / f"job-{self.jobs}"
        directory.mkdir(parents=True)
        return a_step_context(directory, replace(job, id=f"job{self.jobs}"), self.tools)

    async def build(self, version, context=None, **changes):
        context = context or self.context(version)
        return context, await step.run(self.options(step, **changes), context)

    def desk(self, context, outcome):
        return Desk(
            context.job, context.directory, self.tools,
            artifacts={artifact.role: artifact for artifact in outcome.artifacts}, facts=dict(outcome.facts),
        )  # fmt: skip

    async def make(self, version, **changes):
        """The receipt's facts, and the step's."""
        context, outcome = await self.build(version, **changes)
        receipt = await publisher.publish(self.options(publisher), self.desk(context, outcome).context)
        return receipt.facts, outcome.facts


__all__ = ["LABELS", "SIZE", "SPLIT", "Lab", "Maker", "augmentations", "box", "film", "jpeg", "picture"]


def told(lab, version, tasks):
    """All that the documents say, but for the times."""
    document = lab.document(version)
    for export_format in document["exportFormats"].values():
        export_format.pop("lastUpdatedAt", None)
        export_format.pop("createdAt", None)
    return document, [lab.frames(task) for task in tasks], list(lab.db.AnnotationTask.find())


@pytest.fixture(scope="module")
def s3():
    with ministack() as url:
        yield url


@pytest.fixture
def maker(lab, tmp_path):
    return Maker(lab, tmp_path / "state")
