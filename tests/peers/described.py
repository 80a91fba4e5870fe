"""Google's published description of a service, held against every request: unknown fields and wrong types are refused.

The descriptions come with google-api-python-client (its `discovery_cache`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


class Invalid(Exception):
    """A request that the service would answer with 400, or with the status given."""

    def __init__(self, message: str, code: int = 400, status: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def body(self) -> dict[str, Any]:
        """As Google writes it (cloud.google.com/apis/design/errors)."""
        return {"error": {"code": self.code, "message": str(self), "status": self.status}}


@lru_cache
def document(name: str) -> dict[str, Any]:
    """A service's description, such as "sheets.v4"."""
    import googleapiclient

    place = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents" / f"{name}.json"
    made: dict[str, Any] = json.loads(place.read_text())
    return made


def check_body(name: str, schema: str, value: Any) -> None:
    """Invalid where a body is not what the schema says."""
    _check(document(name)["schemas"], {"$ref": schema}, value, schema)


def check_query(name: str, method: Mapping[str, Any], query: Mapping[str, list[str]]) -> None:
    """Invalid where a parameter is unknown, repeated though it must not be, or of a wrong type."""
    known = {**document(name)["parameters"], **method.get("parameters", {})}
    for key, values in query.items():
        if key not in known or known[key].get("location") == "path":
            raise Invalid(f'Invalid JSON payload received. Unknown name "{key}": Cannot bind query parameter.')
        if len(values) > 1 and not known[key].get("repeated"):
            raise Invalid(f"Invalid value at '{key}': it is given more than once")
        for value in values:
            if known[key].get("type") == "boolean" and value not in {"true", "false"}:
                raise Invalid(f"Invalid value at '{key}' (TYPE_BOOL), {value!r}")
            if "enum" in known[key] and value not in known[key]["enum"]:
                raise Invalid(f"Invalid value at '{key}' (TYPE_ENUM), {value!r}")


_PLAIN = {"string": str, "boolean": bool, "object": dict, "array": list, "number": (int, float), "integer": int}


def _check(schemas: Mapping[str, Any], schema: Mapping[str, Any], value: Any, where: str) -> None:
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    kind = schema.get("type", "any")
    if kind == "any":
        return
    numeric_text = kind == "string" and schema.get("format") in {"int64", "uint64"} and isinstance(value, int)
    wrong = not isinstance(value, _PLAIN[kind]) or (isinstance(value, bool) and kind != "boolean")
    if wrong and not numeric_text:
        raise Invalid(f"Invalid value at '{where}' ({kind}), {json.dumps(value)[:80]}")
    if "enum" in schema and value not in schema["enum"]:
        raise Invalid(f"Invalid value at '{where}' (TYPE_ENUM), {json.dumps(value)}")
    if kind == "array":
        for number, one in enumerate(value):
            _check(schemas, schema["items"], one, f"{where}[{number}]")
    if kind == "object":
        _check_fields(schemas, schema, value, where)


def _check_fields(schemas: Mapping[str, Any], schema: Mapping[str, Any], value: Any, where: str) -> None:
    known = schema.get("properties", {})
    for key, one in value.items():
        found = known.get(key, schema.get("additionalProperties"))
        if found is None:
            raise Invalid(f"Invalid JSON payload received. Unknown name \"{key}\" at '{where}': Cannot find field.")
        _check(schemas, found, one, f"{where}.{key}")


Mask = dict[str, Any]
"""A field mask as a tree; an empty one takes all."""


def parse_mask(text: str) -> Mask:
    """`a,b(c,d/e),f.g` as a tree. Invalid where it is none."""
    tokens = re.findall(r"[A-Za-z0-9_]+|\*|[(),./]", text)
    if "".join(tokens) != text.replace(" ", "") or not tokens:
        raise Invalid(f"Invalid field selection {text}")
    mask, at = _members(tokens, 0)
    if at != len(tokens):
        raise Invalid(f"Invalid field selection {text}")
    return mask


def _members(tokens: list[str], at: int) -> tuple[Mask, int]:
    mask: Mask = {}
    while True:
        inner = mask
        while True:
            if at >= len(tokens) or not re.fullmatch(r"\w+|\*", tokens[at]):
                raise Invalid(f"Invalid field selection {''.join(tokens)}")
            inner = inner.setdefault(tokens[at], {})
            at += 1
            if at < len(tokens) and tokens[at] in "./":
                at += 1
                continue
            break
        if at < len(tokens) and tokens[at] == "(":
            more, at = _members(tokens, at + 1)
            inner.update(more)
            if at >= len(tokens) or tokens[at] != ")":
                raise Invalid(f"Invalid field selection {''.join(tokens)}")
            at += 1
        if at < len(tokens) and tokens[at] == ",":
            at += 1
            continue
        return mask, at


def check_mask(name: str, schema: str, mask: Mask) -> None:
    """Invalid where a mask names a field that the schema does not have."""
    schemas = document(name)["schemas"]
    for key, inner in mask.items():
        if key == "*":
            continue
        found = schemas[schema].get("properties", {}).get(key)
        if found is None:
            raise Invalid(f"Request contains an invalid argument: Invalid field: {key} in {schema}.")
        found = found.get("items", found)
        if "$ref" in found:
            check_mask(name, found["$ref"], inner)
        elif inner:
            raise Invalid(f"Request contains an invalid argument: {key} has no fields.")


def masked(value: Any, mask: Mask) -> Any:
    """What a mask leaves of an answer."""
    if not mask or "*" in mask:
        return value
    if isinstance(value, list):
        return [masked(one, mask) for one in value]
    if isinstance(value, dict):
        return {key: masked(one, mask[key]) for key, one in value.items() if key in mask}
    return value
