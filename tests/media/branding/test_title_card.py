"""What stands on a card, and how it fits."""

import unicodedata
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from vidd.errors import Refused
from vidd.media.branding import fonts
from vidd.media.branding.images import read_image
from vidd.media.branding.title_card import Card, CardText, displayable_text, draw, font_files, normalize_text

FRAME = (640, 360)


def said(heading: str, text: str = "", **options) -> CardText:
    card = Card(**options)
    return displayable_text(card, heading, text, font_files(card, Path), "title card")


def drawn(heading: str, text: str = "", frame=FRAME, **options) -> Image.Image:
    card = Card(**options)
    files = font_files(card, Path)
    image = read_image(Path(card.image), "image") if card.image else None
    return draw(card, displayable_text(card, heading, text, files, "title card"), frame, files, image)


def inked(card: Image.Image, background: str = "#101820") -> tuple[int, int, int, int] | None:
    """The box around all that differs from the background."""
    return ImageChops.difference(card, Image.new("RGB", card.size, background)).getbbox()


def test_words_lie_in_the_middle_within_the_margins():
    left, top, right, bottom = inked(drawn("Loops", "Ada Lovelace"))
    assert abs((left + right) / 2 - 320) < 8
    assert abs((top + bottom) / 2 - 180) < 20
    left, _, _, _ = inked(drawn("Loops", align="left"))
    assert 36 <= left < 45


@pytest.mark.slow
@pytest.mark.parametrize("frame", [(640, 360), (360, 640), (96, 64), (1920, 1080)])
@pytest.mark.parametrize(
    "heading", ["word " * 60, "W" * 300, "%{}:'\\" * 10, '\\\\ {{ }} [in] ; , %d %s %% "quoted" <b>&amp;']
)
def test_whatever_is_written_stays_within_the_margins(frame, heading):
    margin = round(min(frame) / 10)
    left, top, right, bottom = inked(drawn(heading, "one\ntwo", frame))
    assert left >= margin - 2
    assert top >= margin - 2
    assert right <= frame[0] - margin + 2
    assert bottom <= frame[1] - margin + 2


def test_a_long_title_gets_smaller_letters_and_keeps_its_words_whole():
    short, long = inked(drawn("one two")), inked(drawn("one two three four five six seven eight " * 4))
    assert long[3] - long[1] > short[3] - short[1]
    # In the size that was asked for this word is wider than the room.
    left, _, right, bottom = inked(drawn("Donaudampfschifffahrtsgesellschaft"))
    top = inked(drawn("Donaudampfschifffahrtsgesellschaft"))[1]
    assert right - left > 450
    assert bottom - top < 40


def test_no_word_is_left_alone_in_a_line():
    card = drawn("Loops, traps & other ways of going round", frame=(1280, 720))
    left, top, right, bottom = inked(card)
    halves = [
        inked(card.crop((0, top, 1280, (top + bottom) // 2))),
        inked(card.crop((0, (top + bottom) // 2, 1280, 720))),
    ]
    widths = [box[2] - box[0] for box in halves]
    assert min(widths) > 0.6 * max(widths)
    assert right - left < 900


def test_what_does_not_fit_in_the_smallest_letters_is_cut_off():
    _, _, _, bottom = inked(drawn("word " * 2000, frame=(96, 64)))
    assert bottom <= 60


def test_the_font_that_comes_with_vidd_knows_the_names_of_europe():
    words = said("Ærøskøbing, Łukasz Żółć, Ångström, Ελλάδα, Україна", "“quoted” — 5 €")
    assert words.dropped == ""
    assert fonts.missing_characters(fonts.default_font(), "“Ünï” ß ŁĄŻ ΩЖ שלום مرحبا €—…") == ""


def test_a_character_that_no_font_shows_is_named():
    with pytest.raises(
        Refused,
        match=r"DejaVuSans\.ttf cannot show 中 \(U\+4E2D\), 文 \(U\+6587\) of the title card: name one that can",
    ):
        said("On 中文")


def test_a_character_that_no_font_shows_may_be_left_out():
    words = said("On 中文 and 🚀 rockets", misfits="drop")
    assert words == CardText("On and rockets", "", "中文🚀")


def test_joiners_and_direction_marks_are_no_letters():
    assert fonts.missing_characters(fonts.default_font(), "a\u200db\u200f c\u00a0d\ufe0f") == ""


def test_decomposed_letters_are_composed():
    assert said(unicodedata.normalize("NFD", "Żółć")).heading == "Żółć"


def test_another_font_is_used_for_the_lines_that_need_it(tmp_path):
    latin = Path(fonts.__file__).parent / "none.ttf"
    with pytest.raises(Refused, match=r"The font .*none\.ttf cannot be used .*: name a TrueType or OpenType file"):
        said("x", fonts=(str(latin),))
    # Pillow's own font knows no Greek letters, so that line is set in the next one.
    own = tmp_path / "own.ttf"
    from PIL import ImageFont

    own.write_bytes(ImageFont.load_default(20).path.getvalue())
    assert fonts.missing_characters(own, "aΩ") == "Ω"
    assert fonts.choose_font([own, fonts.default_font()], "abc") == (own, "")
    assert fonts.choose_font([own, fonts.default_font()], "aΩ") == (fonts.default_font(), "")
    assert said("abc\naΩ", fonts=(str(own),)).dropped == ""


def test_right_to_left_needs_a_library(monkeypatch):
    monkeypatch.setattr(fonts.features, "check_feature", lambda _: False)
    with pytest.raises(Refused, match=r"title card is written from right to left.*install it"):
        said("שלום")
    assert said("Loops").heading == "Loops"


def test_a_card_without_words_and_without_an_image_is_refused():
    with pytest.raises(Refused, match="templates of the title card give no text"):
        said(" \n ", "")


def test_an_image_fills_the_card(tmp_path):
    Image.new("RGB", (50, 50), "#ff0000").save(tmp_path / "back.png")
    card = drawn("", image=str(tmp_path / "back.png"))
    assert (card.size, card.getpixel((2, 2)), card.getpixel((637, 357))) == (FRAME, (255, 0, 0), (255, 0, 0))


def test_lines_are_kept_and_spaces_are_not():
    assert normalize_text("\n  Ada   Lovelace \n\n\tMain\u00a0Stage \n\n") == "Ada Lovelace\n\nMain Stage"


def test_a_template_that_cannot_be_read_is_a_fault_of_the_settings():
    with pytest.raises(ValueError, match="the template cannot be read"):
        Card(heading="{{ talk.title")
