"""Signing in at Google: the double is certified by Google's own client, then vidd's client meets it."""

import asyncio
import json

import google_auth_httplib2
import httplib2
import pytest
from builders.engine import HeldClock
from builders.google import signed_in
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from peers.certificates import make_certificate
from peers.oauth import CLIENT_ID, CLIENT_SECRET, FORCE_SSL, SHEETS, YOUTUBE, OAuth, OAuthService
from pydantic import ValidationError

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.google.account import GoogleAccount
from vidd.integrations.google.api import Call, google
from vidd.integrations.google.auth import TokenCache, Tokens
from vidd.integrations.google.errors import QuotaExceeded, RequestRejected
from vidd.ports import Encoder, Tools


class Clock(HeldClock):
    """Stands still, and sleeps at once; `slept` are the waits. `tools` are those of a daemon with this clock."""

    def __init__(self):
        super().__init__()
        self.slept = []
        self.tools = Tools(None, Encoder("ffmpeg"), self)

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(certificate, clock):
    made = OAuthService()
    made.oauth.now = lambda: clock.now().timestamp()
    with made.serving(certificate):
        yield made


def robot(service, certificate, **changes):
    key = service.oauth.add_service_account(f"{service.url}/token")
    return GoogleAccount(service_account=key, ca=certificate.file, **changes)


def tokens(account, clock, *scopes):
    return Tokens("channel", account, scopes or (YOUTUBE,), clock, clock.tools.shared.get(TokenCache))


@pytest.fixture
def transport(certificate):
    http = httplib2.Http(ca_certs=str(certificate.file))
    yield google_auth_httplib2.Request(http)
    http.close()


@pytest.mark.slow
def test_googles_own_client_is_given_tokens_by_both_ways_and_refused_after_a_revocation(certificate, transport):
    service = OAuthService()  # Google's client has only the real time
    with service.serving(certificate):
        url = f"{service.url}/token"
        refresh = service.oauth.sign_in()
        person = Credentials(None, refresh, token_uri=url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        person.refresh(transport)
        assert service.oauth.valid(person.token, YOUTUBE)
        assert not service.oauth.valid(person.token, SHEETS)
        key = json.loads(service.oauth.add_service_account(url))
        machine = service_account.Credentials.from_service_account_info(key, scopes=[SHEETS])
        machine.refresh(transport)
        assert service.oauth.valid(machine.token, SHEETS)
        service.oauth.revoke(refresh)
        with pytest.raises(RefreshError, match="invalid_grant"):
            person.refresh(transport)
        assert not service.oauth.valid(person.token, YOUTUBE)
        other = OAuth()
        key["private_key"] = json.loads(other.add_service_account(url))["private_key"]
        with pytest.raises(RefreshError, match="invalid_grant"):
            service_account.Credentials.from_service_account_info(key, scopes=[SHEETS]).refresh(transport)
        assert service.oauth.refused == ["invalid_grant", "invalid_grant"]


async def test_ten_who_ask_at_once_share_one_token_and_it_is_renewed_a_minute_before_its_end(
    service, certificate, clock
):
    account = signed_in(service, certificate)
    given = await asyncio.gather(*(tokens(account, clock).token() for _ in range(10)))
    assert len(set(given)) == len(service.oauth.given) == 1
    assert service.oauth.valid(given[0], FORCE_SSL)
    clock.forward(3600 - 61)
    assert await tokens(account, clock).token() == given[0]
    clock.forward(2)
    assert await tokens(account, clock).token() != given[0]
    assert len(service.oauth.given) == 2


async def test_accounts_and_scopes_have_tokens_of_their_own(service, certificate, clock):
    first, second = signed_in(service, certificate), signed_in(service, certificate)
    assert len({await tokens(first, clock).token(), await tokens(second, clock).token()}) == 2
    await tokens(first, clock, FORCE_SSL).token()
    assert len(service.oauth.given) == 3


async def test_one_who_is_cancelled_leaves_the_token_to_the_others(service, certificate, clock):
    account = signed_in(service, certificate)
    first, second = (asyncio.create_task(tokens(account, clock).token()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert service.oauth.valid(await second, YOUTUBE)
    assert len(service.oauth.given) == 1


@pytest.mark.slow
async def test_a_service_account_signs_for_its_scopes(service, certificate, clock):
    account = robot(service, certificate)
    assert service.oauth.valid(await tokens(account, clock, SHEETS).token(), SHEETS)
    with pytest.raises(Refused, match="unauthorized_client"):
        await tokens(account, clock, YOUTUBE).token()


@pytest.mark.slow
async def test_a_revoked_refresh_token_is_refused_by_name_and_without_the_secret(service, certificate, clock):
    refresh = service.oauth.sign_in()
    account = signed_in(service, certificate, refresh_token=refresh)
    service.oauth.revoke(refresh)
    with pytest.raises(Refused) as refused:
        await tokens(account, clock).token()
    assert refused.value.sentence == (
        "The refresh token of the account channel was revoked or expired: "
        "sign in again and put the new one into [accounts.channel]."
    )
    assert refresh not in repr(account) + str(refused.getrepr())
    # Somebody signs in again and the settings are read anew: the refusal is not kept.
    assert await tokens(signed_in(service, certificate), clock).token()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"client_secret": "wrong"}, "client_id and client_secret"), ({"client_id": "wrong"}, "client_id")],
)
async def test_an_unknown_client_is_refused(service, certificate, clock, changes, words):
    with pytest.raises(Refused, match=words):
        await tokens(signed_in(service, certificate, **changes), clock).token()


@pytest.mark.parametrize("key", ["no json", "{}", '{"client_email": "a@b.example", "private_key": "no key"}'])
async def test_a_broken_key_of_a_service_account_is_refused(service, clock, key):
    with pytest.raises(Refused, match="service_account_file"):
        await tokens(GoogleAccount(service_account=key), clock).token()


async def test_a_bad_day_of_the_token_endpoint_is_waited_out_and_then_it_is_again_later(service, certificate, clock):
    account = signed_in(service, certificate)
    service.misstep("POST", "/token", "status", status=503, headers={"Retry-After": "7"})
    service.misstep("POST", "/token", "drop")
    assert await tokens(account, clock).token()
    assert clock.slept[0] == 7
    clock.forward(3600)
    service.misstep("POST", "/token", "status", status=500, times=9)
    with pytest.raises(RetryLater):
        await tokens(account, clock).token()


async def test_a_token_that_is_turned_down_is_renewed_once(service, certificate, clock):
    account = signed_in(service, certificate)
    api = google("channel", account, (YOUTUBE,), clock.tools)
    assert (await api.call(Call("GET", f"{service.url}/who", "asking"))).body["subject"] == "somebody"
    service.oauth.forget()
    assert (await api.call(Call("GET", f"{service.url}/who", "asking"))).body["subject"] == "somebody"
    assert len(service.oauth.given) == 2
    service.misstep("GET", "/who", "status", status=401, times=9)
    with pytest.raises(Refused, match="sign in again"):
        await api.call(Call("GET", f"{service.url}/who", "asking"))
    assert len(service.oauth.given) == 3


def an_error(code, reason=None, **more):
    errors = [{"domain": "youtube", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": "no", "errors": errors, **more}}


@pytest.mark.parametrize(
    ("body", "fate"),
    [
        (an_error(403, "rateLimitExceeded"), RetryLater),
        (an_error(403, "userRateLimitExceeded"), RetryLater),
        (an_error(403, "quotaExceeded"), QuotaExceeded),
        (an_error(403, "dailyLimitExceeded"), QuotaExceeded),
        (an_error(429, status="RESOURCE_EXHAUSTED"), RetryLater),
        (an_error(403, "forbidden"), RequestRejected),
        (an_error(404, "playlistNotFound"), RequestRejected),
        (an_error(400, "invalidTitle"), RequestRejected),
        ({"error": "text"}, RequestRejected),
        (an_error(503), RetryLater),
    ],
)
async def test_each_answer_has_its_fate(service, certificate, clock, body, fate):
    status = body["error"]["code"] if isinstance(body["error"], dict) else 400
    service.misstep("GET", "/who", "status", status=status, body=body, times=9, headers={"Retry-After": "90"})
    api = google("channel", signed_in(service, certificate), (YOUTUBE,), clock.tools)
    with pytest.raises((RetryLater, Refused)) as raised:
        await api.call(Call("GET", f"{service.url}/who", "asking who we are"))
    assert type(raised.value) is fate
    assert "asking who we are" in raised.value.sentence
    if fate is RetryLater:
        assert raised.value.after == 90
    if fate is QuotaExceeded:
        assert not raised.value.counts


@pytest.mark.parametrize("how", [{"action": "drop"}, {"action": "status", "status": 500}, {"action": "hang"}])
async def test_what_may_not_be_repeated_and_got_no_answer_leaves_a_doubt(service, certificate, clock, how):
    service.misstep("POST", "/who", after=True, **how)
    account = signed_in(service, certificate, read_timeout=2)
    api = google("channel", account, (YOUTUBE,), clock.tools)
    with pytest.raises(OutcomeUnknown):
        await api.call(Call("POST", f"{service.url}/who", "making it", body={}, repeatable=False))
    assert len(service.called("POST", "/who")) == 1
    assert (await api.call(Call("POST", f"{service.url}/who", "making it", body={}))).status == 200


async def test_what_may_be_repeated_shares_a_connection_and_all_else_has_one_of_its_own(service, certificate, clock):
    url = f"{service.url}/who"

    async def stream():
        yield b"{}"

    async with google("channel", signed_in(service, certificate), (YOUTUBE,), clock.tools).connected() as api:
        await api.call(Call("GET", url, "asking"))
        await api.call(Call("POST", url, "asking", body={}))
        await api.call(Call("POST", url, "making it", body={}, repeatable=False))
        await api.exchange(Call("POST", url, "sending it", data=stream()))
        await api.call(Call("GET", url, "asking"))
    first, second, single, streamed, last = [call.line for call in service.calls if call.path == "/who"]
    assert first == second == last
    assert len({first, single, streamed}) == 3


async def test_a_connection_that_was_left_idle_and_closed_costs_nothing(service, certificate, clock):
    url = f"{service.url}/who"
    async with google("channel", signed_in(service, certificate), (YOUTUBE,), clock.tools).connected() as api:
        await api.call(Call("POST", url, "asking", body={}))
        service.misstep("POST", "/who", "drop")
        assert (await api.call(Call("POST", url, "asking", body={}))).status == 200
    first, lost, third = [call.line for call in service.called("POST", "/who")]
    assert first == lost != third


async def test_a_server_that_was_never_reached_leaves_no_doubt(service, certificate, clock):
    account = signed_in(service, certificate)
    api = google("channel", account, (YOUTUBE,), clock.tools)
    with pytest.raises(RetryLater, match="cannot reach the server"):
        await api.call(Call("POST", "https://127.0.0.1:9/who", "making it", body={}, repeatable=False))


async def test_a_certificate_that_is_not_trusted_is_refused(service, certificate, clock):
    account = signed_in(service, certificate, ca=None)
    with pytest.raises(Refused, match="certificate"):
        await tokens(account, clock).token()
    with pytest.raises(Refused, match="`ca`"):
        await tokens(signed_in(service, certificate, ca="/nonexistent"), clock).token()


@pytest.mark.parametrize(
    "given",
    [{}, {"client_id": "a"}, {"service_account": "{}", "refresh_token": "b"}],
)
def test_an_account_signs_in_by_one_way(given):
    with pytest.raises(ValidationError, match="give"):
        GoogleAccount(**given)


async def test_a_daemon_that_ends_leaves_no_request_for_a_token_behind(service, certificate, clock):
    service.misstep("POST", "/token", "hang")
    asking = asyncio.create_task(tokens(signed_in(service, certificate), clock).token())
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "token of channel"]
    await clock.tools.shared.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "token of channel"]
