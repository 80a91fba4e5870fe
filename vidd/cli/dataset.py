"""Ask for a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from vidd.cli.common import JsonOption, say_job
from vidd.cli.daemon_option import Whom, asks_daemon, of


@asks_daemon
def dataset(
    whom: Whom,
    version: Annotated[str, typer.Argument(help="The _id of an AnnotationDatasetVersion.")],
    *,
    key: Annotated[
        str | None, typer.Option("--key", envvar="VIDD_DATASET_KEY", help="The auth_key, where the source has one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Have a version of a data set made, or brought up to date: only what changed is made and sent."""
    body = {"data_version_id": version, **({"auth_key": key} if key else {})}
    found = whom.post("/api/data-sets", body)
    say_job(whom.get(f"/api/jobs/{of(found['job'])}"), as_json=as_json)
