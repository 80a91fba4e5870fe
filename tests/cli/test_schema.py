import json
import tomllib
from datetime import datetime
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.pipelines.json_schema import settings_schema

ROOT = Path(__file__).parents[2]
SETTINGS = [ROOT / "etc/vidd.toml", *sorted((ROOT / "etc/examples").glob("*.toml"))]
SCHEMA = settings_schema()


def as_json(value):
    """TOML's times as JSON has them."""
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


def faults(text):
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(as_json(tomllib.loads(text)))
    return {".".join(map(str, error.path)): error.message for error in found}


def test_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    used = {part.partition('"')[0] for part in json.dumps(SCHEMA).split('"$ref": "#/definitions/')[1:]}
    assert used == set(SCHEMA["definitions"])


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.name)
def test_the_settings_that_come_with_vidd_fit_it(path):
    assert faults(path.read_text()) == {}


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("[deamon]", "", "'deamon' was unexpected"),
        ("[limits]\ngpus = 0", "limits.gpus", "less than the minimum"),
        ("[limits]\nencodes = 0", "limits.encodes", "0 is not valid under any of the given schemas"),
        ('[daemon]\ngrace = "a while"', "daemon.grace", "'a while' is not valid under any of the given schemas"),
        ('[sources.in]\nkind = "folder"\npath = "in"\npfad = "x"', "sources.in", "'pfad' was unexpected"),
        ('[sources.in]\nkind = "folder"', "sources.in", "'path' is a required property"),
        ('[sources.in]\nkind = "dropbox"', "sources.in.kind", "'dropbox' is not one of"),
        ('[sources.in]\npath = "in"', "sources.in", "'kind' is a required property"),
        ('[accounts.a]\nkind = "s3"\nsecret_kye_file = "x"', "accounts.a", "'secret_kye_file' was unexpected"),
        ('[[pipelines.p.notify]]\nkind = "mail"\nrequired = "no"', "pipelines.p.notify.0.required", "not of type 'boolean'"),
        ('[[pipelines.p.steps]]\nkind = "trim"\nfade = true', "pipelines.p.steps.0.fade", "is not valid under any"),
    ],
)  # fmt: skip
def test_a_slip_is_found_where_it_is(text, where, message):
    found = faults(text)
    assert list(found) == [where]
    assert message in found[where]


def test_secrets_may_come_from_elsewhere_and_labels_and_checks_are_known():
    text = """
        [accounts.library]
        kind = "s3"
        secret_key_file = "key"
        [accounts.page]
        kind = "facebook"
        [[pipelines.p.steps]]
        kind = "trim"
        label = "cut"
        check = { frozen = "hold" }
        [[pipelines.p.publish]]
        kind = "s3"
        account = "library"
        label = "files"
        required = false
        """
    assert faults(text) == {}


def test_the_file_for_editors_is_what_vidd_schema_prints():
    printed = CliRunner().invoke(app, ["schema"]).stdout
    assert json.loads(printed) == json.loads((ROOT / "etc/vidd.schema.json").read_text()), (
        "run: vidd schema > etc/vidd.schema.json"
    )
