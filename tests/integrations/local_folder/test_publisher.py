import asyncio
import errno
import hashlib
import os
from dataclasses import replace

import pytest
from builders.mail import TALK, Sent, artifact, job
from pydantic import ValidationError

from vidd.errors import Refused, RetryLater
from vidd.integrations.local_folder import publisher as local_folder_publisher

FILM = os.urandom(300_000)


@pytest.fixture
def room(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "state").mkdir()
    return tmp_path


def sent(room, made=None, **changes):
    made = made or {"talk": artifact(room / "job", "talk", FILM)}
    return Sent(room / "job", kind="folder", state=room / "state", **{"artifacts": made, **changes})


def options(**changes):
    return local_folder_publisher.Options(**{"path": "out", **changes})


def listed(room):
    return sorted(str(path.relative_to(room / "state" / "out")) for path in (room / "state" / "out").rglob("*.*"))


async def test_a_film_is_put_there_under_a_name_that_a_person_can_read(room):
    tried = sent(room)
    receipt = await local_folder_publisher.publish(options(), tried.context())
    target = room / "state" / "out" / "Loops-more-t-1.mp4"
    assert target.read_bytes() == FILM
    assert receipt.url == target.as_uri()
    assert receipt.facts["path"] == str(target)
    assert receipt.facts["size"] == 300_000
    assert receipt.facts["sha256"] == hashlib.sha256(FILM).hexdigest()
    assert listed(room) == ["Loops-more-t-1.mp4"]
    assert tried.progress[-1][:3] == (300_000, 300_000, "bytes")


async def test_several_files_are_told_apart_by_their_role(room):
    made = {
        role: artifact(room / "job", role, role.encode()) for role in ("source", "rendition-720p", "rendition-360p")
    }
    receipt = await local_folder_publisher.publish(options(), sent(room, made).context())
    assert listed(room) == ["Loops-more-t-1-rendition-360p.mp4", "Loops-more-t-1-rendition-720p.mp4"]
    assert [file["role"] for file in receipt.facts["files"]] == ["rendition-720p", "rendition-360p"]


async def test_a_name_may_have_folders(room):
    await local_folder_publisher.publish(
        options(name="{{ talk.stage | file_name }}/{{ role }}{{ suffix }}"), sent(room).context()
    )
    assert listed(room) == ["Main/talk.mp4"]


@pytest.mark.parametrize(
    "name", ["../up.mp4", "/etc/up.mp4", "{{ '' }}", ".hidden.mp4", "-rf", "a/../../b", "a\nb.mp4"]
)
async def test_a_name_cannot_lead_out_of_the_folder(room, name):
    with pytest.raises(Refused, match="cannot name a file in the folder"):
        await local_folder_publisher.publish(options(name=name), sent(room).context())
    assert not (room / "state" / "out").exists()


async def test_hostile_titles_make_harmless_names(room):
    await local_folder_publisher.publish(
        options(), sent(room, talk=replace(TALK, title="../../etc/🎬\n'" + "x" * 300)).context()
    )
    (name,) = listed(room)
    assert name.startswith("etc-")
    assert len(name.encode()) < 255


async def test_another_jobs_file_is_never_replaced(room):
    (room / "state" / "out").mkdir()
    (room / "state" / "out" / "Loops-more-t-1.mp4").write_bytes(b"another film")
    with pytest.raises(Refused, match="There is already another file"):
        await local_folder_publisher.publish(options(), sent(room).context())
    assert (room / "state" / "out" / "Loops-more-t-1.mp4").read_bytes() == b"another film"
    assert listed(room) == ["Loops-more-t-1.mp4"]


async def test_it_is_replaced_where_that_is_wanted(room):
    (room / "state" / "out").mkdir()
    (room / "state" / "out" / "Loops-more-t-1.mp4").write_bytes(b"another film")
    await local_folder_publisher.publish(options(existing="replace"), sent(room).context())
    assert (room / "state" / "out" / "Loops-more-t-1.mp4").read_bytes() == FILM


async def test_a_crash_between_rename_and_receipt_is_found(room):
    tried = sent(room)
    receipt = await local_folder_publisher.publish(options(), tried.context())
    again = await local_folder_publisher.reconcile(options(), tried.context())
    assert again == receipt


async def test_a_crash_before_the_rename_is_provably_nothing_and_its_leftover_goes_with_the_next_attempt(room):
    tried = sent(room)

    async def killed(token):
        (left,) = (room / "state" / "out").iterdir()
        left.rename(room / "kept")
        raise KeyboardInterrupt

    tried.on_checkpoint = killed
    with pytest.raises(KeyboardInterrupt):
        await local_folder_publisher.publish(options(), tried.context())
    (room / "kept").rename(room / "state" / "out" / f".{job().id}-talk.part")
    tried.on_checkpoint = None
    assert await local_folder_publisher.reconcile(options(), tried.context()) is None
    await local_folder_publisher.publish(options(), tried.context())
    assert listed(room) == ["Loops-more-t-1.mp4"]


async def test_a_file_that_was_changed_since_is_no_receipt(room):
    tried = sent(room)
    await local_folder_publisher.publish(options(), tried.context())
    target = room / "state" / "out" / "Loops-more-t-1.mp4"
    target.unlink()
    target.write_bytes(FILM[:-1] + b"!")
    assert await local_folder_publisher.reconcile(options(), tried.context()) is None
    assert await local_folder_publisher.reconcile(options(), sent(room).context()) is None


async def test_the_same_content_again_is_the_same_file(room):
    await local_folder_publisher.publish(options(), sent(room).context())
    receipt = await local_folder_publisher.publish(options(), sent(room).context())
    assert receipt.facts["size"] == 300_000


async def test_a_file_system_without_links_gets_a_copy(room, monkeypatch):
    def none(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", none)
    await local_folder_publisher.publish(options(), sent(room).context())
    target = room / "state" / "out" / "Loops-more-t-1.mp4"
    assert target.read_bytes() == FILM
    assert target.stat().st_nlink == 1
    assert listed(room) == ["Loops-more-t-1.mp4"]


async def test_a_full_disk_is_waited_for_and_leaves_nothing(room, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RetryLater, match="The disk was full") as later:
        await local_folder_publisher.publish(options(), sent(room).context())
    assert later.value.counts is False
    assert listed(room) == []


async def test_a_cancelled_attempt_leaves_nothing(room):
    tried = sent(room)
    reached = asyncio.Event()

    async def wait(token):
        reached.set()
        await asyncio.Event().wait()

    tried.on_checkpoint = wait
    task = asyncio.create_task(local_folder_publisher.publish(options(), tried.context()))
    async with asyncio.timeout(60):
        await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert listed(room) == []


async def test_a_file_in_the_way_of_the_folder_is_refused(room):
    (room / "state" / "out").write_text("a file")
    with pytest.raises(Refused, match="correct the path"):
        await local_folder_publisher.publish(options(path="out/here"), sent(room).context())


async def test_the_check_writes_into_the_folder(room):
    assert "can be written to" in await local_folder_publisher.check(options(), sent(room).context().tools)
    assert listed(room) == []


def test_a_broken_name_template_is_refused_with_the_settings():
    with pytest.raises(ValidationError, match="the template cannot be read"):
        options(name="{{ title")


async def test_a_job_that_replaces_another_puts_its_file_in_the_others_place_and_no_strangers(room):
    first = sent(room)
    earlier = await local_folder_publisher.publish(options(), first.context())
    made = {"talk": artifact(room / "job", "talk", b"a better cut")}
    second = sent(room, made, job=job(id="07zzzzzzzzzzzzzz"), replaced=earlier)
    await local_folder_publisher.publish(options(), second.context())
    target = room / "state" / "out" / "Loops-more-t-1.mp4"
    assert target.read_bytes() == b"a better cut"
    target.unlink()
    target.write_bytes(b"by hand")
    with pytest.raises(Refused, match="There is already another file"):
        await local_folder_publisher.publish(options(), second.context())
    assert target.read_bytes() == b"by hand"


@pytest.mark.parametrize(("wanted", "left"), [("keep", ["Loops-more-t-1.mp4"]), ("delete", [])])
async def test_a_file_that_is_taken_back_is_kept_or_deleted_as_the_settings_say(room, wanted, left):
    tried = sent(room)
    receipt = await local_folder_publisher.publish(options(), tried.context())
    publication = tried.context().publication.evolve(receipt=receipt)
    for _ in range(2):
        assert (
            "deleted"
            in await local_folder_publisher.retract(
                options(retract=wanted), replace(tried.context(), publication=publication)
            )
        ) is (wanted == "delete")
        assert listed(room) == left


async def test_a_file_that_somebody_changed_is_not_deleted(room):
    tried = sent(room)
    receipt = await local_folder_publisher.publish(options(), tried.context())
    (room / "state" / "out" / "Loops-more-t-1.mp4").write_bytes(b"by hand")
    publication = tried.context().publication.evolve(receipt=receipt)
    with pytest.raises(Refused, match="a different file by now"):
        await local_folder_publisher.retract(
            options(retract="delete"), replace(tried.context(), publication=publication)
        )
    assert listed(room) == ["Loops-more-t-1.mp4"]
