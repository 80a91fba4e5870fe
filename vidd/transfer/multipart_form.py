"""A form with one file in it whose length is known before it is sent (RFC 7578)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


class Multipart:
    """`pieces` yield the `size` bytes of the file, whose name for the other side is `name` and must need no quoting.

    `given` says that the last byte was handed over, so that the form may have arrived whole whatever the answer is.
    """

    def __init__(
        self, fields: Mapping[str, str], pieces: AsyncIterator[bytes | bytearray], *, size: int, name: str
    ) -> None:
        boundary = uuid4().hex
        before = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        )
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        self._head = f"{before}{head}Content-Type: application/octet-stream\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._pieces = pieces
        self.given = False
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + size + len(self._tail)),
        }

    async def body(self, moved: Callable[[], None]) -> AsyncIterator[bytes | bytearray]:
        """What goes over the line; `moved` is told with each piece that the one before was taken."""
        yield self._head
        async for piece in self._pieces:
            moved()
            yield piece
        self.given = True
        yield self._tail
