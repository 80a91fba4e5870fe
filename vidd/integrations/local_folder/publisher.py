"""Publishes files into a folder, and trees as directories in it, each atomically.

vidd writes a file beside its target and renames it last, so nobody sees half a file. It records size and SHA-256 before
the rename, so that after a crash in between the file itself proves that it arrived.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused
from vidd.files.atomic import sync
from vidd.files.clone import copy_with_digest, lacks_links
from vidd.files.digest import file_digest
from vidd.files.disk_space import check_writable, disk_fault
from vidd.files.removal import remove
from vidd.files.tree_replacement import copy_tree, replace_tree, tree_contents
from vidd.model.media import Artifact
from vidd.model.publication import Receipt
from vidd.ports import PublishContext, Tools
from vidd.settings.marks import Role
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of, file_name, render, title_among
from vidd.settings.types import Options as Base
from vidd.transfer.progress_meter import ProgressMeter

_NAME = "{{ title | file_name }}{% if talk.id %}-{{ talk.id | file_name }}{% endif %}{{ tail }}{{ suffix }}"


class Options(Base):
    """Settings of a publisher of kind `folder`."""

    path: Path = Field(description="The folder; from the state directory where it is relative, made if missing.")
    name: Annotated[str, AfterValidator(check_template), MayName("title", "role", "tail", "suffix")] = Field(
        _NAME, description="A file's name in it, may have folders; fields: title, talk, job, role, tail, suffix, name."
    )
    files: tuple[Annotated[str, Role()], ...] = Field(
        (), description="The roles to publish; everything the steps made otherwise."
    )
    retract: Literal["keep", "delete"] = Field("keep", description="What a retraction does with the files.")
    existing: Literal["refuse", "replace"] = Field(
        "refuse",
        description="What to do where another file has the name; a tree's directory is replaced with everything in it.",
    )


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Copy the files into the folder. Raises Refused where a name is taken, RetryLater where the disk is full."""
    chosen = context.choose(options.files, trees=True)
    total = sum(artifact.size for artifact in chosen)
    meter = ProgressMeter("folder", "upload", progress=context.progress, observe=context.tools.observe, total=total)
    token: dict[str, Any] = {}
    for artifact, name in _names(options, context, chosen):
        target = context.tools.path(options.path) / name
        part = _part(target, context, artifact.role)
        try:
            try:
                token[artifact.role] = {"name": str(name), **await _copy(artifact, context, part, meter)}
                await context.checkpoint({"files": dict(token)})
                ours = _own_files(context, artifact.role, target)
                await in_thread(_move_into_folder, part, target, token[artifact.role], options.existing, ours)
            finally:
                await in_thread(remove, part)
        except OSError as error:
            raise disk_fault(error, f"writing {target}") from error
    meter.report()
    return _receipt(options, context, token)


# A file of the replaced publication is replaced as a whole, and only while it is still that file.
replace_files = publish


async def _copy(artifact: Artifact, context: PublishContext, part: Path, meter: ProgressMeter) -> dict[str, Any]:
    """Copy the artifact to `part`; returns size and digest, which prove that it arrived."""
    source = context.directory / artifact.path
    if artifact.tree is None:
        size, digest = await copy_with_digest(source, part, meter.add)
        return {"size": size, "sha256": digest}
    return asdict(await copy_tree(source, part, meter.add))


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt where every recorded file exists with its size and SHA-256; else None."""
    files = context.publication.token.get("files", {})
    roles = {artifact.role for artifact in context.choose(options.files, trees=True)}
    folder = context.tools.path(options.path)
    for role, file in files.items():
        target = folder / file["name"]
        if not await asyncio.to_thread(_is_same, target, file):
            return None
        # A daemon that died between linking the name and removing the temporary one left the latter behind.
        await asyncio.to_thread(remove, _part(target, context, role))
    return _receipt(options, context, files) if files.keys() == roles else None


async def retract(options: Options, context: PublishContext) -> str:
    """Delete the receipt's files, if the options say so and the files are unchanged."""
    receipt = context.publication.receipt
    files: list[Mapping[str, Any]] = list(receipt.facts.get("files", ())) if receipt else []
    names = ", ".join(str(file["path"]) for file in files) or "what a person put there"
    if options.retract == "keep":
        return f"{names} was kept, as the settings say."
    for file in files:
        path = Path(file["path"])
        try:
            if path.exists() and not await asyncio.to_thread(_is_same, path, file):
                raise Refused(f"{path} is a different file by now, so vidd left it: delete it by hand if it must go.")
            await asyncio.to_thread(remove, path)
        except OSError as error:
            raise disk_fault(error, f"deleting {path}") from error
    return f"{names} was deleted."


async def check(options: Options, tools: Tools) -> str:
    """See whether the folder, or the one to make it in, can be written to. The check may run as another user, and leaves nothing."""
    folder = tools.path(options.path)
    check_writable(folder)
    return f"{folder} can be written to"


def _names(options: Options, context: PublishContext, chosen: list[Artifact]) -> list[tuple[Artifact, PurePosixPath]]:
    talk = context.talk
    names: list[tuple[Artifact, PurePosixPath]] = []
    for artifact in chosen:
        fields = fields_of(context.job, talk, context.facts)
        fields["title"] = title_among(fields)
        fields["role"] = artifact.role
        fields["tail"] = f"-{file_name(artifact.role)}" if len(chosen) > 1 else ""
        fields["suffix"] = PurePosixPath(artifact.path).suffix if artifact.tree is None else ""
        name = PurePosixPath(render(options.name, fields).strip())
        invalid = not name.parts or name.is_absolute() or any(ord(character) < 32 for character in str(name))
        if invalid or any(part[0] in ".-" for part in name.parts):
            raise Refused(
                f"The name {str(name)[:120]!r} cannot name a file in the folder: correct the name template.",
                code=FaultCode.BAD_SETTINGS,
            )
        if any(_clash(name, artifact, *other) for other in names):
            raise Refused(
                f"Two files would get the name {str(name)[:120]!r}: put {{{{ role }}}} into the name template.",
                code=FaultCode.BAD_SETTINGS,
            )
        names.append((artifact, name))
    return names


def _clash(name: PurePosixPath, artifact: Artifact, other: Artifact, taken: PurePosixPath) -> bool:
    """Whether two artifacts would have the same path, or one would lie within the other, a tree."""
    inside = other.tree is not None and taken in name.parents
    return name == taken or inside or (artifact.tree is not None and name in taken.parents)


def _part(target: Path, context: PublishContext, role: str) -> Path:
    return target.with_name(f".{context.job.id}-{file_name(role)}.part")


def _own_files(context: PublishContext, role: str, target: Path) -> list[Mapping[str, Any]]:
    """The recorded files that the replaced job, or an earlier attempt of this one, put at this path."""
    receipts = [receipt for receipt in (context.replaced, context.publication.receipt) if receipt is not None]
    files = [file for receipt in receipts for file in receipt.facts.get("files", ()) if file["role"] == role]
    # An attempt that died after the rename has recorded the file in its token, and has no receipt.
    recorded = context.publication.token.get("files", {}).get(role)
    attempted = [recorded] if recorded is not None and str(target).endswith(f"/{recorded['name']}") else []
    return [file for file in files if Path(file["path"]) == target] + attempted


def _move_into_folder(
    part: Path, target: Path, file: Mapping[str, Any], existing: str, ours: Sequence[Mapping[str, Any]]
) -> None:
    """Rename the file to its target; another file there is replaced only if the options say so."""
    if "count" in file:
        _move_tree(part, target, file, existing, ours)
        return
    if existing == "replace" or any(_is_same(target, own) for own in ours):
        part.replace(target)
    else:
        try:
            os.link(part, target)
        except FileExistsError:
            if not _is_same(target, file):
                raise _taken(target) from None
        except OSError as error:
            if not lacks_links(error):
                raise
            if target.exists() and not _is_same(target, file):
                raise _taken(target) from None
            part.replace(target)
    sync(target.parent)


def _move_tree(
    part: Path, target: Path, file: Mapping[str, Any], existing: str, ours: Sequence[Mapping[str, Any]]
) -> None:
    """Rename the tree to its target; a directory there is replaced with everything in it, or not at all."""
    if _is_same(target, file):
        return
    empty = target.is_dir() and not any(target.iterdir())
    if os.path.lexists(target) and not (empty or existing == "replace" or any(_is_same(target, own) for own in ours)):
        raise _taken(target)
    if os.path.lexists(target) and not target.is_dir():
        target.unlink()
    replace_tree(part, target)


def _taken(target: Path) -> Refused:
    return Refused(
        f"There is already another file {target}: move it away, or set existing = 'replace', then retry.",
        code=FaultCode.CONFLICT,
    )


def _is_same(path: Path, file: Mapping[str, Any]) -> bool:
    try:
        if path.is_symlink():
            return False
        if "count" in file:
            found = tree_contents(path)
            return found is not None and found.sha256 == file["sha256"]
        if not path.is_file() or path.stat().st_size != file["size"]:
            return False
        return file_digest(path) == str(file["sha256"])
    except FileNotFoundError:
        return False
    except OSError as error:
        raise disk_fault(error, f"reading {path}") from error


def _receipt(options: Options, context: PublishContext, files: Mapping[str, Mapping[str, Any]]) -> Receipt:
    folder = context.tools.path(options.path)
    paths = [{"role": role, **file, "path": str(folder / file["name"])} for role, file in files.items()]
    first = paths[0]
    return Receipt(
        url=Path(first["path"]).absolute().as_uri(),
        facts={"path": first["path"], "size": first["size"], "sha256": first["sha256"], "files": paths},
    )
