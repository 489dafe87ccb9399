"""The shape of a database tells how far in a folder it is, and touches nothing on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.schema import history
from datalayer.schema.adopt.shape import by_shape, check_names
from datalayer.schema.numbered.folder import Folder

Apply = Callable[[Engine, int], None]


def write(root: Path, *texts: str) -> Folder:
    """Make a folder of files 0001_step.sql and so on."""
    root.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts, 1):
        (root / f"{number:04}_step.sql").write_text(text, encoding="utf-8")
    return Folder(root)


def run(engine: Engine, folder: Folder, count: int) -> None:
    for file in folder.files()[:count]:
        for statement in file.statements("sqlite" if engine.dialect.name == "sqlite" else "postgresql"):
            engine.write(statement.text)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_beginning_that_was_applied_is_found(
    either: Engine, folder: Folder, apply_files: Apply, count: int
) -> None:
    apply_files(either, count)

    found = by_shape(either, folder)

    assert found.exact
    assert found.names == tuple(file.name for file in folder.files()[:count])


def test_tables_that_no_file_makes_are_told_and_not_counted(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 2)
    either.write("CREATE TABLE visitors (id INTEGER PRIMARY KEY)")
    either.write("CREATE VIEW old AS SELECT id FROM visitors")

    found = by_shape(either, folder)

    assert (found.exact, len(found.names)) == (True, 2)
    assert found.extra == ("visitors", "old")


def test_a_database_of_another_program_is_at_the_beginning(either: Engine, folder: Folder) -> None:
    either.write("CREATE TABLE visitors (id INTEGER PRIMARY KEY)")

    found = by_shape(either, folder)

    assert (found.names, found.exact, found.extra) == ((), True, ("visitors",))


def test_the_nearest_state_is_told_with_what_differs(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 3)
    either.write("DROP INDEX users_age")

    found = by_shape(either, folder)

    assert (found.exact, len(found.names)) == (False, 3)
    assert [(each.change, each.kind, each.name) for each in found.differences] == [
        ("missing", "index", "users_age")
    ]


def test_journals_count_on_neither_side(either: Engine, folder: Folder, apply_files: Apply) -> None:
    apply_files(either, 2)
    either.write("CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT)")
    either.write("CREATE TABLE d1_migrations(id INTEGER PRIMARY KEY, name TEXT UNIQUE, applied_at TIMESTAMP)")
    either.write('CREATE TABLE "_cf_KV" (key TEXT PRIMARY KEY)')

    found = by_shape(either, folder)

    assert (found.exact, len(found.names)) == (True, 2)
    assert found.extra == ()


@pytest.mark.parametrize("migrated_engine", ["memory", "postgresql"], indirect=True)
def test_the_packages_own_folder_is_known_by_shape(migrated_engine: Engine) -> None:
    found = by_shape(migrated_engine, history.package_folder())

    assert found.exact
    assert found.names == tuple(file.name for file in history.package_files())


def test_files_that_change_no_schema_are_taken_and_told(either: Engine, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "m",
        "CREATE TABLE a (id INTEGER PRIMARY KEY);",
        "INSERT INTO a VALUES (1);",
        "UPDATE a SET id = 2;",
        "CREATE TABLE b (id INTEGER PRIMARY KEY);",
    )
    run(either, folder, 1)

    found = by_shape(either, folder)

    assert found.names == ("0001_step", "0002_step", "0003_step")
    assert found.undecided == ("0002_step", "0003_step")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_user_version_decides_between_states_of_one_shape(
    memory: Engine, tmp_path: Path, version: int
) -> None:
    folder = write(
        tmp_path / "m", "CREATE TABLE a (id INTEGER);", "INSERT INTO a VALUES (1);", "UPDATE a SET id = 2;"
    )
    run(memory, folder, 1)
    memory.write(f"PRAGMA user_version = {version}")

    found = by_shape(memory, folder)

    assert len(found.names) == version
    assert found.undecided == ()


def test_a_user_version_that_fits_no_file_decides_nothing(
    memory: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(memory, 2)
    memory.write("PRAGMA user_version = 40")

    assert by_shape(memory, folder).names == ("0001_users", "0002_age")


def test_a_python_file_is_told_as_not_compared(
    either: Engine, folder: Folder, root: Path, apply_files: Apply
) -> None:
    (root / "0002_fill.py").write_text("raise SystemExit\n", encoding="utf-8")
    apply_files(either, 3)

    found = by_shape(either, folder)

    assert found.exact
    assert found.not_replayed == ("0002_fill",)


def test_a_replay_that_ends_early_still_knows_the_files_before(
    either: Engine, folder: Folder, root: Path, apply_files: Apply
) -> None:
    (root / "0004_wrong.sql").write_text("\nALTER TABLE nowhere ADD COLUMN x TEXT;\n", encoding="utf-8")
    apply_files(either, 2)

    found = by_shape(either, folder)

    assert (found.exact, len(found.names)) == (True, 2)
    assert "0004_wrong.sql, line 2" in found.refused


def test_constraints_triggers_and_views_belong_to_the_shape(memory: Engine, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "m",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 0));",
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END;",
        "CREATE VIEW v AS SELECT id FROM a;",
        "CREATE VIRTUAL TABLE f USING fts5(x);",
    )
    seen: list[int] = []

    for count in range(5):
        engine = open_engine(":memory:")
        run(engine, folder, count)
        found = by_shape(engine, folder)
        seen += [len(found.names)] if found.exact else []
        engine.close()

    assert seen == [0, 1, 2, 3, 4]
    memory.write("CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 1))")
    assert not by_shape(memory, folder).exact


# -- names without checksums -----------------------------------------------------------------------


def test_names_that_made_this_shape_are_believed(either: Engine, folder: Folder, apply_files: Apply) -> None:
    apply_files(either, 2)

    assert check_names(either, folder, ("0001_users", "0002_age")).exact


def test_a_file_that_ran_and_is_not_named_is_a_difference(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 3)
    either.write("CREATE TABLE visitors (id INTEGER PRIMARY KEY)")

    found = check_names(either, folder, ("0001_users", "0002_age"))

    assert not found.exact
    assert [(each.change, each.name) for each in found.differences] == [("extra", "posts")]
    assert found.extra == ("visitors",)


def test_a_named_file_that_never_ran_is_a_difference(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 2)

    found = check_names(either, folder, ("0001_users", "0002_age", "0003_posts"))

    assert ("missing", "posts") in [(each.change, each.name) for each in found.differences]


# -- PostgreSQL ------------------------------------------------------------------------------------

ON_THE_SERVER = (
    """CREATE TYPE "public"."mood" AS ENUM ('sad', 'ok; fine');
    CREATE TABLE IF NOT EXISTS "public"."people" (
        id serial PRIMARY KEY, mood "public"."mood" DEFAULT 'sad' NOT NULL,
        born date CHECK (born > '1900-01-01'));
    --> statement-breakpoint
    CREATE INDEX CONCURRENTLY people_mood ON public.people USING btree (mood);""",
    """BEGIN;
    CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.born := now(); RETURN NEW; END; $$;
    CREATE FUNCTION grown_up() RETURNS bigint LANGUAGE plpgsql AS $f$
        BEGIN RETURN (SELECT count(*) FROM public.people); END $f$;
    CREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION public.touch();
    COMMIT;""",
    """SELECT pg_catalog.set_config('search_path', '', false);
    SET lock_timeout = 0;
    ALTER TABLE public.people OWNER TO nobody_of_this_name;
    CREATE TABLE public.pets (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        owner int REFERENCES public.people (id) ON DELETE CASCADE);
    ALTER TABLE public.pets ADD COLUMN name text DEFAULT 'public.people';
    CREATE VIEW grown AS SELECT id FROM public.people WHERE born < '2000-01-01';
    GRANT SELECT ON grown TO nobody_of_this_name;""",
)


@pytest.fixture
def server_folder(tmp_path: Path) -> Folder:
    return write(tmp_path / "server", *ON_THE_SERVER)


def apply_on_server(engine: Engine, folder: Folder, count: int) -> None:
    for file in folder.files()[:count]:
        for statement in file.statements("postgresql"):
            skipped = (
                statement.verb in ("BEGIN", "COMMIT", "SET", "SELECT", "GRANT") or "OWNER" in statement.text
            )
            if not skipped:
                engine.write(statement.text)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_folder_in_the_servers_words_is_replayed_there(
    server: Engine, server_folder: Folder, count: int
) -> None:
    apply_on_server(server, server_folder, count)

    found = by_shape(server, server_folder)

    assert (found.exact, len(found.names), found.refused) == (True, count, "")


def test_another_function_body_on_the_server_is_told(server: Engine, server_folder: Folder) -> None:
    apply_on_server(server, server_folder, 3)
    server.write(
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )

    found = by_shape(server, server_folder)

    assert [(each.change, each.kind, each.name) for each in found.differences] == [
        ("changed", "function", "touch()")
    ]


def test_partitions_policies_and_materialized_views_belong_to_the_shape(
    server: Engine, tmp_path: Path
) -> None:
    folder = write(
        tmp_path / "m",
        "CREATE TABLE ev (at date NOT NULL) PARTITION BY RANGE (at);"
        " CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');",
        "ALTER TABLE ev ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON public.ev USING (at > '2024-01-01');",
        "CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM public.ev; CREATE UNIQUE INDEX mvu"
        " ON mv (count);",
        "CREATE DOMAIN d AS text CHECK (VALUE <> '');",
    )
    seen: list[int] = []

    for count in range(5):
        if count:
            for statement in folder.files()[count - 1].statements("postgresql"):
                server.write(statement.text)
        found = by_shape(server, folder)
        seen += [len(found.names)] if found.exact else []

    assert seen == [0, 1, 2, 3, 4]


def test_what_an_extension_brings_is_within_reach_of_the_replay(server: Engine, tmp_path: Path) -> None:
    # the tests' own server has vector; another one may have what it is built with alone
    (extension,) = server.fetch_one(
        "SELECT name FROM pg_available_extensions WHERE name IN ('vector', 'plpgsql') ORDER BY name DESC"
    ) or ("",)
    text = f"CREATE EXTENSION IF NOT EXISTS {extension};"
    text += (
        "CREATE TABLE u (e public.vector(3)); CREATE INDEX u_e ON u USING hnsw (e vector_l2_ops);"
        if extension == "vector"
        else "CREATE TABLE u (e text);"
    )
    folder = write(tmp_path / "m", text)
    run(server, folder, 1)

    found = by_shape(server, folder)

    assert (found.exact, found.names, found.extra) == (True, ("0001_step",), ())
    assert server.fetch_all("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'datalayer%'") == []


def test_the_replay_on_the_server_leaves_no_trace_and_reaches_no_live_table(
    server: Engine, tmp_path: Path
) -> None:
    server.write("CREATE TABLE kept (id integer PRIMARY KEY)")
    server.write("INSERT INTO kept VALUES (1)")
    folder = write(
        tmp_path / "m",
        "CREATE TABLE made (id integer PRIMARY KEY); DROP TABLE IF EXISTS public.kept; DROP"
        " TABLE IF EXISTS kept;",
        "COMMIT; DELETE FROM kept; ROLLBACK; TRUNCATE kept; DROP TABLE made; COMMIT;",
        "END; ABORT; PREPARE TRANSACTION 'x'; CREATE TABLE last (id integer);",
    )

    found = by_shape(server, folder)

    assert server.fetch_all("SELECT id FROM kept") == [(1,)]
    assert server.fetch_all("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'datalayer%'") == []
    assert found.extra == ("kept",)


def test_a_commit_within_a_block_of_code_keeps_nothing(server: Engine, tmp_path: Path) -> None:
    server.write("CREATE TABLE kept (id integer PRIMARY KEY)")
    text = "DO $$ BEGIN EXECUTE 'DROP TABLE public.kept'; COMMIT; END $$;"

    found = by_shape(server, write(tmp_path / "m", text))

    assert server.columns("kept") == ["id"]
    assert found.refused


def test_a_role_that_may_not_make_a_schema_is_told_so(server: Engine, server_folder: Folder) -> None:
    apply_on_server(server, server_folder, 2)
    server.execute("CREATE ROLE reader_of_shapes LOGIN PASSWORD 'x'")
    server.execute("GRANT USAGE ON SCHEMA public TO reader_of_shapes")
    try:
        with closing(
            open_engine(str(server.address.secret_url).replace("postgres@", "reader_of_shapes:x@"))
        ) as reader:
            found = by_shape(reader, server_folder)
    finally:
        server.execute("DROP OWNED BY reader_of_shapes")
        server.execute("DROP ROLE reader_of_shapes")

    assert not found.exact
    assert "permission denied" in found.refused


def test_what_a_file_may_have_made_that_was_not_reached_is_no_stranger(
    memory: Engine, folder: Folder, root: Path, apply_files: Apply
) -> None:
    (root / "0004_more.sql").write_text("CREATE TABLE more (id INTEGER)", encoding="utf-8")
    apply_files(memory, 4)
    (root / "0003_posts.sql").write_text("CREATE TABLE posts (", encoding="utf-8")

    found = by_shape(memory, folder)

    assert not found.exact
    assert "0003_posts.sql" in found.refused


# -- any folder ------------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(
        [
            "CREATE TABLE t{n} (id INTEGER PRIMARY KEY, a TEXT)",
            "CREATE TABLE IF NOT EXISTS t0 (id INTEGER PRIMARY KEY, a TEXT)",
            "ALTER TABLE t0 ADD COLUMN c{n} INTEGER DEFAULT {n}",
            "CREATE INDEX i{n} ON t0 (a)",
            "DROP INDEX IF EXISTS i1",
            "ALTER TABLE t0 RENAME TO gone; ALTER TABLE gone RENAME TO t0",
            "INSERT INTO t0 (a) VALUES ('x')",
            "CREATE VIEW v{n} AS SELECT id FROM t0",
            "CREATE TRIGGER g{n} AFTER DELETE ON t0 BEGIN DELETE FROM t0 WHERE id = {n}; END",
        ]
    ),
    max_size=9,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, data=st.data())
def test_of_any_folder_the_state_is_found_that_the_database_is_in(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], data: st.DataObject
) -> None:
    texts = ["CREATE TABLE t0 (id INTEGER PRIMARY KEY, a TEXT)", *steps]
    folder = write(tmp_path_factory.mktemp("m"), *(text.format(n=n) for n, text in enumerate(texts)))
    count = data.draw(st.integers(0, len(texts)))
    engine = open_engine(":memory:")
    run(engine, folder, count)

    found = by_shape(engine, folder)
    named = check_names(engine, folder, tuple(file.name for file in folder.files()[:count]))
    engine.close()

    assert (found.exact, named.exact) == (True, True)
    # a later state may have the same shape again, as after an index came and went
    assert len(found.names) >= count
