"""Pages: every row exactly once, in one order, whatever is sorted by."""

from __future__ import annotations

import peewee
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import DataLayerError
from datalayer.repository.base import Repository
from datalayer.repository.mixins import Model


class Row(Model):
    a = peewee.IntegerField(null=True)
    b = peewee.TextField()

    class Meta:
        table_name = "paged"


@pytest.fixture
def rows(engine: Engine) -> Repository[Row]:
    engine.peewee.create_tables([Row])
    return Repository(engine, Row)


def walk(rows: Repository[Row], order: object, size: int) -> list[int]:
    """Give the keys of all pages, one after the other."""
    seen: list[int] = []
    cursor = None
    while True:
        page = rows.page(order_by=order, size=size, after=cursor)
        seen.extend(row.id for row in page.items)
        cursor = page.next
        assert page.has_more == (cursor is not None)
        if cursor is None:
            return seen


values = st.lists(
    st.tuples(st.none() | st.integers(-2, 2), st.text("abÄ", max_size=2)), min_size=1, max_size=25
)
orders = st.lists(
    st.sampled_from(["a", "-a", "b", "-b", "id", "-id"]), max_size=3, unique_by=lambda o: o.strip("-")
)


def expected(data: list[tuple[int | None, str]], order: list[str]) -> list[int]:
    """Sort in Python as the repository promises: NULL first, text by code point, the key settles ties."""
    keys = list(range(1, len(data) + 1))
    terms = [*order]
    if not any(term.strip("-") == "id" for term in terms):
        terms.append("-id" if terms and terms[-1].startswith("-") else "id")
    for term in reversed(terms):

        def value(key: int, name: str = term.strip("-")) -> object:
            a, b = data[key - 1]
            return {"a": (a is not None, a or 0), "b": b, "id": key}[name]

        keys.sort(key=value, reverse=term.startswith("-"))  # type: ignore[arg-type]
    return keys


@given(data=values, order=orders, size=st.integers(1, 6))
def test_pages_give_every_row_once_in_order(
    data: list[tuple[int | None, str]], order: list[str], size: int
) -> None:
    engine = open_engine(":memory:")
    engine.peewee.create_tables([Row])
    rows = Repository(engine, Row)
    rows.add_many({"a": a, "b": b} for a, b in data)

    assert walk(rows, order, size) == expected(data, order)
    assert [row.id for row in rows.find(order_by=order)] == expected(data, order)
    engine.close()


@pytest.mark.parametrize("order", ["a", "-a", ["-a", "b"], ["a", "-b"], ["b", "a"], None])
def test_pages_are_the_same_on_every_engine(rows: Repository[Row], order: object) -> None:
    data = [(None, "x"), (1, "y"), (None, "a"), (0, "y"), (1, "a"), (-1, "")]
    rows.add_many({"a": a, "b": "b" + b} for a, b in data)

    given_order = [] if order is None else [order] if isinstance(order, str) else list(order)  # type: ignore[call-overload]
    assert walk(rows, order, 2) == expected([(a, "b" + b) for a, b in data], given_order)


def test_rows_that_come_or_go_are_neither_repeated_nor_skipped(rows: Repository[Row]) -> None:
    rows.add_many({"a": number, "b": ""} for number in range(10))
    first = rows.page(order_by="a", size=4)
    rows.delete_where(a=1)
    rows.add(a=-5, b="before")
    second = rows.page(order_by="a", size=4, after=first.next)

    assert [row.a for row in first.items + second.items] == [0, 1, 2, 3, 4, 5, 6, 7]


def test_pages_by_number(rows: Repository[Row]) -> None:
    rows.add_many({"a": number, "b": ""} for number in range(5))

    assert [row.a for row in rows.page(size=2, number=2).items] == [2, 3]
    assert not rows.page(size=2, number=3).has_more
    assert rows.page(size=2, number=9).items == ()


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "bm9uc2Vuc2U", "WyJiIixbMV1d", "W10", "\ud800", "WyItYSxpZCIsMV0"]
)
def test_a_cursor_that_does_not_fit_is_refused(rows: Repository[Row], cursor: str) -> None:
    with pytest.raises(DataLayerError, match="cursor does not belong"):
        rows.page(order_by="a", after=cursor)


def test_a_cursor_of_another_order_is_refused(rows: Repository[Row]) -> None:
    rows.add_many({"a": number, "b": ""} for number in range(5))
    cursor = rows.page(order_by="a", size=2).next

    with pytest.raises(DataLayerError, match="cursor does not belong"):
        rows.page(order_by="-a", size=2, after=cursor)


def test_impossible_pages_are_refused(rows: Repository[Row]) -> None:
    for wrong in ({"size": 0}, {"number": 0}, {"number": 1, "after": "x"}):
        with pytest.raises(DataLayerError, match="no such page"):
            rows.page(**wrong)  # type: ignore[arg-type]


def test_a_page_far_in_is_found_through_the_index(rows: Repository[Row]) -> None:
    if not rows.engine.dialect.has_row_id:
        return
    heard: list[str] = []
    rows.engine.statements.add_hook(lambda statement: heard.append(statement.sql))
    rows.add_many({"a": number, "b": ""} for number in range(50))
    rows.page(size=5, after=rows.page(size=5).next)

    plan = rows.engine.fetch_all("EXPLAIN QUERY PLAN " + heard[-1], (1, 1))
    assert "SEARCH paged USING INTEGER PRIMARY KEY (rowid>?)" in plan[0][3]
