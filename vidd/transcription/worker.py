"""Recognises speech in a child: `python -P -m vidd.transcription.worker`.

It answers `faster_whisper` and `pocketsphinx` with `words`: (text, start, end) each, in seconds of the WAV file `audio`.
"""

from __future__ import annotations

import os
import re
import wave
from typing import TYPE_CHECKING, Any

from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.processes.worker import Progress

_VARIANT = re.compile(r"\(\d+\)$")
_NO_WORD = ("<", "[", "+")
_MARGIN = 0.3


def faster_whisper(orders: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Words by Whisper. Without spaces before them they are glued, as they are in Chinese."""
    # What the model's directory lacks must not come from anywhere else.
    os.environ["HF_HUB_OFFLINE"] = "1"
    from faster_whisper import WhisperModel  # noqa: PLC0415 - an extra, and each engine needs its own

    model = WhisperModel(
        orders["model"],
        device=orders["device"],
        compute_type=orders["compute_type"],
        cpu_threads=orders["threads"],
        local_files_only=True,
    )
    segments, about = model.transcribe(
        orders["audio"],
        language=orders["language"],
        task=orders["task"],
        beam_size=orders["beam_size"],
        initial_prompt=orders["prompt"],
        word_timestamps=True,
        vad_filter=orders["vad"],
        # An error in one sentence would otherwise go on into all that follow.
        condition_on_previous_text=False,
    )
    words: list[tuple[str, float, float]] = []
    for segment in segments:
        words += [(word.word, float(word.start), float(word.end)) for word in segment.words or ()]
        # The last segment may end after the audio, since Whisper listens to 30 s at a time.
        progress(int(min(segment.end, about.duration)), int(about.duration))
    return {"words": words}


def pocketsphinx(orders: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Words by PocketSphinx, utterance by utterance as its detector of speech finds them."""
    from pocketsphinx import Decoder, Segmenter  # noqa: PLC0415 - as above

    names = {"model": "hmm", "dictionary": "dict", "language_model": "lm", "grammar": "jsgf"}
    files = {argument: orders[name] for name, argument in names.items() if name in orders}
    words: list[tuple[str, float, float]] = []
    with wave.open(orders["audio"]) as audio, wave.open(orders["audio"]) as again:
        rate, total = audio.getframerate(), audio.getnframes() // audio.getframerate()
        decoder = Decoder(samprate=rate, loglevel="FATAL", **files)
        frames, end = _Frames(audio, progress, rate, total), 0
        for utterance in Segmenter(sample_rate=rate).segment(frames):
            # The detector is late by part of the first sound; without it the first word is another one.
            start = max(end, round((utterance.start_time - _MARGIN) * rate))
            end = round((utterance.end_time + _MARGIN) * rate)
            again.setpos(start)
            decoder.start_utt()
            decoder.process_raw(again.readframes(end - start), full_utt=True)
            decoder.end_utt()
            words += [
                (
                    _VARIANT.sub("", part.word),
                    start / rate + part.start_frame / 100,
                    start / rate + (part.end_frame + 1) / 100,
                )
                for part in decoder.seg() or ()
                if not part.word.startswith(_NO_WORD)
            ]
    return {"words": words}


class _Frames:
    """A WAV file as the stream that the detector of speech reads; what it has read is the progress."""

    def __init__(self, audio: wave.Wave_read, progress: Progress, rate: int, total: int) -> None:
        self._audio, self._progress, self._rate, self._total = audio, progress, rate, total
        self._reported, self._ended = -1, False

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        frames = self._audio.readframes(size // 2)
        if not frames and not self._ended:
            # The detector ends the last utterance at a part of a frame only, and else loses it.
            frames = b"\0\0"
        self._ended = len(frames) < size
        second = self._audio.tell() // self._rate
        if second != self._reported:
            self._reported = second
            self._progress(second, self._total)
        return frames


if __name__ == "__main__":
    serve(
        {"faster_whisper": faster_whisper, "pocketsphinx": pocketsphinx},
        extra="captions",
        memory_setting="memory of the engine",
    )
