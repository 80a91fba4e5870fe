"""A data set as CVAT reads it: the XML of "CVAT for images 1.1" (docs.cvat.ai, "XML annotation format"), in pieces.

The labels come first, each with the attributes there are and their values, then each picture with its boxes. Whoever
imports it needs a task whose pictures have these names, and these labels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vidd.integrations.datasets.labels import Classes, Mark, Marked

# XML 1.0, 2.2: these cannot be written at all.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def cvat(frames: Iterable[Marked], classes: Classes, *, name: str = "") -> Iterator[str]:
    """The text, piece by piece; the frames are gone through twice. Marks of no class are left out."""
    size = sum(1 for _ in frames)
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
    yield f"      <name>{_text(name)}</name>\n      <size>{size}</size>\n      <mode>annotation</mode>\n      <labels>\n"
    yield from _labels(classes)
    yield "      </labels>\n    </task>\n  </meta>\n"
    for number, frame in enumerate(frames):
        sides = f'width="{frame.width}" height="{frame.height}"'
        yield f'  <image id="{number}" name={_quoted(frame.name)} {sides}>\n'
        for mark in frame.marks:
            if classes.place(mark) is not None:
                yield from _box(mark, frame)
        yield "  </image>\n"
    yield "</annotations>\n"


def _labels(classes: Classes) -> Iterator[str]:
    """CVAT knows a label once, with all the values that its attributes may have."""
    known: dict[str, dict[str, dict[str, None]]] = {}
    for entry in classes.wanted:
        if entry.enabled:
            attributes = known.setdefault(entry.label, {})
            for name, value in entry.attributes.items():
                attributes.setdefault(name, {})[_line(value)] = None
    for label, attributes in known.items():
        yield f"        <label>\n          <name>{_text(label)}</name>\n          <type>rectangle</type>\n"
        yield "          <attributes>\n"
        for name, values in attributes.items():
            yield from _attribute(name, values)
        yield "          </attributes>\n        </label>\n"


def _attribute(name: str, values: Mapping[str, None]) -> Iterator[str]:
    first = next(iter(values))
    yield f"            <attribute>\n              <name>{_text(name)}</name>\n"
    yield "              <mutable>False</mutable>\n              <input_type>select</input_type>\n"
    yield f"              <default_value>{_text(first)}</default_value>\n"
    shown = "\n".join(_text(value) for value in values)
    yield f"              <values>{shown}</values>\n            </attribute>\n"


def _box(mark: Mark, frame: Marked) -> Iterator[str]:
    box = mark.within(frame.width, frame.height)
    if box is None:
        return
    source = "manual" if mark.confidence is None else "auto"
    places = zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True)
    sides = " ".join(f'{side}="{place:.2f}"' for side, place in places)
    yield f'    <box label={_quoted(mark.label)} source="{source}" occluded="0" {sides} z_order="0">\n'
    for name, value in mark.attributes.items():
        yield f"      <attribute name={_quoted(name)}>{_text(_line(value))}</attribute>\n"
    yield "    </box>\n"


def _line(value: object) -> str:
    """A value of an attribute: in the list of them each has a line."""
    return " ".join(str(value).split())


def _text(text: str) -> str:
    return escape(_IMPOSSIBLE.sub("\ufffd", text))


def _quoted(text: str) -> str:
    return quoteattr(_IMPOSSIBLE.sub("\ufffd", text))
