"""Synthetic rows: every table of our schema and of awkward ones, within the schema's own rules."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from schema.schemas import Made, schemas
from support.rebuild_cases import all_cases
from support.sampling import some

from datalayer.engine.opening import open_engine
from datalayer.schema.history import consolidated_sql, package_folder
from datalayer.schema.migrator import migrate
from datalayer.schema.rehearse import bed_postgres, bed_sqlite
from datalayer.schema.rehearse.filler import Filled, fill
from datalayer.schema.target import target_of

AWKWARD = {
    "rules between columns": """
        CREATE TABLE span (id INTEGER PRIMARY KEY, low INTEGER NOT NULL, high INTEGER NOT NULL,
            CHECK (low >= 100 AND high > low AND high <= 110), CHECK ((low + high) % 2 = 1));""",
    "shapes of texts": """
        CREATE TABLE shape (code TEXT PRIMARY KEY CHECK (code GLOB '[A-Z][A-Z]-[0-9][0-9][0-9]'),
            mail TEXT NOT NULL CHECK (mail LIKE '_%@_%.__%' AND instr(mail, ' ') = 0),
            big TEXT NOT NULL CHECK (big = upper(big) AND length(big) BETWEEN 3 AND 5),
            day TEXT NOT NULL CHECK (date(day) IS day),
            trimmed TEXT NOT NULL CHECK (trim(trimmed) = trimmed)) STRICT;""",
    "documents": """
        CREATE TABLE doc (id INTEGER PRIMARY KEY, body TEXT NOT NULL CHECK (json_valid(body)),
            kind TEXT NOT NULL CHECK (json_extract(kind, '$.kind') IN ('a', 'b')),
            list TEXT NOT NULL CHECK (json_type(list) = 'array'));""",
    "a state machine": """
        CREATE TABLE job (id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('new', 'done', 'lost')),
            ended TEXT, owner TEXT, CHECK ((state IN ('done', 'lost')) = (ended IS NOT NULL)),
            CHECK ((owner IS NULL) = (state = 'new')));""",
    "a circle with one open side": """
        CREATE TABLE team (id INTEGER PRIMARY KEY, head INTEGER REFERENCES person (id));
        CREATE TABLE person (id INTEGER PRIMARY KEY, team INTEGER NOT NULL REFERENCES team (id));""",
    "a circle that COMMIT looks at": """
        CREATE TABLE egg (id INTEGER PRIMARY KEY,
            hen INTEGER NOT NULL REFERENCES hen (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE hen (id INTEGER PRIMARY KEY,
            egg INTEGER NOT NULL REFERENCES egg (id) DEFERRABLE INITIALLY DEFERRED);""",
    "itself": """
        CREATE TABLE tree (id INTEGER PRIMARY KEY, up INTEGER NOT NULL REFERENCES tree (id),
            name TEXT UNIQUE);""",
    "keys of several columns": """
        CREATE TABLE p (a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;
        CREATE TABLE q (a TEXT NOT NULL, b INTEGER NOT NULL, c TEXT NOT NULL, PRIMARY KEY (a, b, c),
            FOREIGN KEY (a, b) REFERENCES p (a, b));
        CREATE TABLE r (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER NOT NULL, c TEXT NOT NULL,
            FOREIGN KEY (a, b) REFERENCES p (a, b), FOREIGN KEY (a, b, c) REFERENCES q (a, b, c),
            UNIQUE (a, b, c));""",
    "one to one": """
        CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
        CREATE TABLE passport (person INTEGER PRIMARY KEY REFERENCES person (id),
            number TEXT NOT NULL UNIQUE);""",
    "what is computed": """
        CREATE TABLE net (id INTEGER PRIMARY KEY, price REAL NOT NULL CHECK (price > 0),
            tax REAL GENERATED ALWAYS AS (price * 0.2) STORED CHECK (tax < 50));""",
    "triggers that object": """
        CREATE TABLE stock (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, amount INTEGER NOT NULL);
        CREATE TRIGGER stock_kind BEFORE INSERT ON stock WHEN NEW.kind NOT IN ('wood', 'iron')
        BEGIN SELECT RAISE(ABORT, 'stock_kind: only wood and iron'); END;
        CREATE TRIGGER stock_amount BEFORE INSERT ON stock WHEN NEW.amount < 10
        BEGIN SELECT RAISE(ABORT, 'stock_amount: too little'); END;""",
    "what other columns make": """
        CREATE TABLE total (x INTEGER NOT NULL CHECK (x BETWEEN 10 AND 20), y INTEGER NOT NULL,
            z INTEGER NOT NULL, CHECK (x + y = z));""",
    "forms with a length": """
        CREATE TABLE form (phone TEXT NOT NULL CHECK (phone GLOB '+[1-9][0-9]*' AND length(phone) > 8),
            at TEXT NOT NULL CHECK (at = strftime('%Y-%m-%dT%H:%M:%SZ', at) AND datetime(at) IS NOT NULL),
            list TEXT NOT NULL CHECK (json_array_length(list) >= 1),
            hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32));""",
    "a trigger that looks at the parent": """
        CREATE TABLE kind (id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name IN ('a', 'b')));
        CREATE TABLE thing (kind INTEGER NOT NULL REFERENCES kind (id));
        CREATE TRIGGER thing_kind BEFORE INSERT ON thing
        WHEN (SELECT name FROM kind WHERE id = NEW.kind) <> 'b'
        BEGIN SELECT RAISE(ABORT, 'thing_kind: only b'); END;""",
    "strict types": """
        CREATE TABLE strict_one (i INT NOT NULL, n INTEGER NOT NULL, r REAL NOT NULL, t TEXT NOT NULL,
            b BLOB NOT NULL, PRIMARY KEY (i, t)) STRICT;""",
    "no types": "CREATE TABLE loose (a, b NOT NULL, c CHECK (typeof(c) = 'integer'), d DEFAULT (1 + 1));",
    "names that need quotes": """
        CREATE TABLE "or der" ("sel""ect" TEXT NOT NULL CHECK ("sel""ect" IN ('x', 'y')),
            "a b" INTEGER UNIQUE, "é" TEXT NOT NULL);
        CREATE TABLE "group" (id INTEGER PRIMARY KEY, "to" INTEGER NOT NULL REFERENCES "or der" ("a b"));""",
    "unique in part": """
        CREATE TABLE lease (id INTEGER PRIMARY KEY, room TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open'
            CHECK (state IN ('open', 'shut')));
        CREATE UNIQUE INDEX lease_open ON lease (room) WHERE state = 'open';""",
    "numbers of a kind": """
        CREATE TABLE number (even INTEGER NOT NULL CHECK (even % 2 = 0), percent REAL NOT NULL
            CHECK (percent BETWEEN 0 AND 1), port INTEGER NOT NULL CHECK (port > 1023 AND port < 65536),
            sign INTEGER NOT NULL CHECK (sign IN (-1, 1)), flag INTEGER NOT NULL CHECK (flag IN (0, 1)));""",
    "conflict clauses": """
        CREATE TABLE conflict (id INTEGER PRIMARY KEY, a TEXT NOT NULL ON CONFLICT ABORT,
            b TEXT UNIQUE ON CONFLICT FAIL);""",
    "a search index with its triggers": """
        CREATE TABLE page (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
        CREATE VIRTUAL TABLE page_index USING fts5 (body, content = 'page', content_rowid = 'id');
        CREATE TRIGGER page_in AFTER INSERT ON page
        BEGIN INSERT INTO page_index (rowid, body) VALUES (NEW.id, NEW.body); END;""",
}
ON_POSTGRES = """
CREATE SCHEMA IF NOT EXISTS public;
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE DOMAIN plate AS text CHECK (VALUE ~ '^[A-Z]{2}-\\d{3,5}$');
CREATE TABLE typed (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mood mood NOT NULL, plate plate NOT NULL,
    at timestamptz NOT NULL, day date NOT NULL, gap interval NOT NULL, ip inet NOT NULL, data jsonb NOT NULL,
    tags text[] NOT NULL, id2 uuid NOT NULL UNIQUE, bin bytea NOT NULL, price numeric(6,2) CHECK (price > 0),
    small varchar(4) NOT NULL UNIQUE, ok boolean NOT NULL, span int4range NOT NULL, seven bit(3) NOT NULL);
CREATE TABLE slugs (slug text PRIMARY KEY CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'), n serial NOT NULL,
    kind text NOT NULL CHECK (kind = ANY (ARRAY['sort', 'kind'])), data jsonb CHECK (data ->> 'kind' = 'x'));
CREATE TABLE room (id integer PRIMARY KEY, during tstzrange NOT NULL);
CREATE TABLE a (id integer PRIMARY KEY, b integer NOT NULL);
CREATE TABLE b (id integer PRIMARY KEY, a integer NOT NULL REFERENCES a DEFERRABLE);
ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b DEFERRABLE;
CREATE TABLE parted (id integer NOT NULL, region text NOT NULL) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE FUNCTION no_wild() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.mood = 'wild' THEN RAISE EXCEPTION 'no wild ones'; END IF; RETURN NEW; END $$;
CREATE TRIGGER no_wild BEFORE INSERT ON typed FOR EACH ROW EXECUTE FUNCTION no_wild();
CREATE TYPE place AS (street text, number integer);
CREATE FUNCTION is_code(code text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT code ~ '^[0-9]{4}$' $$;
CREATE TABLE shaped (at place NOT NULL, area box NOT NULL, way path NOT NULL, parts int4multirange NOT NULL,
    code text NOT NULL CHECK (is_code(code)), days daterange NOT NULL, EXCLUDE USING gist (days WITH &&));
CREATE SCHEMA beside;
CREATE TABLE beside.owner (id integer PRIMARY KEY);
INSERT INTO beside.owner VALUES (7);
CREATE TABLE owned (owner integer NOT NULL REFERENCES beside.owner);
CREATE TABLE lonely (id integer PRIMARY KEY);
CREATE FUNCTION never_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'it needs company'; END $$;
CREATE CONSTRAINT TRIGGER never_alone AFTER INSERT ON lonely DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION never_alone();
"""


def filled(script: str, rows: int = 3) -> tuple[sqlite3.Connection, Filled]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(script)
    with bed_sqlite.filling(connection) as bed:
        return connection, fill(bed, rows=rows)


@pytest.mark.parametrize("name", AWKWARD)
def test_every_table_of_an_awkward_schema_gets_rows(name: str) -> None:
    connection, done = filled(AWKWARD[name])

    assert done.unfilled == {}
    assert {table: count for table, count in done.rows.items() if count < 3} == {}
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_every_table_of_the_foundation_gets_rows_on_both_engines(postgres_database: str) -> None:
    engines = [open_engine(":memory:"), open_engine(postgres_database)]
    for engine, bed_of in zip(engines, (bed_sqlite, bed_postgres)):
        migrate(engine, target_of(domains=[]))
        connection = engine.connection() if engine.dialect.name == "sqlite" else engine
        with bed_of.filling(connection) as bed:
            done = fill(bed, rows=4)

        assert done.unfilled == {}
        counts = {table: engine.fetch_one(f"SELECT count(*) FROM {table}") for table in done.rows}
        assert {table: count for table, count in counts.items() if count != (4,)} == {}
        engine.close()


# a digest, rows of several tables that must agree, and two rows at most of which each needs the other
HARD = {"ai_provider_settings", "oauth_state", "room_members", "thread_message_deliveries"}


@pytest.mark.slow
def test_nearly_every_table_of_all_domains_gets_rows() -> None:
    connection, done = filled(consolidated_sql())

    assert set(done.unfilled) <= HARD, done.unfilled
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


# nothing can be inserted there: a rule that contradicts the type, a trigger that refuses every row, a parent
# that is gone
IMPOSSIBLE = {"typeof(a) = 'integer'", "no such table: main.p", "no", "full"}


@pytest.mark.slow
def test_every_schema_of_the_table_of_rebuilds_is_filled() -> None:
    cases = some(all_cases().values(), 10)
    scripts = {script: case for case in cases for script in (case.before, case.after)}
    left: dict[str, str] = {}
    for script, case in scripts.items():
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            try:
                connection.executescript(script)
            except sqlite3.Error:
                # a case of a script that is refused, or of another SQLite
                continue
            with bed_sqlite.filling(connection) as bed:
                done = fill(bed, rows=3)
            left |= {f"{case.name}: {table}": why for table, why in done.unfilled.items()}

    assert {name: why for name, why in left.items() if why.rpartition("failed: ")[2] not in IMPOSSIBLE} == {}
    assert len(left) <= 6
    assert len(scripts) > 100


def test_references_that_may_be_empty_are_filled_too() -> None:
    connection, _ = filled(package_folder().of_domains([]).script())

    assert connection.execute(
        "SELECT count(*) FROM background_jobs WHERE session_id IS NOT NULL"
    ).fetchone() >= (1,)
    connection.close()


def test_the_same_schema_gets_the_same_rows() -> None:
    first, _ = filled(AWKWARD["a state machine"])
    second, _ = filled(AWKWARD["a state machine"])

    assert [*first.iterdump()] == [*second.iterdump()]
    first.close()
    second.close()


def test_rows_that_are_there_stay_and_new_ones_join_them() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT UNIQUE); INSERT INTO t VALUES (1, 'n 1')"
    )
    with bed_sqlite.filling(connection) as bed:
        done = fill(bed, rows=3)

    assert done.rows == {"t": 2}
    assert connection.execute("SELECT n FROM t WHERE id = 1").fetchone() == ("n 1",)
    connection.close()


def test_a_table_that_cannot_be_filled_is_told_with_the_rule() -> None:
    connection, done = filled(
        "CREATE TABLE never (a TEXT NOT NULL PRIMARY KEY CONSTRAINT never_at_all CHECK (a <> a));"
        "CREATE TABLE child (a TEXT NOT NULL REFERENCES never (a)); CREATE TABLE fine (a TEXT);"
    )

    assert set(done.unfilled) == {"never", "child"}
    assert "never_at_all" in done.unfilled["never"]
    assert done.rows["fine"] == 3
    connection.close()


def test_a_trigger_that_ends_the_transaction_does_not_end_the_filling() -> None:
    connection, done = filled(
        "CREATE TABLE t (a TEXT NOT NULL); CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.a <> 'yes'"
        " BEGIN SELECT RAISE(ROLLBACK, 'no'); END;"
    )

    assert done.rows == {"t": 3}
    connection.close()


@pytest.mark.slow
@given(made=schemas())
def test_random_schemas_are_filled_within_their_rules(made: Made) -> None:
    connection, done = filled(made.script)

    assert done.unfilled == {}
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_types_and_rules_of_postgresql_are_filled(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    engine.execute(ON_POSTGRES)
    with bed_postgres.filling(engine) as bed:
        done = fill(bed, rows=3)

    # what is deferred and always refuses is told of, not of all tables in the end
    assert done.unfilled == {"lonely": "it needs company"}
    assert {table for table, count in done.rows.items() if count < 3} == {"lonely"}
    engine.close()
