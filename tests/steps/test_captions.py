"""What is said becomes captions: by each engine, in each language, at the video's own times; or a sentence says why not."""

import asyncio
import json
import os
import signal
from dataclasses import replace

import pytest
from builders.scenes import context as scene_context
from footage.clips import recording
from footage.speech import SENTENCE, speech_video
from pydantic import ValidationError

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.model.talk import Talk
from vidd.steps import captions

pytestmark = pytest.mark.media

DEADLINE = 120
# A stand-in for the package: it says what it was given, and hears two words.
FASTER_WHISPER = """
import json, os, sys
class WhisperModel:
    def __init__(self, path, **given):
        self.given = {"model": path, **given}
    def transcribe(self, audio, **asked):
        with open(os.path.join(self.given["model"], "asked.jsonl"), "a") as file:
            offline = os.environ.get("HF_HUB_OFFLINE")
            file.write(json.dumps({**self.given, **asked, "audio": audio, "offline": offline}) + "\\n")
        class Part: pass
        word, other, segment, about = Part(), Part(), Part(), Part()
        print("a line of a library")
        mode = open(os.path.join(self.given["model"], "model.bin")).read()
        if mode == "crash":
            raise RuntimeError("CUDA failed with error out of memory")
        if mode == "killed":
            os.kill(os.getpid(), 9)
        if mode == "hang":
            import time; time.sleep(60)
        word.word, word.start, word.end, word.probability = " So", 0.5, 1.0, 0.9
        other.word, other.start, other.end, other.probability = " be", 1.0, 1.5, 0.9
        segment.start, segment.end, segment.words = 0.5, 30.0, [word, other]
        about.duration = 4.0
        return iter([segment]), about
"""
WRITES = 'printf "%s" "$2" > "$1"'
WORDS = '{"words": [{"word": "So", "start": 0.5, "end": 1.0}, {"word": "be", "start": 1.0, "end": 1.5}]}'
SRT = "1\n00:00:00,500 --> 00:00:01,500\nSo be\n"


def program(name="{{ output }}.json", content=WORDS, script=WRITES, **settings):
    return {"kind": "program", "argv": ["sh", "-c", script, "sh", name, content], **settings}


def options(engine, **settings):
    return captions.Options.model_validate({"engine": engine, **settings})


async def run(settings, context):
    async with asyncio.timeout(DEADLINE):
        return await captions.run(settings, context)


def text_of(context, outcome, role):
    [artifact] = [artifact for artifact in outcome.artifacts if artifact.role == role]
    return (context.directory / artifact.path).read_text()


def words(context, outcome, language="en"):
    found = json.loads(text_of(context, outcome, f"words-{language}"))["words"]
    return [(word["word"], word["start"], word["end"]) for word in found]


@pytest.fixture
def job(tmp_path, clip):
    return scene_context(tmp_path, clip, step="captions")[0]


@pytest.fixture
def whisper(tmp_path, monkeypatch):
    """A model for the stand-in of faster-whisper, which the child finds."""
    (tmp_path / "packages/faster_whisper").mkdir(parents=True)
    (tmp_path / "packages/faster_whisper/__init__.py").write_text(FASTER_WHISPER)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'packages'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    model = tmp_path / "models/large"
    model.mkdir(parents=True)
    (model / "model.bin").write_text("good")
    return model


def asked(model):
    return [json.loads(line) for line in (model / "asked.jsonl").read_text().splitlines()]


# ---- what is made


async def test_each_language_has_subrip_webvtt_text_and_word_times(job):
    outcome = await run(options(program(), languages=["en", "pt-BR"]), job)
    assert [(artifact.role, artifact.path, artifact.content_type) for artifact in outcome.artifacts[:4]] == [
        ("srt-en", "captions.en.srt", "application/x-subrip"),
        ("vtt-en", "captions.en.vtt", "text/vtt"),
        ("text-en", "captions.en.txt", "text/plain"),
        ("words-en", "captions.en.json", "application/json"),
    ]
    assert [artifact.role for artifact in outcome.artifacts[4:]] == [
        "srt-pt-BR",
        "vtt-pt-BR",
        "text-pt-BR",
        "words-pt-BR",
    ]
    assert text_of(job, outcome, "srt-en") == SRT
    assert text_of(job, outcome, "vtt-pt-BR") == "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nSo be\n"
    assert text_of(job, outcome, "text-en") == "So be\n"
    assert words(job, outcome) == [("So", 0.5, 1.0), ("be", 1.0, 1.5)]
    assert outcome.facts == {
        "cues": {"en": 1, "pt-BR": 1}, "words": {"en": 2, "pt-BR": 2}, "languages": ["en", "pt-BR"], "engine": "program",
    }  # fmt: skip
    assert not (job.directory / ".captions").exists()


# ---- the contract of engines


ENGINES = {
    "program, JSON": lambda _model: program(),
    "program, WebVTT": lambda _model: program("{{ output }}.vtt", "WEBVTT\n\n00:00.500 --> 00:01.500\nSo be\n"),
    "program, SubRip": lambda _model: program("{{ output }}.srt", SRT),
    "program that appends its suffix": lambda _model: program("{{ audio }}.srt", SRT),
    "faster-whisper": lambda model: {"kind": "faster_whisper", "model": str(model)},
}


@pytest.mark.parametrize("engine", ENGINES)
async def test_every_engine_gives_the_same_captions_of_the_same_words(job, whisper, engine):
    settings = options(ENGINES[engine](whisper))
    assert (await captions.check(settings, job.tools)).endswith(".")
    outcome = await run(settings, job)
    assert text_of(job, outcome, "srt-en") == SRT
    assert words(job, outcome) == [("So", 0.5, 1.0), ("be", 1.0, 1.5)]
    exact = json.loads(text_of(job, outcome, "words-en"))["exact"]
    assert exact is (engine in {"program, JSON", "faster-whisper"})


@pytest.mark.parametrize(
    ("engine", "sentence", "code"),
    [
        (program("{{ output }}.vtt", "WEBVTT\n"), "No speech was recognised", FaultCode.BAD_INPUT),
        (program(content='{"words": []}'), "No speech was recognised", FaultCode.BAD_INPUT),
        (program(content="{"), "no JSON", FaultCode.BAD_INPUT),
        (program(script="true"), "wrote none of audio.en.json", FaultCode.BAD_INPUT),
        (program(script="echo no GPU >&2; exit 7"), "no GPU", FaultCode.BAD_INPUT),
        (program(script="exit 127"), "could not be started", FaultCode.NOT_INSTALLED),
        ({"kind": "program", "argv": ["no-such-recogniser"]}, "no program", FaultCode.NOT_INSTALLED),
        ({"kind": "faster_whisper", "model": "models/none"}, "There is no model", FaultCode.BAD_SETTINGS),
        ({"kind": "pocketsphinx", "grammar": "none.jsgf"}, "There is no", FaultCode.BAD_SETTINGS),
    ],
)
async def test_an_engine_that_cannot_do_it_refuses_with_what_to_do(job, whisper, engine, sentence, code):
    with pytest.raises(Refused, match=sentence) as refused:
        await run(options(engine), job)
    assert refused.value.code is code
    assert not list(job.directory.glob("captions*"))


async def test_a_program_that_hangs_is_ended_and_tried_again_later(job):
    with pytest.raises(RetryLater, match="made no progress") as fault:
        await run(options(program(script="sleep 60", stall="200ms", grace="100ms")), job)
    assert fault.value.code is FaultCode.STALLED


async def test_a_program_that_writes_text_alone_makes_no_captions(job):
    outcome = await run(options(program("{{ output }}.txt", "So be it.")), job)
    assert [artifact.role for artifact in outcome.artifacts] == ["text-en"]
    assert text_of(job, outcome, "text-en") == "So be it.\n"


async def test_what_an_earlier_run_of_the_program_left_does_not_count(job):
    (job.directory / ".captions").mkdir()
    (job.directory / ".captions/audio.en.json").write_text(WORDS)
    with pytest.raises(Refused, match="wrote none"):
        await run(options(program(script="true")), job)


async def test_a_program_is_given_sixteen_kilohertz_mono_and_the_languages(job):
    script = 'head -c 44 "$1" | od -An -tu2 -j22 -N6 > "$3"; echo "$4 $5" >> "$3"; printf "%s" "$6" > "$2"'
    argv = ["sh", "-c", script, "sh", "{{ audio }}", "{{ output }}.json", "{{ directory }}/seen", "{{ language }}", "{{ spoken }}", WORDS]  # fmt: skip
    await run(options({"kind": "program", "argv": argv}, languages=["de", "en"]), job)
    channels, rate, *_ = (job.directory / "seen").read_text().split("\n")[0].split()
    assert (channels, rate) == ("1", "16000")
    assert (job.directory / "seen").read_text().endswith("en de\n")


# ---- faster-whisper


async def test_faster_whisper_is_told_everything_and_may_load_nothing_from_elsewhere(job, whisper):
    engine = {
        "kind": "faster_whisper",
        "model": "models/large",
        "device": "cpu",
        "compute_type": "int8",
        "beam_size": 2,
    }
    told = []
    job = replace(job, progress=lambda *now: told.append(now))
    await run(options({**engine, "prompt": "Ada", "vad": False}, languages=["pt-BR"]), job)
    assert told[-1] == (4.0, 4.0, "s", None)
    [told] = asked(whisper)
    assert told == {
        "model": str(whisper), "device": "cpu", "compute_type": "int8", "cpu_threads": 0, "local_files_only": True,
        "language": "pt", "task": "transcribe", "beam_size": 2, "initial_prompt": "Ada", "word_timestamps": True,
        "vad_filter": False, "condition_on_previous_text": False, "offline": "1",
        "audio": str(job.directory / ".captions/audio.pt-BR.wav"),
    }  # fmt: skip


async def test_faster_whisper_translates_into_english_and_into_nothing_else(job, whisper):
    engine = {"kind": "faster_whisper", "model": str(whisper)}
    await run(options(engine, languages=["de", "en"]), job)
    assert [(told["language"], told["task"]) for told in asked(whisper)] == [("de", "transcribe"), ("de", "translate")]
    with pytest.raises(Refused, match="cannot translate en into de"):
        await run(options(engine, languages=["en", "de"]), job)


@pytest.mark.parametrize(
    ("mode", "fault", "sentence"),
    [
        ("crash", Refused, "crashed .*out of memory"),
        ("killed", RetryLater, "was killed"),
        ("hang", RetryLater, "made no progress"),
    ],
)
async def test_a_child_that_ends_without_an_answer_ends_the_step_and_nothing_else(job, whisper, mode, fault, sentence):
    (whisper / "model.bin").write_text(mode)
    with pytest.raises(fault, match=sentence):
        await run(options({"kind": "faster_whisper", "model": str(whisper), "stall": "2s"}), job)


async def test_a_package_that_is_not_installed_is_named_with_its_extra(job):
    engine = {"kind": "faster_whisper", "model": "models/large"}
    with pytest.raises(Refused, match=r"vidd\[captions\]") as refused:
        await captions.check(options(engine), job.tools)
    assert refused.value.code is FaultCode.NOT_INSTALLED


# ---- PocketSphinx, for real


async def test_words_that_are_spoken_are_recognised_within_half_a_second_of_their_times(tmp_path):
    (tmp_path / "words.jsgf").write_text(
        f"#JSGF V1.0;\ngrammar words;\npublic <said> = {SENTENCE} | go forward ten meters;\n"
    )
    video = tmp_path / "late.mp4"
    [said] = speech_video(video, (1.5, SENTENCE, 2.0, "go forward ten meters", 1.0, SENTENCE, 1.0), late=1.5)
    context, told = scene_context(tmp_path, video, step="captions")
    settings = options({"kind": "pocketsphinx", "grammar": "words.jsgf"})
    assert "for en" in await captions.check(settings, context.tools)
    outcome = await run(settings, context)
    found = words(context, outcome)
    assert [word for word, _, _ in found] == " ".join(text for text, _, _ in said).split()
    at = 0
    for text, start, end in said:
        sentence = found[at : at + len(text.split())]
        at += len(sentence)
        assert abs(sentence[0][1] - start) < 0.5
        assert abs(sentence[-1][2] - end) < 0.5
    assert told[-1][2] == "s"


async def test_each_language_is_heard_in_the_audio_track_that_has_it(tmp_path):
    video = tmp_path / "two.mp4"
    speech_video(video, (3.0,), (0.5, SENTENCE, 0.5), languages=("deu", "eng"))
    context, _ = scene_context(tmp_path, video, step="captions")
    outcome = await run(options({"kind": "pocketsphinx"}), context)
    assert text_of(context, outcome, "text-en").split() == SENTENCE.split()


async def test_pocketsphinx_says_which_language_it_has(job):
    with pytest.raises(Refused, match="has models for en"):
        await run(options({"kind": "pocketsphinx"}, languages=["de"]), job)


async def test_silence_has_no_captions_and_leaves_no_empty_file(tmp_path):
    video = recording(tmp_path / "silent.mp4", sound="anullsrc=r=48000")
    context, _ = scene_context(tmp_path, video, step="captions")
    with pytest.raises(Refused, match="No speech was recognised"):
        await run(options({"kind": "pocketsphinx"}), context)
    assert not list(context.directory.glob("captions*"))


async def test_a_file_without_audio_is_refused_before_anybody_listens(tmp_path):
    video = recording(tmp_path / "mute.mp4", tracks=0)
    context, _ = scene_context(tmp_path, video, step="captions")
    with pytest.raises(Refused, match="has no audio"):
        await run(options(program()), context)


# ---- languages


async def languages(job, **settings):
    return (await run(options(program(), **settings), job)).facts["languages"]


def with_talk(job, facts):
    return replace(job, talk=Talk("t1", facts=facts))


def following(job, talk):
    published = {"job": "j0", "talk": talk, "facts": {"title": "On looms"}}
    return replace(job, job=replace(job.job, facts={"published": published}))


async def test_the_programme_names_the_languages_of_a_talk(job):
    assert await languages(job) == ["en"]
    assert await languages(job, language="de") == ["de"]
    assert await languages(with_talk(job, {"columns": {"Language": "German; English"}})) == ["de", "en"]
    assert await languages(with_talk(job, {"language": "fr", "columns": {}})) == ["fr"]
    assert await languages(with_talk(job, {"columns": {"lang": "es"}}), column="lang") == ["es"]
    assert await languages(with_talk(job, {"columns": {"Language": " "}})) == ["en"]
    assert await languages(with_talk(job, {"columns": {"Language": "de"}}), languages=["en"]) == ["en"]


async def test_a_follow_up_knows_language_and_title_of_the_talk_that_it_follows(job):
    outcome = await run(options(program()), following(job, {"facts": {"columns": {"language": "it"}}}))
    assert (outcome.facts["languages"], outcome.facts["title"]) == (["it"], "On looms")


async def test_a_cell_that_names_no_language_is_quoted(job):
    with pytest.raises(Refused, match="'klingonese' is no language"):
        await run(options(program()), with_talk(job, {"columns": {"language": "klingonese"}}))


# ---- settings


def test_a_step_says_of_which_limit_it_holds_a_slot():
    assert captions.pool(options(program())) == "captions"
    assert captions.pool(options(program(), slot="gpus")) == "gpus"


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        ({"kind": "gramophone"}, "gramophone"),
        ({"kind": "program", "argv": []}, "argv"),
        ({"kind": "faster_whisper"}, "model"),
        ({"kind": "pocketsphinx", "grammar": "a", "language_model": "b"}, "not both"),
        ({"kind": "sqs", "account": "a"}, "either queue_url or queue"),
        ({"kind": "sqs", "account": "a", "queue": "q", "results": ["x.doc"]}, "ends in none of"),
        ({"kind": "sqs", "account": "a", "queue": "q", "urls": {"web": "x"}}, "urls knows"),
    ],
)
def test_settings_of_an_engine_that_cannot_work_are_refused(engine, sentence):
    with pytest.raises(ValidationError, match=sentence):
        options(engine)


async def test_a_language_of_the_settings_that_is_none_is_found_by_the_check(job):
    with pytest.raises(Refused, match="is no language"):
        await captions.check(options(program(), languages=["klingonese"]), job.tools)


async def test_a_recogniser_that_is_cancelled_leaves_no_process(job):
    pid = job.directory / "pid"
    script = f'echo $$ > "{pid}.part"; mv "{pid}.part" "{pid}"; sleep 60'
    task = asyncio.create_task(captions.run(options(program(script=script, grace="100ms")), job))
    async with asyncio.timeout(DEADLINE):
        while not pid.exists():  # noqa: ASYNC110 - the program tells nobody
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait({task})
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIGTERM)
