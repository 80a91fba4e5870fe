import pytest

from vidd.integrations.posts.html_text import clean, html_text, plain_or_html_text
from vidd.model.post import CustomEmoji


def spans(text):
    return [(text.text[span.start : span.end], span.kind) for span in text.spans]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>two<br>lines</p>", "One\n\ntwo\nlines"),
        ("<p>A &amp; B &lt;b&gt; &#x1F600;</p>", "A & B <b> 😀"),
        ("  a\n  b <b> c</b>\t d ", "a b c d"),
        ("a<br><br><br><br>b", "a\n\nb"),
        ("<ul><li>One</li><li>Two<ol><li>Inner</li><li>Next</li></ol></li></ul>", "• One\n• Two\n  1. Inner\n  2. Next"),
        ("<p>See:</p><pre><code>if x:\n    y\n\n    z</code></pre>after", "See:\n\nif x:\n    y\n\n    z\n\nafter"),
        ("<blockquote><p>Said</p><p>twice</p></blockquote><p>me</p>", "> Said\n\n> twice\n\nme"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "漢(kan)"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<marquee>still <blink>here</blink></marquee>", "still here"),
        ("<p>kept</p><script>alert(1)</script><style>p{}</style><!-- no --><iframe>no</iframe>", "kept"),
        ("<p>unclosed <b>bold<p>next", "unclosed bold\n\nnext"),
        ("</p></span>stray</div>", "stray"),
        ("<frameset><frame></frameset>", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_html_becomes_the_text_that_people_read(html, text):
    assert html_text(html).text == text


def test_links_mentions_and_hashtags_of_mastodon_are_spans_of_the_shown_text():
    found = html_text(
        '<p><span class="h-card" translate="no"><a href="https://example.social/@ada" class="u-url mention">@<span>ada</span></a>'
        '</span> on <a href="https://example.social/tags/loops" class="mention hashtag" rel="tag">#<span>loops</span></a>: '
        '<a href="https://www.example.org/a/long/path/to/the/page"><span class="invisible">https://www.</span>'
        '<span class="ellipsis">example.org/a/long/path/to</span><span class="invisible">/the/page</span></a></p>'
    )
    assert found.text == "@ada on #loops: example.org/a/long/path/to…"
    assert spans(found) == [("@ada", "mention"), ("#loops", "hashtag"), ("example.org/a/long/path/to…", "link")]


def test_spans_count_code_points_and_leave_out_what_stands_before_a_link():
    found = html_text('<ul><li>👨‍❤️‍👨 <a href="x">  é 🏳️‍🌈 </a></li><li><a href="y">y</a></li></ul>')
    assert spans(found) == [("é 🏳️‍🌈", "link"), ("y", "link")]


def test_a_link_without_text_or_address_is_no_span():
    assert html_text('<a href="x"><span class="invisible">gone</span></a><a name="y">named</a>').spans == ()


def test_hashtags_and_mentions_of_other_software_are_known_by_their_text():
    found = html_text(
        '<a class="mention" href="x">#tag</a> <a rel="tag" href="y">#other</a> <a class="mention" href="z">@me</a>'
    )
    assert [kind for _, kind in spans(found)] == ["hashtag", "hashtag", "mention"]


def test_custom_emoji_stay_their_shortcode_and_pictures_are_found():
    found = html_text(
        '<p>Hi <img src="https://e/cat.png" alt=":cat:" class="emojione custom-emoji"> <img class="emoji" alt="😀" src="s">'
        '<img src="/photo.jpg" alt="A loop"><img src="https://t/pixel" width="1" height="1"></p>'
    )
    assert found.text == "Hi :cat: 😀"
    assert found.emoji == (CustomEmoji("cat", "https://e/cat.png"),)
    assert [(image.url, image.alt) for image in found.images] == [("/photo.jpg", "A loop")]


def test_elements_of_a_hidden_class_are_left_out_whole():
    html = '<p class="quote-inline">RE: <a href="x">y</a></p><p>own</p>'
    assert html_text(html).text == "RE: y\n\nown"
    assert html_text(html, hidden_classes=frozenset({"quote-inline"})).text == "own"


@pytest.mark.parametrize(
    "piece", ["<div>", "<a href=x>x", "<blockquote>x", "<ul><li>x", "<b><p>", "<font a=", "<!--", "&#0;", "word "]
)
def test_a_monstrous_text_is_cut(piece):
    assert len(html_text(piece * 200_000).text) <= 200_000


def test_a_text_has_nothing_that_cannot_be_written_or_drawn():
    assert clean("a\ud800b\x00c\x1bd\ne\t") == "a\ufffdb c d\ne\t"
    assert clean(None) == clean(5) == clean(["x"]) == ""
    assert html_text("a\udc00b").text == "a\ufffdb"


def test_a_text_without_tags_keeps_its_lines_and_has_its_addresses_as_links():
    found = plain_or_html_text("Fish &amp; chips\n\n\n\n(at https://example.org/a/b).\n1 < 2\n")
    assert found.text == "Fish & chips\n\n(at https://example.org/a/b).\n1 < 2"
    assert spans(found) == [("https://example.org/a/b", "link")]
    assert plain_or_html_text("<p>a</p>\nb").text == "a\n\nb"
