"""The step `cards`: one picture for each post, whatever is missing."""

import asyncio
import hashlib
import json
import os
from dataclasses import replace

import pytest
from builders.cards import ADA, a_cards_step, a_picture, a_post, gone, huge_png, shown
from PIL import Image
from pydantic import ValidationError

from vidd.errors import FaultCode, Refused
from vidd.media.cards import client
from vidd.model.post import CustomEmoji, Post
from vidd.steps import cards

pytestmark = pytest.mark.slow


async def draw(directory, posts, files=None, **options):
    context = a_cards_step(directory, posts, files)
    async with asyncio.timeout(60):
        outcome = await cards.run(cards.Options(**options), context)
    return outcome, directory / "cards"


def digests(tree):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(tree.iterdir())}


async def test_every_post_gives_one_card_and_what_is_missing_is_named(tmp_path):
    jpeg = tmp_path / "whole.jpg"
    a_picture(size=(800, 600)).save(jpeg)
    files = {"cut.jpg": jpeg.read_bytes()[:5000], "huge.png": huge_png(), "text.jpg": b"<html>"}
    posts = [
        a_post("One"),
        a_post("Two", pictures=2),
        a_post("", (gone("A red kite."),)),
        a_post("Four", (shown("cut.jpg"),)),
        a_post("Five", (shown("0.png"), shown("huge.png"), shown("text.jpg"))),
        a_post(),
    ]
    outcome, tree = await draw(tmp_path / "job", posts, files)
    assert [path.name for path in sorted(tree.iterdir())] == [f"{number:04}.png" for number in range(1, 7)]
    for path in tree.iterdir():
        with Image.open(path) as card:
            card.load()
            assert card.size == (1920, 1080)
    assert outcome.artifacts[0].role == "cards"
    assert outcome.artifacts[0].tree.files == 6
    assert outcome.facts == {
        "cards": 6,
        "notes": [
            "Post 3: its picture is missing (the server answered 404); the card shows its description.",
            "Post 4: its picture is damaged; the card shows the reason.",
            "Post 5: its picture 2 has 30,000 x 30,000 pixels, more than vidd decodes; the card shows the reason.",
            "Post 5: its picture 3 is damaged, or no JPEG, PNG, WebP, GIF or AVIF; the card shows the reason.",
            "Post 6: it has no text and no picture; the card shows who wrote it and when.",
        ],
    }


async def test_the_same_posts_and_settings_give_the_same_bytes(tmp_path):
    posts = [a_post(f"Post {number} 👩‍🚀 مرحبا 猫", pictures=number % 5) for number in range(13)]
    _, first = await draw(tmp_path / "first", posts, theme="dark", size="4:5")
    _, second = await draw(tmp_path / "second", posts, theme="dark", size="4:5")
    assert digests(first) == digests(second)


@pytest.mark.parametrize(("size", "pixels"), [("4:5", (1080, 1350)), ("9:16", (1080, 1920))])
async def test_cards_for_phones_are_upright(tmp_path, size, pixels):
    _, tree = await draw(tmp_path / "job", [a_post("Up", pictures=4)], size=size)
    with Image.open(tree / "0001.png") as card:
        assert card.size == pixels


async def test_a_decoder_that_dies_costs_the_post_its_pictures_alone(tmp_path, monkeypatch):
    worker = tmp_path / "dying_worker.py"
    worker.write_text(
        "import os\n"
        "from vidd.media.cards.worker import main\n"
        "from vidd.processes.worker import serve\n"
        "def draw(question, progress):\n"
        "    if question['order']['with_pictures'] and question['order']['post'].get('pictures'):\n"
        "        os.abort()\n"
        "    return main._draw(question, progress)\n"
        "serve({'draw': draw})\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(client, "_WORKER", "dying_worker")
    outcome, tree = await draw(tmp_path / "job", [a_post("One", pictures=1), a_post("Two")])
    assert len(list(tree.iterdir())) == 2
    assert outcome.facts["notes"] == [
        "Post 1: its picture is missing (the pictures of this post brought a decoder down); the card shows the reason."
    ]


async def test_what_an_author_lacks_is_told_once_and_names_cannot_disturb_it(tmp_path):
    author = replace(ADA, handle="@a\u202eda\n", avatar=gone())
    outcome, _ = await draw(tmp_path / "job", [a_post(f"Post {number}", author=author) for number in range(3)])
    assert outcome.facts["notes"] == [
        r"The avatar of @a\u202eda\n is missing (the server answered 404); cards show initials."
    ]


async def test_no_posts_are_refused(tmp_path):
    with pytest.raises(Refused) as refused:
        await draw(tmp_path / "job", [])
    assert refused.value.code is FaultCode.NOT_FOUND


async def test_a_tree_without_a_list_of_posts_is_refused(tmp_path):
    context = a_cards_step(tmp_path / "job", [])
    (tmp_path / "job/posts/posts.json").write_text("{")
    with pytest.raises(Refused, match="no list of posts") as refused:
        await cards.run(cards.Options(), context)
    assert refused.value.code is FaultCode.BAD_INPUT


async def test_a_post_that_is_none_is_refused_by_its_number(tmp_path):
    context = a_cards_step(tmp_path / "job", [a_post("One")])
    document = {"network": "x", "user": "ada", "posts": [a_post("One").to_json(), {"id": 2}]}
    (tmp_path / "job/posts/posts.json").write_text(json.dumps(document))
    with pytest.raises(Refused, match=r"Post 2 of posts\.json"):
        await cards.run(cards.Options(), context)


async def test_what_a_quoted_post_and_its_author_lack_is_named_too(tmp_path):
    lost = replace(ADA, avatar=gone(), emoji=(CustomEmoji("blob", "https://example.org/blob.png"),))
    quoted = Post(id="2", author=replace(lost, handle="@bob"), text="Quoted " * 400, pictures=(gone("A dog."),))
    outcome, _ = await draw(tmp_path / "job", [a_post("Look", author=lost, quoted=quoted)])
    assert set(outcome.facts["notes"]) == {
        "The avatar of @ada@example.social is missing (the server answered 404); cards show initials.",
        "The emoji :blob: could not be fetched; cards show its name.",
        "The avatar of @bob is missing (the server answered 404); cards show initials.",
        "Post 1: the quoted post's picture is missing (the server answered 404); the card shows its description.",
        "Post 1: the quoted post's text is longer than a card holds; the card shows its beginning.",
    }


def test_an_unknown_time_zone_is_no_setting():
    with pytest.raises(ValidationError, match="no time zone 'Mars/Olympus'"):
        cards.Options(time_zone="Mars/Olympus")


async def test_what_cards_need_is_looked_for_at_the_check(tmp_path):
    context = a_cards_step(tmp_path / "job", [])
    await cards.check_here(cards.Options(), context.tools)


async def test_the_number_of_further_pictures_stands_alone_where_the_last_one_shown_is_missing(tmp_path):
    posts = [
        a_post("Seven", (*[shown("0.png")] * 3, gone(words), *[shown("0.png")] * 3))
        for words in ("A red kite.", "Something else altogether.")
    ]
    outcome, tree = await draw(tmp_path / "job", posts)
    assert len(set(digests(tree).values())) == 1
    assert outcome.facts["notes"][0] == (
        "Post 1: its picture 4 is missing (the server answered 404); the card shows how many more there are."
    )
