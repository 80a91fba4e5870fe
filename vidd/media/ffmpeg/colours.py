"""What the numbers of a picture mean, so that what is put beside or over it has the same colours. Pure.

Code points are those of ITU-T H.273: primaries, transfer, matrix, and the range (1 limited, 2 full).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidd.model.media import Video

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_WIDE = (16, 18)
# What white is in a picture of high dynamic range, in candela per square metre (ITU-R BT.2408).
_WHITE = 203


def matrix(video: Video) -> str:
    """The matrix as ffmpeg's scale filter calls it; where the stream does not say, what players take it for."""
    return _MATRICES.get(video.colours[2]) or ("bt709" if video.height >= 720 else "bt601")


def is_wide(video: Video) -> bool:
    """Whether it is of high dynamic range (PQ or HLG)."""
    return video.colours[1] in _WIDE


def like(video: Video, source: Video | None) -> list[str]:
    """The filters that give a picture (None: an image) the colours of a video, once scaled and in its size."""
    full = video.colours[3] == 2
    if is_wide(video):
        transfer = "smpte2084" if video.colours[1] == 16 else "arib-std-b67"
        read = "format=gbrp,zscale=min=gbr:tin=iec61966-2-1:pin=709:rin=full"
        if source is not None:
            read = f"zscale=min={'709' if matrix(source) == 'bt709' else '170m'}:tin=709:pin=709:rin=limited"
        white = f":m=2020_ncl:t={transfer}:p=2020:r={'full' if full else 'limited'}:npl={_WHITE}"
        return [read + white]
    read = "" if source is None else f"in_color_matrix={matrix(source)}:"
    return [f"scale={read}out_color_matrix={matrix(video)}:out_range={'full' if full else 'limited'}"]


def marked(video: Video) -> str:
    """The filter that says of pictures that they have these colours."""
    primaries, transfer, space, span = video.colours
    return f"setparams=color_primaries={primaries}:color_trc={transfer}:colorspace={space}:range={span}"
