"""Whom a command asks: the daemon of a state directory, by its socket, or one elsewhere, by its address.

Nothing but the state directory is read of the settings: whoever asks a daemon need not have its accounts.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints
from urllib.parse import quote

import typer

from vidd.cli.api_client import DaemonClient
from vidd.cli.common import ConfigOption, StateOption, config_path, finish
from vidd.daemon.app import SOCKET
from vidd.settings.schema import state_directory

P = ParamSpec("P")

UrlOption = Annotated[
    str | None, typer.Option("--url", envvar="VIDD_URL", help="A daemon elsewhere, such as http://host:8080.")
]
TokenOption = Annotated[
    str | None, typer.Option("--token", envvar="VIDD_TOKEN", help="Its token; better given in VIDD_TOKEN.")
]
JobArgument = Annotated[str, typer.Argument(help="The job's id, or the end of it.")]


@dataclass(frozen=True, slots=True)
class Whom:
    """What the command line says of it."""

    config: Path | None
    state: Path | None
    url: str | None
    token: str | None

    def client(self) -> DaemonClient:
        """The daemon, to be entered."""
        if self.url:
            return DaemonClient(url=self.url, token=self.token)
        state = self.state.resolve() if self.state else state_directory(config_path(self.config))
        return DaemonClient(socket=state / SOCKET)

    def ask(self, asking: Callable[[DaemonClient], Awaitable[Any]]) -> Any:
        """What it answers; a fault ends the command."""

        async def work() -> Any:
            async with self.client() as daemon:
                return await asking(daemon)

        return finish(work())

    def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON at a path."""
        return self.ask(lambda daemon: daemon.get(path, **query))

    def post(self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        """What came of asking it to act."""
        return self.ask(lambda daemon: daemon.post(path, body, key=key))


_COMMON = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
    for name, option in (
        ("config_", ConfigOption),
        ("state_", StateOption),
        ("url_", UrlOption),
        ("token_", TokenOption),
    )
]


def asks_daemon(command: Callable[Concatenate[Whom, P], None]) -> Callable[..., None]:
    """A command whose first parameter is a `Whom`: it gets the four options that say so, after its own."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in inspect.signature(command).parameters.values()
    ][1:]

    @wraps(command)
    def run(**given: Any) -> None:
        command(Whom(*(given.pop(parameter.name) for parameter in _COMMON)), **given)  # type: ignore[call-arg]  # typer sees to it

    parameters = [*own, *_COMMON]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def of(job: str) -> str:
    """A job's id as a part of an address, whatever was typed."""
    return quote(job, safe="")
