"""What a user types is read into words of both engines, and snippets show where they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.domains.search.snippets import marked, snippet
from datalayer.domains.search.words import read_query, words_in
from datalayer.errors import CheckViolation

MARKS = ("[", "]")


@pytest.mark.parametrize(
    ("text", "fts5", "tsquery"),
    [
        ("Milk", '("milk")', "('milk')"),
        ("milk bread", '("milk") AND ("bread")', "('milk') & ('bread')"),
        ('"two words"', '("two words")', "('two' <-> 'words')"),
        ("kebab-case", '("kebab case")', "('kebab' <-> 'case')"),
        ("migrat*", '("migrat"*)', "('migrat':*)"),
        ("a OR b c", '("a" OR "b") AND ("c")', "('a' | 'b') & ('c')"),
        ("a -b", '(("a")) NOT ("b")', "('a') & !('b')"),
        ("OR a OR", '("a")', "('a')"),
        ('say "open', '("say") AND ("open")', "('say') & ('open')"),
        ("it's :* & | ! ()", '("it s")', "('it' <-> 's')"),
        ("GRÖSSE", '("grösse")', "('grösse')"),
    ],
)
def test_a_text_is_read_for_both_engines(text: str, fts5: str, tsquery: str) -> None:
    query = read_query(text)

    assert (query.fts5(), query.tsquery()) == (fts5, tsquery)


@pytest.mark.parametrize("text", ["", "  ", "-only", '""', "*", "!?", " ".join(map(str, range(65)))])
def test_a_text_without_a_word_to_look_for_is_refused(text: str) -> None:
    with pytest.raises(CheckViolation):
        read_query(text)


def test_a_title_is_marked_whole() -> None:
    assert marked("Milk, milk and MILKY ways", read_query("milk"), MARKS) == "[Milk], [milk] and MILKY ways"
    assert marked("Milky ways", read_query("milk*"), MARKS) == "[Milky] ways"


def test_a_snippet_is_where_most_words_stand_together() -> None:
    text = "milk " + "x " * 100 + "the bread and the milk " + "y " * 100

    shown = snippet(text, read_query("bread milk"), MARKS, words=8)

    assert "[bread] and the [milk]" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(list(words_in(shown))) == 8


def test_a_short_text_is_its_own_snippet() -> None:
    assert snippet(" Buy milk. ", read_query("milk"), MARKS, words=24) == "Buy [milk]."
    assert snippet("", read_query("milk"), MARKS, words=24) == ""


@given(st.text(max_size=200), st.text(min_size=1, max_size=20), st.integers(1, 30))
def test_a_snippet_without_marks_is_a_part_of_the_text(text: str, asked: str, words: int) -> None:
    try:
        query = read_query(asked)
    except CheckViolation:
        return
    shown = snippet(text, query, ("", ""), words=words)

    assert shown.removeprefix("…").removesuffix("…").strip("…") in text
    assert len(list(words_in(shown))) <= max(words, 0) or not list(words_in(text))
