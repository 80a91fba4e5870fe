"""Writes a data set as XML of "CVAT for images 1.1" (docs.cvat.ai, "XML annotation format").

The labels come first, each with its attributes and their values, then each image with its boxes. An import into CVAT needs
a task whose images have these names, and these labels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vidd.integrations.datasets.labels import Classes, Mark, MarkedFrame

# XML 1.0, section 2.2: no XML document can hold these characters.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def cvat(frames: Iterable[MarkedFrame], classes: Classes, *, name: str = "") -> Iterator[str]:
    """The text in pieces; iterates over the frames twice. Marks without a class are left out."""
    size = sum(1 for _ in frames)
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
    yield f"      <name>{_text(name)}</name>\n      <size>{size}</size>\n      <mode>annotation</mode>\n      <labels>\n"
    yield from _labels(classes)
    yield "      </labels>\n    </task>\n  </meta>\n"
    for number, frame in enumerate(frames):
        sides = f'width="{frame.width}" height="{frame.height}"'
        yield f'  <image id="{number}" name={_quoted(frame.name)} {sides}>\n'
        for mark in frame.marks:
            if classes.index_of(mark) is not None:
                yield from _box(mark, frame)
        yield "  </image>\n"
    yield "</annotations>\n"


def _labels(classes: Classes) -> Iterator[str]:
    """CVAT lists a label once, with all the values that its attributes may have."""
    known: dict[str, dict[str, dict[str, None]]] = {}
    for entry in classes.entries:
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


def _box(mark: Mark, frame: MarkedFrame) -> Iterator[str]:
    box = mark.within(frame.width, frame.height)
    if box is None:
        return
    source = "manual" if mark.confidence is None else "auto"
    corners = zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True)
    sides = " ".join(f'{side}="{value:.2f}"' for side, value in corners)
    yield f'    <box label={_quoted(mark.label)} source="{source}" occluded="0" {sides} z_order="0">\n'
    for name, value in mark.attributes.items():
        yield f"      <attribute name={_quoted(name)}>{_text(_line(value))}</attribute>\n"
    yield "    </box>\n"


def _line(value: object) -> str:
    """The value of an attribute on one line, since the list of values has one a line."""
    return " ".join(str(value).split())


def _text(text: str) -> str:
    return escape(_IMPOSSIBLE.sub("\ufffd", text))


def _quoted(text: str) -> str:
    return quoteattr(_IMPOSSIBLE.sub("\ufffd", text))
