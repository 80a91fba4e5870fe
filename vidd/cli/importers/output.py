"""The result of an import: a vidd.toml, and the secrets that it lacks."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from vidd.pipelines.validation import make_ready
from vidd.settings.schema import Settings


class _FromTable(Settings):
    """Settings from a table alone, without the environment of whoever imports them."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's promise
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class ImportedSettings:
    """A vidd.toml without its secrets. `secrets` are the environment variables that carry them, each with its meaning.

    `units` are files for /etc/systemd/system, by their paths below it.
    """

    text: str
    secrets: Mapping[str, str]
    units: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """SettingsFault where these settings, with their secrets, could not be used."""
        table = tomllib.loads(self.text)
        for account in table.get("accounts", {}).values():
            if account.pop("environment", None) is not None:
                account.update(dict.fromkeys(("access_key", "secret_key", "bucket"), "of-the-environment"))
        for name in [name for name in self.secrets if name.startswith("VIDD_")]:
            # VIDD_ACCOUNTS__POST__PASSWORD is accounts.post.password.
            *way, key = name.removeprefix("VIDD_").lower().split("__")
            inner: dict[str, Any] = table
            for part in way:
                inner = inner[part]
            inner[key] = "a-secret"
        make_ready(_FromTable(**table))

    @property
    def document(self) -> str:
        """The text, headed by the names of the secrets."""
        names = [f"#   {name}   {meaning}" for name, meaning in self.secrets.items()]
        head = (
            ["# Secrets are not in here. Set them in the environment, or as credentials:", *names, ""] if names else []
        )
        return "\n".join([*head, self.text])


def toml(value: str | float | Sequence[str]) -> str:
    """A value as TOML writes it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(toml(item) for item in value)}]"
    return str(value)
