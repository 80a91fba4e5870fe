"""Notifies another program or a chat by an HTTP request.

Each notice has an id that stays the same however often vidd sends it. Where the receiver can drop a duplicate by its id,
vidd repeats a notice whose answer was lost; where it cannot (Slack has no such id), a person must look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field, model_validator

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.notice import NOTICE_FIELDS, Notice, NoticeOptions, as_json, harmless, notice_id, notice_of
from vidd.integrations.webhook.account import Account
from vidd.integrations.webhook.delivery import Answer, Delivery, deliver, tls_context
from vidd.integrations.webhook.errors import outcome_unknown
from vidd.integrations.webhook.signature import hub_signature_headers, signature_headers
from vidd.model.publication import Receipt
from vidd.ports import PublishContext, Tools
from vidd.settings.marks import AccountOf
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, render, render_json, render_slack

_RETRACTED = "{% if state == 'retracted' %}Taken back: {% endif %}"
_IF_PUBLISHED = "{% if link and state != 'retracted' %}"
_ELSE = "{% else %}{{ title }}{% endif %}"
_REASON = "{% if reason %} ({{ state }}): {{ reason }}{% endif %}"
_TEXT = (
    _RETRACTED
    + "{{ title }}{% if speakers %} ({{ speakers }}){% endif %}"
    + _IF_PUBLISHED
    + ": {{ link }}{% endif %}"
    + _REASON
)
_SLACK = (
    "*"
    + _RETRACTED
    + _IF_PUBLISHED
    + "<{{ link }}|{{ title }}>"
    + _ELSE
    + "*{% if speakers %}\n{{ speakers }}{% endif %}"
    + _REASON
)
_MATRIX = (
    "<strong>" + _RETRACTED + _IF_PUBLISHED + '<a href="{{ link }}">{{ title }}</a>' + _ELSE + "</strong>"
    "{% if speakers %}<br>{{ speakers }}{% endif %}" + _REASON
)
_SECTION, _FALLBACK = 3000, 4000
_RESERVED_HEADERS = {
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "authorization",
    "expect",
}

_Template = Annotated[str, AfterValidator(check_template), MayName(*NOTICE_FIELDS)]
_HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]


class Options(NoticeOptions):
    """Settings of a notice of kind `webhook`.

    Templates may name id, state, reason, edition, at, uuid, title, speakers, link, urls (by publisher), job, talk, failure
    and the steps' facts.
    """

    account: Annotated[str, AccountOf("webhook")] = Field(description="The receiver, by the name of its account.")
    format: Literal["vidd", "slack", "matrix", "template"] = Field(
        "vidd", description="What is sent: the job's facts as JSON, a message for Slack or Matrix, or `body`."
    )
    body: _Template | None = Field(None, description='The body, with format = "template".')
    content_type: str = Field(
        "application/json", pattern=r"^[\x21-\x7e][\x20-\x7e]*$", description="What `body` is; JSON is checked."
    )
    headers: dict[_HeaderName, _Template] = Field(default_factory=dict, description="More headers, by name.")
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="The request's method.")
    text: _Template | None = Field(None, description="Slack's or Matrix's text; title, speakers and link otherwise.")
    html: _Template | None = Field(None, description="Matrix's text as HTML; none where only `text` is set.")
    room: str | None = Field(None, pattern=r"^![^\s/]+$", description="The Matrix room's id, as !abc:example.org.")
    retractions: bool | None = Field(
        None,
        description="Tell when a person takes the talk back (state is retracted); by default where the text is vidd's own.",
    )
    hub_signature: bool = Field(False, description="Sign the body as X-Hub-Signature-256 as well.")
    repeat: bool | None = Field(
        None,
        description="Send again after a lost answer; otherwise only where the receiver can drop a second one by its id "
        '("vidd", "matrix") or by the method (PUT).',
    )

    @model_validator(mode="after")
    def _check(self) -> Options:
        if (self.body is not None) != (self.format == "template"):
            raise ValueError('body and format = "template" go together: set both or none')
        if (self.room is not None) != (self.format == "matrix"):
            raise ValueError('room and format = "matrix" go together: set both or none')
        if self.format in {"slack", "matrix"} and (self.method != "POST" or self.hub_signature):
            raise ValueError(f'method and hub_signature are not for format = "{self.format}": leave them out')
        if self.repeat is False and (self.format == "matrix" or self.method == "PUT"):
            # RFC 9110, 9.2.2; aiohttp does it too.
            raise ValueError("a PUT may be repeated by its nature: leave repeat out")
        reserved = [
            name for name in self.headers if name.lower() in _RESERVED_HEADERS or name.lower().startswith("webhook-")
        ]
        if reserved:
            raise ValueError(f"the header {reserved[0]} is set by vidd: leave it out")
        return self

    @property
    def tells_retraction(self) -> bool:
        """Whether vidd sends a notice of a retraction. A template that ignores the state would say that the talk is online."""
        if self.retractions is not None:
            return self.retractions
        return self.format != "template" and self.text is None and self.html is None

    @property
    def repeatable(self) -> bool:
        """Whether a duplicate does no harm (a PUT by RFC 9110, 9.2.2)."""
        if self.repeat is not None:
            return self.repeat
        return self.format in {"vidd", "matrix"} or self.method == "PUT"


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Send the notice. The token's `open` says whether a request may have gone out without an answer."""
    account = context.tools.account(options.account, Account)
    notice = notice_of(context)
    delivery = _delivery(options, account, notice, context)
    await tls_context(account, context.tools)
    token = {**notice.token, "to": account.host, "title": notice.fields["title"]}
    await context.checkpoint({**token, "open": True})
    try:
        answer = await deliver(account, context.tools, delivery)
    except (RetryLater, Refused):
        await context.checkpoint({**token, "open": False})
        raise
    return Receipt(facts={**notice.token, "to": account.host, **_receipt_facts(options, answer)})


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """None where vidd may send the notice (again). Raises OutcomeUnknown where the receiver could not recognize a duplicate."""
    token = context.publication.token
    if options.repeatable or not token.get("open") or token.get("id") != notice_id(context):
        return None
    raise outcome_unknown(str(token["to"]), _where(options, str(token["title"])))


async def check(options: Options, tools: Tools) -> str:
    """Say where notices would go. vidd sends nothing: the receiver would take it for a notice."""
    account = tools.account(options.account, Account)
    await tls_context(account, tools)
    if options.hub_signature and not account.secrets:
        raise _no_secret(options)
    how = "signed" if account.secrets and options.format in {"vidd", "template"} else "not signed"
    return f"Notices would go to {account.host} ({options.format}, {how}); vidd sent nothing."


def _where(options: Options, title: str) -> str:
    if options.format in {"slack", "matrix"}:
        return f"into the channel for {quoted(title, 80)}"
    return f"there for {quoted(title, 80)}"


def _no_secret(options: Options) -> Refused:
    return Refused(
        f"hub_signature needs a secret: add it to [accounts.{options.account}].", code=FaultCode.BAD_SETTINGS
    )


def _receipt_facts(options: Options, answer: Answer) -> dict[str, Any]:
    event = answer.data.get("event_id") if options.format == "matrix" else None
    return {"status": answer.status} | ({"event_id": event[:255]} if isinstance(event, str) else {})


def _delivery(options: Options, account: Account, notice: Notice, context: PublishContext) -> Delivery:
    content, kind = _content(options, notice)
    body = content.encode(errors="replace")
    headers = {"Content-Type": kind, **_headers(options, notice.fields)}
    method, path = options.method, ""
    if options.format in {"vidd", "template"}:
        headers |= signature_headers(notice.id, int(context.tools.clock.now().timestamp()), body, account.secrets)
    if options.hub_signature:
        if not account.secrets:
            raise _no_secret(options)
        headers |= hub_signature_headers(body, account.secrets[0])
    if options.format == "matrix":
        # Client-server API, "PUT …/send/{eventType}/{txnId}": the same transaction is the same message.
        room = quote(options.room or "", safe="")
        method, path = "PUT", f"/_matrix/client/v3/rooms/{room}/send/m.room.message/{notice.id}"
    where = _where(options, str(notice.fields["title"]))
    return Delivery(method, body, headers, options.repeatable, where, path)


def _content(options: Options, notice: Notice) -> tuple[str, str]:
    """The body and its content type."""
    match options.format:
        case "slack":
            return as_json(_slack(options, notice.fields)), "application/json"
        case "matrix":
            return as_json(_matrix(options, notice.fields)), "application/json"
        case "template":
            form = options.content_type.partition(";")[0].strip().lower()
            if form == "application/json" or form.endswith("+json"):
                return render_json(options.body or "", notice.fields), options.content_type
            return render(options.body or "", notice.fields, html=form == "text/html"), options.content_type
        case _:
            return notice.body, "application/json"


def _slack(options: Options, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A message of an incoming webhook (docs.slack.dev, "Sending messages using incoming webhooks")."""
    link = fields["link"]
    plain = {
        **fields,
        # Within <…|…> these characters would end the link, and a line break its label.
        "title": " ".join(str(fields["title"]).split()).replace("|", "¦"),
        "link": re.sub(r"[|<>\s]", lambda match: quote(match[0]), link) if link else link,
    }
    # A section's text is limited; vidd shortens before it escapes, so that no entity is cut in two.
    short = {
        **plain,
        **{name: _shorten(plain[name], 300) for name in ("title", "speakers")},
        "reason": _shorten(plain["reason"], 1000),
    }
    text = render_slack(options.text or _SLACK, short)
    if len(text) > _SECTION:
        raise Refused(f"The text for Slack is longer than its {_SECTION} characters: shorten `text`.")
    fallback = render_slack(_TEXT, short)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return {"text": fallback[:_FALLBACK] if options.text is None else text, "blocks": [section]}


def _shorten(text: Any, longest: int) -> str:
    text = str(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _matrix(options: Options, fields: Mapping[str, Any]) -> dict[str, Any]:
    """An m.room.message (client-server API, "m.text")."""
    message = {"msgtype": "m.text", "body": render(options.text or _TEXT, fields)}
    html = options.html or (None if options.text else _MATRIX)
    if html is not None:
        message |= {"format": "org.matrix.custom.html", "formatted_body": render(html, fields, html=True)}
    return message


def _headers(options: Options, fields: Mapping[str, Any]) -> dict[str, str]:
    headers = {name: render(text, fields).strip() for name, text in options.headers.items()}
    for name, value in headers.items():
        if not value.isprintable():
            raise Refused(f"The header {name} would hold a line break or another control: correct its template.")
    return {name: harmless(value) for name, value in headers.items()}
