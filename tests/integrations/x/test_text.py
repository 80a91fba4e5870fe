"""The text of a post at X is what people read, with its links, mentions and tags where they are."""

import html

import pytest

from vidd.integrations.x.text import shown_text

FAMILY = "\U0001f468\u200d\u2764\ufe0f\u200d\U0001f468"


def never(_link):
    return False


def entity(raw, part, after=0, **more):
    start = raw.index(part, after)
    return {"start": start, "end": start + len(part), **more}


def mention(raw, name):
    return entity(raw, f"@{name}", username=name, id="7")


def link(raw, url, display="example.org/a", **more):
    return entity(raw, url, url=url, expanded_url=f"https://{display}", display_url=display, **more)


def coloured(shown):
    return [(shown.text[span.start : span.end], span.kind) for span in shown.spans]


def test_links_are_shown_as_x_shows_them_and_all_is_coloured_after_emoji():
    raw = f"\u2728 {FAMILY} @ada, see https://t.co/abc #Loops $TWTR"
    entities = {
        "mentions": [mention(raw, "ada")],
        "urls": [link(raw, "https://t.co/abc")],
        "hashtags": [entity(raw, "#Loops", tag="Loops")],
        "cashtags": [entity(raw, "$TWTR", tag="TWTR")],
    }
    shown = shown_text(raw, entities, never)
    assert shown.text == f"\u2728 {FAMILY} @ada, see example.org/a #Loops $TWTR"
    assert coloured(shown) == [
        ("@ada", "mention"), ("example.org/a", "link"), ("#Loops", "hashtag"), ("$TWTR", "hashtag"),
    ]  # fmt: skip


@pytest.mark.parametrize("counted", ["before", "after", "in UTF-16", "nowhere"])
def test_the_place_is_right_however_x_counted(counted):
    raw = "&lt;b&gt; R&amp;D \U0001f600 by @ada and @adalbert &amp; #a"
    plain = html.unescape(raw)
    counts = {
        "before": raw.index,
        "after": plain.index,
        "in UTF-16": lambda part: len(plain[: plain.index(part)].encode("utf-16-le")) // 2,
        "nowhere": lambda part: 9999,
    }
    start = {part: counts[counted](part) for part in ("@ada ", "#a")}
    entities = {
        "mentions": [{"start": start["@ada "], "end": start["@ada "] + 4, "username": "Ada"}],
        "hashtags": [{"start": start["#a"], "end": start["#a"] + 2, "tag": "a"}],
    }
    shown = shown_text(raw, entities, never)
    assert shown.text == "<b> R&D \U0001f600 by @ada and @adalbert & #a"
    assert [(span.start, span.end) for span in shown.spans] == [(13, 17), (34, 36)]


def test_html_entities_are_decoded_once():
    assert shown_text("a &amp;amp; &amp;lt; &quot;b&quot; &copy; &", None, never).text == 'a &amp; &lt; "b" &copy; &'


def test_the_second_of_two_equal_mentions_has_its_own_place():
    raw = "@ada @ada"
    entities = {"mentions": [{"start": 0, "end": 4, "username": "ada"}, {"start": 1, "end": 3, "username": "ada"}]}
    assert [span.start for span in shown_text(raw, entities, never).spans] == [0, 5]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Look https://t.co/pic", "Look"),
        ("https://t.co/pic", ""),
        ("https://t.co/pic at this", "at this"),
        ("Look https://t.co/pic here", "Look here"),
        ("Look\n\nhttps://t.co/pic", "Look"),
        ("\n  Look @ada https://t.co/pic\n", "Look @ada"),
    ],
)
def test_the_link_of_a_picture_is_left_out(raw, text):
    urls = [link(raw, "https://t.co/pic", "pic.x.com/pic", media_key=key) for key in ("3_1", "3_2")]
    mentions = [mention(raw, "ada")] if "@ada" in raw else []
    shown = shown_text(raw, {"urls": urls, "mentions": mentions}, lambda link: bool(link.get("media_key")))
    assert shown.text == text
    assert coloured(shown) == ([("@ada", "mention")] if mentions else [])


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"display_url": "example.org/a?b&amp;c", "expanded_url": "https://example.org/"}, "example.org/a?b&c"),
        ({"expanded_url": "https://www.example.org/a"}, "example.org/a"),
        ({"unwound_url": "https://example.org/long", "expanded_url": "https://sho.rt/a"}, "example.org/long"),
        ({"display_url": None}, "https://t.co/a"),
    ],
)
def test_a_link_is_shown_by_the_best_that_x_tells(told, shown):
    raw = "https://t.co/a"
    found = shown_text(raw, {"urls": [entity(raw, raw, url=raw, **told)]}, never)
    assert coloured(found) == [(shown, "link")]


def test_a_link_whose_own_text_x_does_not_say_is_found_by_its_place():
    raw = "https://t.co/a https://t.co/b"
    urls = [entity(raw, "https://t.co/b", url=None, display_url="example.org/b")]
    assert shown_text(raw, {"urls": urls}, never).text == "https://t.co/a example.org/b"


@pytest.mark.parametrize(
    "entities",
    [
        None, [], "none", {"urls": None}, {"urls": [None, 1]}, {"mentions": [{"start": 0, "end": 4, "username": None}]},
        {"mentions": [{"start": 0, "end": 4}]}, {"hashtags": [{"start": -3, "end": -1, "tag": "gone"}]},
        {"hashtags": [{"start": "0", "end": None, "tag": "gone"}]}, {"urls": [{"start": 5, "end": 2, "url": "https://t.co/q"}]},
        {"mentions": [{"start": 0, "end": 99999, "username": "bob"}]}, {"hashtags": [{"start": 0, "end": 3, "tag": "(["}]},
    ],
)  # fmt: skip
def test_entities_that_fit_nothing_colour_nothing(entities):
    shown = shown_text("@ada says", entities, never)
    assert (shown.text, shown.spans) == ("@ada says", ())


def test_a_text_of_25000_characters_with_thousands_of_mentions_is_read_whole():
    raw = " ".join(f"@u{number}&amp;" for number in range(2500))
    entities = {"mentions": [mention(raw, f"u{number}") for number in range(2500)]}
    shown = shown_text(raw, entities, never)
    assert len(shown.spans) == 2500
    assert all(text.startswith("@u") for text, _ in coloured(shown))


def test_marks_that_combine_stay_as_they_are():
    text = "Z\u0300\u0301" + "\u0300" * 500
    assert shown_text(text, {}, never).text == text
