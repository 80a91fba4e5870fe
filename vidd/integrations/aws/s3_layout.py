"""Maps the files and trees of a job to S3 objects: keys, headers and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vidd.errors import FaultCode, Refused
from vidd.files.content_type import content_type
from vidd.files.tree import list_files
from vidd.integrations.aws.account import Account, object_name
from vidd.integrations.aws.s3_bucket import Access
from vidd.integrations.aws.s3_target import Target, header_text, safe_key
from vidd.integrations.aws.s3_tree import TreeFile, TreeUpload
from vidd.model.job import REPLACES
from vidd.settings.marks import Role
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of, render
from vidd.settings.types import Options as Base
from vidd.settings.types import Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.model.media import Artifact
    from vidd.ports import PublishContext

_Template = Annotated[str, AfterValidator(check_template), MayName("role", "part", "suffix")]


class Layout(Base):
    """The settings that say which objects the files and trees become."""

    bucket: str | None = Field(
        None, min_length=1, description="The bucket; without it, the account's. `vidd check --create` makes it."
    )
    key: _Template = Field(
        "{{ (talk.id or job.id) | file_name }}/{{ name | file_name }}{{ part }}{{ suffix }}",
        description="Template of a file's key; `part` tells several apart (-rendition-720p), `suffix` is like .mp4.",
    )
    prefix: _Template = Field(
        "{{ (talk.id or job.id) | file_name }}/{{ role | file_name }}",
        description="Template of what the keys of a tree's files begin with, such as annotations/{{ facts.folder_id }}.",
    )
    files: tuple[Annotated[str, Role()], ...] = Field(
        (), description="Roles of the files and trees; none means all that the steps made."
    )
    at_once: int = Field(8, ge=1, le=32, description="Files of trees compared or sent at once.")
    content_type: str | None = Field(None, description="Content type; without it, the file's own.")
    metadata: dict[str, _Template] = Field(default_factory=dict, description="Templates of metadata, by name.")
    cache_control: str | None = Field(None, description="Cache-Control header.")
    acl: str | None = Field(None, description="Canned ACL, such as public-read.")
    access: Access | None = Field(
        None,
        description="public-read: everybody may download, by the bucket's policy or, with `acl`, by the objects' ACL;"
        " private: nobody may without a presigned link. `vidd check --create` makes a new bucket so, `--online` checks it."
        " Unset: as the bucket is.",
    )
    storage_class: str | None = Field(None, description="Storage class, such as STANDARD_IA.")
    part_size: Size = Field(Size(16 * 2**20), ge=5 * 2**20, le=5 * 2**30, description="Size of a part.")
    overwrite: Literal["ours"] | bool = Field(
        "ours", description='"ours": replace only objects of this job or of the job it replaces; true: any object.'
    )

    def in_bucket(self, account: Account) -> str:
        """The bucket; Refused if neither the publisher nor the account names one."""
        bucket = self.bucket or account.bucket
        if bucket is None:
            raise Refused(
                "No bucket is named: set bucket of the publisher, or of its account.", code=FaultCode.BAD_SETTINGS
            )
        return bucket


@dataclass(frozen=True)
class File:
    """A file, the object it becomes, and the fields that templates may name."""

    artifact: Artifact
    target: Target
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Tree:
    """A tree and the objects it becomes, by key; `prefix` is empty or ends in a slash."""

    artifact: Artifact
    bucket: str
    prefix: str
    fields: Mapping[str, Any]
    files: Mapping[str, TreeFile]

    def to_json(self) -> dict[str, Any]:
        """For a receipt."""
        size = sum(file.size for file in self.files.values())
        return {
            "role": self.artifact.role,
            "bucket": self.bucket,
            "prefix": self.prefix,
            "count": len(self.files),
            "size": size,
        }


class UploadPlan:
    """Which file becomes which object. Reads the directories of trees, so the constructor blocks."""

    def __init__(self, options: Layout, account: Account, context: PublishContext) -> None:
        self._options, self._context, self._bucket = options, context, options.in_bucket(account)
        chosen = context.choose(options.files, trees=True)
        self._several = len(chosen) > 1
        self._keys: set[str] = set()
        self.files = [self._file(artifact) for artifact in chosen if artifact.tree is None]
        self.trees = [self._tree(artifact) for artifact in chosen if artifact.tree is not None]

    def _fields(self, artifact: Artifact) -> dict[str, Any]:
        suffix = PurePath(artifact.path).suffix if artifact.tree is None else ""
        part = f"-{artifact.role}" if self._several else ""
        context = self._context
        return fields_of(context.job, context.talk, context.facts, role=artifact.role, part=part, suffix=suffix)

    def _target(self, key: str, kind: str, fields: Mapping[str, Any]) -> Target:
        options, job = self._options, self._context.job
        if safe_key(key) in self._keys:
            raise Refused(
                f"Two files would be {object_name(self._bucket, key)}: put {{{{ role }}}} into the key.",
                code=FaultCode.BAD_SETTINGS,
            )
        self._keys.add(key)
        extra = {
            "ContentType": options.content_type or kind,
            "CacheControl": options.cache_control,
            "ACL": options.acl,
            "StorageClass": options.storage_class,
        }
        return Target(
            self._bucket,
            key,
            job.id,
            metadata={name: header_text(render(text, fields)) for name, text in options.metadata.items()},
            extra={name: value for name, value in extra.items() if value is not None},
            overwrite=options.overwrite is True,
            replaces=job.facts.get(REPLACES),
        )

    def _file(self, artifact: Artifact) -> File:
        fields = self._fields(artifact)
        return File(artifact, self._target(render(self._options.key, fields), artifact.content_type, fields), fields)

    def _tree(self, artifact: Artifact) -> Tree:
        fields, root = self._fields(artifact), self._context.directory / artifact.path
        prefix = render(self._options.prefix, fields).strip("/")
        prefix += "/" if prefix else ""
        files = {
            f"{prefix}{leaf.path}": TreeFile(
                root / leaf.path, leaf.size, self._target(f"{prefix}{leaf.path}", content_type(leaf.path), fields)
            )
            for leaf in list_files(root)
        }
        if not files:
            raise Refused(
                f"The directory {artifact.role!r} is empty; vidd will not replace published files with nothing."
            )
        return Tree(artifact, self._bucket, prefix, fields, files)

    def upload(self, s3: Any) -> TreeUpload:
        """The upload of all trees together."""
        return TreeUpload(
            s3,
            self._bucket,
            {key: file for tree in self.trees for key, file in tree.files.items()},
            roots=[tree.prefix for tree in self.trees],
            part_size=int(self._options.part_size),
            at_once=self._options.at_once,
            sleep=self._context.tools.clock.sleep,
        )

    @property
    def gone(self) -> set[str]:
        """The keys of files that were published before and are no longer in the trees."""
        gone = self._context.gone
        return {f"{tree.prefix}{path}" for tree in self.trees for path in gone.get(tree.artifact.role, ())}
