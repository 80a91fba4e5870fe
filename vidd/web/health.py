"""`/health`, `/livez` and `/metrics`: the daemon's health, for curl, load balancers and Prometheus."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from vidd.web.control_port import CONTROL
from vidd.web.job_counts import JobCounter
from vidd.web.serializers import moment

if TYPE_CHECKING:
    from vidd.web.control_port import Health, Watcher
    from vidd.web.job_counts import JobCounts

COUNTER: web.AppKey[JobCounter] = web.AppKey("counting")


def _watcher_json(watcher: Watcher) -> dict[str, Any]:
    return {
        "kind": watcher.kind,
        "up": watcher.up,
        "restarts": watcher.restarts,
        "last_event": moment(watcher.last_event),
        "reason": watcher.reason,
        "note": watcher.note,
    }


def health_json(health: Health, counts: JobCounts) -> dict[str, Any]:
    """The document of `/health`."""
    return {
        "ok": health.ok,
        "reasons": list(health.reasons),
        "version": health.version,
        "since": moment(health.since),
        "paused": health.paused,
        "queue": health.queue,
        "running": health.running,
        "queue_eta": moment(health.queue_eta),
        "jobs": counts.by_state,
        "incomplete": sum(counts.incomplete.values()),
        "watchers": {name: _watcher_json(watcher) for name, watcher in sorted(health.watchers.items())},
        "disk_free": health.disk_free,
        "slots": {name: asdict(slots) for name, slots in sorted(health.slots.items())},
        "ffmpeg": {"version": health.ffmpeg.version, "missing": list(health.ffmpeg.missing)},
    }


async def show_health(request: web.Request) -> web.Response:
    """`GET /health`: 200 when all is well, 503 with the reasons when not."""
    # Counted first, since that may find out that the store is away.
    counts = await request.app[COUNTER].count()
    health = await request.app[CONTROL].health()
    text = json.dumps(health_json(health, counts), indent=2)
    return web.json_response(text=f"{text}\n", status=200 if health.ok else 503)


async def show_liveness(_request: web.Request) -> web.Response:
    """`GET /livez`: 200 as long as the event loop answers, whatever the health."""
    return web.json_response({"ok": True})


async def show_metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: Prometheus' text format."""
    control = request.app[CONTROL]
    counts = await request.app[COUNTER].count()
    text = control.metrics.scrape(await control.health(), counts, control.clock.now())
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
