"""`vidd probe`: shows what vidd sees in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vidd.cli.common import run_to_end
from vidd.media.probe.client import probe_report


def probe(file: Annotated[Path, typer.Argument(help="A video file.")]) -> None:
    """Print what vidd sees in a video file, as JSON: container, duration, tracks. Exit 1 if it is refused."""
    typer.echo(json.dumps(run_to_end(probe_report(file)), indent=2))
