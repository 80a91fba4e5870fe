"""What was said, word by word, and the cues that show it. Times are in seconds from the file's start. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINE, LINES = 42, 2
"""The most characters of a line, and lines of a cue, that can be read while the speaker goes on."""
LONGEST = 7.0
_SHORTEST = 1.0
_PAUSE = 0.8
_PARAGRAPH = 2.0
_SENTENCE_LENGTH = 20
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "؟", "।")  # noqa: RUF001 - full-width marks are those of CJK
_CLAUSE_ENDS = (",", ";", ":", "–", "—", "、", "，", "；")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Word:
    """A word from `start` to `end`. `glued`: nothing stands between it and the word before it, as in Chinese."""

    text: str
    start: float
    end: float
    glued: bool = False


@dataclass(frozen=True, slots=True)
class Cue:
    """One or two lines that are shown from `start` to `end`."""

    start: float
    end: float
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines as one."""
        return " ".join(self.lines)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What one recogniser heard in one language.

    cues: those that the recogniser made; vidd cuts them anew where they are too long to read.
    exact: whether the words' times were measured; otherwise they were shared out over the cues by their letters.
    text: the words alone, where the recogniser gives no times.
    """

    words: tuple[Word, ...] = ()
    cues: tuple[Cue, ...] = ()
    exact: bool = True
    text: str = ""


def joined(words: Sequence[Word]) -> str:
    """The words as a text."""
    return "".join(("" if word.glued or not number else " ") + word.text for number, word in enumerate(words))


def paragraphs(words: Sequence[Word]) -> str:
    """The words as a text, with an empty line where the speaker pauses for two seconds or more."""
    found: list[list[Word]] = []
    for word in words:
        if not found or word.start - found[-1][-1].end >= _PARAGRAPH:
            found.append([])
        found[-1].append(word)
    return "\n\n".join(joined([replace(part[0], glued=False), *part[1:]]) for part in found)


def spread(text: str, start: float, end: float) -> list[Word]:
    """The words of a text whose time as a whole is known, each with its share by letters."""
    texts = text.split()
    total = sum(len(word) for word in texts) or 1
    words, done = [], 0
    for word in texts:
        begin = start + (end - start) * done / total
        done += len(word)
        words.append(Word(word, begin, start + (end - start) * done / total))
    return words


def cues_of(transcript: Transcript) -> list[Cue]:
    """The cues to show: at most two lines of 42 characters for at most 7 s, cut at sentences and pauses; none overlap."""
    if not transcript.cues:
        return _timed(_cut(transcript.words))
    runs: list[list[Word]] = []
    for cue in transcript.cues:
        words = spread(cue.text, cue.start, cue.end)
        runs += [words] if cue.end - cue.start <= LONGEST and _lines(words) else list(_cut(words))
    return _timed(runs)


def _cut(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Runs of words, each of which fits into a cue."""
    run: list[Word] = []
    for word in [piece for long in words for piece in _pieces(long)]:
        while run and _ends_before(run, word):
            at = len(run) if _fits([*run, word]) else _best_break(run)
            yield run[:at]
            run = run[at:]
        run.append(word)
    if run:
        yield run


def _pieces(word: Word) -> list[Word]:
    """A word that is longer than a line in pieces: an address, or a sentence of a language without spaces."""
    if len(word.text) <= LINE:
        return [word]
    texts = [word.text[at : at + LINE] for at in range(0, len(word.text), LINE)]
    share = (word.end - word.start) / len(word.text)
    return [
        Word(
            text,
            word.start + share * LINE * number,
            word.start + share * (LINE * number + len(text)),
            number > 0 or word.glued,
        )
        for number, text in enumerate(texts)
    ]


def _ends_before(run: Sequence[Word], word: Word) -> bool:
    pause = word.start - run[-1].end
    sentence = run[-1].text.endswith(_SENTENCE_ENDS) and len(joined(run)) >= _SENTENCE_LENGTH
    return pause >= _PAUSE or sentence or not _fits([*run, word])


def _fits(run: Sequence[Word]) -> bool:
    return run[-1].end - run[0].start <= LONGEST and bool(_lines(run))


def _best_break(run: Sequence[Word]) -> int:
    """How many words of a full run come first: up to a clause's end or the longest pause in its second half."""

    def worth(at: int) -> tuple[bool, float]:
        pause = run[at].start - run[at - 1].end
        return run[at - 1].text.endswith((*_CLAUSE_ENDS, *_SENTENCE_ENDS)), round(pause, 1)

    places = [at for at in range(max(len(run) // 2, 1), len(run)) if any(worth(at))]
    return max(places, key=lambda at: (*worth(at), at), default=len(run))


def _lines(run: Sequence[Word]) -> tuple[str, ...]:
    """The run in one line or in two of like length; empty if it does not fit."""
    whole = joined([replace(run[0], glued=False), *run[1:]])
    if len(whole) <= LINE:
        return (whole,)
    pairs = [(joined(run[:at]), joined([replace(run[at], glued=False), *run[at + 1 :]])) for at in range(1, len(run))]
    fitting = [pair for pair in pairs if max(map(len, pair)) <= LINE]
    return min(fitting, key=lambda pair: abs(len(pair[0]) - len(pair[1])), default=())


def _timed(runs: Iterator[list[Word]] | Sequence[Sequence[Word]]) -> list[Cue]:
    """The cues of runs: shown for a second at least where the next one leaves the time, and never two at once."""
    cues: list[Cue] = []
    for run in runs:
        start = max(run[0].start, 0.0, cues[-1].start + 0.001 if cues else 0.0)
        cues.append(Cue(start, min(max(run[-1].end, start + _SHORTEST), start + LONGEST), _lines(run)))
    for number, following in enumerate(cues[1:]):
        cues[number] = replace(cues[number], end=min(cues[number].end, following.start))
    return cues
