"""`vidd accounts facebook`, which works without a daemon."""

import json
import tomllib

import pytest
from peers.certificates import make_certificate
from peers.facebook import Facebook
from typer.testing import CliRunner

from vidd.__main__ import app

USER = "EAAUSERTOKENOFAPERSON"
PAGES = 120


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Facebook()
    for number in range(PAGES):
        service.page(str(1001 + number), f"Stage {number}", f"EAAB-page-token-{1001 + number}-wxyz")
    service.nodes["1003"].name = 'Große "Bühne"'
    service.nodes["1004"].name = "Stage 0"
    service.nodes["1005"].name = "舞台"
    service.user(USER, [str(1001 + number) for number in range(PAGES)])
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    with service.serving(certificate):
        service.ca = certificate.file
        yield service


@pytest.fixture
def settings(service, tmp_path):
    path = tmp_path / "vidd.toml"
    path.write_text(
        f'[accounts.person]\nkind = "facebook"\nurl = "{service.url}"\nca = "{service.ca}"\n'
        f'token = "EAASOMETHINGELSE"\n[accounts.post]\nkind = "smtp"\nhost = "h"\n'
    )
    return path


def run(settings, *words, token=USER, answer=None):
    environment = {"VIDD_FACEBOOK_USER_TOKEN": token} if token else {}
    told = CliRunner().invoke(
        app, ["accounts", "facebook", "--config", str(settings), *words], env=environment, input=answer
    )
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told


def test_all_pages_are_listed_with_masked_tokens(service, settings):
    told = run(settings, "--account", "person")
    assert told.exit_code == 0
    lines = told.stdout.splitlines()[:PAGES]
    assert lines[0].split() == ["1001", "EAAB…wxyz", "Stage", "0"]
    assert lines[-1].split()[0] == str(1000 + PAGES)
    assert "page-token" not in told.output
    assert USER not in told.output
    assert not any(USER in call.path for call in service.calls)


@pytest.mark.slow
def test_tokens_are_shown_whole_only_when_asked_for(settings):
    (first, *_), shown = (
        json.loads(run(settings, "--account", "person", "--json", *more).stdout) for more in ([], ["--reveal"])
    )
    assert first == {"page": "1001", "name": "Stage 0", "token": "EAAB…wxyz", "account": "stage_0"}
    assert shown[0]["token"] == "EAAB-page-token-1001-wxyz"
    assert "EAAB-page-token-1001-wxyz" in run(settings, "--account", "person", "--reveal").stdout


def test_the_settings_it_writes_can_be_read_and_hold_no_token(settings):
    told = run(settings, "--account", "person", "--reveal").stdout
    table = tomllib.loads(told.partition("\n\n")[2])
    assert table["accounts"]["stage_0"] == {"kind": "facebook", "page": "1001"}
    assert table["accounts"]["stage_0_1004"]["page"] == "1004"
    assert table["accounts"]["page_1005"]["page"] == "1005"
    assert len(table["accounts"]) == PAGES
    (publisher,) = table["pipelines"]["talks"]["publish"]
    assert publisher["accounts"]['Große "Bühne"'] == "groe_buhne"
    assert publisher["accounts"]["Stage 0"] == "stage_0"
    assert "page-token" not in told.partition("\n\n")[2]


def test_without_a_variable_the_accounts_own_token_is_used(service, settings):
    told = run(settings, "--account", "person", token=None)
    assert told.exit_code == 1
    assert "does not accept the token of [accounts.person]" in told.stderr
    assert "set VIDD_FACEBOOK_USER_TOKEN to it" in told.stderr
    assert "EAASOMETHINGELSE" not in told.output


def test_a_user_token_that_is_not_accepted_is_not_answered_by_the_advice_to_ask_with_it(settings):
    told = run(settings, "--account", "person", token="EAAEXPIRED")
    assert told.exit_code == 1
    assert "does not accept the user token (190" in told.stderr
    assert "Graph API Explorer" in told.stderr
    assert "vidd accounts facebook" not in told.stderr
    assert "[accounts." not in told.stderr
    assert "EAAEXPIRED" not in told.output


def test_a_user_token_without_the_right_to_list_pages_is_told_which_rights_it_needs(service, settings):
    service.user("EAANORIGHTS", [])
    service.without_rights.add("EAANORIGHTS")
    told = run(settings, "--account", "person", token="EAANORIGHTS")
    assert told.exit_code == 1
    assert "does not let the user token list pages (200" in told.stderr
    assert "Graph API Explorer" in told.stderr


def test_a_pages_own_token_is_named_as_such(service, settings):
    told = run(settings, "--account", "person", token="EAAB-page-token-1001-wxyz")
    assert told.exit_code == 1
    assert "This is a page's own token" in told.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "set VIDD_FACEBOOK_USER_TOKEN"), (("--account", "post"), "no Facebook account 'post'")],
)
def test_what_is_missing_is_said(settings, words, said):
    told = run(settings, *words, token=None)
    assert told.exit_code == 1
    assert said in told.stderr


def test_a_token_is_never_taken_from_the_command_line(settings):
    assert run(settings, "--token", USER).exit_code == 2
