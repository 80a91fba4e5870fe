"""Files and folders on pCloud (docs.pcloud.com: methods of file, folder and streaming; structures/metadata)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted, size_in_words
from vidd.errors import FaultCode, Refused
from vidd.integrations.pcloud.errors import NO_FILE, NO_FOLDER, NOT_EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.pcloud.api import Client

_LONGEST_NAME = 1023
_ALGORITHMS = ("sha256", "sha1", "md5")


@dataclass(frozen=True, slots=True)
class File:
    """A file in its state of now. `hash` is pCloud's own number: equal bytes have the same."""

    id: int
    folder: int
    name: str
    size: int
    hash: int


@dataclass(frozen=True)
class Listing:
    """The files, and the ids of the folders, below the folder `id`, by their paths from there."""

    id: int
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)


def file_of(metadata: Mapping[str, Any]) -> File:
    """The file that pCloud's metadata describe."""
    return File(
        int(metadata["fileid"]),
        int(metadata.get("parentfolderid", 0)),
        str(metadata["name"]),
        int(metadata["size"]),
        int(metadata.get("hash", 0)),
    )


def checksums_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Checksums (hex) by algorithm, the best first: SHA-1 always, SHA-256 in Europe, MD5 in the US."""
    return {name: str(answer[name]).lower() for name in _ALGORITHMS if answer.get(name)}


def check_name(name: str) -> str:
    """The name, unchanged; Refused if pCloud takes no such name (docs.pcloud.com/structures/filenames.html)."""
    if name in {"", ".", ".."} or set(name) & {"/", "\\", "\0"} or len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise Refused(
            f"pCloud takes no file called {quoted(name)}: a name must not be empty, hold a slash, a backslash or NUL, or be"
            " 1024 bytes long; choose another name."
        )
    return name


async def describe_account(client: Client) -> str:
    """Whose account it is and how full, as a sentence."""

    def parse(answer: Mapping[str, Any]) -> str:
        used, quota = (size_in_words(float(answer[name])) for name in ("usedquota", "quota"))
        return f"The pCloud account {client.name!r} ({answer['email']}) can be reached; {used} of {quota} are used."

    return await client.call("userinfo", f"asking whose account {client.name!r} is", parse)


async def stat(client: Client, identifier: Mapping[str, str | int]) -> File:
    """The file with a `fileid` or a `path`; Refused if there is none."""
    doing = f"looking for the file {_printed(identifier)} on pCloud"
    # For a path that leads nowhere pCloud answers 2001 (invalid name), not that the file is missing.
    found = await client.call_or_none("stat", doing, {*NO_FILE, *NO_FOLDER, 2001}, _parse_file, **identifier)
    if found is None:
        raise Refused(
            f"There is no file {_printed(identifier)} on pCloud that the account {client.name!r} can see: it was deleted, or"
            " its id is of another account or region; correct it, or upload the file again.",
            code=FaultCode.NOT_FOUND,
        )
    return found


def _parse_file(answer: Mapping[str, Any]) -> File:
    return file_of(answer["metadata"])


def _printed(identifier: Mapping[str, str | int]) -> str:
    return str(identifier["fileid"]) if "fileid" in identifier else quoted(str(identifier["path"]))


def _parse_checksums(answer: Mapping[str, Any]) -> tuple[File, dict[str, str]]:
    return _parse_file(answer), checksums_of(answer)


async def checksum_file(client: Client, file: File) -> tuple[File, dict[str, str]] | None:
    """The file in its state of now and its checksums (hex by algorithm); None if it is gone."""
    doing = f"asking for the checksum of the file {file.id} ({quoted(file.name)}) on pCloud"
    return await client.call_or_none("checksumfile", doing, NO_FILE, _parse_checksums, fileid=file.id)


async def download_links(client: Client, file: File) -> list[str]:
    """Addresses the file can be downloaded from for a while, the best first; at least one."""
    scheme = client.account.base_url.partition("://")[0]

    def parse(answer: Mapping[str, Any]) -> list[str]:
        first, *others = answer["hosts"]
        return [f"{scheme}://{host}{answer['path']}" for host in (first, *others)]

    doing = f"asking for a link to the file {file.id} ({quoted(file.name)}) on pCloud"
    return await client.call("getfilelink", doing, parse, fileid=file.id)


async def list_folder(client: Client, folder: int, *, deep: bool = True) -> Listing | None:
    """The content of a folder, with `deep` that of all folders below it; None if there is no such folder."""
    doing = f"listing the folder {folder} on pCloud"
    more = {"recursive": 1} if deep else {}
    return await client.call_or_none(
        "listfolder", doing, NO_FOLDER, lambda answer: _parse_listing(folder, answer), folderid=folder, **more
    )


def _parse_listing(folder: int, answer: Mapping[str, Any]) -> Listing:
    found = Listing(folder)
    pending: list[tuple[str, list[Mapping[str, Any]]]] = [("", answer["metadata"]["contents"])]
    while pending:
        parent, rows = pending.pop()
        for row in rows:
            path = f"{parent}{row['name']}"
            if row.get("isfolder"):
                found.folders[path] = int(row["folderid"])
                pending.append((f"{path}/", row.get("contents", [])))
            else:
                found.files[path] = file_of(row)
    return found


async def create_folder(client: Client, parent: int, name: str) -> int:
    """The id of the folder of this name in another; it is created if there is none."""
    doing = f"making the folder {quoted(name)} in the folder {parent} on pCloud"
    return await client.call(
        "createfolderifnotexists",
        doing,
        lambda answer: int(answer["metadata"]["folderid"]),
        folderid=parent,
        name=check_name(name),
    )


async def rename(client: Client, file: int, folder: int, name: str) -> File:
    """Move a file to `name` in `folder`, atomically, over a file that is there. Harmless to repeat."""
    doing = f"giving the file {file} its name {quoted(name)} in the folder {folder} on pCloud"
    renamed = await client.call("renamefile", doing, _parse_file, fileid=file, tofolderid=folder, toname=name)
    if renamed.name != name:
        raise Refused(
            f"pCloud calls {quoted(name)} {quoted(renamed.name)}: choose a name that pCloud keeps.",
            code=FaultCode.REJECTED,
        )
    return renamed


async def delete_file(client: Client, file: File) -> None:
    """Delete a file, if it is there. It stays in pCloud's trash for a while."""
    doing = f"deleting the file {file.id} ({quoted(file.name)}) on pCloud"
    await client.call_or_none("deletefile", doing, NO_FILE, dict, fileid=file.id)


async def delete_empty_folder(client: Client, folder: int) -> None:
    """Delete a folder, if it is there and empty."""
    doing = f"deleting the folder {folder} on pCloud"
    await client.call_or_none("deletefolder", doing, {*NO_FOLDER, NOT_EMPTY}, dict, folderid=folder)
