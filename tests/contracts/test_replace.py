"""A tree that is out follows another edition of itself: what changed is sent, what is gone is dropped, the rest stays."""

from dataclasses import replace

import pytest
from builders.aws import Bucket, an_account
from builders.mail import Sent
from builders.pcloud import a_desk, add_tree, certificate, service, the_options
from peers.servers import ministack

from vidd.errors import Refused
from vidd.files.tree import tree_artifact
from vidd.integrations.aws import s3_publisher
from vidd.integrations.local_folder import publisher as local_folder_publisher
from vidd.integrations.pcloud import publisher as pcloud_publisher

__all__ = ["certificate", "service"]
BEFORE = {"2d_poses/a.json": b"1", "2d_poses/b.json": b"22", "body/scene_000/0_0.glb": b"old", "index.json": b"[]"}
AFTER = {"2d_poses/a.json": b"1", "2d_poses/b.json": b"changed", "index.json": b"[]", "new/c.json": b"4"}
GONE = {"annotations": ["body/scene_000/0_0.glb"]}


def counts(receipt):
    return [receipt.facts[name] for name in ("sent", "equal", "dropped")]


async def test_pcloud_gets_exactly_what_changed_and_keeps_what_is_not_ours(tmp_path, service):
    options = the_options(path="{{ role }}")
    desk = add_tree(a_desk(tmp_path, service), BEFORE)
    assert counts(await pcloud_publisher.publish(options, desk.context)) == [4, 0, 0]
    service.put("/results/v1/annotations/notes.txt", b"a person's")
    service.put("/results/v1/annotations/empty/notes.txt", b"a person's")
    add_tree(desk, AFTER)
    receipt = await pcloud_publisher.replace_files(options, replace(desk.context, gone=GONE))
    assert counts(receipt) == [2, 2, 1]
    notes = {"notes.txt": b"a person's", "empty/notes.txt": b"a person's"}
    assert service.tree("/results/v1/annotations") == AFTER | notes
    assert service.folder("/results/v1/annotations").folders.keys() == {"2d_poses", "new", "empty"}
    again = await pcloud_publisher.replace_files(options, replace(desk.context, gone=GONE))
    assert counts(again) == [0, 4, 0]


@pytest.fixture(scope="module")
def server():
    with ministack() as url:
        yield url


@pytest.mark.slow
async def test_s3_gets_exactly_what_changed_and_keeps_what_is_not_ours(tmp_path, server, service):
    bucket = await Bucket(an_account(server), "replaced").make()
    desk = add_tree(a_desk(tmp_path, service), BEFORE)
    desk.tools.accounts["library"] = an_account(server)
    options = s3_publisher.Options(account="library", bucket="replaced", prefix="annotations/7", overwrite=True)
    assert counts(await s3_publisher.publish(options, desk.context)) == [4, 0, 0]
    other = replace(desk, job=replace(desk.job, id="another"), directory=desk.directory, token={})
    add_tree(other, {"body/scene_000/9_9.glb": b"of another video"})
    await s3_publisher.publish(options, other.context)
    add_tree(desk, AFTER)
    receipt = await s3_publisher.replace_files(options, replace(desk.context, gone=GONE))
    assert counts(receipt) == [2, 2, 1]
    found = {key.removeprefix("annotations/7/"): await bucket.get(key) for key in await bucket.keys()}
    assert found == AFTER | {"body/scene_000/9_9.glb": b"of another video"}


def sent(tmp_path, files):
    root = tmp_path / "job" / "out"
    for old in sorted(root.rglob("*"), reverse=True):
        old.unlink() if old.is_file() else old.rmdir()
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (tmp_path / "state").mkdir(exist_ok=True)
    tree = tree_artifact("annotations", tmp_path / "job", "out")
    return Sent(tmp_path / "job", kind="folder", state=tmp_path / "state", artifacts={"annotations": tree})


async def test_a_folder_gets_the_new_tree_as_a_whole_also_after_an_attempt_that_died_behind_the_rename(tmp_path):
    options = local_folder_publisher.Options(path="out", name="{{ role }}")
    first = await local_folder_publisher.publish(options, sent(tmp_path, BEFORE).context())
    tried = sent(tmp_path, AFTER)
    context = tried.context()
    published = context.publication.evolve(receipt=first)
    await local_folder_publisher.replace_files(options, replace(context, publication=published))
    # Nobody heard of that: the receipt is still the first one's, and only what was noted tells of the second.
    again = tried.context()
    receipt = await local_folder_publisher.replace_files(
        options, replace(again, publication=again.publication.evolve(receipt=first))
    )
    root = tmp_path / "state/out/annotations"
    assert {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()} == AFTER
    (root / "notes.txt").write_text("a person's")
    last = sent(tmp_path, BEFORE).context()
    with pytest.raises(Refused, match="There is already another"):
        await local_folder_publisher.replace_files(
            options, replace(last, publication=last.publication.evolve(receipt=receipt))
        )
