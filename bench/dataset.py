"""What a data set takes the first time, and what it takes when nothing, or one box, has changed since.

    python bench/dataset.py [--frames 20000] [--per-task 120] [--side 640]

MongoDB and S3 are the servers of the tests, in processes of their own on this machine; step and publisher run in this one,
one after the other, as a daemon would have them run. Its memory is the most that was resident, over what was at the start.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bson import ObjectId
from builders.aws import Bucket, an_account
from builders.datasets import Lab, Maker, augmentations, box, jpeg
from builders.mongodb import an_account as a_database
from common import rss
from peers.mongo import MongoServer
from peers.servers import ministack

from vidd.aio.bounded import gather_bounded
from vidd.integrations.aws.account import client


@dataclass
class Run:
    """One making: seconds of the step and of the publisher, objects sent."""

    name: str
    step: float
    publish: float
    sent: int

    @property
    def total(self) -> float:
        return self.step + self.publish


async def fill(lab: Lab, frames: int, per_task: int, side: int) -> list[ObjectId]:
    """Tasks of stored pictures with three boxes each; a hundred pictures are enough, each with bytes of its own behind it."""
    size = side, side * 9 // 16
    some = [jpeg(number, size) for number in range(100)]
    tasks: list[ObjectId] = []
    async with client(lab.bucket.account, "s3") as s3:
        for first in range(0, frames, per_task):
            numbers = range(1, min(per_task, frames - first) + 1)
            task, name = ObjectId(), f"task-{first // per_task}-cam"
            lab.db.AnnotationTask.insert_one(
                {"_id": task, "taskName": name, "videoResolutionWidth": size[0], "videoResolutionHeight": size[1]}
            )

            async def put(number: int, *, name: str = name, first: int = first) -> None:
                body = some[(first + number) % 100] + f"{first + number:08}".encode()
                await s3.put_object(Bucket=lab.bucket.name, Key=f"contents/up/{name}/{number}.jpg", Body=body)

            await gather_bounded(16, numbers, put)
            lab.db.AnnotationFrame.insert_many(
                {
                    "frameId": number,
                    "taskId": task,
                    "imageUrl": f"contents/up/{name}/{number}.jpg",
                    "boxes": [box("car", 10 + number, 20, 60, 40), box("car", 100, 50, 30, 30), box("person")],
                    "datasetVersions": [],
                }
                for number in numbers
            )
            tasks.append(task)
    return tasks


async def make(maker: Maker, version: str, name: str) -> Run:
    from vidd.integrations.datasets import publisher  # noqa: PLC0415

    begin = time.monotonic()
    bench, outcome = await maker.build(version)
    between = time.monotonic()
    receipt = await publisher.publish(maker.options(publisher), maker.desk(bench, outcome).context)
    run = Run(name, between - begin, time.monotonic() - between, receipt.facts["sent"])
    print(f"  {name}: step {run.step:.1f} s, publisher {run.publish:.1f} s, {run.sent} objects sent", flush=True)
    return run


async def measure(url: str, uri: str, root: Path, options: argparse.Namespace) -> None:
    lab = Lab(a_database(uri, "bench"), await Bucket(an_account(url), "bench").make(), root)
    begin = time.monotonic()
    tasks = await fill(lab, options.frames, options.per_task, options.side)
    print(
        f"  {options.frames} frames in {len(tasks)} tasks were put there in {time.monotonic() - begin:.0f} s",
        flush=True,
    )
    version = lab.version(*tasks, augmentationTypes=augmentations(FLIP_HORIZONTAL=[1], BLUR=[1, 2]))
    maker = Maker(lab, root / "state")
    before = rss(os.getpid())
    runs = [await make(maker, version, "first"), await make(maker, version, "nothing changed")]
    frame = lab.db.AnnotationFrame.find_one({"taskId": tasks[0], "frameId": 2})
    lab.db.AnnotationFrame.update_one({"_id": frame["_id"]}, {"$set": {"boxes": [box("car", 5, 5, 50, 50)]}})
    runs.append(await make(maker, version, "one box"))
    most = rss(os.getpid(), "VmHWM") - before
    lab.close()
    print(
        f"\n| {options.frames} frames | step s | publisher s | all | of the first | objects sent |\n|---|---|---|---|---|---|"
    )
    for run in runs:
        share = 100 * run.total / runs[0].total
        print(f"| {run.name} | {run.step:.1f} | {run.publish:.1f} | {run.total:.1f} | {share:.1f} % | {run.sent} |")
    print(f"\nmemory: {most:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=20000)
    parser.add_argument("--per-task", type=int, default=120)
    parser.add_argument("--side", type=int, default=640)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, ministack() as url:
        server = MongoServer(Path(place) / "mongo")
        server.start()
        try:
            asyncio.run(measure(url, server.uri, Path(place), options))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
