"""The fields that templates name: what is told beforehand is what is there when they are rendered."""

import re
from dataclasses import fields

import pytest
from builders.mail import Sent, artifact, context

from vidd.integrations.aws import s3_publisher, sqs_publisher
from vidd.integrations.aws.account import Account
from vidd.integrations.aws.s3_layout import UploadPlan
from vidd.integrations.facebook.text import make_text
from vidd.integrations.local_folder import publisher as local_folder_publisher
from vidd.integrations.mail import publisher as mail_publisher
from vidd.integrations.notice import NOTICE_FIELDS, notice_of
from vidd.integrations.pcloud import publisher as pcloud_publisher
from vidd.integrations.webhook import publisher as webhook_publisher
from vidd.integrations.youtube import publisher as youtube_publisher
from vidd.model.publication import Receipt
from vidd.model.talk import Talk
from vidd.pipelines.registry import STEPS, module_of
from vidd.settings.template_check import USUAL, templates_in, unknown_in
from vidd.steps import describe

KNOWN = USUAL | {"title", "description"}


def told(template, known=KNOWN, labels=("library", "youtube")):
    return unknown_in(template, known, labels)


@pytest.mark.parametrize(
    "template",
    [
        "{{ title }} {{ talk.title | upper }} {{ talk.facts.anything }} {{ job.created.year }}",
        "{% for one in talk.speakers %}{{ one.mail }}{{ loop.index }}{% endfor %}",
        "{% if subtitle is defined %}{{ subtitle }}{% endif %}",
        "{{ subtitle | default('') }} {{ talk.room | d('x') }}",
        "{% if talk.room is defined %}{{ talk.room }}{% endif %}",
        "{% if talk.room is undefined %}{{ room | d('x') }}{% elif talk.room %}{{ talk.room }}{% else %}{{ talk.room }}{% endif %}",
        "{% if talk.room | default('') %}{{ talk.room }}{% endif %}{{ talk.room if talk.room is defined else '' }}",
        "{{ talk.room is defined and talk.room }} {{ talk.room is undefined or talk.room }}",
        "{% set known = talk.room is defined %}{% if known %}{{ talk.room }}{% endif %}",
        "{% set talk = {'room': 1} %}{{ talk.room }}",
        "{{ talk['title'] }} {{ talk[name] }}",
        "no template",
    ],
)
def test_what_is_there_or_may_be_missing_is_no_slip(template):
    assert told(template) == []


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ titel }}", "the template names an unknown field titel (did you mean title?)"),
        ("{{ zzz }}", f"the template names an unknown field zzz; there are {', '.join(sorted(KNOWN))}"),
        ("{% if zzz %}x{% endif %}", "the template names an unknown field zzz; there are"),
        ("{{ talk.stagee }}", "the template names talk.stagee, which does not exist (did you mean stage?)"),
        ("{{ talk['titel'] }}", "the template names talk.titel, which does not exist"),
        ("{{ job.pipelin }}", "the template names job.pipelin, which does not exist (did you mean pipeline?)"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(template, said):
    (sentence,) = told(template)
    assert sentence.startswith(said)


@pytest.mark.parametrize(
    "template",
    [
        "{{ talk.room }} {{ talk.room | default('') }}",
        "{{ talk.room | d('') }} {{ talk['room'] }}",
        "{{ talk.room | default(talk.hall) | default('') }}",
        "{% set room = talk.room | default('') %}{{ room }} {{ talk.room }}",
        "{% if talk.room is defined %}{{ talk.room }}{% endif %} {{ talk.room }}",
        "{{ talk.room if talk.room is defined else '' }}{% if talk.room %}x{% endif %}",
        "{% for name in talk.room | default([]) %}{{ name }}{% endfor %}{{ talk.room | length }}",
        "{{ hall }} {{ hall | default('') }}",
        "{% if hall is defined %}{{ hall }}{% endif %}{{ hall }}",
    ],
)
def test_a_field_that_may_be_missing_in_one_place_is_told_of_in_another(template):
    (sentence,) = told(template)
    assert re.search(r"(talk\.(room|hall)|field hall\b)", sentence)


def test_an_address_of_a_publisher_that_is_not_in_the_pipeline_is_told():
    (sentence,) = told("{{ urls.yotube }} {{ urls.library }}", KNOWN | {"urls"})
    assert sentence == "the template names urls.yotube, which does not exist (did you mean youtube?)"


def test_where_a_step_does_not_say_what_it_leaves_only_members_are_judged():
    assert told("{{ anything }} {{ talk.title }}", known=None) == []
    assert len(told("{{ anything }} {{ talk.titel }}", known=None)) == 1


def test_templates_are_found_wherever_they_are_in_the_options():
    options = webhook_publisher.Options(
        account="a", headers={"X-Talk": "{{ uuid }}"}, text="{{ title }}", format="slack"
    )
    found = {where: text for where, text, _ in templates_in(options)}
    assert found == {("text",): "{{ title }}", ("headers", "X-Talk"): "{{ uuid }}"}
    found = {where for where, _, _ in templates_in(describe.Options())}
    assert found == {("title",), ("description",), *(("tags", at) for at in range(4))}


# What is told is what is there.


def names_in(options, *path):
    (marked,) = [may.names for where, _, may in templates_in(options) if where == path]
    return sorted(marked | USUAL)


def naming(names):
    return "".join(f"{{{{ {name} | string | length }}}}" for name in names)


@pytest.fixture
def sent(tmp_path):
    talk = artifact(tmp_path, "talk", b"x", "talk.mp4")
    return Sent(tmp_path, kind="any", artifacts={"talk": talk}, receipts={"library": Receipt("https://l")}).context()


def test_a_notice_has_all_that_its_templates_may_name(sent):
    known = notice_of(sent).fields
    assert set(known) >= {*NOTICE_FIELDS, *USUAL}
    assert names_in(sqs_publisher.Options(account="a", queue="q"), "group") == sorted({*NOTICE_FIELDS, *USUAL})


async def test_a_mail_has_all_that_its_templates_may_name(sent):
    names = names_in(mail_publisher.Options(), "subject")
    assert set(names_in(mail_publisher.Options(to=["x"]), "to", 0)) == {*names} - {"recipient"}
    receipt = await mail_publisher.publish(
        mail_publisher.Options(subject=naming(names), text=naming(names), to=["a@x.org"]), sent
    )
    assert receipt.facts["recipients"] == ["a@x.org"]


async def test_a_file_in_a_folder_has_all_that_its_name_may_name(sent, tmp_path):
    names = names_in(local_folder_publisher.Options(path="x"), "name")
    receipt = await local_folder_publisher.publish(
        local_folder_publisher.Options(path=tmp_path / "out", name=naming(names)), sent
    )
    assert receipt.url


async def test_an_object_has_all_that_its_key_may_name(sent):
    options = s3_publisher.Options(account="a", bucket="b", key="x", public_url="x")
    plan = UploadPlan(
        s3_publisher.Options(account="a", bucket="b", key=naming(names_in(options, "key"))), Account(), sent
    )
    (file,) = plan.files
    assert {*file.fields, "bucket", "key"} >= set(names_in(options, "public_url"))


def test_a_file_on_pcloud_has_all_that_its_place_may_name(sent):
    options = pcloud_publisher.Options(account="a", folder="1")
    given = {name: naming(names_in(options, name)) for name in ("folder", "name", "path")}
    assert pcloud_publisher._plan(pcloud_publisher.Options(account="a", **given), sent).files


def test_what_a_source_brought_may_be_named_and_cannot_be_judged():
    assert told("annotations/{{ facts.folder_id }}") == []


def test_videos_have_all_that_their_words_may_name(sent):
    facebook = module_of("publishers", "facebook").Options(account="a")
    for what in ("title", "description"):
        given = {"title": "x", "description": "x", what: naming(names_in(facebook, what))}
        assert make_text(sent, **given, published=True, marker="m", label=True)
    link = naming(names_in(youtube_publisher.Options(account="channel"), "link"))
    assert youtube_publisher.Options(account="channel", link=link).address(sent, "v1")


async def test_describe_has_all_that_its_templates_may_name_and_leaves_what_it_says(tmp_path):
    names = set(names_in(describe.Options(), "description"))
    assert {"title", "speakers"} <= names
    options = describe.Options(description=naming(names), tags=[naming(names)])
    outcome = await describe.run(options, context(tmp_path))
    assert set(outcome.facts) == STEPS["describe"].facts


def test_a_talk_has_the_members_that_are_told():
    (sentence,) = told("{{ talk.zzz }}")
    assert set(re.split(r", ", sentence.partition("there are ")[2])) == {field.name for field in fields(Talk)}


def test_a_template_within_a_table_is_found_once_and_where_it_is():
    program = {"kind": "program", "argv": ["see", "{{ asked }}", "{{ answers }}"]}
    options = module_of("steps", "annotate").Options.model_validate({"versions": {"3": program}})
    places = [where for where, text, _ in templates_in(options) if "asked" in text]
    assert places == [("versions", "3", "argv", 1)]
