"""The metrics of `/metrics`. Counters and histograms follow the events; gauges are set at each scrape."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from vidd.errors import FaultCode
from vidd.model.event import (
    BytesMoved,
    EncodeCount,
    EncodeEnded,
    Event,
    Fate,
    FaultRaised,
    JobMoved,
    PublicationMoved,
    Retried,
    StepEnded,
    WatcherMoved,
)
from vidd.model.job import State
from vidd.model.publication import PublicationState
from vidd.web.job_counts import IN_PROGRESS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from vidd.web.control_port import Health
    from vidd.web.job_counts import JobCounts

Type = Literal["counter", "gauge", "histogram"]

_FINISHED = frozenset({State.PUBLISHED, State.REFUSED, State.UNSURE, State.EXCLUDED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Described:
    """A metric of vidd: its full name, type, meaning, labels, and for a histogram the upper bounds of its buckets."""

    name: str
    type: Type
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: tuple[Described, ...] = (
    Described(
        "vidd_jobs_finished_total",
        "counter",
        "Jobs that came to a state they do not leave by themselves.",
        ("pipeline", "state"),
    ),
    Described(
        "vidd_step_seconds",
        "histogram",
        "Seconds that steps took.",
        ("kind", "fate"),
        (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10800),
    ),
    Described(
        "vidd_encode_speed_ratio",
        "histogram",
        "Seconds of media made per second by one ffmpeg.",
        ("kind",),
        (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64),
    ),
    Described("vidd_encode_cpu_seconds_total", "counter", "Processor seconds of ended ffmpeg runs.", ("kind",)),
    Described("vidd_moved_bytes_total", "counter", "Bytes sent (upload) and received (download).", ("kind", "way")),
    Described("vidd_retries_total", "counter", "Failed attempts that vidd retries.", ("kind",)),
    Described(
        "vidd_faults_total",
        "counter",
        "Faults of steps, publishers, notices, watchers and jobs: what follows (again, refused, unknown), and why.",
        ("fate", "code"),
    ),
    Described("vidd_publications_total", "counter", "Publications that came to a state.", ("kind", "state")),
    Described("vidd_watcher_restarts_total", "counter", "Restarts of a source's watcher.", ("name", "kind")),
    Described("vidd_ffmpeg_running", "gauge", "ffmpeg processes that run now."),
    Described("vidd_jobs", "gauge", "Jobs there are.", ("pipeline", "state")),
    Described(
        "vidd_jobs_incomplete",
        "gauge",
        "Published jobs of which a notice or a change did not go out.",
        ("pipeline",),
    ),
    Described("vidd_queue_depth", "gauge", "Jobs that wait for a free slot."),
    Described("vidd_queue_oldest_age_seconds", "gauge", "Age of the oldest job that has not started."),
    Described(
        "vidd_oldest_job_age_seconds",
        "gauge",
        "Age, since its arrival, of the oldest job in this state; 0 without one.",
        ("state",),
    ),
    Described("vidd_slots", "gauge", "Slots of each of [limits].", ("limit",)),
    Described("vidd_slots_used", "gauge", "Slots that are taken.", ("limit",)),
    Described("vidd_slots_waiting", "gauge", "Pieces of work that wait for a slot.", ("limit",)),
    Described("vidd_watcher_up", "gauge", "Whether a source's watcher reaches what it watches.", ("name", "kind")),
    Described(
        "vidd_watcher_last_event_timestamp_seconds",
        "gauge",
        "When a source's watcher last saw something.",
        ("name", "kind"),
    ),
    Described("vidd_disk_free_bytes", "gauge", "Free bytes where the state directory is."),
    Described("vidd_disk_reserve_bytes", "gauge", "What must stay free there ([limits] disk_reserve)."),
    Described("vidd_paused", "gauge", "Whether the daemon starts nothing new."),
    Described("vidd_healthy", "gauge", "Whether /health says so."),
    Described("vidd_build_info", "gauge", "What runs.", ("version", "python", "ffmpeg")),
)


class Metrics:
    """Counts events in a registry of its own, so that several daemons can live in one process."""

    def __init__(self) -> None:
        # The *_created series say no more than a counter's reset at a restart does.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._described = {metric.name: metric for metric in METRICS}
        self._finished = self._counter("jobs_finished_total")
        self._step = self._histogram("step_seconds")
        self._speed = self._histogram("encode_speed_ratio")
        self._cpu = self._counter("encode_cpu_seconds_total")
        self._bytes = self._counter("moved_bytes_total")
        self._retries = self._counter("retries_total")
        self._faults = self._counter("faults_total")
        for fate in Fate:
            for code in FaultCode:
                self._faults.labels(fate, code)
        self._publications = self._counter("publications_total")
        self._restarts = self._counter("watcher_restarts_total")
        self._restarts_seen: dict[tuple[str, str], int] = {}
        self._encodes = self._gauge("ffmpeg_running")
        self._jobs = self._gauge("jobs")
        self._incomplete = self._gauge("jobs_incomplete")
        self._depth = self._gauge("queue_depth")
        self._oldest = self._gauge("queue_oldest_age_seconds")
        self._oldest_in = self._gauge("oldest_job_age_seconds")
        self._slots = self._gauge("slots")
        self._slots_used = self._gauge("slots_used")
        self._slots_waiting = self._gauge("slots_waiting")
        self._up = self._gauge("watcher_up")
        self._last = self._gauge("watcher_last_event_timestamp_seconds")
        self._disk = self._gauge("disk_free_bytes")
        self._reserve = self._gauge("disk_reserve_bytes")
        self._paused = self._gauge("paused")
        self._healthy = self._gauge("healthy")
        self._build = self._gauge("build_info")

    def _counter(self, name: str) -> Counter:
        metric = self._described[f"vidd_{name}"]
        return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        metric = self._described[f"vidd_{name}"]
        return Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        metric = self._described[f"vidd_{name}"]
        return Histogram(metric.name, metric.meaning, metric.labels, buckets=metric.buckets, registry=self.registry)

    def expect(self, pipelines: Mapping[str, Mapping[str, Any]]) -> None:
        """Let the counters of these pipelines, as they are stored with jobs, exist at 0 before anything is counted.

        Prometheus cannot tell a counter that appears at 1 from one that was 1 already, so `increase()` would miss the first.
        """
        self._retries.labels("job")
        for pipeline, settings in pipelines.items():
            for state in _FINISHED:
                self._finished.labels(pipeline, state)
            for row in settings.get("steps", ()):
                self._cpu.labels(row["kind"])
                self._bytes.labels(row["kind"], "download")
            for row in (*settings.get("publish", ()), *settings.get("notify", ())):
                self._retries.labels(row["kind"])
                self._bytes.labels(row["kind"], "upload")
                for publication_state in PublicationState:
                    self._publications.labels(row["kind"], publication_state)

    def observe(self, event: Event) -> None:
        """Count an event."""
        match event:
            case JobMoved():
                self._count_finished(event)
            case StepEnded():
                self._step.labels(event.kind, event.fate).observe(event.seconds)
            case EncodeEnded():
                self._speed.labels(event.kind).observe(event.speed)
                self._cpu.labels(event.kind).inc(max(0.0, event.cpu_seconds))
            case BytesMoved():
                self._bytes.labels(event.kind, event.way).inc(max(0, event.size))
            case Retried():
                self._retries.labels(event.kind).inc()
            case FaultRaised():
                self._faults.labels(event.fate, event.code).inc()
            case PublicationMoved():
                self._publications.labels(event.publication.kind, event.publication.state).inc()
            case EncodeCount():
                self._encodes.set(event.running)
            case WatcherMoved():
                self._count_restarts(event.name, event.kind, event.restarts)

    def _count_finished(self, event: JobMoved) -> None:
        if event.job.state in _FINISHED and event.before is not event.job.state:
            self._finished.labels(event.job.pipeline, event.job.state).inc()

    def _count_restarts(self, name: str, kind: str, restarts: int) -> None:
        counter = self._restarts.labels(name, kind)
        counter.inc(max(0, restarts - self._restarts_seen.get((name, kind), 0)))
        self._restarts_seen[name, kind] = restarts

    def scrape(self, health: Health, counts: JobCounts, now: datetime) -> bytes:
        """Set the gauges; returns the metrics in the text format 0.0.4."""
        self._set_jobs(health, counts, now)
        self._up.clear()
        self._last.clear()
        for watcher in health.watchers.values():
            self._up.labels(watcher.name, watcher.kind).set(watcher.up)
            if watcher.last_event:
                self._last.labels(watcher.name, watcher.kind).set(watcher.last_event.timestamp())
            self._count_restarts(watcher.name, watcher.kind, watcher.restarts)
        for name, slots in health.slots.items():
            self._slots.labels(name).set(slots.size)
            self._slots_used.labels(name).set(slots.used)
            self._slots_waiting.labels(name).set(slots.waiting)
        self._disk.set(health.disk_free)
        self._reserve.set(health.disk_reserve)
        self._paused.set(health.paused)
        self._healthy.set(health.ok)
        self._build.clear()
        self._build.labels(health.version, platform.python_version(), health.ffmpeg.version or "").set(1)
        return generate_latest(self.registry)

    def _set_jobs(self, health: Health, counts: JobCounts, now: datetime) -> None:
        self._jobs.clear()
        self._incomplete.clear()
        for pipeline in {pipeline for pipeline, _ in counts.counts}:
            for state in State:
                self._jobs.labels(pipeline, state).set(counts.counts.get((pipeline, state), 0))
            self._incomplete.labels(pipeline).set(counts.incomplete.get(pipeline, 0))
        self._depth.set(health.queue)
        self._oldest.set(_age(counts.oldest, now))
        for state in IN_PROGRESS:
            self._oldest_in.labels(state).set(_age(counts.oldest_in.get(state), now))


def _age(since: datetime | None, now: datetime) -> float:
    """Seconds; a clock that was set back makes nothing younger than 0."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0
