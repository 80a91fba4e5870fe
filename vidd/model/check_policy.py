"""Applies the policy to the record of a file's check, and describes the findings in sentences; no I/O.

The record says what is in the file (`vidd.media.verify.report` has its shape). A finding is something in it that a person
may object to. By the policy vidd notes a finding, holds the job until a person has decided, or refuses the job.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vidd.model.media import Artifact

Action = Literal["refuse", "hold", "note"]
_MAX_STRETCHES = 3
# Video or audio that is missing nearly all the time is missing, however short the file.
_NEARLY_ALL = 0.95
_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Policy:
    """The action for each kind of finding, and the limits from which something is a finding. Durations are seconds.

    `silent`, `loudness` and `peak` are about the first audio track, which players play. Loudness is the integrated
    loudness of EBU R128 (LUFS), the peak is the sample peak (dBFS). `offset` (seconds) is how far audio and video moved
    apart, compared with the source.
    """

    black: Action = "hold"
    black_for: float = 120.0
    frozen: Action = "note"
    frozen_for: float = 120.0
    silent: Action = "hold"
    silent_for: float = 120.0
    loudness: Action = "note"
    loudness_from: float = -35.0
    loudness_to: float = -9.0
    peak: Action = "note"
    peak_to: float = 0.0
    offset: Action = "hold"
    offset_to: float = 0.02
    damage: Action = "note"
    soundless: Action = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person may object to. `kind` is a field of the `Policy`, `action` the action it has there."""

    kind: str
    action: Action
    sentence: str


def policy_of(settings: Mapping[str, Any], step: str) -> Policy:
    """The policy for files of a step, from a job's settings: the step's, else the pipeline's, else the default."""
    own = next((row.get("check") for row in settings.get("steps", ()) if row["name"] == step), None)
    chosen = own or settings.get("check") or {}
    known = {field.name for field in fields(Policy)}
    return Policy(**{name: value for name, value in chosen.items() if name in known})


def findings(record: Mapping[str, Any], policy: Policy) -> tuple[Finding, ...]:
    """The findings in the record of a check, the most serious first."""
    found = [
        Finding(kind, getattr(policy, kind), sentence)
        for kind, sentences in (
            ("black", _long_stretches(record, record.get("black", ()), policy.black_for, "The video is black {}.")),
            (
                "frozen",
                _long_stretches(record, record.get("frozen", ()), policy.frozen_for, "The video stands still {}."),
            ),
            (
                "silent",
                _long_stretches(record, _first(record, "silent") or (), policy.silent_for, "Nothing is heard {}."),
            ),
            ("loudness", _loudness(_first(record, "loudness"), policy)),
            ("peak", _peak(_first(record, "loudness"), policy)),
            ("offset", _offset(record, policy)),
            ("damage", _damage(record)),
            ("soundless", _without_audio(record)),
        )
        for sentence in sentences
    ]
    return tuple(sorted(found, key=lambda finding: ("refuse", "hold", "note").index(finding.action)))


def _first(record: Mapping[str, Any], name: str) -> Any:
    return next(iter(record.get(name) or ()), None)


def _long_stretches(
    record: Mapping[str, Any], stretches: Sequence[Sequence[float]], least: float, sentence: str
) -> Iterator[str]:
    least = min(least, _NEARLY_ALL * record.get("duration", least))
    long = sorted(
        (stretch for stretch in stretches if stretch[1] - stretch[0] >= least),
        key=lambda stretch: stretch[0] - stretch[1],
    )
    if long:
        shown = sorted(long[:_MAX_STRETCHES], key=lambda stretch: stretch[0])
        places = ", ".join(
            f"from {time_in_words(first)} to {time_in_words(last)} ({duration_in_words(last - first)})"
            for first, last in shown
        )
        more = f" and {len(long) - len(shown)} times more" if len(long) > len(shown) else ""
        yield sentence.format(places + more)


def _loudness(measured: Mapping[str, float] | None, policy: Policy) -> Iterator[str]:
    # The finding `silent` covers a track that is silent from start to end.
    if measured is None or measured["integrated"] <= -70:
        return
    if not policy.loudness_from <= measured["integrated"] <= policy.loudness_to:
        usual = f"{policy.loudness_from:g} to {policy.loudness_to:g} are wanted"
        yield f"The audio has {measured['integrated']:.1f} LUFS; {usual}."


def _peak(measured: Mapping[str, float] | None, policy: Policy) -> Iterator[str]:
    if measured is not None and measured["peak"] > policy.peak_to:
        yield f"The audio reaches {measured['peak']:.1f} dBFS, more than {policy.peak_to:g}: it may be clipped."


def _offset(record: Mapping[str, Any], policy: Policy) -> Iterator[str]:
    moved = [(av_offset(offset), offset["at"]) for offset in record.get("offset", ()) if av_offset(offset) is not None]
    far = [(by, at) for by, at in moved if by is not None and abs(by) > policy.offset_to]
    if far:
        by, at = max(far, key=lambda offset: abs(offset[0]))
        later = "later" if by > 0 else "earlier"
        yield f"At {time_in_words(at)} the audio comes {abs(by) * 1000:.0f} ms {later} to its video than in the source."
    if record.get("lost"):
        yield "The audio is not found in the source at the places where it was looked for."


def av_offset(point: Mapping[str, Any]) -> float | None:
    """By how many seconds the audio comes later than in the source, at one point of a record's `offset`.

    None if the audio or the video was not found in the source there.
    """
    audio, video = point["sound"], point["picture"]
    return None if audio is None or video is None else float(audio - video)


def _without_audio(record: Mapping[str, Any]) -> Iterator[str]:
    if "sound" in record and not record["sound"]:
        yield "There is no audio track."


def _damage(record: Mapping[str, Any]) -> Iterator[str]:
    if record.get("missing"):
        yield f"{record['missing']} frames of the source are missing: it is damaged."
    if record.get("damage"):
        more = f" And {len(record['damage']) - 1} times more." if len(record["damage"]) > 1 else ""
        yield f"{record['damage'][0][:_LONGEST_SHOWN]}{more}"


def describe_file(artifact: Artifact) -> str:
    """A checked file in one line: codec, size, duration, loudness, sync."""
    record, media = artifact.facts.get("check", {}), artifact.media
    words = []
    if media is not None and media.video:
        video = media.video[0]
        across, down = video.display_size
        words += [time_in_words(media.duration), f"{video.codec} {across}x{down}", f"{video.rate:.4g} frames/s"]
    if record.get("pictures"):
        words.append(f"{record['pictures']} frames")
    if media is not None:
        words.append(_audio_in_words(artifact))
    apart = [abs(by) for offset in record.get("offset", ()) if (by := av_offset(offset)) is not None]
    if apart:
        words.append(f"in sync to {1000 * max(apart):.0f} ms")
    if record.get("joins"):
        words.append(f"{len(record['joins'])} joins decode")
    words.append(f"{artifact.size / 1e6:.1f} MB" if artifact.size >= 100_000 else f"{artifact.size / 1e3:.1f} kB")
    return ", ".join(words)


def _audio_in_words(artifact: Artifact) -> str:
    tracks = artifact.media.audio if artifact.media else ()
    if not tracks:
        return "no audio"
    measured = _first(artifact.facts.get("check", {}), "loudness")
    many = f"{len(tracks)} audio tracks" if len(tracks) > 1 else tracks[0].codec
    return f"{many} {measured['integrated']:.1f} LUFS, peak {measured['peak']:.1f} dBFS" if measured else many


def time_in_words(seconds: float) -> str:
    """A time in a file, as 1:02 or 1:02:03; below a minute with tenths, as 0:02.4."""
    total, tenths = divmod(round(seconds * 10), 10)
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{text}.{tenths}" if tenths and seconds < 60 else text


def duration_in_words(seconds: float) -> str:
    """A duration in seconds, as 8.5 s, 3 min 20 s or 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest if not hours else 0, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value)
