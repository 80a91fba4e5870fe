"""Jobs, their steps and their progress as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def job_line(job: Mapping[str, Any]) -> str:
    """A line: the id, the state, the name, and the progress, or else the link and the reason."""
    outcome = "  ".join(text for text in (job.get("link"), job.get("reason")) if text)
    bars = " ".join(describe_progress(progress) for progress in job.get("progress", ()))
    return f"{job['id']}  {job['state']:<10}  {job['name']}  {bars or outcome}".rstrip()


def describe_progress(progress: Mapping[str, Any]) -> str:
    """A part's percent, speed and remaining time."""
    fraction, speed = progress.get("fraction"), progress.get("speed")
    words = [
        str(progress["part"]),
        f"{fraction:.0%}" if fraction is not None else _format_amount(progress["done"], progress["unit"]),
    ]
    if speed:
        words.append(f"{speed:.1f}x" if progress["unit"] == "s" else f"{speed / 1e6:.1f} MB/s")
        if progress.get("total") and fraction is not None and fraction < 1:
            words.append(f"{clock((progress['total'] - progress['done']) / speed)} left")
    return " ".join(words)


def _format_amount(done: float, unit: str) -> str:
    return clock(done) if unit == "s" else f"{done / 1e6:.1f} MB"


def clock(seconds: float) -> str:
    """M:SS or H:MM:SS."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _artifact_lines(artifact: Mapping[str, Any]) -> list[str]:
    """A file that a step made, and the findings of its check."""
    check = artifact.get("check")
    if check is None:
        files = f"{artifact['files']} files, " if artifact.get("files") is not None else ""
        return [f"    {artifact['role']}: {artifact['path']}, {files}{artifact['size']} bytes"]
    lines = [f"    {artifact['role']}: {artifact['path']}, {check['summary']}"]
    if check.get("lane"):
        lines.append(f"      {check['lane']}: {check['why']}")
    return lines + [f"      {finding['does']}: {finding['sentence']}" for finding in check["findings"]]


def job_page(job: Mapping[str, Any]) -> str:
    """A job with its steps, publications, notes and history."""
    lines = [job_line(job), f"  {job['meaning']}"]
    lines += [
        f"  {name}: {job[name]}"
        for name in ("title", "stage", "location", "pipeline", "talk", "reason", "until")
        if job.get(name)
    ]
    for step in job.get("steps", ()):
        lines.append(f"  step {step['name']}: {step['seconds']:.1f} s")
        lines += [line for artifact in step["artifacts"] for line in _artifact_lines(artifact)]
    for publication in job.get("publications", ()):
        where = (publication["receipt"] or {}).get("url") or publication["reason"] or ""
        lines.append(
            f"  {'notice' if publication['notice'] else 'publisher'} {publication['name']}: {publication['state']} {where}".rstrip()
        )
    lines += [f"  note {note}" for note in job.get("notes", ())]
    lines += [f"  {move['at']}  {move['state']}  {move['reason'] or ''}".rstrip() for move in job.get("history", ())]
    return "\n".join(lines)
