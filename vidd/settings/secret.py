"""The account of kind `secret`, and the secrets of accounts by name (`account.key`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr

from vidd.errors import FaultCode, Refused
from vidd.settings.types import Options

if TYPE_CHECKING:
    from vidd.ports import Tools


class Account(Options):
    """One secret, such as the key to a model hub."""

    kind: Literal["secret"] = Field("secret", description="The kind of account.")
    value: SecretStr = Field(description="The secret.")


def reveal(tools: Tools, name: str) -> str:
    """The secret that `account.key` names. Refused if there is no such account, or it has no such secret."""
    account, _, key = name.partition(".")
    found = tools.accounts.get(account)
    if found is None:
        raise Refused(
            f"There is no account {account!r}: add [accounts.{account}] to the settings.", code=FaultCode.BAD_SETTINGS
        )
    value = getattr(found, key, None) if key in type(found).model_fields else None
    if not isinstance(value, SecretStr):
        raise Refused(
            f"The account {account!r} has no secret {key!r}: correct the secrets of the step, or add it.",
            code=FaultCode.BAD_SETTINGS,
        )
    return value.get_secret_value()
