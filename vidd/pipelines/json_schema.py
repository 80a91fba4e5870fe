"""The JSON Schema of vidd.toml, for editors (draft 7, which taplo reads): every table, and by `kind` every option."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from vidd.pipelines.reference import FAMILIES, Kind, kinds_of
from vidd.pipelines.registry import model_of
from vidd.settings.schema import Settings
from vidd.settings.types import parse_duration

Schema = dict[str, Any]

_DRAFT = "http://json-schema.org/draft-07/schema#"
_TEXT: Schema = {"type": "string"}
_DURATION = r"^\s*(\d+(\.\d+)?\s*([mM]?[sS]|[mMhHdD])\s*)+$"
_PARTS = {"steps": "steps", "publish": "publishers", "notify": "publishers"}
"""The lists of a pipeline, and the families of their kinds."""


class _Generator(GenerateJsonSchema):
    """Schemas of what people write: "90s" for a number of seconds, "64MiB" for a number of bytes, and no null."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """A validator that runs before the type's own makes the value from a text."""
        inner = super().function_before_schema(schema)
        if inner.get("type") == "string":
            return inner
        text = {**_TEXT, "pattern": _DURATION} if schema["function"]["function"] is parse_duration else dict(_TEXT)
        return {"anyOf": [inner, text]}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """TOML has no null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A default that is nothing, or a table of defaults, tells an editor nothing."""
        found = super().default_schema(schema)
        if found.get("default") is None or isinstance(found["default"], dict):
            found.pop("default", None)
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's promise
        """A title would repeat the key."""
        return False


def settings_schema() -> Schema:
    """The schema of all of vidd.toml with the kinds there are now, those of other packages included."""
    kinds = {family: kinds_of(family) for family in FAMILIES}
    models: list[type[BaseModel]] = [Settings]
    models += [model_of(kind.family, kind.name) for row in kinds.values() for kind in row]
    references, generated = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/definitions/{model}",
        schema_generator=_Generator,
    )
    definitions: dict[str, Schema] = generated["$defs"]
    for definition in definitions.values():
        definition.pop("title", None)
        if "anyOf" in definition and "additionalProperties" in definition:
            # pydantic puts it beside the table, where it would forbid all keys.
            definition["anyOf"][0]["additionalProperties"] = definition.pop("additionalProperties")

    def name_of(model: type[BaseModel]) -> str:
        return str(references[model, "validation"]["$ref"].rpartition("/")[2])

    def definition_of(model: type[BaseModel]) -> Schema:
        return definitions[name_of(model)]

    for family, row in kinds.items():
        for kind in row:
            definitions[_name(kind)] = _kind(kind, definition_of(model_of(family, kind.name)))
        definitions[FAMILIES[family]] = _by_kind(row)
    # Settings are checked as a whole before their tables are; they are no text for that.
    root = copy.deepcopy(definition_of(Settings)["anyOf"][0])
    _refer_to_kinds(root["properties"], definitions["Pipeline"]["properties"])
    # Each is copied above into the table of its kind.
    for unused in ("Table", *(name_of(model) for model in models)):
        definitions.pop(unused, None)
    return {
        "$schema": _DRAFT,
        "title": "vidd.toml",
        **{key: value for key, value in root.items() if key != "title"},
        "definitions": dict(sorted(definitions.items())),
    }


def _refer_to_kinds(root: Schema, pipeline: Schema) -> None:
    for table in ("store", "queue"):
        root[table] = _reference(table, root[table])
    for table in ("accounts", "sources"):
        root[table]["additionalProperties"] = _reference(FAMILIES[table])
    for part, family in _PARTS.items():
        pipeline[part]["items"] = _reference(FAMILIES[family])


def _reference(name: str, described: Mapping[str, Any] | None = None) -> Schema:
    described = {key: value for key, value in (described or {}).items() if key in {"description", "default"}}
    # Draft 7 ignores what stands beside a $ref.
    reference = {"$ref": f"#/definitions/{name}"}
    return {"allOf": [reference], **described} if described else reference


def _name(kind: Kind) -> str:
    return f"{FAMILIES[kind.family]}_{kind.name}"


def _kind(kind: Kind, definition: Mapping[str, Any]) -> Schema:
    """The table of a kind. What may come from the environment or a file is not required."""
    # A model with a validator before its own has a text beside its table, which a kind's table never is.
    table = definition["anyOf"][0] if "anyOf" in definition else definition
    schema: Schema = {"type": "object", **copy.deepcopy(dict(table)), "description": kind.summary}
    secrets = [option.name for option in kind.options if option.secret and kind.family == "accounts"]
    more: Schema = {"kind": {"const": kind.name}}
    more |= {f"{name}_file": {**_TEXT, "description": f"The file that has {name}."} for name in secrets}
    if kind.family in {"steps", "publishers"}:
        more["label"] = {**_TEXT, "description": "Its name in the pipeline; without it, the kind's."}
    if kind.family == "steps":
        more["check"] = _reference("Check", {"description": "Its own check policy, over the pipeline's."})
    if kind.family == "publishers":
        more["required"] = {
            "type": "boolean",
            "default": True,
            "description": "Whether the job is published only with its receipt.",
        }
    schema["properties"] = {**schema.get("properties", {}), **more}
    schema["required"] = ["kind", *(name for name in schema.get("required", ()) if name not in {"kind", *secrets})]
    return schema


def _by_kind(kinds: list[Kind]) -> Schema:
    """A table whose `kind` decides the rest, so that an editor says what is wrong in it and not that no kind fits."""
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": [kind.name for kind in kinds]}},
        "allOf": [
            {
                "if": {"required": ["kind"], "properties": {"kind": {"const": kind.name}}},
                "then": _reference(_name(kind)),
            }
            for kind in kinds
        ],
    }
