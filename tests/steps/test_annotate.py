"""Frames past a detector: boxes where things are, whichever detector sees them, and what happens when it cannot."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders.detection import BLUE, COLOURS, GREEN, HOPPER, RED, annotations, block, darknet, model, sampled, walker
from onnx import TensorProto
from PIL import Image
from pydantic import ValidationError

from vidd.errors import Refused, RetryLater
from vidd.steps import annotate

pytestmark = pytest.mark.media

DEADLINE = 120
# Six frames in two tasks: a red square, nothing, two squares; a green one, a blue one, nothing.
BOTH = block(RED, 0, 16)
BOTH[32:48, 96:112] = BLUE
PICTURES = [
    [block(RED, 32, 16), block(RED, 0, 0, side=0), BOTH],
    [block(GREEN, 112, 48), block(BLUE, 64, 0), block(RED, 0, 0, side=0)],
]
SEEN = [
    ("task-0-Cam1", 1, [("red", 32, 16)]),
    ("task-0-Cam1", 3, [("blue", 96, 32), ("red", 0, 16)]),
    ("task-1-Cam1", 1, [("green", 112, 48)]),
    ("task-1-Cam1", 2, [("blue", 64, 0)]),
]


def options(*detectors, **settings):
    return annotate.Options.model_validate({"versions": dict(enumerate(detectors, 1)), "version": 1, **settings})


def squares(path, **settings):
    return {"kind": "onnx", "model": str(path), "labels": COLOURS, "confidence": 0.9, **settings}


def darknet_squares(config, weights, **settings):
    return {
        "kind": "darknet", "config": str(config), "weights": str(weights), "labels": COLOURS, "confidence": 0.9, **settings,
    }  # fmt: skip


async def run(settings, context):
    async with asyncio.timeout(DEADLINE):
        return await annotate.run(settings, context)


async def check(settings, context):
    async with asyncio.timeout(DEADLINE):
        return await annotate.check(settings, context.tools)


def found(directory):
    return [
        (
            annotation["task"],
            annotation["index"],
            sorted((box["label"], round(box["x"]), round(box["y"])) for box in annotation["boxes"]),
        )
        for annotation in annotations(directory)
    ]


def children():
    """The processes of detectors that we started."""
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"vidd.detection.worker.main" in (path / "cmdline").read_bytes():
                pids.append(int(path.name))
        except OSError:
            continue
    return pids


def at_frames(context, number, do):
    """A context on which something is done once, when so many frames are told."""
    waiting = [do]

    def progress(done, *_):
        if done >= number and waiting:
            waiting.pop()()

    return replace(context, progress=progress)


@pytest.mark.parametrize("version", [0, "0"])
async def test_a_job_that_wants_no_annotation_gets_an_empty_file_and_waits_for_no_place(tmp_path, version):
    context, _ = sampled(tmp_path, PICTURES, facts={"auto_anno_version": version})

    @asynccontextmanager
    async def taken():
        pytest.fail("a place was taken")
        yield

    settings = options(squares(tmp_path / "missing.onnx"), version=None)
    outcome = await run(settings, replace(context, slot=taken))
    assert annotations(tmp_path) == []
    assert outcome.artifacts[0].role == "annotations"
    assert outcome.facts == {"annotator": 0, "annotated": 0, "boxes": 0, "unread": 0, "left_out": []}


async def test_a_job_that_says_nothing_of_annotation_wants_none(tmp_path):
    context, _ = sampled(tmp_path, PICTURES)
    assert (await run(options({"kind": "people"}, version=None), context)).facts["annotator"] == 0


@pytest.mark.parametrize(
    ("wanted", "sentence"), [(3, "There is no version 3 of automatic annotation, only 1, 2"), ("one", "is no version")]
)
async def test_a_version_that_is_not_there_is_refused_and_those_that_are_named(tmp_path, wanted, sentence):
    context, _ = sampled(tmp_path, PICTURES, facts={"auto_anno_version": wanted})
    with pytest.raises(Refused, match=sentence):
        await run(options({"kind": "people"}, {"kind": "faces"}, version=None), context)


def test_settings_that_fit_no_frame_are_no_settings():
    with pytest.raises(ValidationError, match="no version 7 among the versions"):
        options({"kind": "people"}, version=7)
    with pytest.raises(ValidationError, match="only names 'dog', which is none of the labels"):
        options({"kind": "onnx", "model": "a.onnx", "labels": ["cat"], "only": ["dog"]})


async def test_a_file_that_is_no_cascade_is_found_by_the_check(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES)
    for name, content in (("text.xml", "root:x:0:0"), ("other.xml", "<?xml version='1.0'?><opencv_storage/>")):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(Refused, match=f"{name} is no cascade that OpenCV can read: name another"):
            await check(options({"kind": "faces", "cascade": str(path)}), context)


def test_versions_begin_with_one():
    with pytest.raises(ValidationError, match="begin with 1"):
        annotate.Options.model_validate({"versions": {"0": {"kind": "people"}}})


@pytest.mark.parametrize("layout", ["v5", "v8", "v8 rows", "end"])
async def test_a_model_of_each_layout_finds_each_square_where_it_is(tmp_path, layout):
    path = model(tmp_path / "squares.onnx", layout)
    context, watched = sampled(tmp_path / "job", PICTURES, facts={"auto_anno_version": 1})
    settings = options(squares(path), version=None)
    assert f"read as {layout[:3].strip()}" in await check(settings, context)
    outcome = await run(settings, context)
    assert found(tmp_path / "job") == SEEN
    box = annotations(tmp_path / "job")[0]["boxes"][0]
    assert [box[side] for side in "xywh"] == [32, 16, 16, 16]
    assert box["confidence"] > 0.95
    assert outcome.facts == {"annotator": 1, "annotated": 4, "boxes": 5, "unread": 0, "left_out": []}
    assert watched.progress[-1][:3] == (6.0, 6.0, "frames")


@pytest.mark.parametrize(
    ("made", "settings"),
    [
        ({"batch": 4}, {}),
        ({}, {"batch": 5}),
        ({"kind": TensorProto.FLOAT16}, {}),
        ({"kind": TensorProto.UINT8}, {}),
        ({"names": dict(enumerate(COLOURS))}, {"labels": ()}),
        ({"relative": True}, {"relative": True}),
        ({}, {"labels": COLOURS[::-1], "colours": "bgr"}),
    ],
)
async def test_whatever_a_model_wants_to_be_shown_the_squares_are_the_same(tmp_path, made, settings):
    path = model(tmp_path / "squares.onnx", **made)
    context, _ = sampled(tmp_path / "job", PICTURES)
    await run(options(squares(path, **settings)), context)
    assert found(tmp_path / "job") == SEEN


async def test_frames_without_pictures_are_looked_at_in_the_films(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES, films=True, images=False)
    await run(options(squares(model(tmp_path / "squares.onnx"))), context)
    assert found(tmp_path / "job") == SEEN


async def test_only_the_labels_that_are_wanted_are_kept(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES)
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    settings = squares(
        model(tmp_path / "squares.onnx"), labels=(), labels_file=str(tmp_path / "names.txt"), only=["green"]
    )
    await run(options(settings), context)
    assert found(tmp_path / "job") == [SEEN[2]]


@pytest.mark.parametrize(
    ("made", "settings", "sentence"),
    [
        ({"layout": "flat"}, {}, "The model's output is 1x64"),
        ({}, {"labels": ["a", "b"]}, "1x7x64 does not fit 2 labels"),
        ({"layout": "v5", "classes": 1}, {"labels": ["a"]}, "can be read as v5 or as end: set layout"),
        ({}, {"output": "masks"}, "has no output 'masks', it has output"),
        ({}, {"providers": ["CUDAExecutionProvider"]}, "no CUDAExecutionProvider here"),
        ({}, {"labels": [], "labels_file": "missing.txt"}, "labels in .*missing.txt cannot be read"),
    ],
)
async def test_a_model_that_does_not_fit_is_refused_in_the_check_and_in_the_run(tmp_path, made, settings, sentence):
    settings = options({"kind": "people"}, squares(model(tmp_path / "squares.onnx", **made), **settings), version=2)
    context, _ = sampled(tmp_path / "job", PICTURES)
    with pytest.raises(Refused, match=rf"Version 2 cannot be used\. .*{sentence}"):
        await check(settings, context)
    with pytest.raises(Refused, match=sentence):
        await run(settings, context)


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "There is no model"), (b"garbage" * 99, "is no model that onnxruntime can load")]
)
async def test_a_model_that_cannot_be_loaded_is_found_by_the_check(tmp_path, content, sentence):
    context, _ = sampled(tmp_path / "job", PICTURES)
    if content:
        (tmp_path / "job" / "bad.onnx").write_bytes(content)
    with pytest.raises(Refused, match=sentence):
        await check(options(squares("bad.onnx")), context)


async def test_a_missing_extra_is_one_sentence(tmp_path, monkeypatch):
    context, _ = sampled(tmp_path, PICTURES)
    monkeypatch.setattr(annotate, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(Refused, match=r"^The detectors need onnxruntime: install vidd\[annotate\]\.$"):
        await check(options(squares(model(tmp_path / "squares.onnx"))), context)


@pytest.mark.parametrize("header", [(0, 2, 5), (0, 1, 0)])
async def test_a_darknet_model_finds_each_square_where_it_is(tmp_path, header):
    context, _ = sampled(tmp_path / "job", PICTURES)
    (tmp_path / "obj.names").write_text("red\ngreen\nblue\n\n")
    settings = options(
        darknet_squares(*darknet(tmp_path, header=header), labels=(), labels_file=str(tmp_path / "obj.names"))
    )
    assert await check(settings, context) == "1: squares.weights, 3 labels, 64x32."
    outcome = await run(settings, context)
    assert found(tmp_path / "job") == SEEN
    box = annotations(tmp_path / "job")[0]["boxes"][0]
    assert [box[side] for side in "xywh"] == [32, 16, 16, 16]
    assert box["confidence"] > 0.95
    assert outcome.facts["boxes"] == 5


async def test_a_darknet_model_of_another_shape_sees_the_frame_stretched(tmp_path):
    picture = block(RED, 0, 0, side=0)
    picture[40:48, 80:96] = GREEN
    context, _ = sampled(tmp_path / "job", [[picture]])
    await run(options(darknet_squares(*darknet(tmp_path, size=(64, 64)))), context)
    (annotation,) = annotations(tmp_path / "job")
    assert [(box["label"], *(box[side] for side in "xywh")) for box in annotation["boxes"]] == [
        ("green", 80, 40, 16, 8)
    ]


async def test_a_darknet_model_without_a_size_takes_that_of_the_settings(tmp_path):
    config, weights = darknet(tmp_path)
    config.write_text(config.read_text().replace("width=64\nheight = 32\n", ""))
    context, _ = sampled(tmp_path / "job", PICTURES)
    await run(options(darknet_squares(config, weights, width=64, height=32, only=["green"])), context)
    assert found(tmp_path / "job") == [SEEN[2]]


def _cut_short(config, weights):
    weights.write_bytes(weights.read_bytes()[:-100])


def _of_another_training(config, weights):
    weights.write_bytes(weights.read_bytes() + bytes(100))


def _a_pointer_of_git_lfs(config, weights):
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 244\n")


def _without_weights(config, weights):
    weights.unlink()


def _with_an_unknown_layer(config, weights):
    config.write_text(config.read_text() + "[unheard_of]\nx=1\n")


def _a_text(config, weights):
    config.write_text("root:x:0:0\n")


@pytest.mark.parametrize(
    ("fault", "settings", "sentence"),
    [
        (_cut_short, {}, "squares.weights has .* bytes, and squares.cfg describes a model of"),
        (_of_another_training, {}, "squares.weights has .* bytes, and squares.cfg describes a model of"),
        (_a_pointer_of_git_lfs, {}, "squares.cfg with squares.weights cannot be read"),
        (_without_weights, {}, "There is no file .*squares.weights: put it there, or correct weights"),
        (_with_an_unknown_layer, {}, "squares.cfg with squares.weights cannot be read"),
        (_a_text, {}, "squares.cfg with squares.weights cannot be read"),
        (None, {"labels": ["red", "green"]}, "squares.cfg has 3 classes, and there are 2 labels"),
        (None, {"device": "cuda"}, "OpenCV finds no CUDA device"),
    ],
)
async def test_a_darknet_model_that_does_not_fit_is_refused_in_the_check_and_in_the_run(
    tmp_path, fault, settings, sentence
):
    files = darknet(tmp_path)
    if fault:
        fault(*files)
    settings = options({"kind": "people"}, darknet_squares(*files, **settings), version=2)
    context, _ = sampled(tmp_path / "job", PICTURES)
    with pytest.raises(Refused, match=rf"Version 2 cannot be used\. .*{sentence}"):
        await check(settings, context)
    with pytest.raises(Refused, match=sentence):
        await run(settings, context)


async def test_a_darknet_model_that_ends_in_no_boxes_is_no_detector(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES)
    with pytest.raises(Refused, match=r"squares.cfg ends in no \[yolo\] or \[region\] layer"):
        await check(options(darknet_squares(*darknet(tmp_path, end=""))), context)


async def test_the_face_on_a_photograph_is_found(tmp_path):
    photograph = Image.open(HOPPER).convert("RGB")
    turned = photograph.rotate(180)
    context, _ = sampled(tmp_path, [[np.asarray(photograph), np.asarray(turned)]])
    settings = options({"kind": "faces"})
    assert "haarcascade_frontalface_default.xml" in await check(settings, context)
    await run(settings, context)
    [annotation] = annotations(tmp_path)
    [face] = annotation["boxes"]
    assert (annotation["index"], face["label"]) == (1, "face")
    assert face["x"] < 240 < face["x"] + face["w"]
    assert face["y"] < 190 < face["y"] + face["h"]
    assert 0.9 < face["confidence"] <= 1


async def test_somebody_who_stands_there_is_found_and_a_picture_too_small_for_people_is_none(tmp_path):
    small = walker(size=(50, 50))
    context, _ = sampled(tmp_path / "a", [[walker(), walker(x=330)]])
    await run(options({"kind": "people"}), context)
    boxes = [annotation["boxes"] for annotation in annotations(tmp_path / "a")]
    for x, found_boxes in zip((150, 330), boxes, strict=True):
        [box] = found_boxes
        assert abs(box["x"] + box["w"] / 2 - x) < 20
        assert box["y"] < 85
        assert box["y"] + box["h"] > 260
    context, _ = sampled(tmp_path / "b", [[small]])
    await run(options({"kind": "people"}), context)
    assert annotations(tmp_path / "b") == []


async def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_looked_at(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES)
    broken = tmp_path / "job" / "tasks" / "task-0-Cam1" / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:400])
    outcome = await run(options(squares(model(tmp_path / "squares.onnx"))), context)
    assert found(tmp_path / "job") == SEEN[1:]
    assert (outcome.facts["unread"], [note["name"] for note in outcome.facts["left_out"]]) == (1, ["task-0-Cam1 1"])


async def test_a_film_that_ends_early_costs_the_frames_it_lacks(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES, films=True, images=False)
    film = tmp_path / "job" / "tasks" / "task-0-Cam1" / "task-0-Cam1.mp4"
    film.write_bytes(b"not a film")
    outcome = await run(options(squares(model(tmp_path / "squares.onnx"))), context)
    assert found(tmp_path / "job") == SEEN[2:]
    assert [note["name"] for note in outcome.facts["left_out"]] == ["task-0-Cam1 1", "task-0-Cam1 2", "task-0-Cam1 3"]


async def test_where_no_frame_can_be_read_the_job_is_refused(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES)
    for path in (tmp_path / "job" / "tasks").rglob("*.jpg"):
        path.write_bytes(b"nothing")
    with pytest.raises(Refused, match="None of the 6 frames can be read"):
        await run(options(squares(model(tmp_path / "squares.onnx"))), context)


async def test_tasks_with_neither_film_nor_pictures_are_refused(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES, images=False)
    with pytest.raises(Refused, match="neither a video nor an image of each frame"):
        await run(options(squares(model(tmp_path / "squares.onnx"))), context)


async def test_cancelled_it_leaves_no_child_and_goes_on_after_the_last_whole_task(tmp_path):
    path, job = model(tmp_path / "squares.onnx"), tmp_path / "job"
    context, _ = sampled(job, [[*PICTURES[0], *PICTURES[0]], *([[walker(), walker()]] * 40)])
    settings = options({"kind": "people"})
    here = asyncio.current_task()
    with pytest.raises(asyncio.CancelledError):
        await run(settings, at_frames(context, 12, here.cancel))
    here.uncancel()
    assert children() == []
    whole = {file.name: file.stat().st_ino for file in (job / ".annotate" / "seen").glob("*.jsonl")}
    assert 1 <= len(whole) < 41
    kept = job / "kept.jsonl"
    kept.hardlink_to(job / ".annotate" / "seen" / "000000.jsonl")
    told = []
    await run(settings, replace(context, progress=lambda *now: told.append(now)))
    assert told[0][0] >= 6
    assert kept.stat().st_nlink == 1
    assert len(annotations(job)) == 80
    # Another version begins anew.
    await run(options(squares(path)), context)
    assert found(job) == [(task, index + more, boxes) for more in (0, 3) for task, index, boxes in SEEN[:2]]


async def test_other_labels_begin_anew_what_was_interrupted(tmp_path):
    job, names = tmp_path / "job", tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue\n")
    context, _ = sampled(job, [*PICTURES, *([[walker(), walker()]] * 40)])
    settings = options(squares(model(tmp_path / "squares.onnx"), labels=(), labels_file=str(names)))
    here = asyncio.current_task()
    with pytest.raises(asyncio.CancelledError):
        await run(settings, at_frames(context, 12, here.cancel))
    here.uncancel()
    assert (job / ".annotate" / "seen" / "000000.jsonl").exists()
    names.write_text("rot\ngreen\nblue\n")
    await run(settings, context)
    labels = [box["label"] for annotation in annotations(job) for box in annotation["boxes"]]
    assert "rot" in labels
    assert "red" not in labels


async def test_a_cascade_is_found_in_the_state_directory(tmp_path):
    context, _ = sampled(tmp_path, [[np.asarray(Image.open(HOPPER).convert("RGB"))]])
    brought = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    (context.tools.state / "models").mkdir()
    (context.tools.state / "models" / "mine.xml").write_bytes(brought.read_bytes())
    settings = options({"kind": "faces", "cascade": "models/mine.xml"})
    assert "cascade mine.xml" in await check(settings, context)
    await run(settings, context)
    assert [box["label"] for annotation in annotations(tmp_path) for box in annotation["boxes"]] == ["face"]


@pytest.mark.parametrize(
    ("name", "fate", "sentence"),
    [
        (signal.SIGKILL, RetryLater, "was killed"),
        (signal.SIGSEGV, Refused, r"crashes on 'Cam1.mp4' \(exit -11\): use another"),
    ],
)
async def test_a_child_that_dies_is_told_from_one_that_is_killed(tmp_path, name, fate, sentence):
    context, _ = sampled(tmp_path, [[walker()] * 4] * 10)
    with pytest.raises(fate, match=sentence):
        await run(options({"kind": "people"}), at_frames(context, 1, lambda: os.kill(children()[0], name)))


async def test_a_child_that_hangs_is_ended_and_tried_again_later(tmp_path):
    context, _ = sampled(tmp_path, [[walker()] * 4] * 10)
    hanging = at_frames(context, 1, lambda: os.kill(children()[0], signal.SIGSTOP))
    with pytest.raises(
        RetryLater, match=r"^Version 1 of automatic annotation made no progress for 2 s, .* raise stall"
    ):
        await run(options({"kind": "people"}, stall=2), hanging)
    assert children() == []


async def test_a_child_without_room_for_its_libraries_is_told_apart_from_one_that_crashes(tmp_path):
    context, _ = sampled(tmp_path, PICTURES)
    tight = options({"kind": "people"}).model_copy(update={"memory": 256 << 20})
    with pytest.raises(Refused, match=r"cannot be loaded .* raise memory of the step"):
        await run(tight, context)


PROGRAM = """
import json, os, sys, time
asked, answers, fault = sys.argv[1:4]
rows = [json.loads(line) for line in open(asked)]
print(f"asked {len(rows)}", flush=True)
with open(answers, "w") as out:
    for at, row in enumerate(rows, 1):
        box = {"x": row["index"], "y": 2, "w": 300, "h": 4, "label": "thing", "confidence": 0.5}
        boxes = [box] if row["index"] != 2 and os.path.getsize(row["picture"]) else []
        line = json.dumps({"task": row["task"], "index": row["index"], "boxes": boxes})
        if at == 4 and fault == "garbage":
            line = line[:-5]
        if at == 4 and fault == "shape":
            line = line.replace('"w": 300', '"w": -1') if boxes else '{"task": "x"}'
        if at == 4 and fault == "strange":
            line = json.dumps({"task": "task-9-Cam1", "index": 1, "boxes": []})
        if at == 4 and fault == "twice":
            out.write(line + "\\n")
        if at == 4 and fault == "few":
            break
        if at == 4 and fault == "long":
            line = "x" * 5_000_000
        if at == 4 and fault == "exit":
            out.flush()
            sys.exit("no licence")
        if at == 4 and fault in ("hang", "killed"):
            out.write(line[:20])
            out.flush()
            if fault == "killed":
                os.kill(os.getpid(), 9)
            time.sleep(600)
        out.write(line + "\\n")
"""


def program(tmp_path, fault="", **settings):
    path = tmp_path / "detect.py"
    path.write_text(PROGRAM)
    argv = [sys.executable, str(path), "{{ asked }}", "{{ answers }}", fault or "-"]
    return {"kind": "program", "argv": argv, "grace": "200ms", **settings}


async def test_a_program_answers_for_each_frame(tmp_path):
    context, watched = sampled(tmp_path / "job", PICTURES)
    settings = options(program(tmp_path))
    assert "can be run" in await check(settings, context)
    outcome = await run(settings, context)
    wanted = [("task-0-Cam1", 1), ("task-0-Cam1", 3), ("task-1-Cam1", 1), ("task-1-Cam1", 3)]
    seen = annotations(tmp_path / "job")
    assert [(annotation["task"], annotation["index"]) for annotation in seen] == wanted
    # It is as wide as the frame allows: 128 pixels.
    assert seen[1]["boxes"] == [{"x": 3, "y": 2, "w": 125, "h": 4, "label": "thing", "confidence": 0.5}]
    assert outcome.facts["boxes"] == 4
    assert watched.progress[-1] == (6.0, 6.0, "frames", None)
    assert not (tmp_path / "job" / ".annotate").exists()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("garbage", "Line 4 of the program's answers is not valid"),
        ("shape", r"Line 4 .*the width and height of a box must be positive, and are -1 and 4"),
        ("strange", "is for frame 1 of 'task-9-Cam1', which does not exist"),
        ("twice", "is a second answer for frame"),
        ("few", "left out 3 of 6 frames, such as 1 of 'task-1-Cam1'"),
        ("long", "longer than 4194304 bytes"),
        ("exit", "detect.py failed .*no licence"),
    ],
)
async def test_a_program_that_answers_wrongly_is_refused_by_the_line(tmp_path, fault, sentence):
    context, _ = sampled(tmp_path / "job", PICTURES)
    with pytest.raises(Refused, match=sentence):
        await run(options(program(tmp_path, fault)), context)


@pytest.mark.parametrize(("fault", "sentence"), [("hang", "was not done after|no progress"), ("killed", "was killed")])
async def test_a_program_that_hangs_or_is_killed_is_asked_later_for_what_is_left(tmp_path, fault, sentence):
    context, _ = sampled(tmp_path / "job", PICTURES)
    settings = options(program(tmp_path, fault, stall="1500ms"))
    with pytest.raises(RetryLater, match=sentence):
        await run(settings, context)
    (tmp_path / "detect.py").write_text(PROGRAM.replace("fault = sys.argv[1:4]", "_ = sys.argv[1:4]; fault = ''"))
    outcome = await run(settings, context)
    assert outcome.facts["boxes"] == 4
    assert "asked 3\n" in context.tools.log(context.job.id).read_text()


async def test_a_program_that_is_not_there_is_found_by_the_check(tmp_path):
    context, _ = sampled(tmp_path / "job", PICTURES)
    with pytest.raises(Refused, match=r"Version 1 cannot be used\. There is no program"):
        await check(options({"kind": "program", "argv": ["no-such-program", "{{ answers }}"]}), context)


def test_a_program_must_be_told_where_its_answers_go():
    with pytest.raises(ValidationError, match=r"name \{\{ answers \}\}"):
        options({"kind": "program", "argv": ["cat", "{{ asked }}"]})


async def test_the_children_are_the_only_ones_that_import_the_detectors(tmp_path):
    code = "import sys; import vidd.steps.annotate; print([m for m in ('cv2', 'numpy', 'onnxruntime') if m in sys.modules])"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(DEADLINE):
        said, _ = await child.communicate()
    assert json.loads(said) == []
