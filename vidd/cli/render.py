"""How a job looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def job_line(job: Mapping[str, Any]) -> str:
    """One line: the id's end, the state, the name, and why or where."""
    told = "  ".join(words for words in (job.get("link"), job.get("reason")) if words)
    bars = " ".join(progress_words(one) for one in job.get("progress", ()))
    return f"{job['id']}  {job['state']:<10}  {job['name']}  {bars or told}".rstrip()


def progress_words(one: Mapping[str, Any]) -> str:
    """A part's percent, speed and remaining time."""
    fraction, speed = one.get("fraction"), one.get("speed")
    words = [str(one["part"]), f"{fraction:.0%}" if fraction is not None else _amount(one["done"], one["unit"])]
    if speed:
        words.append(f"{speed:.1f}x" if one["unit"] == "s" else f"{speed / 1e6:.1f} MB/s")
        if one.get("total") and fraction is not None and fraction < 1:
            words.append(f"{clock((one['total'] - one['done']) / speed)} left")
    return " ".join(words)


def _amount(done: float, unit: str) -> str:
    return clock(done) if unit == "s" else f"{done / 1e6:.1f} MB"


def clock(seconds: float) -> str:
    """M:SS or H:MM:SS."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _made_lines(made: Mapping[str, Any]) -> list[str]:
    """A file that a step made, and what its check found."""
    check = made.get("check")
    if check is None:
        files = f"{made['files']} files, " if made.get("files") is not None else ""
        return [f"    {made['role']}: {made['path']}, {files}{made['size']} bytes"]
    lines = [f"    {made['role']}: {made['path']}, {check['summary']}"]
    if check.get("lane"):
        lines.append(f"      {check['lane']}: {check['why']}")
    return lines + [f"      {finding['does']}: {finding['sentence']}" for finding in check["findings"]]


def job_page(job: Mapping[str, Any]) -> str:
    """Everything a person wants to know of a job."""
    lines = [job_line(job), f"  {job['meaning']}"]
    lines += [f"  {name}: {job[name]}" for name in ("location", "pipeline", "talk", "reason", "until") if job.get(name)]
    for step in job.get("steps", ()):
        lines.append(f"  step {step['name']}: {step['seconds']:.1f} s")
        lines += [line for made in step["artifacts"] for line in _made_lines(made)]
    for publication in job.get("publications", ()):
        where = (publication["receipt"] or {}).get("url") or publication["reason"] or ""
        lines.append(
            f"  {'notice' if publication['notice'] else 'publisher'} {publication['name']}: {publication['state']} {where}".rstrip()
        )
    lines += [f"  note {note}" for note in job.get("notes", ())]
    lines += [f"  {one['at']}  {one['state']}  {one['reason'] or ''}".rstrip() for one in job.get("history", ())]
    return "\n".join(lines)
