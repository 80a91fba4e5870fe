from datetime import timedelta

import pytest
from builders.web import NOON, a_job

from vidd.model.event import Progressed
from vidd.model.job import State
from vidd.model.publication import Publication, PublicationState
from vidd.model.standing import SlotWait, Standing
from vidd.model.talk import Programme
from vidd.web.control_port import Watcher
from vidd.web.explain import Surroundings, explain

LATER = NOON + timedelta(hours=6)


SETTINGS = {
    "programme": "programme",
    "steps": [{"name": "fetch"}, {"name": "trim"}, {"name": "describe"}],
    "publish": [{"name": "youtube"}, {"name": "s3"}],
    "notify": [{"name": "mail", "options": {}}, {"name": "alarm", "options": {"on": "failed"}}],
}


def told(state, *publications, reason=None, until=None, settings=None, **around):
    settings = {"programme": "programme"} if settings is None else settings
    job = a_job(state, id="JOB", reason=reason, until=until, settings=settings)
    return explain(job, now=NOON, publications=publications, around=Surroundings(**around))


def sentence(*given, **more):
    return told(*given, settings=SETTINGS, **more).sentence


def sent(state, name="youtube", **more):
    return Publication("JOB", name, name, NOON, state=state, **more)


@pytest.mark.parametrize(
    ("state", "more", "sentence"),
    [
        (State.SEEN, {}, "Waiting for a free slot. Reason: it is about to start"),
        (State.READY, {}, "Waiting for a free slot. Reason: it is about to start"),
        (State.WORKING, {}, "Waiting for its steps to end. Reason: its steps run"),
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
        (PublicationState.WAITING, "the publisher youtube", "vidd cancel JOB"),
        (PublicationState.REFUSED, "the publisher youtube", "vidd cancel JOB"),
        (PublicationState.UNSURE, "a person to look whether youtube arrived", "vidd cancel JOB"),
    ],
)
def test_every_state_of_a_publication_is_explained(state, waiting_for, unblock):
    found = told(State.PUBLISHING, sent(state, reason="Quota."))
    assert found.waiting_for == waiting_for
    assert found.because == "youtube (youtube): Quota."
    assert found.unblock == (unblock,)


@pytest.mark.parametrize(
    ("state", "unblock"),
    [
        (PublicationState.WAITING, "vidd retry JOB tries now"),
        (PublicationState.REFUSED, "correct what it says, then vidd retry JOB"),
        (PublicationState.UNSURE, "look at the other side of youtube"),
    ],
)
def test_a_published_jobs_publisher_that_it_did_without_is_told_with_the_way_out(state, unblock):
    found = told(State.PUBLISHED, sent(state, reason="Quota."))
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


def test_a_pause_does_not_hide_the_time_before_which_nothing_starts_anyway():
    assert told(State.WAITING, paused=True, until=LATER).next_try == LATER


@pytest.mark.parametrize("kind", ["sheet", "pretalx", "schedule"])
def test_a_programme_that_cannot_be_read_is_why_a_talk_is_not_looked_up(kind):
    watchers = {"programme": Watcher("programme", kind, up=False, reason="no such file")}
    found = told(State.SEEN, watchers=watchers)
    assert found.because == "the programme's source programme is down: no such file"
    assert found.unblock[0] == "make what programme reads reachable"


def test_the_programme_of_another_pipeline_is_not_why():
    watchers = {"other": Watcher("other", "sheet", up=False, reason="no such file")}
    assert "down" not in told(State.SEEN, watchers=watchers).because


def test_an_excluded_talk_says_when_the_programme_was_read():
    found = told(State.EXCLUDED, programme=Programme("summit", NOON, 3))
    assert "read at 2026-11-21 12:00:00 UTC" in found.because


def test_running_steps_say_how_far_they_are():
    progress = [Progressed("JOB", "trim", 3.0, 12.0, "s", 1.5)]
    found = told(State.WORKING, progress=progress, standing=Standing(("trim",)))
    assert found.waiting_for == "its step trim to end"
    assert found.because == "trim is at 25%, 1.5 times as fast as it plays"


def test_the_progress_of_a_step_that_has_ended_is_not_that_of_the_running_one():
    progress = [Progressed("JOB", "trim", 12.0, 12.0, "s", 1.5)]
    found = told(State.WORKING, progress=progress, standing=Standing(("describe",)))
    assert found.because == "describe runs"


STUCK = sent(PublicationState.STARTED, reason=None)
WAITS = [
    (
        "queued behind others",
        lambda: sentence(State.READY, standing=Standing(ahead=3, running=16, most=16), eta=LATER),
        (
            "Waiting for a free slot. Reason: 16 jobs run, as many as may ([limits] jobs = 16), and 3 jobs start before it."
            " Since: 2026-11-21 12:00:00 UTC. Then: fetch, trim and describe run, then youtube and s3 publish it, then mail tells"
            " people. Expected to be done: 2026-11-21 18:00:00 UTC. What can be done: vidd cancel JOB."
        ),
    ),
    (
        "put aside",
        lambda: sentence(State.READY, standing=Standing(ahead=0, running=9, most=16, put_aside=8)),
        (
            "Waiting for another job of low priority to end. Reason: jobs with a priority below 0, such as this one, make room for"
            " others: 8 of them run at once ([limits] background). Since: 2026-11-21 12:00:00 UTC. Then: fetch, trim and describe"
            " run, then youtube and s3 publish it, then mail tells people. What can be done: vidd cancel JOB."
        ),
    ),
    (
        "a slot for its step",
        lambda: sentence(
            State.WORKING, steps=["fetch"], standing=Standing(("trim",), SlotWait("encodes", 2, 1)), eta=LATER
        ),
        (
            "Waiting for a slot for its step trim. Reason: all slots for encodes are taken ([limits] encodes = 2), and 1 more wait"
            " before it. Since: 2026-11-21 12:00:00 UTC. Then: trim and describe run, then youtube and s3 publish it, then mail"
            " tells people. Expected to be done: 2026-11-21 18:00:00 UTC. What can be done: vidd cancel JOB."
        ),
    ),
    (
        "a running step",
        lambda: sentence(
            State.WORKING,
            steps=["fetch"],
            standing=Standing(("trim",)),
            progress=[Progressed("JOB", "trim", 6, 12, "s", 2.5)],
        ),
        (
            "Waiting for its step trim to end. Reason: trim is at 50%, 2.5 times as fast as it plays. Since: 2026-11-21 12:00:00"
            " UTC. Then: describe runs, then youtube and s3 publish it, then mail tells people. What can be done: vidd cancel JOB."
        ),
    ),
    (
        "an upload",
        lambda: sentence(
            State.PUBLISHING,
            STUCK,
            steps=["fetch", "trim", "describe"],
            standing=Standing(("youtube",)),
            progress=[Progressed("JOB", "youtube", 5e8, 1e9, "bytes", 2e6)],
        ),
        (
            "Waiting for the publisher youtube to end. Reason: youtube is at 50%, 2.0 MB/s. Since: 2026-11-21 12:00:00 UTC. Then:"
            " s3 publishes it, then mail tells people. What can be done: vidd cancel JOB."
        ),
    ),
    (
        "a slot for an upload",
        lambda: sentence(
            State.PUBLISHING,
            sent(PublicationState.PENDING),
            steps=["fetch", "trim", "describe"],
            standing=Standing((), SlotWait("uploads", 4, 0)),
        ),
        (
            "Waiting for a slot for youtube. Reason: all slots for uploads are taken ([limits] uploads = 4), and it is the next one."
            " Since: 2026-11-21 12:00:00 UTC. Then: youtube and s3 publish it, then mail tells people. What can be done: vidd"
            " cancel JOB."
        ),
    ),
    (
        "a quota",
        lambda: sentence(
            State.WAITING,
            sent(PublicationState.WAITING, until=LATER),
            sent(PublicationState.DONE, "s3"),
            steps=["fetch", "trim", "describe"],
            reason="youtube: The quota of today is used up.",
            until=LATER,
        ),
        (
            "Waiting for its time. Reason: youtube: The quota of today is used up. Since: 2026-11-21 12:00:00 UTC. Next try:"
            " 2026-11-21 18:00:00 UTC. Then: youtube publishes it, then mail tells people. What can be done: vidd retry JOB tries"
            " now; or vidd cancel JOB."
        ),
    ),
    (
        "the disk",
        lambda: sentence(State.WAITING, reason="2.0 GiB are free, and 5.0 GiB must stay.", until=LATER),
        (
            "Waiting for its time. Reason: 2.0 GiB are free, and 5.0 GiB must stay. Since: 2026-11-21 12:00:00 UTC. Next try:"
            " 2026-11-21 18:00:00 UTC. Then: fetch, trim and describe run, then youtube and s3 publish it, then mail tells people."
            " What can be done: vidd retry JOB tries now; or vidd cancel JOB."
        ),
    ),
    (
        "a pause",
        lambda: sentence(State.WAITING, until=LATER, paused=True),
        (
            "Waiting for somebody to resume the daemon. Reason: the daemon is paused: what runs goes on, nothing new starts. Since:"
            " 2026-11-21 12:00:00 UTC. Next try: 2026-11-21 18:00:00 UTC. Then: fetch, trim and describe run, then youtube and s3"
            " publish it, then mail tells people. What can be done: vidd resume."
        ),
    ),
    (
        "a stop",
        lambda: sentence(State.READY, standing=Standing(stopping=True)),
        (
            "Waiting for the daemon to start again. Reason: the daemon is stopping, so that nothing new starts. Since: 2026-11-21"
            " 12:00:00 UTC. Then: fetch, trim and describe run, then youtube and s3 publish it, then mail tells people."
        ),
    ),
    (
        "a review",
        lambda: told(State.HELD, settings={**SETTINGS, "review": True}, steps=["fetch", "trim", "describe"]).sentence,
        (
            "Waiting for a person's approval. Reason: its steps are done and the pipeline asks for a review before anything goes"
            " out. Since: 2026-11-21 12:00:00 UTC. Then: youtube and s3 publish it, then mail tells people. What can be done: vidd"
            " approve JOB; or vidd reject JOB --reason WHY."
        ),
    ),
    (
        "the programme",
        lambda: sentence(
            State.WAITING,
            until=LATER,
            reason="vidd will look up the talk t1 as soon as it has read the programme 'summit' again.",
            watchers={"programme": Watcher("programme", "sheet", up=False, reason="no such file")},
        ),
        (
            "Waiting for its time. Reason: vidd will look up the talk t1 as soon as it has read the programme 'summit' again; the"
            " programme's source programme is down: no such file. Since: 2026-11-21 12:00:00 UTC. Next try: 2026-11-21 18:00:00"
            " UTC. Then: fetch, trim and describe run, then youtube and s3 publish it, then mail tells people. What can be done:"
            " make what programme reads reachable; or vidd cancel JOB."
        ),
    ),
    (
        "a refusal",
        lambda: sentence(State.REFUSED, steps=["fetch"], reason="The file has no video."),
        (
            "Waiting for a person to correct the input or the settings. Reason: The file has no video. Since: 2026-11-21 12:00:00"
            " UTC. Then: trim and describe run, then youtube and s3 publish it, then mail tells people. What can be done: correct"
            " it, then vidd retry JOB; or after a change of the settings, vidd retry JOB --fresh-settings; or vidd cancel JOB."
        ),
    ),
    (
        "an unsure publication",
        lambda: sentence(
            State.UNSURE,
            sent(PublicationState.UNSURE, reason="No answer came."),
            steps=["fetch", "trim", "describe"],
        ),
        (
            "Waiting for a person to look whether youtube arrived. Reason: youtube (youtube): No answer came. Since: 2026-11-21"
            " 12:00:00 UTC. Then: s3 publishes it, then mail tells people. What can be done: look at the other side of youtube; if"
            " it is there, vidd resolve JOB --published URL; if not, vidd resolve JOB --again; or vidd retry JOB asks the other side"
            " once more; or vidd cancel JOB."
        ),
    ),
    (
        "a retraction",
        lambda: sentence(
            State.PUBLISHING,
            sent(PublicationState.DONE),
            reason="A person retracted it.",
            retracting=True,
        ),
        (
            "Waiting for its retraction to end. Reason: A person retracted it. Since: 2026-11-21 12:00:00 UTC. Then: the job is"
            " cancelled."
        ),
    ),
    (
        "a retraction that is queued",
        lambda: sentence(State.READY, reason="The job 7x took its place.", retracting=True),
        (
            "Waiting for a free slot. Reason: it is about to start: vidd takes up one job after the other (The job 7x took its"
            " place). Since: 2026-11-21 12:00:00 UTC. Then: each publisher takes back what it published, and the job is cancelled."
            " What can be done: vidd cancel JOB."
        ),
    ),
    (
        "a rework",
        lambda: sentence(
            State.READY,
            reason="A person asked for a rework.",
            steps=["fetch"],
            standing=Standing(ahead=1, running=2, most=2),
        ),
        (
            "Waiting for a free slot. Reason: 2 jobs run, as many as may ([limits] jobs = 2), and 1 job starts before it (A person"
            " asked for a rework). Since: 2026-11-21 12:00:00 UTC. Then: trim and describe run, then youtube and s3 publish it, then"
            " mail tells people. What can be done: vidd cancel JOB."
        ),
    ),
    (
        "nothing, but something did not go out",
        lambda: sentence(
            State.PUBLISHED, reason="Published, but not handed over: captions: its file could not be kept."
        ),
        (
            "Nothing to wait for. Reason: Published, but not handed over: captions: its file could not be kept. Since: 2026-11-21"
            " 12:00:00 UTC."
        ),
    ),
]


@pytest.mark.parametrize(
    ("make", "expected"), [(make, expected) for _, make, expected in WAITS], ids=[w[0] for w in WAITS]
)
def test_each_wait_is_one_chain_of_what_why_since_until_then_and_what_to_do(make, expected):
    assert make() == expected


def test_while_uploads_run_those_are_waited_for_before_anybody_needs_to_look():
    found = told(
        State.PUBLISHING,
        sent(PublicationState.UNSURE, "facebook"),
        sent(PublicationState.STARTED, "youtube"),
        standing=Standing(("youtube",)),
    )
    assert found.waiting_for == "the publisher youtube to end"
