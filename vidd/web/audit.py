"""`/api/audit`: what the sources' other sides have, held against the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from vidd.model.audit import Audit, Finding
from vidd.web.api import answer
from vidd.web.control_port import DESK

COUNTS = ("seen", "processed", "duplicate", "missing", "under_way", "refused", "waiting")
LISTS = ("duplicate", "missing", "under_way", "refused", "waiting")


def _finding_json(one: Finding) -> dict[str, Any]:
    return {
        "name": one.name,
        "why": one.why,
        "jobs": [{"id": job.id, "state": job.state, "source": job.source} for job in one.jobs],
    }


def _counts(audit: Audit) -> dict[str, int]:
    return {name: audit.seen if name == "seen" else len(getattr(audit, name)) for name in COUNTS}


def audits_json(audits: Sequence[Audit]) -> dict[str, Any]:
    """Totals, and each source with its lists; what is processed is only counted."""
    each = [_counts(audit) for audit in audits]
    return {
        "ok": all(audit.ok for audit in audits),
        **{name: sum(counts[name] for counts in each) for name in COUNTS},
        "sources": [
            {
                "source": audit.source,
                "kind": audit.kind,
                "pipeline": audit.pipeline,
                "ok": audit.ok,
                **counts,
                "lists": {name: [_finding_json(one) for one in getattr(audit, name)] for name in LISTS},
            }
            for audit, counts in zip(audits, each, strict=True)
        ],
    }


async def show_audit(request: web.Request) -> web.Response:
    """Ask the sources that can tell what they have."""
    query = request.query
    return answer(audits_json(await request.app[DESK].audit(query.get("source"), query.get("pipeline"))))
