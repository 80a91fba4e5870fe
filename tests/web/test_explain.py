from datetime import timedelta

import pytest
from builders.web import NOON, a_job

from vidd.model.event import Progressed
from vidd.model.job import State
from vidd.model.publication import Publication, PublicationState
from vidd.model.talk import Programme
from vidd.web.control_port import Watcher
from vidd.web.explain import explain

LATER = NOON + timedelta(hours=6)


def told(state, *publications, reason=None, until=None, **more):
    job = a_job(state, id="JOB", reason=reason, until=until, settings={"programme": "programme"})
    return explain(job, now=NOON, publications=publications, **more)


def sent(state, name="youtube", **more):
    return Publication("JOB", name, name, NOON, state=state, **more)


@pytest.mark.parametrize(
    ("state", "more", "sentence"),
    [
        (State.SEEN, {}, "Waiting for its talk to be looked up. Reason: it has just arrived"),
        (State.READY, {}, "Waiting for a free slot. Reason: other jobs are running or are more urgent"),
        (State.WORKING, {}, "Waiting for its steps to end. Reason: they are running"),
        (State.HELD, {}, "Waiting for a person's approval. Reason: its steps are done"),
        (State.PUBLISHING, {}, "Waiting for its last state to be saved. Reason: every publisher has a receipt"),
        (State.PUBLISHED, {}, "Nothing to wait for. Reason: it is published and all its notices went out"),
        (State.WAITING, {"until": LATER}, "Waiting for its time. Reason: It goes on by itself"),
        (State.WAITING, {"until": NOON}, "Waiting for the daemon to take it up. Reason: It goes on by itself"),
        (
            State.REFUSED,
            {"reason": "No video."},
            "Waiting for a person to correct the input or the settings. Reason: No v",
        ),
        (State.UNSURE, {}, "Waiting for a person to look whether it arrived. Reason: Something was sent"),
        (State.EXCLUDED, {}, "Waiting for the programme to include its talk. Reason: The programme excludes"),
        (State.CANCELLED, {}, "Nothing to wait for. Reason: A person stopped it"),
    ],
)
def test_every_state_is_explained(state, more, sentence):
    assert told(state, **more).sentence.startswith(sentence)
    assert "Since: 2026-11-21 12:00:00 UTC" in told(state, **more).sentence


def test_the_whole_sentence_says_what_why_since_when_next_try_and_what_can_be_done():
    assert told(State.WAITING, reason="The disk is full.", until=LATER).sentence == (
        "Waiting for its time. Reason: The disk is full. Since: 2026-11-21 12:00:00 UTC. Next try: 2026-11-21 18:00:00 UTC."
        " What can be done: vidd retry JOB tries now; or vidd cancel JOB."
    )


def test_the_reason_is_a_sentence_of_its_own():
    assert "Reason: YouTube was full" in told(State.WAITING, reason="YouTube was full.", until=LATER).sentence


@pytest.mark.parametrize(
    ("state", "waiting_for", "unblock"),
    [
        (PublicationState.PENDING, "the publisher youtube to begin", "vidd cancel JOB"),
        (PublicationState.STARTED, "the publisher youtube to end", "vidd cancel JOB"),
        (PublicationState.SENT, "the other side's answer to the publisher youtube", "vidd cancel JOB"),
        (PublicationState.WAITING, "the publisher youtube", "vidd retry JOB tries now"),
        (PublicationState.REFUSED, "the publisher youtube", "correct what it says, then vidd retry JOB"),
        (PublicationState.UNSURE, "a person to look whether youtube arrived", "look at the other side of youtube"),
    ],
)
def test_every_state_of_a_publication_is_explained(state, waiting_for, unblock):
    found = told(State.PUBLISHING, sent(state, reason="Quota."))
    assert found.waiting_for == waiting_for
    assert found.because == "youtube (youtube): Quota."
    assert found.unblock[0].startswith(unblock)


def test_a_receipt_leaves_nothing_to_wait_for():
    assert told(State.PUBLISHED, sent(PublicationState.DONE)).waiting_for is None


def test_of_several_publications_the_most_stuck_is_named_and_publishers_before_notices():
    found = told(
        State.PUBLISHING,
        sent(PublicationState.DONE, "s3"),
        sent(PublicationState.WAITING, "facebook", until=LATER),
        sent(PublicationState.PENDING, "youtube"),
        sent(PublicationState.UNSURE, "mail", notice=True),
    )
    assert (found.waiting_for, found.next_try) == ("the publisher facebook", LATER)


def test_an_unsure_job_names_the_publication_that_is():
    found = told(
        State.UNSURE, sent(PublicationState.DONE, "s3"), sent(PublicationState.UNSURE, reason="No answer came.")
    )
    assert found.waiting_for == "a person to look whether youtube arrived"
    assert "vidd resolve JOB --published URL; if not, vidd resolve JOB --again" in found.unblock[0]
    assert "vidd retry JOB asks the other side once more" in found.unblock


@pytest.mark.parametrize(
    "state", [PublicationState.WAITING, PublicationState.REFUSED, PublicationState.UNSURE, PublicationState.PENDING]
)
def test_a_published_jobs_notice_can_be_sent_again_but_the_job_not_cancelled(state):
    found = told(State.PUBLISHED, sent(state, "mail", notice=True, until=LATER))
    assert "mail" in found.waiting_for
    assert not any("vidd cancel" in way for way in found.unblock)
    assert any("vidd retry" in way for way in found.unblock) == (state is not PublicationState.PENDING)


@pytest.mark.parametrize("state", [State.SEEN, State.READY, State.WAITING])
def test_what_a_pause_holds_up_is_told_so(state):
    found = told(state, paused=True, until=LATER)
    assert found.waiting_for == "somebody to resume the daemon"
    assert found.unblock == ("vidd resume",)


@pytest.mark.parametrize("state", [State.WORKING, State.HELD, State.PUBLISHED, State.REFUSED])
def test_what_a_pause_does_not_hold_up_is_not(state):
    assert told(state, paused=True) == told(state)


@pytest.mark.parametrize("kind", ["sheet", "pretalx", "schedule"])
def test_a_programme_that_cannot_be_read_is_why_a_talk_is_not_looked_up(kind):
    watchers = {"programme": Watcher("programme", kind, up=False, reason="no such file")}
    found = told(State.SEEN, watchers=watchers)
    assert found.because == "the programme's source programme is down: no such file"
    assert found.unblock[0] == "make what programme reads reachable"


def test_the_programme_of_another_pipeline_is_not_why():
    watchers = {"other": Watcher("other", "sheet", up=False, reason="no such file")}
    assert told(State.SEEN, watchers=watchers).because == "it has just arrived"


def test_an_excluded_talk_says_when_the_programme_was_read():
    found = told(State.EXCLUDED, programme=Programme("summit", NOON, 3))
    assert "read at 2026-11-21 12:00:00 UTC" in found.because


def test_running_steps_say_how_far_they_are():
    found = told(State.WORKING, progress=[Progressed("JOB", "trim", 3.0, 12.0, "s")])
    assert found.because == "trim is at 25%"
