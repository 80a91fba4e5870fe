"""A small analysis of people in a video, in the manner of the research program it stands in for: real, and slow to anger.

It is run under the names of that program's four scripts and takes their flags. It reads the video with PyAV, finds the
scenes by the difference of the pictures' corners, and a person where it is bright; what is dim beside it is his shadow.
`ANALYSIS_FAULT` makes it misbehave: `crash`, `hang`, `deaf`, `runaway`, `garbage`, `truncated`, `nothing`, `killed`,
`memory`, `full`, `temporary`, `greedy`; `ANALYSIS_FAULT_IN` says in which of the four.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = ("premiereFullVideoProcessing", "generatel3DfromPkl", "arrange_data", "extract3Dmesh")
FINAL = "nlf-final-filtered-floorc.pkl"
_BRIGHT = bytes(value > 200 for value in range(256))
_LIT = bytes(value > 60 for value in range(256))


def put(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1))


def scene_folders(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("scene_*") if path.is_dir())


def box(plane: bytes, width: int, stride: int, height: int, table: bytes) -> list[int] | None:
    """Left, top, right, bottom of what the table calls bright."""
    rows = [plane[y * stride : y * stride + width].translate(table) for y in range(height)]
    lit = [(y, row.find(1), row.rfind(1)) for y, row in enumerate(rows) if 1 in row]
    if not lit:
        return None
    return [min(left for _, left, _ in lit), lit[0][0], max(right for _, _, right in lit) + 1, lit[-1][0] + 1]


def look(video: Path) -> list[dict]:
    """Of every picture: its corner's luma, and the boxes of what is bright and of what is lit."""
    import av  # here, so that the faults need not wait for it

    found = []
    with av.open(str(video)) as file:
        total = file.streams.video[0].frames or 0
        for frame in file.decode(video=0):
            grey = frame.reformat(format="gray")
            plane, stride = bytes(grey.planes[0]), grey.planes[0].line_size
            shape = (grey.width, stride, grey.height)
            corner = sum(plane[y * stride + x] for y in range(4) for x in range(4)) / 16
            found.append({"corner": corner, "person": box(plane, *shape, _BRIGHT), "lit": box(plane, *shape, _LIT)})
            print(
                f"\r{100 * len(found) / max(total, len(found)):3.0f}%| {len(found)}/{total} frames", end="", flush=True
            )
    print()
    return found


def process(words: argparse.Namespace) -> None:
    directory = Path(words.directory)
    print(f"Processing {words.video}", flush=True)
    if words.step == -1:
        shutil.rmtree(directory, ignore_errors=True)
        frames = look(Path(words.video))
        starts = [0]
        for at in range(1, len(frames)):
            if abs(frames[at]["corner"] - frames[at - 1]["corner"]) > 15 and at - starts[-1] >= 10:
                starts.append(at)
        bounds = list(zip(starts, [*starts[1:], len(frames)], strict=True))
        # A video without a cut is scene 0, which the names of bodies make -1.
        for number, (start, end) in enumerate(bounds, len(bounds) > 1):
            folder = directory / f"scene_{number:03}"
            folder.mkdir(parents=True)
            (folder / "found.pkl").write_bytes(pickle.dumps(frames[start:end]))
    elif not scene_folders(directory):
        sys.exit(f"There is nothing in {directory}: run all steps first.")
    for folder in scene_folders(directory):
        frames = pickle.loads((folder / "found.pkl").read_bytes())
        people = [frame["person" if words.removeshadows else "lit"] for frame in frames]
        if words.detectionthreshold >= 1 and folder == scene_folders(directory)[0]:
            people = [None] * len(frames)
        (folder / FINAL).write_bytes(pickle.dumps([[] if person is None else [person] for person in people]))
    print(f"{len(scene_folders(directory))} scenes", flush=True)


def in_space(found: list[int]) -> list[list[float]]:
    """Pelvis, head and feet of a person in metres, the floor at 0."""
    left, top, right, bottom = found
    x, tall = (left + right) / 2 / 48 - 1, (bottom - top) / 32
    return [[x, tall / 2, 3.0], [x, tall, 3.0], [x, 0.0, 3.0]]


def floor(words: argparse.Namespace) -> None:
    directory, areas = Path(words.input_dir), []
    for number, folder in enumerate(scene_folders(directory)):
        frames = pickle.loads((folder / words.input_pkl).read_bytes())
        posed = [[in_space(person) for person in frame] for frame in frames]
        (folder / "corrected_3d_poses").mkdir(exist_ok=True)
        for at, frame in enumerate(posed):
            (folder / "corrected_3d_poses" / f"{at:06}.pkl").write_bytes(pickle.dumps(frame))
        points = [person for frame in posed for person in frame]
        area = dict.fromkeys(("min_x", "max_x", "min_y", "max_y", "min_z", "max_z"), 0.0)
        if points:
            for axis, name in ((0, "x"), (2, "z")):
                area[f"min_{name}"] = min(person[0][axis] for person in points) - 1
                area[f"max_{name}"] = max(person[0][axis] for person in points) + 1
            area["min_y"] = min(joint[1] for person in points for joint in person)
            area["max_y"] = max(joint[1] for person in points for joint in person) + 1
        areas.append({"scene": str(number), **area})
    put(directory / "area_scene_minmax.json", areas)


def use_up(directory: Path) -> list:
    """The poses of all frames; their files are gone after it. With the fault `greedy` it hangs half way through, once."""
    found, mark = [], directory.parents[1] / "greedy"
    for path in sorted(directory.iterdir()):
        found.append(pickle.loads(path.read_bytes()))
        path.unlink()
        if os.environ.get("ANALYSIS_FAULT") == "greedy" and len(found) > 5 and not mark.exists():
            mark.touch()
            signal.pause()
    directory.rmdir()
    return found


def arrange(words: argparse.Namespace) -> None:
    base = Path(words.directory)
    out, start = base / "annotationdata", 0
    areas = json.loads((base / "area_scene_minmax.json").read_text())
    for number, folder in enumerate(scene_folders(base)):
        flat = pickle.loads((folder / FINAL).read_bytes())
        deep = use_up(folder / "corrected_3d_poses")
        name, head = (
            f"scene_{number:03}",
            {"scene_no": number, "start_frame": start, "end_frame": start + len(flat) - 1},
        )
        two, three = [], []
        for at, (frame, posed) in enumerate(zip(flat, deep, strict=True)):
            poses = [
                {"id": 0, "BBox": box, "keypoints": [{"x": (box[0] + box[2]) / 2, "y": y} for y in (box[1], box[3])], "score": 0.9}
                for box in frame
            ]  # fmt: skip
            poses3d = [
                {
                    "id": 0,
                    "BBox": [*map(min, zip(*joints, strict=True)), *map(max, zip(*joints, strict=True))],
                    "keypoints": [dict(zip("xyz", joint, strict=True)) for joint in joints],
                }
                for joints in posed
            ]
            two.append({"frame_no": start + at, "no_person": len(poses), "poses": poses})
            three.append({"frame_no": start + at, "no_person": len(poses3d), "poses": poses3d})
        put(out / "2d_poses" / f"{name}_poses.json", {**head, "frames": two})
        put(out / "3d_poses" / f"{name}_poses3d.json", {**head, "frames": three})
        body = f"scene_{int(folder.name[6:]) - 1:03}"
        put(out / "scenepkl" / body / "area.json", areas[number])
        shutil.copy(folder / FINAL, out / "scenepkl" / body / FINAL)
        start += len(flat)
    if words.bare:
        return
    for kind, boxes, tail in (("2d_poses", "2d_BoundingBoxes", ""), ("3d_poses", "3d_BoundingBoxes", "_3d")):
        scenes = [json.loads(path.read_text()) for path in sorted((out / kind).glob("scene_*.json"))]
        bare = [
            {**scene, "frames": [
                {**frame, "poses": [{k: v for k, v in pose.items() if k != "keypoints"} for pose in frame["poses"]]}
                for frame in scene["frames"]
            ]}
            for scene in scenes
        ]  # fmt: skip
        for scene in bare:
            put(out / boxes / f"scene_{scene['scene_no']:03}{tail}.json", scene)
        put(out / kind / "poses.json", {"scenes": scenes})
        put(out / boxes / "BBs.json", {"scenes": bare})
        for folder in (out / kind, out / boxes):
            index = []
            for path in sorted(folder.glob("scene_*.json")):
                scene = json.loads(path.read_text())
                more = {k: v for k, v in areas[scene["scene_no"]].items() if k != "scene"} if kind == "3d_poses" else {}
                place = f"/annotationdata/{folder.name}/{path.name}"
                index.append({**{k: scene[k] for k in ("scene_no", "start_frame", "end_frame")}, "path": place, **more})
            put(folder / "index.json", index)


def mesh(words: argparse.Namespace) -> None:
    scenes, start = Path(words.input_dir), 0
    for folder in sorted(scene_folders(scenes), key=lambda folder: int(folder.name[6:])):
        frames = pickle.loads((folder / words.input_pkl).read_bytes())
        for at, frame in enumerate(frames):
            for person, found in enumerate(frame):
                place = scenes.parent.parent / "body" / folder.name / f"{person}_{start + at}.{words.output_3dformat}"
                place.parent.mkdir(parents=True, exist_ok=True)
                body = json.dumps({"asset": {"version": "2.0"}, "extras": in_space(found)}).encode()
                body += b" " * (-len(body) % 4)
                sizes = (20 + len(body)).to_bytes(4, "little"), len(body).to_bytes(4, "little")
                place.write_bytes(b"glTF\2\0\0\0" + sizes[0] + sizes[1] + b"JSON" + body)
        start += len(frames)


def misbehave(fault: str, directory: Path) -> None:
    match fault:
        case "crash":
            raise RuntimeError("no frames could be decoded")
        case "hang":
            print("Thinking", flush=True)
            signal.pause()
        case "deaf" | "runaway":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            wait = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
            more = {"start_new_session": True, "env": {}} if fault == "runaway" else {}
            child = subprocess.Popen(wait, **more)
            put(directory.parent / "pids.json", [os.getppid(), os.getpid(), child.pid])
            print("Deaf", flush=True)
            signal.pause()
        case "temporary":
            print("The licence server is busy", flush=True)
            sys.exit(os.EX_TEMPFAIL)
        case "slow":
            for at in range(100):
                print(json.dumps({"frame": at, "of": {"frames": 100}}), flush=True)
                time.sleep(0.02)
        case _:
            run_short(fault)


def run_short(fault: str) -> None:
    """Of memory, of disk, of luck."""
    match fault:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            hoard = []
            while True:
                hoard.append(bytes(1 << 24))
        case "full":
            with Path("/dev/full").open("wb") as full:
                full.write(b"x" * 100_000)


def spoil(fault: str, directory: Path) -> None:
    files = sorted(directory.rglob("*.json"))
    match fault:
        case "garbage":
            files[0].write_text("{ this is no JSON")
        case "truncated":
            files[0].write_bytes(b"")
        case "nothing":
            shutil.rmtree(directory)


def main(script: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=script)
    for flag in ("--handestimation", "--removeshadows", "--use_floor", "--onlygeneratesscenes", "--bare"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--video", "--directory", "--input_dir", "--rbfkernel"):
        parser.add_argument(flag)
    parser.add_argument("--input_pkl", default=FINAL)
    parser.add_argument("--output_3dformat", choices=["glb", "obj"], default="glb")
    for flag, usual in (("--step", -1), ("--scene", -1), ("--batchsize", 25)):
        parser.add_argument(flag, type=int, default=usual)
    for flag, usual in (("--removeshadowsthreshold", 0.00015), ("--detectionthreshold", 0.3), ("--fov", 0.0)):
        parser.add_argument(flag, type=float, default=usual)
    known = parser.parse_args(words)
    directory = Path(known.directory or known.input_dir)
    fault = os.environ.get("ANALYSIS_FAULT", "") if os.environ.get("ANALYSIS_FAULT_IN", SCRIPTS[0]) == script else ""
    misbehave(fault, directory)
    dict(zip(SCRIPTS, (process, floor, arrange, mesh), strict=True))[script](known)
    spoil(fault, directory)
    return 0


def install(place: Path) -> Path:
    """The four scripts under the names and in the places the research program has them."""
    for name in SCRIPTS:
        script = place / ("meshextract3D" if name == "extract3Dmesh" else "") / f"{name}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.symlink_to(Path(__file__).resolve())
    return place


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).stem, sys.argv[1:]))
