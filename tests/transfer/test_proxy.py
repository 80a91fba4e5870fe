"""Which proxy a connection goes through, as the account and the environment say."""

import pytest
from pydantic import SecretStr
from yarl import URL

from vidd.errors import FaultCode, Refused
from vidd.integrations.webhook.account import Account
from vidd.transfer.proxy import parse_proxy, proxy_for

PROXY = "http://proxy.lab:3128"


@pytest.mark.parametrize(
    ("url", "environment", "through"),
    [
        ("https://cms.example/graphql", {}, None),
        ("https://cms.example/graphql", {"https_proxy": PROXY}, PROXY),
        ("https://cms.example/graphql", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://cms.example/graphql", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ("https://cms.example/graphql", {"https_proxy": "", "HTTPS_PROXY": PROXY}, PROXY),
        ("https://cms.example/graphql", {"http_proxy": PROXY}, None),
        ("https://cms.example/graphql", {"ALL_PROXY": PROXY}, PROXY),
        ("https://cms.example/graphql", {"ALL_PROXY": "http://other:1", "HTTPS_PROXY": PROXY}, PROXY),
        ("http://cms.example/graphql", {"http_proxy": PROXY}, PROXY),
        ("http://cms.example/graphql", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://cms.example/graphql", {"https_proxy": PROXY}, None),
        ("http://cms.example/graphql", {"all_proxy": PROXY}, PROXY),
        ("wss://cms.example/graphql", {"https_proxy": PROXY}, PROXY),
        ("wss://cms.example/graphql", {"wss_proxy": PROXY, "https_proxy": "http://other:1"}, PROXY),
        ("ws://cms.example/graphql", {"http_proxy": PROXY}, PROXY),
        ("smtp://mail.example:587", {"smtp_proxy": PROXY, "https_proxy": "http://other:1"}, PROXY),
        ("smtp://mail.example:587", {"all_proxy": PROXY, "https_proxy": "http://other:1"}, PROXY),
        ("smtp://mail.example:587", {"https_proxy": PROXY}, PROXY),
        ("smtps://mail.example:465", {"SMTPS_PROXY": PROXY}, PROXY),
        ("smtps://mail.example:465", {"http_proxy": PROXY}, None),
        ("https://cms.example/", {"https_proxy": "proxy.lab:3128"}, PROXY),
        ("https://cms.example/", {"https_proxy": "http://proxy.lab"}, "http://proxy.lab:1080"),
        ("https://cms.example/", {"https_proxy": "https://proxy.lab/"}, "https://proxy.lab"),
        ("http://localhost:8080/", {"all_proxy": PROXY}, None),
        ("http://api.localhost/", {"all_proxy": PROXY}, None),
        ("http://127.8.9.1/", {"all_proxy": PROXY}, None),
        ("http://[::1]:80/", {"all_proxy": PROXY}, None),
    ],
)
def test_the_environment_names_the_proxy_as_it_does_for_curl(url, environment, through):
    found = proxy_for(URL(url), None, environment)
    assert (found and str(found.url)) == through


@pytest.mark.parametrize(
    ("no_proxy", "url", "excepted"),
    [
        ("*", "https://cms.example/", True),
        ("", "https://cms.example/", False),
        ("cms.example", "https://cms.example/", True),
        ("CMS.Example", "https://cms.example/", True),
        ("cms.example.", "https://cms.example/", True),
        ("example", "https://cms.example/", True),
        (".example", "https://cms.example/", True),
        ("*.example", "https://cms.example/", True),
        ("ms.example", "https://cms.example/", False),
        ("cms.example.org", "https://cms.example/", False),
        ("a.org, b.org cms.example", "https://cms.example/", True),
        ("a.org,,", "https://cms.example/", False),
        ("cms.example:443", "https://cms.example/", True),
        ("cms.example:8443", "https://cms.example/", False),
        ("cms.example:8443", "https://cms.example:8443/", True),
        ("mail.example:587", "smtp://mail.example:587", True),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("10.1.2.3:443", "https://10.1.2.3/", True),
        ("10.1.2.3:80", "https://10.1.2.3/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.1.0.0/24", "https://10.1.2.3/", False),
        ("10.0.0.0/8", "https://cms.example/", False),
        ("2001:db8::/32", "https://[2001:db8::7]/", True),
        ("2001:db8::7", "https://[2001:db8::7]/", True),
        ("[2001:db8::7]:443", "https://[2001:db8::7]/", True),
        ("[2001:db8::7]:80", "https://[2001:db8::7]/", False),
        ("10.0.0.0/99", "https://10.1.2.3/", False),
    ],
)
def test_no_proxy_excepts_hosts_domains_ports_and_networks(no_proxy, url, excepted):
    environment = {"all_proxy": PROXY, "no_proxy": no_proxy}
    assert (proxy_for(URL(url), None, environment) is None) is excepted


def test_no_proxy_in_lower_case_comes_first():
    environment = {"all_proxy": PROXY, "no_proxy": "a.org", "NO_PROXY": "cms.example"}
    assert proxy_for(URL("https://cms.example/"), None, environment) is not None
    assert proxy_for(URL("https://cms.example/"), None, {**environment, "no_proxy": ""}) is None


def test_the_account_wins_over_the_environment():
    environment = {"all_proxy": "http://other:1", "no_proxy": "*"}
    for url in ("https://cms.example/", "http://127.0.0.1:9/", "smtp://mail.example:25"):
        found = proxy_for(URL(url), SecretStr(PROXY), environment)
        assert found is not None
        assert str(found.url) == PROXY
        assert proxy_for(URL(url), SecretStr("none"), {"all_proxy": PROXY}) is None


def test_a_login_is_only_in_the_header():
    found = parse_proxy("http://la%40b:p%3Ass@proxy.lab:3128", "HTTPS_PROXY")
    assert found.headers == {"Proxy-Authorization": "Basic bGFAYjpwOnNz"}
    assert found.name == "http://proxy.lab:3128 of HTTPS_PROXY"
    assert "p:ss" not in repr(found)
    assert "p%3Ass" not in repr(found)


def test_a_proxy_may_have_a_name_beyond_ascii():
    assert parse_proxy("http://über.lab:1", "HTTPS_PROXY").url.raw_host == "xn--ber-goa.lab"


@pytest.mark.parametrize("text", ["", "none", "None", " "])
def test_an_account_may_say_that_there_is_no_proxy(text, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    account = Account(url="https://hooks.example.org/T0/secret", proxy=text)
    assert account.describe_proxies() == "vidd connects to hooks.example.org:443 directly."


@pytest.mark.parametrize("text", ["http://", "socks5://proxy.lab:1", "http://us:secret@:1", "http://us:secret@pro xy", "ftp://a",
                                  "http://us:secret@proxy.lab:port", "http://us:secret@proxy.lab:99999"])  # fmt: skip
def test_an_environment_that_names_no_proxy_is_refused_without_its_login(text):
    with pytest.raises(Refused, match="HTTPS_PROXY") as caught:
        proxy_for(URL("https://cms.example/"), None, {"HTTPS_PROXY": text})
    assert caught.value.code is FaultCode.BAD_SETTINGS
    assert "secret" not in caught.value.sentence
