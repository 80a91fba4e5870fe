"""Files in a folder, put there whole or not at all.

A file is made beside its place and gets its name last, so nobody sees half of one. Its size and SHA-256 are
recorded before that, so that after a crash in between the file itself proves that it arrived.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vidd.clients.disk import cloned, disk_fault, sync_directory
from vidd.errors import Refused
from vidd.fields import MayName
from vidd.model.event import BytesMoved
from vidd.model.media import Artifact
from vidd.model.publication import Receipt
from vidd.options import Options as Base
from vidd.ports import Parcel, Tools
from vidd.texts import check_template, fields_of, file_name, render, title_among

SLOT: str | None = "uploads"

_NAME = "{{ title | file_name }}{% if talk.id %}-{{ talk.id | file_name }}{% endif %}{{ tail }}{{ suffix }}"
_CHUNK = 4 * 1024 * 1024
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EINVAL, errno.ENOTTY}


class Options(Base):
    """Settings of a publisher of kind `folder`."""

    path: Path = Field(description="The folder; from the state directory where it is relative, made if missing.")
    name: Annotated[str, AfterValidator(check_template), MayName("title", "role", "tail", "suffix")] = Field(
        _NAME, description="A file's name in it, may have folders; fields: title, talk, job, role, tail, suffix, name."
    )
    files: tuple[str, ...] = Field((), description="The roles to put there; everything the steps made otherwise.")
    retract: Literal["keep", "delete"] = Field("keep", description="What taking a talk back does with its files.")
    existing: Literal["refuse", "replace"] = Field(
        "refuse", description="What to do where the name is taken by another content."
    )


async def publish(options: Options, parcel: Parcel) -> Receipt:
    """Put the files there. Refused where a name is taken; AgainLater, without counting, where the disk is full."""
    chosen = parcel.chosen(options.files)
    total = float(sum(artifact.size for artifact in chosen))
    token: dict[str, Any] = {}
    done = 0.0
    for artifact, name in _names(options, parcel, chosen):
        target = parcel.tools.path(options.path) / name
        part = _part(target, parcel, artifact.role)
        source = parcel.directory / artifact.path
        try:
            try:
                size, digest = await _fill(source, part, parcel, done, total)
                token[artifact.role] = {"name": str(name), "size": size, "sha256": digest}
                await parcel.checkpoint({"files": dict(token)})
                replaced = _replaced(parcel, artifact.role)
                await asyncio.to_thread(_place, part, target, token[artifact.role], options.existing, replaced)
            finally:
                with suppress(FileNotFoundError):
                    part.unlink()
        except OSError as error:
            raise disk_fault(error, f"writing {target}") from error
        done += artifact.size
    return _receipt(options, parcel, token)


async def reconcile(options: Options, parcel: Parcel) -> Receipt | None:
    """The receipt where every file recorded is there with its size and SHA-256, None otherwise."""
    files = parcel.publication.token.get("files", {})
    roles = {artifact.role for artifact in parcel.chosen(options.files)}
    folder = parcel.tools.path(options.path)
    for role, file in files.items():
        target = folder / file["name"]
        if not await asyncio.to_thread(_same, target, file):
            return None
        # A daemon that died between the two names of the file left the first one behind.
        _part(target, parcel, role).unlink(missing_ok=True)
    return _receipt(options, parcel, files) if files.keys() == roles else None


async def retract(options: Options, parcel: Parcel) -> str:
    """Delete the files, where that is wanted and they are still what was put there. The receipt says which they are."""
    receipt = parcel.publication.receipt
    files: list[Mapping[str, Any]] = list(receipt.facts.get("files", ())) if receipt else []
    names = ", ".join(str(file["path"]) for file in files) or "what was put there by hand"
    if options.retract == "keep":
        return f"{names} was kept, as the settings say."
    for file in files:
        path = Path(file["path"])
        try:
            if path.exists() and not await asyncio.to_thread(_same, path, file):
                raise Refused(f"{path} is another file by now: it was left there.")
            path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_fault(error, f"deleting {path}") from error
    return f"{names} was deleted."


async def check(options: Options, tools: Tools) -> str:
    """Write and remove an empty file."""
    folder = tools.path(options.path)
    probe = folder / ".vidd-check"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise disk_fault(error, f"writing into {folder}") from error
    return f"{folder} can be written to"


def _names(options: Options, parcel: Parcel, chosen: list[Artifact]) -> list[tuple[Artifact, PurePosixPath]]:
    talk = parcel.talk
    names: list[tuple[Artifact, PurePosixPath]] = []
    for artifact in chosen:
        fields = fields_of(parcel.job, talk, parcel.facts)
        fields["title"] = title_among(fields)
        fields["role"] = artifact.role
        fields["tail"] = f"-{file_name(artifact.role)}" if len(chosen) > 1 else ""
        fields["suffix"] = PurePosixPath(artifact.path).suffix
        name = PurePosixPath(render(options.name, fields).strip())
        wrong = not name.parts or name.is_absolute() or any(ord(letter) < 32 for letter in str(name))
        if wrong or any(part[0] in ".-" for part in name.parts):
            raise Refused(f"The name {str(name)[:120]!r} is none for a file in the folder: correct the name template.")
        if name in {taken for _, taken in names}:
            raise Refused(
                f"Two files would get the name {str(name)[:120]!r}: put {{{{ role }}}} into the name template."
            )
        names.append((artifact, name))
    return names


def _part(target: Path, parcel: Parcel, role: str) -> Path:
    return target.with_name(f".{parcel.job.id}-{file_name(role)}.part")


async def _fill(source: Path, part: Path, parcel: Parcel, done: float, total: float) -> tuple[int, str]:
    """Make `part` hold what `source` does, the cheapest way the disk knows; returns its size and SHA-256."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        part.unlink()
    shared = await asyncio.to_thread(_shared, source, part)
    digest, size, began = hashlib.sha256(), 0, time.monotonic()
    with source.open("rb") as reading, part.open("rb" if shared else "wb") as writing:
        while chunk := await asyncio.to_thread(reading.read, _CHUNK):
            await asyncio.to_thread(_take, chunk, digest.update, None if shared else writing.write)
            size += len(chunk)
            speed = size / max(time.monotonic() - began, 1e-6)
            parcel.progress(done + size, total, "bytes", speed)
            parcel.tools.observe(BytesMoved("folder", "upload", len(chunk)))
        await asyncio.to_thread(_durable, writing.fileno(), writing.flush)
    return size, digest.hexdigest()


def _take(chunk: bytes, digest: Callable[[bytes], object], write: Callable[[bytes], object] | None) -> None:
    digest(chunk)
    if write:
        write(chunk)


def _durable(handle: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(handle)


def _shared(source: Path, part: Path) -> bool:
    """A clone that shares its blocks, or else a second name; False where the file system has neither."""
    if cloned(source, part):
        return True
    try:
        part.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _replaced(parcel: Parcel, role: str) -> Mapping[str, Any] | None:
    """The file of this role that the replaced job put there."""
    files = parcel.replaced.facts.get("files", ()) if parcel.replaced else ()
    return next((file for file in files if file["role"] == role), None)


def _place(
    part: Path, target: Path, file: Mapping[str, Any], existing: str, replaced: Mapping[str, Any] | None
) -> None:
    """Give the file its name, without taking another file's away unless that is wanted."""
    ours = replaced is not None and Path(replaced["path"]) == target and _same(target, replaced)
    if existing == "replace" or ours:
        part.replace(target)
    else:
        try:
            os.link(part, target)
        except FileExistsError:
            if not _same(target, file):
                raise Refused(
                    f"There is already another file {target}: move it away, or set existing = 'replace', then retry."
                ) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if target.exists() and not _same(target, file):
                raise Refused(f"There is already another file {target}: move it away, then retry.") from None
            part.replace(target)
    sync_directory(target.parent)


def _same(path: Path, file: Mapping[str, Any]) -> bool:
    try:
        if path.is_symlink() or path.stat().st_size != file["size"]:
            return False
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest() == str(file["sha256"])
    except FileNotFoundError:
        return False
    except OSError as error:
        raise disk_fault(error, f"reading {path}") from error


def _receipt(options: Options, parcel: Parcel, files: Mapping[str, Mapping[str, Any]]) -> Receipt:
    folder = parcel.tools.path(options.path)
    paths = [{"role": role, **file, "path": str(folder / file["name"])} for role, file in files.items()]
    first = paths[0]
    return Receipt(
        url=Path(first["path"]).absolute().as_uri(),
        facts={"path": first["path"], "size": first["size"], "sha256": first["sha256"], "files": paths},
    )
