from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from schema.schemas import Made, schemas

from datalayer.errors import MigrationRefused
from datalayer.schema.declaration import read_trigger, read_view
from datalayer.schema.difference import differences
from datalayer.schema.history import consolidated_sql
from datalayer.schema.snapshot import Schema, Table, read, read_text
from datalayer.schema.tokens import fold, split, tokenize


def only_table(script: str) -> Table:
    return read_text(script).tables[0]


@given(schemas())
def test_names_types_and_references_survive_whatever_they_are_called(made: Made) -> None:
    schema = read_text(made.script)

    assert [table.name for table in schema.tables] == [table.name for table in made.tables]
    for expected, table in zip(made.tables, schema.tables):
        assert [column.name for column in table.columns][1 : len(expected.columns) + 1] == [
            column.name for column in expected.columns
        ]
        assert [column.type for column in table.columns][1 : len(expected.columns) + 1] == [
            column.type for column in expected.columns
        ]
        assert [index.name for index in table.indexes] == [expected.index_name]
        assert table.uniques[0].name == f"u {expected.name}"
        assert [key.parent for key in table.foreign_keys] == ([expected.parent] if expected.parent else [])
        assert all(key.is_deferred and key.on_delete == "CASCADE" for key in table.foreign_keys)


@given(schemas())
def test_the_fingerprint_ignores_layout_and_comments(made: Made) -> None:
    spaced: list[str] = []
    for token in tokenize(made.script):
        spaced.append({"space": "\n\t ", "comment": "/* other; */"}.get(token.kind, token.text))
        # a comment between any two tokens changes nothing, for tokens are read one by one
        spaced.append("/* x */ " if token.kind in ("operator", "string") and token.text != ";" else "")

    assert read_text("".join(spaced)).fingerprint() == read_text(made.script).fingerprint()


@given(schemas())
def test_a_schema_made_again_from_its_own_texts_has_the_same_fingerprint(made: Made) -> None:
    schema = read_text(made.script)
    texts = [table.sql for table in schema.tables]
    texts += [index.sql for table in schema.tables for index in table.indexes]

    again = read_text(";\n".join(texts))

    assert again.fingerprint() == schema.fingerprint()
    assert differences(schema, again) == []


@given(schemas())
def test_text_and_pragmas_agree_on_references_and_keys(made: Made) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(made.script)
    schema = read(connection)
    for table in schema.tables:
        pragma = connection.execute(
            'SELECT "table", on_delete, "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC',
            (table.name,),
        ).fetchall()
        assert pragma == [
            (key.parent, key.on_delete, key.columns[0], key.parent_columns[0]) for key in table.foreign_keys
        ]
        origins = connection.execute("SELECT origin FROM pragma_index_list(?)", (table.name,)).fetchall()
        assert origins.count(("u",)) == len(table.uniques)
    connection.close()


def test_the_snapshot_of_a_file_equals_that_of_the_text_it_was_made_from(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "app.db", isolation_level=None)
    connection.executescript(consolidated_sql())

    live = read(connection)

    connection.close()
    assert live == read_text(consolidated_sql())
    assert live.fingerprint() == read_text(consolidated_sql()).fingerprint()


def test_a_snapshot_taken_with_an_earlier_one_is_what_a_new_one_would_be() -> None:
    script = """
    CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT UNIQUE, b INTEGER REFERENCES b (id));
    CREATE TABLE b (id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 0));
    CREATE INDEX i ON a (t, b);
    CREATE VIEW v AS SELECT * FROM a;
    CREATE TRIGGER g AFTER INSERT ON a BEGIN SELECT 1; END;
    CREATE VIRTUAL TABLE f USING fts5 (t, content='a');
    ALTER TABLE a ADD COLUMN c REAL;
    ALTER TABLE b RENAME TO d;
    ALTER TABLE a RENAME COLUMN t TO u;
    DROP INDEX i;
    CREATE INDEX i ON d (n);
    DROP TABLE d;
    CREATE TABLE d (id INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE b AS SELECT * FROM v;
    DROP TABLE f
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        schema = read(connection)
        for statement in split(script):
            connection.execute(statement.text)
            schema = read(connection, schema)

            assert schema == read(connection), statement.text


def test_names_of_all_kinds_of_constraints_are_read() -> None:
    table = only_table(
        """
        CREATE TABLE p (id INTEGER PRIMARY KEY);
        CREATE TABLE t (
            a TEXT CONSTRAINT a_given NOT NULL CONSTRAINT a_short CHECK (length(a) < 9) COLLATE NOCASE,
            b INTEGER CONSTRAINT b_ref REFERENCES p ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
            c AS (a || b) STORED,
            CONSTRAINT key PRIMARY KEY (b DESC, a),
            CONSTRAINT one UNIQUE (a COLLATE RTRIM, b) ON CONFLICT IGNORE
            CONSTRAINT two CHECK (a <> ')')
            FOREIGN KEY (a, b) REFERENCES t (b, a)
        );
    """.replace("CREATE TABLE p (id INTEGER PRIMARY KEY);", "", 1)
    )

    assert table.columns[0].not_null_name == "a_given"
    assert table.columns[0].collation == "NOCASE"
    assert (table.columns[2].generated, table.columns[2].is_stored) == ("a || b", True)
    assert table.primary_key is not None
    assert table.primary_key.name == "key"
    assert [(term.column, term.descending) for term in table.primary_key.terms] == [("b", True), ("a", False)]
    assert (table.uniques[0].name, table.uniques[0].conflict) == ("one", "IGNORE")
    assert table.uniques[0].terms[0].collation == "RTRIM"
    assert [(check.name, check.expression, check.column) for check in table.checks] == [
        ("a_short", "length(a) < 9", "a"),
        ("two", "a <> ')'", None),
    ]
    assert table.foreign_keys[0].on_update == "SET NULL"
    assert table.foreign_keys[0].is_deferred
    # a name holds on until the next comma, as in SQLite's own parser
    assert (table.foreign_keys[1].name, table.foreign_keys[1].columns) == ("two", ("a", "b"))


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ("a INTEGER PRIMARY KEY", "a"),
        ("a integer, b TEXT, PRIMARY KEY (a)", "a"),
        ("a INT PRIMARY KEY", None),
        ("a INTEGER PRIMARY KEY DESC", None),
        ("a INTEGER, b INTEGER, PRIMARY KEY (a, b)", None),
    ],
)
def test_the_column_that_is_the_rowid_is_known(declaration: str, expected: str | None) -> None:
    column = only_table(f"CREATE TABLE t ({declaration})").rowid_column

    assert (column.name if column else None) == expected


def test_a_rule_counts_the_same_at_its_column_and_at_the_end_of_the_table() -> None:
    at_column = read_text("CREATE TABLE t (a INTEGER CONSTRAINT r CHECK (a > 0) CONSTRAINT u UNIQUE)")
    at_end = read_text('create table T ("a" integer, CONSTRAINT u UNIQUE (a), CONSTRAINT r CHECK ("a" > 0))')

    assert at_column.fingerprint() == at_end.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        "CREATE TABLE t (a INTEGER DEFAULT 1, b TEXT)",
        "CREATE TABLE t (a INTEGER NOT NULL, b TEXT)",
        "CREATE TABLE t (b TEXT, a INTEGER)",
        "CREATE TABLE t (a INTEGER, b TEXT) STRICT",
        "CREATE TABLE t (a INTEGER, b TEXT COLLATE NOCASE)",
        "CREATE TABLE t (a INTEGER, b TEXT CHECK (b <> 'X'))",
        "CREATE TABLE t (a INTEGER UNIQUE, b TEXT)",
        "CREATE TABLE t (a INTEGER REFERENCES t, b TEXT)",
        "CREATE TABLE t (a INTEGER, b TEXT); CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a INTEGER, b TEXT); CREATE VIEW v AS SELECT * FROM t",
        "CREATE TABLE t (a INTEGER, b TEXT); CREATE TRIGGER r AFTER DELETE ON t BEGIN SELECT 1; END",
    ],
)
def test_every_change_of_meaning_changes_the_fingerprint(other: str) -> None:
    plain = read_text("CREATE TABLE t (a INTEGER, b TEXT)")

    assert read_text(other).fingerprint() != plain.fingerprint()
    assert any(difference.name in ("t", "i", "v", "r") for difference in differences(plain, read_text(other)))


def test_letters_of_a_text_in_a_rule_make_a_difference() -> None:
    small = read_text('CREATE TABLE t (a TEXT CHECK (a <> "abc"))')
    capital = read_text('CREATE TABLE t (a TEXT CHECK (a <> "ABC"))')

    assert small.fingerprint() != capital.fingerprint()


def test_virtual_tables_and_their_shadows_are_told_apart() -> None:
    schema = read_text("CREATE VIRTUAL TABLE docs USING fts5(title, body); CREATE TABLE plain (a)")

    assert {table.name: table.kind for table in schema.tables} == {
        "docs": "virtual",
        "docs_data": "shadow",
        "docs_idx": "shadow",
        "docs_content": "shadow",
        "docs_docsize": "shadow",
        "docs_config": "shadow",
        "plain": "table",
    }


def test_a_table_made_from_a_query_and_columns_added_later_are_read() -> None:
    schema = read_text("""
        CREATE TABLE source (a TEXT NOT NULL, b INTEGER);
        CREATE TABLE copy AS SELECT a, b + 1 AS "b + 1" FROM source;
        ALTER TABLE source ADD COLUMN c INTEGER CONSTRAINT c_small CHECK (c < 5) REFERENCES source (rowid);
        ALTER TABLE source RENAME COLUMN c TO "d e";
    """)

    assert [column.name for column in schema.tables[1].columns] == ["a", "b + 1"]
    assert [column.name for column in schema.tables[0].columns] == ["a", "b", "d e"]
    assert schema.tables[0].checks[0].expression == '"d e" < 5'


def test_user_version_and_application_id_are_part_of_the_schema() -> None:
    schema = read_text("PRAGMA user_version = 12; pragma application_id(77); CREATE TABLE t (a)")

    assert (schema.user_version, schema.application_id) == (12, 77)


def test_a_script_is_read_without_touching_any_file(tmp_path: Path) -> None:
    victim = tmp_path / "victim.db"

    with pytest.raises(MigrationRefused, match="line 2"):
        read_text(f"CREATE TABLE t (a);\nATTACH '{victim}' AS other;\nCREATE TABLE other.x (a)")

    assert not victim.exists()


def test_a_bad_statement_is_named_with_its_line_and_reason() -> None:
    with pytest.raises(MigrationRefused) as caught:
        read_text("CREATE TABLE t (a);\n\n-- next\nCREATE INDEX i ON t (missing);", source="app.sql")

    assert caught.value.what == "app.sql, line 4: CREATE INDEX i ON is refused"
    assert caught.value.why == "no such column: missing"


def test_begin_commit_and_settings_in_a_script_are_passed_over() -> None:
    schema = read_text(
        "PRAGMA foreign_keys = OFF; BEGIN; CREATE TABLE t (a); COMMIT; PRAGMA journal_mode = WAL;"
    )

    assert [table.name for table in schema.tables] == ["t"]


def test_the_parts_of_a_trigger_are_read() -> None:
    trigger = read_trigger("""
        CREATE TRIGGER IF NOT EXISTS main."a trigger" /* c */ AFTER UPDATE OF a, "b c" ON t
        WHEN NEW.begin IS NOT OLD.begin AND CASE WHEN 1 THEN 1 END
        BEGIN SELECT ';', CASE a WHEN 1 THEN 2 END FROM t; DELETE FROM t; END""")

    assert (trigger.timing, trigger.event, trigger.of_columns) == ("AFTER", "UPDATE", ("a", "b c"))
    assert trigger.table == "t"
    assert trigger.when == "NEW.begin IS NOT OLD.begin AND CASE WHEN 1 THEN 1 END"
    assert trigger.statements == ("SELECT ';', CASE a WHEN 1 THEN 2 END FROM t", "DELETE FROM t")


def test_the_parts_of_a_view_are_read() -> None:
    view = read_view('CREATE VIEW "v w" (a, "b c") AS SELECT 1, 2 -- end')

    assert (view.columns, view.query) == (("a", "b c"), "SELECT 1, 2")


def test_differences_say_how_a_table_differs() -> None:
    expected = read_text(
        "CREATE TABLE t (a INTEGER NOT NULL, b TEXT CONSTRAINT b_ok CHECK (b <> ''), c REAL)"
    )
    found = read_text("CREATE TABLE t (a TEXT, b TEXT, d INTEGER)")

    [difference] = differences(expected, found)

    assert str(difference) == (
        "table t is changed: column c missing; column d unexpected; "
        "column a is TEXT, expected INTEGER; CHECK b_ok missing"
    )


def test_differences_name_what_is_missing_extra_or_of_another_kind() -> None:
    expected = read_text(
        "CREATE TABLE t (a); CREATE INDEX i ON t (a); CREATE TABLE u (a); CREATE INDEX j ON u (a)"
    )
    found = read_text("CREATE TABLE t (a); CREATE TABLE x (a); CREATE VIEW u AS SELECT * FROM x")

    assert [str(difference) for difference in differences(expected, found)] == [
        "index i of t is missing",
        "table u is missing: a view of that name stands there",
        "table x is extra",
        "view u is extra",
    ]


def test_lookups_take_names_in_any_letter_case() -> None:
    schema: Schema = read_text("CREATE TABLE People (Name TEXT)")
    table = schema.table("PEOPLE")

    assert table is not None
    assert table.column("nAME") is not None
    assert schema.table("nobody") is None
    assert fold("PEOPLE") in schema.names
