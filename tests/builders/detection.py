"""Sampled frames as `frames` hands them over, pictures with things to see, and tiny ONNX and Darknet models that see them."""

import hashlib
import json
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import matplotlib as mpl
import numpy as np
import onnx
from footage.clips import Watched
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from builders.engine import HeldClock
from vidd.files.tree import tree_artifact
from vidd.model.frame_manifest import Sample, Task, TaskList, task_name
from vidd.model.media import Artifact

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
COLOURS = ("red", "green", "blue")
SIDE, CELL = 64, 8  # of a model's picture, and of what it sees as one
HOPPER = Path(mpl.get_data_path()) / "sample_data/grace_hopper.jpg"
"""A photograph that matplotlib ships: Rear Admiral Grace Hopper, 512x600; her face is around (195, 165)."""


def block(colour, x, y, *, size=(128, 64), side=16):
    """A black picture with a square of a colour at x, y."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[y : y + side, x : x + side] = colour
    return picture


def walker(x=150, y=60, scale=1.8, size=(480, 360)):
    """Somebody who stands there, drawn: head, trunk with arms, legs; 115 units high."""
    picture = np.full((size[1], size[0], 3), 150, np.uint8)

    def at(*points):
        return np.array([(int(x + a * scale), int(y + b * scale)) for a, b in points], np.int32)

    trunk = [(-4, 22), (4, 22), (16, 28), (19, 58), (14, 60), (10, 40), (10, 62)]
    legs = [(-10, 60), (10, 60), (11, 112), (5, 114), (0, 70), (-5, 114), (-11, 112)]
    dark = (40, 40, 40)
    cv2.ellipse(picture, at((0, 14))[0].tolist(), (int(7 * scale), int(9 * scale)), 0, 0, 360, dark, -1, cv2.LINE_AA)
    for shape in (trunk + [(-a, b) for a, b in reversed(trunk)], legs):
        cv2.fillPoly(picture, [at(*shape)], dark, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (3, 3), 0)


def sampled(directory: Path, tasks, *, films=False, images=True, facts=None, encoder=None):
    """A context with the frames of these tasks (lists of pictures) and what goes with them."""
    directory.mkdir(parents=True, exist_ok=True)
    source = directory / "source.mp4"
    source.write_bytes(b"-")
    rows, listed = [], []
    for number, pictures in enumerate(tasks):
        name = task_name(number, "Cam1")
        (directory / "tasks" / name).mkdir(parents=True)
        for index, picture in enumerate(pictures, 1):
            if images:
                Image.fromarray(picture).save(directory / "tasks" / name / f"{index}.jpg", quality=95, subsampling=0)
            frame = len(rows)
            rows.append(Sample(name, index, frame, frame, frame / 5, hashlib.sha1(picture.tobytes()).hexdigest()))
        if films:
            film(directory / "tasks" / name / f"{name}.mp4", pictures)
        first = len(rows) - len(pictures)
        video = f"{name}/{name}.mp4" if films else None
        listed.append(Task(number, name, video, len(pictures), first, len(rows) - 1))
    high, wide = tasks[0][0].shape[:2]
    found = TaskList("Cam1", 5.0, 25.0, Fraction(1, 25), wide, high, len(tasks[0]), listed)
    (directory / "manifest.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    (directory / "task_list.json").write_text(json.dumps(found.to_json()))
    watched = Watched(directory, source, name="Cam1.mp4", facts=facts, encoder=encoder)
    context = watched.with_artifacts(
        tree_artifact("tasks", directory, "tasks"),
        *(
            Artifact(role, name, (directory / name).stat().st_size)
            for role, name in (("manifest", "manifest.jsonl"), ("task_list", "task_list.json"))
        ),
    )
    return replace(context, tools=replace(context.tools, clock=HeldClock())), watched


def film(path: Path, pictures):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=5, options={"crf": "1", "preset": "ultrafast"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


def annotations(directory: Path):
    return [json.loads(line) for line in (directory / "annotations.jsonl").read_text().splitlines()]


def model(path: Path, layout="v8", *, batch="n", kind=TensorProto.FLOAT, names=None, classes=3, relative=False):
    """A model that finds squares of a pure colour: it says of each cell of 8x8 pixels how red, green and blue it is.

    `layout` is one of the settings' names, `v8 rows` (the same turned), or `flat` (no boxes at all).
    """
    grid = [(x * CELL, y * CELL) for y in range(SIDE // CELL) for x in range(SIDE // CELL)]
    corners = np.array([(x, y, x + CELL, y + CELL) for x, y in grid], np.float32)
    middles = np.array([(x + CELL / 2, y + CELL / 2, CELL, CELL) for x, y in grid], np.float32)
    boxes = (corners if layout == "end" else middles) / (SIDE if relative else 1)
    constants = {
        "boxes": boxes.T[None],
        "one": np.ones((1, 1, len(grid)), np.float32),
        "flat": np.array([0, 3, -1], np.int64),
        "some": np.array([0], np.int64),
        "end": np.array([classes], np.int64),
        "axis": np.array([1], np.int64),
        "last": np.array([1], np.int64),
        "full": np.array([255.0 if kind == TensorProto.UINT8 else 1.0], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["cast", "full"], ["pixels"]),
        helper.make_node("AveragePool", ["pixels"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Reshape", ["cells", "flat"], ["all"]),
        helper.make_node("Slice", ["all", "some", "end", "axis"], ["scores"]),
        helper.make_node("Slice", ["all", "some", "last", "axis"], ["first"]),
        helper.make_node("Mul", ["first", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["spread"]),
        helper.make_node("Add", ["nothing", "one"], ["sure"]),
    ]
    constants["zero"] = np.zeros((1, 1, 1), np.float32)
    columns = {"v5": ["spread", "sure", "scores"], "end": ["spread", "best", "which"]}.get(layout, ["spread", "scores"])
    if layout == "end":
        nodes += [
            helper.make_node("ReduceMax", ["scores", "axis"], ["best"], keepdims=1),
            helper.make_node("ArgMax", ["scores"], ["number"], axis=1, keepdims=1),
            helper.make_node("Cast", ["number"], ["which"], to=TensorProto.FLOAT),
        ]
    turned = layout == "v8"
    nodes.append(helper.make_node("Concat", columns, ["output" if turned else "joined"], axis=1))
    if layout == "flat":
        nodes.append(helper.make_node("ReduceMean", ["joined", "axis"], ["output"], keepdims=0))
    elif not turned:
        nodes.append(helper.make_node("Transpose", ["joined"], ["output"], perm=[0, 2, 1]))
    graph = helper.make_graph(
        nodes,
        "squares",
        [helper.make_tensor_value_info("images", kind, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["a", "b", "c"][: 2 if layout == "flat" else 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if names is not None:
        helper.set_model_props(made, {"names": str(names)})
    onnx.checker.check_model(made)
    onnx.save(made, path)
    return path


def darknet(directory: Path, *, size=(64, 32), classes=3, header=(0, 2, 5), end="yolo"):
    """The .cfg and .weights files of a Darknet model that finds squares of a pure colour, as `model` does.

    A convolution looks at each cell of 8x8 pixels: its box is the cell, its objectness and classes are the colours.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rows = 5 + classes
    last = f"[yolo]\nmask = 0\nanchors = {CELL},{CELL}\nclasses = {classes}\nnum = 1\n" if end == "yolo" else ""
    config, weights = directory / "squares.cfg", directory / "squares.weights"
    config.write_text(
        f"[net]\nwidth={size[0]}\nheight = {size[1]}\nchannels=3\n\n[convolutional]\nfilters={rows}\nsize={CELL}\n"
        f"stride={CELL}\npad=0\nactivation=linear\n\n{last}"
    )
    kernel, bias = np.zeros((rows, 3, CELL, CELL), np.float32), np.zeros(rows, np.float32)
    # What is white or black has no pure colour: a logistic function of 40 * colour - 20 tells.
    bias[4:] = -20
    for number in range(classes):
        kernel[4, number] = kernel[5 + number, number] = 40 / CELL**2
    seen = struct.pack("<q" if header[0] * 10 + header[1] >= 2 else "<i", 32)
    weights.write_bytes(struct.pack("<iii", *header) + seen + bias.tobytes() + kernel.tobytes())
    return config, weights
