import asyncio
import re
from datetime import timedelta
from http.cookies import SimpleCookie

import aiohttp
import pytest
from builders.web import NOON, TOKEN, FakeControl, a_job, open_port
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.errors import RetryLater
from vidd.model.job import State
from vidd.web.problem import Problem
from vidd.web.session import Sessions, WrongTokens

HTML = {"Accept": "text/html"}


class Browser:
    """Sends what a browser sends: its cookies, and where a request comes from."""

    def __init__(self, url):
        self.url, self.cookies = url, {}

    async def ask(self, method, path, *, site="same-origin", form=None, **headers):
        sent = {"Sec-Fetch-Site": site, **HTML, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(method, self.url + path, data=form, headers=sent, allow_redirects=False) as response,
        ):
            for line in response.headers.getall("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
                    if morsel["max-age"] == "0":
                        del self.cookies[name]
            return response, await response.text()

    async def sign_in(self, token=TOKEN, **form):
        return await self.ask("POST", "/sign-in", form={"token": token, **form})


async def csrf_for(app_sessions, browser):
    (session_id,) = browser.cookies.values()
    return (await app_sessions.find(session_id)).csrf


@pytest.fixture
def control():
    return FakeControl()


@pytest.fixture
async def port(control):
    async with open_port(control) as (port, url):
        port.url = url
        yield port


def sessions_of(control, tokens=(TOKEN,)):
    return Sessions(control.store, control.clock, tokens)


async def signed_in(port, control):
    browser = Browser(port.url)
    await browser.sign_in()
    return browser, await csrf_for(sessions_of(control), browser)


async def test_a_token_opens_a_session_in_a_cookie_that_no_script_and_no_other_site_gets(port):
    response, _ = await Browser(port.url).sign_in(next="/jobs?state=held")
    assert (response.status, response.headers["Location"]) == (303, "/jobs?state=held")
    (morsel,) = SimpleCookie(response.headers["Set-Cookie"]).values()
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "Strict"
    assert morsel["path"] == "/"
    assert morsel["max-age"] == str(7 * 24 * 3600)
    assert not morsel["secure"]
    assert TOKEN not in response.headers["Set-Cookie"]


async def test_over_https_the_cookie_goes_nowhere_else(port):
    browser = Browser(port.url)
    response, _ = await browser.ask("POST", "/sign-in", form={"token": TOKEN}, X_Forwarded_Proto="https")
    assert response.headers["Set-Cookie"].startswith("__Host-vidd_session")
    assert "Secure" in response.headers["Set-Cookie"]


@pytest.mark.parametrize("token", ["", "x", TOKEN + "x", TOKEN[:-1], "ä" * 40])
async def test_a_wrong_token_opens_none_and_the_form_says_so(port, token):
    browser = Browser(port.url)
    response, text = await browser.sign_in(token)
    assert response.status == 403
    assert "That is no token" in text
    assert browser.cookies == {}


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\r\nX: y", "http://[::1"]
)
async def test_signing_in_never_leads_elsewhere(port, target):
    response, _ = await Browser(port.url).sign_in(next=target)
    assert response.headers["Location"] == "/"


async def test_a_session_acts_with_the_token_of_its_pages_in_a_form_or_a_header(port, control):
    browser, csrf = await signed_in(port, control)
    assert (await browser.ask("POST", "/api/pause", X_CSRF_Token=csrf))[0].status == 200
    assert control.paused is True
    response, _ = await browser.ask("POST", "/sign-out", form={"csrf": csrf})
    assert (response.status, response.headers["Location"], browser.cookies) == (303, "/", {})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_a_form_that_another_site_sends_does_nothing(port, control, site):
    browser, csrf = await signed_in(port, control)
    assert (await browser.ask("POST", "/api/pause", site=site, X_CSRF_Token=csrf))[0].status == 403
    assert (await browser.ask("POST", "/sign-in", site=site, form={"token": TOKEN}))[0].status == 403
    assert control.paused is False


@pytest.mark.parametrize("headers", [{}, {"X_CSRF_Token": "guess"}, {"X_CSRF_Token": "ä"}])
async def test_a_request_without_the_token_of_its_pages_does_nothing(port, control, headers):
    browser, _ = await signed_in(port, control)
    response, text = await browser.ask("POST", "/api/pause", **headers)
    assert response.status == 403
    assert "load the page again" in text
    assert control.paused is False


@pytest.mark.parametrize(
    ("origin", "status"), [("{url}", 200), ("http://evil.example", 403), ("null", 403), ("http://[", 403)]
)
async def test_a_browser_that_only_names_the_origin_is_held_to_it(port, control, origin, status):
    browser, csrf = await signed_in(port, control)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        (name, value), headers = *browser.cookies.items(), {"X-CSRF-Token": csrf, "Origin": origin.format(url=port.url)}
        async with session.post(f"{port.url}/api/pause", headers={**headers, "Cookie": f"{name}={value}"}) as response:
            assert response.status == status


async def test_a_session_ends_by_signing_out_after_a_week_or_with_its_token(port, control):
    browser, csrf = await signed_in(port, control)
    (session_id,) = browser.cookies.values()
    assert await sessions_of(control).find(session_id) is not None
    assert await sessions_of(control, ["another-token-of-32-characters!!"]).find(session_id) is None
    control.clock.time = NOON + timedelta(days=7)
    assert await sessions_of(control).find(session_id) is None
    control.clock.time = NOON
    await browser.ask("POST", "/sign-out", form={"csrf": csrf})
    assert await sessions_of(control).find(session_id) is None


async def test_a_session_outlives_a_restart_and_the_store_knows_no_secret_of_it(control):
    async with open_port(control) as (port, url):
        port.url = url
        browser, _ = await signed_in(port, control)
    (session_id,) = browser.cookies.values()
    stored = str(await control.store.recall("page:sessions"))
    assert session_id not in stored
    assert TOKEN not in stored
    async with open_port(control, listen=f"127.0.0.1:{url.rpartition(':')[2]}"):
        response, _ = await browser.ask("GET", "/sign-in?next=/jobs")
        assert (response.status, response.headers["Location"]) == (303, "/jobs")


async def test_while_the_store_is_away_a_browser_with_a_session_still_reads_health_and_nothing_else(control):
    async with open_port(control) as (port, url):
        port.url = url
        browser, _ = await signed_in(port, control)

    async def away(*_):
        raise RetryLater("MongoDB is away.")

    control.store.trouble, control.store.recall = "MongoDB is away.", away
    async with open_port(control, listen=f"127.0.0.1:{url.rpartition(':')[2]}"):
        statuses = [(await browser.ask("GET", path))[0].status for path in ("/livez", "/health", "/api/jobs")]
    assert statuses == [200, 200, 503]


async def test_of_too_many_sessions_the_oldest_end(control):
    sessions = sessions_of(control)
    first = await sessions.open_by_token(TOKEN)
    for _ in range(1000):
        control.clock.time += timedelta(seconds=1)
        last = await sessions.open_by_token(TOKEN)
    assert await sessions.find(first.id) is None
    assert await sessions.find(last.id) is not None
    assert len(await control.store.recall("page:sessions")) == 1000


async def test_where_others_can_reach_it_a_browser_is_sent_to_sign_in_and_reads_then(control):
    control.store.put(a_job(State.READY))
    async with open_port(control, listen="0.0.0.0:0") as (_, url):
        browser = Browser(url)
        response, _ = await browser.ask("GET", "/api/jobs?state=ready&x=%26")
        assert response.status == 303
        assert response.headers["Location"] == "/sign-in?next=/api/jobs?state%3Dready%26x%3D%2526"
        await browser.sign_in()
        assert (await browser.ask("GET", "/api/jobs"))[0].status == 200
        assert (await browser.ask("GET", "/api/jobs", Accept="application/json"))[0].status == 200


async def test_a_link_of_the_socket_signs_in_once_where_there_is_no_token(control):
    async with open_port(control, tokens=()) as (port, url):
        browser = Browser(url)
        assert "vidd page" in (await browser.ask("GET", "/sign-in"))[1]
        assert (await browser.ask("POST", "/api/sign-in-links"))[0].status == 403
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(port.path))) as session,
            session.post("http://x/api/sign-in-links") as response,
        ):
            link = await response.json()
        assert link["origin"] == url
        _, text = await browser.ask("GET", link["path"], site="none")
        _, again = await browser.ask("GET", link["path"], site="none")
        assert text == again
        code = re.search(r'name="code" value="([^"]+)"', text)[1]
        response, _ = await browser.ask("POST", "/sign-in", form={"code": code, "next": "/"})
        assert response.status == 303
        csrf = await csrf_for(sessions_of(control, ()), browser)
        assert (await browser.ask("POST", "/api/pause", X_CSRF_Token=csrf))[0].status == 200
        response, text = await Browser(url).ask("POST", "/sign-in", form={"code": code})
        assert response.status == 403
        assert "used already" in text


async def test_vidd_page_prints_such_a_link(port):
    found = await asyncio.to_thread(CliRunner().invoke, app, ["page", "--state-dir", str(port.path.parent)])
    assert found.stdout.startswith(f"{port.url}/sign-in?code=")
    assert (await Browser(port.url).ask("GET", found.stdout.strip().removeprefix(port.url)))[0].status == 200


async def test_a_link_lasts_five_minutes(control):
    sessions = sessions_of(control, ())
    codes = [sessions.make_link()[0] for _ in range(2)]
    control.clock.time += timedelta(minutes=5, seconds=-1)
    assert await sessions.open_by_link(codes[0]) is not None
    control.clock.time += timedelta(seconds=1)
    assert await sessions.open_by_link(codes[1]) is None


async def test_links_that_nobody_uses_do_not_pile_up(control):
    sessions = sessions_of(control, ())
    codes = [sessions.make_link()[0] for _ in range(101)]
    assert await sessions.open_by_link(codes[0]) is None
    assert await sessions.open_by_link(codes[-1]) is not None


async def test_a_link_of_another_site_is_loaded_once_more_with_the_cookie(port):
    _, text = await Browser(port.url).ask("GET", '/?q="><script>', site="cross-site")
    assert 'content="0; url=/?q=' in text
    assert "<script>" not in text


async def test_after_five_wrong_tokens_an_address_waits_and_the_right_one_waits_too(port):
    for _ in range(5):
        assert (await Browser(port.url).sign_in("x"))[0].status == 403
    response, text = await Browser(port.url).sign_in()
    assert response.status == 429
    assert response.headers["Retry-After"] == "1"
    assert "try again in 1 s" in text


def test_the_wait_doubles_up_to_a_minute_and_ends():
    now = [0.0]
    wrong, waits = WrongTokens(monotonic=lambda: now[0]), []
    for _ in range(14):
        wrong.count("10.0.0.1")
        try:
            wrong.check("10.0.0.1")
        except Problem as problem:
            waits.append(int(problem.headers["Retry-After"]))
            now[0] += waits[-1]
    assert waits == [2, 3, 5, 9, 17, 33, 61, 61, 61, 61]
    wrong.check("10.0.0.1")
    wrong.check("10.0.0.2")


def test_hosts_of_one_network_wait_together_and_many_addresses_do_not_pile_up():
    wrong = WrongTokens(monotonic=lambda: 0.0)
    for host in range(5):
        wrong.count(f"2001:db8::{host}")
    with pytest.raises(Problem):
        wrong.check("2001:db8::9")
    wrong.check("2001:db8:0:1::9")
    for host in range(2000):
        wrong.count(f"10.0.{host // 256}.{host % 256}")
    assert len(wrong._wrong) == 1000


async def test_no_token_code_or_session_is_logged(port, control, capsys):
    browser, csrf = await signed_in(port, control)
    await Browser(port.url).sign_in("a-wrong-token-that-is-a-secret")
    await asyncio.sleep(0)
    said = "".join(capsys.readouterr())
    for secret in (TOKEN, csrf, "a-wrong-token-that-is-a-secret", *browser.cookies.values()):
        assert secret not in said
