"""Collects what is wrong with settings, so that an operator sees all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from vidd.errors import Refused
from vidd.pipelines.registry import model_of
from vidd.settings.schema import Check, Pipeline, SettingsFault, faults_of, toml_path

Where = tuple[int | str, ...]
"""The path of a key in the settings, such as ("pipelines", "talks", "steps", 0)."""


@dataclass
class Faults:
    """The faults found so far, each with its path."""

    found: list[str] = field(default_factory=list)

    def add(self, where: Where, sentence: str) -> None:
        """Add a fault."""
        self.found.append(f"{toml_path(where)}: {sentence}")

    def model(self, family: str, kind: str, values: Mapping[str, Any], where: Where) -> Any:
        """The kind's options; None if they do not fit, with the faults added."""
        try:
            return model_of(family, kind).model_validate(values)
        except Refused as refused:
            self.add((*where, "kind"), refused.sentence)
        except ValidationError as error:
            self.found += faults_of(error, where)
        return None

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
