"""The command line against a running daemon; its exit codes are those of vidd/cli/common.py."""

import json

import pytest
from peers.daemon import until
from peers.daemon_texts import talk
from typer.testing import CliRunner

from vidd.__main__ import app

pytestmark = pytest.mark.daemon


@pytest.fixture
def daemon(place):
    place.programme(talk("t1"), talk("t2"))
    with place.daemon() as running:
        yield running.ready()
        running.stopped()


def test_a_job_is_submitted_watched_cancelled_paused_retried_and_followed(place, daemon, clip):
    recording = place.drop(clip).rename(place.root / "in" / ".." / "site" / "Main_t1_000000_000003.mp4").resolve()
    place.slow()
    assert place.vidd("jobs") == (0, "There are no such jobs.\n", "")
    code, out, _ = place.vidd("submit", recording, "--json")
    assert code == 0
    job = json.loads(out)["id"]
    assert json.loads(place.vidd("submit", recording, "--json")[1])["id"] == job

    (ffmpeg,) = daemon.encoding()
    code, out, _ = place.vidd("jobs")
    assert (code, out.startswith(f"{job}  working     Main_t1_000000_000003.mp4")) == (0, True)
    assert place.vidd("jobs", "--state", "refused") == (0, "There are no such jobs.\n", "")
    assert place.vidd("explain", job[-6:])[1].startswith("Waiting for its step trim to end. Reason: trim ")
    assert "  step fetch: " in place.vidd("show", job)[1]

    cancelled = (0, f"{job}  cancelled   Main_t1_000000_000003.mp4  A person cancelled it.\n", "")
    assert place.vidd("cancel", job) == cancelled
    assert ffmpeg not in place.encodes()
    assert list((place.root / "jobs").iterdir()) == []
    assert place.vidd("cancel", job) == cancelled

    place.quick()
    assert place.vidd("pause")[0] == 0
    assert place.vidd("retry", job)[1].startswith(f"{job}  ready ")
    assert place.vidd("explain", job)[1].startswith("Waiting for somebody to resume the daemon. Reason: ")
    follows = [place.start_vidd("follow", job), place.start_vidd("follow", job, "--json")]
    until(lambda: daemon.ask("/api/jobs")[1]["jobs"][0]["state"] == "ready", "it stays where it is")
    lines = [one.stdout.readline() for one in follows]
    assert place.vidd("resume") == (0, "vidd starts jobs again.\n", "")
    with follows[0] as plain, follows[1] as as_json:
        told = lines[0] + plain.stdout.read(), lines[1] + as_json.stdout.read()
        assert (plain.wait(), as_json.wait()) == (0, 0)
    words = [line.split()[1] for line in told[0].splitlines()]
    assert [word for word in words if word not in {"trim", "fetch", "folder"}] == [
        "ready",
        "working",
        "publishing",
        "published",
    ]
    events = [json.loads(line) for line in told[1].splitlines()]
    assert events[-1]["event"] == "job"
    assert events[-1]["job"]["state"] == "published"
    assert {one["event"] for one in events} >= {"job", "step", "publication", "progress"}

    for command, sentence in (
        ("retry", f"vidd: The job {job} is published and all its notices went out: there is nothing to retry"),
        ("cancel", "vidd: A job that is published cannot become cancelled"),
    ):
        code, _, error = place.vidd(command, job)
        assert (code, error.startswith(sentence)) == (1, True), error
    shown = json.loads(place.vidd("show", job, "--json")[1])
    assert [one["state"] for one in shown["history"]] == [
        *("seen", "ready", "working", "cancelled", "ready", "working", "publishing", "published")
    ]
    assert place.vidd("follow", job)[0] == 0


def test_commands_say_what_is_wrong_and_end_with_the_codes_that_are_documented(place, daemon, clip):
    until(lambda: daemon.ask("/health")[0] == 200, "all is well")
    assert place.vidd("health") == (0, "All is well.\n", "")
    place.drop(clip, "holiday.mp4")
    refused = daemon.job("refused")
    code, out, _ = place.vidd("follow", refused["id"])
    assert code == 1
    assert "does not say which talk it is" in out
    assert place.vidd("submit", "/no/such/file.mp4") == (
        1,
        "",
        "vidd: There is no file '/no/such/file.mp4' that the daemon can see: check the path and its rights.\n",
    )
    code, _, error = place.vidd("show", "zzzz")
    assert (code, "zzzz" in error) == (1, True)
    assert place.vidd("jobs", "--limit", "many")[0] == 2
    assert place.vidd("submit", "/x.mp4", "--start", "soon")[0] == 2
    assert place.vidd("jobs", "--state", "lost")[0] in {1, 2}
    place.config.write_text("[daemon]\nstat = 1\n")
    assert place.vidd("jobs") == (2, "", "vidd: daemon.stat: there is no such key\n")
    place.config.write_text("[daemon\n")
    assert place.vidd("jobs")[0] == 2
    place.settings()


def test_what_an_outage_left_behind_is_taken_up_by_one_command(place, daemon, clip):
    for name in ("one", "two", "three"):
        place.drop(clip, f"{name}.mp4")
    until(lambda: len(json.loads(place.vidd("jobs", "--state", "refused", "--json")[1])["jobs"]) == 3, "all refused")
    assert place.vidd("pause")[0] == 0
    ids = [one["id"] for one in json.loads(place.vidd("jobs", "--json")[1])["jobs"]]

    code, _, error = place.vidd("retry", "--state", "refused")
    assert (code, "there is no terminal to ask at: give --yes" in error) == (2, True)
    for words in (
        (),
        (ids[0], "--state", "refused"),
        ("--state", "refused", "--yes", "--replace"),
        (ids[0], "--pipeline", "talks"),
    ):
        assert place.vidd("retry", *words)[0] == 2
    assert place.vidd("retry", "--state", "unsure", "--yes") == (0, "There are no such jobs.\n", "")

    code, out, error = place.vidd("retry", ids[0], "zzzz", ids[1])
    assert (code, out.splitlines()[-1]) == (1, "vidd retries 2 of 3 jobs.")
    assert error.startswith("vidd: zzzz: There is no job 'zzzz'")
    code, out, _ = place.vidd("retry", "--state", "refused", "--pipeline", "talks", "--yes", "--json")
    answer = json.loads(out)
    assert (code, [one["id"] for one in answer["retried"]], answer["not_retried"]) == (0, [ids[2]], [])
    assert len(json.loads(place.vidd("jobs", "--state", "ready", "--json")[1])["jobs"]) == 3


def test_whoever_asks_a_daemon_needs_its_state_directory_only(place, daemon, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__CHANNEL__REFRESH_TOKEN", "the daemon's")
    monkeypatch.setenv("VIDD_SOURSES__TALKS__KIND", "folder")

    def vidd(*words):
        ended = CliRunner().invoke(app, list(words))
        return ended.exit_code, ended.stdout, ended.stderr

    nothing = (0, "There are no such jobs.\n", "")
    assert vidd("jobs", "--state-dir", str(place.root)) == nothing
    monkeypatch.setenv("VIDD_DAEMON__STATE", str(place.root))
    assert vidd("jobs") == nothing
    monkeypatch.delenv("VIDD_DAEMON__STATE")
    place.config.write_text(f'[daemon]\nstate = "{place.root}"\n[accounts.channel]\nkind = "betamax"\n')
    assert vidd("jobs", "--config", str(place.config)) == nothing
    place.settings()


def test_without_a_daemon_commands_end_with_3_and_say_how_to_start_one(place):
    sentence = f"vidd: No daemon answers at {place.root}/vidd.sock: start it with vidd run, or name its --state-dir.\n"
    for words in (("jobs",), ("pause",), ("submit", "/x.mp4"), ("follow",), ("health",)):
        assert place.vidd(*words) == (3, "", sentence)


def test_a_job_that_waits_for_approval_goes_out_or_not(place, clip):
    place.programme(talk("t1"), talk("t2"))
    place.settings(('programme = "programme"', 'programme = "programme"\nreview = true'))
    with place.daemon() as daemon:
        place.drop(clip, "Main_t1_000000_000003.mp4")
        place.drop(clip, "Main_t2_000000_000003.mp4")
        one, two = (daemon.job("held", talk=name)["id"] for name in ("t1", "t2"))
        status, kind, page = daemon.fetch(f"/jobs/{one}")
        assert (status, kind, b"Waits for a person" in page) == (200, "text/html", True)
        for name in ("first", "last", "first"):
            status, kind, frame = daemon.fetch(f"/jobs/{one}/frames/{name}")
            assert (status, kind, frame[:2]) == (200, "image/jpeg", b"\xff\xd8")
        assert daemon.fetch(f"/jobs/{one}/frames/none")[0] == 404
        made = place.root / "jobs" / one / "talk.mp4"
        assert daemon.fetch(f"/jobs/{one}/video/talk") == (200, "video/mp4", made.read_bytes())
        assert place.vidd("approve", one)[0] == 0
        code, out, _ = place.vidd("reject", two, "--reason", "The sound is missing.")
        assert (code, out.split(maxsplit=3)[3]) == (0, "A person rejected it: The sound is missing.\n")
        daemon.job("published", talk="t1")
        assert daemon.fetch(f"/jobs/{one}/frames/first")[0] == 404
        assert place.vidd("approve", one)[0] == 1
        daemon.stopped()
    assert [video.name for video in (place.root / "out").iterdir()] == ["Talk-t1-t1.mp4"]
