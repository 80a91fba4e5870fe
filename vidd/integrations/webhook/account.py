"""An account of kind `webhook`: a receiver's address and the secrets that sign for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from yarl import URL

from vidd.display_text import printable
from vidd.integrations.webhook.signature import key_of
from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration


class Account(ProxiedAccount):
    """A receiver of webhooks and its secrets. Its address is a secret too: Slack's needs no other."""

    kind: Literal["webhook"] = Field("webhook", description="A receiver of webhooks.")
    url: SecretStr = Field(description="Its address; for Matrix, the home server's.")
    secret: SecretStr | None = Field(
        None, description="The secret that signs webhooks: whsec_ and base64, or a plain text."
    )
    old_secret: SecretStr | None = Field(None, description="The previous secret; as long as it is set, both sign.")
    token: SecretStr | None = Field(None, description="An access token, sent as Authorization: Bearer.")
    token_header: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]+$", description="Another header, which holds the token as it is."
    )
    ca: Path | None = Field(None, description="PEM file of authorities to trust besides the system's.")
    connect_timeout: Duration = Field(10.0, gt=0, description="Longest time to wait for a connection.")
    timeout: Duration = Field(30.0, gt=0, description="Longest time to wait for an answer.")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr) -> SecretStr:
        try:
            url = URL(value.get_secret_value())
            valid = url.scheme in {"http", "https"} and bool(url.host) and url.user is None and not url.fragment
        except ValueError:
            valid = False
        if not valid or not value.get_secret_value().isprintable():
            raise ValueError("this is no http or https address without a user in it")
        return value

    @field_validator("secret", "old_secret")
    @classmethod
    def _check_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            key_of(value.get_secret_value())
        return value

    @field_validator("token")
    @classmethod
    def _check_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not (value.get_secret_value().isascii() and value.get_secret_value().isprintable()):
            raise ValueError("a token is one line of ASCII")
        return value

    @property
    def host(self) -> str:
        """The receiver as sentences name it: its host only, since its path may be a secret."""
        return printable(host_of(URL(self.url.get_secret_value())), 120)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.url.get_secret_value(),)

    @property
    def secrets(self) -> list[str]:
        """The secrets that sign, the current one first."""
        return [secret.get_secret_value() for secret in (self.secret, self.old_secret) if secret is not None]

    @property
    def authorization(self) -> dict[str, str]:
        """The header with the token; empty where there is none."""
        if self.token is None:
            return {}
        token = self.token.get_secret_value()
        return {self.token_header: token} if self.token_header else {"Authorization": f"Bearer {token}"}

    def redact(self, text: str) -> str:
        """A receiver's text without secrets of ours that it may have echoed."""
        url = URL(self.url.get_secret_value())
        secrets = [self.url.get_secret_value(), str(url), url.raw_path_qs, url.raw_path, *url.parts, *self.secrets]
        if self.token is not None:
            secrets.append(self.token.get_secret_value())
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= 6:
                text = text.replace(secret, "[hidden]")
        return text


def host_of(url: URL) -> str:
    """The host of an address, with its port where that is not the usual one."""
    if not url.host:
        return ""
    return url.host if url.is_default_port() or url.explicit_port is None else f"{url.host}:{url.explicit_port}"
