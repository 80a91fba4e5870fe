"""A multipart form with one file in it, whose length is known before it is sent (RFC 7578)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


class MultipartForm:
    """`content` yields the `size` bytes of the file; its `name` must need no quoting.

    `handed_over` is set with the last byte: from then on the form may have arrived, whatever the answer is.
    """

    def __init__(
        self, fields: Mapping[str, str], content: AsyncIterator[bytes | bytearray], *, size: int, name: str
    ) -> None:
        boundary = uuid4().hex
        before = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        )
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        self._head = f"{before}{head}Content-Type: application/octet-stream\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._content = content
        self.handed_over = False
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + size + len(self._tail)),
        }

    async def body(self, on_progress: Callable[[], None]) -> AsyncIterator[bytes | bytearray]:
        """The body of the request; `on_progress` is called whenever the chunk before has been taken."""
        yield self._head
        async for chunk in self._content:
            on_progress()
            yield chunk
        self.handed_over = True
        yield self._tail
