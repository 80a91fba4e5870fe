import asyncio
import shutil

import aiohttp
import pytest
from builders.web import TOKEN, FakeControl, a_job, free_port, open_port

from vidd.model.event import BytesMoved, EncodeEnded, JobMoved, Retried, StepEnded, WatcherMoved
from vidd.model.job import State

MEANT = {"Authorization": f"Bearer {TOKEN}"}

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")), reason="needs Debian package: prometheus"
    ),
]


def a_busy_desk():
    desk = FakeControl()
    desk.store.put(a_job(State.READY), a_job(State.WAITING))
    for event in (
        JobMoved(a_job(State.PUBLISHED, name='ho"st\\ile\n'), State.PUBLISHING),
        StepEnded("j", "talks", "trim", "trim", 3.0, "done"),
        EncodeEnded("trim", 2.0, 5.0),
        BytesMoved("s3", "upload", 10),
        Retried("s3", "503"),
        WatcherMoved("in", "sqs", up=True, restarts=1),
    ):
        desk.metrics.observe(event)
    return desk


async def test_promtool_finds_nothing_to_complain_about():
    async with (
        open_port(a_busy_desk()) as (_, url),
        aiohttp.ClientSession() as session,
        session.get(f"{url}/metrics") as response,
    ):
        text = await response.read()
    tool = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, complaints = await tool.communicate(text)
    assert (tool.returncode, complaints.decode()) == (0, "")


async def test_a_real_prometheus_scrapes_it_with_a_token(tmp_path):
    async with open_port(a_busy_desk(), listen="0.0.0.0:0") as (_, url), aiohttp.ClientSession() as session:
        settings = tmp_path / "prometheus.yml"
        settings.write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: vidd
    authorization: {{credentials: {TOKEN}}}
    static_configs: [{{targets: ['{url.removeprefix("http://")}']}}]
""")
        server = f"127.0.0.1:{free_port()}"
        prometheus = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={settings}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={server}",
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(60):
                while not (found := await query(session, server, "vidd_jobs")):  # noqa: ASYNC110 - it does not tell when it has looked
                    await asyncio.sleep(0.2)
            values = {series["metric"]["state"]: series["value"][1] for series in found}
            assert values["ready"] == values["waiting"] == "1"
            assert values["working"] == "0"
            assert (await query(session, server, "up"))[0]["value"][1] == "1"
        finally:
            prometheus.terminate()
            await prometheus.wait()


async def query(session, server, words):
    try:
        async with session.get(f"http://{server}/api/v1/query", params={"query": words}) as response:
            return (await response.json())["data"]["result"] if response.status == 200 else []
    except aiohttp.ClientConnectorError:
        return []
