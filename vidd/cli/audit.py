"""`vidd audit`: whether everything that is there was taken in and processed, once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vidd.cli.common import JsonOption, say, say_json
from vidd.cli.daemon_option import Whom, asks_daemon

_LISTS = ("missing", "duplicate", "refused", "waiting", "under_way")
_SHOWN = 100


@asks_daemon
def audit(
    whom: Whom,
    *,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only sources of this pipeline.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold what the sources list now against the jobs. Exit 0 only when all of it is processed, once."""
    found = whom.get("/api/audit", source=source, pipeline=pipeline)
    if as_json:
        say_json(found)
    else:
        say("\n".join([totals(found), *_lines(found)]))
    if not found["ok"]:
        raise typer.Exit(1)


def totals(found: Any) -> str:
    """The one line: how much was seen, processed, processed twice, missed; the rest only where there is some."""
    usual = [f"{name}={found[name]}" for name in ("seen", "processed", "duplicate", "missing")]
    rest = [f"{name}={found[name]}" for name in ("under_way", "refused", "waiting") if found[name]]
    return " ".join([*usual, *rest])


def _lines(found: Any) -> list[str]:
    lines = []
    for source in found["sources"]:
        for name in _LISTS:
            listed = source["lists"][name]
            for each in listed[:_SHOWN]:
                jobs = ", ".join(f"{job['id']} {job['state']}" for job in each["jobs"])
                words = [name.replace("_", " "), source["source"], each["name"], jobs, each["why"] or ""]
                lines.append("  ".join(word for word in words if word))
            if len(listed) > _SHOWN:
                lines.append(
                    f"{name.replace('_', ' ')}  {source['source']}  … and {len(listed) - _SHOWN} more: --json lists all"
                )
    return lines
