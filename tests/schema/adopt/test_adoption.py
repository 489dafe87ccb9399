"""A database that others migrated is taken over: what is applied, what is pending, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
from support.foreign_journals import ForeignCase, cases
from support.migration_folder import folder_of

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.adopt.adoption import Adoption, adopt
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import migrate
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.pending import pending
from datalayer.schema.target import target_of

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

Apply = Callable[[Engine, int], None]
# the rows of these cases hold made-up checksums, or need files of the tool's own
BY_NAME = [case for case in cases() if case.tool not in ("drizzle", "alembic")]
KEEP_CHECKSUMS = ("prisma", "sqlx", "flyway", "sqitch")


def states(found: Adoption) -> dict[str, str]:
    return {state.name: state.state for state in found.files}


def ids(found: Adoption) -> list[object]:
    return [each["id"] for each in found.findings]


def dump(engine: Engine, table: str) -> list[tuple[object, ...]]:
    place = ".".join(map(engine.dialect.quote, table.split(".")))
    return engine.fetch_all(f"SELECT * FROM {place}")


@pytest.mark.parametrize("case", BY_NAME, ids=lambda case: case.label)
def test_what_a_tool_applied_is_taken_over_and_the_rest_is_pending(
    case: ForeignCase, folder: Folder, apply_files: Apply, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue("memory" if case.engine == "sqlite" else "server")
    apply_files(engine, 2)
    for sql in case.sql:
        engine.write(sql)
    before = dump(engine, case.table)

    planned = adopt(engine, folder, apply=False)
    nothing_yet = history.applied_names(engine)
    done = adopt(engine, folder, apply=True)

    word = "changed" if case.tool in KEEP_CHECKSUMS else "applied"
    assert states(planned) == {"0001_users": word, "0002_age": word, "0003_posts": "pending"}
    assert (nothing_yet, planned.was_written, done.was_written) == ((), False, True)
    assert planned.shape is not None
    assert (planned.shape.exact, planned.shape.undecided) == (True, ())
    assert history.applied_names(engine) == ("0001_users", "0002_age")
    assert [(row.name, row.kind) for row in journal.read(engine)] == [
        ("0001_users", "adopted"),
        ("0002_age", "adopted"),
    ]
    assert str(journal.read(engine)[0].origin).startswith(f"{case.tool} {case.table}")
    assert dump(engine, case.table) == before


def test_taking_over_again_finds_nothing_to_do(either: Engine, folder: Folder, apply_files: Apply) -> None:
    apply_files(either, 2)
    either.write("CREATE TABLE schema_migrations (version varchar(128) primary key)")
    either.write("INSERT INTO schema_migrations VALUES ('0001'), ('0002')")
    adopt(either, folder, apply=True)

    again = adopt(either, folder, apply=True)

    assert (again.to_record, again.was_written) == ((), False)
    assert states(again) == {"0001_users": "recorded", "0002_age": "recorded", "0003_posts": "pending"}


def test_the_run_of_the_folder_goes_on_where_the_other_tool_stopped(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 2)
    either.write("CREATE TABLE schema_migrations (version varchar(128) primary key)")
    either.write("INSERT INTO schema_migrations VALUES ('0001'), ('0002')")
    adopt(either, folder, apply=True)

    left = pending(either, folder)

    assert [file.name for file in left.files] == ["0003_posts"]
    assert left.findings == ()


def test_the_time_of_application_is_kept(memory: Engine, folder: Folder, apply_files: Apply) -> None:
    apply_files(memory, 2)
    (case,) = [case for case in BY_NAME if case.label == "knex-sqlite"]
    for sql in case.sql:
        memory.write(sql)

    adopt(memory, folder, apply=True)

    assert memory.fetch_all("SELECT applied_at FROM migrations ORDER BY id")[0] == (
        "2024-01-02T10:00:00.000000Z",
    )
    assert journal.read(memory)[0].applied_at == datetime(2024, 1, 2, 10, tzinfo=UTC)


def test_a_dirty_version_is_refused_and_nothing_is_written(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 2)
    either.write(
        "CREATE TABLE schema_migrations (version bigint not null primary key, dirty boolean not null)"
    )
    either.write("INSERT INTO schema_migrations VALUES (2, true)")

    with pytest.raises(MigrationRefused, match="golang-migrate") as refused:
        adopt(either, folder, apply=True)

    assert "dirty" in str(refused.value.why)
    assert refused.value.findings[0]["id"] == "A005"
    assert not either.columns("migrations")


def test_a_late_file_below_an_applied_one_is_pending_and_told(
    memory: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(memory, 1)
    apply_files(memory, 0)
    memory.write("CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id))")
    memory.write("CREATE TABLE d1_migrations(id INTEGER PRIMARY KEY, name TEXT UNIQUE, applied_at TIMESTAMP)")
    memory.write("INSERT INTO d1_migrations (name) VALUES ('0001_users.sql'), ('0003_posts.sql')")

    found = adopt(memory, folder, apply=False)

    assert found.pending == ("0002_age",)
    assert "J002" in ids(found)
    assert found.shape is not None
    assert found.shape.exact


def test_what_is_applied_without_a_file_is_told(memory: Engine, folder: Folder, apply_files: Apply) -> None:
    apply_files(memory, 2)
    memory.write("CREATE TABLE kysely_migration (name varchar(255) primary key, timestamp varchar(255))")
    memory.write(
        "INSERT INTO kysely_migration VALUES ('0001_users', 'a'), ('0002_age', 'b'), ('0099_x', 'c')"
    )

    found = adopt(memory, folder, apply=False)

    assert found.without_file == (("kysely kysely_migration", "0099_x"),)
    assert "J004" in ids(found)


def test_a_schema_that_is_not_what_the_files_make_is_told(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 1)
    either.write("CREATE TABLE schema_migrations (version varchar(128) primary key)")
    either.write("INSERT INTO schema_migrations VALUES ('0001'), ('0002')")

    found = adopt(either, folder, apply=False)

    assert found.shape is not None
    assert not found.shape.exact
    assert {"DL-C020", "DL-C021"} & {*ids(found)}


def test_two_journals_that_disagree_are_both_heard(
    memory: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(memory, 2)
    memory.write("CREATE TABLE schema_migrations (version varchar(128) primary key)")
    memory.write("INSERT INTO schema_migrations VALUES ('0001')")
    memory.write("CREATE TABLE d1_migrations(id INTEGER PRIMARY KEY, name TEXT UNIQUE, applied_at TIMESTAMP)")
    memory.write("INSERT INTO d1_migrations (name) VALUES ('0001_users.sql'), ('0002_age.sql')")

    found = adopt(memory, folder, apply=False)

    assert found.to_record == ("0001_users", "0002_age")
    assert [each["id"] for each in found.findings] == ["A002"]


def test_a_database_without_a_journal_is_taken_over_by_its_shape(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 2)

    found = adopt(either, folder, apply=True)

    assert found.to_record == ("0001_users", "0002_age")
    assert {row.origin for row in journal.read(either)} == {"shape"}
    assert found.pending == ("0003_posts",)


def test_a_database_of_no_known_shape_is_refused(either: Engine, folder: Folder, apply_files: Apply) -> None:
    apply_files(either, 2)
    either.write("ALTER TABLE users ADD COLUMN shoe_size INTEGER")

    with pytest.raises(MigrationRefused, match="no beginning") as refused:
        adopt(either, folder, apply=True)

    assert "0002_age" in str(refused.value.why)
    assert "shoe_size" in str(refused.value.findings)
    assert not either.columns("migrations")


def test_an_empty_database_has_nothing_to_take_over(either: Engine, folder: Folder) -> None:
    found = adopt(either, folder, apply=True)

    assert (found.to_record, found.journals, found.shape) == ((), (), None)
    assert len(found.pending) == 3
    assert not either.columns("migrations")


def test_names_without_checksums_get_their_rows(either: Engine, folder: Folder, apply_files: Apply) -> None:
    apply_files(either, 2)
    either.write("CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT)")
    either.write(
        "INSERT INTO migrations VALUES (1, '0001_users', '2024-01-02 10:00:00'), (2, '0002_age', 'then')"
    )

    found = adopt(either, folder, apply=True)

    assert found.to_record == ("0001_users", "0002_age")
    rows = journal.read(either)
    assert [(row.name, row.origin) for row in rows] == [
        ("0001_users", "migrations"),
        ("0002_age", "migrations"),
    ]
    assert rows[0].checksum_raw == folder.files()[0].checksum_raw
    assert rows[0].applied_at == datetime(2024, 1, 2, 10, tzinfo=UTC)
    assert [row[1:] for row in dump(either, "migrations")] == [
        ("0001_users", "2024-01-02 10:00:00"),
        ("0002_age", "then"),
    ]


def test_a_name_that_has_no_file_any_more_is_kept_in_the_journal(
    memory: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(memory, 1)
    memory.write("CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT)")
    memory.write("INSERT INTO migrations VALUES (1, '0001_users', 'then'), (2, '0000_gone', 'then')")

    adopt(memory, folder, apply=True)

    assert [row.name for row in journal.read(memory)] == ["0001_users", "0000_gone"]


def test_another_programs_table_called_migrations_is_left_alone(
    memory: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(memory, 2)
    memory.write("CREATE TABLE schema_migrations (version varchar(128) primary key)")
    memory.write("INSERT INTO schema_migrations VALUES ('0001')")
    memory.write(
        "CREATE TABLE migrations (id INTEGER PRIMARY KEY, timestamp bigint NOT NULL, name TEXT NOT NULL)"
    )

    for act in (
        lambda: adopt(memory, folder, apply=False),
        lambda: adopt(memory, folder, apply=True),
        lambda: migrate(memory, target_of(folder=str(folder.root))),
    ):
        with pytest.raises(MigrationRefused, match="another program's"):
            act()

    assert not memory.columns("migrations_journal")
    assert dump(memory, "migrations") == []


def test_a_folder_without_migrations_is_refused(memory: Engine, tmp_path: Path) -> None:
    (tmp_path / "aaa111aaa111_users.py").touch()

    with pytest.raises(MigrationRefused, match="has no migrations"):
        adopt(memory, Folder(tmp_path), apply=False)


def test_it_cannot_run_inside_a_transaction(memory: Engine, folder: Folder) -> None:
    with memory.transaction(), pytest.raises(MigrationRefused, match="inside a transaction"):
        adopt(memory, folder, apply=False)


def test_a_changed_file_is_told_and_counts_as_it_is_now(
    memory: Engine, folder: Folder, apply_files: Apply, root: Path
) -> None:
    apply_files(memory, 1)
    (case,) = [case for case in BY_NAME if case.label == "prisma-sqlite"]
    memory.write(case.sql[0])
    memory.write(case.sql[1])

    found = adopt(memory, folder, apply=True)

    (row,) = journal.read(memory)
    assert [(each["id"], each["severity"], each["file"]) for each in found.findings] == [
        ("J001", "error", str(root / "0001_users.sql"))
    ]
    assert row.origin == "prisma _prisma_migrations (with another content)"
    assert pending(memory, folder).findings == ()


def test_a_late_file_that_one_version_hides_is_found_by_the_schema(
    either: Engine, folder: Folder, apply_files: Apply
) -> None:
    apply_files(either, 1)
    either.write("CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id))")
    either.write(
        "CREATE TABLE schema_migrations (version bigint not null primary key, dirty boolean not null)"
    )
    either.write("INSERT INTO schema_migrations VALUES (3, false)")

    found = adopt(either, folder, apply=False)

    assert states(found) == {"0001_users": "applied", "0002_age": "pending", "0003_posts": "applied"}
    assert {*ids(found)} == {"J002", "J003"}
    assert found.shape is not None
    assert found.shape.exact


def test_many_at_once_take_it_over_once(engine: Engine, folder: Folder, apply_files: Apply) -> None:
    apply_files(engine, 2)
    engine.write("CREATE TABLE schema_migrations (version varchar(128) primary key)")
    engine.write("INSERT INTO schema_migrations VALUES ('0001'), ('0002')")
    ready = Barrier(3)

    def take_over() -> Adoption:
        ready.wait(30)
        try:
            return adopt(engine, folder, apply=True)
        finally:
            engine.release()

    with ThreadPoolExecutor(3) as pool:
        done = [each.result(60) for each in [pool.submit(take_over) for _ in range(3)]]

    assert len(done) == 3
    assert history.applied_names(engine) == ("0001_users", "0002_age")
    assert [row.ordinal for row in journal.read(engine)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class Migration(migrations.Migration):\n    operations = []\n", ["A006"]),
        ("def migrate(migrator, database, fake=False):\n    pass\n", ["A006"]),
        ("def up(migrator, db):\n    pass\n", ["A006"]),
        ("def up(store, *, dry):\n    pass\n", ["A006"]),
        ("def up(store, times=2):\n    pass\n", []),
        ("from steps import fill as up\n", []),
        ("up = print\n", []),
    ],
)
def test_a_pending_python_file_of_another_tool_is_told(
    memory: Engine, folder: Folder, root: Path, apply_files: Apply, text: str, told: list[str]
) -> None:
    apply_files(memory, 2)
    memory.write("CREATE TABLE schema_migrations (version varchar(128) primary key)")
    memory.write("INSERT INTO schema_migrations VALUES ('0001'), ('0002')")
    (root / "0004_fill.py").write_text(text, encoding="utf-8")

    found = adopt(memory, folder, apply=False)

    assert ids(found) == told


def test_a_folder_that_its_tool_ran_on_the_server_is_gone_on_with_as_it_is_written(
    server: Engine, folder: Folder, root: Path, apply_files: Apply
) -> None:
    (root / "0003_posts.sql").write_text(
        "UPDATE users SET age = 7; ALTER TABLE users ADD COLUMN nick VARCHAR(9);", encoding="utf-8"
    )
    apply_files(server, 2)
    server.write("INSERT INTO users (id, name) VALUES (1, 'Ada')")
    server.write("CREATE TABLE schema_migrations (version varchar(128) primary key)")
    server.write("INSERT INTO schema_migrations VALUES ('0001'), ('0002')")
    adopt(server, folder, apply=True)

    done = migrate(server, target_of(folder=str(root)))

    assert done.applied == ("0003_posts",)
    assert server.fetch_all(
        "SELECT id, name, age, pg_typeof(age)::text, pg_typeof(nick)::text FROM users"
    ) == [(1, "Ada", 7, "integer", "character varying")]
    assert [row.kind for row in journal.read(server)] == ["adopted", "adopted", "sql"]


def test_a_derived_folder_passes_over_no_change_of_rows(server: Engine, tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "notes",
        "CREATE TABLE kinds (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);"
        "INSERT INTO kinds (name) VALUES ('a');",
    )
    migrate(server, target_of(folder=str(folder.root)))
    late = (
        "CREATE TABLE more (id INTEGER PRIMARY KEY);\nINSERT INTO kinds (name) SELECT name || '2' FROM kinds;"
    )
    folder_of(tmp_path / "notes", folder.files()[0].read(), late)

    migrate(server, target_of(folder=str(folder.root)), consent=Consent(skip_backup=True))

    assert server.fetch_all("SELECT id, name FROM kinds ORDER BY id") == [(1, "a"), (2, "a2")]
    assert [(row.kind, row.origin) for row in journal.read(server)] == [
        ("baseline", "consolidated"),
        ("sql", f"derived numbered {folder.root}"),
    ]
