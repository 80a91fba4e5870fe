"""PREMIERE's first half: every video that is uploaded to the CMS is worked on once, whatever dies meanwhile."""

import json
import os
import random
import sys
import time

import pytest
from peers.cms_lab import a_lab, expected
from peers.daemon import until

from vidd.model.job import State
from vidd.model.publication import PublicationState

pytestmark = pytest.mark.daemon

UPLOADS = int(os.environ.get("CMS_UPLOADS", "100"))
"""CMS_UPLOADS=1000 for the whole of it."""


def victims(chance):
    """What dies next: each as often as the others, in no order."""
    while True:
        yield from chance.sample(["cms", "vidd", "network"], 3)


def harm(lab, what, chance):
    """One thing dies, and comes back after a moment."""
    moment = chance.uniform(0.1, 1.2)
    lab.kills[what] += 1
    match what:
        case "cms":
            lab.kill_cms()
            until(after(moment), "a moment")
            lab.start_cms()
        case "vidd":
            lab.kill_vidd()
            until(after(moment), "a moment")
            lab.start_vidd()
        case _:
            lab.network.become(chance.choice(["cut", "silent"]))
            until(after(moment), "a moment")
            lab.network.become("whole")


def after(seconds):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def published(lab):
    return len(lab.vidd.jobs(state="published", limit="1000")) if lab.vidd.process.poll() is None else 0


def test_of_many_uploads_none_is_missed_and_none_done_twice_while_everything_is_killed_at_random(
    place, record_property
):
    chance = random.Random(5)
    with a_lab(place) as lab:
        with lab.uploading(UPLOADS, 0.05) as done:
            dying = victims(chance)
            while not done() or min(lab.kills.values()) < 2:
                harm(lab, next(dying), chance)
                until(after(chance.uniform(0.1, 1.5)), "a moment")
        lab.vidd.ready()
        until(lambda: published(lab) == min(UPLOADS, 1000), "all of them are published", 60 + UPLOADS)
        code, said, _ = place.vidd("audit")
        assert said == f"seen={UPLOADS} processed={UPLOADS} duplicate=0 missing=0\n"
        assert code == 0
        sys.stdout.write(f"\n{said.strip()} while killed: {lab.kills}\n")
        assert lab.out() == expected(UPLOADS)
        lab.vidd.stopped()

    async def records(store):
        jobs = await store.jobs()
        return [
            ([state for _, state, _ in await store.history(job.id)], await store.publications(job.id)) for job in jobs
        ]

    found = place.journal(records)
    assert len(found) == UPLOADS
    for states, publications in found:
        assert states.count(State.PUBLISHED) == 1
        assert [one.state for one in publications] == [PublicationState.DONE]


def test_the_audit_says_what_is_missing_and_what_is_not_done(place):
    with a_lab(place) as lab:
        for number in range(3):
            lab.upload(number)
        lab.vidd.ready()
        until(lambda: published(lab) == 3, "all of them are published")
        (victim, *_) = [job["id"] for job in lab.vidd.jobs() if job["name"] == "cm000001.mp4"]
        assert place.vidd("pause")[0] == 0
        lab.upload(3)
        until(lambda: len(lab.vidd.jobs()) == 4, "it arrived")
        assert place.vidd("cancel", next(job["id"] for job in lab.vidd.jobs() if job["name"] == "cm000003.mp4"))[0] == 0
        code, said, _ = place.vidd("audit")
        assert (code, said.splitlines()[0]) == (1, "seen=4 processed=3 duplicate=0 missing=0 refused=1")
        assert "cm000003" in said
        recording = lab.vidd.ask(f"/api/jobs/{victim}")[1]["location"]
        assert place.vidd("submit", recording)[0] == 0
        code, said, _ = place.vidd("audit", "--source", "uploads", "--json")
        found = json.loads(said)
        assert (code, found["duplicate"], found["ok"]) == (1, 1, False)
        assert [one["name"] for one in found["sources"][0]["lists"]["duplicate"]] == ["cm000001"]
        code, _, complaint = place.vidd("audit", "--source", "nobody")
        assert (code, complaint) == (1, "vidd: No such source can list what it has; those that can: uploads.\n")
        lab.kill_cms()
        assert place.vidd("audit")[0] == 4
        until(lambda: not lab.vidd.ask("/health")[1]["ok"], "it shows that the CMS is away")
        assert "CMS" in place.vidd("health")[1]
        lab.vidd.stopped()
        lab.start_cms()
        lab.upload(4)
        assert place.journal(lambda store: store.set_flag("paused", None)) is None
        place.drain()
        assert "cm000004.mp4" in lab.out()
