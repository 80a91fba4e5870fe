"""Compresses JSON to base64 text, for internal publication state that nobody reads."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any


def compress_json(value: Any) -> str:
    """JSON, deflated (zlib), as base64."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def expand_json(text: str) -> Any:
    """The value that `compress_json` made `text` of."""
    return json.loads(zlib.decompress(base64.b64decode(text)))
