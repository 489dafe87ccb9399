"""Relations: loaded on purpose in one query, never by accident row by row."""

from __future__ import annotations

import peewee
import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, LazyLoad
from datalayer.repository.base import Repository
from datalayer.repository.mixins import Model


class Author(Model):
    name = peewee.TextField()


class Book(Model):
    title = peewee.TextField()
    author = peewee.ForeignKeyField(Author, backref="books", null=True)


@pytest.fixture
def books(engine: Engine) -> Repository[Book]:
    engine.peewee.create_tables([Author, Book])
    authors, books = Repository(engine, Author), Repository(engine, Book)
    for name in ("a", "b"):
        author = authors.add(name=name)
        books.add_many({"title": f"{name}{number}", "author": author.id} for number in range(3))
    books.add(title="anonymous", author=None)
    return books


def test_a_lazy_load_raises_and_names_the_field(books: Repository[Book]) -> None:
    book = books.one(title="a1")

    with pytest.raises(LazyLoad, match=r"Book\.author was not loaded") as raised:
        book.author.name
    assert raised.value.field == "Book.author"
    assert book.author_id == 1
    assert books.one(title="anonymous").author is None


def test_the_rows_that_refer_to_one_are_not_loaded_by_accident_either(books: Repository[Book]) -> None:
    author = books.sibling(Author).get(1)

    with pytest.raises(LazyLoad) as raised:
        list(author.books)
    assert raised.value.field == "Author.books"


def test_preload_takes_one_query_for_any_number_of_rows(books: Repository[Book]) -> None:
    heard: list[str] = []
    books.engine.statements.add_hook(lambda statement: heard.append(statement.sql))
    loaded = books.preload(books.find(), "author")

    assert [book.author.name if book.author else None for book in loaded] == [
        "a",
        "a",
        "a",
        "b",
        "b",
        "b",
        None,
    ]
    assert len(heard) == 2


def test_preload_of_the_rows_that_refer(books: Repository[Book]) -> None:
    authors = books.sibling(Author)
    authors.engine.write("INSERT INTO author (name) VALUES ('none')")
    heard: list[str] = []
    books.engine.statements.add_hook(lambda statement: heard.append(statement.sql))
    loaded = authors.preload(authors.find(), "books")

    assert [[book.title for book in author.books] for author in loaded] == [
        ["a0", "a1", "a2"],
        ["b0", "b1", "b2"],
        [],
    ]
    assert len(heard) == 2


def test_a_related_row_that_was_set_is_there(books: Repository[Book]) -> None:
    author = books.sibling(Author).get(2)
    book = books.one(title="anonymous")
    book.author = author
    book.save()

    assert book.author.name == "b"
    assert books.one(title="anonymous").author_id == 2
    assert [found.title for found in books.find(author=author)][-1] == "anonymous"


def test_a_related_row_stands_for_its_key_where_values_are_given(books: Repository[Book]) -> None:
    author = books.sibling(Author).get(2)
    added = books.add(title="new", author=author)
    books.update(added.id, author=books.sibling(Author).get(1))

    assert added.author_id == 2
    assert books.get(added.id).author_id == 1


def test_an_unknown_relation_is_refused(books: Repository[Book]) -> None:
    with pytest.raises(DataLayerError, match="no relation 'publisher'"):
        books.preload([], "publisher")


def test_rows_that_no_repository_made_load_as_in_peewee(books: Repository[Book]) -> None:
    author = Author(id=5, name="own")
    book = Book(title="t", author=author)

    assert book.author.name == "own"
