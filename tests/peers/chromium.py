"""Debian's Chromium, driven over the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

needs_chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="needs Debian package: chromium")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Tab:
    """One page. `errors` are the exceptions and console errors it had."""

    def __init__(self, socket):
        self._socket, self._numbers, self._answers = socket, itertools.count(1), {}
        self.errors = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.errors.append(told["params"]["exceptionDetails"])
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.errors.append(told["params"]["entry"]["text"])

    async def call(self, method, **params):
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(60):
            told = await answer
        assert "error" not in told, told
        return told["result"]

    async def run(self, script):
        """The value of an expression, or of the promise that it is."""
        told = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, condition):
        """Return when an expression is true, told by the page's own changes."""
        await self.run(f"""new Promise((done, fail) => {{
            const holds = () => {{ try {{ return {condition} }} catch {{ return false }} }};
            if (holds()) return done(true);
            const limit = setTimeout(() => fail(new Error("not within 20 s: " + document.body.innerText)), 20000);
            const all = {{subtree: true, childList: true, characterData: true, attributes: true}};
            new MutationObserver((_, watch) => {{
                if (!holds()) return;
                clearTimeout(limit); watch.disconnect(); done(true);
            }}).observe(document, all);
        }})""")

    async def arrive(self, path, *, begins=False):
        """Return when the tab shows this path of the server, or one that begins so, with its page loaded."""
        where = "location.pathname + location.search"
        there = f"({where}).startsWith({path!r})" if begins else f"{where} === {path!r}"
        async with asyncio.timeout(60):
            while True:
                try:
                    if await self.run(f"{there} && document.readyState === 'complete'"):
                        return
                except AssertionError:
                    continue  # the page before it is going

    async def look(self, width=1200, height=800, *, dark=False):
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=scheme)
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def screenshot(self, path):
        told = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(told["data"]))

    async def close(self):
        await self._socket.close()
        await self._reading


@asynccontextmanager
async def open_tab(url):
    """A tab of a browser of its own, with nothing in it."""
    with tempfile.TemporaryDirectory(prefix="vidd-chromium-", ignore_cleanup_errors=True) as directory:
        browser = await asyncio.create_subprocess_exec(
            "chromium", *FLAGS, f"--user-data-dir={directory}", "about:blank", stderr=asyncio.subprocess.PIPE
        )
        draining = None
        try:
            async with asyncio.timeout(60):
                while b"DevTools listening on" not in (line := await browser.stderr.readline()):
                    assert line, "Chromium ended before it could be asked"
            draining = asyncio.create_task(browser.stderr.read())
            root = line.decode().split("ws://")[1].split("/")[0]
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{root}/json/list") as response:
                    page = next(target for target in await response.json() if target["type"] == "page")
                tab = Tab(await session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0))
                for part in ("Runtime", "Log", "Page"):
                    await tab.call(f"{part}.enable")
                await tab.call("Page.navigate", url=url)
                yield tab
                await tab.close()
        finally:
            browser.terminate()
            await browser.wait()
            if draining:
                await draining
