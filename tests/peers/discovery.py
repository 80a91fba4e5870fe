"""A Google service's own description of itself (its discovery document), as a judge of requests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_TYPES = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list, "object": dict}
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Method:
    """One method as described; `request` names the schema of its body."""

    name: str
    http: str
    path: str
    parameters: Mapping[str, Any]
    scopes: frozenset[str]
    request: str | None
    upload: Mapping[str, Any] | None


class Discovery:
    """Made by `discovery("youtube.v3")`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._common = document["parameters"]

    def method(self, name: str) -> Method:
        """A method by its name, such as `videos.insert`."""
        *way, last = name.split(".")
        place: Any = self.document
        for one in way:
            place = place["resources"][one]
        found = place["methods"][last]
        return Method(
            name,
            found["httpMethod"],
            "/" + self.document["servicePath"] + found.get("path", ""),
            found["parameters"],
            frozenset(found["scopes"]),
            found.get("request", {}).get("$ref"),
            found.get("mediaUpload"),
        )

    def query_faults(self, method: Method, query: Mapping[str, list[str]]) -> list[str]:
        """What is wrong with a request's parameters."""
        known = {**self._common, **method.parameters}
        found = [f"Unknown name {name!r}" for name in query if name not in known]
        found += [
            f"Missing required parameter: {name}"
            for name, one in method.parameters.items()
            if one.get("required") and one["location"] == "query" and name not in query
        ]
        for name, values in query.items():
            for value in values if name in known else []:
                found += _parameter_faults(name, known[name], value)
        return found

    def faults(self, schema: str, value: Any, where: str = "") -> list[str]:
        """What is wrong with a body, by the schema of this name."""
        return self._faults({"$ref": schema}, value, where)

    def _faults(self, schema: Mapping[str, Any], value: Any, where: str) -> list[str]:
        if "$ref" in schema:
            schema = self.document["schemas"][schema["$ref"]]
        kind = schema["type"]
        if kind == "any":
            return []
        wanted = _TYPES[kind]
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "boolean"):
            return [f"{where} must be of type {kind}, not {value!r}"]
        if kind == "array":
            return [
                fault for at, one in enumerate(value) for fault in self._faults(schema["items"], one, f"{where}[{at}]")
            ]
        if kind == "object":
            return self._object_faults(schema, value, where)
        return _scalar_faults(schema, value, where)

    def _object_faults(self, schema: Mapping[str, Any], value: Mapping[str, Any], where: str) -> list[str]:
        known = schema.get("properties", {})
        found = []
        for name, one in value.items():
            inner = known.get(name, schema.get("additionalProperties"))
            place = f"{where}.{name}" if where else name
            found += [f"Unknown name {place!r}"] if inner is None else self._faults(inner, one, place)
        return found


def _scalar_faults(schema: Mapping[str, Any], value: Any, where: str) -> list[str]:
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} must be one of {schema['enum']}, not {value!r}"]
    shape = schema.get("format")
    if shape == "date-time" and not _WHEN.fullmatch(value):
        return [f"{where} must be a time, not {value!r}"]
    if shape == "uint32" and not 0 <= value < 2**32:
        return [f"{where} must be from 0 to 2^32, not {value!r}"]
    if shape in {"int64", "uint64"} and not re.fullmatch(r"-?\d+", value):
        return [f"{where} must be a number in a string, not {value!r}"]
    return []


def _parameter_faults(name: str, described: Mapping[str, Any], value: str) -> list[str]:
    if described["type"] == "boolean" and value not in {"true", "false"}:
        return [f"{name} must be true or false, not {value!r}"]
    if described["type"] == "integer":
        least, most = int(described.get("minimum", 0)), int(described.get("maximum", 2**31))
        if not value.isdecimal() or not least <= int(value) <= most:
            return [f"{name} must be from {least} to {most}, not {value!r}"]
    if "enum" in described and value not in described["enum"]:
        return [f"{name} must be one of {described['enum']}, not {value!r}"]
    return []


@cache
def discovery(name: str) -> Discovery:
    """The document that comes with Google's own client."""
    folder = files("googleapiclient.discovery_cache") / "documents"
    return Discovery(json.loads((folder / f"{name}.json").read_text()))
