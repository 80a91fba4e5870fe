import os
from dataclasses import replace

import pytest
from builders.mail import Sent, artifact, job

from vidd.errors import Refused, RetryLater
from vidd.files import tree_replacement
from vidd.files.tree import tree_artifact
from vidd.integrations.local_folder import publisher as local_folder_publisher
from vidd.model.publication import Receipt

FILES = {"index.json": b"[]", "2d_poses/scene_000.json": b"{}", "body/scene_000/1_0.glb": os.urandom(300_000)}


@pytest.fixture
def room(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "state").mkdir()
    return tmp_path


def a_tree(room, files, role="annotations"):
    root = room / "job" / role
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return tree_artifact(role, room / "job", role)


def sent(room, files=FILES, **changes):
    made = {"annotations": a_tree(room, files)}
    return Sent(room / "job", kind="folder", state=room / "state", **{"artifacts": made, **changes})


def options(**changes):
    return local_folder_publisher.Options(**{"path": "out", "name": "{{ job.id }}/{{ role }}", **changes})


def there(room, name="06abcdefghijkmnp/annotations"):
    root = room / "state/out" / name
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def beside(room):
    return sorted(path.name for path in (room / "state/out/06abcdefghijkmnp").iterdir())


async def test_a_tree_is_put_there_as_a_directory(room):
    tried = sent(room)
    receipt = await local_folder_publisher.publish(options(), tried.context())
    assert there(room) == FILES
    target = room / "state/out/06abcdefghijkmnp/annotations"
    assert receipt.url == target.as_uri()
    assert (receipt.facts["path"], receipt.facts["size"]) == (str(target), 300_004)
    assert receipt.facts["files"][0]["count"] == 3
    assert tried.progress[-1][:3] == (300_004, 300_004, "bytes")
    assert beside(room) == ["annotations"]


async def test_what_was_put_there_is_recognised_after_a_crash_and_what_was_not_is_none(room):
    tried = sent(room)
    receipt = await local_folder_publisher.publish(options(), tried.context())
    assert await local_folder_publisher.reconcile(options(), tried.context()) == receipt
    (room / "state/out/06abcdefghijkmnp/annotations/index.json").write_bytes(b"{}")
    assert await local_folder_publisher.reconcile(options(), tried.context()) is None


async def test_nothing_is_seen_of_it_before_it_is_whole(room):
    tried = sent(room)
    seen = []

    async def look(_token):
        seen.append((room / "state/out/06abcdefghijkmnp/annotations").exists())

    tried.on_checkpoint = look
    await local_folder_publisher.publish(options(), tried.context())
    assert seen == [False]


async def test_a_directory_of_somebody_else_is_not_replaced_unless_that_is_wanted(room):
    theirs = room / "state/out/06abcdefghijkmnp/annotations"
    theirs.mkdir(parents=True)
    (theirs / "notes.txt").write_text("theirs")
    with pytest.raises(Refused, match="There is already another file"):
        await local_folder_publisher.publish(options(), sent(room).context())
    assert there(room) == {"notes.txt": b"theirs"}
    assert beside(room) == ["annotations"]
    await local_folder_publisher.publish(options(existing="replace"), sent(room).context())
    assert there(room) == FILES
    assert beside(room) == ["annotations"]


async def test_the_same_tree_that_is_there_already_is_as_good(room):
    name = "fixed/{{ role }}"
    await local_folder_publisher.publish(options(name=name), sent(room).context())
    receipt = await local_folder_publisher.publish(options(name=name), sent(room, job=job(id="other")).context())
    assert there(room, "fixed/annotations") == FILES
    assert receipt.facts["files"][0]["count"] == 3


async def test_an_empty_directory_is_nobodys(room):
    (room / "state/out/06abcdefghijkmnp/annotations").mkdir(parents=True)
    await local_folder_publisher.publish(options(), sent(room).context())
    assert there(room) == FILES


@pytest.mark.parametrize("swap", [True, False], ids=["swapped", "renamed twice"])
async def test_the_job_replaces_what_it_put_there_itself_and_what_the_job_before_it_did(room, monkeypatch, swap):
    if not swap:
        monkeypatch.setattr(tree_replacement, "_exchange", lambda *_: False)
    name = "fixed/{{ role }}"
    first = await local_folder_publisher.publish(options(name=name), sent(room).context())
    less = {"index.json": b"[0]"}
    (room / "job/annotations/2d_poses/scene_000.json").unlink()
    (room / "job/annotations/body/scene_000/1_0.glb").unlink()
    again = sent(room, less)
    context = again.context()
    context = replace(context, publication=context.publication.evolve(receipt=first))
    second = await local_folder_publisher.publish(options(name=name), context)
    assert there(room, "fixed/annotations") == less
    other = sent(room, {"index.json": b"[1]"}, job=job(id="other"), replaced=second)
    await local_folder_publisher.publish(options(name=name), other.context())
    assert there(room, "fixed/annotations") == {"index.json": b"[1]"}
    assert sorted(path.name for path in (room / "state/out/fixed").iterdir()) == ["annotations"]


async def test_what_a_person_changed_in_it_is_not_replaced(room):
    first = await local_folder_publisher.publish(options(), sent(room).context())
    (room / "state/out/06abcdefghijkmnp/annotations/index.json").write_bytes(b"mine")
    other = sent(room, {**FILES, "index.json": b"[1]"}, replaced=first)
    with pytest.raises(Refused, match="There is already another file"):
        await local_folder_publisher.publish(options(), other.context())
    assert there(room)["index.json"] == b"mine"


@pytest.mark.parametrize(("wanted", "left"), [("keep", FILES), ("delete", {})])
async def test_a_tree_that_is_taken_back_is_kept_or_deleted_as_the_settings_say(room, wanted, left):
    tried = sent(room)
    receipt = await local_folder_publisher.publish(options(), tried.context())
    context = tried.context()
    context = replace(context, publication=context.publication.evolve(receipt=receipt), artifacts={})
    for _ in range(2):
        await local_folder_publisher.retract(options(retract=wanted), context)
        assert there(room) == left


async def test_a_tree_that_is_another_by_now_is_not_taken_back(room):
    tried = sent(room)
    receipt = await local_folder_publisher.publish(options(), tried.context())
    (room / "state/out/06abcdefghijkmnp/annotations/more.json").write_bytes(b"theirs")
    context = tried.context()
    context = replace(context, publication=context.publication.evolve(receipt=receipt), artifacts={})
    with pytest.raises(Refused, match="is a different file by now"):
        await local_folder_publisher.retract(options(retract="delete"), context)
    assert there(room) == {**FILES, "more.json": b"theirs"}


async def test_an_empty_tree_is_refused(room):
    (room / "job/annotations").mkdir()
    made = {"annotations": tree_artifact("annotations", room / "job", "annotations")}
    with pytest.raises(Refused, match="is empty; vidd does not replace"):
        await local_folder_publisher.publish(options(existing="replace"), sent(room, {}, artifacts=made).context())


@pytest.mark.parametrize("name", ["{{ job.id }}", "{{ job.id }}{% if role == 'talk' %}/within{% endif %}"])
async def test_a_file_does_not_go_into_the_place_of_a_tree(room, name):
    made = {"annotations": a_tree(room, FILES), "talk": artifact(room / "job", "talk", b"film")}
    with pytest.raises(Refused, match="Two files would get the name"):
        await local_folder_publisher.publish(options(name=name), sent(room, artifacts=made).context())


async def test_a_full_disk_leaves_nothing_behind_and_waits(room, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tree_replacement, "_sync_file_system", full)
    with pytest.raises(RetryLater, match="disk was full"):
        await local_folder_publisher.publish(options(), sent(room).context())
    assert beside(room) == []


async def test_a_receipt_by_hand_is_no_claim_to_a_directory(room):
    theirs = room / "state/out/06abcdefghijkmnp/annotations"
    theirs.mkdir(parents=True)
    (theirs / "notes.txt").write_text("theirs")
    context = sent(room).context()
    context = replace(
        context, publication=context.publication.evolve(receipt=Receipt("file:///x", {"resolved": "yes"}))
    )
    with pytest.raises(Refused, match="There is already another file"):
        await local_folder_publisher.publish(options(), context)
