"""Bulk imports: each row by itself, none twice, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.clock import Clock

from datalayer import CheckViolation, DatabaseBusy, ForeignKeyViolation, InvalidTransition, StaleVersion
from datalayer.domains.workspaces import Imports, source_digest
from datalayer.store import Store

# the file of SQLite behaves as the one in memory, and what a database decides is broken in the tests of rules
pytestmark = pytest.mark.parametrize(
    "store", ["memory", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)

DIGEST = source_digest(b"the source")
Row = Mapping[str, Any]


@pytest.fixture
def imports(store: Store, clock: Clock) -> Imports:
    return store.workspaces.imports


@pytest.fixture
def write(store: Store) -> Callable[[Row], object]:
    """Writes a user; an id is taken once, and must be there."""
    sql = store.engine.dialect.sql("INSERT INTO users (id, email) VALUES (?, ?)")
    return lambda row: store.engine.write(sql, (row["id"], row.get("email")))


def users(store: Store) -> int:
    row = store.engine.fetch_one("SELECT COUNT(*) FROM users")
    return int(row[0]) if row else 0


def good(count: int) -> list[Row]:
    return [{"id": f"u{number}"} for number in range(count)]


def test_rows_that_cannot_be_taken_are_recorded_and_the_others_stored(
    store: Store, imports: Imports, write: Callable[[Row], object]
) -> None:
    rows: list[Row] = [
        {"id": "a"},
        {"id": "a", "note": "x"},
        {"email": "m"},
        {"id": "b", "email": "m"},
        *good(3),
    ]
    session = imports.begin("users", DIGEST, source_name="users.csv", total_rows=7)
    done = imports.run(session.id, rows, write, batch=2)

    assert (done.status, done.total_rows, done.succeeded_rows, done.failed_rows) == ("completed", 7, 4, 3)
    failures = imports.page_failures(session.id).items
    assert [(failure.row_number, failure.error_code) for failure in failures] == [
        (2, "DL-E211"),
        (3, "KeyError"),
        (4, "DL-E214"),
    ]
    assert failures[0].row_data == {"id": "a", "note": "x"}
    assert users(store) == 4


def test_an_import_that_was_stopped_goes_on_where_it_was(
    store: Store, imports: Imports, write: Callable[[Row], object]
) -> None:
    def breaks_off(rows: list[Row], after: int) -> Iterator[Row]:
        yield from rows[:after]
        raise KeyboardInterrupt

    rows = [*good(4), {"id": "u0"}, *good(9)[4:]]
    session = imports.begin("users", DIGEST)
    with pytest.raises(KeyboardInterrupt):
        imports.run(session.id, breaks_off(rows, 7), write, batch=3)
    assert imports.get(session.id).processed_rows == users(store) + 1 == 6
    again = imports.begin("users", DIGEST)
    done = imports.run(again.id, rows, write, batch=3)

    assert again.id == session.id
    assert (done.status, done.succeeded_rows, done.failed_rows, users(store)) == ("completed", 9, 1, 9)
    assert imports.failures.count() == 1


def test_a_source_is_imported_once(
    store: Store, imports: Imports, clock: Clock, write: Callable[[Row], object]
) -> None:
    session = imports.begin("users", DIGEST)
    imports.run(session.id, good(2), write)
    with pytest.raises(InvalidTransition, match="imported already"):
        imports.begin("users", DIGEST)
    with pytest.raises(InvalidTransition):
        imports.run(session.id, good(2), write)

    assert imports.begin("other", DIGEST).id != session.id
    assert users(store) == 2


def test_an_import_that_was_given_up_may_be_begun_anew(imports: Imports, ann: str) -> None:
    first = imports.begin("users", DIGEST, started_by=ann)
    failed = imports.fail(first.id, "wrong columns")
    assert (failed.status, failed.error_message) == ("failed", "wrong columns")
    second = imports.begin("users", DIGEST)
    imports.cancel(second.id)
    for refused in (lambda: imports.cancel(second.id), lambda: imports.fail(first.id, "again")):
        with pytest.raises(InvalidTransition):
            refused()

    assert imports.begin("users", DIGEST).id not in (first.id, second.id)
    assert [each.status for each in imports.page_newest().items] == ["running", "canceled", "failed"]


def test_two_cannot_go_on_with_the_same_import(
    store: Store, imports: Imports, write: Callable[[Row], object]
) -> None:
    session = imports.begin("users", DIGEST)
    other = [{"id": f"o{number}"} for number in range(4)]

    def overtaken() -> Iterator[Row]:
        imports.run(session.id, other[:2], write)
        yield from other

    with pytest.raises(InvalidTransition):
        imports.run(session.id, overtaken(), write, batch=2)
    half = imports.begin("users", source_digest(b"half"))

    def overtaken_half() -> Iterator[Row]:
        yield from good(2)
        with pytest.raises(KeyboardInterrupt):
            imports.run(half.id, stopped(), write, batch=2)
        yield from good(4)[2:]

    def stopped() -> Iterator[Row]:
        # the other one has written two rows by now
        yield from good(4)
        raise KeyboardInterrupt

    with pytest.raises(StaleVersion):
        imports.run(half.id, overtaken_half(), write, batch=2)
    assert imports.get(half.id).processed_rows == 4


def test_another_source_than_the_one_announced_is_refused(
    imports: Imports, write: Callable[[Row], object]
) -> None:
    short = imports.begin("users", DIGEST, total_rows=3)
    with pytest.raises(CheckViolation, match="2 rows, not 3"):
        imports.run(short.id, good(2), write)
    with pytest.raises(CheckViolation, match="not 3"):
        imports.run(short.id, good(4), write)
    with pytest.raises(CheckViolation, match="1 rows, not 2"):
        imports.run(short.id, good(1), write)

    assert imports.run(short.id, good(3), write).status == "completed"


def test_what_says_nothing_of_a_row_stops_the_import(
    store: Store, imports: Imports, write: Callable[[Row], object]
) -> None:
    tried: list[Row] = []

    def busy_once(row: Row) -> None:
        tried.append(row)
        if len(tried) == 2:
            raise DatabaseBusy("somebody is in the way")
        write(row)

    def forbidden(row: Row) -> None:
        raise PermissionError(row["id"])

    session = imports.begin("users", DIGEST)
    with pytest.raises(PermissionError):
        imports.run(session.id, good(2), forbidden)
    assert imports.get(session.id).status == "running"
    done = imports.run(session.id, good(2), busy_once)

    assert (done.succeeded_rows, done.failed_rows, users(store)) == (2, 0, 2)
    assert len(tried) == 4


def test_fields_to_be_hidden_are_not_recorded(imports: Imports) -> None:
    def refuse(row: Row) -> None:
        raise ValueError(f"{row['name']}: {row['password']} is too short")

    session = imports.begin("users", DIGEST)
    odd = {"name": "Ann\0\ud800", "password": "hunter2", "when": Path("x"), "parts": ({"a": 1.5}, None)}
    imports.run(session.id, [odd], refuse, hidden=["password", "absent"])

    (failure,) = imports.page_failures(session.id).items
    assert failure.message == "Ann\N{REPLACEMENT CHARACTER}?: *** is too short"
    assert failure.row_data == {
        "name": "Ann\N{REPLACEMENT CHARACTER}?",
        "password": "***",
        "when": "x",
        "parts": [{"a": "1.5"}, None],
    }


def test_failures_come_by_pages(imports: Imports) -> None:
    def refuse(row: Row) -> None:
        raise ValueError

    session = imports.begin("users", DIGEST)
    imports.run(session.id, good(5), refuse)
    first = imports.page_failures(session.id, size=3)
    second = imports.page_failures(session.id, size=3, after=first.next)

    assert [failure.row_number for failure in (*first.items, *second.items)] == [1, 2, 3, 4, 5]
    assert first.items[0].message == "ValueError"


def test_what_is_no_source_is_refused(imports: Imports, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"the source")

    assert source_digest(tmp_path / "source") == DIGEST
    with pytest.raises(CheckViolation):
        imports.begin("users", "short")
    with pytest.raises(CheckViolation):
        imports.begin("", DIGEST)
    with pytest.raises(ForeignKeyViolation):
        imports.begin("users", DIGEST, started_by="nobody")
