"""Files and folders on pCloud (docs.pcloud.com, methods of file, folder and streaming; structures/metadata)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted, size_in_words
from vidd.errors import Refused
from vidd.integrations.pcloud.errors import NO_FILE, NO_FOLDER, NOT_EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.pcloud.api import Cloud

_LONGEST_NAME = 1023
_SUMS = ("sha256", "sha1", "md5")


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is now. `hash` is pCloud's own number, the same for the same bytes and nowhere else of use."""

    id: int
    folder: int
    name: str
    size: int
    hash: int


@dataclass(frozen=True)
class Listing:
    """What is below a folder: files, and the ids of folders, by their paths from there."""

    id: int
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)


def file_of(metadata: Mapping[str, Any]) -> File:
    """The file that metadata describe."""
    return File(
        int(metadata["fileid"]),
        int(metadata.get("parentfolderid", 0)),
        str(metadata["name"]),
        int(metadata["size"]),
        int(metadata.get("hash", 0)),
    )


def sums_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """The checksums in hex by algorithm, the best first: SHA-1 always, SHA-256 in Europe, MD5 in America."""
    return {name: str(answer[name]).lower() for name in _SUMS if answer.get(name)}


def checked_name(name: str) -> str:
    """A name as it is; Refused where pCloud takes no such name (docs.pcloud.com/structures/filenames.html)."""
    if name in {"", ".", ".."} or set(name) & {"/", "\\", "\0"} or len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise Refused(
            f"The name {quoted(name)} is none for pCloud: it must not be empty, hold a slash, a backslash or NUL, or be"
            " 1024 bytes long; have it named otherwise."
        )
    return name


async def who(cloud: Cloud) -> str:
    """Whose account it is and how full, as a sentence."""

    def read(answer: Mapping[str, Any]) -> str:
        used, quota = (size_in_words(float(answer[name])) for name in ("usedquota", "quota"))
        return f"The pCloud account {cloud.name!r} ({answer['email']}) can be reached; {used} of {quota} are used."

    return await cloud.ask("userinfo", f"asking whose account {cloud.name!r} is", read)


async def stat(cloud: Cloud, which: Mapping[str, str | int]) -> File:
    """The file of a `fileid` or a `path`; Refused where there is none."""
    doing = f"looking for the file {_shown(which)} on pCloud"
    # A path that leads nowhere is called an invalid name here, not a missing file.
    found = await cloud.find("stat", doing, {*NO_FILE, *NO_FOLDER, 2001}, _file, **which)
    if found is None:
        raise Refused(
            f"There is no file {_shown(which)} on pCloud that the account {cloud.name!r} can see: it was deleted, or its id"
            " is of another account or region; correct it, or upload the file again."
        )
    return found


def _file(answer: Mapping[str, Any]) -> File:
    return file_of(answer["metadata"])


def _shown(which: Mapping[str, str | int]) -> str:
    return str(which["fileid"]) if "fileid" in which else quoted(str(which["path"]))


def _with_sums(answer: Mapping[str, Any]) -> tuple[File, dict[str, str]]:
    return _file(answer), sums_of(answer)


async def checksums(cloud: Cloud, file: File) -> tuple[File, dict[str, str]] | None:
    """The file as it is now with its checksums; None where it is gone."""
    doing = f"asking for the checksum of the file {file.id} ({quoted(file.name)}) on pCloud"
    return await cloud.find("checksumfile", doing, NO_FILE, _with_sums, fileid=file.id)


async def links(cloud: Cloud, file: File) -> list[str]:
    """Addresses the file can be downloaded from for a while, the best first; at least one."""
    scheme = cloud.account.base.partition("://")[0]

    def read(answer: Mapping[str, Any]) -> list[str]:
        first, *others = answer["hosts"]
        return [f"{scheme}://{host}{answer['path']}" for host in (first, *others)]

    doing = f"asking for a link to the file {file.id} ({quoted(file.name)}) on pCloud"
    return await cloud.ask("getfilelink", doing, read, fileid=file.id)


async def listing(cloud: Cloud, folder: int, *, deep: bool = True) -> Listing | None:
    """What is in a folder, and with `deep` all that is below it; None where there is no such folder."""
    doing = f"listing the folder {folder} on pCloud"
    more = {"recursive": 1} if deep else {}
    return await cloud.find(
        "listfolder", doing, NO_FOLDER, lambda answer: _listed(folder, answer), folderid=folder, **more
    )


def _listed(folder: int, answer: Mapping[str, Any]) -> Listing:
    found = Listing(folder)
    waiting: list[tuple[str, list[Mapping[str, Any]]]] = [("", answer["metadata"]["contents"])]
    while waiting:
        above, rows = waiting.pop()
        for row in rows:
            path = f"{above}{row['name']}"
            if row.get("isfolder"):
                found.folders[path] = int(row["folderid"])
                waiting.append((f"{path}/", row.get("contents", [])))
            else:
                found.files[path] = file_of(row)
    return found


async def make_folder(cloud: Cloud, above: int, name: str) -> int:
    """The id of the folder of this name in another, made where there is none."""
    doing = f"making the folder {quoted(name)} in the folder {above} on pCloud"
    return await cloud.ask(
        "createfolderifnotexists",
        doing,
        lambda answer: int(answer["metadata"]["folderid"]),
        folderid=above,
        name=checked_name(name),
    )


async def rename(cloud: Cloud, file: int, folder: int, name: str) -> File:
    """Give a file its place, atomically, in place of one that has it. Repeated, it changes nothing more."""
    doing = f"giving the file {file} its name {quoted(name)} in the folder {folder} on pCloud"
    renamed = await cloud.ask("renamefile", doing, _file, fileid=file, tofolderid=folder, toname=name)
    if renamed.name != name:
        raise Refused(f"pCloud calls {quoted(name)} {quoted(renamed.name)}: have it named in a way that pCloud keeps.")
    return renamed


async def delete_file(cloud: Cloud, file: File) -> None:
    """Delete a file; one that is gone already is as good. It stays in pCloud's trash for a while."""
    doing = f"deleting the file {file.id} ({quoted(file.name)}) on pCloud"
    await cloud.find("deletefile", doing, NO_FILE, dict, fileid=file.id)


async def delete_folder(cloud: Cloud, folder: int) -> None:
    """Delete a folder that is empty; one that is not, or is gone already, is let be."""
    doing = f"deleting the folder {folder} on pCloud"
    await cloud.find("deletefolder", doing, {*NO_FOLDER, NOT_EMPTY}, dict, folderid=folder)
