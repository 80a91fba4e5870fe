"""Makes plain text of the HTML of a post, with the spans of its links, and finds its pictures and custom emoji.

Networks and feeds give HTML by anybody, so nothing is trusted: an unknown element counts as its content, a script as nothing,
and what is broken is read as browsers do (selectolax, an HTML5 parser).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import TYPE_CHECKING

from selectolax.lexbor import LexborHTMLParser

from vidd.model.post import CustomEmoji, Span, SpanKind

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_MOST_CHARACTERS, _MOST_TAGS = 200_000, 5_000
"""What lies behind is cut off: no card shows it, and the parser's time grows with the square of the depth."""

_DEEPEST = 3
"""How deep quotations and lists are indented at most."""

_HIDDEN = frozenset(
    {
        "-comment", "audio", "canvas", "dialog", "embed", "head", "iframe", "math", "noembed", "noframes", "noscript", "object",
        "option", "rp", "script", "select", "style", "svg", "template", "textarea", "title", "video",
    }
)  # fmt: skip
_PARAGRAPHS = frozenset(
    {
        "article", "aside", "blockquote", "dl", "fieldset", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
        "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table", "ul",
    }
)  # fmt: skip
_LINES = frozenset({"address", "dd", "details", "div", "dt", "figcaption", "legend", "li", "summary", "tr"})
_CELLS = frozenset({"td", "th"})
_LISTS = frozenset({"ol", "ul"})
_EMOJI_CLASSES = frozenset({"custom-emoji", "emoji", "emojione", "wp-smiley"})
_SHORTCODE = re.compile(r":([A-Za-z0-9_+-]{1,100}):")
_BLANK = re.compile(r"[ \t\n\r\f]+")
_UNSUITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TAG = re.compile(r"<[A-Za-z/!?]")
_ADDRESS = re.compile(r"https?://[^\s<>\"]+[^\s<>\"'.,;:!?)\]}…]")


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a text: its address as it is written there."""

    url: str
    alt: str


@dataclass(frozen=True, slots=True)
class PlainText:
    """A text without markup; offsets of `spans` count its code points."""

    text: str
    spans: tuple[Span, ...] = ()
    emoji: tuple[CustomEmoji, ...] = ()
    images: tuple[Image, ...] = ()


def clean(value: object) -> str:
    """A foreign value as text with as many code points: nothing but text, tabs and line ends; "" where it is no text."""
    if not isinstance(value, str):
        return ""
    return _UNSUITABLE.sub(" ", _SURROGATE.sub("\ufffd", value))


def html_text(html: str, *, hidden_classes: frozenset[str] = frozenset({"invisible"})) -> PlainText:
    """The text that people read. Elements of `hidden_classes` are left out; those of the class `ellipsis` end in "…"."""
    root = LexborHTMLParser(_bounded(clean(html))).body
    writer = _Writer(hidden_classes)
    if root is not None:
        writer.write(root)
    return writer.finish()


def plain_or_html_text(text: str) -> PlainText:
    """As `html_text`, or where there is no tag in it, as `plain_text`."""
    return html_text(text) if _TAG.search(text) else plain_text(unescape(text[:_MOST_CHARACTERS]))


def plain_text(text: str) -> PlainText:
    """A text that is none of HTML: it keeps its line ends, and the addresses in it are links."""
    lines = (_BLANK.sub(" ", line).strip() for line in clean(text)[:_MOST_CHARACTERS].splitlines())
    plain = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return PlainText(plain, tuple(Span(found.start(), found.end(), "link") for found in _ADDRESS.finditer(plain)))


def _bounded(html: str) -> str:
    html = html[:_MOST_CHARACTERS]
    if html.count("<") <= _MOST_TAGS:
        return html
    return "<".join(html.split("<", _MOST_TAGS)[:_MOST_TAGS])


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Every node below `root` twice, as it begins (True) and as it ends; without recursion, for texts of any depth."""
    above: list[tuple[LexborNode, Iterator[LexborNode]]] = [(root, root.iter(include_text=True))]
    while above:
        node = next(above[-1][1], None)
        if node is None:
            ended, _ = above.pop()
            if above:
                yield ended, False
            continue
        yield node, True
        above.append((node, node.iter(include_text=True)))


@dataclass
class _Link:
    """A link that has begun: which part its text begins with, and at which code point."""

    part: int
    start: int | None = None


@dataclass
class _Writer:
    """Writes the text of one document."""

    hidden_classes: frozenset[str]
    parts: list[str] = field(default_factory=list)
    length: int = 0
    blank: bool = False
    newlines: int = 0
    spans: list[Span] = field(default_factory=list)
    emoji: dict[str, CustomEmoji] = field(default_factory=dict)
    images: list[Image] = field(default_factory=list)
    links: list[_Link] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    mark: str = ""
    hidden: int = 0
    preformatted: int = 0
    quotes: int = 0

    def write(self, root: LexborNode) -> None:
        for node, begins in _walk(root):
            tag = node.tag or ""
            if tag == "-text":
                if begins and not self.hidden:
                    self._text(node.text_content or "")
            elif self.hidden or self._is_hidden(node, tag):
                self.hidden += 1 if begins else -1
            elif begins:
                self._begin(node, tag)
            else:
                self._end(node, tag)

    def finish(self) -> PlainText:
        return PlainText("".join(self.parts), tuple(self.spans), tuple(self.emoji.values()), tuple(self.images))

    def _is_hidden(self, node: LexborNode, tag: str) -> bool:
        return tag in _HIDDEN or not self.hidden_classes.isdisjoint(_classes(node))

    def _begin(self, node: LexborNode, tag: str) -> None:
        self._break(tag)
        match tag:
            case "br":
                self.newlines, self.blank = min(self.newlines + 1, 2), False
            case "pre":
                self.preformatted += 1
            case "blockquote":
                self.quotes += 1
            case "ol" | "ul":
                self.lists.append(1 if tag == "ol" else 0)
            case "li":
                self._item()
            case "rt":
                self._put("(")
            case "img":
                self._image(node)
            case "a":
                self.links.append(_Link(len(self.parts)))

    def _end(self, node: LexborNode, tag: str) -> None:
        match tag:
            case "pre":
                self.preformatted -= 1
            case "blockquote":
                self.quotes -= 1
            case "ol" | "ul":
                self.lists.pop()
            case "rt":
                self._put(")")
            case "a":
                self._end_link(node)
        if tag not in _CELLS and "ellipsis" in _classes(node):
            self._put("…")
        self._break(tag)

    def _break(self, tag: str) -> None:
        """A line or a paragraph ends here."""
        wanted = 0
        if tag in _PARAGRAPHS and not (tag in _LISTS and self.lists):
            wanted = 2
        elif tag in _PARAGRAPHS or tag in _LINES:
            wanted = 1
        elif tag in _CELLS:
            self.blank = True
        if wanted:
            self.newlines, self.blank = max(self.newlines, wanted), False

    def _item(self) -> None:
        if self.lists and self.lists[-1]:
            self.mark = f"{self.lists[-1]}. "
            self.lists[-1] += 1
        else:
            self.mark = "• "

    def _image(self, node: LexborNode) -> None:
        source, alt = clean(node.attributes.get("src")).strip(), clean(node.attributes.get("alt")).strip()
        shortcode = _SHORTCODE.fullmatch(alt)
        if not _EMOJI_CLASSES.isdisjoint(_classes(node)):
            self._put(alt)
            if shortcode and source:
                self.emoji.setdefault(shortcode[1], CustomEmoji(shortcode[1], source))
        elif source and not {node.attributes.get("width"), node.attributes.get("height")} & {"0", "1"}:
            self.images.append(Image(source, alt))

    def _end_link(self, node: LexborNode) -> None:
        link = self.links.pop()
        if link.start is not None and node.attributes.get("href"):
            text = "".join(self.parts[link.part + 1 :])
            self.spans.append(Span(link.start, self.length, _kind(node, text)))

    def _text(self, text: str) -> None:
        if self.preformatted:
            for at, line in enumerate(text.split("\n")):
                if at:
                    self.newlines, self.blank = self.newlines + 1, False
                self._put(line)
            return
        for at, word in enumerate(_BLANK.split(text)):
            if at:
                self.blank = True
            self._put(word)

    def _put(self, text: str) -> None:
        """Write a text, after the blank or the line ends that come before it; none come before the first text."""
        if not text:
            return
        if not self.length or self.newlines:
            lead = "\n" * self.newlines if self.length else ""
            lead += "> " * min(self.quotes, _DEEPEST) + "  " * min(max(0, len(self.lists) - 1), _DEEPEST) + self.mark
            self.mark = ""
        else:
            lead = " " if self.blank else ""
        self.newlines, self.blank = 0, False
        self.length += len(lead)
        for link in self.links:
            link.start = self.length if link.start is None else link.start
        self.parts += [lead, text]
        self.length += len(text)


def _classes(node: LexborNode) -> frozenset[str]:
    return frozenset((node.attributes.get("class") or "").split())


def _kind(node: LexborNode, text: str) -> SpanKind:
    classes = _classes(node)
    if "hashtag" in classes or (text.startswith("#") and ("tag" in (node.attributes.get("rel") or "").split())):
        return "hashtag"
    if "mention" in classes and not text.startswith("#"):
        return "mention"
    return "hashtag" if "mention" in classes else "link"
