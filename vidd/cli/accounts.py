"""`vidd accounts`: what an account can reach, asked without a daemon."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import SecretStr

from vidd.cli.common import ConfigOption, JsonOption, StateOption, fail, finish, say, say_json, settings_of
from vidd.engine.clock import SystemClock
from vidd.errors import Fault, Refused
from vidd.integrations.facebook.api import Account, graph
from vidd.integrations.facebook.errors import GraphError
from vidd.pipelines.faults import Faults
from vidd.pipelines.validation import accounts_of

_VARIABLE = "VIDD_FACEBOOK_USER_TOKEN"
_MOST = 10_000
_NEW_TOKEN = (
    "let Meta's Graph API Explorer give you one with pages_show_list, pages_read_engagement and pages_manage_posts "
    f"(README, Accounts), and set {_VARIABLE} to it."
)

accounts = typer.Typer(no_args_is_help=True, help="What an account can reach, and what its settings need.")


@accounts.callback()
def _top() -> None:
    """Commands by the kind of account."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that a person may manage. `account` is the name its settings could have."""

    id: str
    name: str
    token: str
    account: str


@accounts.command()
def facebook(
    account: Annotated[
        str | None, typer.Option("--account", help="Ask with this account of the settings, and with its token.")
    ] = None,
    config: ConfigOption = None,
    state: StateOption = None,
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the page tokens whole.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the pages of a person's token (VIDD_FACEBOOK_USER_TOKEN, or asked for) with their page tokens."""
    try:
        meant, name = (_named(account, settings_of(config, state)), account) if account else (None, "")
        asked = _with_token(meant)
    except Fault as fault:
        raise fail(fault) from None
    whose = f"the token of [accounts.{name}]" if asked is meant else "the user token"
    pages = finish(_pages(asked, name or "", whose))
    shown = [page.token if reveal else masked(page.token) for page in pages]
    if as_json:
        say_json(
            [
                {"page": page.id, "name": page.name, "token": token, "account": page.account}
                for page, token in zip(pages, shown, strict=True)
            ]
        )
        return
    if not pages:
        say("This token can manage no page: its owner needs a role there, and the token the right pages_show_list.")
        return
    for page, token in zip(pages, shown, strict=True):
        say(f"{page.id:<18}  {token:<16}  {page.name}")
    say("\n" + settings_for(pages))


def masked(token: str) -> str:
    """A token so that a person knows it again and nobody can use it."""
    return f"{token[:4]}…{token[-4:]}" if len(token) > 16 else "…"


def _named(name: str, settings: object) -> Account:
    faults = Faults()
    found = accounts_of(settings, faults).get(name)  # type: ignore[arg-type]
    if isinstance(found, Account):
        return found
    faults.check()
    raise Refused(f"There is no Facebook account {name!r} in the settings: name another, or set {_VARIABLE}.")


def _with_token(account: Account | None) -> Account:
    """The account to ask with: a token of the environment comes before the account's own."""
    given = os.environ.get(_VARIABLE, "").strip()
    if not given and account is not None:
        return account
    if not given:
        if not sys.stdin.isatty():
            raise Refused(f"There is no token to ask with: set {_VARIABLE}, or name an account by --account.")
        given = str(typer.prompt("Facebook user token", hide_input=True)).strip()
    if not given.isascii() or not given.isprintable():
        raise Refused(f"A token is one line of ASCII: correct {_VARIABLE}.")
    secret = SecretStr(given)
    return account.model_copy(update={"token": secret}) if account else Account(token=secret)


async def _pages(account: Account, name: str, whose: str) -> list[Page]:
    doing = "listing the pages of the token's owner"
    taken: set[str] = set()
    pages = []
    async with graph(account, name, SystemClock()) as api:
        try:
            async for row in api.listed("me/accounts", doing=doing, fields="id,name,access_token", most=_MOST):
                page, title = str(row["id"]), str(row.get("name", ""))
                pages.append(Page(page, title, str(row.get("access_token", "")), _free(title, page, taken)))
        except GraphError as error:
            if error.code == 100:
                raise Refused(
                    "This is a page's own token: give the token of a person who manages the pages."
                ) from error
            if error.bad_token:
                raise Refused(f"Facebook does not accept {whose} ({error.said}): {_NEW_TOKEN}") from error
            if error.lacks_right:
                raise Refused(f"Facebook does not let {whose} list pages ({error.said}): {_NEW_TOKEN}") from error
            raise api.fate(error, doing) from error
    return pages


def _free(title: str, page: str, taken: set[str]) -> str:
    """A name for an account that also fits into a variable's name."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not name or name in taken:
        name = f"{name or 'page'}_{page}"
    taken.add(name)
    return name


def settings_for(pages: Sequence[Page]) -> str:
    """The settings for these pages, one for each stage, without their tokens."""
    lines = []
    for page in pages:
        lines += [
            f"[accounts.{page.account}]",
            'kind = "facebook"',
            f'page = "{page.id}"',
            f"# its token: VIDD_ACCOUNTS__{page.account.upper()}__TOKEN",
            "",
        ]
    # Two pages may have the same name, a stage only one account.
    by_name = {page.name: page for page in reversed(pages)}
    named = sorted(by_name.values(), key=pages.index)
    stages = ", ".join(f"{json.dumps(page.name, ensure_ascii=False)} = {json.dumps(page.account)}" for page in named)
    return "\n".join(
        [
            *lines,
            "[[pipelines.talks.publish]]",
            'kind = "facebook"',
            f"# stage → account; put the stages as the programme writes them\naccounts = {{ {stages} }}",
        ]
    )
