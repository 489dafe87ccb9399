from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from schema.pgchange.cases import BOOL, JSON, PARENT, PG_T, ROWS, UTC, table
from schema.pgchange.made import derived_of, schema_with
from schema.pgchange.oracle import connected, rows_of, run, shape_of

from datalayer.errors import DatabaseBusy, MigrationRefused
from datalayer.schema.change.consent import Consent
from datalayer.schema.pgchange.migrate import migrate_existing
from datalayer.testing.postgres import PostgresServer

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    made = postgres.create_database()
    yield made
    postgres.drop_database(made)


def refused(url: str, before: str, rows: str, after: str, **given: Any) -> MigrationRefused:
    """Migrate, be refused, and find everything as it was."""
    with schema_with(url, before, rows) as engine, connected(url, engine.schema_name) as connection:
        shape = shape_of(connection, engine.schema_name)
        with pytest.raises(MigrationRefused) as caught:
            migrate_existing(engine, derived_of(after), exact=given.pop("exact", True), **given)

        assert shape_of(connection, engine.schema_name) == shape
        assert "nothing was changed" in caught.value.what
    return caught.value


def finding(error: MigrationRefused) -> dict[str, Any]:
    assert len(error.findings) == 1, error.findings
    return dict(error.findings[0])


def test_a_column_with_values_is_not_dropped_without_a_word(url: str) -> None:
    error = refused(url, table(), ROWS, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER);")

    found = finding(error)
    assert (found["id"], found["table"], found["object"], found["count"]) == ("data-loss", "t", "s", 2)
    assert found["rows"] == [{"id": 1, "s": "a"}, {"id": 2, "s": "b"}]
    assert error.hint is not None and "--drop table.column" in error.hint


def test_a_column_that_only_looks_like_ours_is_not_cleaned_away(url: str) -> None:
    before = "PG:" + PG_T[3:].format(type='bigint, "~datalayer_0123456789abcdef" integer')

    error = refused(
        url, before, "INSERT INTO t VALUES (1, 2, 3)", "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER);"
    )

    assert finding(error)["object"] == "~datalayer_0123456789abcdef"


def test_a_table_with_rows_is_not_dropped_without_a_word(url: str) -> None:
    error = refused(url, table() + PARENT, ROWS, PARENT)

    assert (finding(error)["object"], finding(error)["count"]) == ("t", 3)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE POLICY p ON t USING (x > 0)", "the policy p on table t"),
        ("CREATE RULE r AS ON UPDATE TO t WHERE NEW.x < 0 DO INSTEAD NOTHING", "the rule r on table t"),
        ("CREATE MATERIALIZED VIEW m AS SELECT x FROM t", "the materialized view m"),
        ("CREATE VIEW o.v AS SELECT x FROM t", "the view o.v"),
        ("CREATE VIEW v AS SELECT x FROM t; CREATE VIEW o.v AS SELECT x FROM v", "the view o.v"),
        ("CREATE TABLE o.c (x integer REFERENCES t (x))", "the constraint c_x_fkey on table o.c"),
        ("CREATE TABLE o.t (x integer UNIQUE); INSERT INTO o.t VALUES (1);"
         "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES o.t (x)", "the constraint f on table t"),
        ("ALTER TABLE t ADD CONSTRAINT e EXCLUDE (x WITH =)", "the constraint e on table t"),
        ("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(x) FROM t; END",
         "the function f()"),
        ("CREATE TABLE o.c (x integer DEFAULT nextval('t_x_seq'))",
         "the default value for column x of table o.c"),
    ],
)  # fmt: skip
def test_what_hangs_on_a_column_and_cannot_be_taken_along_is_named(url: str, made: str, told: str) -> None:
    """PostgreSQL itself would refuse only the last step, when all values have been written anew."""
    other = f"other_{secrets.token_hex(4)}"
    made = made.replace("o.", f"{other}.")
    before = PG_T.format(type=f"serial UNIQUE); CREATE SCHEMA {other}; {made}; CREATE TABLE u (y int")
    after = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER UNIQUE); CREATE TABLE u (y INTEGER);"
        "CREATE VIEW v AS SELECT x FROM t;"
    )

    error = refused(url, before, "INSERT INTO t DEFAULT VALUES", after, exact=False)

    with connected(url, "public") as connection:
        run(connection, f"DROP SCHEMA {other} CASCADE")
    assert told.replace("o.", f"{other}.") in {each["object"] for each in error.findings}
    assert error.hint is not None and "create them again" in error.hint


def test_columns_that_swap_their_names_are_refused(url: str) -> None:
    """Killed behind the renames, the same command would swap them back."""
    given = Consent(renames={"t.n": "s", "t.s": "n"})

    error = refused(url, table().replace("INTEGER, s", "TEXT, s"), ROWS, table(), consent=given)

    assert error.what == "the columns t.n and t.s cannot change names in one run; nothing was changed"


def test_what_looks_like_a_rename_is_suggested_and_not_done(url: str) -> None:
    error = refused(url, table(), ROWS, table().replace(" s ", " sign "))

    assert error.hint is not None and "--rename t.s=sign" in error.hint


def test_a_table_that_looks_renamed_is_suggested(url: str) -> None:
    error = refused(url, table(), ROWS, table().replace("TABLE t ", "TABLE things "))

    assert error.hint is not None and "--rename t=things" in error.hint


@pytest.mark.parametrize(
    ("rename", "words"),
    [
        ({"nothing": "t"}, None),
        ({"t.nothing": "x"}, "there is no column t.nothing"),
        ({"t.n": "s"}, "s is there already"),
        ({"t.n": "other"}, "the wanted table has no column other"),
        ({"no.n": "s"}, "there is no table no"),
        ({"t": "other"}, "the wanted schema has no table other"),
    ],
)
def test_a_rename_that_leads_nowhere_is_refused(url: str, rename: dict[str, str], words: str | None) -> None:
    consent = Consent(renames=rename)
    if words is None:
        # done before: the old name is gone, the new one is there
        with schema_with(url, table(), ROWS) as engine:
            assert migrate_existing(engine, derived_of(table()), consent=consent) == ()
        return
    assert words in refused(url, table(), ROWS, table(", y TEXT"), consent=consent).what


def test_rows_with_null_stand_against_not_null_without_a_default(url: str) -> None:
    error = refused(url, table(), ROWS, table().replace("n INTEGER", "n INTEGER NOT NULL"))

    assert (finding(error)["id"], finding(error)["rows"]) == ("not-null", [{"id": 3, "n": None}])


def test_a_new_column_without_a_value_for_rows_is_refused(url: str) -> None:
    error = refused(url, table(), ROWS, table(", x INTEGER NOT NULL"))

    assert (finding(error)["id"], finding(error)["count"]) == ("not-null", 3)


def test_rows_that_break_a_check_are_named(url: str) -> None:
    error = refused(url, table(), ROWS, table(", CONSTRAINT small CHECK (n < 15)"))

    found = finding(error)
    assert (found["id"], found["object"]) == ("check", "small")
    assert found["rows"] == [{"id": 2, "n": 20}]


def test_the_default_that_fills_rows_must_satisfy_the_check(url: str) -> None:
    after = table(", CONSTRAINT big CHECK (n > 5)").replace("n INTEGER", "n INTEGER NOT NULL DEFAULT 0")
    error = refused(url, table(), ROWS, after)

    assert finding(error)["rows"] == [{"id": 3, "n": 0}]


def test_rows_that_are_not_unique_are_named(url: str) -> None:
    rows = ROWS + "INSERT INTO t VALUES (4, 10, 'q');"
    for after in (table(", CONSTRAINT u UNIQUE (n)"), table("", "CREATE UNIQUE INDEX u ON t (n);")):
        found = finding(refused(url, table(), rows, after))

        assert (found["id"], found["object"], found["count"]) == ("unique", "u", 2)
        assert found["rows"] == [{"id": 1, "n": "10"}, {"id": 4, "n": "10"}]


def test_rows_that_refer_to_nothing_are_named(url: str) -> None:
    after = PARENT + table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES p (id)")
    error = refused(url, PARENT + table(), ROWS + "INSERT INTO p VALUES (10, 'x');", after)

    assert (finding(error)["id"], finding(error)["rows"]) == ("foreign-key", [{"id": 2, "n": 20}])


def test_no_more_than_ten_rows_are_named_and_all_are_counted(url: str) -> None:
    rows = "INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 50) i;"
    found = finding(refused(url, table(), rows, table(", CONSTRAINT c CHECK (n < 1)")))

    assert (found["count"], len(found["rows"])) == (50, 10)


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ("text", "'abc'", "INTEGER"),
        ("text", "'007'", "INTEGER"),
        ("text", "' 7'", "INTEGER"),
        ("text", "'1.50'", "REAL"),
        ("bigint", "9007199254740993", "REAL"),
        ("double precision", "1.5", "INTEGER"),
        ("numeric", "1e30", "INTEGER"),
        ("integer", "2", BOOL),
        ("text", "'yes'", BOOL),
        ("text", "'{'", JSON),
        ("json", """'{"a": 1, "a": 2}'""", JSON),
        ("text", """'[{"a": 1, "a": 2}]'""", JSON),
        ("text", "'2026-01-02T03:04:05+02:00'", UTC),
        ("text", "'2026-13-02T03:04:05Z'", UTC),
        ("bytea", "'\\xff'", "TEXT"),
        ("timestamptz", "'infinity'", "TEXT"),
    ],
)
def test_a_value_that_a_type_would_change_is_named(url: str, old: str, value: str, new: str) -> None:
    rows = f"INSERT INTO t (x) VALUES (NULL), ({value});"
    error = refused(url, PG_T.format(type=old), rows, f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {new});")

    assert (finding(error)["id"], finding(error)["object"]) == ("changed-value", "x")


def test_a_value_that_cannot_be_read_is_refused_even_with_data_loss_allowed(url: str) -> None:
    after = "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER);"
    rows = "INSERT INTO t (x) VALUES ('abc');"
    error = refused(url, PG_T.format(type="text"), rows, after, consent=Consent(allow_data_loss=True))

    assert finding(error)["rows"] == [{"id": 1, "x": "abc"}]


def test_values_that_a_computed_column_would_replace_are_named(url: str) -> None:
    rows = "INSERT INTO t VALUES (1, 10, 'a', 20), (2, 10, 'a', 21);"
    after = table(", x INTEGER GENERATED ALWAYS AS (n * 2) STORED")
    error = refused(url, table(", x INTEGER"), rows, after)

    assert finding(error)["rows"] == [{"id": 2, "x": 21}]


def test_a_partitioned_table_is_told_and_left_alone(url: str) -> None:
    before = "PG:CREATE TABLE t (id bigint NOT NULL, n bigint) PARTITION BY RANGE (id)"
    error = refused(url, before, "", "CREATE TABLE t (id INTEGER NOT NULL, n INTEGER, x TEXT);")

    assert finding(error)["id"] == "unchangeable"


def test_a_column_that_a_view_of_another_program_reads_is_not_dropped(url: str) -> None:
    before = table(", x TEXT", "CREATE VIEW theirs AS SELECT id, x FROM t;")
    error = refused(url, before, ROWS, table(), exact=False)

    assert (finding(error)["id"], finding(error)["object"]) == ("unchangeable", "theirs")


def test_the_history_of_migrations_is_never_touched(url: str) -> None:
    before = "PG:CREATE TABLE migrations (id serial PRIMARY KEY, name varchar(9)); CREATE TABLE t (n bigint)"
    after = "CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE t (n INTEGER);"
    with schema_with(url, before, "INSERT INTO migrations (name) VALUES ('one');") as engine:
        for script in (after, "CREATE TABLE t (n INTEGER);"):
            assert migrate_existing(engine, derived_of(script), exact=True) == ()


def test_what_a_schema_file_cannot_make_stays(url: str) -> None:
    before = (
        "PG:CREATE TYPE mood AS ENUM ('ok'); CREATE SEQUENCE own;"
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE TABLE t (n bigint); CREATE MATERIALIZED VIEW m AS SELECT 1 AS x"
    )
    with schema_with(url, before) as engine, connected(url, engine.schema_name) as connection:
        assert migrate_existing(engine, derived_of("CREATE TABLE t (n INTEGER);"), exact=True) == ()

        assert rows_of(connection, "m", "x, nextval('own'), f(), 'ok'::mood::text") == [(1, 1, 1, "ok")]


def test_who_holds_the_lock_is_told_and_nothing_is_changed(url: str) -> None:
    with schema_with(url, table(), ROWS) as engine, connected(url, engine.schema_name) as holder:
        derived = derived_of(table(", x TEXT"))
        with holder.transaction():
            run(holder, "SELECT * FROM t")
            with pytest.raises(DatabaseBusy) as caught:
                migrate_existing(engine, derived, lock_timeout_s=0.2)

        assert caught.value.why is not None and f"process {holder.info.backend_pid}" in caught.value.why
        assert [step.name for step in migrate_existing(engine, derived, lock_timeout_s=5)] == ["x"]
