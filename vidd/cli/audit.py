"""`vidd audit`: whether everything that the sources list was taken in and processed, once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vidd.cli.common import JsonOption, print_json, print_text
from vidd.cli.daemon_option import DaemonOptions, with_daemon

_LISTS = ("missing", "duplicate", "refused", "waiting", "under_way")
_MAX_LISTED = 100


@with_daemon
def audit(
    daemon: DaemonOptions,
    *,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only sources of this pipeline.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what the sources list now with the jobs. Exit 0 only when all of it is processed, once."""
    found = daemon.get("/api/audit", source=source, pipeline=pipeline)
    if as_json:
        print_json(found)
    else:
        print_text("\n".join([totals(found), *_lines(found)]))
    if not found["ok"]:
        raise typer.Exit(1)


def totals(found: Any) -> str:
    """The line of totals: seen, processed, duplicate, missing; the rest only where there is some."""
    usual = [f"{name}={found[name]}" for name in ("seen", "processed", "duplicate", "missing")]
    rest = [f"{name}={found[name]}" for name in ("under_way", "refused", "waiting") if found[name]]
    return " ".join([*usual, *rest])


def _lines(found: Any) -> list[str]:
    lines = []
    for source in found["sources"]:
        for name in _LISTS:
            listed = source["lists"][name]
            for finding in listed[:_MAX_LISTED]:
                jobs = ", ".join(f"{job['id']} {job['state']}" for job in finding["jobs"])
                cells = [name.replace("_", " "), source["source"], finding["name"], jobs, finding["why"] or ""]
                lines.append("  ".join(cell for cell in cells if cell))
            if len(listed) > _MAX_LISTED:
                lines.append(
                    f"{name.replace('_', ' ')}  {source['source']}  … and {len(listed) - _MAX_LISTED} more: --json lists all"
                )
    return lines
