"""What a job's page draws over time."""

from datetime import timedelta

from builders.web import NOON, a_job

from vidd.model.event import Progressed
from vidd.model.job import State
from vidd.model.media import Artifact, Media, Outcome, StepRecord, Video
from vidd.model.publication import Publication, PublicationState
from vidd.web.page.stills import places_of
from vidd.web.page.time_axis import marks_of, rows_of

SETTINGS = {
    "steps": [{"name": name, "kind": name, "options": {}} for name in ("fetch", "trim", "describe")],
    "publish": [{"name": "library", "kind": "s3", "options": {}}],
    "notify": [
        {"name": "mail", "kind": "mail", "options": {}},
        {"name": "alarm", "kind": "mail", "options": {"on": "failed"}},
    ],
}


def later(seconds):
    return NOON + timedelta(seconds=seconds)


def media(duration):
    return Media("mov", duration, 100, (Video("h264", 640, 360, 25.0),))


def step(name, *artifacts, seconds=10.0, ended=None, **facts):
    return StepRecord("j", name, name, "f", Outcome(artifacts, facts), seconds, ended)


def test_steps_are_bars_on_one_axis_and_what_is_to_come_is_named():
    steps = [step("fetch", ended=later(10)), step("trim", seconds=30.0, ended=later(40))]
    done = {"state": PublicationState.DONE, "attempt": 2, "tried": later(50)}
    sent = Publication("j", "library", "s3", later(100), **done)
    rows = rows_of(a_job(State.WORKING, settings=SETTINGS), steps, [sent], [Progressed("j", "describe", 1, 2, "s")])
    assert [(row.name, row.standing, row.x, row.width, row.seconds, row.attempts) for row in rows] == [
        ("fetch", "done", 0.0, 100.0, 10.0, 0),
        ("trim", "done", 100.0, 300.0, 30.0, 0),
        ("describe", "running", 0.0, 0.0, None, 0),
        ("library", "done", 500.0, 500.0, 50.0, 2),
        ("mail", "to-come", 0.0, 0.0, None, 0),
    ]


def test_a_step_of_an_older_journal_has_its_duration_and_no_bar():
    (row, *_) = rows_of(a_job(settings=SETTINGS), [step("fetch")], [], [])
    assert (row.seconds, row.began, row.width) == (10.0, None, 0.0)


def test_findings_are_marks_where_they_are_in_the_file():
    record = {
        "duration": 100.0,
        "black": [[0, 10]],
        "frozen": [[99.9, 100.0]],
        "silent": [[[50, 60]], [[0, 1]]],
        "offset": [{"at": 80, "sound": 0.5, "picture": 0.0}, {"at": 30, "sound": None, "picture": 0.0}],
        "joins": [{"at": 2.0}],
    }
    axis = marks_of(Artifact("talk", "talk.mp4", 1), record)
    assert [(mark.kind, mark.x, mark.width) for mark in axis.marks] == [
        ("black", 0.0, 100.0),
        ("frozen", 996.0, 4.0),
        ("silent", 500.0, 100.0),
        ("offset", 800.0, 4.0),
        ("join", 20.0, 4.0),
    ]
    assert axis.marks[3].words == "at 1:20 audio and video are 500 ms apart"
    assert [x for x, _ in axis.ticks] == [0, 250, 500, 750, 1000]
    assert marks_of(Artifact("talk", "talk.mp4", 1), {}) is None


def test_frames_are_taken_on_both_sides_of_the_cut():
    source = Artifact("source", "in.mkv", 1, media=media(100.0))
    talk = Artifact("talk", "talk.mp4", 1, media=media(50.0))
    steps = [step("fetch", source), step("trim", talk, start=20.0, end=70.0)]
    places = places_of(a_job(settings=SETTINGS), steps)
    assert [(place.name, place.path, round(place.seconds, 2)) for place in places] == [
        ("before", "in.mkv", 19.5),
        ("first", "talk.mp4", 0.0),
        ("last", "talk.mp4", 49.94),
        ("after", "in.mkv", 70.5),
    ]
    at_the_edges = places_of(a_job(settings=SETTINGS), [steps[0], step("trim", talk, start=0.0, end=100.0)])
    assert [at_the_edges[0].seconds, at_the_edges[3].seconds] == [0.0, 99.9]


def test_without_a_cut_there_are_the_first_and_the_last_frame_of_what_was_made():
    made = Artifact("slideshow-mp4", "show.mp4", 1, media=media(9.0))
    assert [place.name for place in places_of(a_job(), [step("slideshow", made)])] == ["first", "last"]
    assert places_of(a_job(), [step("fetch", Artifact("source", "in.mkv", 1, media=media(9.0)))]) == []
    talk = Artifact("talk", "talk.mp4", 1, media=media(9.0))
    without_source = [step("trim", talk, start=0.0, end=9.0)]
    assert [place.name for place in places_of(a_job(), without_source)] == ["first", "last"]
