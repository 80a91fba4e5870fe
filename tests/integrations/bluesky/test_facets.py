import pytest
from peers.bluesky import a_facet

from vidd.integrations.bluesky.facets import links_of, spans_of

SHARED = "✨ example mentioning @atproto.com to share the URL 👨\u200d❤️\u200d👨 https://en.wikipedia.org/wiki/CBOR."


def coloured(text, facets):
    return [(text[span.start : span.end], span.kind) for span in spans_of(text, facets)]


def test_facets_count_bytes_and_an_overlapping_one_is_dropped():
    facets = [
        a_facet(23, 35, "mention", did="did:plc:x"),
        a_facet(74, 108, "link", uri="https://en.wikipedia.org/wiki/CBOR"),
        a_facet(30, 80, "link", uri="https://evil.example"),
    ]
    assert len(SHARED.encode()) == 109
    assert coloured(SHARED, facets) == [("@atproto.com", "mention"), ("https://en.wikipedia.org/wiki/CBOR", "link")]
    assert links_of(facets) == {"https://en.wikipedia.org/wiki/CBOR", "https://evil.example"}


@pytest.mark.parametrize(
    ("start", "end"),
    [(5, 2), (2, 2), (-1, 3), (0, 100), (1, 4), (0, 2), ("0", 3), (0.0, 3), (True, 3), (None, 3), (10**30, 10**31)],
)  # fmt: skip
def test_a_range_that_is_reversed_empty_outside_or_within_a_character_is_dropped(start, end):
    assert spans_of("✨ abc", [a_facet(start, end, "tag", tag="x")]) == ()


@pytest.mark.parametrize(
    "facets",
    [None, 5, "x", [None], [{}], [{"index": 5, "features": []}], [{"index": {"byteStart": 0, "byteEnd": 1}}],
     [{"index": {"byteStart": 0, "byteEnd": 1}, "features": [{"$type": ["x"]}, {"$type": "app.bsky.richtext.facet#bold"}]}]],
)  # fmt: skip
def test_a_facet_without_sense_is_dropped(facets):
    assert spans_of("abc", facets) == ()


def test_the_first_known_feature_of_a_facet_is_its_kind():
    facet = {
        "index": {"byteStart": 0, "byteEnd": 3},
        "features": [{"$type": "x#bold"}, {"$type": "app.bsky.richtext.facet#tag"}],
    }
    assert coloured("#ab c", [facet]) == [("#ab", "hashtag")]
