"""`vidd accounts`: shows what an account can reach, without a daemon."""

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

from vidd.cli.common import (
    ConfigOption,
    JsonOption,
    StateOption,
    fail,
    load_settings,
    print_json,
    print_text,
    run_to_end,
)
from vidd.engine.clock import SystemClock
from vidd.errors import Fault, Refused
from vidd.integrations.facebook.account import Account
from vidd.integrations.facebook.api import graph
from vidd.integrations.facebook.errors import GraphError
from vidd.pipelines.faults import Faults
from vidd.pipelines.validation import accounts_of

_VARIABLE = "VIDD_FACEBOOK_USER_TOKEN"
_MAX_PAGES = 10_000
_NEW_TOKEN = (
    "get one with pages_show_list, pages_read_engagement and pages_manage_posts from Meta's Graph API Explorer "
    f"(docs/how-to/facebook.md), and set {_VARIABLE} to it."
)

accounts = typer.Typer(no_args_is_help=True, help="What an account can reach, and what its settings need.")


@accounts.callback()
def _top() -> None:
    """Commands by the kind of account."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that the token's owner may manage. `account` is a name for its table in the settings."""

    id: str
    name: str
    token: str
    account: str


@accounts.command()
def facebook(
    account: Annotated[
        str | None, typer.Option("--account", help="Use this account of the settings, and its token.")
    ] = None,
    config: ConfigOption = None,
    state: StateOption = None,
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the page tokens in full.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the pages of a person's token (VIDD_FACEBOOK_USER_TOKEN, or asked for) with their page tokens."""
    try:
        own, name = (_find_account(account, load_settings(config, state)), account) if account else (None, "")
        used = _with_token(own)
    except Fault as fault:
        raise fail(fault) from None
    whose = f"the token of [accounts.{name}]" if used is own else "the user token"
    pages = run_to_end(_pages(used, name or "", whose))
    tokens = [page.token if reveal else masked(page.token) for page in pages]
    if as_json:
        print_json(
            [
                {"page": page.id, "name": page.name, "token": token, "account": page.account}
                for page, token in zip(pages, tokens, strict=True)
            ]
        )
        return
    if not pages:
        print_text(
            "This token can manage no page: its owner needs a role on one, and the token the right pages_show_list."
        )
        return
    for page, token in zip(pages, tokens, strict=True):
        print_text(f"{page.id:<18}  {token:<16}  {page.name}")
    print_text("\n" + settings_for(pages))


def masked(token: str) -> str:
    """The beginning and the end of a token."""
    return f"{token[:4]}…{token[-4:]}" if len(token) > 16 else "…"


def _find_account(name: str, settings: object) -> Account:
    faults = Faults()
    found = accounts_of(settings, faults).get(name)  # type: ignore[arg-type]
    if isinstance(found, Account):
        return found
    faults.check()
    raise Refused(f"There is no Facebook account {name!r} in the settings: name another, or set {_VARIABLE}.")


def _with_token(account: Account | None) -> Account:
    """The account to use: a token of the environment comes before the account's own."""
    token = os.environ.get(_VARIABLE, "").strip()
    if not token and account is not None:
        return account
    if not token:
        if not sys.stdin.isatty():
            raise Refused(f"There is no token: set {_VARIABLE}, or name an account by --account.")
        token = str(typer.prompt("Facebook user token", hide_input=True)).strip()
    if not token.isascii() or not token.isprintable():
        raise Refused(f"A token is one line of ASCII: correct {_VARIABLE}.")
    secret = SecretStr(token)
    return account.model_copy(update={"token": secret}) if account else Account(token=secret)


async def _pages(account: Account, name: str, whose: str) -> list[Page]:
    doing = "listing the pages of the token's owner"
    taken: set[str] = set()
    pages = []
    async with graph(account, name, SystemClock()) as api:
        try:
            async for row in api.listed("me/accounts", doing=doing, fields="id,name,access_token", most=_MAX_PAGES):
                page, title = str(row["id"]), str(row.get("name", ""))
                pages.append(Page(page, title, str(row.get("access_token", "")), _account_name(title, page, taken)))
        except GraphError as error:
            if error.code == 100:
                raise Refused(
                    "This is a page's own token: give the token of a person who manages the pages."
                ) from error
            if error.bad_token:
                raise Refused(f"Facebook does not accept {whose} ({error.summary}): {_NEW_TOKEN}") from error
            if error.lacks_right:
                raise Refused(f"Facebook does not let {whose} list pages ({error.summary}): {_NEW_TOKEN}") from error
            raise api.fault(error, doing) from error
    return pages


def _account_name(title: str, page: str, taken: set[str]) -> str:
    """A name for an account that also fits into the name of an environment variable."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not name or name in taken:
        name = f"{name or 'page'}_{page}"
    taken.add(name)
    return name


def settings_for(pages: Sequence[Page]) -> str:
    """Settings for these pages, a page for each stage, without their tokens."""
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
