"""Posts are by strangers: whatever they hold becomes a text with spans inside it, and can be saved."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from peers.bluesky import a_facet, a_post
from peers.feeds import item, mastodon_rss, media
from peers.mastodon import a_status, an_account

from vidd.errors import Refused
from vidd.integrations.bluesky.facets import spans_of
from vidd.integrations.bluesky.feed_post import NotForEverybody
from vidd.integrations.bluesky.feed_post import post_of as bluesky_post
from vidd.integrations.feed.worker.entries import read_feed
from vidd.integrations.mastodon.status import Origin
from vidd.integrations.mastodon.status import post_of as mastodon_post
from vidd.integrations.posts.html_text import clean, html_text, plain_or_html_text
from vidd.model.post import Post

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
PIECES = st.sampled_from(
    [
        "<p>", "</p>", "<br>", "<a href=x>", "<a class=mention href=y>", "</a>", "<span class=invisible>", "<span class=ellipsis>",
        "</span>", "<ul>", "<ol>", "<li>", "</li>", "</ul>", "<pre>", "</pre>", "<blockquote>", "</blockquote>", "<img alt=:a: class=emoji src=s>",
        "<script>", "</script>", "<rt>", "<table>", "<td>", "<select>", "<svg>", "<template>", "&amp;", "&#55357;", "<!--", "-->", "<frameset>",
        " ", "\n", "👨\u200d❤️\u200d👨", "e\u0301", "\u202e", "#", "@",
    ]
)  # fmt: skip
HTML = st.lists(PIECES | TEXT, max_size=25).map("".join)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NUMBERS = st.integers(-2, 60)
FACETS = st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from(["link", "mention", "tag", "other"])), max_size=8)


def keep(post):
    """The post as it comes back from a file; its spans are in order, apart, and inside the text."""
    assert Post.from_json(json.loads(json.dumps(post.to_json()).encode())) == post
    post.text.encode()
    in_order(post.text, post.spans)


def in_order(text, spans):
    ends = [0, *(span.end for span in spans)]
    assert all(end <= span.start < span.end <= len(text) for end, span in zip(ends, spans, strict=False))


@given(HTML)
def test_any_html_is_a_text_with_its_spans_inside(html):
    for found in (html_text(html), plain_or_html_text(html)):
        in_order(found.text, found.spans)
        assert found.text == clean(found.text)
        assert not any(found.text[span.start : span.end].isspace() for span in found.spans)


@given(TEXT)
def test_a_text_that_is_escaped_comes_back_as_it_was_but_for_its_white_space(text):
    escaped = "".join(f"&#{ord(character)};" if character in "<>&" else character for character in clean(text))
    assert html_text(f"<p>{escaped}</p>").text.split() == clean(text).split()


@given(TEXT, FACETS)
def test_any_facets_colour_whole_characters_and_never_one_twice(text, ranges):
    text = clean(text)
    spans = spans_of(text, [a_facet(*facet) for facet in ranges])
    in_order(text, spans)
    wanted = {(start, end) for start, end, _ in ranges}
    for span in spans:
        assert (len(text[: span.start].encode()), len(text[: span.end].encode())) in wanted


@given(TEXT, st.data())
def test_facets_that_do_not_overlap_all_come_back(text, data):
    text = clean(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    ranges = list(zip(cuts[::2], cuts[1::2], strict=False))
    facets = [a_facet(len(text[:start].encode()), len(text[:end].encode()), "tag", tag="x") for start, end in ranges]
    assert [(span.start, span.end) for span in spans_of(text, data.draw(st.permutations(facets)))] == ranges


def one_of_its_own(document):
    """The document with one of its fields replaced by anything."""
    return st.tuples(st.sampled_from(sorted(document)), ANY).map(lambda change: {**document, change[0]: change[1]})


STATUS = {**a_status(1), "account": an_account()}


@given(one_of_its_own(STATUS) | one_of_its_own({**STATUS, "reblog": STATUS}) | st.dictionaries(TEXT, ANY), HTML)
def test_any_status_of_mastodon_is_a_post(status, html):
    for shown in (status, {**STATUS, "content": html, "quote": status}, {**STATUS, "account": status}):
        post = mastodon_post(shown, Origin("https://example.social", "example.social"))
        if post is not None:
            keep(post)


@given(one_of_its_own(a_post(1)), ANY, TEXT, FACETS)
def test_any_item_of_bluesky_is_a_post(view, anything, text, ranges):
    facets = [a_facet(*facet) for facet in ranges]
    embed = {"$type": "app.bsky.embed.recordWithMedia#view", "media": anything, "record": {"record": view}}
    card = {"$type": "app.bsky.embed.external#view", "external": {"uri": text, "title": text}}
    for feed_item in (
        {"post": view},
        {"post": anything, "reason": anything, "reply": anything},
        {"post": a_post(1, text, facets=facets, embed=card)},
        {"post": a_post(1, text, facets=anything, embed=embed)},
    ):
        try:
            keep(bluesky_post(feed_item))
        except NotForEverybody as hidden:
            assert hidden.sentence.endswith(".")


FEED = mastodon_rss(item(2, "<p>One</p>", more=media("https://f/1.png", alt="A")), item(1, "Two", title="T")).decode()


@st.composite
def damaged(draw, text):
    """The text with a few pieces of it cut out, doubled or replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        text = text[:start] + draw(HTML | st.just(text[start:end] * 2)) + text[end:]
    return text.encode(draw(st.sampled_from(["utf-8", "utf-16", "cp1252"])), errors="replace")


@settings(max_examples=50)
@given(damaged(FEED) | st.binary(max_size=200), st.sampled_from(["", "text/xml", "application/xml; charset=utf-16"]))
def test_any_feed_is_posts_or_a_sentence(content, content_type):
    try:
        posts, notes = read_feed(content, "p", 20, url="https://a.b/", content_type=content_type)
    except Refused as refused:
        assert refused.sentence.endswith(".")
    else:
        assert all(note.endswith(".") for note in notes)
        for post in posts:
            keep(post)
