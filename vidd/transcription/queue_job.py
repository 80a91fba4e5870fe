"""Settings of a transcription job in a queue; `vidd.integrations.aws.transcription_job` does what they say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base
from vidd.transcription.formats import SUFFIXES

_Key = Annotated[str, AfterValidator(check_template), MayName("uuid", "language", "spoken", "part")]


class Options(Base):
    """A message to an SQS queue (Talkbot's `Talkbot_transcription`) asks for it; the result appears in a bucket."""

    kind: Literal["sqs"] = Field(description="Another system, asked by SQS.")
    account: str = Field(description="The S3 account of queue and bucket.")
    queue_url: str | None = Field(None, description="The queue's address.")
    queue: str | None = Field(None, description="The queue's name, in place of its address.")
    bucket: str | None = Field(None, description="The bucket of the results; without it, the account's.")
    results: tuple[_Key, ...] = Field(
        ("transcriptions/{{ uuid }}{{ part }}.vtt", "transcriptions/{{ uuid }}{{ part }}.srt"),
        min_length=1,
        description="Templates of the keys a result may have (.json, .vtt, .srt or .txt); `part` is empty for the spoken"
        " language, and like .de for another.",
    )
    urls: dict[str, str] = Field(
        {"youtube_url": "youtube", "vimeo_url": "vimeo", "s3_url": "library"},
        description="The label of the publisher of the talk that each address of the message is of.",
    )
    poll: Duration = Field(60.0, gt=0, description="Time between two looks for the result.")
    give_up: Duration = Field(86400.0, gt=0, description="How long vidd waits for it.")

    @model_validator(mode="after")
    def _check_options(self) -> Options:
        if (self.queue_url is None) is (self.queue is None):
            raise ValueError("give either queue_url or queue")
        if strange := [key for key in self.results if not key.endswith(SUFFIXES)]:
            raise ValueError(f"the result {strange[0]!r} ends in none of {', '.join(SUFFIXES)}")
        if unknown := set(self.urls) - {"youtube_url", "vimeo_url", "s3_url"}:
            raise ValueError(f"urls knows youtube_url, vimeo_url and s3_url, not {min(unknown)}")
        return self
