"""The posts of a person become a tree with their pictures, and no post is asked for twice."""

import asyncio
import json

import pytest
from builders.posts import GIF, PNG, a_posts_step, tweet
from peers.x import X

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.timeline.networks import NETWORKS
from vidd.integrations.timeline.step import Options, run
from vidd.pipelines.registry import ACCOUNTS

INSIDE = Options(private_addresses=True, parallel=2)


@pytest.fixture
def x():
    x = X()
    with x.serving(None):
        x.pictures |= {"ada.png": PNG, "cat.gif": GIF}
        yield x


def with_picture(x, identity, *names, **more):
    """A post with pictures of the server."""
    for name in names:
        x.media[f"3_{name}"] = {"media_key": f"3_{name}", "type": "photo", "url": f"{x.url}/pictures/{name}", **more}
    return tweet(identity, attachments={"media_keys": [f"3_{name}" for name in names]})


def document(directory):
    return json.loads((directory / "posts/posts.json").read_text())


async def test_the_tree_has_the_posts_in_order_with_their_pictures(x, tmp_path):
    x.add("ada", with_picture(x, 2, "cat.gif", alt_text="A cat"), tweet(1))
    outcome = await run(INSIDE, a_posts_step(tmp_path / "job", x))
    made = document(tmp_path / "job")
    assert (made["network"], made["user"], [post["id"] for post in made["posts"]]) == ("x", "ada", ["2", "1"])
    picture, avatar = made["posts"][0]["pictures"][0], made["posts"][1]["author"]["avatar"]
    assert picture["alt"] == "A cat"
    assert (tmp_path / "job/posts" / picture["path"]).read_bytes() == GIF
    assert (tmp_path / "job/posts" / avatar["path"]).read_bytes() == PNG
    assert outcome.facts == {"posts": 2, "user": "ada", "network": "x", "notes": []}
    [artifact] = outcome.artifacts
    assert (artifact.role, artifact.path, artifact.tree.files) == ("posts", "posts", 3)


async def test_an_address_is_fetched_once_however_many_posts_have_it(x, tmp_path):
    x.add("ada", *(with_picture(x, number, "cat.gif") for number in range(9, 0, -1)))
    await run(INSIDE, a_posts_step(tmp_path / "job", x))
    assert len(x.called("GET", "/pictures/cat.gif")) == len(x.called("GET", "/pictures/ada.png")) == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "127.0.0.1 answered 404."),
        (b"<svg>no</svg>", "What is there is no JPEG, PNG, GIF, WebP or AVIF picture."),
        (b"", "What is there is no JPEG, PNG, GIF, WebP or AVIF picture."),
        (PNG + bytes(2**20), "It has more than 1 MiB."),
    ],
)
async def test_a_picture_that_cannot_be_had_fails_nothing_and_is_named(x, tmp_path, body, why):
    if body is not None:
        x.pictures["cat.gif"] = body
    else:
        del x.pictures["cat.gif"]
    x.add("ada", tweet(3), with_picture(x, 2, "cat.gif"), tweet(1))
    outcome = await run(Options(private_addresses=True, largest=2**20), a_posts_step(tmp_path / "job", x))
    assert outcome.facts["notes"] == [f"Picture of post 2 is missing: {why}"]
    assert outcome.facts["posts"] == 3
    assert document(tmp_path / "job")["posts"][1]["pictures"][0]["why_missing"] == why


async def test_pictures_within_the_house_are_not_fetched(x, tmp_path):
    x.add("ada", with_picture(x, 1, "cat.gif"))
    outcome = await run(Options(), a_posts_step(tmp_path / "job", x))
    assert [note.partition(":")[0] for note in outcome.facts["notes"]] == [
        "The avatar of @ada is missing", "Picture of post 1 is missing",
    ]  # fmt: skip
    assert x.called("GET", "/pictures/") == []


async def test_pictures_beyond_the_bytes_of_a_job_are_left_out(x, tmp_path):
    for number in range(3):
        x.pictures[f"{number}.png"] = PNG + b"\0" * 600
    x.add("ada", with_picture(x, 1, "0.png", "1.png", "2.png"), profile_image_url=None)
    outcome = await run(Options(private_addresses=True, parallel=1, total=1500), a_posts_step(tmp_path / "job", x))
    assert [note.partition(":")[0] for note in outcome.facts["notes"]] == ["Picture 3 of post 1 is missing"]


async def test_a_server_that_stumbles_is_asked_again(x, tmp_path):
    x.add("ada", with_picture(x, 1, "cat.gif"))
    x.misstep("GET", "/pictures/cat.gif", "status", status=503)
    outcome = await run(INSIDE, a_posts_step(tmp_path / "job", x))
    assert outcome.facts["notes"] == []


async def test_a_host_that_is_silent_is_left_alone_after_three_pictures(x, tmp_path):
    names = [f"{number}.png" for number in range(8)]
    x.add("ada", with_picture(x, 1, *names), profile_image_url=None)
    x.misstep("GET", "/pictures/", times=99)
    outcome = await run(Options(private_addresses=True, parallel=1), a_posts_step(tmp_path / "job", x))
    assert len(outcome.facts["notes"]) == 8
    assert {call.path for call in x.called("GET", "/pictures/")} == {f"/pictures/{name}" for name in names[:3]}


async def test_a_post_has_a_hundred_pictures_at_most(x, tmp_path):
    x.pictures |= {f"{number}.png": PNG for number in range(120)}
    x.add("ada", with_picture(x, 1, *(f"{number}.png" for number in range(120))))
    outcome = await run(INSIDE, a_posts_step(tmp_path / "job", x))
    assert outcome.artifacts[0].tree.files == 101
    assert outcome.facts["notes"][0] == "Picture 100 of post 1 is missing: vidd fetches at most 100 pictures of a post."


async def test_a_retry_goes_on_with_the_page_after_those_that_were_read(x, tmp_path):
    x.add("ada", *(tweet(number) for number in range(250, 0, -1)))
    x.limit, x.reset = 3, 1_800_000_000
    context = a_posts_step(tmp_path / "job", x, count=250)
    with pytest.raises(RetryLater):
        await run(INSIDE, context)
    x.limit = None
    outcome = await run(INSIDE, context)
    assert outcome.facts["posts"] == 250
    assert x.billed == [str(number) for number in range(250, 0, -1)]
    assert len(x.called("GET", "/2/users/by/username/")) == 1


async def test_a_run_after_a_kill_asks_for_no_post_and_no_picture_again(x, tmp_path):
    x.add("ada", with_picture(x, 2, "cat.gif"), with_picture(x, 1, "dog.gif"))
    x.pictures["dog.gif"] = GIF
    x.misstep("GET", "/pictures/dog.gif", "hang")
    attempt = asyncio.create_task(run(Options(private_addresses=True, parallel=1), a_posts_step(tmp_path / "job", x)))
    async with asyncio.timeout(10):
        await asyncio.to_thread(x.hung.wait, 10)
    attempt.cancel()
    await asyncio.wait({attempt})
    x.calls.clear()
    outcome = await run(INSIDE, a_posts_step(tmp_path / "job", x))
    assert [call.path for call in x.calls] == ["/pictures/dog.gif"]
    assert outcome.artifacts[0].tree.files == 4


async def test_other_posts_are_asked_for_where_the_job_wants_others(x, tmp_path):
    x.add("ada", tweet(2, referenced_tweets=[{"type": "replied_to", "id": "9"}]), tweet(1))
    context = a_posts_step(tmp_path / "job", x)
    assert (await run(INSIDE, context)).facts["posts"] == 2
    await run(INSIDE.model_copy(update={"replies": False}), context)
    assert [post["id"] for post in document(tmp_path / "job")["posts"]] == ["1"]


async def test_a_file_of_pages_that_is_broken_is_read_anew(x, tmp_path):
    x.add("ada", tweet(1))
    context = a_posts_step(tmp_path / "job", x)
    (tmp_path / "job/posts-pages.json").write_text('{"asked": ')
    assert (await run(INSIDE, context)).facts["posts"] == 1


async def test_an_empty_timeline_is_refused_and_asked_for_again_at_a_retry(x, tmp_path):
    ada = x.add("ada")
    context = a_posts_step(tmp_path / "job", x)
    with pytest.raises(
        Refused, match=r"^There are no posts of ada to show \(X\): wait until there are some"
    ) as refused:
        await run(INSIDE, context)
    assert refused.value.code is FaultCode.NOT_FOUND
    x.timelines[ada["id"]] = [tweet(1, author_id=ada["id"])]
    assert (await run(INSIDE, context)).facts["posts"] == 1


async def test_progress_shows_posts_and_then_pictures(x, tmp_path):
    x.add("ada", *(tweet(number) for number in range(8, 1, -1)), with_picture(x, 1, "cat.gif"))
    seen = []
    await run(INSIDE, a_posts_step(tmp_path / "job", x, count=10, progress=lambda *what: seen.append(what[:3])))
    assert (8, 10, "posts") in seen
    assert seen[-1] == (2, 2, "pictures")


async def test_an_unknown_network_is_refused_by_name(x, tmp_path):
    with pytest.raises(Refused, match="There is no network 'myspace': name one of"):
        await run(INSIDE, a_posts_step(tmp_path / "job", x, network="myspace"))


@pytest.mark.parametrize("count", [0, -1, "many", 1.5])
async def test_a_number_of_posts_that_is_none_is_refused(x, tmp_path, count):
    with pytest.raises(Refused, match="ask for 1 or more"):
        await run(INSIDE, a_posts_step(tmp_path / "job", x, count=count))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_an_account_of_its_name(name):
    assert name in ACCOUNTS
    assert NETWORKS[name].load().own_user
