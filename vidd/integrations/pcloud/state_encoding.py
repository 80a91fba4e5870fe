"""Long lists as short text, for what is kept of a publication and is nobody's to read."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any


def pack(value: Any) -> str:
    """JSON, deflated, as base64."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str) -> Any:
    """The opposite of `pack`."""
    return json.loads(zlib.decompress(base64.b64decode(text)))
