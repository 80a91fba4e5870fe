"""Colour conversion filters, so that what is shown beside or over a video has the video's colours. Pure.

Code points are those of ITU-T H.273: primaries, transfer, matrix, and the range (1 limited, 2 full).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidd.model.media import Video

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_HDR_TRANSFERS = (16, 18)
# Reference white in a high dynamic range video, in candela per square metre (ITU-R BT.2408).
_REFERENCE_WHITE = 203


def matrix(video: Video) -> str:
    """The matrix by its name in ffmpeg's scale filter; where the stream has none, the one that players assume."""
    return _MATRICES.get(video.colours[2]) or ("bt709" if video.height >= 720 else "bt601")


def is_hdr(video: Video) -> bool:
    """Whether the video has a high dynamic range (PQ or HLG)."""
    return video.colours[1] in _HDR_TRANSFERS


def match_filters(video: Video, source: Video | None) -> list[str]:
    """Filters that convert frames of `source` (None: an image), already scaled, to the colours of `video`."""
    full = video.colours[3] == 2
    if is_hdr(video):
        transfer = "smpte2084" if video.colours[1] == 16 else "arib-std-b67"
        read = "format=gbrp,zscale=min=gbr:tin=iec61966-2-1:pin=709:rin=full"
        if source is not None:
            read = f"zscale=min={'709' if matrix(source) == 'bt709' else '170m'}:tin=709:pin=709:rin=limited"
        write = f":m=2020_ncl:t={transfer}:p=2020:r={'full' if full else 'limited'}:npl={_REFERENCE_WHITE}"
        return [read + write]
    read = "" if source is None else f"in_color_matrix={matrix(source)}:"
    return [f"scale={read}out_color_matrix={matrix(video)}:out_range={'full' if full else 'limited'}"]


def tag_filter(video: Video) -> str:
    """The filter that marks frames as having the colours of `video`, without converting them."""
    primaries, transfer, space, span = video.colours
    return f"setparams=color_primaries={primaries}:color_trc={transfer}:colorspace={space}:range={span}"
