"""The Unicode Bidirectional Algorithm (UAX 9), by FriBidi, which Pillow's libraqm needs, too."""

from __future__ import annotations

import ctypes
from functools import cache

from vidd.errors import FaultCode, Refused

# FRIBIDI_PAR_ON: the first strong character decides.
_FIRST_STRONG = 0x40
_RTL = 0x111


@cache
def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libfribidi.so.0")
    except OSError:
        raise Refused(
            "Cards need FriBidi, which puts Arabic and Hebrew in order: install it (Debian: libfribidi0), then retry.",
            code=FaultCode.NOT_INSTALLED,
        ) from None


def embedding_levels(text: str) -> tuple[int, list[int]]:
    """The level of a paragraph, 0 or 1 (right to left), and the level of each of its characters; odd is right to left.

    Raises Refused where FriBidi is missing.
    """
    fribidi, count = _library(), len(text)
    points = (ctypes.c_uint32 * count)(*map(ord, text))
    types, brackets = (ctypes.c_uint32 * count)(), (ctypes.c_uint32 * count)()
    levels, base = (ctypes.c_int8 * count)(), ctypes.c_uint32(_FIRST_STRONG)
    fribidi.fribidi_get_bidi_types(points, count, types)
    fribidi.fribidi_get_bracket_types(points, count, types, brackets)
    fribidi.fribidi_get_par_embedding_levels_ex(types, brackets, count, ctypes.byref(base), levels)
    return int(base.value == _RTL), list(levels)


def visual_order(levels: list[int]) -> list[int]:
    """The places of a line's runs from left to right, by the runs' levels (rule L2)."""
    order = list(range(len(levels)))
    for level in range(max(levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = max(end, start + 1)
    return order
