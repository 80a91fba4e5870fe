import asyncio
import json
import re
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from builders.web import TOKEN, FakeControl, a_job, free_port, open_port

from vidd.model.event import BytesMoved, EncodeEnded, JobMoved, Retried, StepEnded, WatcherMoved
from vidd.model.job import State

ETC = Path(__file__).parents[2] / "etc"
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


@asynccontextmanager
async def prometheus(tmp_path, url, rules=""):
    """A Prometheus that scrapes the port; `find` asks it until there is a result."""
    settings = tmp_path / "prometheus.yml"
    settings.write_text(f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: vidd
    authorization: {{credentials: {TOKEN}}}
    static_configs: [{{targets: ['{url.removeprefix("http://")}']}}]
""")
    server = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={settings}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={server}",
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def find(words, *, once=False):
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not (found := await query(session, server, words)) and not once:  # noqa: ASYNC110 - it does not tell when it has looked
                await asyncio.sleep(0.2)
        return found

    try:
        yield find
    finally:
        process.terminate()
        await process.wait()


async def test_a_real_prometheus_scrapes_it_with_a_token(tmp_path):
    async with open_port(a_busy_desk(), listen="0.0.0.0:0") as (_, url), prometheus(tmp_path, url) as find:
        values = {series["metric"]["state"]: series["value"][1] for series in await find("vidd_jobs")}
        assert values["ready"] == values["waiting"] == "1"
        assert values["working"] == "0"
        assert (await find("up"))[0]["value"][1] == "1"


async def test_a_real_prometheus_fires_for_a_watcher_of_a_real_daemon_whose_folder_is_gone(place, tmp_path):
    # The rules as they are, but for their patience.
    hasty = tmp_path / "vidd.rules.yml"
    hasty.write_text(re.sub(r"for: \w+", "for: 0s", (ETC / "prometheus/vidd.rules.yml").read_text()))
    with place.daemon() as daemon:
        host, port = daemon.ready().said("ready")[0]["listen"]
        async with prometheus(tmp_path, f"http://{host}:{port}", hasty) as find:
            await find('vidd_watcher_up{name="recordings"} == 1')
            (place.root / "in").rename(place.root / "gone")
            (fired,) = await find('ALERTS{alertname="ViddSourceDown", alertstate="firing"}')
        (place.root / "gone").rename(place.root / "in")
    found = {name: fired["metric"][name] for name in ("name", "kind", "severity", "job")}
    assert found == {"name": "recordings", "kind": "folder", "severity": "critical", "job": "vidd"}


async def test_a_real_prometheus_understands_all_that_the_dashboard_asks(tmp_path):
    board = json.loads((ETC / "grafana/vidd.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [note["expr"] for note in board["annotations"]["list"]]
    async with open_port(a_busy_desk(), listen="0.0.0.0:0") as (_, url), prometheus(tmp_path, url) as find:
        await find("vidd_jobs")
        empty = [words for words in asked if not await find(words.replace("$instance", ".+"), once=True)]
    # There is neither a fault nor a restart, and a rate needs two scrapes.
    assert [words for words in empty if not re.search(r"increase|rate|changes|ALERTS", words)] == []


async def query(session, server, words):
    try:
        async with session.get(f"http://{server}/api/v1/query", params={"query": words}) as response:
            answer = await response.json() if response.status != 503 else {"data": {"result": []}}
            assert "data" in answer, (words, answer)
            return answer["data"]["result"]
    except aiohttp.ClientConnectorError:
        return []
