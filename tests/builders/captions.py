"""One publication of captions for a video that another pipeline published, as the engine would carry it."""

from __future__ import annotations

from dataclasses import replace

from builders.engine import job
from vidd.model.media import Artifact
from vidd.model.publication import Publication
from vidd.ports import PublishContext

SRT = b"1\n00:00:00,500 --> 00:00:02,000\nSo it is\n"
OTHER = b"1\n00:00:00,500 --> 00:00:02,000\nSo it was\n"


class CaptionDesk:
    """`kind` is the publisher's module, `receipt` that of the publisher of this label which uploaded the video."""

    def __init__(self, directory, tools, kind, options, label, receipt):
        self.directory, self.tools, self.kind, self.options = directory, tools, kind, options
        self.job = job("01CAPTIONS", facts={"published": {"job": "01TALK", "token": "t", "receipts": {label: receipt}}})
        name = f"{label}_captions"
        self.publication = Publication(self.job.id, name, name, tools.clock.now())
        self.artifacts, self.replaced = {}, None

    def files(self, **texts):
        self.artifacts = {}
        for name, text in texts.items():
            language = name.replace("_", "-")
            (self.directory / f"captions.{language}.srt").write_bytes(text)
            role = f"srt-{language}"
            self.artifacts[role] = Artifact(role, f"captions.{language}.srt", len(text), facts={"language": language})
        return self

    @property
    def context(self):
        async def checkpoint(token):
            self.publication = replace(self.publication, token=dict(token))

        return PublishContext(
            self.job, self.directory, self.tools, None, self.artifacts, {}, self.publication, {}, lambda *_: None,
            checkpoint, checkpoint, self.replaced,
        )  # fmt: skip

    async def publish(self):
        receipt = await self.kind.publish(self.options, self.context)
        self.publication = replace(self.publication, receipt=receipt)
        return receipt
