from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from schema.pgchange.cases import CASES, PG_T, ROWS, TOUCH, table
from schema.pgchange.made import derived_of, fill, schema_with
from schema.pgchange.oracle import connected, rows_of, run, shape_of

from datalayer.engine.connection import Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseUnavailable
from datalayer.schema.history import consolidated_sql
from datalayer.schema.migrator import migrate
from datalayer.schema.pgchange.migrate import migrate_existing
from datalayer.schema.pgchange.names import mentions, rename_in
from datalayer.testing.postgres import PostgresServer

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

MANY = "INSERT INTO t (x) SELECT i FROM generate_series(1, 20000) i; ANALYZE t;"


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    made = postgres.create_database()
    yield made
    postgres.drop_database(made)


def test_a_plan_changes_nothing_and_tells_way_rows_bytes_seconds_and_risk(url: str) -> None:
    after = "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL DEFAULT ''); CREATE INDEX i ON t (x);"
    with schema_with(url, PG_T.format(type="integer"), MANY) as engine:
        with connected(url, engine.schema_name) as connection:
            before = shape_of(connection, engine.schema_name)

            steps = migrate_existing(engine, derived_of(after), plan=True)

            assert shape_of(connection, engine.schema_name) == before
    fill = next(step for step in steps if step.kind == "rows")
    assert (fill.cost, fill.rows) == ("weak", 20_000)
    assert fill.size_bytes is not None and fill.size_bytes > 500_000
    assert fill.seconds is not None and 0.1 < fill.seconds < 10
    index = next(step for step in steps if step.kind == "index")
    assert "CREATE INDEX CONCURRENTLY" in index.sql and index.cost == "weak"
    swap = steps[-1]
    assert swap.cost == "free" and swap.seconds is not None and swap.seconds < 0.1
    assert swap.risk.endswith("ACCESS EXCLUSIVE on t: nobody reads or writes t meanwhile")


def test_a_computed_column_is_told_to_write_the_table_anew(url: str) -> None:
    after = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER, y INTEGER GENERATED ALWAYS AS (x + 1) STORED);"
    )
    with schema_with(url, PG_T.format(type="bigint"), MANY) as engine:
        steps = migrate_existing(engine, derived_of(after), plan=True)

    assert [(step.cost, step.rows) for step in steps] == [("rewrite", 20_000)]
    assert "the whole table is written anew" in steps[0].risk


def test_the_package_s_own_schema_is_recognised_as_it_is(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    migrate(engine)

    assert migrate_existing(engine, derived_of(consolidated_sql()), exact=True) == ()
    engine.close()


def test_the_package_s_own_schema_comes_back_whatever_was_taken_away(postgres_database: str) -> None:
    derived = derived_of(consolidated_sql())
    engine = open_engine(postgres_database)
    migrate(engine)
    with connected(postgres_database, "public") as connection:
        run(connection, "INSERT INTO sessions (id, name, project_directory, project_hash)"
            " VALUES ('s', 'n', '/', repeat('a', 64))")  # fmt: skip
        wanted = shape_of(connection, "public")
        for damage in (
            "DROP INDEX sessions_name",
            "DROP TRIGGER sessions_touch ON sessions",
            "ALTER TABLE sessions DROP CONSTRAINT sessions_project_hash_length",
            "ALTER TABLE sessions ALTER COLUMN name DROP NOT NULL",
            "ALTER TABLE included_files DROP CONSTRAINT included_files_session",
            "ALTER TABLE sessions ALTER COLUMN updated_at TYPE timestamp",
            "ALTER TABLE sessions ALTER COLUMN title_regex TYPE varchar(50)",
            "ALTER TABLE sessions ALTER COLUMN search_term DROP DEFAULT",
            "DROP TABLE key_value_store",
        ):
            run(connection, damage)

        migrate_existing(engine, derived)

        assert shape_of(connection, "public") == wanted
        assert rows_of(connection, "sessions", "id, name") == [("s", "n")]
    engine.close()


# what a schema file does not speak of, as statements, and how each is seen again
KEPT = {
    "COMMENT ON COLUMN t.x IS 'a number'": "col_description('t'::regclass, (SELECT attnum FROM pg_attribute"
    " WHERE attrelid = 't'::regclass AND attname = 'x')) = 'a number'",
    "GRANT UPDATE (x) ON t TO {role} WITH GRANT OPTION":
    "has_column_privilege('{role}', 't', 'x', 'UPDATE WITH GRANT OPTION')",
    "ALTER TABLE t ALTER x SET STATISTICS 321, ALTER x SET (n_distinct = 5)":
    "(SELECT attstattarget = 321 AND attoptions = '{{n_distinct=5}}' FROM pg_attribute"
    " WHERE attrelid = 't'::regclass AND attname = 'x')",
    "ANALYZE t": "(SELECT count(*) = 1 FROM pg_stats WHERE schemaname = current_schema"
    " AND tablename = 't' AND attname = 'x')",
    "CREATE STATISTICS pair ON x, y FROM t": "(SELECT count(*) = 1 FROM pg_statistic_ext s"
    " WHERE s.stxrelid = 't'::regclass AND stxname = 'pair')",
    "COMMENT ON INDEX i IS 'by number'": "obj_description('i'::regclass) = 'by number'",
    "ALTER TABLE t REPLICA IDENTITY USING INDEX i; ALTER TABLE t CLUSTER ON i":
    "(SELECT indisreplident AND indisclustered FROM pg_index WHERE indexrelid = 'i'::regclass)",
    "COMMENT ON CONSTRAINT t_pkey ON t IS 'key'": "(SELECT obj_description(oid) = 'key' FROM pg_constraint"
    " WHERE conrelid = 't'::regclass AND conname = 't_pkey')",
    "ALTER TABLE t ENABLE ALWAYS TRIGGER theirs; COMMENT ON TRIGGER theirs ON t IS 'audit'":
    "(SELECT tgenabled = 'A' AND obj_description(oid) = 'audit' FROM pg_trigger"
    " WHERE tgrelid = 't'::regclass AND tgname = 'theirs')",
    "ALTER VIEW v OWNER TO {role}": "pg_get_userbyid((SELECT relowner FROM pg_class"
    " WHERE oid = 'v'::regclass)) = '{role}'",
    "ALTER VIEW v SET (security_barrier = true)":
    "(SELECT reloptions = '{{security_barrier=true}}' FROM pg_class WHERE oid = 'v'::regclass)",
    "COMMENT ON VIEW v IS 'seen'; COMMENT ON COLUMN v.x IS 'seen number'":
    "obj_description('v'::regclass) || col_description('v'::regclass, 1) = 'seenseen number'",
    "GRANT SELECT ON v TO {other} WITH GRANT OPTION; GRANT SELECT (x) ON v TO PUBLIC":
    "has_table_privilege('{other}', 'v', 'SELECT WITH GRANT OPTION')"
    " AND has_column_privilege('{stranger}', 'v', 'x', 'SELECT')"
    " AND NOT has_table_privilege('{stranger}', 'v', 'SELECT')",
    "CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING":
    "(SELECT count(*) = 1 FROM pg_rules WHERE schemaname = current_schema AND rulename = 'r')",
}  # fmt: skip


def test_what_a_schema_file_does_not_speak_of_is_kept_on_what_is_made_again(url: str) -> None:
    names = {who: f"{who}_{secrets.token_hex(4)}" for who in ("role", "other", "stranger")}
    before = "PG:" + PG_T[3:].format(type="integer NOT NULL, y integer") + (
        "CREATE UNIQUE INDEX i ON t (x); CREATE VIEW v AS SELECT x FROM t; CREATE SCHEMA {other};"
        "CREATE FUNCTION {other}.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER theirs BEFORE UPDATE OF x ON t FOR EACH ROW EXECUTE FUNCTION {other}.f();"
    ).format(**names)  # fmt: skip
    after = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER NOT NULL, y INTEGER);"
        "CREATE UNIQUE INDEX i ON t (x); CREATE VIEW v AS SELECT x FROM t;"
    )
    with schema_with(url, before, "INSERT INTO t (x) VALUES (1);") as engine:
        with connected(url, engine.schema_name) as connection:
            run(connection, "".join(f"CREATE ROLE {name};" for name in names.values()))
            run(connection, f"GRANT ALL ON SCHEMA {engine.schema_name} TO {names['role']}")
            for statement in KEPT:
                run(connection, statement.format(**names))
            # a view made anew would have these too, the one that there is has not
            run(connection, f"ALTER DEFAULT PRIVILEGES IN SCHEMA {engine.schema_name}"
                f" GRANT SELECT ON TABLES TO {names['stranger']}")  # fmt: skip

            migrate_existing(engine, derived_of(after), exact=True)

            (asked,) = rows_of(connection, "t", ", ".join(KEPT.values()).format(**names))
            run(connection, "".join(f"DROP OWNED BY {name} CASCADE;" for name in names.values()))
            run(connection, f"DROP SCHEMA {names['other']} CASCADE;")
            run(connection, "".join(f"DROP ROLE {name};" for name in names.values()))
    assert dict(zip(KEPT, asked)) == dict.fromkeys(KEPT, True)


@pytest.fixture
def plain_user(postgres: PostgresServer, url: str) -> Iterator[str]:
    """A role without any rights of a superuser; it may create schemas in the database."""
    role = f"plain_{secrets.token_hex(4)}"
    with connected(url, "public") as connection:
        run(connection, f"CREATE ROLE {role} LOGIN PASSWORD 'word'")
        run(connection, f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {role}")
        yield role
        run(connection, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_a_user_who_may_not_silence_triggers_gets_a_rewrite_that_fires_none(
    postgres: PostgresServer, url: str, plain_user: str
) -> None:
    before = table(", x TEXT", TOUCH)
    after = before.replace("n INTEGER", "n TEXT")
    with schema_with(url, before, ROWS) as owner, connected(url, owner.schema_name) as connection:
        schema = owner.schema_name
        run(connection, f"ALTER SCHEMA {schema} OWNER TO {plain_user}; ALTER TABLE t OWNER TO {plain_user};"
            f"ALTER FUNCTION touch() OWNER TO {plain_user}")  # fmt: skip
        theirs = postgres.tcp_url(connection.info.dbname, user=plain_user, password="word")
        engine = open_engine(theirs, Options(schema_name=schema))

        steps = migrate_existing(engine, derived_of(after), exact=True)

        engine.close()
        assert "rewrite" in {step.cost for step in steps}
        assert rows_of(connection, "t", "id, n, x") == [(1, "10", None), (2, "20", None), (3, None, None)]


@pytest.mark.parametrize("name", ["a column with everything on it gets another type", "an index is changed"])
def test_a_user_who_may_not_create_schemas_can_migrate(
    postgres: PostgresServer, url: str, plain_user: str, name: str
) -> None:
    case = next(case for case in CASES if case.name == name)
    derived, schema = derived_of(case.after), f"own_{plain_user}"
    with connected(url, "public") as connection:
        database = connection.info.dbname
        run(connection, f"REVOKE CREATE ON DATABASE {database} FROM {plain_user}")
        run(connection, f"CREATE SCHEMA {schema} AUTHORIZATION {plain_user}")
    theirs = postgres.tcp_url(database, user=plain_user, password="word")
    engine = open_engine(theirs, Options(schema_name=schema))
    with connected(theirs, schema) as connection, schema_with(url, case.after) as fresh:
        fill(connection, case.before, case.rows)

        migrate_existing(engine, derived, exact=True)

        assert migrate_existing(engine, derived, exact=True) == ()
        with connected(url, fresh.schema_name) as other:
            assert shape_of(connection, schema) == shape_of(other, fresh.schema_name)
    engine.close()


def test_a_user_who_may_not_create_schemas_finds_the_package_s_own_schema_current(
    postgres: PostgresServer, url: str, plain_user: str
) -> None:
    derived, schema = derived_of(consolidated_sql()), f"own_{plain_user}"
    with connected(url, "public") as connection:
        database = connection.info.dbname
        run(connection, f"REVOKE CREATE ON DATABASE {database} FROM {plain_user}")
        run(connection, f"CREATE SCHEMA {schema} AUTHORIZATION {plain_user}")
    theirs = postgres.tcp_url(database, user=plain_user, password="word")
    engine = open_engine(theirs, Options(schema_name=schema))
    with connected(theirs, schema) as connection:
        fill(connection, consolidated_sql(), "")

    assert migrate_existing(engine, derived, exact=True) == ()
    engine.close()


def test_a_user_who_may_make_nothing_is_told(postgres: PostgresServer, url: str, plain_user: str) -> None:
    with connected(url, "public") as connection:
        name = connection.info.dbname
        run(connection, f"REVOKE CREATE ON DATABASE {name} FROM {plain_user}")
        run(connection, f"REVOKE TEMP ON DATABASE {name} FROM PUBLIC")
    engine = open_engine(postgres.tcp_url(name, user=plain_user, password="word"))

    with pytest.raises(DatabaseUnavailable) as caught:
        migrate_existing(engine, derived_of(table()))

    assert "permission" in caught.value.what
    assert caught.value.hint is not None and caught.value.hint.startswith("GRANT CREATE ON DATABASE")
    engine.close()
    with connected(url, "public") as connection:
        run(connection, f"GRANT TEMP ON DATABASE {name} TO PUBLIC")


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("(a > 0)", "(b > 0)"),
        ("((a)::text = 'a'::text)", "((b)::text = 'a'::text)"),
        ('(a(a) = "a")', "(a(b) = b)"),
        ("(x)::a", "(x)::a"),
        ("new.a IS DISTINCT FROM old.a", "new.b IS DISTINCT FROM old.b"),
        ('(x COLLATE "a" > aa)', '(x COLLATE "a" > aa)'),
        ("E'a\\\\' || a", "E'a\\\\' || b"),
    ],
)
def test_a_name_is_replaced_where_it_is_a_name(text: str, renamed: str) -> None:
    assert rename_in(text, {"a": "b"}) == renamed
    assert mentions(text, "a") == (text != renamed)


def test_a_new_name_is_quoted_where_it_must_be() -> None:
    assert rename_in("(a > 0)", {"a": "order"}) == '("order" > 0)'
    assert rename_in("(a > 0)", {"a": 'B "c'}) == '("B ""c" > 0)'


def test_views_of_other_programs_come_back(url: str) -> None:
    before = PG_T.format(type="integer") + "CREATE VIEW theirs AS SELECT x FROM t"
    with schema_with(url, before, "INSERT INTO t (x) VALUES (1);") as engine:
        migrate_existing(engine, derived_of("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);"))

        with connected(url, engine.schema_name) as connection:
            assert rows_of(connection, "theirs", "x") == [("1",)]


def test_indexes_and_triggers_of_other_programs_come_back_with_a_replaced_column(url: str) -> None:
    before = PG_T.format(type="integer") + (
        "CREATE INDEX theirs ON t (x DESC); CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER audit BEFORE UPDATE OF x ON t FOR EACH ROW EXECUTE FUNCTION audit()"
    )
    with schema_with(url, before, "INSERT INTO t (x) VALUES (1);") as engine:
        with connected(url, engine.schema_name) as connection:
            kept = {part: shape_of(connection, engine.schema_name)[part] for part in ("indexes", "triggers")}

            migrate_existing(engine, derived_of("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);"))

            assert {part: shape_of(connection, engine.schema_name)[part] for part in kept} == kept


def test_progress_is_told_in_rows(url: str) -> None:
    told: list[tuple[int, int]] = []
    with schema_with(url, PG_T.format(type="integer"), MANY) as engine:
        derived = derived_of("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER);")
        migrate_existing(engine, derived, progress=lambda done, rows: told.append((done, rows)))

    assert told and told[-1] == (20_000, 20_000)
