"""Validates the annotation service's call, field by field, and its rules (those of the content processor)."""

from __future__ import annotations

import hmac
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vidd.display_text import printable, quoted
from vidd.integrations.annotation_service.documents import DONE, IMAGES, ONLY_BOXES, ONLY_TASKS, VIDEO
from vidd.media.frames.client import IMAGE_SUFFIXES
from vidd.ports import Declined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.annotation_service.documents import Offer

# Linux's limits, in bytes, of a name and of a path.
_MAX_NAME, _MAX_PATH = 255, 4095
_VIDEO_SUFFIXES = {".avi", ".mp4", ".mkv", ".mov"}


class CallDeclined(Declined):
    """A call that is declined for one of its fields: `field`. `original` is the status that the original answered with."""

    def __init__(self, status: int, sentence: str, field: str, original: int = 200) -> None:
        super().__init__(status, sentence)
        self.field, self.original = field, original


class ContentMissing(Declined):
    """A call that is declined because there is no such content; `inside` is its path below the content root."""

    def __init__(self, sentence: str, inside: PurePosixPath) -> None:
        super().__init__(422, sentence)
        self.inside = inside


def _visible(text: str) -> str:
    if not text.strip() or printable(text) != text:
        raise ValueError("it is empty, or has invisible characters")
    return text.strip()


_Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_visible)]


class ContentCall(BaseModel):
    """The fields of the call, except the key."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    upload_id: _Text = Field(description="The AnnotationContentUpload it is for.")
    project_id: _Text = Field(description="The AnnotationProject of the tasks.")
    frame_rate: int = Field(gt=0, le=1000, description="How many frames per second become frames of tasks.")
    content_path: _Text = Field(description="The path of the content below the content root.")
    force_write: Literal[0, 1] = Field(description="1 replaces tasks that exist already.")
    auto_anno_version: int = Field(ge=0, le=1_000_000, description="Which automatic annotation; 0 for none.")
    request_type: Literal[0, 1, 2] = Field(description="0: tasks; 1: tasks and annotations; 2: annotations alone.")
    content_type: Literal[1, 2] = Field(
        1, description="1: a video; 2: an image, or images in a zip file or a directory."
    )

    @property
    def images(self) -> bool:
        """Whether the content is images."""
        return self.content_type == IMAGES

    def facts(self) -> dict[str, Any]:
        """The facts of its job."""
        return {**self.model_dump(), "talk": None}


SCHEMA: Mapping[str, Any] = {
    **ContentCall.model_json_schema(),
    "properties": {
        **ContentCall.model_json_schema()["properties"],
        "auth_key": {"type": "string", "description": "The key of the settings."},
    },
}


def type_of(path: str) -> int:
    """The content type that a file name suggests."""
    return VIDEO if PurePosixPath(path).suffix.lower() in _VIDEO_SUFFIXES else IMAGES


def read_call(fields: Mapping[str, Any], auth_key: str) -> ContentCall:
    """The call. Declined with 401 for a wrong key, and 400, with all faults in one text, for fields that are missing or wrong."""
    given = fields.get("auth_key")
    if given is None or given == "":
        sentence = "auth_key is missing: send the key of the settings."
        raise CallDeclined(400, sentence, "auth_key", 401 if given is None else 400)
    if not hmac.compare_digest(str(given).encode(errors="replace"), auth_key.encode()):
        raise CallDeclined(401, "auth_key is not the key of the settings: send the right one.", "auth_key", 401)
    try:
        return ContentCall.model_validate({name: _convert(name, value) for name, value in fields.items()})
    except ValidationError as error:
        faults = error.errors()
        sentence = " ".join(_fault(detail) for detail in faults)
        raise CallDeclined(400, sentence, str(faults[0]["loc"][0]), 400) from None


_INTEGER = re.compile(r"-?[0-9]{1,11}")
_NUMBERS = {"frame_rate", "force_write", "auto_anno_version", "request_type", "content_type"}


def _convert(name: str, value: Any) -> Any:
    """A field as JSON has it, since a form sends numbers as text."""
    if name not in _NUMBERS:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    # Python takes True for 1, which JSON does not.
    return str(value).lower() if isinstance(value, bool) else value


def _fault(error: Mapping[str, Any]) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{name} is missing: {ContentCall.model_fields[name].description}"
    return f"{name} cannot be {quoted(str(error['input'])[:80])}: {error['msg'][:1].lower()}{error['msg'][1:]}."


def check_rules(call: ContentCall, upload: Mapping[str, Any], tasks: int, offer: Offer) -> None:
    """The service's rules of what may be asked of an upload that has this number of `tasks`. Declined with 409 or 422."""
    if (project := upload.get("projectId")) not in {None, ""} and str(project) != call.project_id:
        raise CallDeclined(
            422,
            f"The upload belongs to the project {quoted(str(project)[:80])}: send that as project_id.",
            "project_id",
        )
    if call.request_type == ONLY_TASKS and call.auto_anno_version:
        raise CallDeclined(
            422,
            "Request type 0 makes tasks without annotations: send auto_anno_version 0 with it.",
            "auto_anno_version",
            400,
        )
    if call.request_type != ONLY_TASKS:
        _check_version(call.auto_anno_version, upload, offer)
    if call.request_type == ONLY_BOXES:
        _check_tasks(upload, tasks, offer)
    elif tasks and not call.force_write:
        raise CallDeclined(409, "The upload has tasks already: send force_write 1 to replace them.", "project_id")


def _check_version(version: int, upload: Mapping[str, Any], offer: Offer) -> None:
    if not version:
        raise CallDeclined(
            422,
            "Request types 1 and 2 annotate: send the version, 1 or more, as auto_anno_version.",
            "auto_anno_version",
            400,
        )
    if offer.versions is not None and version not in offer.versions:
        known = ", ".join(map(str, sorted(offer.versions)))
        raise CallDeclined(
            422, f"There is no version {version} of automatic annotation here, only {known}.", "auto_anno_version"
        )
    # An upload that is not done has no boxes, whatever version was requested.
    stored = _stored(upload, "request_annotation_version", 0) if upload.get("status") == DONE else 0
    if version <= stored:
        raise CallDeclined(
            409,
            f"The upload is annotated by version {stored} already: send an auto_anno_version above it.",
            "auto_anno_version",
            400,
        )


def _check_tasks(upload: Mapping[str, Any], tasks: int, offer: Offer) -> None:
    if not tasks:
        raise CallDeclined(
            409,
            "The upload has no tasks yet to annotate: ask for tasks and annotations (type 1) first.",
            "auto_anno_version",
        )
    if (has := _stored(upload, "frames_per_task", offer.per_task)) != offer.per_task:
        raise CallDeclined(
            409,
            f"The upload's tasks have {has} frames and new ones have {offer.per_task}: "
            "ask for tasks and annotations (type 1) with force_write 1.",
            "request_type",
            400,
        )


def _stored(upload: Mapping[str, Any], name: str, unset: int) -> int:
    """A number of the upload's document, which other systems write too."""
    value = upload.get(name)
    if value is None or value == "":
        return unset
    try:
        return int(value)
    except (TypeError, ValueError):
        raise Declined(409, f"The upload's {name} is {quoted(str(value)[:80])}: make it a whole number.") from None


def path_below(text: str, root: Path, prefix: str = "") -> PurePosixPath:
    """A path as calls write it, relative to the content root `root` (resolved), which they may write as `prefix`."""
    path = PurePosixPath(text)
    if prefix and path.is_relative_to(prefix):
        return path.relative_to(prefix)
    return path.relative_to(root) if path.is_relative_to(root) else path


def content_at(call: ContentCall, root: Path, prefix: str = "") -> Path:
    """The file or directory of the call, below `root`, which the call may write as `prefix`. Blocks.

    Declined with 422 where the path leads out of `root`, or nothing suitable is there; ContentMissing where nothing is.
    """
    shown, base = quoted(call.content_path), root.resolve()
    asked = path_below(call.content_path, base, prefix)
    path = base / asked
    if ".." in asked.parts or path.resolve() != path or not path.is_relative_to(base):
        raise Declined(
            422, f"content_path {shown} leads out of the content root, or through a link: name a file in it."
        )
    if any(len(part.encode()) > _MAX_NAME for part in path.parts) or len(str(path).encode()) > _MAX_PATH:
        raise Declined(422, f"content_path {shown} is longer than a file name can be: name a file that exists.")
    if path == base:
        raise Declined(422, f"content_path {shown} is the content root itself: name a file or a directory in it.")
    inside = PurePosixPath(path.relative_to(base))
    if call.images:
        if not path.exists():
            raise ContentMissing(f"There is no image, zip file or directory {shown} below the content root.", inside)
        if not (path.is_dir() or (path.is_file() and path.suffix.lower() in {".zip", *IMAGE_SUFFIXES})):
            raise Declined(422, f"There is no image, zip file or directory {shown} below the content root.")
        return path
    if path.suffix.lower() not in _VIDEO_SUFFIXES:
        raise Declined(422, f"{shown} is no video by its name: vidd takes {', '.join(sorted(_VIDEO_SUFFIXES))}.")
    if not path.is_file():
        raise ContentMissing(f"There is no file {shown} below the content root.", inside)
    return path
