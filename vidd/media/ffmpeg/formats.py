"""The container formats that ffmpeg and PyAV may open.

Playlists, scripts and devices are left out: they make a reader open other files.
"""

from __future__ import annotations

FORMATS = (
    "mov",
    "matroska",
    "mpegts",
    "mpeg",
    "avi",
    "flv",
    "asf",
    "ogg",
    "mxf",
    "gxf",
    "dv",
    "h264",
    "hevc",
    "ivf",
    "nut",
    "mpegvideo",
    "wav",
    "mp3",
    "aac",
    "flac",
)
