"""Jobs, steps and publications as JSON, without what could be used to act for somebody (tokens, signed queries, passwords)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from vidd.model.check_policy import describe_file, findings, policy_of
from vidd.model.job import MEANING
from vidd.model.publication import PUBLICATION_MEANING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vidd.model.check_policy import Policy
    from vidd.model.event import Progressed
    from vidd.model.job import Job
    from vidd.model.media import Artifact, StepRecord
    from vidd.model.publication import Publication
    from vidd.model.talk import Talk


def moment(time: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else None


def public_location(location: str) -> str:
    """A location without user, password and query: a signed address is as good as a key."""
    try:
        parts = urlsplit(location)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return location.partition("?")[0]
    if parts.scheme not in {"http", "https", "s3", "ftp", "sftp"}:
        return location
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, host + port, parts.path, "…" if parts.query else "", ""))


def progress_json(progress: Progressed) -> dict[str, Any]:
    """`part`, `done` and `total` in `unit`, `fraction` 0 to 1 or null, `speed` in units per second."""
    return {
        "part": progress.part,
        "done": progress.done,
        "total": progress.total,
        "unit": progress.unit,
        "fraction": progress.fraction,
        "speed": progress.speed,
    }


def job_json(
    job: Job,
    *,
    progress: Iterable[Progressed] = (),
    link: str | None = None,
    talk: Talk | None = None,
    eta: datetime | None = None,
) -> dict[str, Any]:
    """A job as lists show it; `talk` is its row of the programme, `eta` when it will be published."""
    return {
        "id": job.id,
        "pipeline": job.pipeline,
        "source": job.source,
        "name": job.name,
        "location": public_location(job.location),
        "talk": job.talk,
        "title": talk.title if talk else None,
        "speakers": [speaker.name for speaker in talk.speakers] if talk else [],
        "stage": talk.stage if talk else None,
        "state": job.state,
        "meaning": MEANING[job.state],
        "reason": job.reason,
        "until": moment(job.until),
        "created": moment(job.created),
        "changed": moment(job.changed),
        "priority": job.priority,
        "attempt": job.attempt,
        "link": link,
        "progress": [progress_json(part) for part in progress],
        "eta": moment(eta),
    }


def _check_json(artifact: Artifact, policy: Policy) -> dict[str, Any] | None:
    """The record of a file's check with its summary, and its findings under the policy."""
    record = artifact.facts.get("check")
    if record is None:
        return None
    found = [
        {"kind": finding.kind, "does": finding.action, "sentence": finding.sentence}
        for finding in findings(record, policy)
    ]
    return {**record, "summary": describe_file(artifact), "findings": found}


def step_json(record: StepRecord, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A finished step with the files it made; `settings` are those of its job."""
    policy = policy_of(settings, record.name)
    return {
        "name": record.name,
        "kind": record.kind,
        "seconds": record.seconds,
        "facts": dict(record.outcome.facts),
        "artifacts": [
            {
                "role": artifact.role,
                "path": artifact.path,
                "size": artifact.size,
                "content_type": artifact.content_type,
                "media": artifact.media.to_json() if artifact.media else None,
                "files": artifact.tree.files if artifact.tree else None,
                "check": _check_json(artifact, policy),
            }
            for artifact in record.outcome.artifacts
        ],
    }


def publication_json(publication: Publication) -> dict[str, Any]:
    """A publication without its token, which is as good as a key."""
    receipt = publication.receipt
    return {
        "job": publication.job,
        "name": publication.name,
        "kind": publication.kind,
        "notice": publication.notice,
        "state": publication.state,
        "meaning": PUBLICATION_MEANING[publication.state],
        "attempt": publication.attempt,
        "reason": publication.reason,
        "until": moment(publication.until),
        "changed": moment(publication.changed),
        "receipt": {"url": receipt.url, "facts": dict(receipt.facts)} if receipt else None,
    }


def link_of(publications: Iterable[Publication]) -> str | None:
    """The address of the job's video: the first one in a receipt of a publisher."""
    receipts = (publication.receipt for publication in publications if not publication.notice and publication.receipt)
    return next((receipt.url for receipt in receipts if receipt.url), None)
