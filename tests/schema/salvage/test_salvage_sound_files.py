"""A sound file of any format gives exactly the rows that SQLite gives."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.salvage_case import SHOP, Format, create, fill_shop, found_rows, truth

from datalayer.schema.salvage.findings import inspect
from datalayer.schema.salvage.outcome import BadText
from datalayer.schema.salvage.recover import salvage

NUMBER = count()
VALUES = st.one_of(
    st.none(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from([0, 1, -1, 127, 128, -129, 32768, 1 << 23, 1 << 31, 1 << 47]),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.binary(max_size=40),
    st.builds(lambda text, times: text * times, st.sampled_from(["ab", "ß", "x\0y"]), st.integers(0, 3000)),
)
TYPES = st.sampled_from(["", "INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "VARCHAR(9)"])
FORMATS = st.builds(
    Format,
    st.sampled_from([512, 1024, 2048, 4096, 8192, 32768, 65536]),
    st.sampled_from(["UTF-8", "UTF-16le", "UTF-16be"]),
    st.sampled_from([0, 1, 2]),
)


@pytest.mark.parametrize("page_size", [512, 1024, 4096, 65536])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("auto_vacuum", [0, 1])
def test_every_format_is_read_exactly(
    tmp_path: Path, page_size: int, encoding: str, auto_vacuum: int
) -> None:
    path = tmp_path / "shop.db"
    with closing(create(path, SHOP, Format(page_size, encoding, auto_vacuum))) as connection:
        fill_shop(connection, 120)
        connection.execute("DELETE FROM line WHERE rowid % 7 = 0")

    with salvage(path) as salvaged:
        assert found_rows(salvaged) == truth(path)
        assert salvaged.problems == ()
        assert salvaged.sequences == {"order": 239}
    assert inspect(path) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), form=FORMATS, without_rowid=st.booleans())
def test_random_tables_are_read_exactly(
    tmp_path: Path, data: st.DataObject, form: Format, without_rowid: bool
) -> None:
    types = data.draw(st.lists(TYPES, min_size=1, max_size=6))
    key = "k INTEGER PRIMARY KEY" if not without_rowid else "k PRIMARY KEY NOT NULL"
    columns = ", ".join([key, *(f"c{place} {name}" for place, name in enumerate(types))])
    path = tmp_path / f"{next(NUMBER)}.db"
    rows = data.draw(st.lists(st.tuples(*[VALUES] * len(types)), max_size=12))
    with closing(
        create(path, f"CREATE TABLE t ({columns}){' WITHOUT ROWID' if without_rowid else ''}", form)
    ) as connection:
        marks = ", ".join("?" * (len(types) + 1))
        connection.executemany(
            f"INSERT INTO t VALUES ({marks})", [(place * 3, *row) for place, row in enumerate(rows)]
        )
        connection.execute("DELETE FROM t WHERE k % 4 = 0")
        connection.execute("CREATE INDEX i ON t (c0)")

    with salvage(path) as salvaged:
        assert _typed(found_rows(salvaged)["t"]) == _typed(truth(path)["t"])
        assert salvaged.problems == ()


def _typed(rows: dict[tuple[object, ...], tuple[object, ...]]) -> list[str]:
    return sorted(repr(row) for row in rows.items())


def test_columns_that_were_added_later_have_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "added.db"
    with closing(create(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")) as connection:
        connection.execute("ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 7")
        connection.execute("ALTER TABLE t ADD COLUMN c TEXT")
        connection.execute("INSERT INTO t VALUES (3, 4, 'five')")

    with salvage(path) as salvaged:
        assert found_rows(salvaged)["t"] == {(1,): (1, 7, None), (2,): (2, 7, None), (3,): (3, 4, "five")}


def test_generated_columns_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "generated.db"
    script = "CREATE TABLE t (a, v AS (a * 2), s AS (a * 3) STORED, b)"
    with closing(create(path, script)) as connection:
        connection.execute("INSERT INTO t (a, b) VALUES (5, 'x')")

    with salvage(path) as salvaged:
        assert salvaged.tables["t"].columns == ("a", "b")
        assert found_rows(salvaged)["t"] == {(1,): (5, "x")}


def test_reserved_bytes_at_the_end_of_pages_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "reserved.db"
    with closing(create(path, "PRAGMA user_version = 3")) as connection:
        connection.execute("VACUUM")
    raw = bytearray(path.read_bytes())
    raw[20] = 32
    raw[105:107] = (4096 - 32).to_bytes(2, "big")
    path.write_bytes(raw)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(SHOP)
        fill_shop(connection, 100)

    with salvage(path) as salvaged:
        assert found_rows(salvaged) == truth(path)
    assert inspect(path) == []


def test_text_that_does_not_decode_is_kept_as_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    with closing(create(path, "CREATE TABLE t (a TEXT)")) as connection:
        connection.execute("INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT))")

    with salvage(path) as salvaged:
        (row,) = salvaged.tables["t"].rows()

    assert isinstance(row.values[0], BadText)
    assert bytes(row.values[0]) == b"a\xffb"


def test_rows_deleted_at_the_ends_of_pages_are_no_reserved_bytes(tmp_path: Path) -> None:
    path = tmp_path / "small.db"
    tables = (
        "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        "CREATE TABLE b (c INTEGER, d INTEGER, PRIMARY KEY (c, d)) WITHOUT ROWID"
    )
    with closing(create(path, tables)) as connection:
        connection.executemany("INSERT INTO a VALUES (?, ?)", [(n, f"a{n}") for n in range(50)])
        connection.executemany("INSERT INTO b VALUES (?, 0)", [(n,) for n in range(100)])
        connection.executescript("DELETE FROM a WHERE id < 6; DELETE FROM b WHERE c < 3;")

    assert inspect(path) == []
