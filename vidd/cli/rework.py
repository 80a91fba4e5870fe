"""`vidd rework`: make another edition of a job's results, look at what that would do, or undo it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from vidd.cli.api_client import DaemonClient
from vidd.cli.common import JsonOption, say, say_job, say_json
from vidd.cli.daemon_option import Whom, asks_daemon, of
from vidd.errors import Refused


@asks_daemon
def rework(
    whom: Whom,
    job: Annotated[str | None, typer.Argument(help="The job's id, or the end of it.")] = None,
    extra: Annotated[list[str] | None, typer.Argument(help="After --: more arguments for the command.")] = None,
    *,
    step: Annotated[str | None, typer.Option(help="Where to begin; otherwise the first step that changes.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="STEP.OPTION=VALUE", help="Another option; may be repeated.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Bring back the results of before the last rework.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    folder_name: Annotated[
        str | None, typer.Option("--folder_name", "--folder-name", help="The id of the video, in place of the job's.")
    ] = None,
    directory: Annotated[
        str | None, typer.Option("--directory", help="The directory of the programs, where it is another one now.")
    ] = None,
    folder_id: Annotated[
        str | None, typer.Option("--folder_id", "--folder-id", help="The id of its folder of results, to be compared.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job again from one of its steps, with other options or more arguments, and have what is out follow."""
    words = list(extra or ())
    if folder_name is not None and job is not None:
        # What stands where a job's id would is an argument of the command.
        words, job = [job, *words], None
    if (job is None) is (folder_name is None):
        raise typer.BadParameter("name the job, or the video with --folder_name")
    asked: dict[str, Any] = {
        "step": step, "set": _changes(changes or []), "extra": words, "undo": undo, "dry_run": dry_run,
    }  # fmt: skip

    async def ask(daemon: DaemonClient) -> Any:
        found = await daemon.get(f"/api/jobs/{of(job)}") if job else await _of_video(daemon, str(folder_name))
        _compare(found, folder_id)
        if directory is not None:
            asked["set"] |= {f"{name}.directory": directory for name in _elsewhere(found, directory, step)}
        return await daemon.post(f"/api/jobs/{found['id']}/rework", asked)

    told = whom.ask(ask)
    if as_json:
        say_json(told)
    elif dry_run:
        say("\n".join(_outlook(told)))
    else:
        say_job(told, as_json=False)


def _changes(words: list[str]) -> dict[str, Any]:
    """`step.option=value`: the value as TOML has it, or else as a text."""
    made = {}
    for word in words:
        path, sign, text = word.partition("=")
        if not sign or not path.strip():
            raise typer.BadParameter(f"{word!r} sets nothing: write STEP.OPTION=VALUE")
        try:
            made[path.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            made[path.strip()] = text
    return made


async def _of_video(daemon: DaemonClient, name: str) -> Any:
    """The newest job of this video that can be reworked."""
    jobs = (await daemon.get("/api/jobs", name=name, state="published,refused", limit=1))["jobs"]
    if not jobs:
        raise Refused(f"There is no job of the video {name!r} that is published or was refused: see vidd jobs.")
    return await daemon.get(f"/api/jobs/{jobs[0]['id']}")


def _compare(found: Mapping[str, Any], folder_id: str | None) -> None:
    known = found["facts"].get("folder_id")
    if folder_id is not None and known is not None and str(known) != folder_id:
        raise Refused(
            f"The results of the job {found['id']} are in the folder {known}, not {folder_id}: correct --folder_id, or"
            " leave it out."
        )


def _elsewhere(found: Mapping[str, Any], directory: str, step: str | None) -> list[str]:
    """The command steps, from this one on, that ran in another directory."""
    names = [one["name"] for one in found["steps"]]
    steps = found["steps"][names.index(step) if step in names else 0 :]
    ran = {one["name"]: one["facts"].get(one["name"], {}).get("directory") for one in steps if one["kind"] == "command"}
    return [name for name, where in ran.items() if where != directory.rstrip("/")]


def _outlook(told: Mapping[str, Any]) -> list[str]:
    begins = f"edition {told['of']}, kept until {told['kept_until']}" if told["of"] else "nothing: none is kept"
    lines = [f"{told['job']}: edition {told['edition']}, begins with {begins}"]
    lines += [
        f"  step {step['name']}: {'runs, ' + step['why'] if step['runs'] else 'stays as it was'}"
        for step in told["steps"]
    ]
    for file in told["files"]:
        many = f"{file['files']} files" if file["files"] is not None else f"{file['size']} bytes"
        lines.append(f"  may change: {file['role']} ({file['path']}, {many})")
    for publisher in told["publishers"]:
        does = (
            "replaces what changed and drops what there is no more"
            if publisher["replaces"]
            else "cannot replace what is out"
        )
        lines.append(f"  publisher {publisher['name']}: {does}")
    lines += [f"  notice {name}: goes out once more" for name in told["notices"]]
    return lines
