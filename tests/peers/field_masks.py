"""Field masks of Google's services (google.protobuf.FieldMask), and errors as they write them."""

from __future__ import annotations

import re
from typing import Any

from peers.discovery import discovery


class Invalid(Exception):
    """A request that the service would answer with 400, or with the status given."""

    def __init__(self, message: str, code: int = 400, status: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def body(self) -> dict[str, Any]:
        """As Google writes it (cloud.google.com/apis/design/errors)."""
        return {"error": {"code": self.code, "message": str(self), "status": self.status}}


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
    schemas = discovery(name).document["schemas"]
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
        return [masked(item, mask) for item in value]
    if isinstance(value, dict):
        return {key: masked(item, mask[key]) for key, item in value.items() if key in mask}
    return value
