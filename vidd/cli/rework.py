"""`vidd rework`: runs a job again from one of its steps, shows what that would do, or undoes it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from vidd.cli.api_client import DaemonClient
from vidd.cli.common import JsonOption, print_job, print_json, print_text
from vidd.cli.daemon_option import DaemonOptions, quote_id, with_daemon
from vidd.errors import Refused


@with_daemon
def rework(
    daemon: DaemonOptions,
    job: Annotated[str | None, typer.Argument(help="The job's id, or the end of it.")] = None,
    extra: Annotated[list[str] | None, typer.Argument(help="After --: more arguments for the command.")] = None,
    *,
    step: Annotated[
        str | None, typer.Option(help="The step to begin with; otherwise the first one that changes.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="STEP.OPTION=VALUE", help="Change an option; may be repeated.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Bring back the results from before the last rework.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")] = False,
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
    """Run a job again from one of its steps, with other options or more arguments, and update what is published."""
    arguments = list(extra or ())
    if folder_name is not None and job is not None:
        # What stands where a job's id would is an argument of the command.
        arguments, job = [job, *arguments], None
    if (job is None) is (folder_name is None):
        raise typer.BadParameter("name the job, or the video with --folder_name")
    body: dict[str, Any] = {
        "step": step, "set": _changes(changes or []), "extra": arguments, "undo": undo, "dry_run": dry_run,
    }  # fmt: skip

    async def post(client: DaemonClient) -> Any:
        found = await client.get(f"/api/jobs/{quote_id(job)}") if job else await _newest_job(client, str(folder_name))
        _check_folder(found, folder_id)
        if directory is not None:
            body["set"] |= {f"{name}.directory": directory for name in _steps_elsewhere(found, directory, step)}
        return await client.post(f"/api/jobs/{found['id']}/rework", body)

    answer = daemon.call(post)
    if as_json:
        print_json(answer)
    elif dry_run:
        print_text("\n".join(_describe_outlook(answer)))
    else:
        print_job(answer, as_json=False)


def _changes(assignments: list[str]) -> dict[str, Any]:
    """Options by path from `STEP.OPTION=VALUE`; a value that is no TOML is a text."""
    changes = {}
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        if not sign or not path.strip():
            raise typer.BadParameter(f"{assignment!r} sets nothing: write STEP.OPTION=VALUE")
        try:
            changes[path.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            changes[path.strip()] = text
    return changes


async def _newest_job(client: DaemonClient, name: str) -> Any:
    """The newest job of this video that can be reworked."""
    jobs = (await client.get("/api/jobs", name=name, state="published,refused", limit=1))["jobs"]
    if not jobs:
        raise Refused(f"There is no job of the video {name!r} that is published or was refused: see vidd jobs.")
    return await client.get(f"/api/jobs/{jobs[0]['id']}")


def _check_folder(found: Mapping[str, Any], folder_id: str | None) -> None:
    known = found["facts"].get("folder_id")
    if folder_id is not None and known is not None and str(known) != folder_id:
        raise Refused(
            f"The results of the job {found['id']} are in the folder {known}, not {folder_id}: correct --folder_id, or"
            " leave it out."
        )


def _steps_elsewhere(found: Mapping[str, Any], directory: str, step: str | None) -> list[str]:
    """The names of the command steps, from `step` on, that ran in another directory."""
    names = [row["name"] for row in found["steps"]]
    steps = found["steps"][names.index(step) if step in names else 0 :]
    ran = {row["name"]: row["facts"].get(row["name"], {}).get("directory") for row in steps if row["kind"] == "command"}
    return [name for name, where in ran.items() if where != directory.rstrip("/")]


def _describe_outlook(outlook: Mapping[str, Any]) -> list[str]:
    begins = (
        f"edition {outlook['of']}, kept until {outlook['kept_until']}" if outlook["of"] else "nothing: none is kept"
    )
    lines = [f"{outlook['job']}: edition {outlook['edition']}, begins with {begins}"]
    lines += [
        f"  step {step['name']}: {'runs, ' + step['why'] if step['runs'] else 'stays as it was'}"
        for step in outlook["steps"]
    ]
    for file in outlook["files"]:
        many = f"{file['files']} files" if file["files"] is not None else f"{file['size']} bytes"
        lines.append(f"  may change: {file['role']} ({file['path']}, {many})")
    for publisher in outlook["publishers"]:
        does = (
            "replaces what changed and drops what there is no more"
            if publisher["replaces"]
            else "cannot replace what is out"
        )
        lines.append(f"  publisher {publisher['name']}: {does}")
    lines += [f"  notice {name}: goes out once more" for name in outlook["notices"]]
    return lines
