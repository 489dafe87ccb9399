"""What pages and trees tell of rows: counts, copies, exchanged roots, indexes that know more or less."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.salvage_case import Format, create, false_rows, found_rows, missing, schema_of, truth
from support.salvage_shop import Shop

from datalayer.schema.salvage.findings import inspect
from datalayer.schema.salvage.keyorder import KeyOrder
from datalayer.schema.salvage.outcome import LostRow
from datalayer.schema.salvage.recover import salvage
from datalayer.schema.salvage.rows import TableRows
from datalayer.schema.salvage.shape import shape_of
from datalayer.schema.salvage.writer import write
from datalayer.schema.snapshot import read

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

PAGE = 512
KEYED = """
CREATE TABLE word (lang TEXT, word TEXT, n INTEGER, note TEXT, PRIMARY KEY (word, lang)) WITHOUT ROWID;
CREATE INDEX word_all ON word (n, note);
"""
TWINS = """
CREATE TABLE one (id INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE two (id INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL);
CREATE INDEX one_by_name ON one (name);
CREATE INDEX two_by_name ON two (name);
"""


def make(path: Path, script: str, rows: dict[str, Iterable[tuple[object, ...]]]) -> Path:
    with closing(create(path, script, Format(PAGE))) as connection:
        connection.execute("BEGIN")
        for table, values in rows.items():
            for row in values:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        connection.execute("COMMIT")
    return path


def words(path: Path, script: str = KEYED) -> Path:
    return make(path, script, {"word": ((f"l{n % 3}", f"word {n}", n, "x" * (n % 30)) for n in range(300))})


def twins(path: Path) -> Path:
    return make(
        path,
        TWINS,
        {
            "one": ((n, f"first {n}", n * 3) for n in range(1, 301)),
            "two": ((n, f"second {n}", n * 5) for n in range(1, 351)),
        },
    )


def leaves_of(path: Path, table: str) -> list[int]:
    with salvage(path) as salvaged:
        source = salvaged.tables[table].source
        assert isinstance(source, TableRows)
        assert source.holding.tree is not None
        return list(source.holding.tree.leaves)


def alter_schema(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("table", ["customer", "document", "product", "order"])
@pytest.mark.parametrize("fewer", [1, 3, 99])
def test_a_count_of_cells_that_is_too_low_costs_no_row(
    any_shop: Shop, tmp_path: Path, table: str, fewer: int
) -> None:
    raw = bytearray(any_shop.raw)
    at = any_shop.place(any_shop.middle_leaf(table)) + 3
    count = int.from_bytes(raw[at : at + 2], "big")
    raw[at : at + 2] = max(0, count - fewer).to_bytes(2, "big")

    with salvage(any_shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged)

    assert missing(any_shop.rows, found) == false_rows(any_shop.rows, found) == 0


def test_an_inner_page_that_tells_of_too_few_children_costs_no_row(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    at = shop.place(shop.tree("line").root) + 3
    raw[at : at + 2] = (int.from_bytes(raw[at : at + 2], "big") - 2).to_bytes(2, "big")
    path = shop.damaged(tmp_path, raw)

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert missing(shop.rows, found) == false_rows(shop.rows, found) == 0
    assert any("tells of fewer" in finding.message for finding in inspect(path))


def test_keys_that_stand_on_two_pages_are_given_once(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    leaves = shop.tree("product").leaves
    one, other = shop.place(leaves[0]), shop.place(leaves[2])
    raw[one : one + shop.page_size] = raw[other : other + shop.page_size]
    path = shop.damaged(tmp_path, raw)

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert false_rows(shop.rows, found) == 0
    assert any("begins with a key that another page has" in finding.message for finding in inspect(path))


def test_a_row_whose_record_does_not_end_where_it_should_is_set_aside(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    leaf = shop.middle_leaf("customer")
    record = shop.survey.content.leaf(leaf)[2]
    # size, rowid and header size come first, then the serial types of id and email
    at = shop.place(leaf) + record.at
    header = next(place for place in range(at + 2, at + 9) if raw[place] == 6 and raw[place + 1] == 0)
    raw[header + 2] = 13
    lost: list[LostRow] = []

    with salvage(shop.damaged(tmp_path, raw)) as salvaged:
        found = found_rows(salvaged, lost)

    assert missing(shop.rows, found) == 1
    assert false_rows(shop.rows, found) == 0
    assert record.rowid in {row.rowid for row in lost}


def test_rows_without_rowid_are_rebuilt_from_an_index_that_covers_them(tmp_path: Path) -> None:
    path = words(tmp_path / "words.db")
    rows = truth(path)
    raw = bytearray(path.read_bytes())
    for leaf in leaves_of(path, "word")[3:5]:
        raw[(leaf - 1) * PAGE : leaf * PAGE] = bytes(PAGE)
    path.write_bytes(raw)

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert missing(rows, found) == false_rows(rows, found) == 0


def test_keys_that_an_index_knows_in_part_are_set_aside(tmp_path: Path) -> None:
    path = words(tmp_path / "words.db", KEYED.replace("(n, note)", "(n)"))
    rows = truth(path)
    raw = bytearray(path.read_bytes())
    leaf = leaves_of(path, "word")[3]
    raw[(leaf - 1) * PAGE : leaf * PAGE] = bytes(PAGE)
    path.write_bytes(raw)
    lost: list[LostRow] = []

    with salvage(path) as salvaged:
        found = found_rows(salvaged, lost)

    gone = missing(rows, found)
    assert gone == len(lost) > 0
    assert {row.values[1] for row in lost}.isdisjoint(row[1] for row in found["word"].values())
    assert all(row.values[0] is not None and row.values[3] is None for row in lost)


def test_roots_that_were_exchanged_are_told_by_the_indexes(tmp_path: Path) -> None:
    path = twins(tmp_path / "twins.db")
    rows = truth(path)
    alter_schema(
        path,
        "UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema WHERE type = 'table')"
        " - rootpage WHERE type = 'table'",
    )

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert missing(rows, found) == false_rows(rows, found) == 0


@pytest.mark.parametrize(("one", "other"), [("one", "two"), ("two", "one")])
def test_of_two_tables_with_one_root_each_gets_its_own_rows(tmp_path: Path, one: str, other: str) -> None:
    path = twins(tmp_path / "twins.db")
    rows = truth(path)
    root = f"(SELECT rootpage FROM sqlite_schema WHERE name = '{other}')"
    alter_schema(path, f"UPDATE sqlite_schema SET rootpage = {root} WHERE name = '{one}'")

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert missing(rows, found) == false_rows(rows, found) == 0


def test_what_only_an_index_has_of_a_whole_table_is_no_row(tmp_path: Path) -> None:
    covered = TWINS.replace("one_by_name ON one (name)", "one_by_name ON one (name, at)")
    values = ((n, f"first {n}", n * 3) for n in range(1, 301))
    path = make(tmp_path / "covered.db", covered, {"one": values})
    with closing(sqlite3.connect(path)) as connection:
        entry = connection.execute("SELECT * FROM sqlite_schema WHERE name = 'one_by_name'").fetchone()
    alter_schema(path, "DELETE FROM sqlite_schema WHERE name = 'one_by_name'")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM one WHERE id BETWEEN 100 AND 119")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", entry)
    rows = truth(path)
    lost: list[LostRow] = []

    with salvage(path) as salvaged:
        found = found_rows(salvaged, lost)

    assert missing(rows, found) == false_rows(rows, found) == 0
    assert sorted(row.rowid or 0 for row in lost) == list(range(100, 120))


def blobs(path: Path, *values: bytes) -> Path:
    script = "CREATE TABLE held (id INTEGER PRIMARY KEY, value BLOB)"
    return make(path, script, {"held": list(enumerate(values, 1))})


def test_zeros_that_begin_with_a_page_are_no_value(tmp_path: Path) -> None:
    path = blobs(tmp_path / "blobs.db", b"\xab" * 3000, b"\xcd" * 3000)
    rows = truth(path)
    raw = bytearray(path.read_bytes())
    last = raw.rindex(b"\xcd" * 8) // PAGE
    raw[last * PAGE : (last + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(raw)
    lost: list[LostRow] = []

    with salvage(path) as salvaged:
        found = found_rows(salvaged, lost)

    assert missing(rows, found) == len(lost) == 1
    assert false_rows(rows, found) == 0
    assert inspect(path)


def test_zeros_that_a_value_holds_are_its_own(tmp_path: Path) -> None:
    values = [bytes(5000), b"\xab" * 700 + bytes(3000), *(b"\xab" * n + bytes(2000) for n in range(300, 900))]
    path = blobs(tmp_path / "blobs.db", *values)
    rows = truth(path)

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert missing(rows, found) == false_rows(rows, found) == 0
    assert inspect(path) == []


def test_a_page_of_which_nothing_can_be_read_is_given_up(shop: Shop, tmp_path: Path) -> None:
    raw = bytearray(shop.raw)
    leaf = shop.middle_leaf("document")
    raw[shop.place(leaf) : shop.place(leaf + 1)] = bytes(shop.page_size)

    with salvage(shop.damaged(tmp_path, raw)) as salvaged:
        written = write(salvaged, tmp_path / "new.db", shop.schema)

    assert written.tables["document"].given_up == 1
    assert written.tables["customer"].given_up == 0


def test_a_full_text_table_whose_configuration_is_lost_is_made_anew(tmp_path: Path) -> None:
    path = make(
        tmp_path / "texts.db",
        "CREATE VIRTUAL TABLE text USING fts5 (body); CREATE TABLE pair (k TEXT, v TEXT, PRIMARY KEY (k))"
        " WITHOUT ROWID",
        {"text": ((f"word{n} and more",) for n in range(50)), "pair": ((f"k{n}", "v") for n in range(20))},
    )
    root = "(SELECT rootpage FROM sqlite_schema WHERE name = 'pair')"
    alter_schema(path, f"UPDATE sqlite_schema SET rootpage = {root} WHERE name = 'text_config'")

    with salvage(path) as salvaged:
        written = write(salvaged, tmp_path / "new.db", schema_of(path))

    assert written.faults == ()
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        assert connection.execute("SELECT count(*) FROM text WHERE text MATCH 'word7'").fetchone() == (1,)


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.text(st.sampled_from("aAbBäÄz 😀\ue000"), max_size=4),
    st.binary(max_size=3),
)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=2, max_size=12))
@example(rows=[("A", 0, "A"), ("A", 0, "\ue000")])
def test_keys_rise_as_sqlite_keeps_them(encoding: str, rows: list[tuple[object, ...]]) -> None:
    sql = "CREATE TABLE held (a COLLATE NOCASE, b, c COLLATE RTRIM, PRIMARY KEY (b DESC, a, c)) WITHOUT ROWID"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.execute(sql)
        connection.executemany("INSERT OR IGNORE INTO held VALUES (?, ?, ?)", rows)
        kept = connection.execute("SELECT b, a, c FROM held").fetchall()
        table = read(connection).tables[0]

    order = KeyOrder(table, shape_of(table), {"UTF-8": "utf-8"}.get(encoding, f"utf-16-{encoding[-2:]}"))

    assert all(order.rises(one, other) for one, other in pairwise(kept))
    assert not any(order.rises(other, one) for one, other in pairwise(kept))
    assert not any(order.rises(one, one) for one in kept)


def test_a_leaf_of_another_table_that_was_copied_over_one_gives_no_rows_there(tmp_path: Path) -> None:
    path = make(
        tmp_path / "copied.db",
        "CREATE TABLE small (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE large (a, b, c)",
        {
            "small": ((n, f"n{n}") for n in range(1, 301)),
            "large": ((None, f"text {n} " * 6, None) for n in range(1, 101)),
        },
    )
    rows = truth(path)
    raw = bytearray(path.read_bytes())
    source, target = leaves_of(path, "small")[0], leaves_of(path, "large")[0]
    raw[(target - 1) * PAGE : target * PAGE] = raw[(source - 1) * PAGE : source * PAGE]
    path.write_bytes(raw)

    with salvage(path) as salvaged:
        found = found_rows(salvaged)

    assert false_rows(rows, found) == 0
    assert found["small"] == rows["small"]
    assert 0 < missing(rows, found) < 12
