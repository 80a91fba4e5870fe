"""`/api/audit`: what the sources list now, compared with the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from vidd.model.audit import Audit, Finding
from vidd.web.api import json_response
from vidd.web.control_port import CONTROL

COUNTS = ("seen", "processed", "duplicate", "missing", "under_way", "refused", "waiting")
LISTS = ("duplicate", "missing", "under_way", "refused", "waiting")


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "why": finding.why,
        "jobs": [{"id": job.id, "state": job.state, "source": job.source} for job in finding.jobs],
    }


def _counts(audit: Audit) -> dict[str, int]:
    return {name: audit.seen if name == "seen" else len(getattr(audit, name)) for name in COUNTS}


def audits_json(audits: Sequence[Audit]) -> dict[str, Any]:
    """Totals, and each source with its lists; what is processed is only counted."""
    by_audit = [_counts(audit) for audit in audits]
    return {
        "ok": all(audit.ok for audit in audits),
        **{name: sum(counts[name] for counts in by_audit) for name in COUNTS},
        "sources": [
            {
                "source": audit.source,
                "kind": audit.kind,
                "pipeline": audit.pipeline,
                "ok": audit.ok,
                **counts,
                "lists": {name: [_finding_json(finding) for finding in getattr(audit, name)] for name in LISTS},
            }
            for audit, counts in zip(audits, by_audit, strict=True)
        ],
    }


async def show_audit(request: web.Request) -> web.Response:
    """`GET /api/audit`: ask the sources that can list what they have."""
    query = request.query
    return json_response(audits_json(await request.app[CONTROL].audit(query.get("source"), query.get("pipeline"))))
