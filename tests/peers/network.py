"""A network on loopback, in a thread of its own, that can be cut, or swallow everything without a word."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import Literal

State = Literal["whole", "cut", "silent"]


class Network:
    """Forwards connections. While it is cut, they are reset; what was open while it was silent stays silent for ever."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._state: State = "whole"
        self._ends: set[asyncio.StreamWriter] = set()
        self._drowned: set[asyncio.StreamWriter] = set()
        self._servers: list[asyncio.Server] = []

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self._loop.run_forever, name="network")
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(60)
            self._loop.close()

    def way_to(self, port: int) -> int:
        """A port that leads to this one."""

        async def listen() -> int:
            server = await asyncio.start_server(lambda reader, writer: self._join(port, reader, writer), "127.0.0.1", 0)
            self._servers.append(server)
            return server.sockets[0].getsockname()[1]

        return asyncio.run_coroutine_threadsafe(listen(), self._loop).result(10)

    def become(self, state: State) -> None:
        """Be whole, cut or silent from now on."""

        async def change() -> None:
            self._state = state
            if state == "cut":
                for end in list(self._ends):
                    end.transport.abort()
            if state == "silent":
                self._drowned |= self._ends

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    async def _join(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._state == "cut":
            writer.transport.abort()
            return
        self._ends.add(writer)
        if self._state == "silent":
            self._drowned.add(writer)
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            self._ends.discard(writer)
            return
        self._ends.add(far)
        if writer in self._drowned:
            self._drowned.add(far)
        try:
            await asyncio.gather(self._carry(reader, far), self._carry(far_reader, writer))
        except asyncio.CancelledError:
            pass  # the network is taken down; asyncio's streams complain of a task that ends as cancelled
        finally:
            for end in (writer, far):
                end.transport.abort()
                self._ends.discard(end)
                self._drowned.discard(end)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if writer not in self._drowned:
                    writer.write(data)
                    await writer.drain()
            if writer in self._drowned:
                # Not even the end of it comes through.
                await asyncio.Event().wait()
            writer.write_eof()
        except OSError:
            writer.transport.abort()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
