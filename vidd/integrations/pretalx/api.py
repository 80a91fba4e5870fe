"""pretalx's REST API: one method per request. Lists come in pages of at most 50, by the server's settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vidd.errors import FaultCode, RetryLater
from vidd.integrations.pretalx.errors import PageGone, connection_faults, fault_of_answer
from vidd.integrations.programme.document import bounded
from vidd.integrations.programme.schedule_json import dicts, parse_json
from vidd.transfer.http import retry_after, session, ssl_context

if TYPE_CHECKING:
    import aiohttp

    from vidd.integrations.pretalx.account import Account
    from vidd.ports import Tools

_PAGE = 50
_MOST_PAGES = 400
_READINGS = 3
_EXPANDED = "speakers,slots,slots.room,track,submission_type,tags,resources"


class Pretalx:
    """An event of a pretalx server."""

    def __init__(self, account: Account, event: str, tools: Tools, web: aiohttp.ClientSession) -> None:
        self._account, self._clock, self._web = account, tools.clock, web
        self.event = event
        self.name = f"the event {event!r} of {account.display_url}"
        self._api = f"{account.base}/api/events/{quote(event, safe='')}"

    async def submissions(self, states: Sequence[str]) -> list[dict[str, Any]]:
        """All submissions in one of these states, with speakers, slots, rooms, track, tags and resources in full.

        A list that changes while its pages are read is read anew. Raises RetryLater where it goes on changing.
        """
        for _ in range(_READINGS):
            try:
                found = await self._submissions(states)
            except PageGone:
                continue
            if found is not None:
                return found
        raise RetryLater(
            f"The submissions of {self.name} changed each time while vidd read their pages; vidd will retry.",
            code=FaultCode.CONFLICT,
        )

    async def _submissions(self, states: Sequence[str]) -> list[dict[str, Any]] | None:
        """None where the pages do not fit together: a submission was added, removed, or moved to another page."""
        found: dict[str, dict[str, Any]] = {}
        count, read = None, 0
        for page in range(1, _MOST_PAGES + 1):
            query = [
                *(("state", state) for state in states),
                ("expand", _EXPANDED), ("o", "code"), ("page_size", str(_PAGE)), ("page", str(page)),
            ]  # fmt: skip
            data = await self._ask("GET", "/submissions/", "reading the submissions", query=query, is_page=page > 1)
            results = dicts(data.get("results"))
            read += len(results)
            found.update({str(submission.get("code", "")): submission for submission in results})
            if count not in {None, data.get("count")}:
                return None
            count = data.get("count")
            if not data.get("next"):
                break
        return list(found.values()) if read == len(found) == count else None

    async def count(self) -> int:
        """How many submissions the event has."""
        data = await self._ask("GET", "/submissions/", "counting the submissions", query=[("page_size", "1")])
        return int(data.get("count", 0))

    async def question(self, question: int) -> dict[str, Any]:
        """A question. Raises Refused where it is not there."""
        return await self._ask("GET", f"/questions/{question}/", f"reading the question {question}")

    async def submission(self, code: str) -> dict[str, Any]:
        """A submission with its resources in full. Raises Refused where it is not there."""
        query = [("expand", "resources")]
        return await self._ask("GET", f"/submissions/{quote(code, safe='')}/", f"reading {code}", query=query)

    async def add_resource(self, code: str, link: str, description: str, *, public: bool) -> None:
        """Add a link to a submission. A second one is a second resource: ask before sending again."""
        body = {"link": link, "description": description, "is_public": public}
        path = f"/submissions/{quote(code, safe='')}/resources/"
        await self._ask("POST", path, f"adding the link to {code}", body=body)

    async def remove_resource(self, code: str, resource: int) -> None:
        """Remove a resource of a submission; nothing happens where it is gone."""
        path = f"/submissions/{quote(code, safe='')}/resources/{resource}/"
        await self._ask("DELETE", path, f"removing a link of {code}", gone_is_fine=True)

    async def answer(self, question: int, code: str) -> dict[str, Any] | None:
        """The answer of a submission to a question; None where it has none."""
        query = [("question", str(question)), ("submission", code)]
        data = await self._ask("GET", "/answers/", f"reading the answer of {code} to {question}", query=query)
        return next(iter(dicts(data.get("results"))), None)

    async def add_answer(self, question: int, code: str, text: str) -> None:
        """Answer a question for a submission. pretalx has one answer for each, so a repetition is harmless."""
        body = {"question": question, "submission": code, "answer": text}
        await self._ask("POST", "/answers/", f"answering {question} for {code}", body=body)

    async def change_answer(self, answer: int, text: str) -> None:
        """Change an answer."""
        await self._ask("PATCH", f"/answers/{answer}/", "changing an answer", body={"answer": text})

    async def remove_answer(self, answer: int) -> None:
        """Remove an answer; nothing happens where it is gone."""
        await self._ask("DELETE", f"/answers/{answer}/", "removing an answer", gone_is_fine=True)

    async def _ask(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        is_page: bool = False,
        gone_is_fine: bool = False,
    ) -> dict[str, Any]:
        """Raises PageGone where a further page of a list is not there, else Refused, RetryLater or OutcomeUnknown."""
        sending, doing = method != "GET", f"{doing} ({self.name})"
        headers = {**self._account.headers, "Accept-Encoding": "identity"}
        with connection_faults(doing, sending=sending):
            async with self._web.request(
                method, self._api + path, params=list(query), json=body, headers=headers, allow_redirects=False
            ) as answer:
                content = await bounded(answer)
                after = retry_after(answer.headers.get("Retry-After"), self._clock.now())
        if answer.status == 404 and is_page:
            raise PageGone
        if answer.status == 404 and gone_is_fine:
            return {}
        if not 200 <= answer.status < 300:
            raise fault_of_answer(answer.status, content, doing, after=after, sending=sending)
        data = parse_json(content, f"The answer of pretalx at {doing}") if content else {}
        return data if isinstance(data, dict) else {}


@asynccontextmanager
async def web_session(account: Account, tools: Tools) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the account's server. Raises Refused where the file of certificates cannot be read."""
    ca = None if account.ca is None else tools.path(account.ca)
    trust = True if ca is None else await asyncio.to_thread(ssl_context, ca)
    async with session(account.proxy, connect=account.connect_timeout, idle=account.timeout, trust=trust) as web:
        yield web


@asynccontextmanager
async def pretalx(account: Account, event: str, tools: Tools) -> AsyncIterator[Pretalx]:
    """A connection to an event. Raises Refused as `web_session`."""
    async with web_session(account, tools) as web:
        yield Pretalx(account, event, tools, web)
