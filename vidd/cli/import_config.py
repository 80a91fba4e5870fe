"""`vidd import-config`: translates another system's settings to vidd.toml."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from vidd.cli.common import fail
from vidd.cli.importers import KINDS
from vidd.cli.importers.output import ImportedSettings
from vidd.errors import Fault
from vidd.settings.schema import SettingsFault

_MAX_BYTES = 2**20
_KEYS, _SECRETS = Path("keys"), Path("/run/secrets")
"""Where the timeline service looks for its settings."""


def import_config(
    kind: Annotated[str, typer.Argument(help=f"Whose settings they are: {', '.join(KINDS)}.")],
    file: Annotated[
        Path | None,
        typer.Argument(help="The file; timeline: its file `keys`, which need not be there."),
    ] = None,
    crontab: Annotated[
        Path | None,
        typer.Option("--crontab", help="premiere: what `crontab -l` prints; units of systemd take its place."),
    ] = None,
    units: Annotated[
        Path | None, typer.Option("--units", help="The directory for those units; existing files stay as they are.")
    ] = None,
) -> None:
    """Print another system's settings as a vidd.toml; secrets are named, never printed."""
    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is not known; known: {', '.join(KINDS)}", param_hint="KIND")
    if crontab is not None and kind != "premiere":
        raise typer.BadParameter(f"{kind} had no crontab", param_hint="--crontab")
    if file is None and kind != "timeline":
        raise typer.BadParameter("is missing", param_hint="FILE")
    if (crontab is None) is not (units is None):
        raise typer.BadParameter("give both --crontab and --units, or neither", param_hint="--units")
    try:
        settings = _translate(kind, file, crontab)
        settings.check()
        if units is not None:
            _write(units, settings.units)
    except Fault as fault:
        raise fail(fault) from None
    # printable() would change what a program reads.
    typer.echo(settings.document, nl=False)


def _translate(kind: str, file: Path | None, crontab: Path | None) -> ImportedSettings:
    translate: Callable[..., ImportedSettings] = import_module(KINDS[kind]).translate
    if kind == "timeline":
        keys = file or (_KEYS if _KEYS.exists() else None)
        return translate(keys and _read(keys), _SECRETS, os.environ)
    return translate(_read(file or Path()), **({} if crontab is None else {"crontab": _read(crontab)}))


def _write(directory: Path, units: Mapping[str, str]) -> None:
    for name, text in units.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise SettingsFault([f"{path}: cannot be written ({error.strerror})"]) from None


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise SettingsFault([f"{file}: is too long for settings"])
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsFault([f"{file}: cannot be read ({error.strerror})"]) from None
    except UnicodeDecodeError:
        raise SettingsFault([f"{file}: is not UTF-8 text"]) from None
