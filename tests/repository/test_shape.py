"""A row that a repository builds is what Peewee itself would have made of the same values."""

from __future__ import annotations

import peewee

from datalayer.engine.dialect import SQLITE
from datalayer.repository.shape import Shape


class Author(peewee.Model):
    name = peewee.TextField()


class Book(peewee.Model):
    title = peewee.TextField()
    pages = peewee.IntegerField(null=True)
    author = peewee.ForeignKeyField(Author)


def state_of(row: peewee.Model) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if name != "_repository"}


def test_a_built_row_keeps_its_values_where_peewee_keeps_them() -> None:
    ours = Shape(Book, SQLITE).build((1, "Emma", None, 2), None)
    theirs = Book(id=1, title="Emma", pages=None, author=2)
    theirs._dirty.clear()

    assert ours.dirty_fields == []
    assert state_of(ours) == state_of(theirs)


def test_what_is_set_on_a_built_row_is_what_peewee_saves() -> None:
    row = Shape(Book, SQLITE).build((1, "Emma", None, 2), None)
    row.pages = 400

    assert row.dirty_fields == [Book.pages]
    assert Shape(Book, SQLITE).changed(row) == ["pages"]


def test_rows_share_nothing_that_one_of_them_may_change() -> None:
    first, second = Shape(Book, SQLITE).build_many([(1, "Emma", 1, 2), (2, "Persuasion", 2, 2)], None)
    first.title = "Sanditon"
    first.__rel__["author"] = Author(id=2, name="Jane")

    assert (second.title, second.dirty_fields, second.__rel__) == ("Persuasion", [], {})
