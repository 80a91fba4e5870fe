"""The man page vidd(1) in roff, made of typer's tree. The same commands, the same page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vidd import __version__
from vidd.cli.command_tree import Command, Parameter
from vidd.cli.exit_codes import MEANINGS

_DESCRIPTION = (
    "vidd is a daemon that turns an arriving video into a processed, checked, published and recorded one, unattended and "
    "exactly once. B<vidd run> is the daemon; most other commands ask a running one over its socket in the state directory, or "
    "with B<--url> over TCP. B<vidd --install-completion> makes the shell complete commands and options."
)
_FILES = (
    ("/etc/vidd/vidd.toml", "The settings, where --config names no others. Without them the embedded ones count."),
    ("/var/lib/vidd", "The state directory, where the settings name no other: journal, jobs, socket."),
)
_VARIABLES = (
    ("VIDD_TABLE__KEY", "Overrides a key of the settings, such as VIDD_DAEMON__LISTEN."),
    ("CREDENTIALS_DIRECTORY", "A directory of files such as daemon__tokens that override the settings file."),
)


def man_page(commands: Sequence[Command]) -> str:
    """The page, with all commands and their options."""
    return "\n".join(_lines(commands)) + "\n"


def _lines(commands: Sequence[Command]) -> Iterator[str]:
    common = next((command.common for command in commands if len(command.common) > 2), ())
    yield f'.TH VIDD 1 "" "vidd {__version__}" "User Commands"'
    yield ".SH NAME"
    yield "vidd \\- an arriving video becomes a published talk, unattended and exactly once"
    yield ".SH SYNOPSIS"
    yield ".B vidd"
    yield "\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]"
    yield ".SH DESCRIPTION"
    yield _escape(_DESCRIPTION).replace("B<", "\\fB").replace(">", "\\fR")
    yield ".SH COMMANDS"
    for command in commands:
        yield f".SS {_escape(command.usage)}"
        yield _escape(command.help)
        for parameter in command.parameters:
            yield from _parameter(parameter)
    yield ".SH OPTIONS OF COMMANDS THAT ASK A DAEMON"
    for parameter in common:
        yield from _parameter(parameter)
    yield ".SH EXIT STATUS"
    for code, meaning in MEANINGS.items():
        yield from _entry(str(code.value), meaning)
    yield ".SH ENVIRONMENT"
    options = {parameter.environment: parameter for command in commands for parameter in _all(command)}
    for name in sorted(filter(None, options)):
        yield from _entry(name, f"Stands for {options[name].spelling.partition(' ')[0].rstrip(',')}.")
    for name, meaning in _VARIABLES:
        yield from _entry(name, meaning)
    yield ".SH FILES"
    for name, meaning in _FILES:
        yield from _entry(name, meaning)


def _all(command: Command) -> Iterator[Parameter]:
    yield from command.parameters
    yield from command.common


def _parameter(parameter: Parameter) -> Iterator[str]:
    default = f" Default: {parameter.default}." if parameter.default else ""
    required = " Required." if parameter.required and parameter.is_option else ""
    yield from _entry(parameter.spelling, f"{parameter.help}{default}{required}")


def _entry(term: str, meaning: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_escape(term)}"
    yield _escape(meaning)


def _escape(text: str) -> str:
    """Text as roff takes it: a line must not begin with a dot or a quotation mark."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
