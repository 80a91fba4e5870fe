"""Recordings in which somebody speaks, at known times: flite's voice between silences."""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import pytest

from footage.clips import ffmpeg

SENTENCE = "the quick brown fox jumps over the lazy dog"
"""What PocketSphinx understands of this voice, word by word."""
RATE = 16_000


def spoken(path: Path, *parts: float | str) -> list[tuple[str, float, float]]:
    """Write a WAV file of silences (seconds) and texts; returns each text with the times at which it begins and ends."""
    if shutil.which("flite") is None:
        pytest.skip("needs Debian package flite")
    samples, said = b"", []
    for part in parts:
        if isinstance(part, str):
            voice = _voice(path.with_name("voice.wav"), part)
            said.append((part, len(samples) / 2 / RATE, (len(samples) + len(voice)) / 2 / RATE))
            samples += voice
        else:
            samples += bytes(2 * round(part * RATE))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples)
    return said


def _voice(path: Path, text: str) -> bytes:
    subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", path], check=True, timeout=60)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return file.readframes(file.getnframes())


def speech_video(path: Path, *tracks: Sequence[float | str], languages: Sequence[str] = (), late: float = 0.0):
    """A video with a track of speech for each of `tracks`; returns what is said in each, with its times in the video.

    `late`: the audio begins so many seconds after the video.
    """
    said, inputs, maps = [], [], []
    for number, parts in enumerate(tracks):
        wav = path.with_name(f"{path.stem}-{number}.wav")
        said.append([(text, start + late, end + late) for text, start, end in spoken(wav, *parts)])
        inputs += ["-itsoffset", late, "-i", wav]
        maps += ["-map", f"{number + 1}:a"]
    with wave.open(str(path.with_name(f"{path.stem}-0.wav"))) as file:
        seconds = file.getnframes() / RATE + late
    labels = [word for number, name in enumerate(languages) for word in (f"-metadata:s:a:{number}", f"language={name}")]
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=160x90:r=25:d={seconds:.3f}", *inputs, "-map", "0:v", *maps, *labels),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", path),
    )
    return said
