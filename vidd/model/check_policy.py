"""What is done about what the check of a file found: the policy, the findings, and both in words. Pure.

The record of a check says what is there (`vidd.media.verify.report` has its shape). A finding is what of it a person may mind,
and by the policy it is noted, holds the job until a person has decided, or refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vidd.model.media import Artifact

Action = Literal["refuse", "hold", "note"]
_MOST_PLACES = 3
# Video or audio that is missing nearly all the time is missing, however short the file.
_NEARLY_ALL = 0.95
_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Policy:
    """What each kind of finding does, and from where on it is one. Durations are seconds.

    `silent`, `loudness` and `peak` are those of the first audio track, the one that players play. Loudness is the
    integrated one of EBU R128 (LUFS), the peak that of the samples (dBFS). `offset` is how far audio and video moved
    apart since the source.
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
    """One thing that a person may mind; `kind` is the policy's word for it."""

    kind: str
    does: Action
    sentence: str


def policy_of(settings: Mapping[str, Any], step: str) -> Policy:
    """The policy of a step in a job's settings: its own, else its pipeline's, else the usual."""
    own = next((row.get("check") for row in settings.get("steps", ()) if row["name"] == step), None)
    chosen = own or settings.get("check") or {}
    known = {field.name for field in fields(Policy)}
    return Policy(**{name: value for name, value in chosen.items() if name in known})


def findings(record: Mapping[str, Any], policy: Policy) -> tuple[Finding, ...]:
    """What a check's record holds that the policy speaks of, the most serious first."""
    found = [
        Finding(kind, getattr(policy, kind), sentence)
        for kind, sentences in (
            ("black", _long(record, record.get("black", ()), policy.black_for, "The video is black {}.")),
            ("frozen", _long(record, record.get("frozen", ()), policy.frozen_for, "The video stands still {}.")),
            ("silent", _long(record, _first(record, "silent") or (), policy.silent_for, "Nothing is heard {}.")),
            ("loudness", _loudness(_first(record, "loudness"), policy)),
            ("peak", _peak(_first(record, "loudness"), policy)),
            ("offset", _offset(record, policy)),
            ("damage", _damage(record)),
            ("soundless", _without_audio(record)),
        )
        for sentence in sentences
    ]
    return tuple(sorted(found, key=lambda finding: ("refuse", "hold", "note").index(finding.does)))


def _first(record: Mapping[str, Any], name: str) -> Any:
    return next(iter(record.get(name) or ()), None)


def _long(
    record: Mapping[str, Any], stretches: Sequence[Sequence[float]], least: float, sentence: str
) -> Iterator[str]:
    least = min(least, _NEARLY_ALL * record.get("duration", least))
    long = sorted(
        (stretch for stretch in stretches if stretch[1] - stretch[0] >= least),
        key=lambda stretch: stretch[0] - stretch[1],
    )
    if long:
        shown = sorted(long[:_MOST_PLACES], key=lambda stretch: stretch[0])
        places = ", ".join(
            f"from {time_in_words(first)} to {time_in_words(last)} ({duration_in_words(last - first)})"
            for first, last in shown
        )
        more = f" and {len(long) - len(shown)} times more" if len(long) > len(shown) else ""
        yield sentence.format(places + more)


def _loudness(heard: Mapping[str, float] | None, policy: Policy) -> Iterator[str]:
    # What is silent altogether is said to be silent.
    if heard is None or heard["integrated"] <= -70:
        return
    if not policy.loudness_from <= heard["integrated"] <= policy.loudness_to:
        usual = f"{policy.loudness_from:g} to {policy.loudness_to:g} are wanted"
        yield f"The audio has {heard['integrated']:.1f} LUFS; {usual}."


def _peak(heard: Mapping[str, float] | None, policy: Policy) -> Iterator[str]:
    if heard is not None and heard["peak"] > policy.peak_to:
        yield f"The audio reaches {heard['peak']:.1f} dBFS, more than {policy.peak_to:g}: it may be clipped."


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
    """How much later (seconds) audio comes to its video than in the source, at one point of a record's `offset`."""
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
    """A checked file in one line: what it is, how long, how loud, whether it is in sync."""
    record, media = artifact.facts.get("check", {}), artifact.media
    words = []
    if media is not None and media.video:
        video = media.video[0]
        across, down = video.shown
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
    heard = _first(artifact.facts.get("check", {}), "loudness")
    many = f"{len(tracks)} audio tracks" if len(tracks) > 1 else tracks[0].codec
    return f"{many} {heard['integrated']:.1f} LUFS, peak {heard['peak']:.1f} dBFS" if heard else many


def time_in_words(seconds: float) -> str:
    """A time in a file: 1:02, 1:02:03, and 0:02.4 where tenths matter."""
    whole, tenths = divmod(round(seconds * 10), 10)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{text}.{tenths}" if tenths and seconds < 60 else text


def duration_in_words(seconds: float) -> str:
    """How long something lasts: 8.5 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest if not hours else 0, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value)
