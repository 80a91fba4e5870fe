"""Languages are tags of BCP 47, however people write them."""

import pytest

from vidd.errors import Refused
from vidd.transcription.language import base_of, language_tag, languages_in


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("en", "en"), (" EN ", "en"), ("en-us", "en-US"), ("pt_BR", "pt-BR"), ("English", "en"), ("Deutsch", "de"),
        ("deu", "de"), ("gsw", "gsw"), ("zh-hant-tw", "zh-Hant-TW"),
    ],
)  # fmt: skip
def test_a_language_is_known_by_its_code_or_its_name(text, tag):
    assert language_tag(text) == tag


@pytest.mark.parametrize("text", ["", "?", "e", "Klingon please", "en--us", "12"])
def test_what_is_no_language_is_refused(text):
    with pytest.raises(Refused, match="is no language"):
        language_tag(text)


def test_several_languages_stay_in_their_order_without_repetition():
    assert languages_in("de; English, en / pt-BR") == ("de", "en", "pt-BR")
    assert languages_in("  ") == ()


def test_the_base_of_a_tag_is_its_language():
    assert [base_of(tag) for tag in ("en", "pt-BR")] == ["en", "pt"]
