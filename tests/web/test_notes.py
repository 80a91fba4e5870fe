"""What is worth a person's eye although it went well."""

from datetime import UTC, datetime

from builders.web import a_job

from vidd.cli.render import job_page
from vidd.model.media import Artifact, Outcome, StepRecord
from vidd.model.publication import Publication, PublicationState, Receipt
from vidd.model.talk import Talk
from vidd.web.notes import notes_of
from vidd.web.serializers import job_json

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def published(name, **facts):
    return Publication("j", name, name, NOON, state=PublicationState.DONE, receipt=Receipt("https://x", facts))


def test_notes_say_what_they_are_about_and_which_way_a_cut_was_made_is_none():
    talk = Talk("t1", facts={"row": "row 7", "notes": ["the priority 'urgent' is no whole number, 0 is taken"]})
    cut = Artifact("talk", "talk.mp4", 9, facts={"check": {"why": "It has open GOPs."}})
    left_out = {"name": "1080p", "why": "The source is only 720 lines high."}
    steps = [
        StepRecord("j", "fetch", "fetch", "f", Outcome((), {"whole": "x"}), 1.0),
        StepRecord("j", "trim", "trim", "f", Outcome((cut,), {"lane": "full", "notes": ["It is all of it."]}), 1.0),
        StepRecord("j", "transcode", "transcode", "f", Outcome((), {"left_out": [left_out]}), 1.0),
    ]
    sent = [published("youtube", notes=["The title was shortened."]), published("s3"), Publication("j", "m", "m", NOON)]
    assert notes_of(talk, steps, sent) == [
        "row 7: the priority 'urgent' is no whole number, 0 is taken",
        "trim: It is all of it.",
        "transcode: 1080p: The source is only 720 lines high.",
        "youtube: The title was shortened.",
    ]
    assert notes_of(None, (), ()) == []


def test_a_job_is_shown_with_its_notes():
    page = job_page({**job_json(a_job()), "notes": ["youtube: The title was shortened."]})
    assert "  note youtube: The title was shortened." in page.splitlines()
