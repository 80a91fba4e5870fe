import pytest

from vidd.model.email_address import parse_address, split_addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.org", ("", "ada@example.org")),
        (" Ada Lovelace <ada@example.org> ", ("Ada Lovelace", "ada@example.org")),
        ("<ada@example.org>", ("", "ada@example.org")),
        ('"Lovelace, Ada" <ada@example.org>', ("Lovelace, Ada", "ada@example.org")),
        (r'"Ada \"Countess\" L" <ada@example.org>', ('Ada "Countess" L', "ada@example.org")),
        ('"Ada <3" <ada@example.org>', ("Ada <3", "ada@example.org")),
        ("ada@example.org (Ada, at home)", ("Ada, at home", "ada@example.org")),
        ("Lovelace, Ada <ada@example.org>", None),
        ("ada@home.org <ada@example.org>", None),
        ("Ada <ada@example.org> <grace@example.org>", None),
        ("ada@example.org grace@example.org", None),
        ("Ada ada@example.org", None),
        ("ada at example.org", None),
        ("Ada <ada@example.org", None),
        ("ada@example.org\nBcc: all@example.org", None),
        ("", None),
        ("a" * 250 + "@x.org", None),
    ],
)
def test_an_address_is_taken_from_its_text_or_there_is_none(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@x.org; b@x.org", ["a@x.org", "b@x.org"]),
        ("a@x.org,,\r\nb@x.org;;\n", ["a@x.org", "b@x.org"]),
        ('"A; B" <a@x.org>, b@x.org (home, work); c@x.org', ['"A; B" <a@x.org>', "b@x.org (home, work)", "c@x.org"]),
        ('"open <a@x.org>; b@x.org', ['"open <a@x.org>', "b@x.org"]),
        ("(open a@x.org; b@x.org", ["(open a@x.org", "b@x.org"]),
        ("a@x.org; nobody; b@x.org", ["a@x.org", "nobody", "b@x.org"]),
        (" ;,\n", []),
    ],
)
def test_a_broken_part_of_a_list_takes_no_other_with_it(text, expected):
    assert split_addresses(text) == expected


def test_a_long_text_without_an_end_is_read_at_once():
    for text in ('"' * 5000, "(" * 5000, '"\\' * 5000, "<" * 5000, "a " * 5000):
        parse_address(text)
        split_addresses(text)
