"""The fonts that come with vidd, and which of them shows what."""

import json
from pathlib import Path

import pytest
from builders.fonts import FONTS, coverage

from vidd.media.cards.worker.fonts import EMOJI, choose_face


def face(grapheme, *, bold=False, language="zh"):
    return choose_face(grapheme, bold=bold, language=language)


@pytest.mark.slow
def test_the_code_points_written_down_are_those_of_the_fonts():
    assert json.loads((FONTS / "coverage.json").read_text()) == coverage(), "python tests/builders/fonts.py"


def test_all_fonts_stay_small_enough_for_a_wheel():
    assert sum(path.stat().st_size for path in FONTS.iterdir()) < 40 * 2**20


def test_the_licence_lies_beside_the_fonts():
    assert "SIL OPEN FONT LICENSE Version 1.1" in (FONTS / "OFL.txt").read_text()


@pytest.mark.parametrize(
    ("grapheme", "file"),
    [
        ("a", "NotoSans-Regular.ttf"),
        ("é", "NotoSans-Regular.ttf"),
        ("e\u0301", "NotoSans-Regular.ttf"),
        ("Ж", "NotoSans-Regular.ttf"),
        ("1", "NotoSans-Regular.ttf"),
        ("©", "NotoSans-Regular.ttf"),
        ("م", "NotoSansArabic-Regular.ttf"),
        ("ש", "NotoSansHebrew-Regular.ttf"),
        ("क्षि", "NotoSansDevanagari-Regular.ttf"),
        ("ที่", "NotoSansThai-Regular.ttf"),
        ("猫", "NotoSansCJK-Regular.ttc"),
        ("。", "NotoSansCJK-Regular.ttc"),
        ("안", "NotoSansCJK-Regular.ttc"),
        ("\U0001d4d5", "NotoSansMath-Regular.ttf"),
        ("🜁", "NotoSansSymbols-Regular.ttf"),
    ],
)
def test_a_grapheme_is_shown_by_the_font_of_its_script(grapheme, file):
    assert face(grapheme).file == file


@pytest.mark.parametrize(
    "emoji",
    [
        "😀",
        "👨‍👩‍👧‍👦",
        "👍🏽",
        "🇩🇪",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "❤️",
        "❤",
        "1️⃣",
        "©️",
    ],
)
def test_an_emoji_is_shown_in_colour(emoji):
    assert face(emoji).file == EMOJI


def test_an_emoji_that_asks_for_letters_is_shown_by_a_font_of_signs():
    assert face("☎\ufe0e").file != EMOJI


def test_a_grapheme_that_no_font_has_has_no_face():
    assert face("\U0001f9ff").file == EMOJI
    assert face("\ue123") is None


def test_the_forms_of_ideographs_follow_the_language():
    assert {language: face("直", language=language).index for language in ("ja", "ko", "zh")} == {
        "ja": 0,
        "ko": 1,
        "zh": 2,
    }


def test_bold_letters_of_other_scripts_get_a_stroke():
    assert face("a", bold=True).file == "NotoSans-Bold.ttf"
    assert face("猫", bold=True).stroke > 0


def test_the_package_names_the_fonts_and_their_licence():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert '"media/cards/fonts/*"' in text
    assert "vidd/media/cards/fonts/OFL.txt" in text
    assert "OFL-1.1" in text
