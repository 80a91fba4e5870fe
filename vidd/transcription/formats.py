"""Captions as files: SubRip, WebVTT and JSON, written, and read as recognisers write them. Pure.

w3.org/TR/webvtt1; SubRip has no standard, so it is read as loosely as players read it.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.transcription.transcript import Cue, Transcript, Word, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SUFFIXES = (".json", ".vtt", ".srt", ".txt")
"""What `read` reads, the best first: JSON has the times of words."""
LARGEST = 64 << 20
_WITHOUT_SPACES = frozenset({"ja", "km", "lo", "my", "th", "yue", "zh"})
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_TAG = re.compile(r"<[^<>\n]*>|\{\\[^{}\n]*\}")
_UNREADABLE = str.maketrans("<>", "\u2039\u203a")  # single angle quotation marks


def srt(cues: Sequence[Cue]) -> str:
    """SubRip. It has no escapes, and players take < and > for tags, so those become single angle quotation marks."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        + "\n".join(_plain(line) for line in cue.lines)
        for number, cue in enumerate(cues, 1)
    ]
    return "\n\n".join(blocks) + "\n"


def vtt(cues: Sequence[Cue]) -> str:
    """WebVTT, with &, < and > escaped."""
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
        + "\n".join(html.escape(_one_line(line), quote=False) for line in cue.lines)
        for cue in cues
    ]
    return "WEBVTT\n\n" + "\n\n".join(blocks) + "\n"


def words_json(transcript: Transcript, language: str, engine: str) -> str:
    """The words with their times; `exact` says whether those were measured."""
    words = [
        {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}
        | ({"glued": True} if word.glued else {})
        for word in transcript.words
    ]
    return (
        json.dumps(
            {"language": language, "engine": engine, "exact": transcript.exact, "words": words}, ensure_ascii=False
        )
        + "\n"
    )


def _plain(line: str) -> str:
    return _one_line(line).replace("-->", "→").translate(_UNREADABLE)


def _one_line(line: str) -> str:
    return " ".join(line.split())


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def read(name: str, content: bytes, language: str) -> Transcript:
    """What a recogniser wrote into the file `name`. Raises Refused with what is wrong, and where."""
    suffix = PurePath(name).suffix.lower()
    if len(content) > LARGEST:
        raise _broken(name, f"it has more than {LARGEST >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _broken(name, f"it is not UTF-8 (byte {error.start})") from None
    if suffix == ".json":
        return _from_json(name, text, language)
    if suffix == ".txt":
        return Transcript(exact=False, text=text.strip())
    cues = _read_cues(name, text)
    words = [word for cue in cues for word in spread(cue.text, cue.start, cue.end)]
    return Transcript(tuple(words), tuple(cues), exact=False)


def _broken(name: str, why: str) -> Refused:
    return Refused(f"The captions {quoted(name)} cannot be read: {why}. See what the recogniser wrote, then retry.")


def _read_cues(name: str, text: str) -> list[Cue]:
    cues: list[Cue] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if "-->" not in line:
            continue  # a number, a name, a note, the head
        match = _TIMES.fullmatch(line)
        if match is None:
            raise _broken(name, f"line {number} is no pair of times: {quoted(line[:80])}")
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        if end < start:
            raise _broken(name, f"the cue of line {number} ends before it starts")
        shown: list[str] = []
        while number < len(lines) and lines[number].strip() and "-->" not in lines[number]:
            shown.append(_one_line(html.unescape(_TAG.sub("", lines[number]))))
            number += 1
        shown = [spoken for spoken in shown if spoken]
        if shown:
            cues.append(Cue(start, end, tuple(shown)))
    if not cues and text.strip() and not text.lstrip().startswith("WEBVTT"):
        raise _broken(name, "it has no cue with times")
    return sorted(cues, key=lambda cue: cue.start)


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = clock
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction}")


def _from_json(name: str, text: str, language: str) -> Transcript:
    """The words in the JSON of whisper.cpp, of Whisper and its kin, of Vosk, or of vidd itself."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict | list):
            raise _broken(name, "it is neither an object nor a list")
        rows = list(_rows(data))
        exact = all(row[3] for row in rows)
    except json.JSONDecodeError as error:
        raise _broken(name, f"it is no JSON ({error})") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(name, f"a word has no text or no times ({type(error).__name__}: {error})") from None
    return Transcript(tuple(words_of([row[:3] for row in rows], language)), exact=exact)


def words_of(rows: Iterable[tuple[str, float, float]], language: str) -> list[Word]:
    """Words of (text, start, end). Where recognisers mark the spaces before words, a word without one is glued."""
    known = [row for row in rows if row[0].strip()]
    marked = any(text.startswith(" ") for text, _, _ in known)
    spaceless = language.partition("-")[0] in _WITHOUT_SPACES
    return [
        Word(
            " ".join(text.split()),
            start,
            max(start, end),
            number > 0 and (not text.startswith(" ") if marked else spaceless),
        )
        for number, (text, start, end) in enumerate(sorted(known, key=lambda row: row[1]))
    ]


def _rows(data: Any) -> Iterable[tuple[str, float, float, bool]]:
    """(text, start, end, whether the word itself was timed) of everything that is said in a tree of JSON."""
    if isinstance(data, list):
        for part in data:
            yield from _rows(part)
        return
    for key in ("segments", "transcription"):
        if key in data:
            for segment in data[key]:
                yield from _segment(segment)
            return
    if "start" in data:
        yield _word(data)
        return
    for word in data.get("words") or data.get("result") or ():
        yield _word(word)


def _segment(segment: Mapping[str, Any]) -> Iterable[tuple[str, float, float, bool]]:
    words = segment.get("words") or [
        token
        for token in segment.get("tokens") or ()
        if isinstance(token, dict) and not str(token["text"]).startswith("[_")
    ]
    if words:
        yield from map(_word, words)
        return
    start, end = _span(segment)
    yield from ((f" {word.text}", word.start, word.end, False) for word in spread(str(segment["text"]), start, end))


def _word(word: Mapping[str, Any]) -> tuple[str, float, float, bool]:
    text = str(word["word"] if "word" in word else word["text"])
    return (text, *_span(word), True)


def _span(timed: Mapping[str, Any]) -> tuple[float, float]:
    if "offsets" in timed:  # whisper.cpp: milliseconds
        return float(timed["offsets"]["from"]) / 1000, float(timed["offsets"]["to"]) / 1000
    return float(timed["start"]), float(timed["end"])
