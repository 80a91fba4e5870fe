from datetime import UTC, datetime

import pytest
from builders.timelines import slices
from peers.feeds import item, mastodon_rss, media, rss

from vidd.errors import Refused
from vidd.integrations.feed.worker.entries import read_feed
from vidd.model.post import CustomEmoji, Picture

ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://atom.example/blog/">
<title>Atom &amp; eve</title><logo>logo.png</logo><link href="./"/><author><name>Eve</name></author>
<entry><id>tag:1</id><title type="html">A &lt;b&gt;bold&lt;/b&gt; title</title><link href="one"/><updated>2026-11-20T10:00:00+02:00</updated>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>See <a href="x">this</a> <img src="pic.png" alt="A pic"/></p></div></content></entry>
<entry><title>Later</title><published>2026-11-21T10:00:00Z</published><summary>Plain &lt;text&gt;</summary>
<author><name>Guest</name></author></entry></feed>"""
YOUTUBE = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/">
<title>Channel</title><entry><id>yt:video:1</id><title>A film</title><link href="https://yt.example/1"/>
<media:group><media:title>A film</media:title><media:content url="https://yt.example/v/1" type="application/x-shockwave-flash"/>
<media:content url="https://yt.example/1.mp4" type="video/mp4"><media:thumbnail url="https://yt.example/1.jpg"/></media:content>
<media:description>What it is about</media:description></media:group></entry></feed>"""
PICTURES = [Picture(url="https://f/1.png", alt="A loop"), Picture(url="https://f/2s.png", alt="It turns", video=True)]


def read(content, *, url="https://loops.example/feed.xml", content_type="application/rss+xml"):
    posts, notes = read_feed(
        content if isinstance(content, bytes) else content.encode(), "loops", 20, url=url, content_type=content_type
    )
    return posts, notes


def only(content, **how):
    [post] = read(content, **how)[0]
    return post


def test_an_entry_of_mastodon_has_no_title_and_its_pictures_their_own_descriptions():
    html = '<p>Hi <a href="x" class="mention hashtag" rel="tag">#<span>loops</span></a></p>'
    both = media("https://f/1.png", alt="A loop") + media(
        "https://f/2.mp4", "video/mp4", alt="It turns", thumbnail="https://f/2s.png"
    )
    post = only(mastodon_rss(item(1, html, more=both)))
    assert (post.text, slices(post)) == ("Hi #loops", [("#loops", "hashtag")])
    assert list(post.pictures) == PICTURES
    assert (post.author.name, post.author.handle) == ("Ada", "@ada@example.social")
    assert post.author.avatar == Picture(url="https://files.example.social/ada.png")
    assert (post.id, post.url, post.created) == (
        "https://loops.example/1", "https://loops.example/1", datetime(2026, 11, 20, 10, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize("html", ["", None])
def test_an_entry_of_pictures_alone_does_not_take_a_description_for_its_text(html):
    entry = item(1, html or "", more=media("https://f/1.png", alt="A loop"))
    post = only(mastodon_rss(entry.replace("<description></description>", "") if html is None else entry))
    assert (post.text, post.pictures) == ("", (PICTURES[0],))


def test_a_content_warning_of_mastodon_is_a_warning_and_sensitive_pictures_are_not_shown():
    warned = "<p><strong>Content warning:</strong> Spiders &amp; webs</p><hr><p>Eight legs</p>"
    bad = media("https://f/1.png", alt="A wound", rating="adult")
    warning, sensitive = read(mastodon_rss(item(2, warned, more=bad), item(1, "<p>Careful</p>", more=bad)))[0]
    assert (warning.warning, warning.text, warning.pictures[0].url) == (
        "Spiders & webs",
        "Eight legs",
        "https://f/1.png",
    )
    assert sensitive.pictures == (Picture(url=None, alt="A wound", why_missing="Its author marked it as sensitive."),)
    assert only(rss(item(1, warned))).warning == ""


def test_custom_emoji_that_mastodon_draws_into_the_html_stay_emoji():
    html = '<p>Hi <img draggable="false" class="emojione custom-emoji" alt=":cat:" title=":cat:" src="https://e/cat.png" width="16"></p>'
    post = only(mastodon_rss(item(1, html)))
    assert (post.text, post.emoji, post.pictures) == ("Hi :cat:", (CustomEmoji("cat", "https://e/cat.png"),), ())


def test_a_blogs_entry_has_its_title_above_the_text_and_each_picture_once():
    html = '<p>One <a href="y">link</a></p><img src="/pic.png" alt="A pic"><img src="https://track/x.gif" width="1" height="1">'
    more = '<enclosure url="https://loops.example/pic.png" type="image/png" length="5"/><enclosure url="a.mp3" type="audio/mpeg"/><author>ada@x.y (Ada L.)</author>'
    post = only(rss(item(1, html, title="Loops &amp;amp; more", more=more)))
    assert (post.text, slices(post)) == ("Loops & more\n\nOne link", [("link", "link")])
    assert post.pictures == (Picture(url="https://loops.example/pic.png"),)
    assert (post.author.name, post.author.handle) == ("Ada L.", "loops.example")


@pytest.mark.parametrize(
    ("title", "html", "text"),
    [("Hello wor…", "<p>Hello world</p>", "Hello world"), ("Hello", "", "Hello"), ("", "Line\nfeed", "Line\nfeed"), ("&lt;b&gt;", "x", "x")],
)  # fmt: skip
def test_a_title_that_the_text_begins_with_is_not_said_twice(title, html, text):
    assert only(rss(item(1, html, title=title))).text == text


def test_atom_is_read_with_its_relative_addresses_and_authors():
    later, first = read(ATOM, url="https://atom.example/feed", content_type="application/atom+xml")[0]
    assert (later.text, later.author.name, later.created) == (
        "Later\n\nPlain <text>",
        "Guest",
        datetime(2026, 11, 21, 10, tzinfo=UTC),
    )
    assert (first.text, first.url, slices(first)) == (
        "A bold title\n\nSee this",
        "https://atom.example/blog/one",
        [("this", "link")],
    )
    assert first.pictures == (Picture(url="https://atom.example/blog/pic.png", alt="A pic"),)
    assert first.author.avatar == Picture(url="https://atom.example/blog/logo.png")
    assert (first.id, first.created) == ("tag:1", datetime(2026, 11, 20, 8, tzinfo=UTC))


def test_a_film_of_a_group_is_its_still_and_the_groups_description_the_text():
    post = only(YOUTUBE)
    assert (post.text, post.pictures) == (
        "A film\n\nWhat it is about",
        (Picture(url="https://yt.example/1.jpg", video=True),),
    )


def test_entries_are_sorted_by_their_dates_only_where_all_have_one():
    assert [post.id[-1] for post in read(rss(item(1), item(3), item(2)))[0]] == ["3", "2", "1"]
    undated = item(3).replace("<pubDate>", "<pubDate>someday ")
    posts = read(rss(item(1), undated, item(2)))[0]
    assert [(post.id[-1], post.created is None) for post in posts] == [("1", False), ("3", True), ("2", False)]


def test_a_broken_feed_is_read_as_far_as_possible_and_a_note_says_so():
    content = rss(item(2, "<p>Fine & dandy</p>"), item(1)).replace(
        b"</channel></rss>", b"<item><title>Cut &nosuch; off"
    )
    posts, [note] = read(content)
    assert [post.text for post in posts][:2] == ["Fine & dandy", "Hello"]
    assert note.startswith("The feed loops is broken (")
    assert read(rss(item(1)), content_type="text/plain")[1] == []


@pytest.mark.parametrize(
    ("declared", "encoding", "content_type"),
    [
        ("ISO-8859-1", "latin-1", "application/xml"), ("UTF-8", "utf-8", "text/xml; charset=us-ascii"),
        ("windows-1252", "cp1252", "application/rss+xml"), ("UTF-16", "utf-16", "application/xml"), ("UTF-8", "cp1252", "application/xml"),
        ("nonsense", "utf-8", "application/xml; charset=also-nonsense"),
    ],
)  # fmt: skip
def test_an_encoding_that_is_named_rightly_or_wrongly_is_found(declared, encoding, content_type):
    text = rss(item(1, "<p>Łódź über é</p>" if "utf" in encoding.lower() else "<p>über é</p>")).decode()
    content = text.replace("UTF-8", declared).encode(encoding)
    assert only(content, content_type=content_type).text.endswith("über é")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>Hi</body></html>",
        b'{"version": "https://jsonfeed.org"}',
        b"\0\1\2",
        b"<?xml version='1.0'?><other/>",
    ],
)
def test_what_is_no_feed_is_refused(content):
    with pytest.raises(Refused, match="What is at loops is no feed: give the address of an RSS or Atom feed"):
        read(content, content_type="")


def test_a_page_that_names_its_feed_says_which():
    page = '<html><head><link rel="alternate" type="application/rss+xml" href="/feed.rss"></head></html>'
    with pytest.raises(Refused, match=r"is no feed: give https://loops\.example/feed\.rss, which it names"):
        read(page, content_type="text/html")


@pytest.mark.parametrize("before", [b"", b"<p>&#55357;"])
def test_a_character_in_halves_is_whole_again_and_a_lone_half_is_replaced(before):
    content = rss(item(1, "x", title="&#55357;&#56832; &#xD83D;&#xde00; &#55357; &#57344;")).replace(
        b"<title>Ada", before + b"<title>Ada"
    )
    assert only(content).text == "😀 😀 \ufffd \ue000\n\nx"


def test_a_feed_that_the_parser_fails_at_is_refused():
    content = rss(item(1, "x", title="&#55357;")).decode().replace("UTF-8", "UTF-16") + "<"
    with pytest.raises(
        Refused, match=r"The feed loops is so broken that the parser fails \(.*surrogates not allowed\)"
    ):
        read(content.encode("utf-16"))


def test_a_feed_without_entries_is_empty_and_no_fault():
    assert read(rss()) == ([], [])


def declaring(entities):
    return (
        rss(item(1, "text"))
        .decode()
        .replace("<rss", f"<!DOCTYPE rss [{entities}]><rss")
        .replace(">text<", ">text &a;<")
    )


@pytest.mark.parametrize(
    "entity", ['<!ENTITY a SYSTEM "file:///etc/passwd">', '<!ENTITY % p SYSTEM "http://127.0.0.1:1/x"> %p;']
)
def test_entities_fetch_nothing(entity):
    assert only(declaring(entity)).text.startswith("text")
    assert "root:" not in only(declaring(entity)).text


def test_entities_explode_nothing():
    levels = "".join(f'<!ENTITY b{level} "{f"&b{level - 1};" * 10}">' for level in range(1, 7))
    post = only(declaring(f'<!ENTITY b0 "{"lol" * 1000}">{levels}<!ENTITY a "&b6;">'))
    assert len(post.text) < 1000


def test_a_file_has_no_address_so_relative_pictures_are_missing_with_the_reason():
    content = rss(item(1, '<p>x</p><img src="pic.png" alt="A pic"><img src="https://f/1.png">')).replace(
        b"https://loops.example/1", b"1"
    )
    post = only(content, url="")
    assert post.pictures == (
        Picture(url=None, alt="A pic", why_missing="The feed gives no full address of it."),
        Picture(url="https://f/1.png"),
    )
