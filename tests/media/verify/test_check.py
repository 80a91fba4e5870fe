"""Forty files that must not go out, and twenty that must: each through the engine, to a publisher that counts."""

import asyncio
import sys
import tomllib
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from builders.engine import Engine, FakePublisher
from footage import clips, damaged
from footage.damaged import PICTURE, recording

from vidd.media.verify.verify import verify
from vidd.model.check_policy import Policy, findings
from vidd.model.job import State
from vidd.model.media import Artifact, Outcome
from vidd.ports import Encoder, PlannedStep
from vidd.settings.schema import Check
from vidd.steps import transcode, trim

pytestmark = pytest.mark.media

ETC = Path(__file__).parents[3] / "etc/examples/talks.toml"
# The policy for all sixty files is that of etc/examples/talks.toml, which is stricter than the usual one.
STRICT = Check.model_validate(tomllib.loads(ETC.read_text())["pipelines"]["talks"]["check"]).model_dump()
ENCODER = Encoder(clips.FFMPEG, nice=0, threads=1, stall=60.0)
ENDS = (State.PUBLISHED, State.HELD, State.REFUSED)


class Work:
    """What a planned step is made of."""

    def __init__(self, name, run):
        self.name, self._run = name, run

    def planned(self):
        return PlannedStep(self.name, self.name, None, "1", self._run)


async def fate(place, steps, **facts):
    """What becomes of a job with these steps under the strict policy: the job at its end, and what went out."""
    far = FakePublisher("far")
    place.mkdir(exist_ok=True)
    async with Engine(place, steps=steps, publishers=[far]) as engine:
        engine.context.tools = replace(engine.context.tools, encoder=ENCODER)
        engine.intake.pipelines["talks"]["check"] = STRICT
        job = await engine.one(facts=facts)
        async with asyncio.timeout(120):
            await engine.runner.idle(0)
        saved = await engine.store.job(job.id)
        assert saved.state in ENDS, saved.reason
        made = [artifact for step in await engine.store.steps(job.id) for artifact in step.outcome.artifacts]
        return saved, len(far.arrived), made


def putting(path, wanted):
    """A step that takes a finished file for its own work, as ffmpeg left it, and checks it as every step does."""

    async def run(context):
        media, check = await verify(ENCODER, path, wanted, context.job.name)
        (context.directory / "talk.mp4").write_bytes(path.read_bytes())
        size = path.stat().st_size
        return Outcome((Artifact("talk", "talk.mp4", size, "video/mp4", media, {"check": check.to_json()}),))

    return Work("trim", run)


def bringing(path):
    async def run(context):
        (context.directory / path.name).hardlink_to(path)
        return Outcome((Artifact("source", path.name, path.stat().st_size),))

    return Work("fetch", run)


@dataclass
class Good:
    """A recording, and what is made of it."""

    make: object
    options: dict = field(default_factory=dict)
    start: float = 10.0
    end: float = 40.0
    step: ModuleType = trim
    name: str = "in.mp4"


def upright(path):
    flat = recording(path.with_name("flat.mp4"))
    clips.ffmpeg("-display_rotation", 90, "-i", flat, "-c", "copy", path)


def two_tracks(path):
    one = recording(path.with_name("one.mp4"))
    clips.ffmpeg(
        "-i", one, "-i", one, "-map", "0", "-map", "1:a", "-c", "copy", "-c:a:1", "aac", "-filter:a:1", "volume=0", path
    )


def late_sound(path):
    one = recording(path.with_name("one.mp4"))
    clips.ffmpeg("-i", one, "-itsoffset", 12, "-i", one, "-map", "0:v", "-map", "1:a", "-c", "copy", "-t", 50, path)


def with_(picture="null", sound="copy", *output):
    """A recording with more filters on its picture and its sound."""
    return lambda path: recording(path, *output, picture=f"{PICTURE},{picture}", sound=sound)


HEVC = ("-c:v", "libx265", "-x265-params", "log-level=error", "-tag:v", "hvc1")
GOOD = {
    "as most are": Good(recording),
    "encoded whole": Good(recording, {"lane": "full"}),
    "without fades": Good(recording, {"fade": "0s"}),
    "with long fades": Good(recording, {"fade": "8s"}),
    "two seconds long": Good(recording, {"fade": "500ms"}, 20, 22),
    "a varying rate": Good(with_("select='gt(mod(n,7),1)'", "copy", "-fps_mode", "vfr")),
    "a phone held upright": Good(upright),
    "no sound on purpose": Good(partial(recording, sound=None)),
    "slides that stand for three minutes": Good(
        partial(recording, seconds=600, picture="testsrc2=size={size}:rate=1/180:duration={seconds},fps=5"), end=590.0
    ),
    "23.976 pictures a second": Good(partial(recording, rate="24000/1001")),
    "60 pictures a second": Good(partial(recording, rate="60")),
    "quiet but fine": Good(with_("null", "volume=-15dB")),
    "loud but not clipped": Good(with_("null", "volume=9dB,alimiter=limit=0.7:level=false")),
    "several tracks of which one is silent": Good(two_tracks),
    "sound that begins late": Good(late_sound, start=20.0),
    "an odd size": Good(partial(recording, size="95x63", sound="anull"), {}, name="in.avi"),
    "HEVC": Good(lambda path: recording(path, *HEVC)),
    "a dim hall": Good(with_("lutyuv=y=16+(val-16)*0.15")),
    "a short black and a pause": Good(
        with_("drawbox=t=fill:c=black:enable='between(t,20,23)'", "volume=0:enable='between(t,24,31)'")
    ),
    "a rendition of fewer pictures": Good(
        recording,
        {"renditions": [{"height": 32, "video_bitrate": "100k", "fps": 12.5}]},
        step=transcode,
    ),
}


@pytest.mark.timeout(900)
async def test_no_bad_file_goes_out_and_no_good_one_is_blocked(tmp_path, capsys):
    assert (len(damaged.BAD), len(GOOD)) == (40, 20)
    talk = damaged.Talk(tmp_path)
    published, blocked = [], []
    for number, (name, (spoil, words)) in enumerate(damaged.BAD.items()):
        path = tmp_path / f"bad{number}.mp4"
        wanted = spoil(talk, path) or talk.wanted
        job, out, _ = await fate(tmp_path / f"b{number}", [putting(path, wanted)])
        published += [name] * out
        assert words in job.reason, name
    for number, (name, good) in enumerate(GOOD.items()):
        room = tmp_path / f"good{number}"
        room.mkdir()
        good.make(room / good.name)
        run = partial(good.step.run, good.step.Options.model_validate(good.options))
        steps = [bringing(room / good.name), Work(good.step.__name__, run)]
        job, out, made = await fate(room, steps, start=good.start, end=good.end)
        blocked += [f"{name}: {job.reason}"] * (1 - out)
        usual = [finding for artifact in made for finding in findings(artifact.facts.get("check", {}), Policy())]
        blocked += [f"{name}, usually: {finding.sentence}" for finding in usual if finding.action != "note"]
    with capsys.disabled():
        sys.stdout.write(f"\nbad_published={len(published)} good_blocked={len(blocked)}\n")
    assert (published, blocked) == ([], [])
