import asyncio
import os
import tracemalloc
from dataclasses import replace

import pytest
from builders.aws import a_job
from builders.pcloud import (
    a_desk,
    add_tree,
    attempt,
    by_password,
    certificate,
    no_line_left,
    service,
    the_options,
    the_tools,
)
from peers.pcloud import says

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.files.tree import tree_artifact
from vidd.integrations.pcloud import publisher as pcloud_publisher
from vidd.integrations.pcloud.upload import part_name

__all__ = ["certificate", "no_line_left", "service"]
FILES = {
    "2d_poses/scene_000_poses.json": b'{"scene_no": 0}',
    "2d_poses/index.json": b"[]",
    "body/scene_000/1_0.glb": os.urandom(70_000),
    "body/scene_000/2_0.glb": b"",
    "readme ü (1).txt": b"text",
}
HERE = "/results/v1"


@pytest.fixture
def desk(tmp_path, service):
    return add_tree(a_desk(tmp_path, service), FILES)


async def test_a_tree_arrives_as_it_lies_and_the_receipt_counts_it(service, desk):
    receipt = await pcloud_publisher.publish(the_options(), desk.context)
    assert service.tree(HERE) == FILES
    folder = service.folder(HERE).id
    assert receipt.url == f"https://e.pcloud.com/#/filemanager?folder={folder}"
    size = sum(len(data) for data in FILES.values())
    assert receipt.facts == {
        "account": "cloud", "folder": folder, "files": 5, "bytes": size, "sent": 5, "sent_bytes": size, "equal": 0,
        "dropped": 0,
    }  # fmt: skip


async def test_what_is_equal_is_not_sent_again(service, desk):
    await pcloud_publisher.publish(the_options(), desk.context)
    received, uploads = service.received, service.uploads
    receipt = await pcloud_publisher.publish(the_options(), desk.context)
    assert (service.received, service.uploads) == (received, uploads)
    assert (receipt.facts["sent"], receipt.facts["sent_bytes"], receipt.facts["equal"]) == (0, 0, 5)


@pytest.mark.slow
async def test_two_thousand_files_go_eight_at_a_time_and_a_second_mirror_sends_nothing(tmp_path, service):
    """No upload is answered before eight are under way at once."""
    files = {f"body/scene_{number % 20:03}/{number}.glb": str(number).encode() * 20 for number in range(2000)}
    desk = add_tree(a_desk(tmp_path, service), files)
    service.hold = 8
    await pcloud_publisher.publish(the_options(), desk.context)
    assert service.tree(HERE) == files
    assert service.most == 8
    received = service.received
    await pcloud_publisher.publish(the_options(), desk.context)
    assert service.received == received


async def test_how_many_go_at_once_is_a_setting(tmp_path, service):
    desk = add_tree(a_desk(tmp_path, service), {f"{number}.json": b"1" for number in range(20)})
    service.hold = 16
    await pcloud_publisher.publish(the_options(parallel=16), desk.context)
    assert service.most == 16


async def test_only_what_changed_is_replaced_even_where_the_size_is_the_same(service, desk):
    await pcloud_publisher.publish(the_options(), desk.context)
    before = {path: file.id for path, file in service.folder(HERE).walk()}
    changed = {**FILES, "2d_poses/scene_000_poses.json": b'{"scene_no": 1}', "new.json": b"{}"}
    changed["2d_poses/index.json"] = b"of another size, so that no checksum is asked for"
    receipt = await pcloud_publisher.publish(the_options(), add_tree(desk, changed).context)
    assert service.tree(HERE) == changed
    assert (receipt.facts["sent"], receipt.facts["equal"]) == (3, 3)
    assert service.count("checksumfile") == 4
    after = {path: file.id for path, file in service.folder(HERE).walk()}
    replaced = {path for path in before if before[path] != after[path]}
    assert replaced == {"2d_poses/scene_000_poses.json", "2d_poses/index.json"}


async def test_a_file_is_replaced_by_a_rename_of_one_that_is_whole_and_never_written_over(service, desk):
    service.put(f"{HERE}/2d_poses/index.json", b"[1]")
    await pcloud_publisher.publish(the_options(), desk.context)
    [file] = [file for path, file in service.folder(HERE).walk() if path == "2d_poses/index.json"]
    assert file.revisions == [b"[1]"]
    assert (part_name("01job", "2d_poses/index.json"), "index.json") in service.renames
    uploaded = {before for before, _ in service.renames}
    assert all(name.startswith(".vidd-01job-") for name in uploaded)


class TestWhatIsNoLongerThere:
    @pytest.fixture
    async def published(self, service, desk):
        await pcloud_publisher.publish(the_options(), desk.context)
        service.put("/results/v2/theirs.json", b"of another")
        service.put(f"{HERE}/body/scene_000/notes.txt", b"a person's")
        return add_tree(desk, {"2d_poses/index.json": b"[]"})

    async def test_stays_without_delete(self, service, published):
        receipt = await pcloud_publisher.publish(the_options(), published.context)
        assert service.tree(HERE).keys() == {*FILES, "body/scene_000/notes.txt"}
        assert receipt.facts["dropped"] == 0

    async def test_is_dropped_with_delete_and_its_empty_folders_too(self, service, published):
        receipt = await pcloud_publisher.publish(the_options(delete=True), published.context)
        assert service.tree(HERE) == {"2d_poses/index.json": b"[]"}
        assert service.folder(HERE).folders.keys() == {"2d_poses"}
        assert receipt.facts["dropped"] == 5

    async def test_is_never_dropped_outside_the_trees_own_path(self, service, published):
        await pcloud_publisher.publish(the_options(delete=True, path="again/{{ role }}"), published.context)
        assert service.tree(HERE).keys() == {
            *FILES,
            "body/scene_000/notes.txt",
            "again/annotations/2d_poses/index.json",
        }
        service.put(f"{HERE}/again/annotations/old.json", b"old")
        service.put(f"{HERE}/again/annotations2/beside.json", b"beside")
        await pcloud_publisher.publish(the_options(delete=True, path="again/{{ role }}"), published.context)
        assert service.tree(HERE).keys() == {
            *FILES, "body/scene_000/notes.txt", "again/annotations/2d_poses/index.json", "again/annotations2/beside.json",
        }  # fmt: skip
        assert service.tree("/results/v2") == {"theirs.json": b"of another"}

    async def test_is_left_where_another_job_is_just_sending_it(self, service, published):
        theirs = f"{HERE}/{part_name('02job', 'x.json')}"
        service.put(theirs, b"half")
        await pcloud_publisher.publish(the_options(delete=True), published.context)
        assert service.tree(HERE).keys() == {"2d_poses/index.json", part_name("02job", "x.json")}

    async def test_an_empty_tree_is_no_wish_to_drop_everything(self, service, published):
        with pytest.raises(Refused, match="is empty"):
            await pcloud_publisher.publish(the_options(delete=True), add_tree(published, {}).context)
        assert len(service.tree(HERE)) == 6

    async def test_an_empty_tree_beside_another_is_a_wish_to_drop_what_its_own_path_has(self, service, desk):
        options = the_options(files=["annotations", "body"], path="{{ role }}", delete=True)
        add_tree(desk, {"index.json": b"[]"})
        for files in ({"scene_000/1_7.glb": b"glTF"}, {}):
            (desk.directory / "body").mkdir(exist_ok=True)
            receipt = await pcloud_publisher.publish(options, add_tree(desk, files, "body", "body").context)
        assert service.tree(HERE) == {"annotations/index.json": b"[]"}
        assert receipt.facts["dropped"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("action", ["drop", "hang", "500", "5000"])
@pytest.mark.parametrize(
    "method", ["createfolderifnotexists", "listfolder", "uploadfile", "renamefile", "checksumfile", "deletefile"]
)
async def test_a_lost_answer_makes_nothing_twice(service, desk, method, after, action):
    """A file that is to be compared, one that is to be dropped and all others are new."""
    if action == "hang":
        desk.tools = the_tools(desk.directory.parent, service, read_timeout=2)
    service.put(f"{HERE}/2d_poses/index.json", b"[]")
    service.put(f"{HERE}/old.json", b"old")
    options = the_options(delete=True, parallel=1)
    how = {"action": action} if action in {"drop", "hang"} else {"action": "status", "status": int(action)}
    if action == "5000":
        how = {"action": "status", "status": 200, "body": says(5000)}
    service.misstep("POST", f"^/{method}$", after=after, times=2, **how)
    for _ in range(3):
        try:
            receipt = await attempt(desk, options)
            break
        except RetryLater:
            continue
    assert service.tree(HERE) == FILES
    assert receipt.facts["files"] == 5
    ids = [file.id for _, file in service.folder(HERE).walk()]
    assert len(ids) == len(set(ids))
    assert service.folder("/results").folders.keys() == {"v1"}


async def test_an_upload_whose_answer_was_lost_is_found_and_not_sent_again(service, desk):
    service.misstep("POST", "^/uploadfile$", "drop", after=True, times=5)
    await pcloud_publisher.publish(the_options(), desk.context)
    assert service.tree(HERE) == FILES
    assert service.uploads == 5
    assert service.received == sum(len(data) for data in FILES.values())


async def test_whether_it_arrived_is_nobodys_guess_while_pcloud_cannot_be_asked(service, desk):
    service.misstep("POST", "^/uploadfile$", "drop", after=True, times=5)
    service.misstep("POST", "^/listfolder$", "drop", skip=1, times=99)
    with pytest.raises(OutcomeUnknown, match="look whether it is there"):
        await pcloud_publisher.publish(the_options(parallel=1), desk.context)
    service.missteps.clear()
    assert service.uploads == 1
    await attempt(desk, the_options())
    assert service.tree(HERE) == FILES
    assert service.uploads == 5
    assert service.received == sum(len(data) for data in FILES.values())


async def test_a_daemon_that_died_between_upload_and_rename_sends_nothing_twice(service, desk):
    service.misstep("POST", "^/renamefile$", "hang", times=99)
    running = asyncio.create_task(pcloud_publisher.publish(the_options(parallel=1), desk.context))
    assert await asyncio.to_thread(service.hung.wait, 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    service.missteps.clear()
    received = service.received
    assert await pcloud_publisher.reconcile(the_options(), desk.context) is None
    receipt = await pcloud_publisher.publish(the_options(), desk.context)
    assert service.tree(HERE) == FILES
    first = next(iter(sorted(FILES)))
    assert service.received - received == receipt.facts["bytes"] - len(FILES[first])


async def test_half_a_file_that_was_left_behind_is_replaced_and_what_is_of_no_use_removed(service, desk):
    service.put(f"{HERE}/body/scene_000/{part_name('01job', 'body/scene_000/1_0.glb')}", b"half")
    service.put(f"{HERE}/{part_name('01job', 'gone.json')}", b"of an earlier attempt")
    service.put(f"{HERE}/{part_name('02job', 'gone.json')}", b"another job's")
    await pcloud_publisher.publish(the_options(), desk.context)
    assert service.tree(HERE) == {**FILES, part_name("02job", "gone.json"): b"another job's"}


@pytest.mark.slow
async def test_a_server_that_takes_no_more_bytes_is_given_up(service, desk):
    desk.tools = the_tools(desk.directory.parent, service, read_timeout=2)
    add_tree(desk, {"big.glb": os.urandom(24 * 2**20)})
    service.misstep("POST", "^/uploadfile$", "hang", times=99)
    with pytest.raises(RetryLater, match="connection was lost"):
        await pcloud_publisher.publish(the_options(), desk.context)


async def test_what_is_damaged_on_its_way_is_sent_again(service, desk):
    service.damages = 2
    await pcloud_publisher.publish(the_options(parallel=1), desk.context)
    assert service.tree(HERE) == FILES
    assert service.uploads == 7


async def test_the_checksum_is_asked_for_where_the_upload_does_not_tell_it(service, desk):
    service.tells_sums = False
    service.damages = 1
    await pcloud_publisher.publish(the_options(), desk.context)
    assert service.tree(HERE) == FILES


@pytest.mark.slow
async def test_reconcile_knows_the_receipt_of_what_is_there_and_none_of_what_is_not(service, desk):
    options = the_options(delete=True)
    assert await pcloud_publisher.reconcile(options, desk.context) is None
    receipt = await pcloud_publisher.publish(options, desk.context)
    found = await pcloud_publisher.reconcile(options, desk.context)
    assert (found.url, found.facts["files"], found.facts["sent"]) == (receipt.url, 5, 0)
    assert await pcloud_publisher.reconcile(the_options(path="elsewhere"), desk.context) is None
    service.put(f"{HERE}/2d_poses/index.json", b"{}")
    assert await pcloud_publisher.reconcile(options, desk.context) is None
    service.put(f"{HERE}/2d_poses/index.json", b"[]")
    service.put(f"{HERE}/more.json", b"more")
    assert await pcloud_publisher.reconcile(options, desk.context) is None
    assert await pcloud_publisher.reconcile(the_options(), desk.context) is not None


async def test_a_full_account_waits_and_uses_up_no_attempt(service, desk):
    service.quota = 70_010
    with pytest.raises(RetryLater, match="account 'cloud' is full") as full:
        await pcloud_publisher.publish(the_options(parallel=1), desk.context)
    assert full.value.counts is False
    service.quota = 2**40
    await attempt(desk, the_options())
    assert service.tree(HERE) == FILES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("result", "fate", "sentence"),
    [
        (2003, Refused, "may not do this on pCloud"),
        (2005, Refused, "no such folder"),
        (1000, Refused, "correct its token"),
        (2094, Refused, "see whether its region"),
        (2001, Refused, "does not accept the name"),
        (4000, RetryLater, "limits the number of calls"),
        (5001, RetryLater, "pCloud failed"),
        (2041, RetryLater, "pCloud failed"),
        (1039, Refused, "correct what it names"),
    ],
)
async def test_what_pcloud_says_is_a_fate(service, desk, result, fate, sentence):
    service.misstep("POST", "^/uploadfile$", "status", status=200, body=says(result), times=99)
    with pytest.raises(fate, match=sentence):
        await pcloud_publisher.publish(the_options(parallel=1), desk.context)


async def test_a_folder_that_is_not_there_is_refused_by_its_id(service, desk):
    with pytest.raises(Refused, match="no folder 4711 on pCloud that the account 'cloud' can see"):
        await pcloud_publisher.publish(the_options(folder="4711"), desk.context)
    with pytest.raises(Refused, match=r"no such folder .* in the folder 4711 on pCloud"):
        await pcloud_publisher.publish(the_options(folder="4711", path="below"), desk.context)
    assert service.uploads == 0


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("", "which is no pCloud folder: it must be an id"),
        ("results", "which is no pCloud folder: it must be an id"),
        ("{{ facts.nothing }}", "names an unknown field"),
        ("/a/../b", "takes no file called"),
        ("/a/b\\c", "a backslash"),
    ],
)
async def test_a_template_that_makes_no_folder_is_refused(service, desk, folder, sentence):
    with pytest.raises(Refused, match=sentence):
        await pcloud_publisher.publish(the_options(folder=folder), desk.context)
    assert service.uploads == 0


async def test_a_folder_given_by_its_path_is_made(service, desk):
    receipt = await pcloud_publisher.publish(the_options(folder="/new/{{ job.id }}", path="{{ role }}"), desk.context)
    assert service.tree("/new/01job/annotations") == FILES
    assert receipt.facts["folder"] == service.folder("/new/01job/annotations").id


async def test_a_name_that_pcloud_does_not_take_is_refused_before_anything_is_sent(service, desk):
    with pytest.raises(Refused, match="must not be empty, hold a slash, a backslash"):
        await pcloud_publisher.publish(the_options(), add_tree(desk, {**FILES, "back\\slash.json": b"1"}).context)
    assert service.uploads == 0


async def test_files_go_beside_trees_under_names_of_their_own(service, desk):
    desk.add("source", "source.mp4", b"the recording").add("talk", "talk.mp4", b"the talk")
    options = the_options(files=("annotations", "talk"), path="annotations", delete=True)
    service.put(f"{HERE}/theirs.txt", b"beside the tree")
    receipt = await pcloud_publisher.publish(options, desk.context)
    assert service.tree(HERE) == {f"annotations/{path}": data for path, data in FILES.items()} | {
        "talk-talk.mp4": b"the talk",
        "theirs.txt": b"beside the tree",
    }
    assert receipt.facts["files"] == 6


async def test_a_single_file_has_a_receipt_of_its_own(service, desk):
    desk.artifacts = {}
    desk.add("talk", "talk.mp4", b"the talk")
    receipt = await pcloud_publisher.publish(the_options(name="talks/{{ name }}{{ suffix }}"), desk.context)
    assert service.tree(HERE) == {"talks/talk.mp4": b"the talk"}
    folder = service.folder(f"{HERE}/talks")
    assert receipt.url.endswith(f"?folder={folder.id}&name=talk.mp4")
    assert receipt.facts["file"] == folder.files["talk.mp4"].id


async def test_two_files_of_one_name_are_refused(service, desk):
    add_tree(desk, {"index.json": b"{}"}, role="more", path="more")
    add_tree(desk, {"index.json": b"[]"})
    with pytest.raises(Refused, match=r"Two files would be 'index\.json'"):
        await pcloud_publisher.publish(the_options(), desk.context)
    await pcloud_publisher.publish(the_options(path="{{ role }}"), desk.context)
    assert service.tree(HERE) == {"annotations/index.json": b"[]", "more/index.json": b"{}"}


@pytest.mark.parametrize(("wanted", "left"), [("keep", set(FILES)), ("delete", set())])
async def test_what_is_taken_back_is_kept_or_deleted_as_the_settings_say(service, desk, wanted, left):
    options = the_options(retract=wanted)
    service.put(f"{HERE}/theirs.json", b"another's")
    receipt = await pcloud_publisher.publish(options, desk.context)
    context = replace(desk.context, publication=desk.context.publication.evolve(receipt=receipt), artifacts={})
    for _ in range(2):
        said = await pcloud_publisher.retract(options, context)
        assert service.tree(HERE).keys() == left | {"theirs.json"}
    assert ("was kept" in said) is (wanted == "keep")
    assert bool(service.folder(HERE).folders) is (wanted == "keep")


async def test_what_somebody_replaced_is_not_taken_back(service, desk):
    options = the_options(retract="delete")
    receipt = await pcloud_publisher.publish(options, desk.context)
    service.put(f"{HERE}/2d_poses/index.json", b"theirs")
    context = replace(desk.context, publication=desk.context.publication.evolve(receipt=receipt), artifacts={})
    with pytest.raises(Refused, match=r"1 have changed since, such as '2d_poses/index\.json'"):
        await pcloud_publisher.retract(options, context)
    assert service.tree(HERE) == {"2d_poses/index.json": b"theirs"}


async def test_progress_counts_every_byte_that_is_to_be_sent_once(service, desk):
    seen = []
    service.damages = 1
    service.put(f"{HERE}/readme ü (1).txt", b"text")
    await pcloud_publisher.publish(the_options(), replace(desk.context, progress=lambda *said: seen.append(said)))
    size = sum(len(data) for data in FILES.values()) - 4
    assert seen[-1][:3] == (size, size, "bytes")


@pytest.mark.slow
async def test_the_memory_does_not_grow_with_a_file(service, desk, monkeypatch):
    """Of 24 MiB never more than some pieces are held at once, here and in the double together."""
    add_tree(desk, {"big.glb": b""})
    os.truncate(desk.directory / "out/big.glb", 24 * 2**20)
    desk.artifacts["annotations"] = tree_artifact("annotations", desk.directory, "out")

    async def swallow(request):
        async for part in await request.multipart():
            while piece := await part.read_chunk(2**16):
                service.received += len(piece) if part.filename else 0
        return {"metadata": [], "fileids": []}

    monkeypatch.setattr(service, "_take", swallow)
    tracemalloc.start()
    try:
        with pytest.raises(RetryLater, match="will send it again"):
            await pcloud_publisher.publish(the_options(), desk.context)
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()
    assert service.received == 4 * 24 * 2**20


async def test_check_asks_the_account_and_the_folder(service, desk):
    said = await pcloud_publisher.check(the_options(), desk.tools)
    assert said.startswith("The pCloud account 'cloud' (Ada@example.org) can be reached")
    folder = service.folder(HERE).id
    assert f"The folder {folder} is there." in await pcloud_publisher.check(the_options(folder=str(folder)), desk.tools)
    with pytest.raises(Refused, match="no pCloud folder 99 for the account 'cloud'"):
        await pcloud_publisher.check(the_options(folder="99"), desk.tools)
    with pytest.raises(Refused, match="no account 'nobody'"):
        await pcloud_publisher.check(the_options(account="nobody"), desk.tools)


async def test_a_job_that_replaces_another_has_the_same_address_where_it_takes_its_place(service, desk):
    first = await pcloud_publisher.publish(the_options(), desk.context)
    other = replace(desk, job=a_job("pcloud:2", id="02job", facts=desk.job.facts), token={})
    second = await pcloud_publisher.publish(the_options(), add_tree(other, {"2d_poses/index.json": b"[2]"}).context)
    assert first.url == second.url


async def test_nothing_that_is_secret_is_in_an_address_or_in_what_is_saved(service, desk):
    await pcloud_publisher.publish(the_options(retract="delete"), desk.context)
    assert service.calls
    assert not any("SECRET" in call.path for call in service.calls)
    assert "SECRET" not in str(desk.checkpoints)


async def test_an_account_with_a_password_publishes_too(service, desk):
    desk.tools.accounts["cloud"] = by_password(service)
    await pcloud_publisher.publish(the_options(), desk.context)
    assert service.tree(HERE) == FILES
    assert service.logins == 1
