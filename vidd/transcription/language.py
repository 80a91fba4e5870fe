"""The language of captions: tags of BCP 47, from codes or names as people write them."""

from __future__ import annotations

import re

from vidd.display_text import quoted
from vidd.errors import Refused

_NAMES = {
    "arabic": "ar", "chinese": "zh", "czech": "cs", "danish": "da", "deutsch": "de", "dutch": "nl", "english": "en",
    "español": "es", "finnish": "fi", "français": "fr", "french": "fr", "german": "de", "greek": "el", "hindi": "hi",
    "hungarian": "hu", "irish": "ga", "italian": "it", "italiano": "it", "japanese": "ja", "korean": "ko",
    "norwegian": "no", "polish": "pl", "polski": "pl", "portuguese": "pt", "português": "pt", "romanian": "ro",
    "russian": "ru", "spanish": "es", "swedish": "sv", "turkish": "tr", "ukrainian": "uk", "welsh": "cy",
}  # fmt: skip
_THREE = {"deu": "de", "eng": "en", "fra": "fr", "fre": "fr", "ger": "de", "ita": "it", "por": "pt", "spa": "es"}
_TAG = re.compile(r"([a-z]{2,3})((?:-[a-z0-9]{2,8})*)", re.IGNORECASE)


def languages_in(text: str) -> tuple[str, ...]:
    """The tags in a text such as "en, pt-BR" or "English; German", the spoken language first. Raises Refused for others."""
    parts = [part.strip() for part in re.split(r"[,;/\n]", text)]
    return tuple(dict.fromkeys(language_tag(part) for part in parts if part))


def language_tag(text: str) -> str:
    """The tag of a language, such as en or pt-BR. Raises Refused if it is none."""
    plain = text.strip().replace("_", "-")
    if plain.casefold() in _NAMES:
        return _NAMES[plain.casefold()]
    match = _TAG.fullmatch(plain)
    if match is None:
        raise Refused(f"{quoted(text[:40])} is no language: write its code, such as en, de or pt-BR.")
    base, rest = match[1].lower(), match[2]
    subtags = [
        part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part for part in rest.split("-")[1:]
    ]
    return "-".join([_THREE.get(base, base), *subtags])


def base_of(tag: str) -> str:
    """The language without its region: pt of pt-BR."""
    return tag.partition("-")[0]
