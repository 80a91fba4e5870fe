"""The option `proxy`, which every account has whose outside system vidd connects to itself."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator
from yarl import URL

from vidd.settings.types import Options
from vidd.transfer.proxy import DIRECT, parse_proxy, proxy_for


class ProxiedAccount(Options):
    """An account whose connections may go through a proxy. `targets` are the addresses it connects to."""

    proxy: SecretStr | None = Field(
        None,
        description="The proxy of its connections, such as http://user:password@host:3128; none: no proxy. Without it,"
        " the environment's (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY).",
    )

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value().strip()
        if text.lower() in {"", DIRECT}:
            return SecretStr(DIRECT)
        parse_proxy(text, "the account")
        return SecretStr(text)

    @property
    def targets(self) -> tuple[str, ...]:
        """The addresses that the account's connections go to."""
        raise NotImplementedError

    def describe_proxies(self) -> str:
        """Through which proxy each address is reached, without logins. Refused if the environment's is no address."""
        lines = []
        for target in self.targets:
            url = URL(target)
            proxy = proxy_for(url, self.proxy)
            server = f"{url.host}:{url.port}" if url.port else url.host
            lines.append(f"{server} {'directly' if proxy is None else f'through the proxy {proxy.name}'}")
        return f"vidd connects to {'; '.join(dict.fromkeys(lines))}."
