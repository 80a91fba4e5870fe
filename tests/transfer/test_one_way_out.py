"""No module of vidd opens a connection past the place that knows the proxies."""

import ast
from pathlib import Path

import vidd
from vidd.pipelines.registry import account_module, kinds
from vidd.settings.proxied import ProxiedAccount

ROOT = Path(vidd.__file__).parent
OPENERS = {
    "ClientSession": {"transfer/http.py"},
    "TCPConnector": set(),
    "UnixConnector": {"transfer/http.py"},
    "open_connection": {"transfer/tunnel.py"},
    "create_connection": set(),
    "SMTP": {"integrations/mail/connection.py"},
    "ws_connect": {"integrations/graphql_cms/websocket.py"},
    "AioConfig": {"integrations/aws/account.py"},
    "AIOHTTPTransport": set(),
    "WebsocketsTransport": set(),
    "urlopen": set(),
}
LIBRARIES = {"httpx", "requests", "urllib3", "smtplib", "httplib2", "http.client", "ftplib", "websockets", "paramiko"}
# pymongo knows no HTTP proxy.
DIRECT = {"mongodb", "secret"}


def test_connections_are_opened_in_one_place_each():
    found = {name: set() for name in OPENERS}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in found:
                    found[name].add(str(path.relative_to(ROOT)))
    assert found == OPENERS


def test_no_module_brings_an_http_or_mail_client_of_its_own():
    imported = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                if name in LIBRARIES or name.partition(".")[0] in LIBRARIES:
                    imported[name] = str(path.relative_to(ROOT))
    assert imported == {}


def test_every_account_that_connects_has_the_option_and_says_where_to():
    for kind in set(kinds("accounts")) - DIRECT:
        model = account_module(kind).Account
        assert issubclass(model, ProxiedAccount), f"{kind}: derive its Account from ProxiedAccount"
        assert model.targets is not ProxiedAccount.targets, f"{kind}: its Account names no targets"
