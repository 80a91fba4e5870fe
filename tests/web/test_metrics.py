from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest
from builders.web import HEALTHY, NOON, FakeControl, a_job, open_port
from prometheus_client.parser import text_string_to_metric_families

from vidd.errors import FaultCode
from vidd.model.event import (
    BytesMoved,
    EncodeCount,
    EncodeEnded,
    Fate,
    FaultRaised,
    JobMoved,
    Progressed,
    PublicationMoved,
    Retried,
    StepEnded,
    WatcherMoved,
)
from vidd.model.job import State
from vidd.model.publication import Publication, PublicationState
from vidd.web.control_port import Watcher
from vidd.web.job_counts import JobCounts
from vidd.web.metrics import Metrics


def read(text):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def after(*events, health=HEALTHY, census=None, now=NOON):
    metrics = Metrics()
    for event in events:
        metrics.observe(event)
    return read(metrics.scrape(health, census or JobCounts(), now))


SENT = Publication("j", "library", "s3", NOON, state=PublicationState.DONE)


@pytest.mark.parametrize(
    ("event", "series", "value"),
    [
        (JobMoved(a_job(State.PUBLISHED), State.PUBLISHING), ("vidd_jobs_finished_total", "published", "talks"), 1),
        (StepEnded("j", "talks", "cut", "trim", 7.0, "done"), ("vidd_step_seconds_sum", "done", "trim"), 7),
        (StepEnded("j", "talks", "cut", "trim", 7.0, "done"), ("vidd_step_seconds_bucket", "15.0", "done", "trim"), 1),
        (EncodeEnded("trim", 3.0, 12.5), ("vidd_encode_speed_ratio_sum", "trim"), 3),
        (EncodeEnded("trim", 3.0, 12.5), ("vidd_encode_cpu_seconds_total", "trim"), 12.5),
        (BytesMoved("s3", "upload", 99), ("vidd_moved_bytes_total", "s3", "upload"), 99),
        (Retried("s3", "503"), ("vidd_retries_total", "s3"), 1),
        (FaultRaised("s3", Fate.AGAIN, FaultCode.QUOTA), ("vidd_faults_total", "again", "quota"), 1),
        (Retried("s3", "503"), ("vidd_faults_total", "again", "quota"), 0),
        (PublicationMoved(SENT, "talks"), ("vidd_publications_total", "done", "s3"), 1),
        (EncodeCount(2), ("vidd_ffmpeg_running",), 2),
        (WatcherMoved("in", "sqs", up=False, restarts=4), ("vidd_watcher_restarts_total", "in", "sqs"), 4),
    ],
)
def test_an_event_is_counted(event, series, value):
    assert after(event)[series] == value


def test_a_save_that_moves_nothing_finishes_no_job():
    job = a_job(State.REFUSED)
    found = after(JobMoved(job, State.WORKING), JobMoved(job, State.REFUSED), JobMoved(a_job(State.WAITING), None))
    assert {key: value for key, value in found.items() if key[0] == "vidd_jobs_finished_total"} == {
        ("vidd_jobs_finished_total", "refused", "talks"): 1
    }


def test_restarts_are_counted_once_however_often_they_are_told():
    moved = [WatcherMoved("in", "sqs", up=True, restarts=number) for number in (1, 1, 2, 2)]
    assert after(*moved)["vidd_watcher_restarts_total", "in", "sqs"] == 2


def test_nobody_counts_progress():
    assert after(Progressed("j", "trim", 1.0, 2.0, "s")).keys() == after().keys()


def test_the_gauges_are_those_of_the_scrape():
    watchers = {"in": Watcher("in", "sqs", up=True, last_event=NOON)}
    health = replace(HEALTHY, paused=True, queue=7, watchers=watchers)
    census = JobCounts(
        {("talks", State.WAITING): 5},
        oldest=NOON - timedelta(seconds=90),
        incomplete={"talks": 2},
        oldest_in={State.WAITING: NOON - timedelta(hours=2)},
    )
    found = after(health=health, census=census)
    assert found["vidd_jobs", "talks", "waiting"] == 5
    assert found["vidd_jobs", "ready", "talks"] == 0
    assert found["vidd_jobs_incomplete", "talks"] == 2
    assert found["vidd_queue_depth",] == 7
    assert found["vidd_queue_oldest_age_seconds",] == 90
    assert found["vidd_oldest_job_age_seconds", "waiting"] == 7200
    assert found["vidd_oldest_job_age_seconds", "held"] == 0
    assert found["vidd_slots", "encodes"] == 3
    assert found["vidd_slots_used", "encodes"] == 1
    assert found["vidd_slots_waiting", "encodes"] == 0
    assert found["vidd_watcher_up", "in", "sqs"] == 1
    assert found["vidd_watcher_last_event_timestamp_seconds", "in", "sqs"] == NOON.timestamp()
    assert found["vidd_disk_free_bytes",] == 5_000_000_000
    assert found["vidd_disk_reserve_bytes",] == 1_000_000_000
    assert found["vidd_paused",] == 1
    assert found["process_resident_memory_bytes",] > 0


def test_what_is_gone_is_no_longer_told():
    metrics = Metrics()
    watchers = {"in": Watcher("in", "sqs", up=True)}
    metrics.scrape(replace(HEALTHY, watchers=watchers), JobCounts({("old", State.READY): 1}), NOON)
    found = read(metrics.scrape(HEALTHY, JobCounts(), NOON))
    assert ("vidd_watcher_up", "in", "sqs") not in found
    assert ("vidd_jobs", "old", "ready") not in found


async def test_metrics_are_served_in_the_text_format():
    control = FakeControl()
    control.store.put(a_job(State.READY), a_job(State.HELD, created=NOON - timedelta(minutes=5)))
    control.clock.time = NOON + timedelta(minutes=5)
    async with (
        open_port(control) as (_, url),
        aiohttp.ClientSession() as session,
        session.get(f"{url}/metrics") as response,
    ):
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = read(await response.read())
    assert found["vidd_queue_oldest_age_seconds",] == 300
    assert found["vidd_oldest_job_age_seconds", "held"] == 600


def test_labelled_counters_are_there_at_zero_before_anything_is_counted():
    metrics = Metrics()
    steps, publish, notify = [{"kind": "trim"}], [{"kind": "s3"}], [{"kind": "mail"}]
    metrics.expect({"talks": {"steps": steps, "publish": publish, "notify": notify}})
    found = read(metrics.scrape(HEALTHY, JobCounts(), NOON))
    for series in (
        ("vidd_jobs_finished_total", "published", "talks"),
        ("vidd_jobs_finished_total", "refused", "talks"),
        ("vidd_retries_total", "job"),
        ("vidd_retries_total", "mail"),
        ("vidd_publications_total", "done", "s3"),
        ("vidd_moved_bytes_total", "s3", "upload"),
        ("vidd_encode_cpu_seconds_total", "trim"),
    ):
        assert found[series] == 0, series
    metrics.observe(Retried("mail", "later"))
    metrics.expect({"talks": {"steps": steps, "publish": publish, "notify": notify}})
    assert read(metrics.scrape(HEALTHY, JobCounts(), NOON))["vidd_retries_total", "mail"] == 1
