"""`vidd dataset`: asks for a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from vidd.cli.common import JsonOption, print_job
from vidd.cli.daemon_option import DaemonOptions, quote_id, with_daemon


@with_daemon
def dataset(
    daemon: DaemonOptions,
    version: Annotated[str | None, typer.Argument(help="The _id of an AnnotationDatasetVersion.")] = None,
    *,
    option: Annotated[str | None, typer.Option("--version", "-v", metavar="VERSION", help="The same.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", envvar="VIDD_DATASET_KEY", help="The auth_key, where the source has one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a version of a data set, or bring it up to date: vidd makes and sends only what changed."""
    if (version is None) == (option is None):
        raise typer.BadParameter("name one version, as VERSION or as -v VERSION", param_hint="VERSION")
    body = {"data_version_id": version or option, **({"auth_key": key} if key else {})}
    found = daemon.post("/api/data-sets", body)
    print_job(daemon.get(f"/api/jobs/{quote_id(found['job'])}"), as_json=as_json)
