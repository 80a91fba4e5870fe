"""Publish into a folder on pCloud: files, and trees as they lie, with only what changed going over the line.

Each file is uploaded under a name of its own, compared, and renamed to its place, over what was there. Its id there is
then another one; the ids of folders stay. Nothing is made twice: a lost answer is looked for, and what is equal is let be.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.files.tree import leaves
from vidd.integrations.pcloud.api import Account, Cloud, cloud
from vidd.integrations.pcloud.files import checked_name, listing, who
from vidd.integrations.pcloud.mirror import Done, Mirror, Wanted, common_root, folder_at, unmirror
from vidd.integrations.pcloud.state_encoding import pack, unpack
from vidd.model.publication import Receipt
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of, render
from vidd.settings.types import Options as Base
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from vidd.model.media import Artifact
    from vidd.ports import PublishContext, Tools


_Folder = Annotated[str, AfterValidator(check_template), MayName()]
_Template = Annotated[str, AfterValidator(check_template), MayName("role", "part", "suffix")]
_PAGES = {"us": "https://my.pcloud.com", "eu": "https://e.pcloud.com"}


class Options(Base):
    """Which folder the files go into, and what becomes of what is there."""

    account: str = Field(description="The pCloud account.")
    folder: _Folder = Field(
        description="Template of the folder: its id, such as {{ facts.folder_id }}, or its path from the top, such as"
        " /results/{{ job.id }}, which is made if missing."
    )
    name: _Template = Field(
        "{{ name | file_name }}{{ part }}{{ suffix }}",
        description="Template of a file's path below it; `part` tells several apart (-rendition-720p), `suffix` is like .mp4.",
    )
    path: _Template = Field(
        "", description="Template of the path below it that a tree's files go to; the folder itself otherwise."
    )
    files: tuple[str, ...] = Field((), description="Roles of the files and trees; none means all that the steps made.")
    parallel: int = Field(8, ge=1, le=64, description="Files compared or sent at once.")
    delete: bool = Field(
        False, description="Drop files below a tree's path that the tree does not have. Nothing else is ever touched."
    )
    retract: Literal["keep", "delete"] = Field("keep", description="What taking back does with the files.")


@dataclass(frozen=True)
class _Plan:
    """`wanted` and `roots` (of trees) are below `common`, which is below the folder that `folder` names.

    `gone` are files that were put there before and are wanted no more.
    """

    folder: str
    common: str
    wanted: Mapping[str, Wanted]
    roots: tuple[str, ...]
    gone: frozenset[str]

    @property
    def place(self) -> str:
        return f"{self.folder} {self.common}"

    @property
    def size(self) -> int:
        return sum(one.size for one in self.wanted.values())


def _below(text: str, what: str) -> str:
    """A path as it is, without slashes at its ends; Refused where a part of it is none for pCloud."""
    path = text.strip().strip("/")
    for name in path.split("/") if path else ():
        try:
            checked_name(name)
        except Refused as refusal:
            raise Refused(f"{refusal.sentence} It comes from the template of {what}.") from None
    return path


def _plan(options: Options, context: PublishContext) -> _Plan:
    chosen = context.chosen(options.files, trees=True)
    wanted: dict[str, Wanted] = {}
    roots, places, gone = [], [], []
    for artifact in chosen:
        suffix = PurePath(artifact.path).suffix if artifact.tree is None else ""
        part = f"-{artifact.role}" if len(chosen) > 1 else ""
        fields = fields_of(context.job, context.talk, context.facts, role=artifact.role, part=part, suffix=suffix)
        if artifact.tree is None:
            place = _below(render(options.name, fields), "name")
            files = {place: Wanted(context.directory / artifact.path, artifact.size)}
            places.append(str(PurePosixPath(place).parent) if "/" in place else "")
        else:
            root = _below(render(options.path, fields), "path")
            files = _files(context, artifact, root)
            roots.append(root)
            places.append(root)
            gone += [f"{root}/{path}" if root else path for path in context.gone.get(artifact.role, ())]
        for path, file in files.items():
            if path in wanted or not path:
                raise Refused(
                    f"Two files would be {quoted(path)} in the pCloud folder: put {{{{ role }}}} into name or path."
                )
            wanted[path] = file
    folder = render(options.folder, fields_of(context.job, context.talk, context.facts)).strip()
    common = common_root(places)
    skip = len(common) + 1 if common else 0
    files = {path[skip:]: file for path, file in wanted.items()}
    return _Plan(folder, common, files, tuple(r[skip:] for r in roots), frozenset(path[skip:] for path in gone))


def _files(context: PublishContext, tree: Artifact, root: str) -> dict[str, Wanted]:
    directory = context.directory / tree.path
    found = leaves(directory)
    if not found:
        raise Refused(f"The directory {tree.role!r} holds no file, and nothing is published in place of something.")
    above = f"{root}/" if root else ""
    return {f"{above}{leaf.path}": Wanted(directory / leaf.path, leaf.size) for leaf in found}


@asynccontextmanager
async def _open(options: Options, tools: Tools) -> AsyncIterator[Cloud]:
    async with cloud(tools.account(options.account, Account), options.account, tools.clock) as api:
        yield api


async def _folder(api: Cloud, plan: _Plan) -> int:
    """The id of the folder that the plan's paths are below, made where it is missing and has a path."""
    if plan.folder.isascii() and plan.folder.isdecimal():
        return await folder_at(api, int(plan.folder), plan.common)
    if plan.folder.startswith("/"):
        return await folder_at(api, 0, f"{_below(plan.folder, 'folder')}/{plan.common}")
    raise Refused(
        f"The template of the folder made {quoted(plan.folder)}, which is no pCloud folder: it must be an id (digits) or a"
        " path that begins with a slash; see whether what it names is known of this job."
    )


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Make the folder what it should be. The token says which one it is, and what a retraction must know."""
    plan = await in_thread(_plan, options, context)
    async with _open(options, context.tools) as api:
        folder = await _folder(api, plan)
        await context.checkpoint({"place": plan.place, "folder": folder})
        mirror = _mirror(options, api, plan, folder)
        await mirror.look()
        meter = ProgressMeter("pcloud", "upload", progress=context.progress, observe=context.tools.observe)
        done = await mirror.bring(meter, context.job.id)
        meter.tell()
        await mirror.tidy(done, context.job.id)
        if options.delete or plan.gone:
            await mirror.drop(done, None if options.delete else plan.gone)
        return await _receipt(options, context, plan, folder, done)


# A mirror sends only what changed, and knows by the context what it had put there and has no more.
replace_files = publish


def _mirror(options: Options, api: Cloud, plan: _Plan, folder: int) -> Mirror:
    return Mirror(api, folder, plan.wanted, roots=plan.roots, parallel=options.parallel)


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """Ask whether every file is there with its bytes, and with `delete` none that should not; None where it is not so."""
    plan = await in_thread(_plan, options, context)
    token = context.publication.token
    if token.get("place") != plan.place:
        return None
    async with _open(options, context.tools) as api:
        folder = int(token["folder"])
        mirror = _mirror(options, api, plan, folder)
        found = await listing(api, folder)
        if found is None:
            return None
        mirror.there = found
        if len(mirror.alike()) < len(plan.wanted) or (options.delete and mirror.stale()):
            return None
        if len(await mirror.equal()) < len(plan.wanted):
            return None
        done = Done(equal=len(plan.wanted), files={path: found.files[path] for path in plan.wanted})
        await mirror.tidy(done, context.job.id)
        return await _receipt(options, context, plan, folder, done)


async def _receipt(options: Options, context: PublishContext, plan: _Plan, folder: int, done: Done) -> Receipt:
    if options.retract == "delete":
        put = pack({path: (file.id, file.hash) for path, file in done.files.items()})
        await context.checkpoint({"place": plan.place, "folder": folder, "put": put})
    account = context.tools.account(options.account, Account)
    url = f"{_PAGES[account.region]}/#/filemanager?folder={folder}"
    facts: dict[str, Any] = {
        "account": options.account,
        "folder": folder,
        "files": len(plan.wanted),
        "bytes": plan.size,
        "sent": done.sent,
        "sent_bytes": done.sent_bytes,
        "equal": done.equal,
        "dropped": done.dropped,
    }
    if not plan.roots and len(done.files) == 1:
        # Jobs that put single files into the same folder are told apart by their names; ids change with each replacement.
        [file] = done.files.values()
        facts |= {"file": file.id, "name": file.name}
        url += f"&name={quote(file.name)}"
    return Receipt(url=url, facts=facts)


async def retract(options: Options, context: PublishContext) -> str:
    """Delete the files, where that is wanted and they are still what was put there."""
    receipt = context.publication.receipt
    where = f"What is in the pCloud folder {receipt.facts.get('folder')}" if receipt else "What was put there by hand"
    if options.retract == "keep":
        return f"{where} was kept, as the settings say."
    token = context.publication.token
    if "put" not in token:
        raise Refused(f"{where} was published without noting which files they are: delete them by hand.")
    put = {path: (int(file), int(number)) for path, (file, number) in unpack(token["put"]).items()}
    async with _open(options, context.tools) as api:
        kept = await unmirror(api, int(token["folder"]), put, parallel=options.parallel)
    if kept:
        raise Refused(
            f"Of {len(put)} files in the pCloud folder {token['folder']} {len(kept)} are others by now and were left there,"
            f" such as {quoted(kept[0])}."
        )
    return f"{len(put)} files in the pCloud folder {token['folder']} were deleted."


async def check(options: Options, tools: Tools) -> str:
    """Ask whose account it is, and for the folder where its id does not depend on the job."""
    async with _open(options, tools) as api:
        said = await who(api)
        if options.folder.isdecimal():
            if await listing(api, int(options.folder), deep=False) is None:
                raise Refused(
                    f"There is no pCloud folder {options.folder} for the account {options.account!r}: correct its id."
                )
            said += f" The folder {options.folder} is there."
    return said
