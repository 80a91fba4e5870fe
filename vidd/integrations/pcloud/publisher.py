"""Publishes files and directory trees into a folder on pCloud; only files that changed are sent.

Each file is uploaded under a part name, compared, and renamed to its place, over the file that was there. The file then
has another id; the ids of folders stay. After a lost answer vidd looks for the file, so nothing is uploaded twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.files.tree import list_files
from vidd.integrations.pcloud.account import Account
from vidd.integrations.pcloud.api import connect
from vidd.integrations.pcloud.files import check_name, describe_account, list_folder
from vidd.integrations.pcloud.mirror import LocalFile, Mirror, MirrorResult, common_root, delete_unchanged, folder_id
from vidd.integrations.pcloud.state_encoding import compress_json, expand_json
from vidd.model.publication import Receipt
from vidd.settings.marks import AccountOf, Role
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of, render
from vidd.settings.types import Options as Base
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.pcloud.api import Client
    from vidd.model.media import Artifact
    from vidd.ports import PublishContext, Tools


_Folder = Annotated[str, AfterValidator(check_template), MayName()]
_Template = Annotated[str, AfterValidator(check_template), MayName("role", "part", "suffix")]
_PAGES = {"us": "https://my.pcloud.com", "eu": "https://e.pcloud.com"}


class Options(Base):
    """Which folder the files go into, and what becomes of what is there."""

    account: Annotated[str, AccountOf("pcloud")] = Field(description="The pCloud account.")
    folder: _Folder = Field(
        description="Template of the folder: its id, such as {{ facts.folder_id }}, or its path from the top, such as"
        " /results/{{ job.id }}, which is created if missing."
    )
    name: _Template = Field(
        "{{ name | file_name }}{{ part }}{{ suffix }}",
        description="Template of a file's path below it; `part` tells several apart (-rendition-720p), `suffix` is like .mp4.",
    )
    path: _Template = Field(
        "", description="Template of the path below it for a tree's files; default: the folder itself."
    )
    files: tuple[Annotated[str, Role()], ...] = Field(
        (), description="Roles of the files and trees; none means all that the steps made."
    )
    parallel: int = Field(8, ge=1, le=64, description="Files compared or sent at once.")
    delete: bool = Field(
        False, description="Delete files below a tree's path that the tree does not have. Nothing else is ever deleted."
    )
    retract: Literal["keep", "delete"] = Field("keep", description="What a retraction does with the files.")


@dataclass(frozen=True)
class _Plan:
    """`files` and `roots` (of trees) are below `common`, which is below the folder that `folder` names.

    `gone` are files that were published before and are no longer in the trees.
    """

    folder: str
    common: str
    files: Mapping[str, LocalFile]
    roots: tuple[str, ...]
    gone: frozenset[str]

    @property
    def target(self) -> str:
        """Folder and common directory, which the token keeps."""
        return f"{self.folder} {self.common}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


def _relative_path(text: str, what: str) -> str:
    """The path without slashes at its ends; Refused if pCloud takes no file or folder of that name."""
    path = text.strip().strip("/")
    for name in path.split("/") if path else ():
        try:
            check_name(name)
        except Refused as refusal:
            raise Refused(
                f"{refusal.sentence} It comes from the template of {what}.", code=FaultCode.BAD_SETTINGS
            ) from None
    return path


def _plan(options: Options, context: PublishContext) -> _Plan:
    chosen = context.choose(options.files, trees=True)
    if all(artifact.tree is not None and not artifact.tree.files for artifact in chosen):
        names = ", ".join(quoted(artifact.role) for artifact in chosen)
        raise Refused(f"The directory {names} is empty; vidd will not replace published files with nothing.")
    planned: dict[str, LocalFile] = {}
    roots, directories, gone = [], [], []
    for artifact in chosen:
        suffix = PurePath(artifact.path).suffix if artifact.tree is None else ""
        part = f"-{artifact.role}" if len(chosen) > 1 else ""
        fields = fields_of(context.job, context.talk, context.facts, role=artifact.role, part=part, suffix=suffix)
        if artifact.tree is None:
            path = _relative_path(render(options.name, fields), "name")
            files = {path: LocalFile(context.directory / artifact.path, artifact.size)}
            directories.append(str(PurePosixPath(path).parent) if "/" in path else "")
        else:
            root = _relative_path(render(options.path, fields), "path")
            files = _tree_files(context, artifact, root)
            roots.append(root)
            directories.append(root)
            gone += [f"{root}/{path}" if root else path for path in context.gone.get(artifact.role, ())]
        for path, file in files.items():
            if path in planned or not path:
                raise Refused(
                    f"Two files would be {quoted(path)} in the pCloud folder: put {{{{ role }}}} into name or path.",
                    code=FaultCode.BAD_SETTINGS,
                )
            planned[path] = file
    folder = render(options.folder, fields_of(context.job, context.talk, context.facts)).strip()
    common = common_root(directories)
    skip = len(common) + 1 if common else 0
    files = {path[skip:]: file for path, file in planned.items()}
    return _Plan(folder, common, files, tuple(root[skip:] for root in roots), frozenset(path[skip:] for path in gone))


def _tree_files(context: PublishContext, tree: Artifact, root: str) -> dict[str, LocalFile]:
    directory = context.directory / tree.path
    found = list_files(directory)
    prefix = f"{root}/" if root else ""
    return {f"{prefix}{leaf.path}": LocalFile(directory / leaf.path, leaf.size) for leaf in found}


async def _folder_id(client: Client, plan: _Plan) -> int:
    """The id of the folder that the plan's paths are below; a folder named by a path is created if missing."""
    if plan.folder.isascii() and plan.folder.isdecimal():
        return await folder_id(client, int(plan.folder), plan.common)
    if plan.folder.startswith("/"):
        return await folder_id(client, 0, f"{_relative_path(plan.folder, 'folder')}/{plan.common}")
    raise Refused(
        f"The template of the folder gave {quoted(plan.folder)}, which is no pCloud folder: it must be an id (digits) or a"
        " path that begins with a slash; check that this job has the facts that the template names.",
        code=FaultCode.BAD_SETTINGS,
    )


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Mirror the files into the folder. The token says which folder it is, and what a retraction must know."""
    plan = await in_thread(_plan, options, context)
    async with connect(context.tools, options.account) as client:
        folder = await _folder_id(client, plan)
        await context.checkpoint({"place": plan.target, "folder": folder})
        mirror = _mirror(options, client, plan, folder)
        await mirror.list_existing()
        meter = ProgressMeter("pcloud", "upload", progress=context.progress, observe=context.tools.observe)
        result = await mirror.upload(meter, context.job.id)
        meter.report()
        await mirror.delete_parts(result, context.job.id)
        if options.delete or plan.gone:
            await mirror.delete_stale(result, None if options.delete else plan.gone)
        return await _receipt(options, context, plan, folder, result)


# A mirror sends only what changed, and the context says which files are gone.
replace_files = publish


def _mirror(options: Options, client: Client, plan: _Plan, folder: int) -> Mirror:
    return Mirror(client, folder, plan.files, roots=plan.roots, parallel=options.parallel)


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt if every file is there with its bytes and, with `delete`, no other; else None."""
    plan = await in_thread(_plan, options, context)
    token = context.publication.token
    if token.get("place") != plan.target:
        return None
    async with connect(context.tools, options.account) as client:
        folder = int(token["folder"])
        mirror = _mirror(options, client, plan, folder)
        found = await list_folder(client, folder)
        if found is None:
            return None
        mirror.existing = found
        if len(mirror.same_size_paths()) < len(plan.files) or (options.delete and mirror.stale_paths()):
            return None
        if len(await mirror.equal_paths()) < len(plan.files):
            return None
        result = MirrorResult(equal=len(plan.files), files={path: found.files[path] for path in plan.files})
        await mirror.delete_parts(result, context.job.id)
        return await _receipt(options, context, plan, folder, result)


async def _receipt(
    options: Options, context: PublishContext, plan: _Plan, folder: int, result: MirrorResult
) -> Receipt:
    if options.retract == "delete":
        put = compress_json({path: (file.id, file.hash) for path, file in result.files.items()})
        await context.checkpoint({"place": plan.target, "folder": folder, "put": put})
    account = context.tools.account(options.account, Account)
    url = f"{_PAGES[account.region]}/#/filemanager?folder={folder}"
    facts: dict[str, Any] = {
        "account": options.account,
        "folder": folder,
        "files": len(plan.files),
        "bytes": plan.size,
        "sent": result.sent,
        "sent_bytes": result.sent_bytes,
        "equal": result.equal,
        "dropped": result.dropped,
    }
    if not plan.roots and len(result.files) == 1:
        # Jobs that put single files into the same folder differ by their names; ids change with each replacement.
        [file] = result.files.values()
        facts |= {"file": file.id, "name": file.name}
        url += f"&name={quote(file.name)}"
    return Receipt(url=url, facts=facts)


async def retract(options: Options, context: PublishContext) -> str:
    """Delete the files, if the settings want that and the files are unchanged."""
    receipt = context.publication.receipt
    subject = f"What is in the pCloud folder {receipt.facts.get('folder')}" if receipt else "What was put there by hand"
    if options.retract == "keep":
        return f"{subject} was kept, as the settings say."
    token = context.publication.token
    if "put" not in token:
        raise Refused(
            f"{subject} was published without noting which files they are: delete them by hand.",
            code=FaultCode.NOT_FOUND,
        )
    put = {path: (int(file), int(number)) for path, (file, number) in expand_json(token["put"]).items()}
    async with connect(context.tools, options.account) as client:
        changed = await delete_unchanged(client, int(token["folder"]), put, parallel=options.parallel)
    if changed:
        raise Refused(
            f"Of {len(put)} files in the pCloud folder {token['folder']} {len(changed)} have changed since, such as"
            f" {quoted(changed[0])}; vidd left those there.",
            code=FaultCode.CONFLICT,
        )
    return f"{len(put)} files in the pCloud folder {token['folder']} were deleted."


async def check(options: Options, tools: Tools) -> str:
    """Ask whose account it is, and for the folder if its id does not depend on the job."""
    async with connect(tools, options.account) as client:
        sentence = await describe_account(client)
        if options.folder.isdecimal():
            if await list_folder(client, int(options.folder), deep=False) is None:
                raise Refused(
                    f"There is no pCloud folder {options.folder} for the account {options.account!r}: correct its id.",
                    code=FaultCode.NOT_FOUND,
                )
            sentence += f" The folder {options.folder} is there."
    return sentence
