import pytest

from vidd.integrations.posts.pages import Page, read_pages, with_notes
from vidd.model.post import Post, PostAuthor, PostPages, PostQuery

ADA = PostAuthor(name="Ada", handle="@ada")
QUERY = PostQuery(user="ada", count=10)


def posts(*numbers):
    return tuple(Post(id=str(number), author=ADA) for number in numbers)


async def read(answers, query=QUERY, pages=None):
    """The result, what was asked for, and what was saved."""
    asked, saved = [], []
    left = iter(answers)

    async def ask(cursor, wanted):
        asked.append((cursor, wanted))
        return next(left)

    async def save(pages):
        saved.append(pages)

    return await read_pages(query, pages or PostPages(), ask, save), asked, saved


async def test_each_page_is_asked_for_with_what_is_still_wanted_and_saved():
    pages, asked, saved = await read(
        [Page(posts(1, 2, 3), "a"), Page(posts(4, 5), "b"), Page(posts(*range(6, 20)), "c")]
    )
    assert asked == [(None, 10), ("a", 7), ("b", 5)]
    assert [len(kept.posts) for kept in saved] == [3, 5, 10]
    assert ([post.id for post in pages.posts], pages.complete) == ([str(number) for number in range(1, 11)], False)


async def test_a_post_that_comes_twice_is_there_once():
    pages, _, _ = await read([Page(posts(1, 2, 1), "a"), Page(posts(2, 3))])
    assert ([post.id for post in pages.posts], pages.complete) == (["1", "2", "3"], True)


async def test_a_reading_that_is_complete_asks_for_nothing():
    before = PostPages(posts=posts(1), complete=True)
    assert await read([], pages=before) == (before, [], [])
    enough = PostPages(posts=posts(*range(10)), cursor="a")
    assert await read([], pages=enough) == (enough, [], [])


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([Page(posts(1), "a"), Page(posts(2), "a")], 2),
        ([Page(posts(1), "a"), Page((), "b"), Page((), "a")], 3),
        ([Page((), f"c{number}") for number in range(100)], 20),
        ([Page((), f"c{number}", skipped=1) for number in range(300)], 200),
    ],
)
async def test_pages_that_lead_nowhere_end_with_a_note(answers, asked):
    pages, questions, saved = await read(answers)
    assert (pages.complete, pages.cursor, len(questions)) == (True, None, asked)
    assert pages.facts["notes"] == [
        "The server goes on naming pages without posts that are wanted, so vidd stopped reading there."
    ]
    assert saved[-1] == pages


def test_a_note_is_there_once():
    pages = with_notes(with_notes(PostPages(facts={"did": "x"}), "One.", "One."), "Two.", "One.")
    assert pages.facts == {"did": "x", "notes": ["One.", "Two."]}
    assert with_notes(pages) is pages
