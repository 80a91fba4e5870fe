"""An account of kind `smtp`: a mail server and the login at it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration

_PORTS = {"starttls": 587, "tls": 465, "plain": 25}


class Account(ProxiedAccount):
    """A mail server and the login at it."""

    kind: Literal["smtp"] = Field("smtp", description="A mail server.")
    host: str = Field(description="Its host name.")
    port: int | None = Field(None, ge=1, le=65535, description="Its port; 587, 465 or 25 by `security` otherwise.")
    security: Literal["starttls", "tls", "plain"] = Field(
        "starttls", description="Encryption: requested after the greeting, from the first byte, or none."
    )
    user: str | None = Field(None, description="The user to log in as; without it there is no login.")
    password: SecretStr | None = Field(None, description="The user's password.")
    ca_file: Path | None = Field(None, description="PEM file of the authorities to trust instead of the system's.")
    timeout: Duration = Field(30.0, gt=0, description="How long to wait for each answer.")
    data_timeout: Duration = Field(600.0, gt=0, description="How long to wait for the answer to a whole mail.")
    local_hostname: str | None = Field(
        None, description="The name vidd greets with; the machine's full name otherwise."
    )

    @model_validator(mode="after")
    def _check_login(self) -> Account:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together: set both or none")
        return self

    @property
    def actual_port(self) -> int:
        """The port, or the usual one for the kind of encryption."""
        return self.port or _PORTS[self.security]

    @property
    def url(self) -> str:
        """The server as an address: smtps where TLS begins with the first byte."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'smtps' if self.security == 'tls' else 'smtp'}://{host}:{self.actual_port}"

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.url,)

    @property
    def server(self) -> str:
        """The server as sentences name it."""
        return f"{self.host}:{self.actual_port}"
