"""Values that break the rules of their table: counted by rule, with the keys of the first ten rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.engine.opening import open_engine
from datalayer.schema.check import Finding, check, check_file
from datalayer.schema.snapshot import read_text

PARENT = "CREATE TABLE p (id INTEGER PRIMARY KEY)"


def make(path: Path, script: str, *rows: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(script)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for row in rows:
            connection.execute(row)
    return path


def redeclare(path: Path, table: str, script: str) -> None:
    """Give a table another text, as a writer of sqlite_schema would, its rows left as they are."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (script, table))


def look(path: Path) -> list[Finding]:
    return check_file(path, with_schema=False)


def told(findings: Sequence[Finding]) -> list[tuple[str, str | None, str | None, int]]:
    return [(one.id, one.table, one.object, one.count) for one in findings]


def test_a_broken_check_names_its_rows(tmp_path: Path) -> None:
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER CONSTRAINT small CHECK (a < 10))"
    path = make(
        tmp_path / "a.db",
        script,
        *(f"INSERT INTO t VALUES ({number}, {number})" for number in range(5, 30)),
    )

    [finding] = look(path)

    assert told([finding]) == [("DL-C003", "t", "small", 20)]
    assert list(finding.rows) == [{"id": number} for number in range(10, 20)]


def test_invalid_json_is_told_apart_from_other_rules(tmp_path: Path) -> None:
    rule = "CONSTRAINT doc_json CHECK (doc IS NULL OR json_valid(doc))"
    script = f"CREATE TABLE t (id TEXT PRIMARY KEY, doc TEXT {rule})"
    path = make(tmp_path / "a.db", script, "INSERT INTO t VALUES ('x', '{'), ('y', '{}'), ('z', NULL)")

    [finding] = look(path)

    assert told([finding]) == [("DL-C008", "t", "doc_json", 1)]
    assert list(finding.rows) == [{"id": "x"}]


@pytest.mark.parametrize("tail", ["", " STRICT", " WITHOUT ROWID"])
def test_text_that_is_not_utf8_is_found_in_every_kind_of_table(tmp_path: Path, tail: str) -> None:
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT){tail}"
    path = make(
        tmp_path / "a.db",
        script,
        "INSERT INTO t VALUES (1, 'é', 'ok'), (2, CAST(x'C328' AS TEXT), NULL), (3, '', CAST(x'80' AS TEXT))",
    )

    findings = look(path)

    assert told(findings) == [("DL-C007", "t", "a", 1), ("DL-C007", "t", "b", 1)]
    assert [list(one.rows) for one in findings] == [[{"id": 2}], [{"id": 3}]]


def test_a_blob_is_no_text(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db", "CREATE TABLE t (a, b BLOB, c TEXT)", "INSERT INTO t VALUES (x'C3', x'80', x'FF')"
    )

    assert look(path) == []


def test_null_and_types_of_a_strict_table_are_counted(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT)",
        "INSERT INTO t VALUES (1, NULL, 'x'), (2, 'word', 'y'), (3, 3, x'00')",
    )
    redeclare(path, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b TEXT) STRICT")

    findings = look(path)

    assert told(findings) == [("DL-C005", "t", "a", 1), ("DL-C006", "t", "a", 1), ("DL-C006", "t", "b", 1)]
    assert findings[1].rows[0]["id"] == 2


def test_values_that_do_not_suit_the_affinity_are_warnings(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, d DATE, v VARCHAR(3))",
        "INSERT INTO t VALUES (1, 'word', '2026-01-01', 'x'), (2, 2, 5, 'y')",
    )

    [finding] = look(path)

    assert (*told([finding])[0], finding.severity) == ("DL-C006", "t", "a", 1, "warning")


def test_rows_that_a_unique_key_does_not_tell_apart_are_found(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX t_a ON t (a)",
        "INSERT INTO t VALUES (1, 'x'), (2, 'x'), (3, 'y')",
    )
    redeclare(path, "t_a", "CREATE UNIQUE INDEX t_a ON t (a)")

    findings = look(path)

    assert ("DL-C009", "t", "t_a", 2) in told(findings)


def test_references_without_parent_name_their_rows(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        f"{PARENT}; CREATE TABLE c (id TEXT PRIMARY KEY, p CONSTRAINT c_p REFERENCES p)",
        "INSERT INTO c VALUES ('a', 1), ('b', NULL), ('c', 2)",
    )

    [finding] = look(path)

    assert told([finding]) == [("DL-C010", "c", "c_p", 2)]
    assert list(finding.rows) == [{"id": "a", "p": 1}, {"id": "c", "p": 2}]


def test_a_reference_that_cannot_be_resolved_is_told_and_the_others_are_checked(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT);"
        " CREATE TABLE a (x REFERENCES p (name)); CREATE TABLE b (y REFERENCES p)",
        "INSERT INTO a VALUES ('n')",
        "INSERT INTO b VALUES (7)",
    )

    assert told(look(path)) == [("DL-C004", "a", None, 1), ("DL-C010", "b", "b(y)", 1)]


def test_a_sequence_behind_its_table_is_found(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (5), (9)",
        "UPDATE sqlite_sequence SET seq = 6",
    )

    [finding] = look(path)

    assert (finding.id, finding.table, finding.count, finding.repair) == ("DL-C011", "t", 3, "automatic")


def test_a_named_constraint_that_is_missing_is_told_by_name(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t (a INTEGER CONSTRAINT low CHECK (a > 1))")
    wanted = "CREATE TABLE t (a INTEGER CONSTRAINT low CHECK (a > 0) CONSTRAINT high CHECK (a < 9))"

    findings = check_file(path, expected=read_text(wanted))

    assert {(one.id, one.object) for one in findings} == {
        ("DL-C021", None),
        ("DL-C021", "low"),
        ("DL-C020", "high"),
    }


def test_a_table_of_many_rows_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        rows = ((number * 3 - 500, "x" * (number % 90)) for number in range(20_000))
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.execute("INSERT INTO t VALUES (9223372036854775807, CAST(x'FF' AS TEXT))")
        connection.commit()

    assert told(look(path)) == [("DL-C007", "t", "a", 1)]


@given(
    st.lists(st.one_of(st.none(), st.integers(-(1 << 63), (1 << 63) - 1), st.text(), st.binary()), max_size=8)
)
def test_valid_values_of_any_kind_are_no_finding_and_bad_text_always_is(values: list[object]) -> None:
    engine = open_engine(":memory:")
    try:
        engine.write("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
        for value in values:
            if not (isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)):
                engine.write("INSERT INTO t (a) VALUES (?)", (value,))
        assert check(engine, with_schema=False) == []

        engine.write("INSERT INTO t (a) VALUES (CAST(x'61C0' AS TEXT))")
        assert told(check(engine, with_schema=False)) == [("DL-C007", "t", "a", 1)]
    finally:
        engine.close()


def test_progress_reaches_the_number_of_pages(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('x')")
    seen: list[tuple[int, int]] = []

    check_file(path, with_schema=False, progress=lambda done, total: seen.append((done, total)))

    assert seen[-1] == (2, 2)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
