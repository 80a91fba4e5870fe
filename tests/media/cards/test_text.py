"""What is done to a text before it is laid out."""

import pytest

from vidd.media.cards.worker.fonts import EMOJI
from vidd.media.cards.worker.text import prepare
from vidd.model.post import Span

FAMILY = "👨‍👩‍👧‍👦"


def graphemes(prepared):
    return [[atom.text for atom in paragraph.atoms] for paragraph in prepared.paragraphs]


def shown(text, **more):
    return "\n".join("".join(line) for line in graphemes(prepare(text, **more)))


def accented(text, *spans):
    atoms = [atom for paragraph in prepare(text, spans=spans).paragraphs for atom in paragraph.atoms]
    return "".join(atom.text for atom in atoms if atom.accent)


@pytest.mark.parametrize("whole", [FAMILY, "👍🏽", "🇩🇪", "1️⃣", "é", "e\u0301", "क्षि", "각"])
def test_a_character_as_people_see_it_stays_whole(whole):
    assert graphemes(prepare(f"a{whole}b")) == [["a", whole, "b"]]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u202eb\u202cc", "abc"),
        ("a\x00b\x1bc\x07", "abc"),
        ("a\tb", "a b"),
        ("a\ud800b", "a\ufffdb"),
        ("\ufeffa\ufffe", "a"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("\n\n a  \n\n\n\nb \n", "a\n\nb"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_what_is_not_to_be_seen_or_would_disturb_is_left_out(text, seen):
    assert shown(text) == seen


def test_a_name_is_one_line():
    assert shown("Ada\nLovelace\u2029!", single=True) == "Ada Lovelace !"


def test_hundreds_of_marks_over_a_letter_become_four():
    ((letter, after),) = graphemes(prepare("a" + "\u0300" * 500 + "b"))
    assert letter == "a" + "\u0300" * 4
    assert after == "b"


def test_links_are_coloured_where_they_were_before_the_text_was_cleaned():
    text = "\x00\n✨ hi @ada.example 👨‍❤️‍👨 https://example.org/x."
    mention, link = text.index("@"), text.index("https")
    spans = Span(mention, mention + 12, "mention"), Span(link, len(text) - 1, "link")
    assert accented(text, *spans) == "@ada.examplehttps://example.org/x"


@pytest.mark.parametrize("span", [Span(5, 2, "link"), Span(-4, 0, "link"), Span(90, 99, "link"), Span(3, 3, "link")])
def test_a_span_that_does_not_fit_colours_nothing(span):
    assert accented("some text", span) == ""


def test_a_known_shortcode_becomes_a_picture_and_others_stay():
    (paragraph,) = prepare("a :blob: b :other: c", emoji={"blob": "media/blob.png"}).paragraphs
    assert [atom.picture for atom in paragraph.atoms if atom.picture] == ["media/blob.png"]
    assert "".join(atom.text for atom in paragraph.atoms if not atom.picture) == "a  b :other: c"


def test_arabic_and_hebrew_begin_at_the_right():
    levels = [paragraph.level for paragraph in prepare("مرحبا\nHello\nשלם (1)\n123").paragraphs]
    assert levels == [1, 0, 1, 0]


def test_latin_words_and_numbers_within_arabic_run_from_left_to_right():
    (paragraph,) = prepare("رقم 2026 وكلمة English").paragraphs
    assert {atom.text: atom.level for atom in paragraph.atoms if atom.text in "2Eر"} == {"ر": 1, "2": 2, "E": 2}


def test_a_line_may_end_between_ideographs_and_thai_words_but_not_before_their_stops():
    def parts(text):
        words, word = [], ""
        for atom in prepare(text).paragraphs[0].atoms:
            word += atom.text
            if atom.may_end:
                words.append(word)
                word = ""
        return words

    assert parts("日本語。") == ["日", "本", "語。"]
    assert parts("ภาษาไทยง่ายมาก") == ["ภาษา", "ไทย", "ง่าย", "มาก"]
    assert parts("see https://example.org/a") == ["see ", "https://example.org/", "a"]


def test_twenty_five_thousand_characters_are_cut_before_they_are_laid_out():
    prepared = prepare("word " * 5000)
    assert prepared.cut
    assert prepared.length == 2600


def test_a_text_that_just_fits_is_not_cut():
    assert not prepare("x" * 2600).cut
    assert prepare("x" * 2601).cut
    assert prepare("x" * 2600 + "\n" + "y").cut


def test_what_no_font_has_is_named():
    assert prepare("a\ue123b").boxes == ("\ue123",)


def test_an_emoji_has_a_face_of_its_own():
    (paragraph,) = prepare(f"a{FAMILY}").paragraphs
    assert [atom.face.file == EMOJI for atom in paragraph.atoms] == [False, True]
