"""Adds captions to a video that is already on a Facebook page, one SubRip file for each language.

developers.facebook.com/docs/graph-api/reference/video/captions: the file's name has the locale (talk.en_US.srt), and a
second file of a locale takes the place of the first, so vidd can repeat an upload that got no answer.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import Field

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.integrations.captions import CaptionOptions, PublishedVideo, caption_files, published_video
from vidd.integrations.facebook.account import Account
from vidd.integrations.facebook.api import Graph, graph
from vidd.integrations.facebook.errors import GraphError
from vidd.model.publication import Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vidd.ports import PublishContext, Tools

_LOCALES = {
    "ar": "ar_AR", "bg": "bg_BG", "ca": "ca_ES", "cs": "cs_CZ", "cy": "cy_GB", "da": "da_DK", "de": "de_DE",
    "el": "el_GR", "en": "en_US", "es": "es_LA", "et": "et_EE", "eu": "eu_ES", "fa": "fa_IR", "fi": "fi_FI",
    "fr": "fr_FR", "ga": "ga_IE", "gl": "gl_ES", "he": "he_IL", "hi": "hi_IN", "hr": "hr_HR", "hu": "hu_HU",
    "id": "id_ID", "is": "is_IS", "it": "it_IT", "ja": "ja_JP", "ko": "ko_KR", "lt": "lt_LT", "lv": "lv_LV",
    "ms": "ms_MY", "nb": "nb_NO", "nl": "nl_NL", "no": "nb_NO", "pl": "pl_PL", "pt": "pt_BR", "ro": "ro_RO",
    "ru": "ru_RU", "sk": "sk_SK", "sl": "sl_SI", "sr": "sr_RS", "sv": "sv_SE", "th": "th_TH", "tr": "tr_TR",
    "uk": "uk_UA", "vi": "vi_VN", "zh": "zh_CN",
    "en-GB": "en_GB", "es-ES": "es_ES", "fr-CA": "fr_CA", "pt-PT": "pt_PT", "zh-HK": "zh_HK", "zh-TW": "zh_TW",
}  # fmt: skip
"""Facebook's locale for each language: it knows no language without a country, and few countries."""


_INVALID = 100


class Options(CaptionOptions):
    """Settings of a publisher of kind `facebook_captions`."""

    account: str | None = Field(None, description="The facebook account; unset: the one that uploaded the video.")
    video_of: str = Field(
        "facebook", description="Label of the publisher, in the pipeline that is followed, that uploaded the video."
    )
    locales: dict[str, str] = Field(
        {}, description='Facebook\'s locale for a language where it is another than usual: { en = "en_GB" }.'
    )


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Send a file for each language; captions that somebody else made stay."""
    files = caption_files(context)
    locales = {language: _locale(options, language) for language in files}
    async with _open(options, context) as (api, published):
        video = published.id
        present = await _present(api, video)
        token = dict(context.publication.token)
        ours = {*token.get("tried", ()), *_earlier(context, video)}
        sent, notes = [], []
        for language, file in files.items():
            locale = locales[language]
            if locale in present and locale not in ours:
                notes.append(f"The video has captions in {locale} that vidd did not upload; they stay as they are.")
                continue
            token["tried"] = sorted({*token.get("tried", ()), locale})
            await context.checkpoint(token)
            content = file.read_bytes()
            await _send(api, video, f"{context.job.id}.{locale}.srt", content)
            sent.append(locale)
        await _delete(api, video, [locale for locale in _earlier(context, video) if locale not in locales.values()])
    facts = {"video": video, "account": api.name, "locales": sent, "notes": notes}
    return Receipt(url=published.address, facts=facts)


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """None: `publish` asks before it sends, and can be repeated."""
    published_video(options, context)
    return None


# A file of the same locale takes the place of the one before.
replace_files = publish


async def retract(_options: Options, context: PublishContext) -> str:
    """Delete the captions that the receipt names; where the video is gone, they are, too."""
    receipt = context.publication.receipt
    locales = list(receipt.facts.get("locales", ())) if receipt else []
    if receipt is None or not locales:
        return "There were no captions of vidd to delete."
    name, video = str(receipt.facts["account"]), str(receipt.facts["video"])
    async with graph(context.tools.account(name, Account), name, context.tools.clock) as api:
        await _delete(api, video, locales)
    return f"The captions ({', '.join(locales)}) of the video {video} were deleted at Facebook."


async def check(options: Options, tools: Tools) -> str:
    """Look for the account, and at the locales."""
    if options.account is not None:
        tools.account(options.account, Account)
    return "Captions go to the page that has the video."


def _locale(options: Options, language: str) -> str:
    base = language.partition("-")[0]
    known = {**_LOCALES, **options.locales}
    locale = known.get(language) or known.get(base)
    if locale is None:
        raise Refused(
            f"Facebook's locale for the language {quoted(language)} is not known: write it under locales of the publisher,"
            f' such as {base} = "{base}_{base.upper()}".',
            code=FaultCode.BAD_SETTINGS,
        )
    return locale


@asynccontextmanager
async def _open(options: Options, context: PublishContext) -> AsyncIterator[tuple[Graph, PublishedVideo]]:
    video = published_video(options, context)
    async with graph(context.tools.account(video.account, Account), video.account, context.tools.clock) as api:
        yield api, video


def _earlier(context: PublishContext, video: str) -> list[str]:
    """The locales of this video that vidd sent for an earlier edition."""
    receipts = [context.replaced, context.publication.receipt]
    return [
        locale
        for receipt in receipts
        if receipt is not None and receipt.facts.get("video") == video
        for locale in receipt.facts.get("locales", ())
    ]


async def _present(api: Graph, video: str) -> set[str]:
    """The locales of the captions that are there, but for those that Facebook itself made."""
    doing = f"listing the captions of the video {video}"
    try:
        rows = api.listed(f"{video}/captions", doing=doing, fields="locale,is_auto_generated", most=200)
        return {str(row.get("locale")) async for row in rows if not row.get("is_auto_generated")}
    except GraphError as error:
        raise api.fault(error, doing) from error


async def _send(api: Graph, video: str, name: str, content: bytes) -> None:
    doing = f"sending the captions {name} of the video {video}"
    try:
        await api.send_file(f"{video}/captions", name, content, field="captions_file", doing=doing)
    except GraphError as error:
        if error.code == _INVALID and not error.absent:
            raise Refused(
                f"Facebook does not accept the captions {name} of the video {video} ({error.summary}): correct locales of"
                " the publisher, or look at the file; then retry.",
                code=FaultCode.REJECTED,
            ) from error
        raise api.fault(error, doing) from error


async def _delete(api: Graph, video: str, locales: list[str]) -> None:
    if not locales:
        return
    doing = f"deleting captions of the video {video}"
    try:
        await api.change("POST", f"{video}/captions", doing=doing, locales_to_delete=json.dumps(locales))
    except GraphError as error:
        if not error.absent:
            raise api.fault(error, doing) from error
