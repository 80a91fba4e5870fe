"""Signs webhooks: Standard Webhooks 1.0, "Signature scheme", and the older `X-Hub-Signature-256` of the body alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key of a secret: `whsec_` and base64, or a plain text. Raises ValueError where it is neither."""
    if not secret.startswith(_PREFIX):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise ValueError("what follows whsec_ must be base64") from None
    if not key:
        raise ValueError("the secret is empty")
    return key


def signature_headers(identity: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of a webhook sent at `timestamp` (Unix seconds), with one signature for each secret."""
    headers = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    content = b".".join([identity.encode(), str(timestamp).encode(), body])
    signatures = [hmac.new(key_of(secret), content, hashlib.sha256).digest() for secret in secrets]
    if signatures:
        headers["webhook-signature"] = " ".join(
            f"v1,{base64.b64encode(signature).decode()}" for signature in signatures
        )
    return headers


def hub_signature_headers(body: bytes, secret: str) -> dict[str, str]:
    """The header that receivers of GitHub's webhooks check."""
    return {"X-Hub-Signature-256": f"sha256={hmac.new(key_of(secret), body, hashlib.sha256).hexdigest()}"}
