"""Translates PREMIERE's config.yaml, whose `email` block says who gets mail, by which server, and its crontab.

The pipeline is that of etc/examples/cms.toml, which does what the scripts did: chain, Spaces, pCloud, and mails.

PyYAML's safe loader makes nothing but plain values of a foreign file.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from vidd.cli.importers.crontab import CronLine, find_line, units_of
from vidd.cli.importers.output import ImportedSettings, toml
from vidd.model.email_address import parse_address
from vidd.settings.schema import SettingsFault, embedded

_KNOWN = ("from_addr", "to_addrs", "smtp_server", "smtp_port", "password")
_PASSWORD = "VIDD_ACCOUNTS__POST__PASSWORD"  # noqa: S105 - the variable's name
_SECRETS = {
    "VIDD_ACCOUNTS__PCLOUD__TOKEN": "the token of pCloud, PCLOUD_ACCESS_TOKEN of the scripts",
    "DO_SPACES_KEY": "and DO_SPACES_SECRET, DO_SPACES_REGION, DO_SPACES_ENDPOINT, DO_SPACES_BUCKET: as before",
}


def translate(text: str, crontab: str | None = None) -> ImportedSettings:
    """The whole pipeline, with the units in place of a crontab; SettingsFault with everything that cannot be used."""
    email, unknown = _email(text)
    faults: list[str] = []
    sender = _address(email.get("from_addr"), "email.from_addr", faults)
    recipients = email.get("to_addrs")
    listed = recipients if isinstance(recipients, list) else [recipients]
    to = [_address(address, f"email.to_addrs[{at}]", faults) for at, address in enumerate(listed)]
    host, port, password = email.get("smtp_server"), _port(email.get("smtp_port"), faults), email.get("password")
    if not isinstance(host, str) or not host or not host.isprintable() or " " in host:
        faults.append("email.smtp_server: is no name of a server")
    line = None
    try:
        line = find_line(crontab) if crontab is not None else None
    except SettingsFault as fault:
        faults += fault.faults
    if faults:
        raise SettingsFault(faults)
    has_login = password not in (None, "")
    # It asked for STARTTLS at every port; at 465 a server expects TLS from the first byte.
    post = [f"host = {toml(str(host))}", f"port = {port}", f"security = {toml('tls' if port == 465 else 'starttls')}"]
    post += [f"user = {toml(sender)}"] if has_login else []
    changes = {
        """host = "mail.example.org"\nsecurity = "starttls"\nuser = "lab@example.org\"""": "\n".join(post),
        'sender = "Video analysis <lab@example.org>"': f"sender = {toml(f'PREMIERE <{sender}>')}",
        'to = ["one@example.org", "two@example.org"]': f"to = {toml(to)}",
        'url = "https://cms.example.org/api/graphql"\n': 'url = "https://cms.example.org/api/graphql"   # not in'
        " config.yaml: correct it\n",
        "begin = 2026-01-01T00:00:00Z": f"begin = {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        **_programs(line),
    }
    document = embedded("cms.toml").partition("\n[daemon]\n")[2]
    for old, new in changes.items():
        if old not in document:
            raise AssertionError(f"etc/examples/cms.toml has no {old!r}")
        document = document.replace(old, new)
    notes = "".join(f"# Not taken over: {name}\n" for name in unknown)
    secrets = ({_PASSWORD: f"the password of {sender}, as in config.yaml"} if has_login else {}) | _SECRETS
    return ImportedSettings(f"{notes}[daemon]\n{document}", secrets, units_of(line) if line else {})


def _programs(line: CronLine | None) -> dict[str, str]:
    """Where the programs are and who starts them; as in the example without a crontab."""
    if line is None:
        return {}
    old = 'prefix = ["conda", "run", "--no-capture-output", "-n", "premiere"]\n'
    return {
        old: f"prefix = {toml(line.prefix)}\n" if line.prefix else "",
        "/opt/premiere/PREMIERETOOLV2": line.directory,
    }


def _email(text: str) -> tuple[Mapping[str, Any], list[str]]:
    """The `email` block, and the paths of the keys that vidd does not know."""
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        # What stands there is not repeated: it may be the password.
        raise SettingsFault([f"config.yaml: is no YAML: {error.problem}{line}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SettingsFault(["config.yaml: is no YAML"]) from None
    if not isinstance(document, dict) or not isinstance(document.get("email"), dict):
        raise SettingsFault(["email: is not there; PREMIERE's config.yaml has a block of this name"])
    email = document["email"]
    unknown = [str(name) for name in document if name != "email"]
    unknown += [f"email.{name}" for name in email if name not in _KNOWN]
    return email, [toml(name)[1:-1] for name in unknown]


def _address(value: Any, where: str, faults: list[str]) -> str:
    found = parse_address(value) if isinstance(value, str) else None
    if found is None or "{" in found[1]:
        faults.append(f"{where}: is no e-mail address")
        return ""
    return found[1]


def _port(value: Any, faults: list[str]) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or not 0 < int(text) < 65536:
        faults.append("email.smtp_port: is no number of a port")
        return 0
    return int(text)
