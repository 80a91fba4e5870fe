"""Task videos that no bucket has come from their web addresses."""

import os

import pytest
from builders.aws import a_job, a_step_context, the_tools
from peers.web_files import web_file

from vidd.errors import Refused
from vidd.model.task_video import FACT, TaskVideo
from vidd.steps import fetch

DATA = os.urandom(10_000)


def a_fetch(tmp_path, *addresses):
    videos = [TaskVideo(str(number), f"task-{number}-cam", address, 12) for number, address in enumerate(addresses)]
    job = a_job("tasks:66f0", facts={FACT: [video.to_json() for video in videos]})
    return a_step_context(tmp_path / "job", job, the_tools(tmp_path))


async def test_task_videos_with_web_addresses_become_a_tree_and_what_came_once_is_not_fetched_again(tmp_path):
    async with web_file(DATA) as web, web_file(b"") as empty:
        with pytest.raises(Refused, match=r"'task-1-cam' cannot be fetched .*put it there again and retry the job"):
            await fetch.run(fetch.Options(), a_fetch(tmp_path, web.url, empty.url))
        seen = len(web.seen)
        outcome = await fetch.run(fetch.Options(), a_fetch(tmp_path, web.url, web.url))
        assert len(web.seen) == seen + 1
    (source,) = outcome.artifacts
    assert (source.role, source.tree.files, source.size) == ("source", 2, 2 * len(DATA))
    for number in range(2):
        assert (tmp_path / "job" / "source" / f"task-{number}-cam" / f"task-{number}-cam.mp4").read_bytes() == DATA


async def test_what_a_web_address_keeps_secret_is_not_told(tmp_path):
    async with web_file(b"") as empty:
        address = empty.url.replace("//", "//user:SECRET4711@") + "?key=SECRET4711"
        with pytest.raises(Refused) as refused:
            await fetch.run(fetch.Options(), a_fetch(tmp_path, address))
    assert "SECRET4711" not in refused.value.sentence


async def test_a_key_without_an_account_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"'contents/a\.mp4' of the task 'task-0-cam' is no web address"):
        await fetch.run(fetch.Options(), a_fetch(tmp_path, "contents/a.mp4"))
