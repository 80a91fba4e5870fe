import os

import pytest

from vidd.display_text import printable
from vidd.engine.workspace import Workspace
from vidd.model.media import Artifact


async def test_files_count_only_in_their_full_size(tmp_path):
    workspace = Workspace(tmp_path)
    (workspace.directory("a") / "talk.mp4").write_bytes(b"12345")
    assert await workspace.has("a", [Artifact("talk", "talk.mp4", 5)])
    assert not await workspace.has("a", [Artifact("talk", "talk.mp4", 6)])
    assert not await workspace.has("a", [Artifact("talk", "gone.mp4", 5)])


async def test_old_logs_go_but_for_those_of_jobs_that_go_on(tmp_path):
    workspace = Workspace(tmp_path / "jobs")
    (tmp_path / "logs").mkdir()
    for name, age in (("old.log", 200), ("old.log.1", 300), ("new.log", 50), ("held.log", 300)):
        (tmp_path / "logs" / name).touch()
        os.utime(tmp_path / "logs" / name, (1000 - age, 1000 - age))
    await workspace.sweep_logs({"held"}, before=900)
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["held.log", "new.log"]


async def test_a_sweep_leaves_only_the_directories_of_jobs_that_go_on(tmp_path):
    workspace = Workspace(tmp_path / "jobs")
    assert await workspace.sweep({"a"}) == []
    for name in ("a", "b"):
        (workspace.directory(name) / "f").touch()
    assert await workspace.sweep({"a"}) == ["b"]
    assert [path.name for path in workspace.root.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain ü \U0001f600.mp4", "plain ü \U0001f600.mp4"),
        ("new\nline", "new\\nline"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("bytes\udcff", "bytes\\udcff"),
    ],
)
def test_any_name_can_be_stored_and_shown(text, kept):
    assert printable(text) == kept
    printable(text).encode()
