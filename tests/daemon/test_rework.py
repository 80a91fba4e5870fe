"""PREMIERE's whole chain, as the example's settings have it, on a stand-in for its programs: analysed, made anew, undone."""

from email import message_from_bytes, policy

import pytest
from peers.analysis import install
from peers.daemon import until
from peers.premiere import chain_of, published, text_of

pytestmark = pytest.mark.daemon

NAME = "cm8ek9jj2003oqe0cfeqcou7s"
DAEMON = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"

[limits]
disk_reserve = "1MiB"

[sources.by_hand]
kind = "folder"
path = "in"
pipeline = "cms"
settle = "100ms"
rescan = "500ms"
"""
PUBLISH = """
[[pipelines.cms.publish]]
kind = "folder"
path = "out"
files = ["annotations"]
name = "{{ name }}"
"""


def settings_of(place) -> str:
    """The example's steps and notices as they stand, but for where the programs are and who starts them."""
    notices = text_of("[[pipelines.cms.notify]]").replace('account = "post"\n', "")
    return DAEMON.format(root=place.root) + chain_of(place) + PUBLISH + notices


def files(place) -> dict[str, bytes]:
    root = place.root / "out" / NAME
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def mails(place, recipient: str) -> list[str]:
    found = [
        message_from_bytes(path.read_bytes(), policy=policy.default) for path in (place.root / "outbox").glob("*.eml")
    ]
    mine = sorted((mail for mail in found if recipient in mail["To"]), key=lambda mail: mail["Message-ID"])
    return [mail["Subject"] + "\n" + mail.get_body(("plain",)).get_content().replace("\r", "") for mail in mine]


def fails_and_is_left(place, daemon, job, before):
    """A rework that cannot be: retried with its arguments, cancelled, and what was before brought back."""
    assert place.vidd("rework", job, "--step", "process", "--", "--nonsense")[0] == 0
    daemon.job("refused")
    assert place.vidd("retry", job, "--fresh-settings")[0] == 0
    until(lambda: place.vidd("log", job)[1].count("'--nonsense'") == 2, "it runs with its arguments again")
    daemon.job("refused")
    assert place.vidd("cancel", job)[0] == 0
    assert files(place) == before
    assert place.vidd("rework", job, "--undo")[0] == 0
    until(lambda: daemon.jobs()[0]["state"] == "published", "it is brought back")
    assert files(place) == before


def test_a_video_is_analysed_made_anew_with_more_arguments_and_brought_back(place, walk):
    install(place.root / "site" / "tools")
    place.config.write_text(settings_of(place))
    place.drop(walk, f"{NAME}.mp4")
    with place.daemon() as daemon:
        job = published(daemon, 1)
        before = files(place)
        assert len(before) == 20 + 75
        assert [step["name"] for step in job["steps"]] == ["fetch", "process", "floor", "arrange", "mesh", "results"]
        for recipient in ("one@", "two@"):
            (mail,) = mails(place, recipient)
            assert mail.startswith(f"Video processed: {NAME}\n")
            for words in ("25.0\n", "96 x 64\n", "Scenes:          3\n", f"{walk.stat().st_size / 1e6:.2f} MB"):
                assert words in mail, mail
            assert f"folder: file://{place.root}/out/{NAME}" in mail

        code, told, _ = place.vidd(
            "rework", "--dry-run", job["id"], "--step", "process", "--", "--step", "4", "--removeshadows"
        )
        assert code == 0
        assert "step fetch: runs, what was fetched is not kept" in told
        assert "step process: runs, the rework begins here" in told
        assert "may change: annotations (annotations.tree, 95 files" in told
        assert "publisher folder: replaces what changed" in told
        assert files(place) == before

        code, _, told = place.vidd(
            "rework", "--folder_name", NAME, "--directory", "/x", "--step", "process", "--", "--x"
        )
        assert code == 1
        assert "would run in /x, and there is no such directory: correct --directory" in told
        assert len(daemon.jobs()) == 1
        assert daemon.jobs()[0]["state"] == "published"

        words = ("--folder_name", NAME, "--directory", f"{place.root}/site/tools", "--step", "process")
        assert place.vidd("rework", *words, "--", "--step", "4", "--removeshadows")[0] == 0
        job = published(daemon, 2)
        after = files(place)
        changed = {name for name in before if before[name] != after[name]}
        # The person has a shadow in the first scene only; the space that a scene takes is in the indexes.
        bodies = {f"body/scene_000/0_{frame}.glb" for frame in range(30)}
        assert changed - bodies == {
            "2d_poses/scene_000_poses.json", "2d_poses/poses.json",
            "3d_poses/scene_000_poses3d.json", "3d_poses/poses.json", "3d_poses/index.json",
            "2d_BoundingBoxes/scene_000.json", "2d_BoundingBoxes/BBs.json",
            "3d_BoundingBoxes/scene_000_3d.json", "3d_BoundingBoxes/BBs.json", "3d_BoundingBoxes/index.json",
        }  # fmt: skip
        assert after.keys() == before.keys()
        compared = job["facts"]["rework"]["compared"]
        counts = {what: compared[what] for what in ("added", "changed", "removed", "unchanged")}
        assert counts == {"added": 0, "changed": len(changed), "removed": 0, "unchanged": len(before) - len(changed)}
        told = f"This is edition 2: 0 files added, {len(changed)} changed, 0 removed, {counts['unchanged']} the same."
        assert [told in mail for mail in mails(place, "one@")].count(True) == 1
        assert len(mails(place, "one@")) == 2
        log = place.vidd("log", job["id"])[1]
        assert "'--step', '4', '--removeshadows'" in log

        assert place.vidd("rework", job["id"], "--undo")[0] == 0
        published(daemon, 3)
        assert files(place) == before
        assert len(mails(place, "one@")) == 3
        assert place.vidd("rework", "--folder_name", "nobody", "--", "--x")[0] == 1
        fails_and_is_left(place, daemon, job["id"], before)
        daemon.stopped()
    assert not list((place.root / "jobs").iterdir())
    assert sorted(path.name for path in (place.root / "kept" / job["id"]).iterdir() if path.is_dir()) == [
        "1",
        "2",
        "3",
        "5",
    ]
    assert not list((place.root / "kept").rglob("*.mp4"))
