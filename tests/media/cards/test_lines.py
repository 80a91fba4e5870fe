"""How texts are broken into lines, fitted, cut and drawn."""

import pytest
from PIL import Image, ImageChops

from vidd.media.cards.worker.bidi import visual_order
from vidd.media.cards.worker.lines import Ink, Typesetter
from vidd.media.cards.worker.pictures import PictureFiles
from vidd.media.cards.worker.text import prepare
from vidd.model.post import Span

BLACK, BLUE, WHITE = (0, 0, 0), (0, 0, 255), (255, 255, 255)
FAMILY = "👨‍👩‍👧‍👦"
SIZES = (80, 60, 40)


@pytest.fixture
def setter(tmp_path):
    return Typesetter(PictureFiles(tmp_path))


def lines(block):
    return ["".join(atom.text for atom in line.atoms) if line else "" for line in block.lines]


def drawn(setter, text, *, size=60, width=1200, spans=()):
    canvas = Image.new("RGB", (width, 100), WHITE)
    block = setter.set(prepare(text, spans=spans), width, 100, size)
    setter.draw(canvas, block, (0, 0), width, Ink(BLACK, BLUE))
    return canvas


def inked(canvas):
    return ImageChops.difference(canvas, Image.new("RGB", canvas.size, WHITE)).getbbox()


def test_a_text_is_set_as_large_as_it_fits(setter):
    assert setter.fit(prepare("Short"), 900, 300, SIZES).size == 80
    assert setter.fit(prepare("word " * 40), 900, 300, SIZES).size == 40


def test_no_line_is_wider_than_its_column(setter):
    block = setter.set(prepare("Some words and a https://example.org/" + "long" * 100 + " 日本語" * 30), 500, 9000, 40)
    assert all(setter.width(line.atoms, 40) <= 500 for line in block.lines)
    assert not block.cut


def test_no_space_hangs_at_the_end_of_a_line(setter):
    block = setter.set(prepare("some words here " * 9), 400, 9000, 40)
    assert all(line == line.strip() for line in lines(block))
    assert " ".join(lines(block)) == ("some words here " * 9).strip()


def test_what_does_not_fit_ends_in_an_ellipsis_within_the_column(setter):
    block = setter.fit(prepare(f"{FAMILY} and more " * 99), 500, 200, SIZES)
    assert block.cut
    assert block.size == 40
    assert lines(block)[-1].endswith("…")
    assert block.height <= 200
    assert setter.width(block.lines[-1].atoms, 40) <= 500


@pytest.mark.parametrize("width", range(60, 700, 40))
def test_a_family_is_never_parted(setter, width):
    for line in setter.set(prepare(FAMILY * 9), width, 900, 40).lines:
        assert all(atom.text in {FAMILY, "…"} for atom in line.atoms)


def test_empty_lines_are_lower_than_lines(setter):
    one, two = setter.set(prepare("a\nb"), 500, 900, 40), setter.set(prepare("a\n\nb"), 500, 900, 40)
    assert 0 < two.height - one.height < one.height / 2


def test_a_family_is_one_glyph_in_colour(setter):
    canvas = drawn(setter, FAMILY)
    left, _, right, _ = inked(canvas)
    assert right - left < 1.4 * 60
    assert len(canvas.getcolors(10_000)) > 50


def test_arabic_is_joined_and_begins_at_the_right(setter):
    apart = sum(setter.width(prepare(letter).paragraphs[0].atoms, 60) for letter in "مرحبا")
    assert setter.width(prepare("مرحبا").paragraphs[0].atoms, 60) < apart
    left, _, right, _ = inked(drawn(setter, "مرحبا"))
    assert right > 1180
    assert left > 900


def test_arabic_stays_joined_where_the_colour_changes(setter):
    plain = drawn(setter, "ببببب")
    coloured = drawn(setter, "ببببب", spans=(Span(2, 5, "hashtag"),))
    assert abs(inked(plain)[0] - inked(coloured)[0]) <= 2
    assert any(blue > 200 and red < 60 for _, (red, _, blue) in coloured.getcolors(10_000))


def test_hebrew_brackets_are_turned_around(setter):
    assert lines(setter.set(prepare("(א)"), 500, 100, 60)) == ["(א)"]
    mirrored = drawn(setter, "א)", width=400)
    latin = drawn(setter, "(", width=400)
    left, top, right, bottom = inked(latin)
    bracket = latin.crop((left, top, right, bottom))
    start = inked(mirrored)[0]
    found = mirrored.crop((start, top, start + right - left, bottom))
    assert max(high for _, high in ImageChops.difference(bracket, found).getextrema()) < 100


@pytest.mark.parametrize(
    ("levels", "order"),
    [([0, 0], [0, 1]), ([1, 1], [1, 0]), ([0, 1, 2, 1, 0], [0, 3, 2, 1, 4]), ([1, 2, 2, 1], [3, 1, 2, 0]), ([], [])],
)
def test_runs_are_put_in_the_order_of_the_eye(levels, order):
    assert visual_order(levels) == order


def test_a_box_is_drawn_for_what_no_font_has(setter):
    assert inked(drawn(setter, "\ue123")) is not None
