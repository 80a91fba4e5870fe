"""Collects what is wrong with settings, so that an operator sees all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from vidd.errors import Refused
from vidd.pipelines.registry import account_module, model_of
from vidd.settings.marks import AccountOf, marked
from vidd.settings.schema import Check, Pipeline, SettingsFault, faults_of, toml_path

Where = tuple[int | str, ...]
"""The path of a key in the settings, such as ("pipelines", "talks", "steps", 0)."""


@dataclass
class Faults:
    """The faults found so far, each with its path."""

    found: list[str] = field(default_factory=list)
    accounts: Mapping[str, Any] = field(default_factory=dict)
    """The accounts by name; None for one that does not fit its kind."""

    def add(self, where: Where, sentence: str) -> None:
        """Add a fault."""
        if (line := f"{toml_path(where)}: {sentence}") not in self.found:
            self.found.append(line)

    def model(self, family: str, kind: str, values: Mapping[str, Any], where: Where) -> Any:
        """The kind's options; None if they do not fit, with the faults added."""
        try:
            return model_of(family, kind).model_validate(values)
        except Refused as refused:
            self.add((*where, "kind"), refused.sentence)
        except ValidationError as error:
            self.found += faults_of(error, where)
        return None

    def accounts_of(self, options: Any, where: Where) -> None:
        """Add a fault for each account that the options name and that is not there, or is of another kind."""
        for path, name, needed in () if options is None else marked(options, AccountOf, str):
            if name not in self.accounts:
                self.add((*where, *path), f"there is no [accounts.{name}]")
                continue
            models = tuple(account_module(kind).Account for kind in needed.kinds)
            account = self.accounts[name]
            if account is not None and models and not isinstance(account, models):
                kinds = " or ".join(needed.kinds)
                self.add(
                    (*where, *path), f"[accounts.{name}] is of kind {account.kind}, and this needs one of kind {kinds}"
                )

    def check_of(self, pipeline: Pipeline, own: Any, where: Where) -> dict[str, Any]:
        """A step's check policy: its own keys over its pipeline's."""
        try:
            return Check.model_validate({**pipeline.check.model_dump(), **dict(own)}).model_dump(mode="json")
        except ValidationError as error:
            self.found += faults_of(error, where)
        except (TypeError, ValueError):
            self.add(where, 'must be a table, like { frozen = "hold" }')
        return {}

    def check(self) -> None:
        """Raise SettingsFault if there is any."""
        if self.found:
            raise SettingsFault(self.found)
