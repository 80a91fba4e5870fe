"""Any program as a step: its words, its surroundings, its fates, its end, and what it must leave."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from builders.scenes import context, people
from peers.analysis import SCRIPTS, install
from peers.processes import alive
from pydantic import SecretStr, ValidationError

from vidd.errors import Refused, RetryLater
from vidd.programs.exit_codes import exit_name, parse_exit_name
from vidd.programs.output_log import LogFile, OutputLog
from vidd.settings.secret import Account
from vidd.steps import command

RESULTS = "pcloudresults/{{ name }}"
ANNOTATIONS = {"path": f"{RESULTS}/annotationdata", "role": "annotations", "files": "*.json", "count": 16, "json": True}


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    return people(tmp_path_factory.mktemp("walk") / "walk.mp4")


@pytest.fixture
def scripts(tmp_path):
    return install(tmp_path / "tools")


def shell(text: str, **settings):
    return command.Options(argv=("sh", "-c", text, "sh"), **{"probe": False, **settings})


async def run(options, made):
    async with asyncio.timeout(60):
        return await command.run(options, made[0])


def analysis(scripts, *, fault="", at=SCRIPTS[0], **settings):
    words = {
        "argv": (sys.executable, f"{at}.py", "--video", "{{ file }}", "--directory", "{{ directory }}/" + RESULTS),
        "directory": str(scripts),
        "environment": {"ANALYSIS_FAULT": fault},
        "make": (RESULTS,),
        "outputs": ({"path": RESULTS, "role": "results"},),
        "grace": 0.2,
    }
    return command.Options(**{**words, **settings})


@pytest.mark.slow
async def test_a_chain_of_programs_makes_a_tree_of_results_and_each_says_how_far_it_is(tmp_path, walk, scripts):
    final = "nlf-final-filtered-floorc.pkl"
    results = "{{ directory }}/" + RESULTS
    chain = {
        "process": (
            (f"{SCRIPTS[0]}.py", "--video", "{{ file }}", "--directory", results),
            {"path": f"{RESULTS}/scene_001"},
        ),
        "floor": (
            (f"{SCRIPTS[1]}.py", "--input_dir", results, "--use_floor", "--input_pkl", final),
            {"path": f"{RESULTS}/area_scene_minmax.json", "json": True},
        ),
        "arrange": ((f"{SCRIPTS[2]}.py", "--directory", results), ANNOTATIONS),
        "mesh": (
            (
                f"meshextract3D/{SCRIPTS[3]}.py",
                "--input_pkl",
                final,
                "--input_dir",
                f"{results}/annotationdata/scenepkl",
            ),
            {"path": f"{RESULTS}/body", "files": "*/*.glb", "count": 75, "role": "body"},
        ),
    }
    facts, artifacts = {}, {}
    for step, (words, output) in chain.items():
        made = context(tmp_path, walk, facts=facts, step=step)
        options = command.Options(
            argv=(sys.executable, *words), directory=str(scripts), make=(RESULTS,), outputs=(output,),
            progress={"pattern": r"(?P<percent>\d+)%\|"},
        )  # fmt: skip
        outcome = await run(options, made)
        assert command.is_still_valid(options, made[0], outcome)
        facts |= outcome.facts
        artifacts |= {artifact.role: artifact for artifact in outcome.artifacts}
        if step == "process":
            assert made[1][-1] == (100.0, 100.0, "%", None)
    assert facts["video"] | {"size": 0, "megabytes": 0} == {
        "size": 0, "megabytes": 0, "duration": 3.0, "rate": 25.0, "width": 96, "height": 64, "frames": 75,
    }  # fmt: skip
    assert facts["process"]["exit"] == 0
    assert facts["process"]["tail"][-1] == "3 scenes"
    assert facts["arrange"]["outputs"] == {
        "pcloudresults/cm8ek9jj2003oqe0cfeqcou7s/annotationdata": {
            "files": 23,
            "bytes": facts["arrange"]["outputs"]["pcloudresults/cm8ek9jj2003oqe0cfeqcou7s/annotationdata"]["bytes"],
        }
    }
    assert artifacts["body"].tree.files == 75
    log = (tmp_path / "logs/job-1.log").read_text()
    assert log.count("--- exit 0") == 4
    assert " 99%| 74/75 frames" in log


async def test_no_shell_reads_the_words_whatever_a_name_holds(tmp_path, walk):
    made = context(tmp_path, walk, facts={"title": "a b; touch owned $(touch owned) `touch owned`"})
    options = shell('printf "%s|" "$@"').model_copy(update={"argv": ("printf", "%s|", "{{ title }}", "{{ '' }}", "c")})
    outcome = await run(options, made)
    assert outcome.facts["analyse"]["tail"] == ["a b; touch owned $(touch owned) `touch owned`|c|"]
    assert not (made[0].directory / "owned").exists()


async def test_prefix_words_and_extra_words_stand_around_the_programs_own(tmp_path, walk):
    options = command.Options(
        argv=("printf", "%s,"), prefix=("env", "nice"), extra=("{{ raw }}", "--flag"), probe=False
    )
    outcome = await run(options, context(tmp_path, walk))
    assert outcome.facts["analyse"]["tail"] == ["{{ raw }},--flag,"]


async def test_the_program_sees_its_own_environment_and_none_of_the_daemons_secrets(tmp_path, walk, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", "hunter2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    made = context(tmp_path, walk, accounts={"hub": Account(value=SecretStr("s3cr3t word"))})
    options = shell(
        "env | sort; printf 'key: %s' \"$HUB\" >&2; env | grep -c hunter2",
        environment={"MODELS_PATH": "/models/{{ name }}"},
        inherit=("CUDA_VISIBLE_DEVICES", "NOT_SET"),
        secrets={"HUB": "hub.value"},
        exits={"1": "ok"},
    )
    outcome = await run(options, made)
    told = outcome.facts["analyse"]
    said = set(told["head"] + told["tail"])
    assert {"MODELS_PATH=/models/cm8ek9jj2003oqe0cfeqcou7s", "CUDA_VISIBLE_DEVICES=1", "HUB=[hidden]", "0"} <= said
    assert "key: [hidden]" in said
    assert "s3cr3t" not in json.dumps(told) + (tmp_path / "logs/job-1.log").read_text()


async def test_a_secret_that_is_not_there_is_refused_by_name(tmp_path, walk):
    made = context(tmp_path, walk, accounts={"hub": Account(value=SecretStr("x"))})
    with pytest.raises(Refused, match=r"no account 'nub': add \[accounts\.nub\]"):
        await run(shell(":", secrets={"HUB": "nub.value"}), made)
    with pytest.raises(Refused, match="'hub' has no secret 'kind'"):
        await run(shell(":", secrets={"HUB": "hub.kind"}), made)


async def test_files_are_where_the_program_wants_them_for_the_time_of_the_run_only(tmp_path, walk):
    made = context(tmp_path, walk)
    options = shell("wc -c < pcloudvideos/$1", place={"source": "pcloudvideos/{{ name }}{{ suffix }}"})
    options = options.model_copy(update={"argv": (*options.argv, "{{ name }}.mp4")})
    outcome = await run(options, made)
    assert outcome.facts["analyse"]["tail"] == [str(walk.stat().st_size)]
    assert list((made[0].directory / "pcloudvideos").iterdir()) == []


@pytest.mark.parametrize("path", ["../out", "/etc/out", "", "a/../../b", "a\nb"])
async def test_no_path_leads_out_of_the_jobs_directory(tmp_path, walk, path):
    made = context(tmp_path, walk, facts={"path": path})
    with pytest.raises(Refused, match="not below the job's directory"):
        await run(shell(":", outputs=({"path": "{{ path }}"},)), made)


@pytest.mark.slow
async def test_what_is_no_video_is_refused_before_anything_is_run(tmp_path):
    (tmp_path / "text.mp4").write_text("This is no video.")
    made = context(tmp_path, tmp_path / "text.mp4")
    with pytest.raises(Refused):
        await run(shell("touch started", probe=True), made)
    assert not (made[0].directory / "started").exists()


async def test_a_program_or_directory_that_is_missing_is_one_sentence(tmp_path, walk):
    with pytest.raises(Refused, match="no program 'no-such-tool' to run: install it"):
        await run(command.Options(argv=("no-such-tool",), probe=False), context(tmp_path, walk))
    with pytest.raises(Refused, match="no directory /no/such to run it in"):
        await run(shell(":", directory="/no/such"), context(tmp_path, walk))
    with pytest.raises(
        Refused, match=r"could not be started \(exit 127\): .*nothing-of-that.* Install what is missing"
    ):
        await run(shell("nothing-of-that"), context(tmp_path, walk))


@pytest.mark.slow
async def test_a_crash_is_refused_with_the_last_lines_and_the_log_has_all(tmp_path, walk, scripts):
    with pytest.raises(
        Refused, match=r"premiereFullVideoProcessing\.py failed \(exit 1\): .*RuntimeError: no frames"
    ) as caught:
        await run(analysis(scripts, fault="crash"), context(tmp_path, walk))
    assert caught.value.said.splitlines()[0].startswith("Traceback")
    assert "RuntimeError: no frames could be decoded" in (tmp_path / "logs/job-1.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("killed", r"was killed \(SIGKILL, exit 137\), most likely because .* out of memory"),
        ("temporary", r"asks to be run again later \(exit 75\): The licence server is busy"),
        ("full", r"The disk was full while premiereFullVideoProcessing\.py ran"),
        ("memory", r"ran out of memory"),
    ],
)
async def test_what_may_succeed_later_is_run_again_later(tmp_path, walk, scripts, fault, sentence):
    with pytest.raises(RetryLater, match=sentence) as caught:
        await run(analysis(scripts, fault=fault, memory=1 << 28), context(tmp_path, walk))
    assert caught.value.counts is (fault != "full")


@pytest.mark.parametrize(
    ("code", "exits", "fate"),
    [
        (137, {}, RetryLater),
        (3, {"3": "again"}, RetryLater),
        (3, {"3": {"fate": "refused", "sentence": "There are no people in it."}}, Refused),
        (3, {"3": "ok"}, None),
        (139, {"SIGSEGV": "again"}, RetryLater),
        (139, {}, Refused),
        (1, {}, Refused),
        (0, {"0": {"fate": "refused", "sentence": "Zero is bad."}}, Refused),
    ],
)
async def test_exits_have_fates_and_the_settings_have_the_last_word(tmp_path, walk, code, exits, fate):
    options = shell(f"exit {code}", exits=exits)
    if fate is None:
        assert (await run(options, context(tmp_path, walk))).facts["analyse"]["exit"] == code
        return
    with pytest.raises(fate) as caught:
        await run(options, context(tmp_path, walk))
    for exit_ in exits.values():
        assert not isinstance(exit_, dict) or caught.value.sentence == exit_["sentence"]


def test_exits_are_named_by_number_or_signal():
    assert [exit_name(code) for code in (0, 75, 137, -9, -11, 139, 255)] == [
        "0",
        "75",
        *["SIGKILL"] * 2,
        *["SIGSEGV"] * 2,
        "255",
    ]
    assert parse_exit_name("137") == parse_exit_name("SIGKILL")
    for wrong in ("256", "-1", "SIGNOTHING", "x"):
        with pytest.raises(ValueError, match="no exit code"):
            parse_exit_name(wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("nothing", r"'pcloudresults/\w+/annotationdata' was not made"),
        ("garbage", r"'pcloudresults/\w+/annotationdata/2d_BoundingBoxes/BBs.json' is broken: it is no JSON"),
        ("truncated", r"'pcloudresults/\w+/annotationdata/2d_BoundingBoxes/BBs.json' is empty"),
    ],
)
async def test_an_output_that_is_missing_or_broken_is_refused_by_name(tmp_path, walk, scripts, fault, sentence):
    made = context(tmp_path, walk)
    results = made[0].directory / "pcloudresults/cm8ek9jj2003oqe0cfeqcou7s"
    await run(analysis(scripts), made)
    words = {"argv": (sys.executable, "{{ script }}", "--input_dir", str(results), "--directory", str(results))}
    for script, more in ((SCRIPTS[1], {"outputs": ()}), (SCRIPTS[2], {"outputs": (ANNOTATIONS,)})):
        spoilt = {"ANALYSIS_FAULT": fault, "ANALYSIS_FAULT_IN": SCRIPTS[2]}
        options = analysis(scripts, **{**words, **more, "environment": spoilt})
        made[0].facts["script"] = f"{script}.py"
        if script == SCRIPTS[1]:
            await run(options, made)
            continue
        with pytest.raises(Refused, match=sentence):
            await run(options, made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "output", "sentence"),
    [
        (": > out.json", {}, "'out.json' is empty"),
        ("ln -s /etc/passwd out.json", {}, "'out.json' is a link"),
        ("mkdir out.json; touch out.json/a; ln -s /etc/passwd out.json/b", {}, "'b' below out.json is no regular file"),
        ("mkdir out.json; echo 1 > out.json/a", {"files": "*.glb"}, r"are 0 files \*\.glb, and there must be 1"),
        ("echo '[NaN]' > out.json", {"json": True}, "'out.json' is broken: it is no JSON"),
    ],
)
async def test_outputs_must_be_files_with_something_in_them(tmp_path, walk, text, output, sentence):
    with pytest.raises(Refused, match=sentence):
        await run(shell(text, outputs=({"path": "out.json", "role": "out", **output},)), context(tmp_path, walk))


async def test_what_an_earlier_attempt_left_does_not_pass_for_the_output_of_this_one(tmp_path, walk):
    made = context(tmp_path, walk)
    outputs = ({"path": "out/kept", "role": "kept", "fresh": False}, {"path": "out/new", "role": "new"})
    await run(shell("echo 1 > out/kept; echo 1 > out/new", outputs=outputs), made)
    with pytest.raises(Refused, match="'out/new' was not made"):
        await run(shell("true", outputs=outputs), made)
    assert (made[0].directory / "out/kept").exists()


async def test_named_files_of_an_earlier_run_are_removed_before_the_program_runs_and_others_stay(tmp_path, walk):
    made = context(tmp_path, walk)
    for rework in ({}, {"edition": 2, "of": 1}):
        for name in ("out/scene_001/poses/7.pkl", "out/scene_001/video.mp4", "out/poses.txt", "body/scene_000/2_7.glb"):
            (made[0].directory / name).parent.mkdir(parents=True, exist_ok=True)
            (made[0].directory / name).write_text("old")
        (made[0].directory / "out/scene_001/poses/link").symlink_to("/etc/passwd")
        made[0].job.facts["rework"] = rework
        clear = ({"path": "out", "files": "scene_*/poses/*"}, {"path": "body"}, {"path": "not/there"})
        outcome = await run(shell("find out body -type f -o -type l | sort", clear=clear, rework="over"), made)
        assert outcome.facts["analyse"]["tail"] == ["out/poses.txt", "out/scene_001/video.mp4"]
    assert Path("/etc/passwd").exists()


async def test_an_output_of_which_there_may_be_none_is_removed_first_and_may_be_missing(tmp_path, walk):
    made = context(tmp_path, walk)
    (made[0].directory / "body").mkdir()
    (made[0].directory / "body/2_7.glb").write_text("of an earlier run")
    outcome = await run(shell("ls", outputs=({"path": "body", "role": "body", "count": 0},)), made)
    assert (outcome.artifacts, outcome.facts["analyse"]["outputs"]) == ((), {"body": {"files": 0, "bytes": 0}})
    with pytest.raises(Refused, match="'body' is a link"):
        await run(shell("ln -s /etc body", outputs=({"path": "body", "count": 0},)), made)


async def test_a_program_needs_the_files_that_its_settings_name_with_their_sizes(tmp_path, walk):
    made, _ = context(tmp_path, walk)
    options = shell(":", needs=({"path": "out/{{ name }}", "files": "*/poses/*"}, {"path": "areas.json"}))
    poses, areas = "out/cm8ek9jj2003oqe0cfeqcou7s/*/poses/*", "areas.json"
    assert {name: tree.files for name, tree in command.find_needed(options, made).items()} == {poses: 0, areas: 0}
    place = made.directory / "out/cm8ek9jj2003oqe0cfeqcou7s/scene_001/poses"
    place.mkdir(parents=True)
    for number in range(3):
        (place / f"{number}.pkl").write_bytes(b"x")
    (made.directory / "areas.json").write_text("[]")
    whole = command.find_needed(options, made)
    assert {name: tree.files for name, tree in whole.items()} == {poses: 3, areas: 1}
    (place / "1.pkl").write_bytes(b"xy")
    assert command.find_needed(options, made)[poses] != whole[poses]


async def test_a_rework_may_go_over_what_the_last_run_left(tmp_path, walk):
    outputs = ({"path": "out", "role": "out"},)
    for rework, lines in (("anew", ["1"]), ("over", ["2"])):
        place = tmp_path / rework
        place.mkdir()
        await run(shell("echo x >> out", outputs=outputs), context(place, walk))
        made = context(place, walk)
        made[0].job.facts["rework"] = {"edition": 2, "of": 1}
        outcome = await run(shell("echo x >> out; wc -l < out", outputs=outputs, rework=rework), made)
        assert outcome.facts["analyse"]["tail"] == lines


async def test_a_step_is_no_longer_done_once_something_it_made_is_gone(tmp_path, walk):
    made = context(tmp_path, walk)
    options = shell("mkdir -p out; echo 1 > out/a; echo 1 > out/b", outputs=({"path": "out", "count": 2},))
    outcome = await run(options, made)
    assert outcome.artifacts == ()
    assert command.is_still_valid(options, made[0], outcome)
    (made[0].directory / "out/b").unlink()
    assert not command.is_still_valid(options, made[0], outcome)


async def started(options, made, sign: Path) -> asyncio.Task:
    task = asyncio.create_task(command.run(options, made[0]))
    async with asyncio.timeout(60):
        while not (sign.exists() and sign.read_text().endswith("\n]")):
            assert not task.done(), task.result()
            await asyncio.sleep(0.02)
    return task


@pytest.mark.slow
async def test_cancelling_a_deaf_program_with_runaway_children_leaves_nothing_alive(tmp_path, walk, scripts):
    made = context(tmp_path, walk)
    pids = made[0].directory / "pcloudresults/pids.json"
    task = await started(analysis(scripts, fault="runaway"), made, pids)
    family = json.loads(pids.read_text())
    assert len(family) == 3
    assert all(map(alive, family))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [pid for pid in family if alive(pid)] == []
    assert "--- ended early" in (tmp_path / "logs/job-1.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "sentence"),
    [({"limit": 3.0}, "was not done after 3 s"), ({"stall": 3.0}, "made no progress for 3 s")],
)
async def test_a_program_that_takes_too_long_or_says_nothing_is_ended(tmp_path, walk, limits, sentence):
    with pytest.raises(RetryLater, match=f"{sentence}.*raise limit or stall of the step") as caught:
        await run(shell("echo Thinking; exec sleep 600", **limits), context(tmp_path, walk))
    assert caught.value.said == "Thinking"


async def test_a_disk_that_falls_below_the_reserve_ends_the_program_without_counting_it(tmp_path, walk):
    made = context(tmp_path, walk, reserve=1 << 60)
    with pytest.raises(RetryLater, match="free some space") as caught:
        await run(shell("touch started"), made)
    assert not caught.value.counts
    assert not (made[0].directory / "started").exists()


@pytest.mark.slow
async def test_a_command_of_its_own_ends_what_the_program_left_elsewhere(tmp_path, walk):
    options = shell("exec sleep 600", stop=("touch", "{{ directory }}/stopped-{{ name }}"), limit=0.5, grace=0.1)
    made = context(tmp_path, walk)
    with pytest.raises(RetryLater):
        await run(options, made)
    assert (made[0].directory / "stopped-cm8ek9jj2003oqe0cfeqcou7s").exists()
    await run(shell("true", stop=("touch", "again")), made)
    assert not (made[0].directory / "again").exists()


@pytest.mark.slow
async def test_progress_comes_from_lines_of_json_too(tmp_path, walk, scripts):
    made = context(tmp_path, walk)
    options = analysis(
        scripts, fault="slow", argv=(sys.executable, f"{SCRIPTS[0]}.py", "--directory", "{{ directory }}/" + RESULTS),
        progress={"fields": {"done": "frame", "total": "of.frames"}, "unit": "frames"}, exits={"1": "ok"}, outputs=(),
    )  # fmt: skip
    await run(options, made)
    assert len(made[1]) >= 3
    assert {told[1:] for told in made[1]} == {(100.0, "frames", None)}


@pytest.mark.parametrize(
    "settings",
    [
        {"argv": ()},
        {"argv": ("{{ broken",)},
        {"progress": {"pattern": "(\\d+)%"}},
        {"progress": {"pattern": "("}},
        {"progress": {"fields": {"done": "frame"}}},
        {"exits": {"300": "again"}},
        {"exits": {"3": "maybe"}},
        {"environment": {"NO-NAME": "x"}},
        {"slot": "uploads"},
        {"outputs": ({"path": "out", "schema": "no_such"},)},
        {"outputs": ({"path": "out", "role": "a/b"},)},
    ],
)
def test_settings_that_cannot_be_right_are_refused_at_once(settings):
    with pytest.raises(ValidationError):
        command.Options(**{"argv": ("true",), **settings})


def test_options_come_back_from_what_is_stored_with_a_job():
    options = command.Options(argv=("true",), outputs=(ANNOTATIONS,), exits={"3": "again"}, limit="1h", memory="2GiB")
    assert command.Options.model_validate(options.model_dump(mode="json")) == options
    assert command.pool(command.Options(argv=("true",), slot="gpus")) == "gpus"


async def test_a_check_names_what_is_missing(tmp_path):
    tools = context(tmp_path)[0].tools
    assert await command.check(command.Options(argv=("sh",)), tools) == "sh can be run."
    assert await command.check(command.Options(argv=("{{ talk.id }}",)), tools) == "Each job names the program to run."
    for wrong in (
        {"argv": ("no-such",)},
        {"argv": ("sh",), "directory": "/no"},
        {"argv": ("sh",), "secrets": {"A": "b.c"}},
    ):
        with pytest.raises(Refused, match="There is no"):
            await command.check(command.Options(**wrong), tools)


def test_a_log_is_bounded_and_keeps_what_was_said_last(tmp_path):
    log = LogFile(tmp_path / "job.log", 1000)
    for at in range(500):
        log.write(b"line %03d\n" % at)
    log.close()
    old, new = (tmp_path / "job.log.1").read_text(), (tmp_path / "job.log").read_text()
    assert len(old) + len(new) <= 1000
    assert (old + new).splitlines() == [f"line {at:03}" for at in range(500 - len((old + new).splitlines()), 500)]
    again = LogFile(tmp_path / "job.log", 1000)
    again.write(b"more\n")
    again.close()
    assert (tmp_path / "job.log").read_text() == new + "more\n"


def test_lines_without_an_end_and_bars_that_are_drawn_anew_stay_bounded_and_hide_their_secrets(tmp_path):
    heard = []
    spoken = OutputLog(LogFile(tmp_path / "log", 1 << 20), ["key-123"], heard.append)
    spoken.out.feed(b"\r10%\r20%\n\x1b[31mred\x1b[0m\n")
    assert heard == ["10%", "20%", "red"]
    endless = b"x" * 16380 + b"key-123" + b"y" * 40000
    for at in range(0, len(endless), 1000):
        spoken.err.feed(endless[at : at + 1000])
    spoken.end()
    assert max(map(len, heard)) <= 16384 * 2
    assert "key-1" not in "".join(heard)
    assert b"key-1" not in (tmp_path / "log").read_bytes().replace(b"\n", b"")
    assert spoken.bytes_received == 0 + len(b"\r10%\r20%\n\x1b[31mred\x1b[0m\n") + len(endless)
    spoken.log.close()


def test_a_log_that_the_disk_does_not_take_does_no_harm(tmp_path):
    log = LogFile(tmp_path / "log", 1 << 20)
    os.dup2(os.open("/dev/full", os.O_WRONLY), log._file.fileno())
    log.write(b"lost\n")
    log.close()
