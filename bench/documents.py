"""What the documents of a two-hour video cost the daemon, beside taking its frames and beside writing the same documents bare.

    python bench/documents.py [--hours 2] [--rate 5] [--size 1280x720] [--seconds 60] [--rounds 2] [--dir DIR]

The publisher reads manifest and boxes (one a frame) and writes tasks and frames into the tests' MongoDB server, in a process
of its own; its memory is the most that was resident, over what was when it began. `pymongo alone` inserts documents that it
has in memory already, a thousand at once, into the same server. Taking the frames is measured on `seconds` of the same kind of
recording, and reckoned up; what a job costs besides, fetching and uploading, is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import av
from bson import ObjectId
from builders.aws import Desk, a_job, the_tools
from builders.mongodb import an_account
from common import Run, measured, rss, table
from cut import make
from frames import ours as take_frames
from peers.mongo import MongoServer
from pymongo import MongoClient

from vidd.files.tree import tree_artifact
from vidd.integrations.annotation_service import publisher as annotation_service_publisher
from vidd.model.frame_manifest import Sample, Task, TaskList, task_name
from vidd.model.publication import Receipt

_PER_TASK = 120
_PLACE = "https://store.example/contents/u/"


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time and of CPU, and MB of memory more than before."""

    seconds: float
    cpu: float
    memory: float = 0.0


def write_files(directory: Path, frames: int, rate: float) -> None:
    """What the steps frames and annotate leave of so many frames."""
    names = [task_name(number, "cam") for number in range(-(-frames // _PER_TASK))]
    every = round(25 / rate)
    (directory / "tasks").mkdir(parents=True)
    with (directory / "manifest.jsonl").open("w") as rows, (directory / "annotations.jsonl").open("w") as boxes:
        for at in range(frames):
            name, index, frame = names[at // _PER_TASK], at % _PER_TASK + 1, (at + 1) * every - 1
            sample = Sample(name, index, frame, frame * 512, round(frame / 25, 6), f"{at:040x}")
            rows.write(json.dumps(sample.to_json()) + "\n")
            box = {"x": 10.0, "y": 20.0, "w": 60.0, "h": 140.0, "label": "person", "confidence": 0.875}
            boxes.write(json.dumps({"task": name, "index": index, "boxes": [box]}) + "\n")
            (directory / "tasks" / name).mkdir(exist_ok=True)
            (directory / "tasks" / name / f"{index}.jpg").touch()
    tasks = [
        Task(at, name, f"{name}/{name}.mp4", min(_PER_TASK, frames - at * _PER_TASK), at * _PER_TASK * every, 0)
        for at, name in enumerate(names)
    ]
    listed = TaskList("cam", rate, 25.0, Fraction(1, 12800), 1280, 720, _PER_TASK, tasks)
    (directory / "task_list.json").write_text(json.dumps(listed.to_json()))


async def ours(directory: Path, uri: str, database: str) -> Cost:
    """Publish them, as the engine would call it."""
    account = an_account(uri, database)
    base = MongoClient(uri)[database]
    project, upload = ObjectId(), ObjectId()
    base.AnnotationProject.insert_one({"_id": project, "contentUploads": []})
    base.AnnotationContentUpload.insert_one({"_id": upload, "projectId": project, "status": 0})
    facts = {"upload_id": str(upload), "project_id": str(project), "request_type": 1, "auto_anno_version": 1}
    job = replace(a_job("file:///cam.mp4", name="cam.mp4", facts=facts), id="01bench")
    desk = Desk(job, directory, the_tools(directory, base=account))
    for role, name in (
        ("manifest", "manifest.jsonl"),
        ("task_list", "task_list.json"),
        ("annotations", "annotations.jsonl"),
    ):
        desk.add(role, name, (directory / name).read_bytes())
    desk.artifacts["tasks"] = tree_artifact("tasks", directory, "tasks")
    receipts = {"files": Receipt(_PLACE, {"trees": [{"role": "tasks", "url": _PLACE}]})}
    before, begun, cpu = rss(os.getpid()), time.perf_counter(), time.process_time()
    await annotation_service_publisher.publish(
        annotation_service_publisher.Options(account="base"), replace(desk.context, receipts=receipts)
    )
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return Cost(seconds, cpu, rss(os.getpid(), "VmHWM") - before)


def bare(uri: str, documents: list[dict[str, Any]]) -> Cost:
    """Insert the same documents."""
    frames = MongoClient(uri)["bare"].frames
    frames.drop()
    frames.create_index([("taskId", 1), ("frameId", 1)])
    begun, cpu = time.perf_counter(), time.process_time()
    for at in range(0, len(documents), 1000):
        frames.insert_many(documents[at : at + 1000], ordered=False)
    return Cost(time.perf_counter() - begun, time.process_time() - cpu)


def frames_once(source: Path, rate: float) -> Run:
    with tempfile.TemporaryDirectory(dir=source.parent) as name:
        return measured([sys.executable, __file__, "--frames", str(source), name, str(rate)])


def publish_once(directory: Path, uri: str, database: str) -> Cost:
    words = [sys.executable, __file__, "--ours", str(directory), uri, database]
    return Cost(**json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    match sys.argv[1:]:
        case ["--ours", directory, uri, database]:
            print(json.dumps(vars(asyncio.run(ours(Path(directory), uri, database)))))
            return
        case ["--frames", source, directory, rate]:
            asyncio.run(take_frames(Path(source), Path(directory), float(rate), prune=True))
            return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dir", type=Path)
    compare(parser.parse_args())


def compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="vidd-documents-", dir=options.dir) as name:
        directory, frames = Path(name), round(options.hours * 3600 * options.rate)
        source = make(directory, "h264", options.size, options.seconds)
        with av.open(str(source)) as container:
            length = (container.duration or 0) / av.time_base
        write_files(directory / "job", frames, options.rate)
        server = MongoServer(directory / "data")
        server.start()
        try:
            found: dict[str, list[Cost]] = {"vidd, documents": [], "pymongo alone": [], "taking the frames": []}
            for number in range(options.rounds):
                database = f"bench{number}"
                found["vidd, documents"].append(publish_once(directory / "job", server.uri, database))
                made = list(MongoClient(server.uri)[database].AnnotationFrame.find())
                found["pymongo alone"].append(bare(server.uri, made))
                del made
                run = frames_once(source, options.rate)
                part = options.hours * 3600 / length
                found["taking the frames"].append(Cost(run.seconds * part, run.cpu * part))
        finally:
            server.kill()
    whole = median(run.seconds for run in found["taking the frames"])
    rows = [
        [
            way,
            f"{median(run.seconds for run in made):.1f}",
            f"{median(run.cpu for run in made):.1f}",
            f"{100 * median(run.seconds for run in made) / whole:.2f} %",
            f"{max(run.memory for run in made):.0f}" if any(run.memory for run in made) else "",
        ]
        for way, made in found.items()
    ]
    title = f"{frames} frames of {options.size} in tasks of {_PER_TASK}, {options.rounds} rounds, medians (target: 1 % of the job's time, 64 MB)"
    table(title, ("what", "wall s", "own cpu s", "of taking the frames", "memory MB"), rows)


if __name__ == "__main__":
    main()
