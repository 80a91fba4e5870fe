"""Every kind of step with something to work on, for the suite of the promises."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builders.aws import Bucket, a_job, a_step_context, the_tools
from builders.aws import an_account as an_aws_account
from builders.cards import a_cards_step, a_post
from builders.datasets import Lab, Maker
from builders.detection import BLUE, COLOURS, RED, block, model, sampled
from builders.mail import context as a_describe
from builders.posts import PNG, a_posts_step, tweet
from builders.scenes import context as a_scene_context
from builders.slides import slides_step
from footage.clips import Watched, recording
from peers.analysis import install
from peers.ranged_file import ranged_file
from peers.x import X

from vidd.ports import StepContext

DATA = os.urandom(3 * 2**20 + 11)
NAME = "cm8ek9jj2003oqe0cfeqcou7s"
FINAL = "nlf-final-filtered-floorc.pkl"


@dataclass
class Case:
    """A step of `kind`; `context` makes a job with its files in a directory, the same at every call."""

    kind: str
    options: dict[str, Any]
    context: Callable[[Path], StepContext]


def watched(name, video, **facts):
    def context(directory):
        directory.mkdir(parents=True)
        shutil.copyfile(video, directory / "source.mp4")
        return Watched(directory, directory / "source.mp4", name=name, facts=facts).context

    return context


@asynccontextmanager
async def annotate(_request, directory):
    squares = model(directory / "squares.onnx")
    pictures = [[block(RED, 32, 16), block(BLUE, 0, 0)], [block(BLUE, 64, 0), block(RED, 112, 48)]]
    options = {
        "versions": {"1": {"kind": "onnx", "model": str(squares), "labels": list(COLOURS), "confidence": 0.9}},
        "version": 1,
    }
    yield Case("annotate", options, lambda place: sampled(place, pictures)[0])


@asynccontextmanager
async def captions(request, _directory):
    text = 'for i in 1 2 3; do echo half > "$1.part"; sleep 0.03; done; printf "%s" "$2" > "$1"'
    words = '{"words": [{"word": "so", "start": 0.1, "end": 0.5}, {"word": "be", "start": 2, "end": 2.5}]}'
    argv = ["sh", "-c", text, "sh", "{{ output }}.json", words]
    video = request.getfixturevalue("clip")
    options = {"engine": {"kind": "program", "argv": argv, "grace": "100ms"}, "languages": ["en", "de"]}
    yield Case("captions", options, lambda place: a_scene_context(place, video)[0])


@asynccontextmanager
async def cards(_request, _directory):
    def context(place):
        return a_cards_step(place, posts=[a_post(f"Post {number} 👩‍🚀 مرحبا", pictures=3) for number in range(14)])

    yield Case("cards", {"theme": "dark"}, context)


@asynccontextmanager
async def command(request, _directory):
    text = (
        "for i in 1 2 3 4; do mkdir -p out; echo $i >> out/all.txt; sleep 0.03; done; wc -l < out/all.txt > out/count"
    )
    options = {
        "argv": ["sh", "-c", f"rm -rf out; {text}"],
        "probe": False,
        "grace": "100ms",
        "outputs": [{"path": "out", "role": "results"}],
    }
    video = request.getfixturevalue("walk")
    yield Case("command", options, lambda place: a_scene_context(place, video)[0])


@asynccontextmanager
async def data_set(request, directory):
    server, account = request.getfixturevalue("aws"), request.getfixturevalue("account")
    bucket = await Bucket(an_aws_account(server), f"b{abs(hash(str(directory)))}").make()
    lab = Lab(account, bucket, directory)
    version = lab.version(await lab.task(6))

    def context(place):
        made = Maker(lab, place).context(version)
        return replace(made, job=replace(made.job, id="job1"))

    yield Case("data_set", {"database": "mongo", "account": "store", "bucket": bucket.name}, context)
    lab.close()


@asynccontextmanager
async def describe(_request, _directory):
    def context(place):
        place.mkdir(parents=True)
        return a_describe(place)

    yield Case("describe", {"description": "{{ speakers }}: {{ talk.description }}"}, context)


@asynccontextmanager
async def fetch(_request, directory):
    original = directory / "in/talk.mp4"
    original.parent.mkdir()
    original.write_bytes(DATA)

    def context(place):
        place.mkdir(parents=True)
        return a_step_context(place / "job", a_job(original.as_uri()), the_tools(place))

    yield Case("fetch", {}, context)


@asynccontextmanager
async def fetch_http(_request, _directory):
    async with ranged_file(DATA) as web:

        def context(place):
            place.mkdir(parents=True)
            return a_step_context(place / "job", a_job(web.url), the_tools(place))

        yield Case("fetch", {}, context)


@asynccontextmanager
async def frames(request, _directory):
    options = {"per_task": 5, "images": True, "thumbnails": True}
    yield Case("frames", options, watched("Cam1.mp4", request.getfixturevalue("clip"), frame_rate=5))


@asynccontextmanager
async def posts(_request, _directory):
    x = X()
    with x.serving(None):
        x.pictures = {f"{number}.png": PNG + os.urandom(2**19) for number in range(6)}
        x.media = {
            name: {"media_key": name, "type": "photo", "url": f"{x.url}/pictures/{name}"}
            for name in [*x.pictures, "7.png"]
        }
        x.add("ada", *(tweet(number, attachments={"media_keys": list(x.media)}) for number in range(12)))
        options = {"private_addresses": True, "parallel": 2}
        yield Case("posts", options, lambda place: a_posts_step(place / "job", x, count=11))


def _analysed(directory, video):
    """What the programs of an analysis leave."""
    tools, out = install(directory / "tools"), directory / "results"
    for words in (
        ("premiereFullVideoProcessing.py", "--video", video, "--directory", out),
        ("generatel3DfromPkl.py", "--input_dir", out, "--use_floor", "--input_pkl", FINAL),
        ("arrange_data.py", "--directory", out),
        ("meshextract3D/extract3Dmesh.py", "--input_pkl", FINAL, "--input_dir", out / "annotationdata/scenepkl"),
    ):
        subprocess.run([sys.executable, *map(str, words)], cwd=tools, check=True, capture_output=True)
    return out


@asynccontextmanager
async def results(request, directory):
    out = _analysed(directory, request.getfixturevalue("walk"))

    def context(place):
        made, _ = a_scene_context(place, step="results")
        shutil.copytree(out, made.directory / "pcloudresults" / NAME)
        return made

    options = {
        "path": "pcloudresults/{{ name }}/annotationdata",
        "parts": {"body": "pcloudresults/{{ name }}/body"},
        "needs": ["body"],
    }
    yield Case("results", options, context)


@asynccontextmanager
async def scenes(request, _directory):
    video = request.getfixturevalue("walk")
    yield Case("scenes", {}, lambda place: a_scene_context(place, video, step="scenes")[0])


@asynccontextmanager
async def slideshow(_request, _directory):
    options = {"formats": ["mp4", "webm", "ogg", "av1"], "seconds": 0.3, "crossfade": 0.1}
    yield Case("slideshow", options, lambda place: slides_step(place, 4)[1])


@asynccontextmanager
async def transcode(request, _directory):
    renditions = [{"height": height, "video_bitrate": "100k", "audio_bitrate": "32k"} for height in (48, 90)]
    yield Case(
        "transcode", {"renditions": renditions, "hls": True}, watched("talk.mp4", request.getfixturevalue("clip"))
    )


def _trim(lane):
    @asynccontextmanager
    async def trim(_request, directory):
        video = recording(directory / "recording.mp4", seconds=8)
        yield Case("trim", {"fade": "500ms", "lane": lane}, watched("x.mp4", video, start=1.3, end=6.7))

    return trim


CASES = {
    "annotate": annotate,
    "captions": captions,
    "cards": cards,
    "command": command,
    "data_set": data_set,
    "describe": describe,
    "fetch": fetch,
    "fetch (HTTP)": fetch_http,
    "frames": frames,
    "posts": posts,
    "results": results,
    "scenes": scenes,
    "slideshow": slideshow,
    "transcode": transcode,
    "trim": _trim("auto"),
    "trim (full cut)": _trim("full"),
}
"""By kind, with the variant in brackets."""
