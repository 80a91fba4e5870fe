"""Data sets: objects and documents of annotated frames, made and put out task by task, against a MongoDB and an S3."""

import io
import json
import os
import zipfile
from xml.etree import ElementTree as ET

import pytest
from builders.aws import Bucket, an_account
from builders.datasets import SIZE, Lab, Maker, augmentations, box, jpeg, maker, picture, s3, told
from builders.mongodb import account, mongodb
from PIL import Image, ImageChops, ImageStat

from vidd.errors import Refused
from vidd.integrations.aws.s3_uri import web_address
from vidd.integrations.datasets import publisher
from vidd.integrations.datasets.build import Builder
from vidd.integrations.datasets.documents import Documents

pytestmark = pytest.mark.peer

__all__ = ["account", "maker", "mongodb", "s3"]


@pytest.fixture
async def lab(s3, account, tmp_path, request):
    bucket = await Bucket(an_account(s3), f"b{abs(hash(request.node.nodeid))}").make()
    lab = Lab(account, bucket, tmp_path)
    yield lab
    lab.close()


async def test_a_version_becomes_objects_and_documents_and_is_complete(lab, maker):
    task = await lab.task(20)
    version = lab.version(task)
    sent, facts = await maker.make(version)
    root = f"dataset/{lab.group}/{task}/"
    objects = await lab.objects()
    wanted = {
        f"{root}{k}/{name}" for k in range(1, 21) for name in (f"{k}.jpg", f"{k}_thumbnail.jpg", f"1_{k}.txt")
    } | {f"dataset/{lab.group}/{version}/{name}" for name in ("coco.json", "cvat.xml", "samples.zip")}
    assert set(objects) == wanted
    assert sent["sent"] == len(wanted)
    assert await lab.bucket.get(f"{root}3/3.jpg") == await lab.bucket.get("contents/up/task-0-cam/3.jpg")
    small = Image.open(io.BytesIO(await lab.bucket.get(f"{root}3/3_thumbnail.jpg")))
    assert max(small.size) == 250
    assert (
        await lab.bucket.get(f"{root}3/1_3.txt")
        == b"0 0.200000 0.200000 0.200000 0.200000 \n2 0.687500 0.666667 0.125000 0.333333 \n"
    )
    document = lab.document(version)
    assert document["taskStatus"]["state"] == "complete"
    (status,) = document["taskStatus"]["tasks"]
    sizes = sum([len(await lab.bucket.get(f"{root}{k}/{k}.jpg")) for k in range(1, 21)])
    assert status == {
        "task": str(task), "state": "complete", "error": "none", "imageCount": 20, "imageDataSize": sizes,
        "augmentationFileCounts": {},
    }  # fmt: skip
    assert (document["imageCount"], document["size"]) == (20, sizes)
    assert document["exportFormats"]["YOLO"]["progress"] == 100
    assert document["exportFormats"]["YOLO"]["sample"] == f"dataset/{lab.group}/{version}/samples.zip"
    parts = []
    for frame in lab.frames(task):
        (entry,) = frame["datasetVersions"]
        assert str(entry["versionId"]) == version
        assert entry["textFiles"] == {"YOLO": f"{root}{frame['frameId']}/1_{frame['frameId']}.txt"}
        parts.append(entry["datasetType"])
    assert [parts.count(part) for part in (1, 2, 3)] == [14, 4, 2]
    coco = json.loads(await lab.bucket.get(f"dataset/{lab.group}/{version}/coco.json"))
    assert len(coco["images"]) == 20
    assert len(coco["annotations"]) == 40
    assert coco["annotations"][0]["bbox"] == [32.0, 18.0, 64.0, 36.0]
    assert facts["left_out"] == []
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == SIZE


async def test_a_second_run_with_nothing_changed_makes_and_sends_nothing(lab, maker):
    version = lab.version(await lab.task(20), augmentationTypes=augmentations(CLOCKWISE=[True], BLUR=[1, 3]))
    await maker.make(version)
    before, documents = await lab.objects(), lab.document(version)
    context, _ = await maker.build(version)
    assert [path for path in (context.directory / "objects").rglob("*") if path.is_file()] == []
    sent, _ = await maker.make(version)
    assert (sent["sent"], sent["dropped"], sent["equal"]) == (0, 0, 0)
    assert await lab.objects() == before
    assert lab.document(version) == documents


async def test_without_its_ledger_all_is_made_anew_and_found_to_be_there(lab, maker, tmp_path):
    version = lab.version(
        await lab.task(20), augmentationTypes=augmentations(NOISE_PERCENTAGE=[1, 10], HUE_DEGREES=[-90, 90])
    )
    await maker.make(version)
    before = await lab.objects()
    sent, _ = await Maker(lab, tmp_path / "other").make(version)
    assert sent["sent"] == 0
    assert await lab.objects() == before


async def changed(lab, maker, version, before):
    """The objects that another run changed or made, and those that it dropped, without those of the whole."""
    await maker.make(version)
    now = await lab.objects()
    new = {key for key in now if now[key] != before.get(key)}
    whole = f"dataset/{lab.group}/{version}/"
    return {key for key in new if not key.startswith(whole)}, before.keys() - now.keys()


async def test_a_changed_box_changes_the_texts_of_its_frame_and_nothing_else(lab, maker):
    task = await lab.task(20)
    version = lab.version(task, augmentationTypes=augmentations(FLIP_HORIZONTAL=[True]))
    await maker.make(version)
    before = await lab.objects()
    chosen = next(frame for frame in lab.frames(task) if frame["datasetVersions"][0]["augmentationImages"])
    lab.db.AnnotationFrame.update_one({"_id": chosen["_id"]}, {"$set": {"boxes": [box("car", 0, 0, 32, 18)]}})
    new, gone = await changed(lab, maker, version, before)
    k = chosen["frameId"]
    root = f"dataset/{lab.group}/{task}/{k}/"
    assert new == {f"{root}1_{k}.txt", f"{root}augmentations/1_flip-horizontal_{k}.txt"}
    assert gone == set()
    assert await lab.bucket.get(f"{root}1_{k}.txt") == b"0 0.050000 0.050000 0.100000 0.100000 \n"
    assert (
        await lab.bucket.get(f"{root}augmentations/1_flip-horizontal_{k}.txt")
        == b"0 0.950000 0.050000 0.100000 0.100000 \n"
    )


async def test_a_replaced_picture_is_sent_anew_with_its_small_one_and_nothing_else(lab, maker):
    task = await lab.task(9)
    version = lab.version(task)
    await maker.make(version)
    before = await lab.objects()
    await lab.bucket.put("contents/up/task-0-cam/4.jpg", jpeg(777))
    new, gone = await changed(lab, maker, version, before)
    root = f"dataset/{lab.group}/{task}/4/"
    assert (new, gone) == ({f"{root}4.jpg", f"{root}4_thumbnail.jpg"}, set())


async def test_a_frame_that_is_gone_takes_its_objects_along(lab, maker):
    task = await lab.task(9)
    version = lab.version(task)
    await maker.make(version)
    before = await lab.objects()
    lab.db.AnnotationFrame.delete_one({"taskId": task, "frameId": 5})
    new, gone = await changed(lab, maker, version, before)
    root = f"dataset/{lab.group}/{task}/5/"
    assert (new, gone) == (set(), {f"{root}5.jpg", f"{root}5_thumbnail.jpg", f"{root}1_5.txt"})
    assert lab.document(version)["imageCount"] == 8


async def test_a_task_that_is_taken_out_leaves_with_its_objects_and_its_frames_forget_the_version(lab, maker):
    stays, goes = await lab.task(6), await lab.task(6, first=100)
    version = lab.version(stays, goes)
    await maker.make(version)
    before = await lab.objects()
    lab.db.AnnotationDatasetVersion.update_one({}, {"$set": {"taskList": [stays]}})
    new, gone = await changed(lab, maker, version, before)
    assert new == set()
    assert gone == {key for key in before if f"/{goes}/" in key}
    assert [frame["datasetVersions"] for frame in lab.frames(goes)] == [[]] * 6
    assert [task["task"] for task in lab.document(version)["taskStatus"]["tasks"]] == [str(stays)]


async def test_pictures_from_a_film_stay_with_their_frames_when_their_task_leaves(lab, maker):
    stays, goes = await lab.task(3), await lab.task(3, first=100, filmed=True)
    version = lab.version(stays, goes)
    await maker.make(version)
    lab.db.AnnotationDatasetVersion.update_one({}, {"$set": {"taskList": [stays]}})
    await maker.make(version)
    left = await lab.objects(f"dataset/{lab.group}/{goes}/")
    named = {frame[name] for frame in lab.frames(goes) for name in ("imageUrl", "thumbnailUrl")}
    assert set(left) == named
    assert len(named) == 6


async def test_pictures_of_other_kinds_go_out_upright_and_as_jpeg_and_are_made_once(lab, maker):
    task = await lab.task(2)
    turned, png = io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1).save(turned, "JPEG", exif=exif)
    picture(2).convert("RGBA").save(png, "PNG")
    await lab.bucket.put("contents/up/task-0-cam/1.jpg", turned.getvalue())
    await lab.bucket.put("contents/up/task-0-cam/2.jpg", png.getvalue())
    version = lab.version(task)
    await maker.make(version)
    found = [Image.open(io.BytesIO(await lab.bucket.get(f"dataset/{lab.group}/{task}/{k}/{k}.jpg"))) for k in (1, 2)]
    assert [(image.format, image.mode, image.size) for image in found] == [
        ("JPEG", "RGB", SIZE[::-1]),
        ("JPEG", "RGB", SIZE),
    ]
    assert (await maker.make(version))[0]["sent"] == 0


async def test_two_versions_of_a_group_share_the_pictures_and_neither_takes_them_from_the_other(lab, maker):
    task, more = await lab.task(6), await lab.task(3, first=50)
    first, second = lab.version(task, more), lab.version(task, number="2")
    await maker.make(first)
    sent, _ = await maker.make(second)
    assert sent["sent"] == 6 + 3
    entries = lab.frame(task, 1)["datasetVersions"]
    assert [str(entry["versionId"]) for entry in entries] == [first, second]
    before = await lab.objects()
    lab.db.AnnotationDatasetVersion.update_one({"versionNo": "1"}, {"$set": {"taskList": [more]}})
    _, gone = await changed(lab, maker, first, before)
    assert gone == {f"dataset/{lab.group}/{task}/{k}/1_{k}.txt" for k in range(1, 7)}
    assert (await maker.make(second))[0]["sent"] == 0


async def test_pictures_come_from_the_film_where_none_are_stored_and_are_those_of_their_number(lab, maker):
    task = await lab.task(12, filmed=True)
    version = lab.version(task)
    await maker.make(version)
    for k in (1, 7, 12):
        found = Image.open(io.BytesIO(await lab.bucket.get(f"dataset/{lab.group}/{task}/{k}/{k}.jpg")))
        difference = ImageStat.Stat(ImageChops.difference(found.convert("RGB"), picture(k))).rms
        assert max(difference) < 12
        other = ImageStat.Stat(ImageChops.difference(found.convert("RGB"), picture(k % 12 + 1))).rms
        assert max(other) > 30
    assert lab.frame(task, 7)["imageUrl"] == f"dataset/{lab.group}/{task}/7/7.jpg"
    before = await lab.objects()
    assert (await maker.make(version))[0]["sent"] == 0
    assert await lab.objects() == before


async def test_films_and_pictures_are_found_by_the_addresses_that_documents_have(lab, maker):
    stored, filmed = await lab.task(3), await lab.task(3, first=40, filmed=True)
    for document in (*lab.frames(stored), lab.db.AnnotationTask.find_one({"_id": filmed})):
        name = "imageUrl" if "imageUrl" in document else "S3_url"
        collection = lab.db.AnnotationFrame if name == "imageUrl" else lab.db.AnnotationTask
        address = web_address(lab.bucket.account, lab.bucket.name, document[name])
        collection.update_one({"_id": document["_id"]}, {"$set": {name: address}})
    version = lab.version(stored, filmed)
    assert (await maker.make(version))[0]["sent"] == 6 * 3 + 3
    # A back end signs keys, and addresses only where the settings say so.
    names = [lab.frame(task, 1)[name] for task in (stored, filmed) for name in ("imageUrl", "thumbnailUrl")]
    made = [f"dataset/{lab.group}/{task}/1/1{end}.jpg" for task in (stored, filmed) for end in ("", "_thumbnail")]
    assert names == ["contents/up/task-0-cam/1.jpg", *made[1:]]
    assert (await maker.make(version))[0]["sent"] == 0


async def test_frames_name_web_addresses_where_the_settings_say_so(lab, maker):
    stored, filmed = await lab.task(1), await lab.task(1, first=40, filmed=True)
    version = lab.version(stored, filmed)
    await maker.make(version)
    maker.settings["addresses"] = "web"
    assert (await maker.make(version))[0]["sent"] == 0
    for task in (stored, filmed):
        for name, end in (("imageUrl", ""), ("thumbnailUrl", "_thumbnail")):
            key = f"dataset/{lab.group}/{task}/1/1{end}.jpg"
            if (task, name) == (stored, "imageUrl"):
                key = "contents/up/task-0-cam/1.jpg"
            assert lab.frame(task, 1)[name] == web_address(lab.bucket.account, lab.bucket.name, key)


async def test_a_tenth_of_the_frames_gets_each_augmentation_and_the_boxes_move_along(lab, maker):
    kinds = {"FLIP_VERTICAL": [True], "CLOCKWISE": [True], "CROP_PERCENTAGE": [30, 30], "GRAYSCALE_PERCENTAGE": [100]}
    task = await lab.task(30)
    version = lab.version(task, augmentationTypes=augmentations(**kinds, UPSIDE_DOWN=[False], BLUR_DUPLICATE=[3]))
    await maker.make(version)
    found = {}
    for frame in lab.frames(task):
        for name, entry in (frame["datasetVersions"][0]["augmentationImages"] or {}).items():
            found.setdefault(name, []).append((frame["frameId"], entry))
    assert {name: len(ones) for name, ones in found.items()} == dict.fromkeys(
        ("flip-vertical", "rotate-90", "crop", "grayscale"), 3
    )
    number, entry = found["rotate-90"][0]
    turned = Image.open(io.BytesIO(await lab.bucket.get(entry["imageUrl"])))
    assert turned.size == (SIZE[1], SIZE[0])
    back = ImageChops.difference(turned.transpose(Image.Transpose.ROTATE_90), picture(number))
    assert max(ImageStat.Stat(back).rms) < 12
    assert (await lab.bucket.get(entry["textFiles"])).splitlines()[0] == b"0 0.800000 0.200000 0.200000 0.200000 "
    assert max(Image.open(io.BytesIO(await lab.bucket.get(entry["thumbnailUrl"]))).size) <= 250
    counts = lab.document(version)["taskStatus"]["tasks"][0]["augmentationFileCounts"]
    assert {name: count["count"] for name, count in counts.items()} == dict.fromkeys(found, 3)
    assert lab.document(version)["imageCount"] == 30 + 12


async def test_augmented_images_keep_the_names_of_the_original_where_asked(lab, maker):
    task = await lab.task(10)
    version = lab.version(task, number="2", augmentationTypes=augmentations(CLOCKWISE=[True]))
    await maker.make(version, augmented_names="original")
    (frame,) = [frame for frame in lab.frames(task) if frame["datasetVersions"][0]["augmentationImages"]]
    k = frame["frameId"]
    begin = f"dataset/{lab.group}/{task}/{k}/augmentations/"
    names = [f"2_rotate-90_{k}.txt", f"rotate-90_{k}.jpg", f"rotate-90_{k}_thumbnail.jpg"]
    assert sorted(key for key in await lab.objects() if "/augmentations/" in key) == [
        f"{begin}{name}" for name in names
    ]
    assert frame["datasetVersions"][0]["augmentationImages"] == {
        "rotate-90": {
            "textFiles": f"{begin}{names[0]}", "imageUrl": f"{begin}{names[1]}", "thumbnailUrl": f"{begin}{names[2]}",
        }
    }  # fmt: skip
    sent, _ = await maker.make(version, augmented_names="original")
    assert (sent["sent"], sent["dropped"]) == (0, 0)
    # Asked for the other names, it has these alone.
    await maker.make(version)
    entry = lab.frame(task, k)["datasetVersions"][0]["augmentationImages"]["rotate-90"]
    assert entry["imageUrl"] == f"{begin}2_rotate-90_{k}.jpg"
    assert f"{begin}rotate-90_{k}.jpg" not in await lab.objects()


async def test_an_image_that_another_version_has_under_the_originals_name_is_not_replaced(lab, maker):
    task = await lab.task(10)
    first, second = (
        lab.version(
            task, number=number, augmentationTypes=augmentations(CLOCKWISE=[True], NOISE_PERCENTAGE=[some, some])
        )
        for number, some in (("1", 5), ("2", 60))
    )
    await maker.make(first, augmented_names="original")
    before = await lab.objects()
    for _ in range(2):
        await maker.make(second, augmented_names="original")
        await maker.make(first, augmented_names="original")
    after = await lab.objects()
    assert {key: etag for key, etag in after.items() if key in before and f"/{first}/" not in key} == {
        key: etag for key, etag in before.items() if f"/{first}/" not in key
    }
    pixels = []
    for number, version in enumerate((first, second)):
        (frame,) = [
            frame
            for frame in lab.frames(task)
            if "noise-gaussian" in (frame["datasetVersions"][0]["augmentationImages"] or {})
        ]
        assert str(frame["datasetVersions"][number]["versionId"]) == version
        key = frame["datasetVersions"][number]["augmentationImages"]["noise-gaussian"]["imageUrl"]
        assert key.rpartition("/")[2] == f"{('', '2_')[number]}noise-gaussian_{frame['frameId']}.jpg"
        noise = ImageChops.difference(Image.open(io.BytesIO(await lab.bucket.get(key))), picture(frame["frameId"]))
        pixels.append(max(ImageStat.Stat(noise).rms))
    assert pixels[0] < 12
    assert pixels[1] > 30


async def test_what_was_drawn_on_the_video_of_images_is_not_scaled_to_their_own_size(lab, maker):
    task = await lab.task(2, boxes=lambda _: [box()])
    own = {"videoResolutionWidth": 2 * SIZE[0], "videoResolutionHeight": 3 * SIZE[1], "vidd": {"images": True}}
    lab.db.AnnotationTask.update_one({"_id": task}, {"$set": own})
    version = lab.version(task)
    await maker.make(version)
    text = b"0 0.200000 0.200000 0.200000 0.200000 \n"
    assert await lab.bucket.get(f"dataset/{lab.group}/{task}/1/1_1.txt") == text


async def test_without_labels_the_lines_have_the_boxes_own(lab, maker):
    task = await lab.task(3)
    version = lab.version(task, labelAttributeList=[])
    await maker.make(version)
    assert lab.frame(task, 1)["datasetVersions"][0]["textFiles"] == {"DEFAULT": f"dataset/{lab.group}/{task}/1/1_1.txt"}
    assert (await lab.bucket.get(f"dataset/{lab.group}/{task}/1/1_1.txt")).startswith(
        b"car 0.200000 0.200000 0.200000 0.200000 \n"
    )
    coco = json.loads(await lab.bucket.get(f"dataset/{lab.group}/{version}/coco.json"))
    assert [category["name"] for category in coco["categories"]] == ["car", "person (pose=standing)"]


async def test_the_lists_of_the_whole_can_be_read_and_the_samples_are_pictures_with_their_texts(lab, maker):
    task = await lab.task(12, boxes=lambda _: [box("person", 200, 90, 40, 60, attributes={"pose": "standing"})])
    version = lab.version(task)
    await maker.make(version)
    whole = f"dataset/{lab.group}/{version}/"
    root = ET.fromstring(await lab.bucket.get(f"{whole}cvat.xml"))
    images = root.findall("image")
    assert [image.get("name") for image in images] == [f"dataset/{lab.group}/{task}/{k}/{k}.jpg" for k in range(1, 13)]
    drawn = images[0].find("box")
    assert [drawn.get(side) for side in ("label", "xtl", "ytl", "xbr", "ybr")] == [
        "person", "200.00", "90.00", "240.00", "150.00",
    ]  # fmt: skip
    assert drawn.find("attribute").text == "standing"
    coco = json.loads(await lab.bucket.get(f"{whole}coco.json"))
    named = {category["id"]: category["name"] for category in coco["categories"]}
    assert {named[annotation["category_id"]] for annotation in coco["annotations"]} == {"person (pose=standing)"}
    with zipfile.ZipFile(io.BytesIO(await lab.bucket.get(f"{whole}samples.zip"))) as packed:
        assert packed.testzip() is None
        assert len(packed.namelist()) == 24
        name = f"dataset_{lab.group}_{task}_3_3"
        assert packed.read(f"{name}.jpg") == await lab.bucket.get(f"dataset/{lab.group}/{task}/3/3.jpg")
        assert packed.read(f"{name}.txt") == await lab.bucket.get(f"dataset/{lab.group}/{task}/3/1_3.txt")


async def test_marks_that_are_there_stay_until_the_split_is_another(lab, maker):
    task = await lab.task(10)
    version = lab.version(task)
    await maker.make(version)
    lab.db.AnnotationFrame.update_one({"taskId": task, "frameId": 1}, {"$set": {"datasetVersions.0.datasetType": 3}})
    await maker.make(version)
    assert lab.frame(task, 1)["datasetVersions"][0]["datasetType"] == 3
    lab.db.AnnotationDatasetVersion.update_one({}, {"$set": {"splitCount": [{"percentage": 100}]}})
    await maker.make(version)
    assert {frame["datasetVersions"][0]["datasetType"] for frame in lab.frames(task)} == {1}


async def test_boxes_outside_of_the_picture_and_of_no_label_are_named_and_what_is_on_it_counts(lab, maker):
    boxes = [
        box("car", -32, 18, 64, 36),
        box("car", 400, 0, 10, 10),
        box("lorry"),
        box("car", attributes={"colour": "red"}),
    ]
    task = await lab.task(1, boxes=lambda _: boxes)
    version = lab.version(task)
    _, facts = await maker.make(version)
    assert await lab.bucket.get(f"dataset/{lab.group}/{task}/1/1_1.txt") == b"0 0.050000 0.200000 0.100000 0.200000 \n"
    assert [note["why"].partition(" ")[0] for note in facts["left_out"]] == ["2", "2"]


async def test_of_tasks_at_fault_each_says_why_and_the_others_are_put_out(lab, maker):
    good, empty, broken = await lab.task(4), await lab.task(0, first=10), await lab.task(4, first=20)
    await lab.bucket.delete("contents/up/task-20-cam/3.jpg")
    version = lab.version(good, empty, broken)
    with pytest.raises(Refused) as refused:
        await maker.make(version)
    assert "it has no frames" in refused.value.sentence
    assert "(2 tasks are left out.)" in refused.value.sentence
    status = lab.document(version)["taskStatus"]
    assert status["state"] == "pending"
    said = {task["task"]: (task["state"], task["error"]) for task in status["tasks"]}
    assert said[str(good)] == ("complete", "none")
    assert said[str(empty)][0] == said[str(broken)][0] == "pending"
    assert "the image of frame 3 is not in the bucket" in said[str(broken)][1]
    assert len(await lab.objects(f"dataset/{lab.group}/{good}/")) == 12
    await lab.bucket.put("contents/up/task-20-cam/3.jpg", jpeg(23))
    lab.db.AnnotationDatasetVersion.update_one({}, {"$set": {"taskList": [good, broken]}})
    await maker.make(version)
    assert lab.document(version)["taskStatus"]["state"] == "complete"
    assert {task["error"] for task in lab.document(version)["taskStatus"]["tasks"]} == {"none"}


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ({"boxes": [box(x="left")]}, "box 1 of frame 2 is not valid (it is no rectangle with a label"),
        ({"boxes": [box(x=float("nan"))]}, "box 1 of frame 2 is not valid (it is no rectangle with a label"),
        ({"boxes": [{"id": 1}]}, "box 1 of frame 2 is not valid (it is no rectangle with a label"),
        ({"boxes": [box(label="")]}, "box 1 of frame 2 is not valid (it is no rectangle with a label"),
        ({"frameId": 0}, "is no number from 1 on (0)"),
        ({"frameId": 1}, "two frames with the frameId 1"),
        ({"imageUrl": None}, "frame 2 has no imageUrl, and the task no S3_url"),
    ],
)
async def test_a_frame_that_makes_no_sense_is_named(lab, maker, spoil, sentence):
    task = await lab.task(3)
    lab.db.AnnotationFrame.update_one({"taskId": task, "frameId": 2}, {"$set": spoil})
    with pytest.raises(Refused) as refused:
        await maker.make(lab.version(task))
    assert sentence in refused.value.sentence
    assert str(task) in refused.value.sentence


async def test_all_frames_of_a_task_that_make_no_sense_are_named_at_once_a_few_by_their_numbers(lab, maker):
    task = await lab.task(9)
    lab.db.AnnotationFrame.update_many({"taskId": task, "frameId": {"$gt": 2}}, {"$set": {"boxes": [box(label="")]}})
    with pytest.raises(Refused) as refused:
        await maker.make(lab.version(task))
    told = refused.value.sentence
    assert [number for number in range(1, 10) if f"box 1 of frame {number} is not valid" in told] == [3, 4, 5, 6, 7]
    assert "; and 2 more" in told


async def test_a_picture_that_cannot_be_read_and_a_film_that_is_too_short_are_named(lab, maker):
    bad, short = await lab.task(3), await lab.task(3, first=30, filmed=True)
    await lab.bucket.put("contents/up/task-0-cam/2.jpg", b"\xff\xd8\xffno picture")
    lab.db.AnnotationFrame.insert_one({"taskId": short, "frameId": 4, "boxes": []})
    version = lab.version(bad, short)
    with pytest.raises(Refused):
        await maker.make(version)
    said = {task["task"]: task["error"] for task in lab.document(version)["taskStatus"]["tasks"]}
    assert "the image of frame 2 cannot be read" in said[str(bad)]
    assert "its video has 3 frames, and there is a frame 4" in said[str(short)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"taskList": []}, "has no tasks in its taskList"),
        ({"taskList": ["../x"]}, "names a task that is no id"),
        ({"dataSetGroupId": "a/b"}, "The dataSetGroupId of the data set version"),
        ({"versionNo": None}, "The versionNo of the data set version"),
        ({"splitCount": [{"percentage": -1}]}, "its splitCount has -1 where a percentage should be"),
        ({"splitCount": [10, 20, 30, 40]}, "more than three parts"),
        ({"splitCount": "70/30"}, "its splitCount is '70/30': make it a list of percentages"),
        ({"exportFormats": True}, "its exportFormats is 'True': make it an object, or leave it out"),
        ({"exportFormats": {"YOLO": True}}, "its exportFormats.YOLO is 'True': make it an object, or leave it out"),
        ({"labelAttributeList": [{"isEnabled": True}]}, "an entry of labelAttributeList has no mainLabel"),
        ({"augmentationTypes": augmentations(MELT=[1])}, "there is no augmentation 'MELT'"),
        ({"augmentationTypes": augmentations(BLUR=[-1, 3])}, "the values of BLUR go from 0 to 20"),
    ],
)
async def test_a_version_that_makes_no_sense_is_refused_with_one_sentence(lab, maker, changes, sentence):
    task = await lab.task(1)
    version = lab.version(task, **changes)
    with pytest.raises(Refused) as refused:
        await maker.make(version)
    assert sentence in refused.value.sentence


async def test_two_versions_of_a_group_have_numbers_of_their_own(lab, maker):
    task = await lab.task(2)
    first, second, other = lab.version(task), lab.version(task), lab.version(task, dataSetGroupId="another")
    await maker.make(first)
    before = await lab.objects()
    with pytest.raises(
        Refused, match=f"has the versionNo 1 of another version of its group \\({first}\\), whose text files"
    ):
        await maker.make(second)
    assert await lab.objects() == before
    await maker.make(first)
    await maker.make(other)


async def test_a_version_that_there_is_not_is_refused(maker):
    with pytest.raises(Refused, match="There is no data set version '0123456789abcdef01234567'"):
        await maker.make("0123456789abcdef01234567")


async def test_what_was_made_before_a_kill_is_not_made_again_and_the_end_is_the_same(lab, maker, tmp_path, monkeypatch):
    tasks = [await lab.task(5, first=number) for number in (0, 10, 20)]
    version = lab.version(*tasks, augmentationTypes=augmentations(NOISE_PERCENTAGE=[5, 20]), number="7")
    made = []

    async def killed(self, task, orders, record, *, real=Builder.run_worker):
        made.append(orders.get("name", task))
        if len(made) == 3:
            raise KeyboardInterrupt
        await real(self, task, orders, record)

    monkeypatch.setattr(Builder, "run_worker", killed)
    context = maker.context(version)
    with pytest.raises(KeyboardInterrupt):
        await maker.build(version, context)
    _, outcome = await maker.build(version, context)
    assert made == ["task-0-cam", "task-10-cam", "task-20-cam", "task-20-cam", "exports"]
    desk = maker.desk(context, outcome)

    async def cut(self, rows, *more, real=Documents.change_frames):
        if len(desk.checkpoints) > 0:
            raise KeyboardInterrupt
        await real(self, rows, *more)

    with monkeypatch.context() as once:
        once.setattr(Documents, "change_frames", cut)
        with pytest.raises(KeyboardInterrupt):
            await publisher.publish(maker.options(publisher), desk.context)
    assert lab.document(version)["taskStatus"]["state"] == "pending"
    states = [task["state"] for task in lab.document(version)["taskStatus"]["tasks"]]
    assert states == ["complete", "pending", "pending"]
    await publisher.publish(maker.options(publisher), desk.context)
    first = await lab.objects(), told(lab, version, tasks)
    await lab.empty()
    lab.db.AnnotationFrame.update_many({}, {"$set": {"datasetVersions": []}})
    lab.db.AnnotationTask.update_many({}, {"$set": {"datasetVersions": []}})
    lab.db.AnnotationDatasetVersion.update_one({}, {"$set": {"taskStatus": {"state": "pending"}}})
    await Maker(lab, tmp_path / "other").make(version)
    assert (await lab.objects(), told(lab, version, tasks)) == first


async def test_without_opencv_augmentations_are_refused_with_one_sentence(lab, maker, tmp_path, monkeypatch):
    without = tmp_path / "without"
    without.mkdir()
    (without / "cv2.py").write_text("raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')\n")
    monkeypatch.setenv("PYTHONPATH", f"{without}:{os.environ.get('PYTHONPATH', '')}")
    task = await lab.task(2)
    with pytest.raises(Refused, match=r"augmentations need 'cv2', which is not installed: install vidd\[annotate\]"):
        await maker.make(lab.version(task, augmentationTypes=augmentations(BLUR=[1, 2])))
    assert (await maker.make(lab.version(task, number="2")))[0]["sent"] == 2 * 3 + 3
