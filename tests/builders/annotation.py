"""A database of the annotation service with one upload, and the jobs that publish its tasks."""

import json
from dataclasses import replace
from fractions import Fraction

from bson import ObjectId
from pymongo import MongoClient

from builders.aws import Desk, a_job, the_tools
from vidd.files.tree import tree_artifact
from vidd.integrations.annotation_service import publisher as annotation_service_publisher
from vidd.model.frame_manifest import Sample, Task, TaskList, task_name
from vidd.model.publication import Receipt

OPTIONS = annotation_service_publisher.Options(account="base")
PLACE = "https://store.example/contents/u/"
TREE = {"role": "tasks", "url": PLACE, "bucket": "store", "prefix": "contents/ü/"}
RECEIPTS = {"files": Receipt(PLACE, {"trees": [TREE]})}


def a_box(label="person", confidence=0.9):
    return {"x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0, "label": label, "confidence": confidence}


class Shelf:
    """A database with a project and an upload, and what jobs for it hand to the publisher.

    Tests read it through `reader`, another connection string, where that is given.
    """

    def __init__(self, account, directory, *, reader=None):
        self.account, self.directory = account, directory
        self.client = MongoClient(reader or account.uri.get_secret_value())
        self.db = self.client[account.database]
        self.project, self.upload = ObjectId(), ObjectId()
        self.db.AnnotationProject.insert_one({"_id": self.project, "contentUploads": []})
        self.db.AnnotationContentUpload.insert_one({"_id": self.upload, "projectId": self.project, "status": 0})

    def context(self, job_id="01job", *, tasks=3, frames=4, boxes=None, edition=1, **facts):
        directory = self.directory / job_id
        (directory / "tasks").mkdir(parents=True, exist_ok=True)
        names = [task_name(number, "cam") for number in range(tasks)]
        rows = [
            Sample(name, index, 6 * (at * frames + index), 0, 0.2 * (at * frames + index), "00")
            for at, name in enumerate(names)
            for index in range(1, frames + 1)
        ]
        for name in names:
            (directory / "tasks" / name).mkdir(exist_ok=True)
            (directory / "tasks" / name / f"{name}.mp4").write_bytes(b"x")
        (directory / "tasks" / names[0] / "1.jpg").write_bytes(b"x")
        listed = TaskList(
            "cam.mp4", 5.0, 30.0, Fraction(1, 15360), 640, 360, frames,
            [Task(at, name, f"{name}/{name}.mp4", frames, 6 * at * frames, 6 * (at + 1) * frames - 1)
             for at, name in enumerate(names)],
        )  # fmt: skip
        asked = {
            "upload_id": str(self.upload), "project_id": str(self.project), "request_type": 0, "force_write": 0,
            "auto_anno_version": 0, "content_path": "p/cam.mp4", **facts,
        }  # fmt: skip
        if edition > 1:
            asked |= {"rework": {"edition": edition}}
        job = replace(a_job("file:///cam.mp4", name="cam.mp4", facts=asked), id=job_id)
        desk = Desk(job, directory, the_tools(self.directory, base=self.account))
        desk.add("manifest", "manifest.jsonl", "".join(json.dumps(row.to_json()) + "\n" for row in rows).encode())
        desk.add("task_list", "task_list.json", json.dumps(listed.to_json()).encode())
        desk.artifacts["tasks"] = tree_artifact("tasks", directory, "tasks")
        if boxes is not None:
            lines = [json.dumps({"task": names[at], "index": k, "boxes": some}) + "\n" for at, k, some in boxes]
            desk.add("annotations", "annotations.jsonl", "".join(lines).encode())
        return replace(desk.context, receipts=RECEIPTS), desk

    def document(self):
        return self.db.AnnotationContentUpload.find_one({"_id": self.upload})

    def tasks(self):
        return list(self.db.AnnotationTask.find().sort("frameStart"))

    def frame(self, task, index):
        return self.db.AnnotationFrame.find_one({"taskId": task["_id"], "frameId": index})
