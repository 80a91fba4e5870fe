"""The commands with their arguments and options as data, read from typer's tree: for the reference and the man page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

_COMMON = ("config_", "state_", "url_", "token_")


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument or an option. `spelling` is as it is typed: `--state STATE`, `JOB`, `[JOBS]...`."""

    spelling: str
    is_option: bool
    help: str
    default: str
    environment: str
    required: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `path` are its words after `vidd`; `common` tells that it takes the options that name the daemon."""

    path: str
    help: str
    parameters: tuple[Parameter, ...]
    common: tuple[Parameter, ...]

    @property
    def usage(self) -> str:
        """Arguments and options in a line."""
        arguments = [parameter.spelling for parameter in self.parameters if not parameter.is_option]
        needed = [parameter.spelling for parameter in self.parameters if parameter.is_option and parameter.required]
        return " ".join(["vidd", self.path, *needed, "[OPTIONS]", *arguments])


def commands_of(group: Any, path: str = "") -> Iterator[Command]:
    """The commands of a typer group in their order, those of groups inside it too; hidden ones are left out."""
    for name, command in group.commands.items():
        where = f"{path} {name}".strip()
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands_of(command, where)
            continue
        visible = [parameter for parameter in command.params if not parameter.hidden and parameter.name != "help"]
        yield Command(
            where,
            _line(command.help),
            tuple(_parameter(parameter) for parameter in visible if parameter.name not in _COMMON),
            tuple(_parameter(parameter) for parameter in visible if parameter.name in _COMMON),
        )


def tree_of(context: typer.Context) -> list[Command]:
    """All commands of the program that this command belongs to."""
    return list(commands_of(context.find_root().command))


def _parameter(parameter: Any) -> Parameter:
    is_option = parameter.param_type_name == "option"
    value = parameter.metavar or parameter.name.rstrip("_").upper()
    many = parameter.nargs == -1 or (is_option and parameter.multiple)
    if is_option:
        names = ", ".join(sorted(parameter.opts, key=lambda name: (not name.startswith("--"), name)))
        spelling = names if parameter.is_flag else f"{names} {value}"
    else:
        spelling = f"{value}..." if many else value
        spelling = spelling if parameter.required else f"[{spelling}]"
    default = parameter.default
    default_text = "" if default in {None, False} or callable(default) else str(default)
    return Parameter(
        spelling, is_option, _line(parameter.help), default_text, parameter.envvar or "", parameter.required
    )


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
