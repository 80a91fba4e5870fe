"""Maps a file name's extension to its content type, the same on every machine."""

from __future__ import annotations

from mimetypes import MimeTypes
from pathlib import PurePosixPath

UNKNOWN = "application/octet-stream"
_OURS = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska",
    ".webm": "video/webm", ".ts": "video/mp2t", ".avi": "video/x-msvideo", ".mxf": "application/mxf",
    ".mpg": "video/mpeg", ".mpeg": "video/mpeg", ".ogv": "video/ogg", ".ogg": "video/ogg",
    ".glb": "model/gltf-binary", ".gltf": "model/gltf+json", ".obj": "model/obj", ".npy": UNKNOWN, ".pkl": UNKNOWN,
    ".m3u8": "application/vnd.apple.mpegurl", ".m4s": "video/iso.segment", ".md": "text/markdown", ".srt": "application/x-subrip", ".vtt": "text/vtt",
}  # fmt: skip
_KNOWN = MimeTypes()
"""Python's own table, because the tables of machines differ."""


def content_type(name: str) -> str:
    """The content type of a file of this name."""
    suffix = PurePosixPath(name).suffix.lower()
    return _OURS.get(suffix) or _KNOWN.types_map[True].get(suffix, UNKNOWN)
