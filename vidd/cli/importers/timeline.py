"""Translates the settings of the timeline service: its file `keys`, Docker's secrets, and the variables EC500_….

The pipeline is that of etc/examples/timeline.toml. A value is looked for in the order of the original: `keys` first, then
/run/secrets, then the environment.
"""

from __future__ import annotations

from configparser import Error, RawConfigParser
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.cli.importers.output import ImportedSettings, toml
from vidd.model.email_address import parse_address
from vidd.settings.schema import SettingsFault, embedded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PREFIX = "EC500_"
_KEYS = {
    "EC500_TWITTER_API_KEY": "consumer_key",
    "EC500_TWITTER_SECRET_KEY": "consumer_secret",
    "EC500_TWITTER_ACCESS_TOKEN": "access_token",
    "EC500_TWITTER_ACCESS_SECRET": "access_secret",
}
"""The variables, with their names in the section `auth` of `keys`."""
_EMAIL, _PASSWORD = "EC500_GMAIL_EMAIL", "EC500_GMAIL_PASSWORD"
_NAMES = (*_KEYS, _EMAIL, _PASSWORD, "EC500_SECRET_KEY")
_POST = """\
[accounts.post]               # who sends the mails
kind = "smtp"
host = "smtp.example.org"
security = "starttls"
user = "videos@example.org"
"""
_NOTICE = "[[pipelines.timelines.notify]]"


@dataclass(frozen=True, slots=True)
class _Found:
    """The value of a variable, and the file of Docker's secrets that it is in; `value` is never told."""

    value: str
    file: Path | None = None


def translate(keys: str | None, secrets: Path, environment: Mapping[str, str]) -> ImportedSettings:
    """The whole pipeline. `keys` is the text of that file, `secrets` the directory of Docker's secrets.

    SettingsFault where none of the service's settings is anywhere, or where one cannot be used.
    """
    found = _find(keys, secrets, environment)
    if not found:
        raise SettingsFault([f"there is no file keys, no {secrets}/{_PREFIX}… and no variable {_PREFIX}…"])
    document = embedded("timeline.toml").partition("\n[daemon]\n")[2]
    named = {
        "VIDD_ACCOUNTS__BIRDS__TOKEN": "the bearer token of the app at X; docs/how-to/timeline.md says how to get it"
    }
    document, password = _mail(document, found)
    unused = [name for name in found if name not in {_EMAIL, _PASSWORD}]
    notes = "".join(f"# Not taken over: {name}\n" for name in unused)
    return ImportedSettings(f"{notes}[daemon]\n{document}", named | password)


def _find(keys: str | None, secrets: Path, environment: Mapping[str, str]) -> dict[str, _Found]:
    own = _section(keys)
    found = {}
    for name in _NAMES:
        file = secrets / name
        if own.get(_KEYS.get(name, "")):
            found[name] = _Found(own[_KEYS[name]])
        elif file.is_file():
            try:
                found[name] = _Found(file.read_text("utf-8").strip(), file)
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
                raise SettingsFault([f"{file}: cannot be read ({why})"]) from None
        elif environment.get(name, "").strip():
            found[name] = _Found(environment[name].strip())
    return found


def _section(keys: str | None) -> Mapping[str, str]:
    parser = RawConfigParser()
    try:
        parser.read_string(keys or "")
    except Error as error:
        line = getattr(error, "lineno", None)
        # What stands there is not repeated: it may be a key.
        raise SettingsFault(
            [f"keys: is not of sections with names and values{f' (line {line})' if line else ''}"]
        ) from None
    return {name: value.strip() for name, value in parser.items("auth")} if parser.has_section("auth") else {}


def _mail(document: str, found: Mapping[str, _Found]) -> tuple[str, dict[str, str]]:
    """The document with the mail account of the service, or without mails; and the secret that it lacks."""
    for part in (_POST, _NOTICE, 'sender = "Timeline videos <videos@example.org>"'):
        if part not in document:
            raise AssertionError(f"etc/examples/timeline.toml has no {part!r}")
    if _EMAIL not in found:
        return document.replace(f"{_POST}\n", "").partition(_NOTICE)[0].rstrip() + "\n", {}
    parsed = parse_address(found[_EMAIL].value)
    if parsed is None or "{" in parsed[1]:
        raise SettingsFault([f"{_EMAIL}: is no e-mail address"])
    address, password = parsed[1], found.get(_PASSWORD)
    lines = ["[accounts.post]", 'kind = "smtp"', 'host = "smtp.gmail.com"', 'security = "starttls"']
    lines.append(f"user = {toml(address)}")
    named = {}
    if password is not None and password.file is not None:
        lines.append(f"password_file = {toml(str(password.file))}")
    else:
        named["VIDD_ACCOUNTS__POST__PASSWORD"] = f"an app password of {address}, as {_PASSWORD}"
    document = document.replace(_POST, "\n".join([*lines, ""]))
    return document.replace('"Timeline videos <videos@example.org>"', toml(f"Timeline videos <{address}>")), named
