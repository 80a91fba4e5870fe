"""`vidd kinds` and `vidd schema`: what settings can have; hidden: `vidd reference` and `vidd man`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vidd.cli.command_tree import tree_of
from vidd.cli.common import JsonOption, fail, print_json, print_text
from vidd.cli.man_page import man_page
from vidd.cli.pages import describe_kind, list_kinds, write_pages
from vidd.errors import Fault, Refused
from vidd.pipelines.json_schema import settings_schema
from vidd.pipelines.reference import FAMILIES, find_kinds, kinds_of


def kinds(
    name: Annotated[str | None, typer.Argument(help="Show this kind with all its options.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the kinds of sources, steps, publishers, stores, queues and accounts, or show the options of one."""
    try:
        found = find_kinds(name) if name else [kind for family in FAMILIES for kind in kinds_of(family)]
        if name and not found:
            raise Refused(f"There is no kind {name!r}: vidd kinds lists them.")
    except Fault as fault:
        raise fail(fault) from None
    if as_json:
        print_json([asdict(kind) for kind in found])
    else:
        print_text("\n\n".join(describe_kind(kind) for kind in found) if name else list_kinds())


def reference(
    context: typer.Context, directory: Annotated[Path, typer.Argument(help="Where to write the pages.")]
) -> None:
    """Write the pages of the reference, generated from the code."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in write_pages(tree_of(context)).items():
        (directory / name).write_text(text)


def schema() -> None:
    """Print the JSON Schema of vidd.toml, for editors that check and complete TOML (taplo)."""
    typer.echo(json.dumps(settings_schema(), indent=2, ensure_ascii=False))


def man(context: typer.Context) -> None:
    """Print the man page vidd(1)."""
    typer.echo(man_page(tree_of(context)), nl=False)
