"""The options that say which daemon a command asks: that of a state directory, by its socket, or one elsewhere, by its address.

Only the state directory is read of the settings: whoever asks a daemon need not have its accounts.
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
from vidd.cli.common import ConfigOption, StateOption, config_path, run_to_end
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
class DaemonOptions:
    """What the command line says of the daemon to ask."""

    config: Path | None
    state: Path | None
    url: str | None
    token: str | None

    def client(self) -> DaemonClient:
        """A client of that daemon, to be entered."""
        if self.url:
            return DaemonClient(url=self.url, token=self.token)
        state = self.state.resolve() if self.state else state_directory(config_path(self.config))
        return DaemonClient(socket=state / SOCKET)

    def call(self, query: Callable[[DaemonClient], Awaitable[Any]]) -> Any:
        """Run `query` with a client and return its result; a fault ends the command."""

        async def work() -> Any:
            async with self.client() as client:
                return await query(client)

        return run_to_end(work())

    def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON at a path of the API."""
        return self.call(lambda client: client.get(path, **query))

    def post(self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Post to a path of the API; returns the JSON of the answer."""
        return self.call(lambda client: client.post(path, body, key=key))


_OPTIONS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
    for name, option in (
        ("config_", ConfigOption),
        ("state_", StateOption),
        ("url_", UrlOption),
        ("token_", TokenOption),
    )
]


def with_daemon(command: Callable[Concatenate[DaemonOptions, P], None]) -> Callable[..., None]:
    """Decorates a command whose first parameter is a `DaemonOptions`: it gets the four options for it, after its own."""
    hints = get_type_hints(command, include_extras=True)
    parameters = list(inspect.signature(command).parameters.values())[1:]
    own = [parameter.replace(annotation=hints[parameter.name]) for parameter in parameters]

    @wraps(command)
    def run(**arguments: Any) -> None:
        daemon = DaemonOptions(*(arguments.pop(option.name) for option in _OPTIONS))
        command(daemon, **arguments)  # type: ignore[call-arg]  # typer passes what the signature below says

    signature = [*own, *_OPTIONS]
    run.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature}
    return run


def quote_id(job: str) -> str:
    """A job's id as a part of a path, whatever was typed."""
    return quote(job, safe="")
