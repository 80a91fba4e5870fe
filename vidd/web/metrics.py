"""What Prometheus reads. Counters and histograms follow the events; gauges are set when they are scraped."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from vidd.model.event import (
    BytesMoved,
    EncodeCount,
    EncodeEnded,
    Event,
    JobMoved,
    PublicationMoved,
    Retried,
    StepEnded,
    WatcherMoved,
)
from vidd.model.job import State

if TYPE_CHECKING:
    from datetime import datetime

    from vidd.web.control_port import Health
    from vidd.web.job_counts import Census

_FINISHED = frozenset({State.PUBLISHED, State.REFUSED, State.UNSURE, State.EXCLUDED, State.CANCELLED})
_STEP_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10800)
_SPEEDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """An Observer with a registry of its own, so that several can live in one process."""

    def __init__(self) -> None:
        # A second series for each counter says nothing that its reset at a restart does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._finished = self._counter(
            "jobs_finished", "Jobs that came to a state they do not leave alone.", "pipeline", "state"
        )
        self._step = Histogram(
            "vidd_step_seconds",
            "Seconds that steps took.",
            ("kind", "fate"),
            buckets=_STEP_SECONDS,
            registry=self.registry,
        )
        self._speed = Histogram(
            "vidd_encode_speed_ratio",
            "Seconds of media made per second by one ffmpeg.",
            ("kind",),
            buckets=_SPEEDS,
            registry=self.registry,
        )
        self._cpu = self._counter("encode_cpu_seconds", "Processor seconds of ended ffmpeg runs.", "kind")
        self._bytes = self._counter("moved_bytes", "Bytes sent (upload) and received (download).", "kind", "way")
        self._retries = self._counter("retries", "Failed attempts that are made again.", "kind")
        self._publications = self._counter("publications", "Publications that came to a state.", "kind", "state")
        self._restarts = self._counter("watcher_restarts", "Restarts of a source's watcher.", "name", "kind")
        self._restarts_seen: dict[tuple[str, str], int] = {}
        self._encodes = self._gauge("ffmpeg_running", "Processes of ffmpeg that run now.")
        self._jobs = self._gauge("jobs", "Jobs there are.", "pipeline", "state")
        self._incomplete = self._gauge(
            "jobs_incomplete", "Published jobs of which a notice or a change did not go out.", "pipeline"
        )
        self._depth = self._gauge("queue_depth", "Jobs that wait for a free place.")
        self._oldest = self._gauge("queue_oldest_age_seconds", "Age of the oldest job that has not started.")
        self._up = self._gauge("watcher_up", "Whether a source's watcher reaches what it watches.", "name", "kind")
        self._last = self._gauge(
            "watcher_last_event_timestamp_seconds", "When a source's watcher last saw something.", "name", "kind"
        )
        self._disk = self._gauge("disk_free_bytes", "Free bytes where the state directory is.")
        self._paused = self._gauge("paused", "Whether the daemon starts nothing new.")
        self._healthy = self._gauge("healthy", "Whether /health says so.")
        self._build = self._gauge("build_info", "What runs.", "version", "python", "ffmpeg")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"vidd_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"vidd_{name}", meaning, labels, registry=self.registry)

    def note(self, event: Event) -> None:
        """Count an event."""
        match event:
            case JobMoved():
                if event.job.state in _FINISHED and event.before is not event.job.state:
                    self._finished.labels(event.job.pipeline, event.job.state).inc()
            case StepEnded():
                self._step.labels(event.kind, event.fate).observe(event.seconds)
            case EncodeEnded():
                self._speed.labels(event.kind).observe(event.speed)
                self._cpu.labels(event.kind).inc(max(0.0, event.cpu_seconds))
            case BytesMoved():
                self._bytes.labels(event.kind, event.way).inc(max(0, event.size))
            case Retried():
                self._retries.labels(event.kind).inc()
            case PublicationMoved():
                self._publications.labels(event.publication.kind, event.publication.state).inc()
            case EncodeCount():
                self._encodes.set(event.running)
            case WatcherMoved():
                self._count_restarts(event.name, event.kind, event.restarts)
            case _:
                pass

    def _count_restarts(self, name: str, kind: str, restarts: int) -> None:
        counter = self._restarts.labels(name, kind)
        counter.inc(max(0, restarts - self._restarts_seen.get((name, kind), 0)))
        self._restarts_seen[name, kind] = restarts

    def scrape(self, health: Health, census: Census, now: datetime) -> bytes:
        """Set the gauges and give the text format 0.0.4."""
        self._set_jobs(health, census, now)
        self._up.clear()
        self._last.clear()
        for watcher in health.watchers.values():
            self._up.labels(watcher.name, watcher.kind).set(watcher.up)
            if watcher.last_event:
                self._last.labels(watcher.name, watcher.kind).set(watcher.last_event.timestamp())
            self._count_restarts(watcher.name, watcher.kind, watcher.restarts)
        self._disk.set(health.disk_free)
        self._paused.set(health.paused)
        self._healthy.set(health.ok)
        self._build.clear()
        self._build.labels(health.version, platform.python_version(), health.ffmpeg.version or "").set(1)
        return generate_latest(self.registry)

    def _set_jobs(self, health: Health, census: Census, now: datetime) -> None:
        self._jobs.clear()
        self._incomplete.clear()
        for pipeline in {pipeline for pipeline, _ in census.counts}:
            for state in State:
                self._jobs.labels(pipeline, state).set(census.counts.get((pipeline, state), 0))
            self._incomplete.labels(pipeline).set(census.incomplete.get(pipeline, 0))
        self._depth.set(health.queue)
        age = (now - census.oldest).total_seconds() if census.oldest else 0.0
        self._oldest.set(max(0.0, age))
