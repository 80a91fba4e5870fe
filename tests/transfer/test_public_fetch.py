"""What strangers' addresses lead to is fetched from the public Internet, and never from within the house."""

import asyncio
import gzip
import socket
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
from aiohttp import web
from pydantic import SecretStr

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.transfer.public_fetch import is_allowed, public_web

INSIDE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "100.64.0.1", "169.254.169.254", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1", "2001::1",
    "4000::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:7f00:1", "64:ff9b::7f00:1",
    "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:c0a8:101::1",
]  # fmt: skip
PUBLIC = [
    "93.184.216.34",
    "172.32.0.1",
    "2606:2800:220::1",
    "::ffff:93.184.216.34",
    "64:ff9b::5db8:d822",
    "2002:5db8:d822::",
]
LITERALS = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "0", "0.0.0.0",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::127.0.0.1]", "[fe80::1%25lo]",
    "localhost", "LOCALHOST", "localhost.", "here.localhost", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
    "169.254.169.254", "10.0.0.1",
]  # fmt: skip


class Site:
    """A server on loopback; it answers a path with what `pages` has: bytes, a status with headers, or a function."""

    def __init__(self):
        self.pages, self.asked, self.headers, self.port = {}, [], [], 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request):
        # A proxy is asked with the whole address.
        asked = str(request.url) if request.url.host != "127.0.0.1" else request.path
        self.asked.append(asked)
        self.headers.append(request.headers)
        page = self.pages.get(asked, (404, {}))
        if callable(page):
            return await page(request)
        if isinstance(page, bytes):
            return web.Response(body=page)
        return web.Response(status=page[0], headers=page[1])


@asynccontextmanager
async def serving():
    site = Site()
    runner = web.ServerRunner(web.Server(site.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        site.port = runner.addresses[0][1]
        yield site
    finally:
        await runner.cleanup()


@pytest.fixture
async def site():
    async with serving() as site:
        yield site


@pytest.fixture
def names(monkeypatch):
    """The addresses that names lead to, one list for each look-up; the last stays."""
    known, real = {}, socket.getaddrinfo

    def look_up(host, port, *how, **more):
        if host not in known:
            return real(host, port, *how, **more)
        if not known[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [entry for address in found for entry in real(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


async def fetch(url, **how):
    async with public_web(**how) as public:
        return await public.fetch(url)


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_the_house_are_not_public(address):
    assert not is_allowed(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed_in_every_form(address):
    assert is_allowed(ip_address(address))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"]
)
def test_a_lab_may_fetch_from_its_own_addresses(address):
    assert is_allowed(ip_address(address), private=True)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "0.0.0.0", "224.0.0.1", "240.0.0.1", "fe80::1", "::", "ff02::1", "64:ff9b::a9fe:a9fe"],
)
def test_not_even_a_lab_fetches_from_link_local_and_reserved_addresses(address):
    assert not is_allowed(ip_address(address), private=True)


@pytest.mark.parametrize("host", LITERALS)
async def test_an_address_of_the_house_is_refused_in_every_form(site, host):
    with pytest.raises(Refused) as refused:
        await fetch(f"http://{host}:{site.port}/a.png")
    assert refused.value.code in {FaultCode.FORBIDDEN, FaultCode.BAD_INPUT}
    assert site.asked == []


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "::1"], ["10.255.255.1", "127.0.0.1"]])
async def test_a_name_that_leads_into_the_house_is_refused(site, names, addresses):
    names["pictures.example"] = [addresses]
    with pytest.raises(Refused, match="leads to an address of this host") as refused:
        await fetch(f"http://pictures.example:{site.port}/a.png")
    assert refused.value.code is FaultCode.FORBIDDEN
    assert site.asked == []


async def test_a_name_that_changes_its_address_gains_nothing(site, names):
    url = f"http://pictures.example:{site.port}"
    site.pages |= {f"{url}/{name}": (404, {"Connection": "close"}) for name in "ab"}
    names["pictures.example"] = [["127.0.0.1"], ["169.254.169.254"]]
    async with public_web(private=True) as public:
        for path in "ab":
            # The connection is to what was looked up and judged.
            with pytest.raises(Refused, match="answered 404"):
                await public.fetch(f"{url}/{path}")
        public._web.connector.clear_dns_cache()
        with pytest.raises(Refused, match="leads to an address of this host"):
            await public.fetch(f"{url}/c")
    assert site.asked == [f"{url}/a", f"{url}/b"]
    assert names["pictures.example"] == [["169.254.169.254"]]


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data/", "http://[fe80::1%25lo]/", "http://0/", "//224.0.0.1/a.png"],
)
async def test_a_redirect_to_where_nobody_may_fetch_is_refused(site, target):
    site.pages["/a.png"] = (302, {"Location": target})
    with pytest.raises(Refused):
        await fetch(f"{site.url}/a.png", private=True)
    assert site.asked == ["/a.png"]


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://example.org/a",
        "gopher://127.0.0.1/",
        "data:image/png;base64,AA",
        "http://[::1",
        "javascript:1",
    ],
)
async def test_a_redirect_to_what_is_no_http_is_refused(site, target):
    site.pages["/a.png"] = (301, {"Location": target})
    with pytest.raises(Refused, match="redirects to no http or https address"):
        await fetch(f"{site.url}/a.png", private=True)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "",
        "a.png",
        "//example.org/a.png",
        "ftp://example.org/",
        "http://",
        "data:,a",
        "http://:80/",
        "http://a:99999/",
    ],
)
async def test_what_is_no_address_of_the_web_is_refused(url):
    with pytest.raises(Refused):
        await fetch(url, private=True)


async def test_five_redirects_are_followed_and_six_are_not(site):
    for number in range(6):
        site.pages[f"/{number}"] = (307, {"Location": f"/{number + 1}"})
    site.pages["/6"] = b"there"
    fetched = await fetch(f"{site.url}/1", private=True)
    assert (fetched.body, fetched.url) == (b"there", f"{site.url}/6")
    with pytest.raises(Refused, match="redirects more than 5 times"):
        await fetch(f"{site.url}/0", private=True)


async def test_headers_of_the_caller_and_cookies_stay_with_their_host(site):
    async with serving() as other:
        site.pages["/a"] = (302, {"Location": f"{other.url}/a", "Set-Cookie": "a=1"})
        other.pages["/a"] = b"there"
        async with public_web(private=True) as public:
            await public.fetch(f"http://user:secret@127.0.0.1:{site.port}/a", {"If-None-Match": '"1"'})
            await public.fetch(f"{site.url}/a")
        assert site.headers[0]["If-None-Match"] == '"1"'
        assert "If-None-Match" not in other.headers[0]
        assert [
            name
            for headers in (*site.headers, *other.headers)
            for name in ("Cookie", "Authorization", "Referer")
            if name in headers
        ] == []


async def test_too_many_bytes_end_the_fetch_whatever_the_length_says(site):
    sent = 0

    async def endless(request):
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(400):
            await answer.write(bytes(2**16))
            sent += 2**16
        return answer

    site.pages["/a"] = endless
    with pytest.raises(Refused, match="It has more than 1 MiB"):
        await fetch(f"{site.url}/a", private=True, largest=2**20)
    assert sent < 20 * 2**20


async def test_a_body_that_unpacks_into_more_is_refused(site):
    async def packed(_request):
        return web.Response(body=gzip.compress(bytes(2**24)), headers={"Content-Encoding": "gzip"})

    site.pages["/a"] = packed
    with pytest.raises(Refused, match="compressed"):
        await fetch(f"{site.url}/a", private=True)


async def test_a_server_that_drips_is_given_up(site):
    async def drip(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"a")
            await asyncio.sleep(0.02)

    site.pages["/a"] = drip
    with pytest.raises(RetryLater, match=r"127\.0\.0\.1 took longer than 0\.3 s") as later:
        await fetch(f"{site.url}/a", private=True, seconds=0.3)
    assert later.value.code is FaultCode.UNREACHABLE


@pytest.mark.parametrize(
    ("status", "fate", "code"),
    [
        (404, Refused, FaultCode.NOT_FOUND), (410, Refused, FaultCode.NOT_FOUND), (401, Refused, FaultCode.UNAUTHORIZED),
        (403, Refused, FaultCode.FORBIDDEN), (204, Refused, FaultCode.REJECTED), (429, RetryLater, FaultCode.RATE_LIMITED),
        (503, RetryLater, FaultCode.UNAVAILABLE),
    ],
)  # fmt: skip
async def test_a_status_has_its_fate(site, status, fate, code):
    site.pages["/a"] = (status, {})
    with pytest.raises(fate, match=rf"^127\.0\.0\.1 answered {status}\.$") as fault:
        await fetch(f"{site.url}/a", private=True)
    assert fault.value.code is code


async def test_nothing_there_to_connect_to_is_tried_later(site, names):
    names["gone.example"] = []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://gone.example/"):
        with pytest.raises(RetryLater, match="cannot be reached"):
            await fetch(url, private=True)


async def test_behind_a_proxy_the_proxy_looks_names_up_and_addresses_of_the_house_are_refused(site):
    site.pages["http://pictures.example/a.png"] = b"a"
    site.pages["http://pictures.example/b.png"] = (302, {"Location": f"http://127.0.0.1:{site.port}/secret"})
    site.pages["/secret"] = b"secret"
    proxy = SecretStr(site.url)
    assert (await fetch("http://pictures.example/a.png", proxy=proxy)).body == b"a"
    with pytest.raises(Refused, match="leads to an address of this host"):
        await fetch("http://pictures.example/b.png", proxy=proxy)
    for host in ("2130706433", "[::1]", "169.254.169.254", "localhost"):
        with pytest.raises(Refused):
            await fetch(f"http://{host}/secret", proxy=proxy)
    assert site.asked == ["http://pictures.example/a.png", "http://pictures.example/b.png"]
