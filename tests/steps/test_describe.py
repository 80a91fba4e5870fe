from dataclasses import replace

import pytest
from builders.mail import TALK, context, job
from pydantic import ValidationError

from vidd.errors import Refused
from vidd.model.talk import Speaker
from vidd.steps import describe


async def run(tmp_path, talk=TALK, name="rec_t-1_000100_000200.mp4", facts=None, **settings):
    outcome = await describe.run(
        describe.Options(**settings), context(tmp_path, talk=talk, job=job(name=name), facts=facts or {})
    )
    assert outcome.artifacts == ()
    return outcome.facts


async def test_a_talk_is_described_by_its_speakers_and_what_they_say(tmp_path):
    facts = await run(tmp_path)
    assert facts == {
        "title": "Loops & more",
        "description": "Ada Lovelace and Alan Turing\n\nHow to go round.",
        "tags": ["Ada Lovelace", "Alan Turing", "Main"],
        "speakers": "Ada Lovelace and Alan Turing",
    }


@pytest.mark.parametrize(
    ("names", "words"),
    [((), ""), (("A",), "A"), (("A", "B"), "A and B"), (("A", "B", "C"), "A, B and C"), (("A", ""), "A")],
)
async def test_speakers_are_named_as_a_sentence_names_them(tmp_path, names, words):
    facts = await run(tmp_path, replace(TALK, speakers=tuple(Speaker(name) for name in names)))
    assert facts["speakers"] == words
    assert facts["description"] == f"{words}\n\nHow to go round.".strip()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("My_first_talk_t-1_000100_000200.mp4", "My first talk"),
        ("holiday clip.v2.mov", "holiday clip.v2"),
        ("_t-1_000100_000200.mp4", "t-1"),
        ("C++_now.mp4", "C++ now"),
        ("___.mp4", "___"),
    ],
)
@pytest.mark.parametrize("talk", [None, replace(TALK, title="  ")])
async def test_without_a_title_the_file_name_speaks(tmp_path, name, title, talk):
    assert (await run(tmp_path, talk, name))["title"] == title


async def test_a_title_is_one_line(tmp_path):
    assert (await run(tmp_path, replace(TALK, title="Loops\n  and\tmore")))["title"] == "Loops and more"


async def test_templates_may_use_facts_of_the_steps_before(tmp_path):
    facts = await run(
        tmp_path, facts={"language": "en"}, title="{{ talk.title }} [{{ language }}]", tags=["x", "x", ""]
    )
    assert facts["title"] == "Loops & more [en]"
    assert facts["tags"] == ["x"]


async def test_an_unknown_field_is_refused_by_name(tmp_path):
    with pytest.raises(Refused, match=r"unknown field nonsense; known: .*, talk"):
        await run(tmp_path, description="{{ nonsense }}")
    with pytest.raises(Refused, match=r"unknown field tilk \(did you mean talk\?\)"):
        await run(tmp_path, description="{{ tilk }}")


def test_a_broken_template_is_refused_with_the_settings():
    with pytest.raises(ValidationError, match="the template cannot be read"):
        describe.Options(title="{{ talk.title")
