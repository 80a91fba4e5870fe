"""Images as tasks: a zip of them or a directory, whatever they are like."""

import asyncio
import hashlib
import io
import json
import zipfile
from dataclasses import replace

import av
import pytest
from footage import clips
from PIL import Image

from vidd.errors import Refused
from vidd.files.tree import tree_artifact
from vidd.model.frame_manifest import Sample, TaskList
from vidd.steps import frames

pytestmark = pytest.mark.media


def image(colour, mode="RGB", size=(40, 30), kind="PNG", **more):
    made = io.BytesIO()
    Image.new(mode, size, colour).save(made, kind, **more)
    return made.getvalue()


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return path


async def taken(directory, path, **options):
    job = clips.Watched(directory, path, name=path.name)
    context = job.context
    if path.is_dir():
        context = job.with_artifacts(tree_artifact("source", directory, path.name))
    outcome = await frames.run(frames.Options.model_validate(options), context)
    rows = [Sample.from_json(json.loads(line)) for line in (directory / "manifest.jsonl").read_text().splitlines()]
    return outcome, rows, TaskList.from_json(json.loads((directory / "task_list.json").read_text()))


def colour(directory, row):
    with Image.open(directory / "tasks" / row.task / f"{row.index}.jpg") as made:
        assert (made.format, made.mode) == ("JPEG", "RGB")
        return made.getpixel((made.width // 4, made.height // 4))


def close(colour, other):
    return all(abs(a - b) <= 6 for a, b in zip(colour, other, strict=True))


async def test_images_of_every_kind_become_jpegs_in_the_order_people_count(tmp_path):
    deep = Image.new("I;16", (40, 30), 200 * 256)
    made = io.BytesIO()
    deep.save(made, "PNG")
    turned = Image.new("RGB", (40, 30), (0, 0, 255))
    turned.paste((255, 0, 0), (0, 0, 20, 30))
    exif, sideways = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    turned.save(sideways, "JPEG", exif=exif, quality=95)
    files = {
        "set/10.png": image((10, 20, 30)),
        "set/2.jpg": image((200, 0, 0), kind="JPEG"),
        "set/3.jpg": image((0, 255, 255, 0), "CMYK", kind="JPEG"),
        "set/4.png": made.getvalue(),
        "set/5.png": image((0, 200, 0, 0), "RGBA"),
        "set/6.jpg": sideways.getvalue(),
        "set/7.tif": image((9, 9, 200), size=(400, 20), kind="TIFF"),
        "__MACOSX/set/._2.jpg": b"rubbish",
        "set/readme.txt": b"words",
    }
    outcome, rows, listed = await taken(tmp_path, zipped(tmp_path / "many.zip", files), per_task=4, thumbnails=True)
    assert [row.name for row in rows] == [
        "set/2.jpg", "set/3.jpg", "set/4.png", "set/5.png", "set/6.jpg", "set/7.tif", "set/10.png"
    ]  # fmt: skip
    assert [(row.task, row.index) for row in rows] == [
        *(("task-0-many", k) for k in (1, 2, 3, 4)), *(("task-1-many", k) for k in (1, 2, 3))
    ]  # fmt: skip
    wanted = [(200, 0, 0), (255, 0, 0), (200, 200, 200), (255, 255, 255), (255, 0, 0), (9, 9, 200), (10, 20, 30)]
    assert all(close(colour(tmp_path, row), expected) for row, expected in zip(rows, wanted, strict=True))
    with Image.open(tmp_path / "tasks" / "task-1-many" / "1.jpg") as upright:
        assert upright.size == (30, 40)
    with Image.open(tmp_path / "tasks" / "task-1-many" / "2_thumbnail.jpg") as small:
        assert small.size == (250, 13)
    assert (listed.rate, listed.source_rate, listed.width, listed.height) == (4, 0, 400, 40)
    assert rows[-1].hash == hashlib.sha1(bytes((10, 20, 30)) * 40 * 30, usedforsecurity=False).hexdigest()
    assert outcome.facts["frames"] == 7


async def test_the_frames_of_a_task_video_have_each_image_in_the_corner_at_its_own_size(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 8
    sizes = [(40, 30), (61, 21), (30, 50), (40, 30), (33, 11)]
    files = {f"{at}.png": image((200, 30, 60), size=size) for at, size in enumerate(sizes)}
    files["2.png"] = image((200, 30, 60), size=(50, 30), exif=turned)
    files["5.png"] = b"rubbish"
    _, rows, listed = await taken(tmp_path, zipped(tmp_path / "mixed.zip", files), per_task=3, crf=4)
    assert [task.video for task in listed.tasks] == [f"task-{n}-mixed/task-{n}-mixed.mp4" for n in (0, 1)]
    frames_shown = []
    for task in listed.tasks:
        with av.open(str(tmp_path / "tasks" / task.video)) as video:
            stream = video.streams.video[0]
            assert (stream.width, stream.height, stream.average_rate) == (listed.width, listed.height, 4)
            assert (listed.width, listed.height) == (62, 50)
            frames_shown += [frame.to_image() for frame in video.decode(stream)]
    for row, shown, size in zip(rows, frames_shown, sizes, strict=True):
        with Image.open(tmp_path / "tasks" / row.task / f"{row.index}.jpg") as alone:
            assert alone.size == size
        assert close(shown.getpixel((size[0] // 2, size[1] // 2)), (200, 30, 60))
        assert close(shown.getpixel((2, 2)), (200, 30, 60))
        if size[0] < 58:
            assert close(shown.getpixel((60, 5)), (0, 0, 0))


async def test_no_task_video_is_made_of_images_where_none_is_wanted(tmp_path):
    path = zipped(tmp_path / "a.zip", {"1.png": image((1, 2, 3))})
    _, _, listed = await taken(tmp_path, path, films=False, images=True)
    assert (listed.rate, listed.tasks[0].video, listed.width, listed.height) == (0, None, 40, 30)


async def test_an_image_alone_is_a_task_of_one_frame(tmp_path):
    (tmp_path / "shot.JPG").write_bytes(image((200, 0, 0), kind="JPEG"))
    outcome, (row,), listed = await taken(tmp_path, tmp_path / "shot.JPG", thumbnails=True)
    assert (row.name, row.task, listed.tasks[0].video) == (
        "shot.JPG", "task-0-shot", "task-0-shot/task-0-shot.mp4"
    )  # fmt: skip
    assert (outcome.facts["frames"], close(colour(tmp_path, row), (200, 0, 0))) == (1, True)


async def test_an_image_alone_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "shot.png").write_bytes(b"<html>")
    with pytest.raises(Refused, match=r"No image of 'shot.png' can be read .*it is no image, or broken"):
        await taken(tmp_path, tmp_path / "shot.png")


async def test_an_image_too_long_for_a_video_is_left_out_and_the_others_are_not_as_large(tmp_path):
    files = {"1.png": image((1, 1, 1), size=(16386, 2)), "2.png": image((200, 0, 0))}
    outcome, (row,), listed = await taken(tmp_path, zipped(tmp_path / "long.zip", files))
    assert (row.name, listed.width, listed.height) == ("2.png", 40, 30)
    why = "it has more than 16384 pixels a side, too many for a task video."
    assert outcome.facts["left_out"] == [{"name": "'1.png'", "why": why}]


async def test_a_directory_of_images_is_taken_like_a_zip_of_them(tmp_path):
    (tmp_path / "shots" / "b").mkdir(parents=True)
    (tmp_path / "shots" / "b" / "1.png").write_bytes(image((1, 2, 3)))
    (tmp_path / "shots" / "a.png").write_bytes(image((4, 5, 6)))
    _, rows, _ = await taken(tmp_path, tmp_path / "shots")
    assert [row.name for row in rows] == ["a.png", "b/1.png"]


async def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    good = image((200, 0, 0), kind="JPEG", size=(400, 300))
    bad = {"2.jpg": good[: len(good) // 2], "3.png": b"", "5.png": b"\x89PNG rubbish"}
    files = {"1.jpg": good, **bad, "4.jpg": good, "6.gif": good, "a.txt": b"-", "__MACOSX/1.jpg": b"-", ".hidden": b"-"}
    outcome, rows, _ = await taken(tmp_path, zipped(tmp_path / "some.zip", files))
    assert [row.name for row in rows] == ["1.jpg", "4.jpg"]
    assert outcome.facts["lost"] == 3
    notes = {note["name"]: note["why"] for note in outcome.facts["left_out"]}
    assert list(notes) == ["'2.jpg'", "'3.png'", "'5.png'", "files"]
    assert (notes["'3.png'"], notes["files"]) == ("it is no image, or broken.", "2 are no images by their names.")


async def test_a_run_that_was_killed_names_what_could_not_be_read_before_it(tmp_path):
    good = image((200, 0, 0), kind="JPEG", size=(400, 300))
    files = {f"{k}.jpg": good[:900] if k in {2, 30} else good for k in range(1, 41)}
    path = zipped(tmp_path / "some.zip", files)
    job = clips.Watched(tmp_path, path, name=path.name)

    def look(done, *_):
        if done >= 5:
            running.cancel()

    running = asyncio.ensure_future(frames.run(frames.Options(per_task=5), replace(job.context, progress=look)))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (tmp_path / ".frames" / "rows" / "000000.jsonl").exists()
    outcome, rows, _ = await taken(tmp_path, path, per_task=5)
    assert [row.name for row in rows] == [name for name in files if name not in {"2.jpg", "30.jpg"}]
    assert outcome.facts["lost"] == 2
    assert [note["name"] for note in outcome.facts["left_out"]] == ["'2.jpg'", "'30.jpg'"]


async def test_names_that_lead_elsewhere_lead_nowhere(tmp_path):
    files = {"../../evil.png": image((1, 1, 1)), "/etc/evil.png": image((2, 2, 2))}
    before = set(tmp_path.parent.iterdir())
    _, rows, _ = await taken(tmp_path, zipped(tmp_path / "odd.zip", files))
    assert len(rows) == 2
    assert {path.name for path in (tmp_path / "tasks").rglob("*.jpg")} == {"1.jpg", "2.jpg"}
    assert set(tmp_path.parent.iterdir()) == before


async def test_a_bomb_is_left_out(tmp_path):
    huge = b"\x89PNG\r\n\x1a\n" + bytes(300 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("1.png", huge)
        made.writestr("2.png", image((7, 7, 7)))
    outcome, rows, _ = await taken(tmp_path, tmp_path / "bomb.zip")
    assert [row.name for row in rows] == ["2.png"]
    assert outcome.facts["left_out"] == [{"name": "'1.png'", "why": "it is too large."}]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "There is no image in 'none.zip'"),
        ({"a.txt": b"x"}, "There is no image in 'none.zip'"),
        ({"a.png": b"x"}, "No image of 'none.zip' can be read"),
        (None, "cannot be read as a zip file"),
    ],
)
async def test_a_zip_without_images_is_refused(tmp_path, files, sentence):
    path = tmp_path / "none.zip"
    if files is None:
        path.write_bytes(b"PK rubbish")
    else:
        zipped(path, files)
    with pytest.raises(Refused, match=sentence):
        await taken(tmp_path, path)
