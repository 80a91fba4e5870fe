"""Translates PREMIERE's config.yaml, whose `email` block says who gets mail, by which server.

PyYAML's safe loader makes nothing but plain values of a foreign file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from vidd.cli.importers.output import ImportedSettings, toml
from vidd.model.email_address import parse_address
from vidd.settings.schema import SettingsFault

_KNOWN = ("from_addr", "to_addrs", "smtp_server", "smtp_port", "password")
_PASSWORD = "VIDD_ACCOUNTS__POST__PASSWORD"  # noqa: S105 - the variable's name
_TEMPLATE = """\
{notes}[daemon]
state = "/var/lib/vidd"
listen = "127.0.0.1:8080"

[accounts.lab]                # not in config.yaml: correct the address of the CMS
kind = "cms"
url = "https://cms.example.org/api/graphql"

[accounts.post]
kind = "smtp"
host = {host}
port = {port}
security = {security}
{login}
[sources.uploads]
kind = "cms"
account = "lab"
pipeline = "cms"
# fetch_account = "cloud"     # the account of pCloud; etc/examples/cms.toml shows it, and publishing to pCloud and Spaces

[[pipelines.cms.publish]]
kind = "folder"
path = "pcloudresults"
name = "{{{{ name }}}}/{{{{ name }}}}{{{{ suffix }}}}"

[[pipelines.cms.notify]]
kind = "mail"
account = "post"
sender = {sender}
to = {to}
subject = "Video Processed: {{{{ name }}}}"
text = '''
The video {{{{ job.name }}}} is processed{{% if link %}}:

    {{{{ link }}}}{{% else %}}.{{% endif %}}
'''
"""


def translate(text: str) -> ImportedSettings:
    """The settings; SettingsFault with everything in the file that cannot be used."""
    email, unknown = _email(text)
    faults: list[str] = []
    sender = _address(email.get("from_addr"), "email.from_addr", faults)
    recipients = email.get("to_addrs")
    listed = recipients if isinstance(recipients, list) else [recipients]
    to = [_address(address, f"email.to_addrs[{at}]", faults) for at, address in enumerate(listed)]
    host, port, password = email.get("smtp_server"), _port(email.get("smtp_port"), faults), email.get("password")
    if not isinstance(host, str) or not host or not host.isprintable() or " " in host:
        faults.append("email.smtp_server: is no name of a server")
    if faults:
        raise SettingsFault(faults)
    has_login = password not in (None, "")
    document = _TEMPLATE.format(
        notes="".join(f"# Not taken over: {name}\n" for name in unknown),
        host=toml(str(host)),
        port=port,
        # It asked for STARTTLS at every port; at 465 a server expects TLS from the first byte.
        security=toml("tls" if port == 465 else "starttls"),
        login=f"user = {toml(sender)}\n" if has_login else "",
        sender=toml(f"PREMIERE <{sender}>"),
        to=toml(to),
    )
    return ImportedSettings(document, {_PASSWORD: f"the password of {sender}, as in config.yaml"} if has_login else {})


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
